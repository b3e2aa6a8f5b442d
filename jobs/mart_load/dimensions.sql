-- Dimensions of the mart from all captures of the schedule. The result does not depend on the order in which days were
-- fetched or loaded.
--
-- In: shows, episodes, networks, countries, genres as captured (each row with requested_day and fetched_at), the views
-- latest_show, show_label and latest_episode, and the codes and names of ISO 3166 in iso_country. Out: one view for
-- each table of the mart, with its columns. Languages and genres are keys, so trailing blanks are removed: MySQL
-- ignores them when it compares keys.

create temp view latest_network as
select * from networks
qualify row_number() over (partition by kind, network_id order by fetched_at desc, requested_day desc) = 1;

create temp view latest_country as
select * from countries
qualify row_number() over (partition by country order by fetched_at desc, requested_day desc) = 1;

-- All countries, because plays may come from any of them.
create temp view dim_country as
with code as (
    select country from latest_country
    union
    select country from iso_country
    union
    select country
    from latest_network
    where country is not null
    union
    select dvd_country
    from shows
    where dvd_country is not null
)
select country, coalesce(latest_country.name, iso_country.name) as name, timezone
from code left join latest_country using (country) left join iso_country using (country)
union all
select '**' as country, 'worldwide' as name, null as timezone
union all
select '..' as country, 'other countries' as name, null as timezone
order by country;

create temp view dim_language as
select distinct rtrim(language, ' ') as language
from shows
where language is not null
order by language;

create temp view dim_network as
select kind, network_id, name, country, official_site
from latest_network
order by kind, network_id;

create temp view dim_genre as
select distinct rtrim(genre, ' ') as genre
from genres
order by genre;

create temp view dim_show as
select
    show_id,
    label,
    * exclude (show_id, label, requested_day, fetched_at, official_site, thetvdb, tvrage, image, summary)
    replace (rtrim(language, ' ') as language)
from latest_show
join show_label using (show_id)
union all by name
select 0 as show_id, 'not in any captured schedule' as label
union all by name
select -1 as show_id, 'other shows' as label
order by show_id;

create temp view dim_show_genre as
select distinct show_id, rtrim(genre, ' ') as genre
from latest_show join genres using (show_id, requested_day, fetched_at)
order by show_id, genre;

-- With the episodes of cells of viewership that have several, which marquee/mart/fold.py defines.
create temp view dim_episode as
select * exclude (requested_day, fetched_at, image, summary)
from latest_episode
union all by name
select -1 - show_id as episode_id, show_id, 'other episodes' as name
from latest_show
union all by name
select 0 as episode_id, -1 as show_id, 'other episodes' as name
order by episode_id;

-- A version starts at the time of the service's last change to the show. A capture without that time counts only for a
-- show that never has one, with the time of fetching. Of captures with the same time the last fetched one counts. A
-- capture without a difference is not a new version.
create temp view show_history as
with genre_list as (
    select
        show_id, requested_day, fetched_at,
        string_agg(distinct rtrim(genre, ' '), ', ' order by rtrim(genre, ' ')) as genres
    from genres
    group by all
),
known as (
    select * replace (rtrim(language, ' ') as language), coalesce(updated, fetched_at) as valid_from
    from shows left join genre_list using (show_id, requested_day, fetched_at)
    qualify updated is not null or max(updated) over (partition by show_id) is null
),
settled as (
    select * from known
    qualify row_number() over (partition by show_id, valid_from order by fetched_at desc, requested_day desc) = 1
),
version as (
    select
        show_id, valid_from,
        name, type, language, status, runtime_minutes, premiered, ended, network_id, web_channel_id, dvd_country,
        schedule_time, schedule_days, genres,
        row(
            name, type, language, status, runtime_minutes, premiered, ended, network_id, web_channel_id, dvd_country,
            schedule_time, schedule_days, genres
        ) as attributes
    from settled
    qualify attributes is distinct from lag(attributes) over (partition by show_id order by valid_from)
)
select * exclude (attributes), lead(valid_from) over (partition by show_id order by valid_from) as valid_to
from version
order by show_id, valid_from;
