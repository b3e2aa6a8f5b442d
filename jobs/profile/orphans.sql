-- orphans: one row; viewing worldwide of episodes that are in no captured schedule.
--   in:  audience        period × show × country
--        $unknown_show   the show of such episodes
--        $worldwide      the country of worldwide rows
--   out: watched_seconds (seconds), 0 if there are no such episodes
select coalesce(sum(watched_seconds), 0)::bigint as watched_seconds
from audience
where show_id = $unknown_show and country = $worldwide
