-- sqlfluff:dialect:mysql
-- The questions (q_...) and the few views that they share. The comment above a view, with its grain and units, becomes
-- its comment in the database. Shares are percentages; hours and shares are rounded to one decimal; place 1 is the
-- highest.
--
-- The SQL is portable: it uses only constructs of DuckDB, MySQL 8 and MariaDB, with the same answer from each.
-- Quantiles are computed from ranks, "1e0 *" forces floating-point division, and the hours in the ledger replace date
-- arithmetic. Sums and ranks use whole seconds, because sums of fractions depend on their order. "+ 1e-6" rounds halves
-- up, because engines differ in how they round them. Facts are summed before they are joined; otherwise MariaDB may
-- read all of them again for each show.

-- Hours whose viewership is loaded, with or without rows. Grain: hour.
create view loaded_hour as
select starts_at as hour from load_ledger where dataset = 'viewership';

-- The days of the loaded viewership, first/last. One row; null if there is none.
create view viewed_period as
select
    case
        when min(cast(hour as date)) = max(cast(hour as date)) then cast(min(cast(hour as date)) as char)
        else concat(cast(min(cast(hour as date)) as char), '/', cast(max(cast(hour as date)) as char))
    end as period
from loaded_hour;

-- The period of audience figures: the mart's own period, otherwise the period that covers most of the loaded hours. Of
-- equals it is the shortest, so that a whole week comes before the month of which only that week is loaded; then the
-- last. At most one row.
create view reported_period as
with audience_period as (
    select period, grain, starts_at, ends_at from load_ledger where dataset = 'audience_base'
),
covered as (
    select a.period, a.grain, a.starts_at, count(l.hour) as hours
    from audience_period a
    left join loaded_hour l on l.hour >= a.starts_at and l.hour < a.ends_at
    group by a.period, a.grain, a.starts_at
),
ranked as (
    select
        c.period,
        row_number() over (
            order by
                case when c.period = k.period then 1 else 2 end,
                c.hours desc,
                case c.grain when 'day' then 1 when 'week' then 2 when 'month' then 3 else 4 end,
                c.starts_at desc
        ) as place
    from covered c
    cross join kiosk k
)
select period from ranked where place = 1;

-- Audience of the reported period worldwide, of shows in the schedule. Grain: show.
create view reported_show as
select a.*, s.label as title
from reported_period p
join fact_audience a on a.period = p.period and a.country = '**'
join dim_show s on s.show_id = a.show_id
where a.show_id <> 0;

-- Shows of reported_show with a reach of at least 50: below that, shares of viewers mean little. Grain: show.
create view sizeable_show as
select * from reported_show where reach >= 50;

-- All viewers worldwide in the reported period. One row.
create view reported_base as
select b.* from reported_period p join fact_audience_base b on b.period = p.period and b.country = '**';

-- Genres of each show, and their number: each of n genres gets 1/n of the show. 'Unclassified' for a show without
-- genres, and 'Unknown show' for episodes in no captured schedule. Grain: show x genre.
create view show_genre_part as
with counted as (
    select s.show_id, count(g.genre) as genres
    from dim_show s
    left join dim_show_genre g on g.show_id = s.show_id
    group by s.show_id
)
select g.show_id, g.genre, c.genres
from dim_show_genre g
join counted c on c.show_id = g.show_id
union all
select show_id, case when show_id = 0 then 'Unknown show' else 'Unclassified' end as genre, 1 as genres
from counted
where genres = 0;

