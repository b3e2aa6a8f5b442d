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

-- Days of which viewership is loaded, and their number of loaded hours. Grain: day.
create view loaded_day as
select cast(hour as date) as day, count(*) as hours from loaded_hour group by cast(hour as date);

-- The days of the loaded viewership, first/last. One row; null if there is none.
create view viewed_period as
select
    case
        when count(*) = 0 then null
        when min(day) = max(day) then cast(min(day) as char)
        else concat(cast(min(day) as char), '/', cast(max(day) as char))
    end as period
from loaded_day;

-- The period of audience figures: the mart's own period, otherwise the period that covers most of the loaded hours. Of
-- equals it is the shortest, so that a whole week comes before the month of which only that week is loaded; then the
-- last. At most one row.
create view reported_period as
with audience_period as (
    select period, grain, starts_at, ends_at from load_ledger where dataset = 'audience_base'
),
covered as (
    select a.period, a.grain, a.starts_at, coalesce(sum(l.hours), 0) as hours
    from audience_period a
    left join loaded_day l on l.day >= a.starts_at and l.day < a.ends_at
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
from fact_audience a
join dim_show s on s.show_id = a.show_id
where a.period = (select period from reported_period) and a.country = '**' and a.show_id <> 0;

-- Shows of reported_show with a reach of at least 50: below that, shares of viewers mean little. Grain: show.
create view sizeable_show as
select * from reported_show where reach >= 50;

-- Audience of the reported period of shows in the schedule that reached a published number of viewers, at least one.
-- Grain: country x show, with '**' for worldwide. share_reach is reach if it is at least 50, as in sizeable_show,
-- otherwise null: the denominator of shares.
create view reached_show as
select
    a.*,
    s.label as title,
    c.name as country_name,
    case when a.reach >= 50 then a.reach end as share_reach
from fact_audience a
join dim_show s on s.show_id = a.show_id
join dim_country c on c.country = a.country
where a.period = (select period from reported_period) and a.show_id <> 0 and a.reach > 0;

-- All viewers worldwide in the reported period. One row.
create view reported_base as
select * from fact_audience_base where period = (select period from reported_period) and country = '**';

-- Genres of each show, and their number: each of n genres gets 1/n of the show. 'Unclassified' for a show without
-- genres, 'Unknown show' for episodes in no captured schedule, and 'Other shows' for viewing of several shows, each of
-- which has too few viewers. Grain: show x genre.
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
select
    show_id,
    case show_id when 0 then 'Unknown show' when -1 then 'Other shows' else 'Unclassified' end as genre,
    1 as genres
from counted
where genres = 0;

-- The rows of show_genre_part, and one for each show whose genre is null: sums by genre have the sum of all shows, too,
-- and MariaDB reads the facts once. Grain: show x genre.
create view show_genre_or_all as
select show_id, genre, genres from show_genre_part
union all
select show_id, null as genre, 1 as genres from dim_show;

-- Genres by country, over all loaded hours. Grain: country x genre. Units: hours counts a show in full for each of its
-- genres, and share_percent is hours in percent of the country's hours, so both sum to more than the country;
-- fractional_hours counts 1/n for each of n genres, and fractional_percent is their share, so both are additive. Ranked
-- by hours. What fewer than min_cell viewers of a country watched of a show in a day counts for other countries ('..').
create view q_genre_hours as
with watched as (
    select country, show_id, sum(watched_seconds) as seconds
    from fact_show_daypart
    group by country, show_id
),
summed as (
    select w.country, g.genre, sum(w.seconds) as seconds, sum(1e0 * w.seconds / g.genres) as fractional_seconds
    from watched w
    join show_genre_or_all g on g.show_id = w.show_id
    group by w.country, g.genre
),
compared as (
    select s.*, max(case when genre is null then seconds end) over (partition by country) as all_seconds
    from summed s
)
select
    p.period,
    b.country,
    c.name as country_name,
    b.genre,
    rank() over (partition by b.country order by b.seconds desc) as place,
    round(b.seconds / 3600e0 + 1e-6, 1) as hours,
    round(100e0 * b.seconds / b.all_seconds + 1e-6, 1) as share_percent,
    round(b.fractional_seconds / 3600e0 + 1e-6, 1) as fractional_hours,
    round(100e0 * b.fractional_seconds / b.all_seconds + 1e-6, 1) as fractional_percent
from compared b
join dim_country c on c.country = b.country
cross join viewed_period p
where b.genre is not null;

-- Genres by daypart, over all loaded hours. Grain: country x genre x daypart (see dim_daypart). Units: hours counts a
-- show in full for each of its genres; hours_an_hour is hours divided by the length of the daypart (5 to 7 hours);
-- share_percent is the share of the genre's hours in the country, base_percent the daypart's share of all hours there;
-- daypart_index is share_percent in percent of base_percent: above 100 means more than other viewing. Ranked by hours.
-- Viewing of several dayparts, each of which has too few viewers, is left out of all these hours.
create view q_genre_daypart as
with watched as (
    -- Dayparts side by side: a group for each would be four times as many, which MySQL sums at twice the cost.
    select
        country,
        show_id,
        sum(case when daypart = 'morning' then watched_seconds end) as morning,
        sum(case when daypart = 'daytime' then watched_seconds end) as daytime,
        sum(case when daypart = 'evening' then watched_seconds end) as evening,
        sum(case when daypart = 'night' then watched_seconds end) as night
    from fact_show_daypart
    group by country, show_id
),
summed as (
    select
        w.country,
        g.genre,
        sum(w.morning) as morning,
        sum(w.daytime) as daytime,
        sum(w.evening) as evening,
        sum(w.night) as night
    from watched w
    join show_genre_or_all g on g.show_id = w.show_id
    group by w.country, g.genre
),
daypart_hour as (
    select daypart, count(*) as hours from dim_daypart group by daypart
),
one_by_one as (
    select
        s.country,
        s.genre,
        h.daypart,
        h.hours,
        case h.daypart
            when 'morning' then s.morning
            when 'daytime' then s.daytime
            when 'evening' then s.evening
            when 'night' then s.night
        end as seconds
    from summed s
    cross join daypart_hour h
),
compared as (
    select
        o.*,
        sum(seconds) over (partition by country, genre) as genre_seconds,
        max(case when genre is null then seconds end) over (partition by country, daypart) as daypart_seconds,
        sum(case when genre is null then seconds else 0 end) over (partition by country) as all_seconds
    from one_by_one o
    where seconds is not null
),
shared as (
    select
        country,
        genre,
        daypart,
        hours,
        seconds,
        1e0 * seconds / genre_seconds as share,
        1e0 * daypart_seconds / all_seconds as base_share
    from compared
    where genre is not null
)
select
    p.period,
    s.country,
    c.name as country_name,
    s.genre,
    s.daypart,
    rank() over (partition by s.country, s.genre order by s.seconds desc) as place,
    round(s.seconds / 3600e0 + 1e-6, 1) as hours,
    round(s.seconds / 3600e0 / s.hours + 1e-6, 2) as hours_an_hour,
    round(100 * s.share + 1e-6, 1) as share_percent,
    round(100 * s.base_share + 1e-6, 1) as base_percent,
    round(100 * s.share / s.base_share + 1e-6) as daypart_index
from shared s
join dim_country c on c.country = s.country
cross join viewed_period p;

-- Viewing of shows before and after their end. Grain: show, and one row for all shows compared, whose ended is null.
-- The last version of a show with the status Ended and a day of the end counts. Units: *_hours_a_day are hours watched
-- a day, averaged over the loaded hours in the windows [ended - 28, ended] (before), [ended + 1, ended + 28] (after)
-- and [ended + 64, ended + 91] (later), days in UTC; days_* are the loaded days in these windows; *_percent is the
-- ratio of the later hours to the hours before, in percent of the same ratio of the whole catalogue: 100 means the same
-- change as the catalogue, 50 means half of that. A show is not compared if less than a day of hours is loaded before
-- or after, or if nobody watched it before; reason says so, and hours and percent are null. A day on which fewer than
-- min_cell viewers watched the show counts as one without. For all shows, hours are sums, days are averages, and
-- *_percent is the sum in percent of what each show would have with the catalogue's ratio.
create view q_after_the_end as
with ranked as (
    select show_id, ended, row_number() over (partition by show_id order by valid_from desc) as place
    from show_history
    where status = 'Ended' and ended is not null
),
ending as (
    select show_id, ended from ranked where place = 1
),
day_of as (
    select
        e.show_id,
        l.day,
        l.hours,
        case
            when l.day < e.ended + interval 1 day then 'before'
            when l.day < e.ended + interval 29 day then 'after'
            when l.day >= e.ended + interval 64 day then 'later'
        end as part
    from ending e
    join loaded_day l on l.day >= e.ended - interval 28 day and l.day < e.ended + interval 92 day
),
watched as (
    select day, show_id, sum(watched_seconds) as seconds from fact_show_daypart group by day, show_id
),
catalogue as (
    select day, sum(watched_seconds) as seconds from fact_show_daypart group by day
),
summed as (
    select
        o.show_id,
        sum(case when o.part = 'before' then o.hours else 0 end) as loaded_before,
        sum(case when o.part = 'after' then o.hours else 0 end) as loaded_after,
        sum(case when o.part = 'later' then o.hours else 0 end) as loaded_later,
        sum(case when o.part = 'before' then coalesce(w.seconds, 0) end) as before_end,
        sum(case when o.part = 'after' then coalesce(w.seconds, 0) end) as after_end,
        sum(case when o.part = 'later' then coalesce(w.seconds, 0) end) as later,
        sum(case when o.part = 'before' then coalesce(c.seconds, 0) end) as all_before,
        sum(case when o.part = 'after' then coalesce(c.seconds, 0) end) as all_after,
        sum(case when o.part = 'later' then coalesce(c.seconds, 0) end) as all_later
    from day_of o
    left join watched w on w.day = o.day and w.show_id = o.show_id
    left join catalogue c on c.day = o.day
    group by o.show_id
),
-- Hours a day: 24 times the hours watched in an hour that is loaded.
rate as (
    select
        show_id,
        loaded_before,
        loaded_after,
        loaded_later,
        24 * before_end / 3600e0 / nullif(loaded_before, 0) as before_end,
        24 * after_end / 3600e0 / nullif(loaded_after, 0) as after_end,
        24 * later / 3600e0 / nullif(loaded_later, 0) as later,
        24 * all_before / 3600e0 / nullif(loaded_before, 0) as all_before,
        24 * all_after / 3600e0 / nullif(loaded_after, 0) as all_after,
        24 * all_later / 3600e0 / nullif(loaded_later, 0) as all_later
    from summed
),
judged as (
    select
        e.show_id,
        e.ended,
        coalesce(r.loaded_before, 0) / 24e0 as days_before,
        coalesce(r.loaded_after, 0) / 24e0 as days_after,
        coalesce(r.loaded_later, 0) / 24e0 as days_later,
        case
            when coalesce(r.loaded_before, 0) < 24 then 'less than a day of hours is loaded before the end'
            when r.loaded_after < 24 then 'less than a day of hours is loaded after the end'
            when r.before_end = 0 then 'nobody watched it before the end'
        end as reason,
        r.before_end,
        r.after_end,
        r.later,
        r.before_end * r.all_after / nullif(r.all_before, 0) as after_expected,
        r.before_end * r.all_later / nullif(r.all_before, 0) as later_expected
    from ending e
    left join rate r on r.show_id = e.show_id
),
kind as (
    select 1 as is_show
    union all
    select 0 as is_show
),
-- Each show, and all shows compared, in one pass: MariaDB computes an expression again for each place that names it.
grouped as (
    select
        case when k.is_show = 1 then j.show_id end as show_id,
        max(case when k.is_show = 1 then j.ended end) as ended,
        count(*) as shows,
        avg(j.days_before) as days_before,
        avg(j.days_after) as days_after,
        avg(j.days_later) as days_later,
        sum(case when j.reason is null then j.before_end end) as before_end,
        sum(case when j.reason is null then j.after_end end) as after_end,
        sum(case when j.reason is null then j.later end) as later,
        sum(case when j.reason is null then j.after_expected end) as after_expected,
        sum(case when j.reason is null then j.later_expected end) as later_expected,
        max(case when k.is_show = 1 then j.reason end) as reason
    from judged j
    cross join kind k
    where k.is_show = 1 or j.reason is null
    group by case when k.is_show = 1 then j.show_id end
),
listed as (
    select
        g.*,
        case when g.show_id is null then 'All shows compared' else s.label end as title,
        case
            when g.show_id is null then null
            when s.status = 'Ended' then 'Ended'
            else concat('Ended, then ', coalesce(s.status, 'unknown'))
        end as status
    from grouped g
    left join dim_show s on s.show_id = g.show_id
)
select
    p.period,
    l.title,
    l.ended,
    round(100 * l.after_end / nullif(l.after_expected, 0) + 1e-6, 1) as after_percent,
    round(l.days_before + 1e-6, 1) as days_before,
    round(l.days_after + 1e-6, 1) as days_after,
    round(l.before_end + 1e-6, 1) as before_hours_a_day,
    round(l.after_end + 1e-6, 1) as after_hours_a_day,
    l.reason,
    round(100 * l.later / nullif(l.later_expected, 0) + 1e-6, 1) as later_percent,
    round(l.days_later + 1e-6, 1) as days_later,
    round(l.later + 1e-6, 1) as later_hours_a_day,
    l.status,
    l.shows
from listed l
cross join viewed_period p
where p.period is not null;

-- Shows by their number of multilingual viewers. Grain: country x show, with '**' for worldwide, in the reported
-- period. Units: place 1 has the most multilingual viewers there, and a show without any has no place; share_percent is
-- of the show's reach, null if that is below 50; base_percent is of all active viewers there; multilingual_index is
-- share_percent in percent of base_percent: above 100 means more than average.
create view q_multilingual as
select
    s.period,
    s.country,
    s.country_name,
    s.title,
    case
        when s.multilingual_viewers > 0
            then rank() over (partition by s.country order by s.multilingual_viewers desc)
    end as place,
    s.reach,
    s.multilingual_viewers,
    round(100e0 * s.multilingual_viewers / s.share_reach + 1e-6, 1) as share_percent,
    round(100e0 * b.multilingual_viewers / nullif(b.active_viewers, 0) + 1e-6, 1) as base_percent,
    round(
        100e0
        * s.multilingual_viewers
        / s.share_reach
        / nullif(1e0 * b.multilingual_viewers / nullif(b.active_viewers, 0), 0)
        + 1e-6
    ) as multilingual_index
from reached_show s
join fact_audience_base b on b.period = s.period and b.country = s.country
where s.multilingual_viewers is not null;

-- Shows with a small but loyal audience: reach of at least 50, below the median of the catalogue (the shows with a
-- published reach of at least 1), and viewers who watch much of it and come back: loyalty, return_days (at least 2) and
-- the share of loyal viewers (at least one) are each in the upper quarter of the catalogue. While loyal viewers are
-- null, because the period is too short, they are not required. Null if no show's viewers came back yet, as on a single
-- day. Grain: show, worldwide, in the reported period. Units: loyalty_percent is the share of the played episodes'
-- runtime that the average viewer watched, loyal_viewers_percent is of reach; upper_* begin the upper quarter of the
-- column before.
create view q_small_but_loyal as
with measured as (
    select s.*, 1e0 * s.loyal_viewers / s.reach as loyal_share
    from reported_show s
    where s.reach > 0
),
ranked as (
    select
        m.*,
        row_number() over (order by reach) as reach_place,
        row_number() over (order by case when loyalty is null then 1 else 0 end, loyalty) as loyalty_place,
        row_number() over (order by case when return_days is null then 1 else 0 end, return_days) as return_place,
        row_number() over (order by case when loyal_share is null then 1 else 0 end, loyal_share) as loyal_place,
        count(*) over () as shows_in_all,
        count(loyalty) over () as shows_with_loyalty,
        count(return_days) over () as shows_with_return,
        count(loyal_share) over () as shows_with_loyal
    from measured m
),
bound as (
    select
        avg(case when 2 * reach_place between shows_in_all and shows_in_all + 2 then reach end) as median_reach,
        min(case when 4 * loyalty_place >= 3 * shows_with_loyalty then loyalty end) as upper_loyalty,
        min(case when 4 * return_place >= 3 * shows_with_return then return_days end) as upper_return_days,
        min(case when 4 * loyal_place >= 3 * shows_with_loyal then loyal_share end) as upper_loyal_share,
        max(return_days) as most_return_days
    from ranked
)
select
    s.period,
    s.title,
    case
        when b.most_return_days > 1
            then case
                when
                    s.reach < b.median_reach
                    and s.loyalty >= b.upper_loyalty
                    and s.return_days >= 2
                    and s.return_days >= b.upper_return_days
                    and (s.loyal_viewers is null or (s.loyal_share > 0 and s.loyal_share >= b.upper_loyal_share))
                    then 'yes'
                else 'no'
            end
    end as small_but_loyal,
    s.reach,
    round(b.median_reach + 1e-6, 1) as median_reach,
    round(100 * s.loyalty + 1e-6, 1) as loyalty_percent,
    round(100 * b.upper_loyalty + 1e-6, 1) as upper_quarter_percent,
    round(s.return_days + 1e-6, 1) as return_days,
    round(b.upper_return_days + 1e-6, 1) as upper_return_days,
    round(100 * s.loyal_share + 1e-6, 1) as loyal_viewers_percent,
    round(100 * b.upper_loyal_share + 1e-6, 1) as upper_loyal_percent
from measured s
cross join bound b
where s.reach >= 50;

-- Shows by their share of binge viewers, with a reach of at least 50. Grain: show, worldwide, in the reported period.
-- Units: binge_percent of reach had a sitting with at least binge_episodes (3) of the show, binge5_percent with at
-- least 5. A show without binge viewers has no place.
create view q_binge as
select
    period,
    title,
    case when binge_viewers > 0 then rank() over (order by 1e0 * binge_viewers / reach desc) end as place,
    reach,
    binge_viewers,
    round(100e0 * binge_viewers / reach + 1e-6, 1) as binge_percent,
    round(100e0 * binge5_viewers / reach + 1e-6, 1) as binge5_percent
from sizeable_show
where binge_viewers is not null;

-- Shows by the number of their viewers who watch only them. Grain: country x show, with '**' for worldwide, in the
-- reported period. Units: place 1 has the most sole viewers there, and a show without any has no place; *_viewers are
-- viewers, *_percent are of reach, null if that is below 50; valued_hours weights each viewer's hours by the show's
-- share of the viewer's viewing. Viewers first seen in the period have separate columns (new_*), because a new viewer
-- has often had time for only one show. Viewers of several shows are sole viewers of none of them: a set of shows loses
-- more viewers than the sum.
create view q_must_not_cancel as
select
    period,
    country,
    country_name,
    title,
    case when sole_viewers > 0 then rank() over (partition by country order by sole_viewers desc) end as place,
    reach,
    sole_viewers,
    round(100e0 * sole_viewers / share_reach + 1e-6, 1) as sole_percent,
    near_sole_viewers,
    round(100e0 * near_sole_viewers / share_reach + 1e-6, 1) as near_sole_percent,
    round(valued_seconds / 3600e0 + 1e-6, 1) as valued_hours,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    new_viewers,
    new_sole_viewers
from reached_show
where sole_viewers is not null;

-- The ten shows with the highest reach in each country, and their rank worldwide. Grain: country x show, in the
-- reported period. Units: place 1 has the highest reach, of equals the most hours, then the first in the alphabet;
-- places_lost is the number of places by which the show ranks lower worldwide; *_percent are of the active viewers
-- there; reach_index is country_percent in percent of world_percent. A show that reached fewer than 50 viewers in the
-- country keeps its place, but is not compared: places_lost, country_percent and reach_index are null.
create view q_big_in_one_country as
with here as (
    select
        a.period,
        a.country,
        a.country_name,
        a.show_id,
        a.reach,
        a.share_reach,
        1e0 * a.share_reach / nullif(b.active_viewers, 0) as share,
        rank() over (partition by a.country order by a.reach desc, a.watched_seconds desc, a.title asc) as place
    from reached_show a
    join fact_audience_base b on b.period = a.period and b.country = a.country
    where a.country <> '**'
),
world as (
    select
        s.show_id,
        s.title,
        1e0 * s.reach / nullif(b.active_viewers, 0) as share,
        rank() over (order by s.reach desc, s.watched_seconds desc, s.title asc) as place
    from reached_show s
    cross join reported_base b
    where s.country = '**'
)
select
    h.period,
    h.country,
    h.country_name,
    w.title,
    h.place as country_place,
    w.place as world_place,
    case
        when h.share_reach is null then null
        when w.place >= h.place then w.place - h.place
        else -(h.place - w.place)
    end as places_lost,
    h.reach,
    round(100 * h.share + 1e-6, 1) as country_percent,
    round(100 * w.share + 1e-6, 1) as world_percent,
    round(100 * h.share / nullif(w.share, 0) + 1e-6) as reach_index
from here h
join world w on w.show_id = h.show_id
where h.place <= 10;

-- Shows by hours watched, and one row for all shows, which has no place. Grain: show, worldwide, in the reported
-- period. Units: views are hours divided by the runtime of the show's episodes that were watched (null if a runtime is
-- unknown, and for all shows); reach is viewers. All shows include those in no captured schedule, and those withheld;
-- their reach is all active viewers.
create view q_top_shows as
select
    period,
    title,
    rank() over (order by watched_seconds desc) as place,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    round(views + 1e-6, 1) as views,
    reach
