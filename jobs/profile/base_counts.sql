-- base_counts: country, and $worldwide. One bucket's part of the base that shows are compared with, in whole numbers.
--   in:  watched         viewer × show × country: watched_seconds
--        viewer          is_multilingual, is_new
--        $reach_seconds  least seconds in the country of an active viewer
--   out: watched_seconds (seconds, of all viewers), active_viewers, and among them multilingual_viewers and new_viewers
with country as (
    select viewer, country, sum(watched_seconds)::bigint as watched_seconds
    from watched
    group by all
),
here as (
    select viewer, country, watched_seconds, watched_seconds >= $reach_seconds as active
    from (
        from country
        union all
        select viewer, $worldwide, watched_seconds from viewer
    ) somewhere
)
select
    country,
    sum(here.watched_seconds)::bigint as watched_seconds,
    count(*) filter (active) as active_viewers,
    count(*) filter (active and is_multilingual) as multilingual_viewers,
    count(*) filter (active and is_new) as new_viewers
from here
join viewer using (viewer)
group by country