-- Genres by country, over all loaded hours. Grain: country x genre. Units: hours counts a show in full for each of its
-- genres (so the genres sum to more than the country); fractional_hours counts 1/n for each of n genres (additive);
-- share_percent is the share of the country's hours.
create view q_genre_hours as
with watched as (
    select country, episode_id, sum(watched_seconds) as seconds
    from fact_viewership
    group by country, episode_id
),
by_genre as (
    select w.country, g.genre, sum(w.seconds) as seconds, sum(1e0 * w.seconds / g.genres) as fractional_seconds
    from watched w
    join dim_episode e on e.episode_id = w.episode_id
    join show_genre_part g on g.show_id = e.show_id
    group by w.country, g.genre
)
select
    p.period,
    b.country,
    c.name as country_name,
    b.genre,
    rank() over (partition by b.country order by b.seconds desc) as place,
    round(b.seconds / 3600e0 + 1e-6, 1) as hours,
    round(b.fractional_seconds / 3600e0 + 1e-6, 1) as fractional_hours,
    round(
        100 * b.fractional_seconds / nullif(sum(b.fractional_seconds) over (partition by b.country), 0) + 1e-6, 1
    ) as share_percent
from by_genre b
join dim_country c on c.country = b.country
cross join viewed_period p;

-- Genres by daypart, over all loaded hours. Grain: country x genre x daypart (see dim_daypart). Units: hours counts a
-- show in full for each of its genres; share_percent is the share of the genre's hours in the country.
create view q_genre_daypart as
with watched as (
    select f.country, f.episode_id, d.daypart, sum(f.watched_seconds) as seconds
    from fact_viewership f
    join dim_daypart d on d.local_hour = f.local_hour
    group by f.country, f.episode_id, d.daypart
),
by_genre as (
    select w.country, g.genre, w.daypart, sum(w.seconds) as seconds
    from watched w
    join dim_episode e on e.episode_id = w.episode_id
    join show_genre_part g on g.show_id = e.show_id
    group by w.country, g.genre, w.daypart
)
select
    p.period,
    b.country,
    c.name as country_name,
    b.genre,
    b.daypart,
    rank() over (partition by b.country, b.genre order by b.seconds desc) as place,
    round(b.seconds / 3600e0 + 1e-6, 1) as hours,
    round(
        100e0 * b.seconds / nullif(sum(b.seconds) over (partition by b.country, b.genre), 0) + 1e-6, 1
    ) as share_percent
from by_genre b
join dim_country c on c.country = b.country
cross join viewed_period p;

-- Viewing of shows that ended within the data. Grain: show. Units: *_hours_a_day are hours watched a day, averaged over
-- the loaded hours in the windows [ended - 28, ended] (before), [ended + 1, ended + 28] (after) and [ended + 64, ended
-- + 91] (later), days in UTC; *_percent is the ratio of the later hours to the hours before, in percent of the same
-- ratio of the whole catalogue: 100 means the same change as the catalogue, 50 means half of that. Excluded: shows with
-- less than a day of loaded hours, or no viewing, before; shows with less than a day of loaded hours after.
create view q_after_the_end as
with ending as (
    select h.show_id, h.ended, row_number() over (partition by h.show_id order by h.valid_from desc) as place
    from show_history h
    where h.status = 'Ended' and h.ended is not null
),
hour_of as (
    select
        e.show_id,
        l.hour,
        case
            when l.hour < e.ended + interval 1 day then 'before'
            when l.hour < e.ended + interval 29 day then 'after'
            when l.hour >= e.ended + interval 64 day then 'later'
        end as part
    from ending e
    join loaded_hour l on l.hour >= e.ended - interval 28 day and l.hour < e.ended + interval 92 day
    where e.place = 1
),
ended_episode as (
    select d.episode_id, d.show_id from ending e join dim_episode d on d.show_id = e.show_id where e.place = 1
),
watched as (
    select f.hour, e.show_id, sum(f.watched_seconds) / 3600e0 as hours
    from fact_viewership f
    join ended_episode e on e.episode_id = f.episode_id
    group by f.hour, e.show_id
),
catalogue as (
    select hour, sum(watched_seconds) / 3600e0 as hours from fact_viewership group by hour
),
rate as (
    select
        o.show_id,
        sum(case when o.part = 'before' then 1 else 0 end) as loaded_before,
        sum(case when o.part = 'after' then 1 else 0 end) as loaded_after,
        24 * avg(case when o.part = 'before' then coalesce(w.hours, 0) end) as before_end,
        24 * avg(case when o.part = 'after' then coalesce(w.hours, 0) end) as after_end,
        24 * avg(case when o.part = 'later' then coalesce(w.hours, 0) end) as later,
        24 * avg(case when o.part = 'before' then coalesce(c.hours, 0) end) as all_before,
        24 * avg(case when o.part = 'after' then coalesce(c.hours, 0) end) as all_after,
        24 * avg(case when o.part = 'later' then coalesce(c.hours, 0) end) as all_later
    from hour_of o
    left join watched w on w.hour = o.hour and w.show_id = o.show_id
    left join catalogue c on c.hour = o.hour
    group by o.show_id
)
select
    p.period,
    s.label as title,
    e.ended,
    case when s.status = 'Ended' then 'Ended' else concat('Ended, then ', coalesce(s.status, 'unknown')) end as status,
    round(r.before_end + 1e-6, 1) as before_hours_a_day,
    round(r.after_end + 1e-6, 1) as after_hours_a_day,
    round(r.later + 1e-6, 1) as later_hours_a_day,
    round(100 * (r.after_end / r.before_end) / nullif(r.all_after / r.all_before, 0) + 1e-6, 1) as after_percent,
    round(100 * (r.later / r.before_end) / nullif(r.all_later / r.all_before, 0) + 1e-6, 1) as later_percent
