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

from jobs.profile.audience import PeriodPart, count, make_audience, make_state
from jobs.profile.audience_stage import query_values
from jobs.profile.day import make_day
from jobs.profile.day_bitmap import day_number, split_bitmap
from jobs.profile.settings import ProfileOptions
from jobs.profile.sittings import lasts_until, starts_before
from marquee.calendar import Grain, Period, day
from marquee.engine.base import Task
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    SITTING_DAY,
    SITTING_PERIOD,
    VIEWER_DAY,
    VIEWER_HOUR,
    VIEWER_PERIOD,
    VIEWER_SEEN,
    Dataset,
)
from tests.oracle.audience import Catalogue, Oracle, Play, Thresholds, filed
from tests.oracle.lake import to_viewer_hours

DAYS = [day("2026-01-31"), day("2026-02-01"), day("2026-02-02")]  # the end of a month and of a week
PERIODS = [Period.parse(name) for name in ("2026-02-01", "2026-W05", "2026-02", "2026-Q1")]
DAY, WEEK, _, QUARTER = PERIODS
MIDNIGHTS = [one.start.replace(tzinfo=None) for one in DAYS]

MIN_CELL = 1  # even few viewers are published
OPTIONS = ProfileOptions(min_cell=MIN_CELL)
THRESHOLDS = Thresholds(min_cell=MIN_CELL)
CATALOGUE: Catalogue = {
    **dict.fromkeys(range(10, 16), (1, 60)),
    **dict.fromkeys(range(20, 23), (2, 600)),
    30: (3, None),
    31: (3, 60),
}
ORPHANS = (90, 91)
CATALOGUE_TABLE = pa.table(
    {
        "episode_id": list(CATALOGUE),
        "show_id": [show_id for show_id, _ in CATALOGUE.values()],
        "runtime_seconds": [runtime for _, runtime in CATALOGUE.values()],
    }
)

NO_STATE = VIEWER_PERIOD.schema.empty_table(), SITTING_PERIOD.schema.empty_table()

DayTables = dict[str, pa.Table]
State = tuple[pa.Table, pa.Table]
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
        minutes=draw(st.sampled_from([0, 29, 600, 1380, 1415, 1438, 1439]))
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
                watched_seconds=draw(st.sampled_from([60, 60, 60, 41, 42, 120, 420, 1800, 0])),
                hour=draw(st.sampled_from([received_at, received_at, *near(received_at)])).replace(minute=0, second=0),
            )
        )
        moment += timedelta(seconds=draw(st.sampled_from([1, 60, 600, 1799, 1799, 1800])))
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


def to_state(tables: DayTables, number: int) -> State:
    """Return the rows of a day in the form of the state."""
    viewer_day = tables[VIEWER_DAY.name]
    for name, bitmap in zip(("days_low", "days_high"), split_bitmap(1 << number), strict=True):
        viewer_day = viewer_day.append_column(name, pa.array([bitmap] * viewer_day.num_rows, pa.uint64()))
    return viewer_day.cast(VIEWER_PERIOD.schema), tables[SITTING_DAY.name]


def create_views(db: duckdb.DuckDBPyConnection, period: Period, state: State, days: dict[Period, DayTables]) -> None:
    """Create the views of a state and further days like the kernel."""
    parts = [state, *(to_state(tables, day_number(period, at)) for at, tables in days.items())]
    for name, tables in zip(("played", "play_interval"), zip(*parts, strict=True), strict=True):
        give(db, name, pa.concat_tables(tables))


def merge(db: duckdb.DuckDBPyConnection, period: Period, state: State, days: dict[Period, DayTables]) -> State:
    """Return a state with further days merged into it."""
    create_views(db, period, state, days)
    # The state has all days of a period to date but the last one.
    make_state(db, query_values(OPTIONS, period, [*days, max(days).next()]))
    return read(db, VIEWER_PERIOD), read(db, SITTING_PERIOD)


