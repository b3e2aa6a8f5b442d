-- orphans: one row; what was watched of episodes that no captured schedule knows, everywhere.
--   in:  audience        period × show × country
--        $unknown_show   the show of such episodes
--        $worldwide      the country of rows that count everywhere
--   out: watched_seconds (seconds), 0 when there are none
select coalesce(sum(watched_seconds), 0)::bigint as watched_seconds
from audience
where show_id = $unknown_show and country = $worldwide