from rate r
join ending e on e.show_id = r.show_id and e.place = 1
join dim_show s on s.show_id = r.show_id
cross join viewed_period p
where r.loaded_before >= 24 and r.loaded_after >= 24 and r.before_end > 0;

-- Shows by their share of multilingual viewers, with a reach of at least 50. Grain: show, worldwide, in the reported
-- period. Units: share_percent is of the show's reach, base_percent of all active viewers; multilingual_index is
-- share_percent in percent of base_percent: above 100 means more than average.
create view q_multilingual as
select
    s.period,
    s.title,
    rank() over (order by 1e0 * s.multilingual_viewers / s.reach desc) as place,
    s.reach,
    s.multilingual_viewers,
    round(100e0 * s.multilingual_viewers / s.reach + 1e-6, 1) as share_percent,
    round(100e0 * b.multilingual_viewers / b.active_viewers + 1e-6, 1) as base_percent,
    round(
        100e0 * s.multilingual_viewers / s.reach / nullif(1e0 * b.multilingual_viewers / b.active_viewers, 0) + 1e-6
    ) as multilingual_index
from sizeable_show s
cross join reported_base b
where s.multilingual_viewers is not null;

-- Shows with a small but loyal audience: reach of at least 50, below the median of the catalogue (the shows watched),
-- and loyalty in its upper quarter. Grain: show, worldwide, in the reported period. Units: loyalty_percent is the share
-- of the played episodes' runtime that the average viewer watched.
create view q_small_but_loyal as
with ranked as (
    select
        s.*,
        row_number() over (order by reach) as reach_place,
        row_number() over (order by case when loyalty is null then 1 else 0 end, loyalty) as loyalty_place,
        count(*) over () as shows_in_all,
        count(loyalty) over () as shows_with_loyalty
    from reported_show s
    where reach is not null
),
bound as (
    select
        avg(case when 2 * reach_place between shows_in_all and shows_in_all + 2 then reach end) as median_reach,
        min(case when 4 * loyalty_place >= 3 * shows_with_loyalty then loyalty end) as upper_loyalty
    from ranked
)
select
    s.period,
    s.title,
    case when s.reach < b.median_reach and s.loyalty >= b.upper_loyalty then 'yes' else 'no' end as small_but_loyal,
    s.reach,
    round(b.median_reach + 1e-6, 1) as median_reach,
    round(100 * s.loyalty + 1e-6, 1) as loyalty_percent,
    round(100 * b.upper_loyalty + 1e-6, 1) as upper_quarter_percent,
    round(s.return_days + 1e-6, 1) as return_days,
    round(100e0 * s.loyal_viewers / s.reach + 1e-6, 1) as loyal_viewers_percent
