-- A bucket's viewer hours: what each viewer watched in the hour, over all devices and local hours.
--
-- in:   aggregate (the output of aggregate.sql)
-- out:  viewer × episode × country × language: plays, watched_seconds, first_at, last_at; sorted by its key
select
    viewer,
    episode_id,
    country,
    language,
    sum(plays)::bigint as plays,
    sum(watched_seconds)::bigint as watched_seconds,
    min(first_at) as first_at,
    max(last_at) as last_at
from aggregate
group by all
order by viewer, episode_id, country, language
