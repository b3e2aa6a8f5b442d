-- Orphans in DuckDB: episodes (show 0) and countries (without name and zone) that facts name but that are in no
-- captured schedule. An orphan gets a dimension row with the first fact that names it, and loses the row with the last.
--
--   in:  $first_hour, $last_hour   the hours whose viewership has just been written
--   out: rows added to dim_episode and dim_country, or deleted from them

-- name: add_episodes
insert into dim_episode (episode_id, show_id)
select distinct episode_id, 0 as show_id
from fact_viewership
where hour between $first_hour and $last_hour and episode_id not in (select episode_id from dim_episode);

-- name: add_countries
insert into dim_country (country)
select distinct country
from fact_viewership
where hour between $first_hour and $last_hour and country not in (select country from dim_country);

-- name: add_audience_countries
insert into dim_country (country)
select distinct country
from fact_audience_base
where country not in (select country from dim_country);

-- name: drop_episodes
delete from dim_episode
where show_id = 0 and episode_id not in (select episode_id from fact_viewership);

-- name: drop_countries
delete from dim_country
where
    name is null and timezone is null
    and country not in (select country from fact_viewership)
    and country not in (select country from fact_audience_base)
    and country not in (select country from dim_network where country is not null)
    and country not in (select dvd_country from show_history where dvd_country is not null);
