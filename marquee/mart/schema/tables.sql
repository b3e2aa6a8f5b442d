-- sqlfluff:dialect:mysql
-- The mart: dimensions, facts, and the ledger of loaded periods. All times are UTC.
--
-- The comment above a table and the comment after each column become comments in the database. "-> t" marks a key of
-- table t. Types and clauses are common to DuckDB and MySQL; marquee/mart/mysql/schema.py adds those of MySQL (engine,
-- collation, foreign keys). marquee/lake/datasets.py defines the columns that come from the lake.

-- Version of this schema; one row.
create table schema_version (
    version integer not null, -- incremented with every change of tables or views
    primary key (version)
);

-- The period of this mart; one row.
create table kiosk (
    period varchar(32) not null, -- its period, first/last of a span, or '' for all periods
    primary key (period)
);

-- The loaded periods: one row for each dataset of the lake and each period. Written in the transaction that writes the
-- rows.
create table load_ledger (
    dataset varchar(32) not null, -- name of the dataset in the lake
    period varchar(32) not null, -- the period: 2026-01-05T13, 2026-01-05, 2026-W02, 2026-01 or 2026-Q1
    grain varchar(8) not null, -- hour, day, week, month or quarter
    starts_at datetime not null, -- start of the period
    ends_at datetime not null, -- end of the period, exclusive
    generation bigint not null, -- number of times that the lake has published the period
    run_id varchar(64) not null, -- run in the lake that the rows come from
    digest char(64) not null, -- SHA-256 of the content of the run's rows
    rows_loaded bigint not null, -- rows of the dataset, from its manifest
    loaded_at datetime(6) not null, -- time of the load
    primary key (dataset, period)
);

-- Countries: those in captured schedules, and those of plays.
create table dim_country (
    country char(2) not null, -- ISO 3166-1 alpha-2 code, or '**' for worldwide
    name varchar(1000), -- English name; null if no captured schedule names the country
    timezone varchar(100), -- one time zone, often not the main one: never derive a viewer's time from it
    primary key (country)
);

-- Original languages of shows.
create table dim_language (
    language varchar(100) not null, -- English name of the language
    primary key (language)
);

-- Broadcasters and streaming channels, as last captured.
create table dim_network (
    kind varchar(8) not null, -- 'network' (broadcaster) or 'web' (streaming channel), which have separate ids
    network_id bigint not null, -- the schedule service's id
    name varchar(1000), -- name
    country char(2), -- -> dim_country; null for a global channel
    official_site varchar(2000), -- URL
    primary key (kind, network_id)
);

-- Genres of shows.
create table dim_genre (
    genre varchar(100) not null, -- name
    primary key (genre)
);

-- Shows, as last captured; show 0 represents episodes in no captured schedule. Data: TVmaze, CC BY-SA 4.0.
create table dim_show (
    show_id bigint not null, -- the schedule service's id; 0: not in any captured schedule
    label varchar(1100) not null, -- unique name: with the id if several shows have the same name, or if it has none
    name varchar(1000), -- name; not unique
    type varchar(100), -- Scripted, Reality, News, ...
    language varchar(100), -- -> dim_language: original language
    status varchar(100), -- Running, Ended, To Be Determined or In Development; the service may revert it
    runtime_minutes bigint, -- planned runtime of an episode
    average_runtime_minutes bigint, -- average runtime of the episodes so far
    premiered date, -- day of the first episode
    ended date, -- day of the last episode, for a show that has ended
    network_id bigint, -- -> dim_network with kind 'network'
    web_channel_id bigint, -- -> dim_network with kind 'web'
    dvd_country char(2), -- -> dim_country: country of its DVD release
    schedule_time varchar(100), -- local time of broadcast, HH:MM
    schedule_days varchar(200), -- days of broadcast, comma-separated
    rating double, -- average rating, 0 to 10
    weight bigint, -- popularity at the schedule service, 0 to 100
    imdb varchar(100), -- IMDb id
    url varchar(2000), -- page of the show at the schedule service, for the credit
    updated datetime(6), -- last change of the show, or of anything in it, at the schedule service
    primary key (show_id)
);
insert into dim_show (show_id, label) values (0, 'not in any captured schedule');

-- Genres of each show, as last captured; a show may have none.
create table dim_show_genre (
    show_id bigint not null, -- -> dim_show
    genre varchar(100) not null, -- -> dim_genre
    primary key (show_id, genre)
);

-- Versions of each show, as captured: one row for each change of the columns below. Changes of rating, weight and
-- average runtime are not recorded.
create table show_history (
    show_id bigint not null, -- -> dim_show
    valid_from datetime(6) not null, -- last change at the service before this version was first captured
    valid_to datetime(6), -- valid_from of the next version; null for the last
    name varchar(1000), -- as dim_show
    type varchar(100), -- as dim_show
    language varchar(100), -- as dim_show
    status varchar(100), -- as dim_show
    runtime_minutes bigint, -- as dim_show
    premiered date, -- as dim_show
    ended date, -- as dim_show
    network_id bigint, -- as dim_show
    web_channel_id bigint, -- as dim_show
    dvd_country char(2), -- as dim_show
    schedule_time varchar(100), -- as dim_show
    schedule_days varchar(200), -- as dim_show
    genres varchar(1000), -- its genres in alphabetical order, comma-separated
    primary key (show_id, valid_from)
);

