-- launch: day × show that is 1, 3, 7, 28 or 91 days old, from the sums of all buckets.
--   in:  launch_counts   see launch_counts.sql, all buckets
--        $day            the day
--   out: the columns of the dataset launch, in their units
select
    show_id,
    premiered,
    $day::date - premiered + 1 as age,
    sum(reach)::bigint as reach,
    sum(watched_seconds)::bigint as watched_seconds
from launch_counts
group by show_id, premiered