def audience(period: Period, days: dict[Period, DayTables]) -> tuple[Rows, Rows]:
    """Return the rows of audience and audience_base of a period to date."""
    last = max(days)
    before = {at: tables for at, tables in days.items() if at != last}
    values = query_values(OPTIONS, period, list(days))
    with connect() as db:
        create_views(db, period, merge(db, period, NO_STATE, before) if before else NO_STATE, {last: days[last]})
        give(db, "viewer_seen", days[last][VIEWER_SEEN.name])
        give(db, "catalogue", CATALOGUE_TABLE)
        part = PeriodPart((), count(db, values), 0)
    with connect() as db:
        make_audience(db, [part], CATALOGUE_TABLE, values)
        return read(db, AUDIENCE).to_pylist(), read(db, AUDIENCE_BASE).to_pylist()


def ask_oracle(plays: Sequence[Play], period: Period, days: Sequence[date]) -> Oracle:
    """Return the oracle of a period to date."""
    by_week = period.grain in {Grain.MONTH, Grain.QUARTER}
    return Oracle(plays, CATALOGUE, days, THRESHOLDS, start=period.date, by_week=by_week)


@given(plays=many_plays, period=st.sampled_from(PERIODS))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@example(  # three episodes in a sitting that lasts a day and spans two midnights
    plays=[
        play(1, 10, "2026-01-31T23:59"),
        *(play(1, 11, f"2026-02-01T{n // 3:02}:{n % 3 * 20:02}") for n in range(72)),
        play(1, 12, "2026-02-02T00:01"),
    ],
    period=QUARTER,
)
@example(  # a sitting that began before the period counts only from the start of the period: two episodes remain
    plays=[play(1, 10, "2026-01-31T23:58"), play(1, 11, "2026-02-01T00:01", 120), play(1, 12, "2026-02-01T00:02")],
    period=DAY,
)
@example(  # filed in the hours before and after their times, across midnight
    plays=[
        play(1, 10, "2026-01-31T23:50", filed="2026-02-01T00:00"),
        play(1, 11, "2026-02-01T00:10", filed="2026-01-31T23:00"),
        play(1, 12, "2026-01-31T23:25"),
    ],
    period=QUARTER,
)
@example(  # a traveller between two countries reaches the threshold in neither
    plays=[play(1, 10, "2026-02-01T10:00", 119), play(1, 10, "2026-02-01T11:00", 119, country="JP")],
    period=DAY,
)
@example(  # first seen before the week, and a day of the week without a play
    plays=[play(1, 20, "2026-01-31T10:00", 600), play(2, 20, "2026-01-31T11:00", 600), play(1, 30, "2026-02-02T11:00")],
    period=WEEK,
)
def test_queries_agree_with_the_oracle(plays: list[Play], period: Period) -> None:
    """Every column of every row equals the result of loops over all plays."""
    days = {at: tables for at, tables in profile(plays).items() if at in period}
    rows, base = audience(period, days)
    oracle = ask_oracle(plays, period, [at.date for at in days])
    expected = oracle.audience()
    event(f"binges: {any(most >= OPTIONS.binge_episodes for most in oracle.binges.values())}")
    assert {(row.pop("show_id"), row.pop("country")): row for row in rows} == expected
    assert {row.pop("country"): row for row in base} == oracle.base()


@given(plays=many_plays, cut=st.integers(1, len(DAYS) - 1))
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_state_merged_by_day_is_that_of_all_days(plays: list[Play], cut: int) -> None:
    """Merging some days and then the others gives the same state, row by row, as merging all at once."""
    period = Period.parse("2026-Q1")
    days = list(profile(plays).items())
    with connect() as db:
        at_once = merge(db, period, NO_STATE, dict(days))
        first = merge(db, period, NO_STATE, dict(days[:cut]))
        later = merge(db, period, first, dict(days[cut:]))
    event(f"sittings kept: {at_once[1].num_rows > 0}")
    assert at_once[0].num_rows > 0
    assert later == at_once
