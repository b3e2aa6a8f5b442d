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

-- The period of this mart, and how it keeps small audiences apart from its readers; one row.
create table kiosk (
    period varchar(32) not null, -- its period, first/last of a span, or '' for all periods
    detail varchar(8) not null, -- grain of its viewership: day, or hour as well if only trusted people read it
    min_cell integer not null, -- least viewers of a row of fact_viewership; 1: rows are as the lake has them
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
    rows_loaded bigint not null, -- rows of the dataset, from its manifest; 0 for hours in a mart of whole days
    loaded_at datetime(6) not null, -- time of the load
    hours integer, -- hours that the audience is counted from; null for other datasets
    hours_expected integer, -- hours of the audience's period, more than hours while it is to date; null as hours
    definition_version varchar(32), -- version of the stage's definitions by which the run was made
    erased_later varchar(32), -- viewers in the rows who were erased from the lake after publication; null for none
    rows_generation bigint, -- generation of the first run with these rows; of viewership, otherwise null
    rows_run_id varchar(64), -- that run
    primary key (dataset, period)
);

-- Countries: those of ISO 3166-1 and of captured schedules, and other codes of plays.
create table dim_country (
    country char(2) not null, -- ISO 3166-1 alpha-2 code, or '**' for worldwide, or '..' for several countries
    name varchar(1000), -- English name, as last captured, otherwise of ISO 3166-1; null for a code in neither
    timezone varchar(100), -- one time zone, often not the main one: never derive a viewer's time from it
    primary key (country)
);
insert into dim_country (country, name) values ('..', 'other countries');

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

