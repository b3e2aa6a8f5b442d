-- viewer_seen: one row for each viewer of the bucket seen up to and including the day.
--   in:  registry     viewer_seen of the day before (empty on the first day)
--        viewer_day   the viewers of the day
--        $day         the day (a date)
--   out: first_day    the first day on which the viewer was seen; a restated registry may have an earlier one
select
    viewer,
    min(first_day) as first_day
from (
    select viewer, first_day from registry
    union all
    select distinct viewer, $day::date from viewer_day
) seen
group by viewer
