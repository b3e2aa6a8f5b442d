-- Genres of shows: those captured with the latest version of the show.
--
-- in:   latest_show (see latest.sql), genres (as captured, each row with requested_day and fetched_at)
--       $unclassified   the genre of a show without genres
-- out:  show × genre, without trailing blanks; sorted by its key
select distinct show_id, coalesce(rtrim(genre, ' '), $unclassified) as genre
from latest_show
left join genres using (show_id, requested_day, fetched_at)
order by show_id, genre
