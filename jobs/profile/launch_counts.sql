-- launch_counts: show that is 1, 3, 7, 28 or 91 days old on the day. One bucket's part of the launches.
--   in:  launch_viewer    viewer × show: premiered, watched_seconds
--        $day             the day
--        $launch_ages     the ages in days; the day of the premiere is the first
--        $reach_seconds   least seconds since the premiere of a viewer reached
--   out: premiered, reach (viewers), watched_seconds (seconds, of all viewers)
select
    show_id,
    premiered,
    count(*) filter (watched_seconds >= $reach_seconds) as reach,
    sum(watched_seconds)::bigint as watched_seconds
from launch_viewer
where ($day::date - premiered + 1) in (select unnest($launch_ages::bigint[]))
group by all
