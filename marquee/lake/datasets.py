"""Every dataset of the lake: its grain, its key, and its columns with units and definitions.

``docs/data-dictionary.md`` is generated from this module, and every file has one of these schemas. All times are UTC.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from marquee.lake import keys

if TYPE_CHECKING:
    import pyarrow as pa

WORLDWIDE = "**"
"""The country of an audience row that counts viewers of all countries."""

UNKNOWN_SHOW = 0
"""The show of an episode that is in no captured schedule (an orphan)."""

UNCLASSIFIED = "Unclassified"
"""The genre of a show without genres."""

UNKNOWN_GENRE = "Unknown show"
"""The genre of the show ``UNKNOWN_SHOW``."""

# Column types by Arrow's names, not Arrow's objects, because planning reads this module and must not import pyarrow.
BINARY = "binary"
DATE = "date32[day]"
FRACTION = "double"
TEXT = "string"
TIME = "timestamp[us]"
UNSIGNED = "uint64"
WHOLE = "int64"
SMALL = "int8"
NUMBER = "int32"


class Figure(StrEnum):
    """What a column of an audience says about viewers, which decides how marquee/mart/protect.py publishes it."""

    VIEWERS = "a number of viewers"
    SECONDS = "seconds of play of viewers"
    RATIO = "computed from numbers of viewers or seconds"
    NONE = "nothing about viewers: it comes from the schedule or the settings"


@dataclass(frozen=True)
class Column:
    """One column: its name, its type by Arrow's name, and its definition.

    ``figure`` is None in datasets that are not published, and in keys. ``of`` names the number of viewers that a figure
    is of: it is withheld where that number is.
    """

    name: str
    type: str
    holds: str
    nullable: bool = False
    figure: Figure | None = None
    of: str = ""


@dataclass(frozen=True)
class Dataset:
    """One dataset: the stage that writes it, its grain, and its columns. The first ``key`` columns are its sort key."""

    name: str
    stage: str
    grain: str
    key: int
    columns: tuple[Column, ...]
    by_bucket: bool = False
    private: bool = False
    """Whether it may hold user ids, so that only the user of the stages may read its files."""

    @property
    def schema(self) -> "pa.Schema":
        """The Arrow schema of its files."""
        import pyarrow as pa  # noqa: PLC0415 - it takes 0.2 s, and planning needs no schema

        return pa.schema([pa.field(c.name, pa.type_for_alias(c.type), c.nullable) for c in self.columns])

    @property
    def sort(self) -> list[str]:
        """The columns that identify a row, in the sort order of files."""
        return [column.name for column in self.columns[: self.key]]


def _null(name: str, kind: str, holds: str) -> Column:
    return Column(name, kind, holds, nullable=True)


def _viewers(name: str, holds: str, of: str = "") -> Column:
    # May be null: runs by definitions before 3 lack numbers of fewer than 10 viewers.
    return Column(name, WHOLE, holds, nullable=True, figure=Figure.VIEWERS, of=of)


def _seconds(name: str, holds: str, of: str, kind: str = WHOLE, *, nullable: bool = False) -> Column:
    return Column(name, kind, holds, nullable, Figure.SECONDS, of)


def _ratio(name: str, holds: str, of: str = "") -> Column:
    return Column(name, FRACTION, holds, nullable=True, figure=Figure.RATIO, of=of)


def _given(name: str, kind: str, holds: str) -> Column:
    return Column(name, kind, holds, figure=Figure.NONE)


VIEWER = Column("viewer", UNSIGNED, "pseudonym: the first 64 bits of HMAC-SHA256(key, user id)")
EPISODE = Column("episode_id", WHOLE, "the schedule service's id of the episode")
COUNTRY = Column("country", TEXT, "ISO 3166-1 alpha-2 code of the country of the play")
LANGUAGE = Column("language", TEXT, "audio language of the play, a BCP 47 tag")
PLAYS = Column("plays", WHOLE, "play events without duplicates (one event is about a minute of play)")
SECONDS = Column("watched_seconds", WHOLE, "seconds of play")

VIEWERSHIP = Dataset(
    "viewership",
    keys.ROLLUP,
    "hour × episode × country × viewer-local hour × device",
    5,
    (
        Column("hour", TIME, "the hour in which the events were received"),
        EPISODE,
        COUNTRY,
        Column("local_hour", SMALL, "hour of the day in the viewer's time, 0 to 23, from the event's UTC offset"),
        Column("device", TEXT, "kind of device, by the player's name for it"),
        PLAYS,
        SECONDS,
        Column(
            "viewer_bits",
            UNSIGNED,
            "bit n is set when the upper six bits of a viewer's pseudonym are n (0 to 63). After OR over any rows, the "
            "number of set bits is a lower bound of their viewers; hours made by definition 3 or before lack it",
        ),
    ),
)

VIEWER_HOUR = Dataset(
    "viewer_hour",
    keys.ROLLUP,
    "hour × viewer × episode × country × language",
    4,
    (
        VIEWER,
        EPISODE,
        COUNTRY,
        LANGUAGE,
        PLAYS,
        SECONDS,
        Column("first_at", TIME, "start of the first play, which began watched_seconds before its event was received"),
        Column("last_at", TIME, "end of the last play: the time at which the last event was received"),
    ),
    by_bucket=True,
)

REJECTS = Dataset(
    "rejects",
    keys.ROLLUP,
    "hour × rejected line, of which the first are kept: at most 10,000 and about 16 MiB, and the first of a run of "
    "blanks",
    2,
    (
        Column("key", TEXT, "key of the raw object"),
        Column(
            "line",
            WHOLE,
            "number of the line or record in the object, from 1; each event in a line of several counts as a line",
        ),
        Column("reason", TEXT, "reason for the rejection; see the event contract"),
        Column("raw", BINARY, "the original line, up to its first 64 KiB; as sensitive as the raw events"),
    ),
    private=True,
)

SHOWS = Dataset(
    "shows",
    keys.SCHEDULE_FETCH,
    "requested day × show",
    1,
    (
        Column("show_id", WHOLE, "the schedule service's id of the show"),
        _null("name", TEXT, "name of the show; not unique"),
        _null("type", TEXT, "Scripted, Reality, News, …"),
        _null("language", TEXT, "original language, in English words"),
        _null("status", TEXT, "Running, Ended, To Be Determined or In Development; may change in either direction"),
        _null("runtime_minutes", WHOLE, "planned runtime of an episode"),
        _null("average_runtime_minutes", WHOLE, "average runtime of the episodes so far"),
        _null("premiered", DATE, "day of the first episode"),
        _null("ended", DATE, "day of the last episode, for a show that has ended"),
        _null("network_id", WHOLE, "broadcaster (networks: kind 'network')"),
        _null("web_channel_id", WHOLE, "streaming channel (networks: kind 'web')"),
        _null("dvd_country", TEXT, "code of the country of its DVD release"),
        _null("schedule_time", TEXT, "local time of broadcast, HH:MM"),
        _null("schedule_days", TEXT, "days of broadcast, comma-separated"),
        _null("rating", FRACTION, "average rating, 0 to 10"),
        _null("weight", WHOLE, "popularity at the schedule service, 0 to 100; changes often"),
        _null("official_site", TEXT, "URL"),
        _null("imdb", TEXT, "IMDb id"),
        _null("thetvdb", WHOLE, "TheTVDB id"),
        _null("tvrage", WHOLE, "TVRage id"),
        _null("image", TEXT, "URL of the original image"),
        _null("summary", TEXT, "HTML"),
        _null("url", TEXT, "the show's page at the schedule service, for attribution"),
        _null("updated", TIME, "time at which the schedule service last changed the show or a child of it"),
    ),
)

EPISODES = Dataset(
    "episodes",
    keys.SCHEDULE_FETCH,
    "requested day × episode",
    1,
    (
        EPISODE,
        Column("show_id", WHOLE, "the episode's show"),
        _null("name", TEXT, "title of the episode"),
        _null("season", WHOLE, "season; may be a year"),
        _null("number", WHOLE, "number in the season; null for specials"),
        _null("type", TEXT, "regular, significant_special or insignificant_special"),
        _null("airdate", DATE, "the broadcaster's programming day; may be the day before the requested one"),
        _null("airtime", TEXT, "local time HH:MM; null where the service has none"),
        _null("airstamp", TIME, "instant of airing; the service invents it where airtime is null"),
        _null("runtime_minutes", WHOLE, "runtime"),
        _null("rating", FRACTION, "average rating, 0 to 10"),
        _null("image", TEXT, "URL of the original image"),
        _null("summary", TEXT, "HTML"),
        _null("url", TEXT, "the episode's page at the schedule service, for attribution"),
    ),
)

NETWORKS = Dataset(
    "networks",
    keys.SCHEDULE_FETCH,
    "requested day × network or web channel",
    2,
    (
        Column("kind", TEXT, "'network' or 'web': each kind has its own ids"),
        Column("network_id", WHOLE, "the schedule service's id"),
        _null("name", TEXT, "name"),
        _null("country", TEXT, "country code; null for a global channel"),
        _null("official_site", TEXT, "URL"),
    ),
)

COUNTRIES = Dataset(
    "countries",
    keys.SCHEDULE_FETCH,
    "requested day × country",
    1,
    (
        Column("country", TEXT, "ISO 3166-1 alpha-2 code"),
        _null("name", TEXT, "English name"),
        _null(
            "timezone", TEXT, "one zone of the country, often not the main one: never derive a viewer's time from it"
        ),
    ),
)

GENRES = Dataset(
    "genres",
    keys.SCHEDULE_FETCH,
    "requested day × show × genre",
    2,
    (
        Column("show_id", WHOLE, "the show"),
        Column("genre", TEXT, "one of its genres; a show may have none"),
    ),
)

VIEWER_DAY = Dataset(
    "viewer_day",
    keys.PROFILE,
    "day × viewer × episode × country × language",
    4,
    (VIEWER, EPISODE, COUNTRY, LANGUAGE, PLAYS, SECONDS),
    by_bucket=True,
)

_SITTING = (
    VIEWER,
    Column("started_at", TIME, "start of the sitting, which identifies the viewer's sitting"),
    EPISODE,
    SECONDS,
    Column("first_at", TIME, "start of the first play of the episode in the sitting"),
    Column("last_at", TIME, "end of the last play of the episode in the sitting"),
)

SITTING_DAY = Dataset(
    "sitting_day",
    keys.PROFILE,
    "day × viewer × sitting × episode, only sittings with enough episodes for a binge or that touch midnight",
    3,
    _SITTING,
    by_bucket=True,
)

VIEWER_SEEN = Dataset(
    "viewer_seen",
    keys.PROFILE,
    "viewer, all that were seen up to and including the day",
    1,
    (VIEWER, Column("first_day", DATE, "the first day on which the viewer was seen")),
    by_bucket=True,
)

EPISODE_DAY = Dataset(
    "episode_day",
    keys.PROFILE,
    "day × episode",
    1,
    (EPISODE, PLAYS, SECONDS),
)

VIEWER_PERIOD = Dataset(
    "viewer_period",
    keys.AUDIENCE,
    "block of days of a period to date, without its last day × viewer × episode × country × language",
    4,
    (
        VIEWER,
        EPISODE,
        COUNTRY,
        LANGUAGE,
        PLAYS,
        SECONDS,
        Column("days_low", UNSIGNED, "bit n is set when there was a play on day n (0 to 63) of the period"),
        Column("days_high", UNSIGNED, "bit n is set when there was a play on day 64 + n of the period"),
    ),
    by_bucket=True,
)

SITTING_PERIOD = Dataset(
    "sitting_period",
    keys.AUDIENCE,
    "block of days of a period to date, without its last day × viewer × sitting × episode, the sittings of sitting_day "
    "joined at midnight",
    3,
    _SITTING,
    by_bucket=True,
)

AUDIENCE = Dataset(
    "audience",
    keys.AUDIENCE,
    "period × show × country, and period × show with country '**' (worldwide)",
    2,
    (
        Column(
            "show_id",
            WHOLE,
            "the show; 0 for all episodes that are in no captured schedule, which have only reach and seconds",
        ),
        Column("country", TEXT, "country of the play, or '**' for worldwide"),
        _viewers("reach", "viewers with at least reach_seconds of the show here"),
        _seconds("watched_seconds", "seconds of play", "reach"),
        Column(
            "runtime_seconds",
            WHOLE,
            "runtimes of the show's episodes played here; null if one is unknown",
            nullable=True,
            figure=Figure.RATIO,
            of="reach",
        ),
        _ratio("views", "watched_seconds / runtime_seconds; null if a runtime is unknown", "reach"),
        _ratio("average_seconds", "watched_seconds / reach", "reach"),
        _ratio("loyalty", "average_seconds / runtime_seconds, at most 1", "reach"),
        _ratio("return_days", "average number of days on which a viewer in reach watched the show", "reach"),
        _viewers(
            "loyal_viewers",
            "of reach: watched it in at least loyal_share of the period's weeks (for a week, of its days); null before "
            "three weeks (three days) of the period are profiled, and for a day",
            "reach",
        ),
        _viewers(
            "binge_viewers",
            "of reach: had a sitting with binge_episodes (3) of the show or more, each to binge_completion",
            "reach",
        ),
        _viewers("binge5_viewers", "the same with at least 5 episodes", "reach"),
        _viewers(
            "sole_viewers",
            "of reach: watched only this show in the period, in all countries",
            "reach",
        ),
        _viewers(
            "near_sole_viewers",
            "of reach: at least near_sole_share of their seconds were this show's",
            "reach",
        ),
        _viewers("new_viewers", "of reach: first seen in the period", "reach"),
        _viewers("new_sole_viewers", "of new_viewers: watched only this show", "reach"),
        _viewers(
            "multilingual_viewers",
            "of reach: multilingual in the period (see audience_base)",
            "reach",
        ),
        _seconds(
            "valued_seconds",
            "sum over the viewers of seconds here × seconds of the show / total seconds",
            "reach",
            FRACTION,
            nullable=True,
        ),
    ),
)

AUDIENCE_BASE = Dataset(
    "audience_base",
    keys.AUDIENCE,
    "period × country, and the period with country '**' (worldwide)",
    1,
    (
        Column("country", TEXT, "country of the play, or '**' for worldwide"),
        _viewers("active_viewers", "viewers with at least reach_seconds of play here"),
        _seconds("watched_seconds", "seconds of play", "active_viewers"),
        _viewers(
            "multilingual_viewers",
            "of active: multilingual_share and multilingual_seconds in each of two languages; en-US and en-GB are one",
            "active_viewers",
        ),
        _viewers("new_viewers", "of active: first seen in the period", "active_viewers"),
    ),
)

AUDIENCE_GENRE = Dataset(
    "audience_genre",
    keys.AUDIENCE,
    "period × genre × country, and period × genre with country '**' (worldwide)",
    2,
    (
        Column(
            "genre",
            TEXT,
            "the genre; 'Unclassified' for shows without genres, 'Unknown show' for episodes in no captured schedule",
        ),
        Column("country", TEXT, "country of the play, or '**' for worldwide"),
        _viewers("reach", "viewers with at least reach_seconds of the genre's shows here, each once"),
        _seconds("watched_seconds", "seconds of play; a show counts in full for each of its genres", "reach"),
        _viewers(
            "sole_viewers",
            "of reach: watched only shows of this genre in the period, in all countries; null for 'Unknown show'",
            "reach",
        ),
    ),
)

DEPARTURE = Dataset(
    "departure",
    keys.AUDIENCE,
    "complete week × show whose end was 28 days before a day of the week × kind of viewers, worldwide",
    2,
    (
        Column("show_id", WHOLE, "the show that ended"),
        Column(
            "kind",
            TEXT,
            "its viewers in the 28 days up to its end, with at least reach_seconds of it: sole (watched nothing else), "
            "near_sole (at least near_sole_share of their seconds), other",
        ),
        _given("ended", DATE, "day of the end"),
        _given("days_before", WHOLE, "days of these 28 that are profiled"),
        _viewers("viewers", "viewers of the kind"),
        _viewers("seen_again", "of viewers: played anything in the 28 days after the end", "viewers"),
        _viewers("compared", "of viewers: those for whom there are viewers alike", "viewers"),
        _viewers("compared_seen", "of compared: played anything in the 28 days after the end", "compared"),
        _ratio("expected_seen", "of compared: the number if they were seen again like viewers alike", "compared"),
        _ratio("expected_variance", "variance of expected_seen: large if few viewers are alike", "compared"),
    ),
)

SHOW_VIEWER = Dataset(
    "show_viewer",
    keys.AUDIENCE,
    "period longer than a day × show × country × viewer, for questions about sets of shows",
    3,
    (
        Column("show_id", WHOLE, "the show; 0 for all episodes that are in no captured schedule"),
        COUNTRY,
        Column("viewer_number", NUMBER, "number of the viewer in the bucket and the run, from 0; not the pseudonym"),
        SECONDS,
        Column("viewer_seconds", WHOLE, "seconds of everything that the viewer played in the period, anywhere"),
    ),
    by_bucket=True,
)

KEEP = "keep"
"""The strategy of show_order whose steps never add more viewers than the step before."""
REMOVE = "remove"
"""The strategy of show_order whose steps never lose fewer viewers than the step before."""
SHOW_ORDER = Dataset(
    "show_order",
    keys.AUDIENCE,
    "period longer than a day × strategy × step: the order in which to remove or to keep shows, worldwide",
    2,
    (
        Column(
            "strategy",
            TEXT,
            "remove: at each step the show whose removal loses the fewest viewers, given the steps before; keep: the "
            "show that adds the most people reached; remove_by_… and keep_by_…: in the order of one figure",
        ),
        Column("step", WHOLE, "number of shows removed, or kept, up to and including this one, from 1"),
        _given("show_id", WHOLE, "the show removed, or kept, in this step; its reach is at least order_reach"),
        Column(
            "viewers",
            WHOLE,
            "remove: viewers left with nothing so far, of those with at least reach_seconds of everything; keep: "
            "viewers with at least reach_seconds of one of the shows so far",
            figure=Figure.VIEWERS,
        ),
        Column(
            "watched_seconds",
            WHOLE,
            "seconds of play of the shows so far: lost, or kept",
            figure=Figure.RATIO,
        ),
    ),
)

OVERLAP = Dataset(
    "overlap",
    keys.AUDIENCE,
    "period longer than a day × show × other show, of the 300 shows of most reach, worldwide",
    2,
    (
        Column("show_id", WHOLE, "the show"),
        Column("other_show_id", WHOLE, "the other show; the same show for its own reach"),
        _viewers("viewers", "viewers with at least reach_seconds of each of the two"),
        _viewers(
            "only_of_genre_viewers",
            "of the reach of a show: watched no other show of any of its genres; null for two shows, and for a show "
            "without genres",
            "viewers",
        ),
    ),
)

SEASON_STEP = Dataset(
    "season_step",
    keys.AUDIENCE,
    "period × show × season × step, worldwide: the aired episodes of each season that somebody watched",
    3,
    (
        Column("show_id", WHOLE, "the show"),
        Column("season", WHOLE, "season; may be a year"),
        Column("step", WHOLE, "place of the episode in the captured season: 1 for its first captured episode"),
        _given("episode", WHOLE, "number of the episode in the season"),
        _given("aired", DATE, "day on which it aired first"),
        _viewers("viewers", "viewers who watched it to step_completion in the period"),
        _viewers(
            "at_risk",
            "viewers who arrived at the step before, and whose window_days for this step are over; null for step 1",
        ),
        _viewers(
            "reached",
            "of at_risk: watched this episode or a later one, begun within the window",
            "at_risk",
        ),
        _viewers(
            "waiting",
            "viewers who arrived at the step before, and whose window is not over",
        ),
        _ratio(
            "kept",
            "product of reached / at_risk up to this step; null from the first step on that nobody was at risk of",
        ),
    ),
)

SEASON_AUDIENCE = Dataset(
    "season_audience",
    keys.AUDIENCE,
    "period × show × season, worldwide: the seasons that somebody watched",
    2,
    (
        Column("show_id", WHOLE, "the show"),
        Column("season", WHOLE, "season; may be a year"),
        _given("episodes", WHOLE, "captured episodes that aired by the end of the period's days so far"),
        _given("first_episode", WHOLE, "number of the first of them: step 1"),
        _given("last_episode", WHOLE, "number of the last of them"),
        _given("first_aired", DATE, "first day of release"),
        _given("last_aired", DATE, "last day of release so far"),
        _given("release_kind", TEXT, "at once, in batches, several a week, weekly, slower, or one episode"),
        _given("window_days", WHOLE, "days in which the next episode must follow"),
        _viewers("starters", "viewers who watched step 1 to step_completion"),
        _viewers("finishers", "viewers who watched the last step"),
        _viewers(
            "mid_season",
            "viewers who watched a step but not yet the last one, and played the season in the last step_days",
        ),
    ),
)

LAUNCH_VIEWER = Dataset(
    "launch_viewer",
    keys.AUDIENCE,
    "day × viewer × show in its first 91 days, all that watched it up to and including the day",
    2,
    (
        VIEWER,
        Column("show_id", WHOLE, "the show"),
        Column("premiered", DATE, "day of its premiere"),
        Column("watched_seconds", WHOLE, "seconds of play since the day of the premiere"),
    ),
    by_bucket=True,
)

LAUNCH = Dataset(
    "launch",
    keys.AUDIENCE,
    "day × show that is 1, 3, 7, 28 or 91 days old, worldwide",
    1,
    (
        Column("show_id", WHOLE, "the show"),
        _given("premiered", DATE, "day of its premiere, in UTC"),
        _given("age", WHOLE, "days from the premiere up to and including the day: 1 on the day of the premiere"),
        _viewers("reach", "viewers with at least reach_seconds of the show since its premiere"),
        _seconds("watched_seconds", "seconds of play since the day of the premiere", "reach"),
    ),
)

DATASETS = (
    SHOWS,
    EPISODES,
    NETWORKS,
    COUNTRIES,
    GENRES,
    VIEWERSHIP,
    VIEWER_HOUR,
    REJECTS,
    VIEWER_DAY,
    SITTING_DAY,
    VIEWER_SEEN,
    EPISODE_DAY,
    VIEWER_PERIOD,
    SITTING_PERIOD,
    SHOW_VIEWER,
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    DEPARTURE,
    SHOW_ORDER,
    OVERLAP,
    SEASON_STEP,
    SEASON_AUDIENCE,
    LAUNCH_VIEWER,
    LAUNCH,
)