from sizeable_show s
cross join bound b;

-- Shows by their share of binge viewers, with a reach of at least 50. Grain: show, worldwide, in the reported period.
-- Units: binge_percent of reach had a sitting with at least binge_episodes (3) of the show, binge5_percent with at
-- least 5.
create view q_binge as
select
    period,
    title,
    rank() over (order by 1e0 * binge_viewers / reach desc) as place,
    reach,
    binge_viewers,
    round(100e0 * binge_viewers / reach + 1e-6, 1) as binge_percent,
    round(100e0 * binge5_viewers / reach + 1e-6, 1) as binge5_percent
from sizeable_show
where binge_viewers is not null;

-- Shows by the share of their viewers who watch only them, with a reach of at least 50. Grain: show, worldwide, in the
-- reported period. Units: *_viewers are viewers, *_percent are of reach; valued_hours weights each viewer's hours by
-- the show's share of the viewer's viewing. Viewers first seen in the period have separate columns (new_*), because a
-- new viewer has often had time for only one show.
create view q_must_not_cancel as
select
    period,
    title,
    rank() over (order by 1e0 * sole_viewers / reach desc) as place,
    reach,
    sole_viewers,
    round(100e0 * sole_viewers / reach + 1e-6, 1) as sole_percent,
    near_sole_viewers,
    round(100e0 * near_sole_viewers / reach + 1e-6, 1) as near_sole_percent,
    round(valued_seconds / 3600e0 + 1e-6, 1) as valued_hours,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    new_viewers,
    new_sole_viewers
from sizeable_show
where sole_viewers is not null;

-- The ten shows with the highest reach in each country, and their rank worldwide. Grain: country x show, in the
-- reported period. Units: place 1 has the highest reach; places_lost is the number of places by which the show ranks
-- lower worldwide; *_percent are of the active viewers there; reach_index is country_percent in percent of
-- world_percent.
create view q_big_in_one_country as
with here as (
    select
        a.country,
        a.show_id,
        a.reach,
        1e0 * a.reach / b.active_viewers as share,
        rank() over (partition by a.country order by a.reach desc) as place
    from reported_period p
    join fact_audience a on a.period = p.period
    join fact_audience_base b on b.period = a.period and b.country = a.country
    where a.country <> '**' and a.show_id <> 0 and a.reach is not null
),
world as (
    select
        s.period,
        s.show_id,
        s.title,
        1e0 * s.reach / b.active_viewers as share,
        rank() over (order by s.reach desc) as place
    from reported_show s
    cross join reported_base b
    where s.reach is not null
)
select
    w.period,
    h.country,
    c.name as country_name,
    w.title,
    h.place as country_place,
    w.place as world_place,
    case when w.place >= h.place then w.place - h.place else -(h.place - w.place) end as places_lost,
    h.reach,
    round(100 * h.share + 1e-6, 1) as country_percent,
    round(100 * w.share + 1e-6, 1) as world_percent,
    round(100 * h.share / nullif(w.share, 0) + 1e-6) as reach_index
from here h
join world w on w.show_id = h.show_id
join dim_country c on c.country = h.country
where h.place <= 10;

-- Shows by hours watched. Grain: show, worldwide, in the reported period. Units: views are hours divided by the runtime
-- of the show's episodes that were watched (null if a runtime is unknown); reach is viewers.
create view q_top_shows as
select
    period,
    title,
    rank() over (order by watched_seconds desc) as place,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    round(views + 1e-6, 1) as views,
    reach
