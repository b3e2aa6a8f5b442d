-- viewer_counts: one row; the number of viewers of a bucket on a day.
--   in:  viewer_day    the bucket's viewers of the day
--        viewer_seen   the bucket's registry, including the day
--        $day          the day (a date)
--   out: viewers (with a play on the day), new_viewers (first seen on the day)
select
    (select count(distinct viewer) from viewer_day) as viewers,
    (select count(*) filter (first_day = $day) from viewer_seen) as new_viewers
