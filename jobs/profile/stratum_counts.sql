-- stratum_counts: day of an end × stratum. One bucket's viewers who were active in the 28 days up to the end, and those
-- of them who were seen again in the 28 days after it.
--   in:  active_viewer   see active_viewer.sql
--   out: viewers, seen_again (viewers)
select end_day, country, length_class, shows_class, count(*) as viewers, count(*) filter (is_seen_again) as seen_again
from active_viewer
group by all
