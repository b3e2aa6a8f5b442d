"""The queries of profile against the oracle on generated corner cases, without store and engine for speed.

Everything is small, so that thresholds are met: episodes of a minute, minutes around midnight, a handful of viewers.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from jobs.profile.audience import (
    NO_LAUNCHES,
    PUBLISHED,
    PeriodPart,
    Plays,
    concatenate,
    count,
    list_steps,
    make_audience,
    merge_plays,
)
from jobs.profile.audience_stage import query_values
from jobs.profile.day import make_day
from jobs.profile.day_bitmap import day_number
from jobs.profile.ranges import of_day
from jobs.profile.season_counts import Ladder
from jobs.profile.settings import ProfileOptions
from jobs.profile.sittings import lasts_until, starts_before
from jobs.profile.watching import Watching
from marquee.calendar import Grain, Period, day
from marquee.engine.base import Task
from marquee.lake.captured_schedule import Catalogue as Captured
from marquee.lake.datasets import (
    SITTING_DAY,
    VIEWER_DAY,
    VIEWER_HOUR,
    VIEWER_SEEN,
    Dataset,
)
from tests.oracle.audience import Catalogue, Oracle, Play, Thresholds, filed
from tests.oracle.lake import to_viewer_hours

DAYS = [day("2026-01-31"), day("2026-02-01"), day("2026-02-02")]  # the end of a month and of a week
PERIODS = [Period.parse(name) for name in ("2026-02-01", "2026-W05", "2026-02", "2026-Q1")]
DAY, WEEK, _, QUARTER = PERIODS
MIDNIGHTS = [one.start.replace(tzinfo=None) for one in DAYS]

OPTIONS = ProfileOptions()
THRESHOLDS = Thresholds(loyal_spans=0)  # loyal viewers of even one day
CATALOGUE: Catalogue = {
    **dict.fromkeys(range(10, 16), (1, 60)),
    **dict.fromkeys(range(20, 23), (2, 600)),
    30: (3, None),
    31: (3, 60),
}
GENRES = {1: ["Drama", "Crime"], 2: ["Crime"]}
ORPHANS = (90, 91)
NO_SEASONS = pa.schema(
    [(name, pa.int64()) for name in ("episode_id", "show_id", "season", "number", "runtime_seconds")]
    + [("airdate", pa.date32())]
).empty_table()
NO_PREMIERES = pa.schema([("show_id", pa.int64()), ("premiered", pa.date32())]).empty_table()
CAPTURED = Captured(
    pa.table(
        {
            "episode_id": list(CATALOGUE),
            "show_id": [show_id for show_id, _ in CATALOGUE.values()],
            "runtime_seconds": [runtime for _, runtime in CATALOGUE.values()],
        }
    ),
    pa.table({"show_id": [1, 1, 2, 3], "genre": ["Crime", "Drama", "Crime", "Unclassified"]}),
    NO_SEASONS,  # test_season_oracle.py has them
    NO_PREMIERES,  # test_launch.py has them
)

DayTables = dict[str, pa.Table]
Rows = list[dict[str, Any]]


def play(viewer: int, episode: int, received_at: str, seconds: int = 60, **rest: str) -> Play:
    """Return a play, by default in Korea and in Korean; ``filed`` is its hour if it lies in another hour's file."""
    return Play(
        viewer=viewer,
        episode=episode,
        country=rest.get("country", "KR"),
        language=rest.get("language", "ko"),
        received_at=datetime.fromisoformat(received_at),
        watched_seconds=seconds,
        hour=datetime.fromisoformat(rest.get("filed", f"{received_at[:13]}:00")),
    )


@st.composite
def bursts(draw: st.DrawFn) -> list[Play]:
    """Generate consecutive plays of one viewer, often around midnight, often separated by exactly the sitting gap."""
    viewer = draw(st.integers(1, 3))
    start = draw(st.sampled_from(MIDNIGHTS)) + timedelta(
        minutes=draw(st.sampled_from([0, 29, 600, 1290, 1380, 1415, 1438, 1439]))
    )
    moment, plays = start, []
    for _ in range(draw(st.integers(1, 9))):
        received_at = min(moment, MIDNIGHTS[-1] + timedelta(hours=23, minutes=59))
        plays.append(
            Play(
                viewer=viewer,
                episode=draw(st.sampled_from([10, 11, 12, *CATALOGUE, *ORPHANS])),
                country=draw(st.sampled_from(["KR", "KR", "KR", "JP"])),
                language=draw(st.sampled_from(["ko", "ko", "en", "en-GB"])),
                received_at=received_at,
                watched_seconds=draw(st.sampled_from([60, 60, 60, 41, 42, 120, 420, 1800, 3600, 0])),
                hour=draw(st.sampled_from([received_at, received_at, *near(received_at)])).replace(minute=0, second=0),
            )
        )
        moment += timedelta(seconds=draw(st.sampled_from([1, 60, 600, 1799, 1799, 1800, 3600, 5399, 5400])))
    return plays


