-- launch_viewer: viewer × show in its first 91 days, up to and including the day. Carried from day to day.
--   in:  launch_before   launch_viewer of the day before
--        played          the plays of the day: viewer × episode × country × language: watched_seconds
--        catalogue       episode_id, show_id
--        premiere        show_id, premiered
--        $day            the day
--        $launch_since   the first day from which no day is missing: earlier premieres are not known in full
--        $launch_days    number of days, from the premiere on
--   out: premiered, watched_seconds (seconds since the day of the premiere)
with today as (
    select viewer, show_id, premiered, sum(watched_seconds)::bigint as watched_seconds
    from played
    join catalogue using (episode_id)
    join premiere using (show_id)
    group by all
),
so_far as (
    from launch_before
    union all by name
    from today
)
select
    viewer,
    show_id,
    min(premiered) as premiered,
    sum(watched_seconds)::bigint as watched_seconds
from so_far
where
    premiered <= $day::date
    and premiered > $day::date - $launch_days::integer
    and premiered >= $launch_since::date
group by viewer, show_id
