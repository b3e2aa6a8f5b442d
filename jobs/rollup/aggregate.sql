-- Deduplicates one bucket's events of a received hour, and aggregates them by viewer and all reported dimensions.
--
-- in:   events (viewer, event_key, received_at, episode_id, country, language, device, utc_offset_minutes,
--       watched_seconds)
-- out:  hour × viewer × episode × country × language × viewer-local hour × device: plays, watched_seconds, first_at,
--       last_at
--
-- A duplicate is another event with the same id and viewer. The earliest counts; of two received at the same instant,
-- the first in the order of their columns, so that the order of arrival has no effect. Few events have duplicates, so
-- the query sorts only those.
with repeated as materialized (
    select viewer, event_key
    from events
    group by all
    having count(*) > 1
),
earliest as (
    select events.* from events semi join repeated using (viewer, event_key)
    qualify row_number() over (
        partition by viewer, event_key
        order by received_at, episode_id, country, language, device, utc_offset_minutes, watched_seconds
    ) = 1
),
counted as (
    select * from events anti join repeated using (viewer, event_key)
    union all
    select * from earliest
),
grouped as (
    select
        viewer,
        episode_id,
        country,
        language,
        hour(received_at + to_minutes(utc_offset_minutes::integer))::tinyint as local_hour,
        device,
        count(*)::bigint as plays,
        sum(watched_seconds)::bigint as watched_seconds,
        min(received_at) as first_at,
        max(received_at) as last_at
    from counted
    group by all
)
select
    * replace (
        -- Removes the quotes of the JSON text here, once for each group.
        country[2:-2] as country,
        language[2:-2] as language,
        device[2:-2] as device
    )
from grouped
