"""Every dataset of the lake: its grain, its key, and its columns with units and definitions.

``docs/data-dictionary.md`` is generated from this module, and every file has one of these schemas. All times are UTC.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marquee.lake import keys

if TYPE_CHECKING:
    import pyarrow as pa

WORLDWIDE = "**"
"""The country of an audience row that counts viewers of all countries."""

UNKNOWN_SHOW = 0
"""The show of an episode that is in no captured schedule (an orphan)."""

# Column types by Arrow's names, not Arrow's objects, because planning reads this module and must not import pyarrow.
BINARY = "binary"
DATE = "date32[day]"
FRACTION = "double"
TEXT = "string"
TIME = "timestamp[us]"
UNSIGNED = "uint64"
WHOLE = "int64"
SMALL = "int8"


@dataclass(frozen=True)
class Column:
    """One column: its name, its type by Arrow's name, and its definition."""

    name: str
    type: str
    holds: str
    nullable: bool = False


@dataclass(frozen=True)
class Dataset:
    """One dataset: the stage that writes it, its grain, and its columns. The first ``key`` columns are its sort key."""

    name: str
    stage: str
    grain: str
    key: int
    columns: tuple[Column, ...]
    by_bucket: bool = False

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
        Column("first_at", TIME, "time at which the first event was received"),
        Column("last_at", TIME, "time at which the last event was received"),
    ),
    by_bucket=True,
)

REJECTS = Dataset(
    "rejects",
    keys.ROLLUP,
    "hour × rejected line",
    2,
    (
        Column("key", TEXT, "key of the raw object"),
        Column("line", WHOLE, "number of the line (or record) in the object, from 1"),
        Column("reason", TEXT, "reason for the rejection; see the event contract"),
        Column("raw", BINARY, "the original line, up to its first 64 KiB; as sensitive as the raw events"),
    ),
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
    Column("first_at", TIME, "first event of the episode in the sitting"),
    Column("last_at", TIME, "last event of the episode in the sitting"),
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
    "period to date, without its last day × viewer × episode × country × language",
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
    "period to date, without its last day × viewer × sitting × episode, the sittings of sitting_day joined at midnight",
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
            "the show; 0 for all episodes that are in no captured schedule: only reach and seconds are published",
        ),
        Column("country", TEXT, "country of the play, or '**' for worldwide"),
        _null(
            "reach",
            WHOLE,
            "viewers with at least reach_seconds of the show here; null below min_cell, as all viewer counts are",
        ),
        SECONDS,
        _null("runtime_seconds", WHOLE, "runtimes of the show's episodes played here; null if one is unknown"),
        _null("views", FRACTION, "watched_seconds / runtime_seconds; null if a runtime is unknown"),
        _null("average_seconds", FRACTION, "watched_seconds / reach"),
        _null("loyalty", FRACTION, "average_seconds / runtime_seconds, at most 1"),
        _null("return_days", FRACTION, "average number of days on which a viewer in reach watched the show"),
        _null(
            "loyal_viewers",
            WHOLE,
            "of reach: watched it in at least loyal_share of the period's weeks (a week's days)",
        ),
        _null(
            "binge_viewers",
            WHOLE,
            "of reach: had a sitting with binge_episodes (3) of the show or more, each to binge_completion",
        ),
        _null("binge5_viewers", WHOLE, "the same with at least 5 episodes"),
        _null("sole_viewers", WHOLE, "of reach: watched only this show in the period, in all countries"),
        _null("near_sole_viewers", WHOLE, "of reach: at least near_sole_share of their seconds were this show's"),
        _null("new_viewers", WHOLE, "of reach: first seen in the period"),
        _null("new_sole_viewers", WHOLE, "of new_viewers: watched only this show"),
        _null("multilingual_viewers", WHOLE, "of reach: multilingual in the period (see audience_base)"),
        _null(
            "valued_seconds",
            FRACTION,
            "sum over the viewers of seconds here × seconds of the show / total seconds",
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
        _null("active_viewers", WHOLE, "viewers with at least reach_seconds of play here; null below min_cell"),
        SECONDS,
        _null(
            "multilingual_viewers",
            WHOLE,
            "of active: multilingual_share and multilingual_seconds in each of two languages; en-US and en-GB are one",
        ),
        _null("new_viewers", WHOLE, "of active: first seen in the period"),
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
    AUDIENCE,
    AUDIENCE_BASE,
)
