-- Viewership: what was watched in the hour, by viewer-local hour and device. All measures are additive, so the same
-- query counts one bucket and merges all buckets.
--
-- in:   aggregate (the output of aggregate.sql, or this query's own output of several buckets)
-- out:  episode × country × viewer-local hour × device: plays, watched_seconds; sorted by its key
select
    episode_id,
    country,
    local_hour,
    device,
    sum(plays)::bigint as plays,
    sum(watched_seconds)::bigint as watched_seconds
from aggregate
group by all
order by episode_id, country, local_hour, device
