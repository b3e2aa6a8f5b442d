-- The sums of viewership by day, show, country and daypart, for DuckDB and MySQL: the rows of fact_show_daypart.
--
--   in:  {{condition}}   which viewership f, of which shows e.show_id
--   out: day x show x country x daypart with any seconds

select
    f.day,
    e.show_id,
    f.country,
    f.daypart,
    sum(f.watched_seconds) as watched_seconds
from fact_viewership f
join dim_episode e on e.episode_id = f.episode_id
where {{condition}}
group by f.day, e.show_id, f.country, f.daypart
having sum(f.watched_seconds) > 0