from reported_show
where watched_seconds > 0 or reach > 0
union all
select
    period,
    'All shows' as title,
    null as place,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    null as views,
    active_viewers as reach
from reported_base;

-- The catalogue: every show that was watched. Grain: show, worldwide, in the reported period. Units: place 1 has the
-- most hours; reach is viewers, and *_viewers are those of them; top_country is the country with the highest reach
-- (top_country_reach), top_country_name its name; the first in the alphabet of equals, and null if each has too few
-- viewers to show. status and premiered are the schedule's.
create view q_catalogue as
with here as (
    select
        a.show_id,
        a.country,
        a.reach,
        row_number() over (partition by a.show_id order by a.reach desc, a.country asc) as place
    from fact_audience a
    where a.country <> '**' and a.period = (select period from reported_period) and a.reach > 0
)
select
    s.period,
    s.title,
    rank() over (order by s.watched_seconds desc) as place,
    round(s.watched_seconds / 3600e0 + 1e-6, 1) as hours,
    s.reach,
    s.sole_viewers,
    s.near_sole_viewers,
    s.loyal_viewers,
    h.country as top_country,
    c.name as top_country_name,
    h.reach as top_country_reach,
    d.status,
    d.premiered
from reported_show s
join dim_show d on d.show_id = s.show_id
left join here h on h.show_id = s.show_id and h.place = 1
left join dim_country c on c.country = h.country
where s.watched_seconds > 0 or s.reach > 0;

