-- Shows with a known premiere.
--
-- in:   latest_show (see latest.sql)
-- out:  show: premiered; sorted by its key
select show_id, premiered
from latest_show
where premiered is not null
order by show_id
