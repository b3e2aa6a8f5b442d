-- Orphans in DuckDB: episodes (show 0) and countries (without name and zone) that facts name but that are in no
-- captured schedule. An orphan gets a dimension row with the first fact that names it, and loses the row with the last.
--
--   in:  $first, $after   the days whose viewership has just been written: from the first to the one after the last
--   out: rows added to dim_episode and dim_country, or deleted from them; changed_show, the shows that episodes have
--        left or joined between note_shows and note_changed_shows

-- name: add_episodes
insert into dim_episode (episode_id, show_id)
select episode_id, 0 as show_id
from (
    select episode_id from fact_viewership where day >= $first and day < $after
    union
    select episode_id from fact_viewership_hour where hour >= $first and hour < $after
) played
where episode_id not in (select episode_id from dim_episode);

-- name: add_countries
insert into dim_country (country)
select country
from (
    select country from fact_viewership where day >= $first and day < $after
    union
    select country from fact_viewership_hour where hour >= $first and hour < $after
) played
where country not in (select country from dim_country);

-- name: add_audience_countries
insert into dim_country (country)
select distinct country
from fact_audience_base
where country not in (select country from dim_country);

-- name: drop_episodes
delete from dim_episode
where
    show_id = 0
    and episode_id not in (select episode_id from fact_viewership)
    and episode_id not in (select episode_id from fact_viewership_hour);

-- name: drop_countries
delete from dim_country
where
    name is null and timezone is null
    and country not in (select country from fact_viewership)
    and country not in (select country from fact_viewership_hour)
    and country not in (select country from fact_audience_base)
    and country not in (select country from dim_network where country is not null)
    and country not in (select dvd_country from show_history where dvd_country is not null);

-- name: note_shows
create or replace temp table noted_show as select episode_id, show_id from dim_episode;

-- name: note_changed_shows
create or replace temp table changed_show as
select unnest([n.show_id, e.show_id]) as show_id
from noted_show n
join dim_episode e on e.episode_id = n.episode_id and e.show_id <> n.show_id;
