-- viewer_counts: one row; how many viewers a bucket has on a day.
--   in:  viewer_day    the bucket's viewers of the day
--        viewer_seen   the bucket's registry, with the day
--        $day          the day (a date)
--   out: viewers (who watched on the day), new_viewers (of them, first seen on the day)
select
    (select count(distinct viewer) from viewer_day) as viewers,
    (select count(*) filter (first_day = $day) from viewer_seen) as new_viewers
