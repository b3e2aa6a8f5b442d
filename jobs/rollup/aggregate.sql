-- One bucket's events of a received hour, deduplicated, by viewer and everything that counts.
--
-- in:   events (viewer, event_key, received_at, episode_id, country, language, device, utc_offset_minutes,
--       watched_seconds)
-- out:  hour × viewer × episode × country × language × viewer-local hour × device: plays, watched_seconds, first_at,
--       last_at
--
-- A duplicate is a second event of one id by one viewer. Few events have one, so only those are sorted: the earliest
-- counts, and of two received at one instant the first by content, whatever the order of arrival.
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
        -- The quotes of the JSON text come off here, once a group.
        country[2:-2] as country,
        language[2:-2] as language,
        device[2:-2] as device
    )
from grouped
