-- window_watched: day × viewer × show × country, of the days up to the ends. Days that all windows of 28 days up to an
-- end share are one day, the first end: so the rows of most days are added up once, and not for each end.
--   in:  played          day, viewer, episode_id, country, watched_seconds (days are numbers)
--        catalogue       episode_id, show_id
--        ended           show_id, end_day: the day of the end
--        $unknown_show   the show of an episode that is not in the catalogue
--   out: watched_seconds (seconds)
with edge as (
    select min(end_day) as first_end, max(end_day) as last_end from ended
)
select
    case when day between last_end - 27 and first_end then first_end else day end as day,
    viewer,
    coalesce(show_id, $unknown_show) as show_id,
    country,
    sum(watched_seconds)::bigint as watched_seconds
from played
cross join edge
left join catalogue using (episode_id)
where day <= last_end
group by all