-- Engagement by show, with a reach of at least 50, and one row for all shows, which has no place. Grain: show,
-- worldwide, in the reported period. Units: hours_a_viewer is hours divided by reach; reach_percent is of all active
-- viewers. All shows include those in no captured schedule; their reach is all active viewers.
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
cross join reported_base b
union all
select
    period,
    'All shows' as title,
    null as place,
    round(watched_seconds / 3600e0 / active_viewers + 1e-6, 1) as hours_a_viewer,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    active_viewers as reach,
    100e0 as reach_percent
from reported_base
where active_viewers > 0;

-- Engagement by genre, and one row for all genres, which has no place. Grain: genre, worldwide, in the reported period.
-- Units: hours counts a show in full for each of its genres, fractional_hours counts 1/n for each of n genres;
-- hours_a_viewer is hours divided by all active viewers; reach counts each viewer of a genre once, and viewers of
-- several genres in each of them; reach_percent is of all active viewers, who are the reach of all genres. Hours that
-- are withheld for a show are in those of its genre, but not in fractional_hours.
create view q_engagement_by_genre as
with watched as (
    select
        a.period,
        g.genre,
        sum(a.watched_seconds) as seconds,
        sum(1e0 * a.watched_seconds / g.genres) as fractional_seconds
    from fact_audience a
    join show_genre_part g on g.show_id = a.show_id
    where
        a.period = (select period from reported_period) and a.country = '**'
        and (a.watched_seconds > 0 or a.reach > 0)
    group by a.period, g.genre
),
counted as (
    select w.period, w.genre, w.fractional_seconds, g.reach, coalesce(g.watched_seconds, w.seconds) as seconds
    from watched w
    left join fact_audience_genre g on g.period = w.period and g.genre = w.genre and g.country = '**'
)
select
    c.period,
    c.genre,
    rank() over (order by c.seconds desc) as place,
    round(c.seconds / 3600e0 + 1e-6, 1) as hours,
    round(c.fractional_seconds / 3600e0 + 1e-6, 1) as fractional_hours,
    round(c.seconds / 3600e0 / nullif(b.active_viewers, 0) + 1e-6, 2) as hours_a_viewer,
    c.reach,
    round(100e0 * c.reach / nullif(b.active_viewers, 0) + 1e-6, 1) as reach_percent