from reported_show;

-- Engagement by show, with a reach of at least 50. Grain: show, worldwide, in the reported period. Units: reach_percent
-- is of all active viewers.
create view q_engagement_by_show as
select
    s.period,
    s.title,
    rank() over (order by s.average_seconds desc) as place,
    round(s.average_seconds / 3600e0 + 1e-6, 1) as hours_a_viewer,
    round(s.watched_seconds / 3600e0 + 1e-6, 1) as hours,
    s.reach,
    round(100e0 * s.reach / b.active_viewers + 1e-6, 1) as reach_percent
from sizeable_show s
cross join reported_base b;

-- Engagement by genre. Grain: genre, worldwide, in the reported period. Units: hours counts a show in full for each of
-- its genres, fractional_hours counts 1/n for each of n genres; hours_a_viewer is hours divided by all active viewers.
-- There is no reach, because viewers of several shows are not additive.
create view q_engagement_by_genre as
with watched as (
    select
        a.period,
        g.genre,
        sum(a.watched_seconds) / 3600e0 as hours,
        sum(1e0 * a.watched_seconds / g.genres) / 3600e0 as fractional_hours
    from reported_period p
    join fact_audience a on a.period = p.period and a.country = '**'
    join show_genre_part g on g.show_id = a.show_id
    group by a.period, g.genre
)
select
    w.period,
    w.genre,
    rank() over (order by w.hours desc) as place,
    round(w.hours + 1e-6, 1) as hours,
    round(w.fractional_hours + 1e-6, 1) as fractional_hours,
    round(w.hours / b.active_viewers + 1e-6, 2) as hours_a_viewer
from watched w
cross join reported_base b;

-- Engagement by network. Grain: network or streaming channel (a show's network; its channel if it has none), worldwide,
-- in the reported period. Units: shows is the number of shows watched; hours_a_viewer is hours divided by all active
-- viewers. There is no reach, because viewers of several shows are not additive.
create view q_engagement_by_network as
with carried as (
    select
        show_id,
        case when network_id is not null then 'network' when web_channel_id is not null then 'web' else '' end as kind,
        coalesce(network_id, web_channel_id, 0) as network_id
    from dim_show
),
watched as (
    select
        a.period,
        c.kind,
        c.network_id,
        count(case when a.show_id <> 0 then 1 end) as shows,
        sum(a.watched_seconds) / 3600e0 as hours
    from reported_period p
    join fact_audience a on a.period = p.period and a.country = '**'
    join carried c on c.show_id = a.show_id
    group by a.period, c.kind, c.network_id
)
select
    w.period,
    coalesce(n.name, 'Unknown') as network,
    w.kind,
    rank() over (order by w.hours desc) as place,
    w.shows,
    round(w.hours + 1e-6, 1) as hours,
    round(w.hours / b.active_viewers + 1e-6, 2) as hours_a_viewer
from watched w
left join dim_network n on n.kind = w.kind and n.network_id = w.network_id
cross join reported_base b;

-- Engagement by country. Grain: country, in the reported period. Units: active_viewers are viewers, *_percent are of
-- them.
create view q_engagement_by_country as
select
    b.period,
    b.country,
    c.name as country_name,
    rank() over (order by 1e0 * b.watched_seconds / b.active_viewers desc) as place,
    round(b.watched_seconds / 3600e0 / b.active_viewers + 1e-6, 2) as hours_a_viewer,
    round(b.watched_seconds / 3600e0 + 1e-6, 1) as hours,
    b.active_viewers,
    round(100e0 * b.multilingual_viewers / b.active_viewers + 1e-6, 1) as multilingual_percent,
    round(100e0 * b.new_viewers / b.active_viewers + 1e-6, 1) as new_percent
from reported_period p
join fact_audience_base b on b.period = p.period
join dim_country c on c.country = b.country
where b.country <> '**' and b.active_viewers is not null;
