"""The queries of profile, each on a few rows, with thresholds met exactly and missed by one."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from jobs.profile.queries import query
from marquee.engine.base import Task
from marquee.lake.datasets import (
    UNKNOWN_GENRE,
    UNKNOWN_SHOW,
    VIEWER_DAY,
    VIEWER_HOUR,
    VIEWER_SEEN,
    WORLDWIDE,
    Dataset,
)

INT, FLAG = pa.int64(), pa.bool_()
CATALOGUE = pa.schema([("episode_id", INT), ("show_id", INT), ("runtime_seconds", INT)])
COUNTS = [
    "watched_seconds",
    "reach",
    "return_days",
    "loyal_viewers",
    "binge_viewers",
    "binge5_viewers",
    "sole_viewers",
    "near_sole_viewers",
    "new_viewers",
    "new_sole_viewers",
    "multilingual_viewers",
    "valued_ms",
]
SHOW_COUNTS = pa.schema([("show_id", INT), ("country", pa.string()), *((name, INT) for name in COUNTS)])

VALUES: dict[str, Any] = {
    "reach_seconds": 120,
    "near_sole_share": Decimal("0.9"),
    "multilingual_share": Decimal("0.1"),
    "multilingual_seconds": 1800,
    "loyal_share": Decimal("0.5"),
    "sitting_gap_seconds": 1800,
    "binge_episodes": 3,
    "binge5_episodes": 5,
    "binge_completion": Decimal("0.7"),
    "first_day": date(2026, 1, 5),
    "day": date(2026, 1, 5),
    "spans": [{"low": 1, "high": 0}],
    "knows_loyalty": True,
    "starts_before": None,
    "lasts_until": None,
    "unknown_genre": UNKNOWN_GENRE,
    "unknown_show": UNKNOWN_SHOW,
    "worldwide": WORLDWIDE,
}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with the settings of a kernel."""
    with Task(tmp_path, 200).database() as connection:
        yield connection


def give(db: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema | Dataset, rows: Sequence[Sequence[Any]]) -> None:
    """Register rows under a name; the values of a row are in the order of the columns of the schema."""
    arrow = schema.schema if isinstance(schema, Dataset) else schema
    columns = list(zip(*rows, strict=True)) or [()] * len(arrow.names)
    db.register(
        name, pa.table([pa.array(column, kind) for column, kind in zip(columns, arrow.types, strict=True)], arrow)
    )


def ask(db: duckdb.DuckDBPyConnection, name: str, columns: str = "*", **values: object) -> list[tuple[Any, ...]]:
    """Return these columns of the sorted rows of a query."""
    query(name).create_table(db, "answer", VALUES | values)
    return db.execute(f"select {columns} from answer order by all").fetchall()  # noqa: S608 - columns of the test


def at(time: str) -> datetime:
    """Return a time of 2026-01-05, or of another day if the text names one."""
    return datetime.fromisoformat(time if "T" in time else f"2026-01-05T{time}")


def test_viewer_day_adds_up_hours(db: duckdb.DuckDBPyConnection) -> None:
    """The hours of a day are summed by viewer, episode, country and language."""
    one, other = at("10:00"), at("10:30")
    give(
        db,
        "viewer_hour",
        VIEWER_HOUR,
        [
            (7, 11, "KR", "ko", 2, 100, one, other),
            (7, 11, "KR", "ko", 3, 150, one, other),
            (7, 11, "KR", "en", 1, 60, one, one),
            (7, 11, "JP", "ko", 1, 50, one, one),
            (8, 11, "KR", "ko", 1, 40, one, one),
        ],
    )
    assert ask(db, "viewer_day") == [
        (7, 11, "JP", "ko", 1, 50),
        (7, 11, "KR", "en", 1, 60),
        (7, 11, "KR", "ko", 5, 250),
        (8, 11, "KR", "ko", 1, 40),
    ]


def test_first_day_in_the_registry_stays_the_earliest(db: duckdb.DuckDBPyConnection) -> None:
    """A known viewer keeps the earlier first day, a new viewer gets today, and an absent viewer is kept."""
    give(db, "registry", VIEWER_SEEN, [(7, date(2026, 1, 2)), (9, date(2026, 1, 9))])
    give(db, "viewer_day", VIEWER_DAY, [(7, 1, "KR", "ko", 1, 1), (8, 1, "KR", "ko", 1, 1), (8, 2, "KR", "ko", 1, 1)])
    assert ask(db, "viewer_seen", day=date(2026, 1, 5)) == [
        (7, date(2026, 1, 2)),
        (8, date(2026, 1, 5)),
        (9, date(2026, 1, 9)),
    ]