from counted c
cross join reported_base b
union all
select
    period,
    'All genres' as genre,
    null as place,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    round(watched_seconds / 3600e0 + 1e-6, 1) as fractional_hours,
    round(watched_seconds / 3600e0 / nullif(active_viewers, 0) + 1e-6, 2) as hours_a_viewer,
    active_viewers as reach,
    case when active_viewers > 0 then 100e0 end as reach_percent
from reported_base;

-- Engagement by network, and one row for all networks, which has no place and no kind. Grain: network or streaming
-- channel (a show's network; its channel if it has none), worldwide, in the reported period. Units: shows is the number
-- of shows watched; hours are those of shows whose hours are not withheld; hours_a_viewer is hours divided by all
-- active viewers. There is no reach, because viewers of several shows are not additive.
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
        sum(a.watched_seconds) as seconds
    from fact_audience a
    join carried c on c.show_id = a.show_id
    where
        a.period = (select period from reported_period) and a.country = '**'
        and (a.watched_seconds > 0 or a.reach > 0)
    group by a.period, c.kind, c.network_id
),
in_all as (
    select count(*) as shows from reported_show where watched_seconds > 0 or reach > 0
)
select
    w.period,
    coalesce(n.name, 'Unknown') as network,
    w.kind,
    rank() over (order by w.seconds desc) as place,
    w.shows,
    round(w.seconds / 3600e0 + 1e-6, 1) as hours,
    round(w.seconds / 3600e0 / nullif(b.active_viewers, 0) + 1e-6, 2) as hours_a_viewer
from watched w
left join dim_network n on n.kind = w.kind and n.network_id = w.network_id
cross join reported_base b
union all
select
    b.period,
    'All networks' as network,
    null as kind,
    null as place,
    a.shows,
    round(b.watched_seconds / 3600e0 + 1e-6, 1) as hours,
    round(b.watched_seconds / 3600e0 / nullif(b.active_viewers, 0) + 1e-6, 2) as hours_a_viewer
from reported_base b
cross join in_all a;

-- Engagement by country, and one row for all countries ('**'), which has no place. Grain: country, in the reported
-- period, with a published number of active viewers of at least 1. Units: active_viewers are viewers, *_percent are of
-- them.
create view q_engagement_by_country as
select
    b.period,
    b.country,
    c.name as country_name,
    case
        when b.country <> '**'
            then rank() over (
                partition by case when b.country = '**' then 1 else 0 end
                order by 1e0 * b.watched_seconds / b.active_viewers desc
            )
    end as place,
    round(b.watched_seconds / 3600e0 / b.active_viewers + 1e-6, 2) as hours_a_viewer,
    round(b.watched_seconds / 3600e0 + 1e-6, 1) as hours,
    b.active_viewers,
    round(100e0 * b.multilingual_viewers / b.active_viewers + 1e-6, 1) as multilingual_percent,
    round(100e0 * b.new_viewers / b.active_viewers + 1e-6, 1) as new_percent
from fact_audience_base b
join dim_country c on c.country = b.country
where b.period = (select period from reported_period) and b.active_viewers > 0;

-- Weeks with an audience that end by the end of the reported period. Grain: week. complete says whether all hours of
-- the week are counted; number counts complete weeks from the last one, which is 1.
create view trend_week as
with found as (
    select
        r.period,
        w.period as week,
        w.starts_at,
        case when w.hours = w.hours_expected then 'yes' else 'no' end as complete
    from load_ledger r
    join load_ledger w on w.dataset = 'audience_base' and w.grain = 'week' and w.ends_at <= r.ends_at
    where r.dataset = 'audience_base' and r.period = (select period from reported_period)
)
select
    period,
    week,
    starts_at,
    complete,
    case when complete = 'yes' then row_number() over (partition by complete order by starts_at desc) end as number
from found;

-- Audience worldwide by week: of all shows, of genres and of shows in the schedule. Grain: week x kind x title;
-- complete and number are those of trend_week.
create view trend_figure as
select w.*, 'all' as kind, 'All shows' as title, b.watched_seconds, b.active_viewers as reach, null as sole_viewers
from trend_week w
join fact_audience_base b on b.period = w.week and b.country = '**'
union all
select w.*, 'genre' as kind, g.genre as title, g.watched_seconds, g.reach, g.sole_viewers
from trend_week w
join fact_audience_genre g on g.period = w.week and g.country = '**'
union all
select w.*, 'show' as kind, s.label as title, a.watched_seconds, a.reach, a.sole_viewers
from trend_week w
join fact_audience a on a.period = w.week and a.country = '**'
join dim_show s on s.show_id = a.show_id
where a.show_id <> 0;