-- Shows, as last captured; show 0 represents episodes in no captured schedule, show -1 the cells of viewership that
-- have several shows. Data: TVmaze, CC BY-SA 4.0.
create table dim_show (
    show_id bigint not null, -- the schedule service's id; 0: not in any captured schedule; -1: several shows
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
insert into dim_show (show_id, label) values (0, 'not in any captured schedule'), (-1, 'other shows');

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

-- Episodes, as last captured, and episodes that were watched but are in no captured schedule (show 0). Besides, each
-- show has an episode that represents several of its own. Data: TVmaze, CC BY-SA 4.0.
create table dim_episode (
    episode_id bigint not null, -- the schedule service's id; -1 - show_id: several episodes; 0: of several shows
    show_id bigint not null, -- -> dim_show; 0: not in any captured schedule; -1: several shows
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
insert into dim_episode (episode_id, show_id, name) values (0, -1, 'other episodes');

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

-- Viewership: day x episode x country x daypart x device (the key). Additive over all of them. Each row has at least
-- min_cell viewers (see kiosk). What fewer viewers watched is in rows of several devices, dayparts, countries, episodes
-- or shows, so the totals of a day are exact. A day with fewer viewers in all has no rows.
create table fact_viewership (
    day date not null, -- day in which the play events were received, in UTC
    episode_id bigint not null, -- -> dim_episode; negative: several episodes of the show; 0: of several shows
    country char(2) not null, -- -> dim_country: country of the play, or '..' for several
    daypart varchar(8) not null, -- daypart of the viewer's local time, as in dim_daypart, or '(other)' for several
    device varchar(32) not null, -- kind of device, as reported by the player, or '(other)' for several
    plays bigint not null, -- play events without duplicates (one is about a minute of play)
    watched_seconds bigint not null -- seconds of play
    -- Without a primary key: with an index of all rows, DuckDB takes five times as long to load, into a file 37 times
    -- as large. MySQL stores rows by primary key, so there the key is a primary key.
);

-- Viewership by hour: hour x episode x country x viewer-local hour x device (the key), for trusted readers: most of its
-- rows are of one viewer. It has rows only in a mart whose detail is hour (see kiosk); no question reads it.
create table fact_viewership_hour (
    hour datetime not null, -- start of the hour in which the play events were received
    episode_id bigint not null, -- -> dim_episode
    country char(2) not null, -- -> dim_country: country of the play
    local_hour tinyint not null, -- -> dim_daypart: hour of the day in the viewer's local time, 0 to 23
    device varchar(32) not null, -- kind of device, as reported by the player
    plays integer not null, -- play events without duplicates (one is about a minute of play)
    watched_seconds integer not null -- seconds of play
    -- Without a primary key, as fact_viewership.
);

-- Viewing of shows: day x show x country x daypart (the key). The sums of fact_viewership with any seconds, written in
-- the same transaction. Additive over all of them. For questions that need no episode or device.
create table fact_show_daypart (
    day date not null, -- day in which the play events were received, in UTC
    show_id bigint not null, -- -> dim_show: of the episodes in dim_episode; 0: in no schedule; -1: several shows
    country char(2) not null, -- -> dim_country: country of the play, or '..' for several
    daypart varchar(8) not null, -- daypart of the viewer's local time, as in dim_daypart, or '(other)' for several
    watched_seconds bigint not null -- seconds of play, at least 1
    -- Without a primary key, as fact_viewership.
);

-- Audience of shows: period x show x country. Viewers are not additive: never sum them over periods, shows or
-- countries. Here and in the facts below, a number of viewers is rounded to the nearest multiple of min_cell (see
-- kiosk), also to 0, and seconds to the nearest multiple of min_cell hours. Seconds are null if fewer than twice
-- min_cell viewers are published, and if they round to 0. Ratios are computed from these, and null with them.
create table fact_audience (
    period varchar(32) not null, -- -> load_ledger: a day, week, month or quarter
    show_id bigint not null, -- -> dim_show; 0: not in any captured schedule
    country char(2) not null, -- -> dim_country: country of the play, or '**' for worldwide
    reach bigint, -- viewers with at least reach_seconds of the show here
    watched_seconds bigint, -- seconds of play; worldwide without countries whose viewers together are below min_cell
    runtime_seconds bigint, -- sum of the runtimes of the show's episodes played here; null if one is unknown
    views double, -- watched_seconds / runtime_seconds; null if a runtime is unknown
    average_seconds double, -- watched_seconds / reach
    loyalty double, -- average_seconds / runtime_seconds, at most 1
    return_days double, -- average number of days on which a viewer in reach watched it, in steps of min_cell / reach
    loyal_viewers bigint, -- viewers in reach who watched it in loyal_share of the weeks (a week: days); null below 3
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
    active_viewers bigint, -- viewers with at least reach_seconds of all shows here
    watched_seconds bigint, -- seconds of play; null, too, in one country more if those withheld have too few viewers
    multilingual_viewers bigint, -- active viewers with multilingual_share and multilingual_seconds in two languages
    new_viewers bigint, -- active viewers first seen in the period
    primary key (period, country)
);

-- Audience of genres: period x genre x country. A show counts in full for each of its genres. Viewers are not additive:
-- never sum them over periods, genres or countries.
create table fact_audience_genre (
    period varchar(32) not null, -- -> load_ledger: a day, week, month or quarter
    genre varchar(100) not null, -- the genre; 'Unclassified' or 'Unknown show' as in show_genre_part
    country char(2) not null, -- -> dim_country: country of the play, or '**' for worldwide
    reach bigint, -- viewers with at least reach_seconds of the genre's shows here, each once
    watched_seconds bigint, -- seconds of play; worldwide without countries whose viewers together are below min_cell
    sole_viewers bigint, -- viewers in reach who watched only shows of this genre in the period, anywhere
    primary key (period, genre, country)
);

-- Viewers of shows that ended: complete week x show whose end was 28 days before a day of the week x kind of viewers.
create table fact_departure (
    period varchar(32) not null, -- -> load_ledger: a week
    show_id bigint not null, -- -> dim_show: the show that ended
    kind varchar(16) not null, -- its viewers in the 28 days up to the end: sole, near_sole or other
    ended date not null, -- day of the end
    days_before bigint not null, -- days of these 28 that are counted
    viewers bigint, -- viewers of the kind
    seen_again bigint, -- of viewers: played anything in the 28 days after the end
    compared bigint, -- of viewers: those for whom there are viewers alike
    compared_seen bigint, -- of compared: played anything in the 28 days after the end
    expected_seen double, -- of compared: the number if they were seen again like viewers alike; rounded as viewers are
    expected_variance double, -- variance of expected_seen: large if few viewers are alike; rounded up
    primary key (period, show_id, kind)
);

-- Order in which to remove or to keep shows, worldwide: period x strategy x step, for periods longer than a day.
create table fact_show_order (
    period varchar(32) not null, -- -> load_ledger: a week, month or quarter
    strategy varchar(32) not null, -- remove, remove_by_hours, _by_reach, _by_sole; keep, keep_by_hours, _by_reach
    step bigint not null, -- number of shows removed, or kept, up to and including this one, from 1
    show_id bigint not null, -- -> dim_show: the show removed, or kept, in this step
    viewers bigint, -- remove: viewers left with nothing so far; keep: viewers reached by a show so far
    watched_seconds bigint not null, -- seconds of play of the shows so far: lost, or kept; sums of fact_audience
    primary key (period, strategy, step)
);

-- Overlap of audiences: period x show x other show, worldwide, of the 300 shows of most reach.
create table fact_overlap (
    period varchar(32) not null, -- -> load_ledger: a week, month or quarter
    show_id bigint not null, -- -> dim_show
    other_show_id bigint not null, -- -> dim_show: the other show; the same show for its own reach
    viewers bigint, -- viewers in the reach of both shows
    only_of_genre_viewers bigint, -- viewers in the show's reach with no other show of its genres; null for two shows
    primary key (period, show_id, other_show_id)
);

-- Steps of seasons, worldwide: period x show x season x step. How many viewers go on from one aired episode to the
-- next. Viewers are not additive.
create table fact_season_step (
    period varchar(32) not null, -- -> load_ledger: a week, month or quarter
    show_id bigint not null, -- -> dim_show
    season bigint not null, -- season; may be a year
    step bigint not null, -- place of the episode in the captured season, from 1
    episode bigint not null, -- number of the episode in the season
    aired date not null, -- day on which it aired first
    viewers bigint, -- viewers who watched it to step_completion in the period
    at_risk bigint, -- viewers who arrived at the step before, and whose window for this step is over; null for step 1
    reached bigint, -- viewers of at_risk who watched this episode or a later one, begun within the window
    waiting bigint, -- viewers who arrived at the step before, and whose window is not over
    kept double, -- product of reached / at_risk up to this step, coarse; null if one has too few viewers
    primary key (period, show_id, season, step)
);

-- Seasons, worldwide: period x show x season, with the aired episodes so far.
create table fact_season_audience (
    period varchar(32) not null, -- -> load_ledger: a week, month or quarter
    show_id bigint not null, -- -> dim_show
    season bigint not null, -- season; may be a year
    episodes bigint not null, -- captured episodes that aired by the end of the period's days so far
    first_episode bigint not null, -- number of the first of them: step 1
    last_episode bigint not null, -- number of the last of them
    first_aired date not null, -- first day of release
    last_aired date not null, -- last day of release so far
    release_kind varchar(32) not null, -- at once, in batches, several a week, weekly, slower, or one episode
    window_days bigint not null, -- days in which the next episode must follow
    starters bigint, -- viewers who watched step 1
    finishers bigint, -- viewers who watched the last step
    mid_season bigint, -- viewers who watched a step but not the last, and played the season in the last step_days
    primary key (period, show_id, season)
);

-- Launches, worldwide: day x show that is 1, 3, 7, 28 or 91 days old on the day. Viewers are not additive.
create table fact_launch (
    period varchar(32) not null, -- -> load_ledger: a day
    show_id bigint not null, -- -> dim_show
    premiered date not null, -- day of its premiere
    age bigint not null, -- days from the premiere up to and including the day: 1 on the day of the premiere
    reach bigint, -- viewers with at least reach_seconds of the show since its premiere
    watched_seconds bigint, -- seconds of play since the day of the premiere
    primary key (period, show_id)
);