def ask_audience(db: duckdb.DuckDBPyConnection, columns: str, counts: dict[str, int], **row: Any) -> tuple[Any, ...]:
    """Return the audience row of these counts (in two buckets) and of two played episodes of 600 seconds."""
    show = row.get("show_id", 5)
    halves = ([counts.get(name, 0) // 2 for name in COUNTS], [-(-counts.get(name, 0) // 2) for name in COUNTS])
    give(db, "show_counts", SHOW_COUNTS, [(show, "KR", *half) for half in halves])
    give(
        db,
        "episode_countries",
        pa.schema([("episode_id", INT), ("country", pa.string())]),
        [(1, "KR"), (1, "KR"), (2, "KR")],
    )
    give(db, "catalogue", CATALOGUE, row.get("catalogue", [(1, 5, 600), (2, 5, 600)]))
    (answer,) = ask(db, "audience", columns, knows_loyalty=row.get("knows_loyalty", True))
    return answer


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        pytest.param(0, (0, 6000, None, None, 0), id="nobody"),
        pytest.param(1, (1, 6000, 6000.0, 20.0, 1), id="one"),
        pytest.param(10, (10, 6000, 600.0, 2.0, 5), id="ten"),
    ],
)
def test_counts_are_exact(db: duckdb.DuckDBPyConnection, reach: int, expected: tuple[object, ...]) -> None:
    """A row has its counts however few the viewers are, and no averages of nobody."""
    counts = {"watched_seconds": 6000, "reach": reach, "return_days": 20, "loyal_viewers": min(reach, 5)}
    columns = "reach, watched_seconds, average_seconds, return_days, loyal_viewers"
    assert ask_audience(db, columns, counts) == expected


def test_loyal_viewers_of_a_short_period_are_not_published(db: duckdb.DuckDBPyConnection) -> None:
    """While the period is too short to tell them, loyal viewers are null, and the other counts stay."""
    counts = {"watched_seconds": 6000, "reach": 20, "loyal_viewers": 20, "sole_viewers": 4}
    columns = "reach, loyal_viewers, sole_viewers"
    assert ask_audience(db, columns, counts, knows_loyalty=True) == (20, 20, 4)
    assert ask_audience(db, columns, counts, knows_loyalty=False) == (20, None, 4)


def test_views_divide_by_the_runtime_played(db: duckdb.DuckDBPyConnection) -> None:
    """Views are the seconds divided by the runtime of the played episodes, each counted once."""
    counts = {"watched_seconds": 6000, "reach": 10, "valued_ms": 1500}
    columns = "runtime_seconds, views, loyalty, valued_seconds"
    assert ask_audience(db, columns, counts) == (1200, 5.0, 0.5, 1.5)


def test_loyalty_is_at_most_one(db: duckdb.DuckDBPyConnection) -> None:
    """The loyalty of a show is at most 1, even if viewers watch episodes twice."""
    assert ask_audience(db, "loyalty", {"watched_seconds": 12001, "reach": 10}) == (1.0,)


def test_views_without_a_runtime_are_not_known(db: duckdb.DuckDBPyConnection) -> None:
    """Views and loyalty are null if one of the episodes has no known runtime."""
    catalogue = [(1, 5, 600), (2, 5, None)]
    counts = {"watched_seconds": 6000, "reach": 10}
    columns = "reach, runtime_seconds, views, average_seconds, loyalty"
    assert ask_audience(db, columns, counts, catalogue=catalogue) == (10, None, None, 600.0, None)


def test_of_unknown_shows_only_reach_and_seconds_are_published(db: duckdb.DuckDBPyConnection) -> None:
    """The row of unknown shows has reach and seconds only, since it covers many shows."""
    counts = dict.fromkeys(COUNTS, 20)
    assert ask_audience(db, "*", counts, show_id=UNKNOWN_SHOW, catalogue=[]) == (0, "KR", 20, 20, *[None] * 14)


def test_base_sums_the_buckets(db: duckdb.DuckDBPyConnection) -> None:
    """The base has the sums of all buckets."""
    names = ("country", "watched_seconds", "active_viewers", "multilingual_viewers", "new_viewers")
    schema = pa.schema([(name, pa.string() if name == "country" else INT) for name in names])
    give(db, "base_counts", schema, [("KR", 5, 1, 1, 1), ("KR", 2, 4, 0, 1)])
    columns = "active_viewers, watched_seconds, multilingual_viewers, new_viewers"
    assert ask(db, "audience_base", columns) == [(5, 7, 1, 2)]


@pytest.mark.parametrize(
    ("genre", "reach", "expected"),
    [
        pytest.param("Crime", 9, (9, 7, 3), id="some"),
        pytest.param("Crime", 0, (0, 7, 0), id="nobody"),
        pytest.param(UNKNOWN_GENRE, 10, (10, 7, None), id="unknown shows are no genre"),
    ],
)
def test_genre_sums_the_buckets(
    db: duckdb.DuckDBPyConnection, genre: str, reach: int, expected: tuple[object, ...]
) -> None:
    """A genre has the sums of all buckets; viewers of unknown shows are sole viewers of no genre."""
    names = ("genre", "country", "watched_seconds", "reach", "sole_viewers")
    schema = pa.schema([(name, pa.string() if name in {"genre", "country"} else INT) for name in names])
    part = min(reach, 4)
    give(db, "genre_counts", schema, [(genre, "KR", 5, reach - part, min(reach, 3)), (genre, "KR", 2, part, 0)])
    assert ask(db, "audience_genre", "reach, watched_seconds, sole_viewers") == [expected]