-- Episodes, as last captured, and episodes that were watched but are in no captured schedule (show 0). Data: TVmaze, CC
-- BY-SA 4.0.
create table dim_episode (
    episode_id bigint not null, -- the schedule service's id
    show_id bigint not null, -- -> dim_show; 0: not in any captured schedule
    name varchar(1000), -- title
    season bigint, -- season; may be a year
    number bigint, -- number in the season; null for specials
    type varchar(100), -- regular, significant_special or insignificant_special
    airdate date, -- programming day of the broadcaster
    airtime varchar(100), -- local time of broadcast, HH:MM
    airstamp datetime(6), -- time of airing; an estimate of the service if airtime is null
    runtime_minutes bigint, -- runtime
    rating double, -- average rating, 0 to 10
    url varchar(2000), -- page of the episode at the schedule service, for the credit
    primary key (episode_id)
);

-- Dayparts: the hours of the viewer's local day that each of them covers.
create table dim_daypart (
    local_hour tinyint not null, -- hour of the day in the viewer's local time, 0 to 23
    daypart varchar(8) not null, -- morning 6-12, daytime 12-18, evening 18-23, night 23-6
    primary key (local_hour)
);
insert into dim_daypart values
(0, 'night'), (1, 'night'), (2, 'night'), (3, 'night'), (4, 'night'), (5, 'night'),
(6, 'morning'), (7, 'morning'), (8, 'morning'), (9, 'morning'), (10, 'morning'), (11, 'morning'),
(12, 'daytime'), (13, 'daytime'), (14, 'daytime'), (15, 'daytime'), (16, 'daytime'), (17, 'daytime'),
(18, 'evening'), (19, 'evening'), (20, 'evening'), (21, 'evening'), (22, 'evening'),
(23, 'night');

-- Viewership: hour x episode x country x viewer-local hour x device (the key). Additive over all of them.
create table fact_viewership (
    hour datetime not null, -- start of the hour in which the play events were received
    episode_id bigint not null, -- -> dim_episode
    country char(2) not null, -- -> dim_country: country of the play
    local_hour tinyint not null, -- -> dim_daypart: hour of the day in the viewer's local time, 0 to 23
    device varchar(32) not null, -- kind of device, as reported by the player
    plays integer not null, -- play events without duplicates (one is about a minute of play)
    watched_seconds integer not null -- seconds of play
    -- Without a primary key: with an index of all rows, DuckDB takes five times as long to load, into a file 37 times
    -- as large. MySQL stores rows by primary key, so there the key is a primary key.
);

-- Audience of shows: period x show x country. Viewers are not additive: never sum them over periods, shows or
-- countries.
create table fact_audience (
    period varchar(32) not null, -- -> load_ledger: a day, week, month or quarter
    show_id bigint not null, -- -> dim_show; 0: not in any captured schedule
    country char(2) not null, -- -> dim_country: country of the play, or '**' for worldwide
    reach bigint, -- viewers with at least reach_seconds of the show here; null below min_cell
    watched_seconds bigint not null, -- seconds of play
    runtime_seconds bigint, -- sum of the runtimes of the show's episodes played here; null if one is unknown
    views double, -- watched_seconds / runtime_seconds; null if a runtime is unknown
    average_seconds double, -- watched_seconds / reach
    loyalty double, -- average_seconds / runtime_seconds, at most 1
    return_days double, -- average number of days on which a viewer in reach watched it
    loyal_viewers bigint, -- viewers in reach who watched it in loyal_share of the period's weeks or more (a week: days)
    binge_viewers bigint, -- viewers in reach with a sitting of at least binge_episodes (3), each to binge_completion
    binge5_viewers bigint, -- the same with at least 5 episodes
    sole_viewers bigint, -- viewers in reach who watched only this show in the period, anywhere
    near_sole_viewers bigint, -- viewers in reach who spent at least near_sole_share of their seconds on this show
    new_viewers bigint, -- viewers in reach who were first seen in the period
    new_sole_viewers bigint, -- new_viewers who watched only this show
    multilingual_viewers bigint, -- viewers in reach who are multilingual in the period
    valued_seconds double, -- sum over viewers of seconds here x seconds of the show / seconds of everything
    primary key (period, show_id, country)
);

-- All viewers: period x country. Viewers are not additive: never sum them over periods or countries.
create table fact_audience_base (
    period varchar(32) not null, -- -> load_ledger: a day, week, month or quarter
    country char(2) not null, -- -> dim_country: country of the plays, or '**' for worldwide
    active_viewers bigint, -- viewers with at least reach_seconds of all shows here; null below min_cell
    watched_seconds bigint not null, -- seconds of play
    multilingual_viewers bigint, -- active viewers with multilingual_share and multilingual_seconds in two languages
    new_viewers bigint, -- active viewers first seen in the period
    primary key (period, country)
);
