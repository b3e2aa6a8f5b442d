-- Orphans in MySQL: episodes (show 0) and countries (without name and zone) that facts name but that are in no captured
-- schedule. See dimensions.py.
--
--   in:  staged_episode_id, staged_country        names in the new facts, one per row
--        staged_dim_episode, staged_dim_country   the dimensions of all captures
--        $day, $period, $country                  selection of the facts
--   out: rows added to dim_episode and dim_country, or one column of names

-- name: add_episodes
insert into dim_episode (episode_id, show_id)
select s.episode_id, 0 as show_id
from staged_episode_id s
left join dim_episode d on d.episode_id = s.episode_id
where d.episode_id is null;

-- name: add_countries
insert into dim_country (country)
select s.country
from staged_country s
left join dim_country d on d.country = s.country
where d.country is null;

-- Orphans that the viewership of a day names.
-- name: orphan_episodes
select f.episode_id
from fact_viewership f
join dim_episode d on d.episode_id = f.episode_id and d.show_id = 0
where f.day = $day
union
select f.episode_id
from fact_viewership_hour f
join dim_episode d on d.episode_id = f.episode_id and d.show_id = 0
where f.hour >= $day and f.hour < $day + interval 1 day;

-- name: orphan_countries
select f.country
from fact_viewership f
join dim_country d on d.country = f.country and d.name is null and d.timezone is null
where f.day = $day
union
select f.country
from fact_viewership_hour f
join dim_country d on d.country = f.country and d.name is null and d.timezone is null
where f.hour >= $day and f.hour < $day + interval 1 day;

-- Orphans that the audience of a period names.
-- name: audience_orphans
select f.country
from fact_audience_base f
join dim_country d on d.country = f.country and d.name is null and d.timezone is null
where f.period = $period;

-- Countries that dimensions name, or that have a name or a zone.
-- name: known_countries
select country from dim_country where name is not null or timezone is not null
union
select country from dim_network where country is not null
union
select dvd_country from show_history where dvd_country is not null;

-- name: audience_countries
select distinct country from fact_audience_base;

-- The country if any viewership names it.
-- name: watched_country
(select country from fact_viewership where country = $country limit 1) -- noqa: AM09
union
(select country from fact_viewership_hour where country = $country limit 1); -- noqa: AM09

-- Names in the dimensions that are in no capture any more.
-- name: lost_episodes
select d.episode_id
from dim_episode d
left join staged_dim_episode s on s.episode_id = d.episode_id
where s.episode_id is null and d.show_id <> 0;

-- name: lost_countries
select d.country
from dim_country d
left join staged_dim_country s on s.country = d.country
where s.country is null;