def near(moment: datetime) -> list[datetime]:
    """Return times a quarter of an hour away, within the days, whose hour may also hold the play."""
    around = [moment - timedelta(minutes=15), moment + timedelta(minutes=15)]
    return [one for one in around if MIDNIGHTS[0] <= one < MIDNIGHTS[-1] + timedelta(days=1)]


many_plays = st.lists(bursts(), min_size=1, max_size=5).map(lambda several: [one for burst in several for one in burst])


def connect() -> duckdb.DuckDBPyConnection:
    """Open a database like a kernel's, without spilling because the cases are tiny."""
    return Task(Path("unused"), 200).database()


def give(db: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Create or replace a view of a table's rows."""
    db.register(f"given_{name}", table)
    db.execute(f"create or replace temp view {name} as from given_{name}")


def profile(plays: Sequence[Play]) -> dict[Period, DayTables]:
    """Return the tables that the kernel of days makes from the plays, day by day."""
    made: dict[Period, DayTables] = {}
    gap = OPTIONS.sitting_gap_seconds
    registry = VIEWER_SEEN.schema.empty_table()
    with connect() as db:
        for today in DAYS:
            rows = [row for hour in today.parts(Grain.HOUR) for row in to_viewer_hours(filed_in(hour, plays))]
            give(db, "viewer_hour", pa.Table.from_pylist(rows, schema=VIEWER_HOUR.schema))
            give(db, "registry", registry)
            edges = {"starts_before": starts_before(today, gap), "lasts_until": lasts_until(today, gap)}
            make_day(db, {**OPTIONS.model_dump(), **edges, "day": today.date})
            made[today] = {one.name: read(db, one) for one in (VIEWER_DAY, SITTING_DAY, VIEWER_SEEN)}
            registry = made[today][VIEWER_SEEN.name]
    return made


def filed_in(hour: Period, plays: Sequence[Play]) -> list[Play]:
    """Return the plays in the files of one hour."""
    return [one for one in plays if filed(one) == hour.start.replace(tzinfo=None)]


def read(db: duckdb.DuckDBPyConnection, dataset: Dataset) -> pa.Table:
    """Return the rows of a dataset's relation in the order of its file."""
    return db.sql(f"from {dataset.name} order by {', '.join(dataset.sort)}").to_arrow_table().cast(dataset.schema)


def encode(rows: pa.Table) -> pa.Table:
    """Return rows with texts as dictionaries, as files are read."""
    texts = {"country", "language"}
    return pa.table(
        {name: rows[name].dictionary_encode() if name in texts else rows[name] for name in rows.column_names}
    )


def plays_of(period: Period, days: dict[Period, DayTables]) -> Plays:
    """Return the rows of days in the form of the state."""
    return concatenate(
        [
            Plays(of_day(encode(tables[VIEWER_DAY.name]), day_number(period, at)), tables[SITTING_DAY.name])
            for at, tables in days.items()
        ]
    )


def merge(plays: Plays, days: Sequence[Period], *, first: bool = True) -> Plays:
    """Return the rows of some days merged into a block of the state, which is the first of its period or not."""
    gap = OPTIONS.sitting_gap_seconds
    edges = {"starts_before": None if first else starts_before(days[0], gap), "lasts_until": lasts_until(days[-1], gap)}
    return merge_plays(plays, {**OPTIONS.model_dump(), **edges})


def blocks_of(period: Period, days: dict[Period, DayTables], cut: int) -> list[Plays]:
    """Return two blocks of the state: the days before and after a cut."""
    listed = list(days.items())
    parts = [dict(part) for part in (listed[:cut], listed[cut:]) if part]
    return [merge(plays_of(period, part), list(part), first=part is parts[0]) for part in parts]


def audience(period: Period, days: dict[Period, DayTables], cut: int = 0) -> tuple[Rows, ...]:
    """Return the rows of the published datasets of a period to date, whose state has two blocks if there is a cut."""
    last = max(days)
    before = {at: tables for at, tables in days.items() if at != last}
    values = {**query_values(OPTIONS, period, list(days)), "knows_loyalty": True}
    plays = concatenate([*blocks_of(period, before, cut), plays_of(period, {last: days[last]})])
    ladder = list_steps(CAPTURED, values)
    watching = Watching(plays.played, CAPTURED.episodes, values)
    tables = count(watching, plays.intervals, days[last][VIEWER_SEEN.name], CAPTURED, Ladder(ladder), values)
    with connect() as db:
        make_audience(db, [PeriodPart((), {**tables, "launch_counts": NO_LAUNCHES}, 0)], CAPTURED, ladder, values)
        return tuple(read(db, one).to_pylist() for one in PUBLISHED)


def ask_oracle(plays: Sequence[Play], period: Period, days: Sequence[date]) -> Oracle:
    """Return the oracle of a period to date."""
    by_week = period.grain in {Grain.MONTH, Grain.QUARTER}
    return Oracle(plays, CATALOGUE, days, THRESHOLDS, start=period.date, by_week=by_week, genres=GENRES)


@given(plays=many_plays, period=st.sampled_from(PERIODS), cut=st.integers(0, 1))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@example(  # three episodes in a sitting that lasts a day and spans two midnights
    plays=[
        play(1, 10, "2026-01-31T23:59"),
        *(play(1, 11, f"2026-02-01T{n // 3:02}:{n % 3 * 20:02}") for n in range(72)),
        play(1, 12, "2026-02-02T00:01"),
    ],
    period=QUARTER,
    cut=1,
)
@example(  # a sitting that began before the period counts only from the start of the period: two episodes remain
    plays=[play(1, 10, "2026-01-31T23:58"), play(1, 11, "2026-02-01T00:01", 120), play(1, 12, "2026-02-01T00:02")],
    period=DAY,
    cut=0,
)
@example(  # filed in the hours before and after their times, across midnight
    plays=[
        play(1, 10, "2026-01-31T23:50", filed="2026-02-01T00:00"),
        play(1, 11, "2026-02-01T00:10", filed="2026-01-31T23:00"),
        play(1, 12, "2026-01-31T23:25"),
    ],
    period=QUARTER,
    cut=1,
)
@example(  # an event of the next day's first hour stands for play that began half an hour after the last of the day
    plays=[
        play(1, 10, "2026-01-31T22:01"),
        play(1, 11, "2026-01-31T23:30", 3600, filed="2026-02-01T00:00"),
        play(1, 12, "2026-01-31T23:59", filed="2026-02-01T00:00"),
    ],
    period=QUARTER,
    cut=1,
)
@example(  # a traveller between two countries reaches the threshold in neither
    plays=[play(1, 10, "2026-02-01T10:00", 119), play(1, 10, "2026-02-01T11:00", 119, country="JP")],
    period=DAY,
    cut=0,
)
@example(  # first seen before the week, and a day of the week without a play
    plays=[play(1, 20, "2026-01-31T10:00", 600), play(2, 20, "2026-01-31T11:00", 600), play(1, 30, "2026-02-02T11:00")],
    period=WEEK,
    cut=0,
)
def test_counts_agree_with_the_oracle(plays: list[Play], period: Period, cut: int) -> None:
    """Every column of every row equals the result of loops over all plays."""
    days = {at: tables for at, tables in profile(plays).items() if at in period}
    rows, base, genres, *_ = audience(period, days, cut)
    oracle = ask_oracle(plays, period, [at.date for at in days])
    expected = oracle.audience()
    event(f"binges: {any(most >= OPTIONS.binge_episodes for most in oracle.binges.values())}")
    assert {(row.pop("show_id"), row.pop("country")): row for row in rows} == expected
    assert {row.pop("country"): row for row in base} == oracle.base()
    assert {(row.pop("genre"), row.pop("country")): row for row in genres} == oracle.genres()


def test_player_that_reports_rarely_shows_a_binge() -> None:
    """Three episodes without a pause, of which the player reports every 50 minutes, are one sitting."""
    plays = [
        play(1, episode, f"2026-02-01T{time}", 3000) for episode, time in [(10, "10:50"), (11, "11:40"), (12, "12:30")]
    ]
    rows, *_ = audience(DAY, {at: tables for at, tables in profile(plays).items() if at == DAY})
    assert [(row["country"], row["reach"], row["binge_viewers"]) for row in rows] == [("**", 1, 1), ("KR", 1, 1)]


@given(plays=many_plays, cut=st.integers(1, len(DAYS) - 1))
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_state_merged_by_day_is_that_of_all_days(plays: list[Play], cut: int) -> None:
    """Merging some days, then the others, and then both gives the same state, row by row, as merging all at once."""
    period = Period.parse("2026-Q1")
    days = profile(plays)
    at_once = merge(plays_of(period, days), DAYS)
    in_steps = merge(concatenate(blocks_of(period, days, cut)), DAYS)
    event(f"sittings kept: {at_once.intervals.num_rows > 0}")
    assert at_once.played.num_rows > 0
    assert [one.to_pylist() for one in in_steps] == [one.to_pylist() for one in at_once]