-- Hours and viewers by week: of all shows, of each genre and of each show. Grain: week x kind x title, worldwide, up to
-- the end of the reported period; kind is all, genre or show. Units: reach is viewers, for all shows active viewers;
-- sole_viewers watched nothing else in the week, null for all shows. A week that is not complete is to date. A week
-- without viewing of a show or genre has no row.
create view q_trend_by_week as
select
    period,
    kind,
    title,
    week,
    complete,
    round(watched_seconds / 3600e0 + 1e-6, 1) as hours,
    reach,
    sole_viewers
from trend_figure;

-- Change of hours and reach: the last four complete weeks against the four before. Grain: kind x title, worldwide, of
-- all that was watched in these weeks; kind is all, genre or show. trend says which of the two went up or down, such as
-- hours up, reach down. It needs eight complete weeks in a row, from first_week to last_week, and 50 viewers a week in
-- one of the halves; without these weeks, all that was watched is listed as too few weeks. Units: *_before and *_now
-- are averages of a week, in which a week without viewing counts 0; *_change_percent is of the four weeks before;
-- *_noise_percent is the largest change that may be chance: three standard errors, or what rounding hides. Smaller
-- changes, and changes below 5 %, are steady. The variance of a week is half the mean square of the differences between
-- consecutive weeks of a half, and at least as large as if viewers came by chance (Poisson). A null reach has a week
-- with a withheld reach, which counts as 0 in trend, and null hours have a week with withheld hours.
create view q_trend as
with compared as (
    select
        min(week) as first_week,
        max(week) as last_week,
        case when count(*) = 8 and min(starts_at) = max(starts_at) - interval 49 day then 4e0 end as weeks,
        -- Two rounded figures that are equal may differ by so much, and two that differ by it may be equal.
        (select case when min_cell > 1 then min_cell else 0 end from kiosk) as rounding
    from trend_week
    where number <= 8
),
weekly as (
    select
        period,
        kind,
        title,
        sum(case when number = 8 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s1,
        sum(case when number = 7 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s2,
        sum(case when number = 6 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s3,
        sum(case when number = 5 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s4,
        sum(case when number = 4 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s5,
        sum(case when number = 3 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s6,
        sum(case when number = 2 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s7,
        sum(case when number = 1 then 1e0 * coalesce(watched_seconds, 0) else 0e0 end) as s8,
        sum(case when number = 8 then 1e0 * coalesce(reach, 0) else 0e0 end) as r1,
        sum(case when number = 7 then 1e0 * coalesce(reach, 0) else 0e0 end) as r2,
        sum(case when number = 6 then 1e0 * coalesce(reach, 0) else 0e0 end) as r3,
        sum(case when number = 5 then 1e0 * coalesce(reach, 0) else 0e0 end) as r4,
        sum(case when number = 4 then 1e0 * coalesce(reach, 0) else 0e0 end) as r5,
        sum(case when number = 3 then 1e0 * coalesce(reach, 0) else 0e0 end) as r6,
        sum(case when number = 2 then 1e0 * coalesce(reach, 0) else 0e0 end) as r7,
        sum(case when number = 1 then 1e0 * coalesce(reach, 0) else 0e0 end) as r8,
        sum(case when number > 4 and watched_seconds is null then 1 else 0 end) as seconds_withheld_before,
        sum(case when number <= 4 and watched_seconds is null then 1 else 0 end) as seconds_withheld,
        sum(case when number > 4 and reach is null then 1 else 0 end) as reach_withheld_before,
        sum(case when number <= 4 and reach is null then 1 else 0 end) as reach_withheld,
        sum(case when number > 4 then 1e0 * sole_viewers else 0e0 end) as sole_sum_before,
        sum(case when number <= 4 then 1e0 * sole_viewers else 0e0 end) as sole_sum,
        sum(case when number > 4 and sole_viewers is null then 1 else 0 end) as sole_withheld_before,
        sum(case when number <= 4 and sole_viewers is null then 1 else 0 end) as sole_withheld
    from trend_figure
    cross join compared
    where number <= 8 or weeks is null
    group by period, kind, title
),
averaged as (
    select
        w.*,
        c.first_week,
        c.last_week,
        c.rounding,
        (s1 + s2 + s3 + s4) / c.weeks as seconds_before,
        (s5 + s6 + s7 + s8) / c.weeks as seconds_now,
        (s2 - s1) * (s2 - s1) + (s3 - s2) * (s3 - s2) + (s4 - s3) * (s4 - s3)
        + (s6 - s5) * (s6 - s5) + (s7 - s6) * (s7 - s6) + (s8 - s7) * (s8 - s7) as seconds_drift,
        (r1 + r2 + r3 + r4) / c.weeks as reach_before,
        (r5 + r6 + r7 + r8) / c.weeks as reach_now,
        (r2 - r1) * (r2 - r1) + (r3 - r2) * (r3 - r2) + (r4 - r3) * (r4 - r3)
        + (r6 - r5) * (r6 - r5) + (r7 - r6) * (r7 - r6) + (r8 - r7) * (r8 - r7) as reach_drift,
        sole_sum_before / c.weeks as sole_before,
        sole_sum / c.weeks as sole_now
    from weekly w
    cross join compared c
),
-- 24 times the variance of the change: two means of four weeks, and the mean of six squares, halved.
by_chance as (
    select
        a.*,
        6 * coalesce(seconds_before * seconds_before / nullif(reach_before, 0), 0)
        + 6 * coalesce(seconds_now * seconds_now / nullif(reach_now, 0), 0) as seconds_chance,
        6 * (reach_before + reach_now) as reach_chance
    from averaged a
),
noisy as (
    select
        b.*,
        case when seconds_drift > seconds_chance then seconds_drift else seconds_chance end as seconds_variance,
        case when reach_drift > reach_chance then reach_drift else reach_chance end as reach_variance
    from by_chance b
),
directed as (
    select
        n.*,
        case
            when 24 * 3600e0 * 3600 * rounding * rounding > 9 * seconds_variance then 3600e0 * rounding
            else 3 * sqrt(seconds_variance / 24)
        end as seconds_noise,
        case
            when 24e0 * rounding * rounding > 9 * reach_variance then 1e0 * rounding
            else 3 * sqrt(reach_variance / 24)
        end as reach_noise,
        case
            when
                24 * (seconds_now - seconds_before) * (seconds_now - seconds_before) <= 9 * seconds_variance
                or abs(seconds_now - seconds_before) <= 3600 * rounding
                then 'steady'
            when 20 * seconds_now >= 21 * seconds_before then 'up'
            when 20 * seconds_now <= 19 * seconds_before then 'down'
            else 'steady'
        end as hours_trend,
        case
            when
                24 * (reach_now - reach_before) * (reach_now - reach_before) <= 9 * reach_variance
                or abs(reach_now - reach_before) <= rounding
                then 'steady'
            when 20 * reach_now >= 21 * reach_before then 'up'
            when 20 * reach_now <= 19 * reach_before then 'down'
            else 'steady'
        end as reach_trend
    from noisy n
)
select
    period,
    kind,
    title,
    case
        when reach_now is null then 'too few weeks'
        when reach_now < 50 and reach_before < 50 then 'too few viewers'
        else concat('hours ', hours_trend, ', reach ', reach_trend)
    end as trend,
    first_week,
    last_week,
    case when seconds_withheld_before = 0 then round(seconds_before / 3600e0 + 1e-6, 1) end as hours_before,
    case when seconds_withheld = 0 then round(seconds_now / 3600e0 + 1e-6, 1) end as hours_now,
    case
        when seconds_withheld_before + seconds_withheld = 0
            then round(100e0 * (seconds_now / nullif(seconds_before, 0) - 1) + 1e-6, 1)
    end as hours_change_percent,
    case
        when seconds_withheld_before + seconds_withheld = 0
            then round(100e0 * seconds_noise / nullif(seconds_before, 0) + 1e-6, 1)
    end as hours_noise_percent,
    case when reach_withheld_before = 0 then round(reach_before + 1e-6, 1) end as reach_before,
    case when reach_withheld = 0 then round(reach_now + 1e-6, 1) end as reach_now,
    case
        when reach_withheld_before + reach_withheld = 0
            then round(100e0 * (reach_now / nullif(reach_before, 0) - 1) + 1e-6, 1)
    end as reach_change_percent,
    case
        when reach_withheld_before + reach_withheld = 0
            then round(100e0 * reach_noise / nullif(reach_before, 0) + 1e-6, 1)
    end as reach_noise_percent,
    case when sole_withheld_before = 0 then round(sole_before + 1e-6, 1) end as sole_before,
    case when sole_withheld = 0 then round(sole_now + 1e-6, 1) end as sole_now
from directed;

-- Shows in the schedule that nobody, or next to nobody, watched in the reported period, worldwide. Grain: show with an
-- episode that had aired by the end of the period. viewing is none for a show without a second of play, and next to
-- none for one whose reach is withheld, rounds to 0, or is below one in 10,000 active viewers. Units: hours are null
-- where they are withheld; last_watched is the last day (UTC) with play of the show up to the end of the period, null
-- if there is none since loaded_from, the first day with an audience in the mart; episodes are those captured that had
-- aired, newest_episode is the day of the last of them.
create view q_nobody_watches as
with reported as (
    select b.period, l.ends_at, b.active_viewers
    from reported_base b
    join load_ledger l on l.dataset = 'audience_base' and l.period = b.period
),
audience_day as (
    select d.period, cast(d.starts_at as date) as watched_on
    from reported r
    join load_ledger d on d.dataset = 'audience_base' and d.grain = 'day' and d.ends_at <= r.ends_at
),
first_day as (
    select min(watched_on) as loaded_from from audience_day
),
aired as (
    select r.period, r.active_viewers, e.show_id, count(*) as episodes, max(e.airdate) as newest_episode
    from reported r
    join dim_episode e
        on e.show_id <> 0 and e.episode_id > 0 and (e.airdate is null or e.airdate < cast(r.ends_at as date))
    group by r.period, r.active_viewers, e.show_id
),
unwatched as (
    select
        d.*,
        case when a.show_id is null then 0 else a.watched_seconds end as watched_seconds,
        case when a.show_id is null then 0 else a.reach end as reach
    from aired d
    left join fact_audience a on a.period = d.period and a.show_id = d.show_id and a.country = '**'
    where coalesce(a.reach, 0) = 0 or 1e4 * a.reach < d.active_viewers
),
last_play as (
    -- With a left join, every database looks the days of these few shows up by key.
    -- Seconds that are withheld are not 0.
    select
        u.show_id,
        max(case when a.show_id is not null and coalesce(a.watched_seconds, 1) > 0 then d.watched_on end)
            as last_watched
    from unwatched u
    cross join audience_day d
    left join fact_audience a on a.period = d.period and a.show_id = u.show_id and a.country = '**'
    group by u.show_id
)
select
    u.period,
    s.label as title,
    case when u.watched_seconds = 0 then 'none' else 'next to none' end as viewing,
    l.last_watched,
    f.loaded_from,
    round(u.watched_seconds / 3600e0 + 1e-6, 1) as hours,
    u.reach,
    u.episodes,
    u.newest_episode,
    coalesce(case when s.network_id is not null then n.name else c.name end, 'Unknown') as network,
    s.status
from unwatched u
join dim_show s on s.show_id = u.show_id
left join dim_network n on n.kind = 'network' and n.network_id = s.network_id
left join dim_network c on c.kind = 'web' and c.network_id = s.web_channel_id
left join last_play l on l.show_id = u.show_id
cross join first_day f;

-- Viewers of shows that ended: who was seen again within 28 days, against viewers alike. Grain: show x kind of viewers,
-- and one row for all shows of each kind, whose ended is null; of weeks up to the end of the reported period. kind:
-- sole (watched nothing else in the 28 days up to the end), near_sole or other. Units: viewers are all of the kind;
-- seen_again_percent and expected_percent are of compared, the viewers for whom there are viewers alike (same country,
-- hours within a factor of two, same number of shows) who did not play the show; difference_points is the first less
-- the second; a difference up to noise_points (three standard errors, those of rounding included) may be chance.
-- verdict is too few to tell below 50 compared viewers. For all shows, a viewer of several counts for each of them;
-- days_before is null.
create view q_lost_viewers as
with counted as (
    select
        r.period,
        d.show_id,
        d.kind,
        d.ended,
        d.days_before,
        d.viewers,
        d.compared,
        d.compared_seen,
        d.expected_seen,
        -- The errors of two roundings have a variance of a twelfth of the squared step each.
        d.expected_variance + case when k.min_cell > 1 then k.min_cell * k.min_cell / 6e0 else 0e0 end
            as expected_variance
    from load_ledger r
    join load_ledger w on w.dataset = 'audience_base' and w.grain = 'week' and w.ends_at <= r.ends_at
    join fact_departure d on d.period = w.period
    cross join kiosk k
    where r.dataset = 'audience_base' and r.period = (select period from reported_period)
),
listed as (
    select
        c.period,
        s.label as title,
        c.kind,
        c.ended,
        c.days_before,
        c.viewers,
        c.compared,
        1e0 * c.compared_seen as seen,
        c.expected_seen,
        c.expected_variance
    from counted c
    join dim_show s on s.show_id = c.show_id
    union all
    select
        period,
        'All shows' as title,
        kind,
        null as ended,
        null as days_before,
        sum(viewers) as viewers,
        sum(compared) as compared,
        sum(1e0 * compared_seen) as seen,
        sum(expected_seen) as expected_seen,
        sum(expected_variance) as expected_variance
    from counted
    group by period, kind
),
noisy as (
    select
        l.*,
        3 * sqrt(
            compared * ((expected_seen + 1) / (compared + 2)) * (1 - (expected_seen + 1) / (compared + 2))
            + expected_variance
        ) as noise
    from listed l
)
select
    period,
    title,
    kind,
    case
        when compared is null or compared < 50 then 'too few to tell'
        when expected_seen - seen > noise then 'more of them left'
        when seen - expected_seen > noise then 'more of them stayed'
        else 'as viewers alike'
    end as verdict,
    viewers,
    compared,
    round(100 * seen / nullif(compared, 0) + 1e-6, 1) as seen_again_percent,
    round(100 * expected_seen / nullif(compared, 0) + 1e-6, 1) as expected_percent,
    round(100 * (seen - expected_seen) / nullif(compared, 0) + 1e-6, 1) as difference_points,
    round(100 * noise / nullif(compared, 0) + 1e-6, 1) as noise_points,
    ended,
    days_before
from noisy;

-- The period of figures of sets of shows: the reported period or, for a day, the shortest longer one that contains it.
-- At most one row.
create view reported_set_period as
with ranked as (
    select
        s.period,
        row_number() over (order by case s.grain when 'week' then 1 when 'month' then 2 else 3 end) as place
    from load_ledger a
    join load_ledger s
        on s.dataset = 'show_order' and s.rows_loaded > 0 and s.starts_at <= a.starts_at and s.ends_at >= a.ends_at
    where a.dataset = 'audience_base' and a.period = (select period from reported_period)
)
select period from ranked where place = 1;

-- The order in which to remove shows at the least cost. Grain: step, worldwide, in the period of sets. Units:
-- left_with_nothing are viewers who watched nothing else, of those with reach_seconds of everything; left_percent is of
-- active viewers, hours_percent of all hours; left_by_* are left with nothing after as many steps in another order: the
-- fewest hours, the least reach, the fewest sole viewers first.
create view q_removal_order as
select
    o.period,
    o.step,
    s.label as title,
    o.viewers as left_with_nothing,
    round(100e0 * o.viewers / nullif(b.active_viewers, 0) + 1e-6, 1) as left_percent,
    round(100e0 * o.watched_seconds / nullif(b.watched_seconds, 0) + 1e-6, 1) as hours_percent,
    h.viewers as left_by_hours,
    r.viewers as left_by_reach,
    f.viewers as left_by_sole
from fact_show_order o
join dim_show s on s.show_id = o.show_id
left join fact_show_order h on h.period = o.period and h.strategy = 'remove_by_hours' and h.step = o.step
left join fact_show_order r on r.period = o.period and r.strategy = 'remove_by_reach' and r.step = o.step
left join fact_show_order f on f.period = o.period and f.strategy = 'remove_by_sole' and f.step = o.step
join fact_audience_base b on b.period = o.period and b.country = '**'
where o.period = (select period from reported_set_period) and o.strategy = 'remove';

-- The order in which to keep shows for the most people reached (TURF: total unduplicated reach and frequency). Grain:
-- step, worldwide, in the period of sets. Units: reached are viewers reached by one of the shows so far, each counted
-- once; reached_percent is of active viewers, hours_percent of all hours; reached_by_* are reached after as many steps
-- in another order: the most hours, the most reach first.
create view q_keep_order as
select
    o.period,
    o.step,
    s.label as title,
    o.viewers as reached,
    round(100e0 * o.viewers / nullif(b.active_viewers, 0) + 1e-6, 1) as reached_percent,
    round(100e0 * o.watched_seconds / nullif(b.watched_seconds, 0) + 1e-6, 1) as hours_percent,
    h.viewers as reached_by_hours,
    r.viewers as reached_by_reach
from fact_show_order o
join dim_show s on s.show_id = o.show_id
left join fact_show_order h on h.period = o.period and h.strategy = 'keep_by_hours' and h.step = o.step
left join fact_show_order r on r.period = o.period and r.strategy = 'keep_by_reach' and r.step = o.step
join fact_audience_base b on b.period = o.period and b.country = '**'
where o.period = (select period from reported_set_period) and o.strategy = 'keep';

-- What else the viewers of a show watch. Grain: show x other show, of the 300 shows of most reach, worldwide, in the
-- period of sets; pairs of withheld or no viewers are left out. Units: share_percent is the share of the show's viewers
-- whom other_title reached, too, and place ranks it; affinity_index is that share in percent of the other show's share
-- of all active viewers; only_of_genre_percent is the share of the show's viewers who watched no other show of any of
-- its genres.
create view q_overlap as
select
    o.period,
    s.label as title,
    t.label as other_title,
    rank() over (partition by o.show_id order by o.viewers desc) as place,
    round(100e0 * o.viewers / own.viewers + 1e-6, 1) as share_percent,
    round(100e0 * o.viewers * b.active_viewers / own.viewers / other.viewers + 1e-6, 0) as affinity_index,
    o.viewers,
    own.viewers as reach,
    round(100e0 * own.only_of_genre_viewers / own.viewers + 1e-6, 1) as only_of_genre_percent
from fact_overlap o
join fact_overlap own
    on own.period = o.period and own.show_id = o.show_id and own.other_show_id = o.show_id and own.viewers > 0
join fact_overlap other
    on
        other.period = o.period and other.show_id = o.other_show_id
        and other.other_show_id = o.other_show_id and other.viewers > 0
join dim_show s on s.show_id = o.show_id
join dim_show t on t.show_id = o.other_show_id
join fact_audience_base b on b.period = o.period and b.country = '**'
where o.period = (select period from reported_set_period) and o.show_id <> o.other_show_id and o.viewers > 0;

-- Steps of the seasons in the reported period, with those before them. Grain: show x season x step. kept is null from
-- the first step on whose viewers at risk stand for fewer than 50 viewers of the first episode, at_risk / kept_before:
-- below that, shares of viewers mean little. A rounded at_risk counts as the fewest viewers that are rounded to it.
-- episode_before and kept_before are those of the step before; lost is rounded, because equal losses differ in their
-- last bits.
create view season_drop as
with paired as (
    select
        s.*,
        lag(s.episode) over (partition by s.show_id, s.season order by s.step) as episode_before,
        lag(s.kept) over (partition by s.show_id, s.season order by s.step) as kept_before
    from fact_season_step s
    where s.period = (select period from reported_period)
),
judged as (
    select
        p.*,
        min(case when p.step = 1 or p.at_risk - floor(k.min_cell / 2) >= 50 * p.kept_before then 1 else 0 end) over (
            partition by p.show_id, p.season order by p.step
        ) as is_known
    from paired p
    cross join kiosk k
)
select
    period,
    show_id,
    season,
    step,
    episode,
    aired,
    viewers,
    at_risk,
    reached,
    waiting,
    episode_before,
    case when is_known = 1 then kept end as kept,
    case when is_known = 1 then round(kept_before - kept, 9) end as lost
from judged;

-- Where the viewers of a season stop. Grain: show x season, worldwide, in the reported period. Units: starters (watched
-- the first captured episode) and mid_season (are between its episodes now) are viewers; *_percent are of the viewers
-- of the first episode, those whose window of window_days is not over left aside: who reach the second and the third
-- episode, last_percent reach last_episode, the last that enough viewers had the time to reach (see season_drop);
-- stop_percent stop after the episode stop_after, the most of all episodes. hooked_episode is the first of whose
-- viewers at least 70 % reach the last aired one. Ranked by stop_percent.
create view q_where_they_stop as
with ranked as (
    select
        d.*,
        row_number() over (partition by d.show_id, d.season order by d.lost desc, d.step asc) as drop_place
    from season_drop d
    where d.lost is not null
),
summary as (
    select
        show_id,
        season,
        max(step) as last_step,
        max(episode) as last_episode,
        min(kept) as last_kept,
        max(case when step = 2 then kept end) as second_kept,
        max(case when step = 3 then kept end) as third_kept,
        max(case when drop_place = 1 and lost > 0 then episode_before end) as stop_after,
        max(case when drop_place = 1 then lost end) as most_lost
    from ranked
    group by show_id, season
),
hooked as (
    select r.show_id, r.season, min(r.episode) as episode
    from season_drop r
    join summary s on s.show_id = r.show_id and s.season = r.season
    where r.step < s.last_step and s.last_kept > 0 and s.last_kept >= 7e-1 * r.kept
    group by r.show_id, r.season
)
select
    a.period,
    d.label as title,
    a.season,
    a.release_kind,
    case
        when s.most_lost is not null
            then rank() over (order by case when s.most_lost is null then 1 else 0 end, s.most_lost desc)
    end as place,
    a.starters,
    s.stop_after,
    round(100 * s.most_lost + 1e-6, 1) as stop_percent,
    round(100 * s.second_kept + 1e-6, 1) as second_percent,
    round(100 * s.third_kept + 1e-6, 1) as third_percent,
    s.last_episode,
    round(100 * s.last_kept + 1e-6, 1) as last_percent,
    a.episodes,
    case when s.last_step = a.episodes then h.episode end as hooked_episode,
    a.mid_season,
    a.window_days
from fact_season_audience a
join dim_show d on d.show_id = a.show_id
left join summary s on s.show_id = a.show_id and s.season = a.season
left join hooked h on h.show_id = a.show_id and h.season = a.season
where a.period = (select period from reported_period) and (a.starters > 0 or a.mid_season > 0);

-- The episodes of a season, and how many viewers go on to each. Grain: show x season x episode, worldwide, in the
-- reported period. Units: starters watched the first captured episode, viewers this one; at_risk arrived at the episode
-- before, and their window of window_days is over, reached are those of them who went on to this one, waiting those
-- whose window is not over; step_percent is reached of at_risk, if they are at least 50; kept_percent is the product of
-- the steps so far, of the viewers of the first episode; lost_percent stop before this episode, of the same.
create view q_season_steps as
select
    r.period,
    d.label as title,
    r.season,
    a.release_kind,
    a.starters,
    r.episode,
    r.aired,
    r.viewers,
    r.at_risk,
    r.reached,
    r.waiting,
    case when r.at_risk >= 50 then round(100e0 * r.reached / r.at_risk + 1e-6, 1) end as step_percent,
    round(100 * r.kept + 1e-6, 1) as kept_percent,
    round(100 * r.lost + 1e-6, 1) as lost_percent,
    a.window_days
from season_drop r
join fact_season_audience a on a.period = r.period and a.show_id = r.show_id and a.season = r.season
join dim_show d on d.show_id = r.show_id;

-- Launches up to the end of the reported period, worldwide. Grain: show x age of 1, 3, 7, 28 or 91 days, as far as the
-- audience of that day is loaded. A show without a row of that day had no viewer yet. is_recent is 1 if the show
-- premiered in the 91 days up to the end of the period.
create view launch_age as
with launched as (
    select
        r.period,
        f.show_id,
        f.premiered,
        max(f.age) as last_age,
        max(case when f.premiered >= r.ends_at - interval 91 day then 1 else 0 end) as is_recent
    from load_ledger r
    join load_ledger d on d.dataset = 'audience_base' and d.grain = 'day' and d.ends_at <= r.ends_at
    join fact_launch f on f.period = d.period
    where r.dataset = 'audience_base' and r.period = (select period from reported_period)
    group by r.period, f.show_id, f.premiered
),
aged as (
    select l.*, 1 as age, d.period as loaded_day
    from launched l
    join load_ledger d
        on d.dataset = 'audience_base' and d.grain = 'day' and d.starts_at = l.premiered + interval 0 day
    union all
    select l.*, 3 as age, d.period as loaded_day
    from launched l
    join load_ledger d
        on d.dataset = 'audience_base' and d.grain = 'day' and d.starts_at = l.premiered + interval 2 day
    union all
    select l.*, 7 as age, d.period as loaded_day
    from launched l
    join load_ledger d
        on d.dataset = 'audience_base' and d.grain = 'day' and d.starts_at = l.premiered + interval 6 day
    union all
    select l.*, 28 as age, d.period as loaded_day
    from launched l
    join load_ledger d
        on d.dataset = 'audience_base' and d.grain = 'day' and d.starts_at = l.premiered + interval 27 day
    union all
    select l.*, 91 as age, d.period as loaded_day
    from launched l
    join load_ledger d
        on d.dataset = 'audience_base' and d.grain = 'day' and d.starts_at = l.premiered + interval 90 day
)
select
    a.period,
    a.show_id,
    a.premiered,
    a.age,
    a.is_recent,
    case when f.show_id is null then 0 else f.reach end as reach,
    case when f.show_id is null then 0 else f.watched_seconds end as watched_seconds
from aged a
left join fact_launch f on f.period = a.loaded_day and f.show_id = a.show_id
where a.age <= a.last_age;

-- How shows started that premiered in the 91 days up to the end of the reported period. Grain: show x age of 1, 3, 7,
-- 28 or 91 days (1: the day of the premiere), worldwide. Units: reach is viewers, hours are hours of play, both since
-- the premiere; median_* are those of all loaded launches at the same age, of the genre compared_with: of the show's
-- genres that with the fewest launches, of at least 5, otherwise all launches; launches is their number; *_index is in
-- percent of the median. There is no median of fewer than 5 launches. A withheld reach, or withheld hours, rank above 0
-- and below the others, and a median among them is null.
create view q_launch as
with placed as (
    select a.*, g.genre
    from launch_age a
    join dim_show_genre g on g.show_id = a.show_id
    union all
    select a.*, 'All launches' as genre
    from launch_age a
),
ranked as (
    select
        genre,
        age,
        reach,
        watched_seconds,
        row_number() over (
            partition by genre, age order by case when reach = 0 then 0 when reach is null then 1 else 2 end, reach
        ) as reach_place,
        row_number() over (
            partition by genre, age
            order by
                case when watched_seconds = 0 then 0 when watched_seconds is null then 1 else 2 end, watched_seconds
        ) as seconds_place,
        count(*) over (partition by genre, age) as launches
    from placed
),
middle as (
    select
        genre,
        age,
        launches,
        sum(case when reach is null and 2 * reach_place between launches and launches + 2 then 1 else 0 end)
            as withheld,
        sum(
            case when watched_seconds is null and 2 * seconds_place between launches and launches + 2 then 1 else 0 end
        ) as withheld_seconds,
        avg(case when 2 * reach_place between launches and launches + 2 then 1e0 * reach end) as median_reach,
        avg(case when 2 * seconds_place between launches and launches + 2 then 1e0 * watched_seconds end)
            as median_seconds
    from ranked
    group by genre, age, launches
),
compared as (
    select
        p.*,
        m.launches,
        case when m.launches >= 5 and m.withheld = 0 then m.median_reach end as median_reach,
        case when m.launches >= 5 and m.withheld_seconds = 0 then m.median_seconds end as median_seconds,
        row_number() over (
            partition by p.show_id, p.age
            order by case when p.genre = 'All launches' then 1 else 0 end, m.launches, p.genre
        ) as choice
    from placed p
    join middle m on m.genre = p.genre and m.age = p.age
    where p.is_recent = 1 and (m.launches >= 5 or p.genre = 'All launches')
)
select
    c.period,
    s.label as title,
    c.premiered,
    c.age,
    c.reach,
    round(c.watched_seconds / 3600e0 + 1e-6, 1) as hours,
    c.genre as compared_with,
    c.launches,
    round(c.median_reach + 1e-6, 1) as median_reach,
    round(100e0 * c.reach / nullif(c.median_reach, 0) + 1e-6) as reach_index,
    round(c.median_seconds / 3600e0 + 1e-6, 1) as median_hours,
    round(100e0 * c.watched_seconds / nullif(c.median_seconds, 0) + 1e-6) as hours_index
from compared c
join dim_show s on s.show_id = c.show_id
where c.choice = 1;
