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
    SITTING_PERIOD,
    UNKNOWN_SHOW,
    VIEWER_DAY,
    VIEWER_HOUR,
    VIEWER_PERIOD,
    VIEWER_SEEN,
    WORLDWIDE,
    Dataset,
)

INT, FLAG = pa.int64(), pa.bool_()
CATALOGUE = pa.schema([("episode_id", INT), ("show_id", INT), ("runtime_seconds", INT)])
WATCHED = pa.schema(
    [
        ("viewer", pa.uint64()),
        ("show_id", INT),
        ("country", pa.string()),
        ("watched_seconds", INT),
        ("days_low", pa.uint64()),
        ("days_high", pa.uint64()),
    ]
)
VIEWER = pa.schema([("viewer", pa.uint64()), ("watched_seconds", INT), ("is_multilingual", FLAG), ("is_new", FLAG)])
VIEWER_SHOW = pa.schema(
    [("viewer", pa.uint64()), ("show_id", INT), ("watched_seconds", INT), ("days", INT)]
    + [(f"is_{name}", FLAG) for name in ("loyal", "sole", "near_sole", "binge", "binge5")]
)
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
    "min_cell": 10,
    "first_day": date(2026, 1, 5),
    "day": date(2026, 1, 5),
    "spans": [{"low": 1, "high": 0}],
    "starts_before": None,
    "lasts_until": None,
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


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        pytest.param([("10:00", "10:10"), ("10:39:59", "10:50")], ["10:00"], id="a second short of the gap joins"),
        pytest.param([("10:00", "10:10"), ("10:40", "10:50")], ["10:00", "10:40"], id="the gap parts"),
        pytest.param(
            [("10:00", "11:30"), ("10:20", "10:30"), ("11:45", "11:50")], ["10:00"], id="an interval in another"
        ),
        pytest.param([("10:50", "11:00"), ("10:00", "10:30")], ["10:00"], id="rows in any order"),
        pytest.param([("10:00", "10:00"), ("10:00", "10:05"), ("10:34", "10:34")], ["10:00"], id="two begin at once"),
        pytest.param([("09:00", "09:05"), ("10:00", "10:00"), ("10:00", "10:01")], ["09:00", "10:00"], id="two go on"),
        pytest.param([("23:50", "23:59"), ("2026-01-06T00:20", "2026-01-06T00:25")], ["23:50"], id="across midnight"),
    ],
)
def test_sittings_end_with_a_gap(
    db: duckdb.DuckDBPyConnection, intervals: list[tuple[str, str]], expected: list[str]
) -> None:
    """A sitting continues while the next interval begins less than 30 minutes after the latest end so far."""
    rows = [(7, at(start), number, 60, at(start), at(end)) for number, (start, end) in enumerate(intervals)]
    give(db, "play_interval", SITTING_PERIOD, rows)
    found = {row[1] for row in ask(db, "sittings", binge_episodes=1)}
    assert found == {at(start) for start in expected}


def test_sittings_are_of_one_viewer(db: duckdb.DuckDBPyConnection) -> None:
    """Two viewers at the same time are in two sittings, and an episode watched twice in one sitting is one row."""
    give(
        db,
        "play_interval",
        SITTING_PERIOD,
        [
            (7, at("10:00"), 1, 100, at("10:00"), at("10:10")),
            (7, at("10:20"), 1, 50, at("10:20"), at("10:30")),
            (8, at("10:05"), 1, 70, at("10:05"), at("10:06")),
        ],
    )
    assert ask(db, "sittings", binge_episodes=1) == [
        (7, at("10:00"), 1, 150, at("10:00"), at("10:30")),
        (8, at("10:05"), 1, 70, at("10:05"), at("10:06")),
    ]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        pytest.param({}, ["12:00"], id="three episodes"),
        pytest.param({"starts_before": at("08:00")}, ["12:00"], id="starts at the bound"),
        pytest.param({"starts_before": at("08:00:01")}, ["08:00", "12:00"], id="starts before"),
        pytest.param({"lasts_until": at("20:10")}, ["12:00", "20:00"], id="lasts until the bound"),
        pytest.param({"lasts_until": at("20:10:01")}, ["12:00"], id="ends before"),
    ],
)
def test_sittings_that_matter_are_kept(db: duckdb.DuckDBPyConnection, values: dict[str, Any], kept: list[str]) -> None:
    """A sitting is kept with three different episodes, or at an edge where it may join one of another day."""
    give(
        db,
        "play_interval",
        SITTING_PERIOD,
        [
            *((7, at("08:00"), episode, 60, at("08:00"), at("08:10")) for episode in (1, 2)),
            *((7, at("12:00"), episode, 60, at("12:00"), at("12:10")) for episode in (1, 2, 3)),
            *((7, at("20:00"), episode, 60, at("20:00"), at("20:10")) for episode in (1, 1, 2)),
        ],
    )
    assert sorted({row[1] for row in ask(db, "sittings", **values)}) == [at(start) for start in kept]


def test_state_adds_up_days_and_sets_their_bits(db: duckdb.DuckDBPyConnection) -> None:
    """Seconds and plays of the days are summed, and their bits are joined, also for day 64 and later."""
    give(
        db,
        "played",
        VIEWER_PERIOD,
        [(7, 1, "KR", "ko", 1, 60, 1, 0), (7, 1, "KR", "ko", 2, 90, 1 << 63, 0), (7, 1, "KR", "ko", 1, 30, 0, 5)],
    )
    assert ask(db, "viewer_period") == [(7, 1, "KR", "ko", 4, 180, 1 | 1 << 63, 5)]


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        pytest.param([("en", 16200), ("ko", 1800)], True, id="1800 seconds and a tenth"),
        pytest.param([("en", 16201), ("ko", 1800)], False, id="less than a tenth"),
        pytest.param([("en", 5000), ("ko", 1799)], False, id="less than 1800 seconds"),
        pytest.param([("en-US", 5000), ("en-GB", 5000)], False, id="variants of one language"),
        pytest.param([("en-US", 1000), ("en", 800), ("pt-BR", 900), ("pt-PT", 900)], True, id="variants are summed"),
        pytest.param([("en", 9000)], False, id="one language"),
    ],
)
def test_multilingual_viewer(db: duckdb.DuckDBPyConnection, spoken: list[tuple[str, int]], *, expected: bool) -> None:
    """A viewer is multilingual with at least 10 % and 30 minutes in each of two languages."""
    give(db, "played", VIEWER_PERIOD, [(7, 1, "KR", language, 1, seconds, 1, 0) for language, seconds in spoken])
    give(db, "viewer_seen", VIEWER_SEEN, [(7, date(2026, 1, 5))])
    assert ask(db, "viewer", "watched_seconds, is_multilingual") == [(sum(n for _, n in spoken), expected)]


@pytest.mark.parametrize(
    ("first_day", "expected"),
    [pytest.param(date(2026, 1, 4), False, id="the day before"), pytest.param(date(2026, 1, 5), True, id="first day")],
)
def test_new_viewer(db: duckdb.DuckDBPyConnection, first_day: date, *, expected: bool) -> None:
    """A viewer is new if the first day is in the period."""
    give(db, "played", VIEWER_PERIOD, [(7, 1, "KR", "ko", 1, 60, 1, 0)])
    give(db, "viewer_seen", VIEWER_SEEN, [(7, first_day), (8, date(2026, 1, 5))])
    assert ask(db, "viewer", "viewer, is_new") == [(7, expected)]


def ask_viewer_show(
    db: duckdb.DuckDBPyConnection,
    columns: str,
    watched: Sequence[tuple[int, int, int, int]] = ((5, 600, 1, 0),),
    sitting: Sequence[tuple[str, int, int]] = (),
    catalogue: Sequence[tuple[int, int, int | None]] = (),
    **values: object,
) -> list[tuple[Any, ...]]:
    """Return viewer_show of viewer 7, who watched (show, seconds, days) and sat at (start, episode, seconds)."""
    give(db, "watched", WATCHED, [(7, show, "KR", seconds, low, high) for show, seconds, low, high in watched])
    give(db, "viewer", VIEWER, [(7, sum(seconds for _, seconds, _, _ in watched), False, False)])
    give(
        db,
        "sitting",
        SITTING_PERIOD,
        [(7, at(start), episode, seconds, at(start), at(start)) for start, episode, seconds in sitting],
    )
    give(db, "catalogue", CATALOGUE, catalogue)
    return ask(db, "viewer_show", columns, **values)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(0b0000001, 0, False, id="one span of four"),
        pytest.param(0b1111111, 0, False, id="all days of one span"),
        pytest.param(0b1000001 | 1 << 13, 0, True, id="two of four"),
        pytest.param(1, 1, True, id="the second in the high word"),
    ],
)
def test_loyal_viewer(db: duckdb.DuckDBPyConnection, low: int, high: int, *, expected: bool) -> None:
    """A viewer is loyal to a show with plays in half of the spans, on any number of days of each."""
    week = 0b1111111
    spans = [{"low": week << 7 * number, "high": 0} for number in range(3)] + [{"low": 1 << 63, "high": 0b111111}]
    assert ask_viewer_show(db, "is_loyal", [(5, 600, low, high)], spans=spans) == [(expected,)]


def test_days_of_both_words_are_counted(db: duckdb.DuckDBPyConnection) -> None:
    """The days with a play are those of the low and the high word, over all countries."""
    assert ask_viewer_show(db, "days", [(5, 60, 0b101, 0), (5, 60, 0b100, 0b11)]) == [(4,)]


@pytest.mark.parametrize(
    ("watched", "sole", "near_sole"),
    [
        pytest.param([(5, 900)], True, True, id="nothing else"),
        pytest.param([(5, 900), (6, 0)], True, True, id="a play of no seconds of another"),
        pytest.param([(5, 900), (6, 100)], False, True, id="nine tenths"),
        pytest.param([(5, 899), (6, 100)], False, False, id="less than nine tenths"),
        pytest.param([(5, 900), (UNKNOWN_SHOW, 100)], False, True, id="an orphan counts in the total"),
    ],
)
def test_sole_and_near_sole_viewer(
    db: duckdb.DuckDBPyConnection, watched: list[tuple[int, int]], *, sole: bool, near_sole: bool
) -> None:
    """A sole viewer of a show watched no second of anything else, and a near-sole viewer at most a tenth."""
    rows = ask_viewer_show(db, "show_id, is_sole, is_near_sole", [(show, seconds, 1, 0) for show, seconds in watched])
    assert rows[0] == (5, sole, near_sole)


def test_unknown_show_is_nobodys_show(db: duckdb.DuckDBPyConnection) -> None:
    """A viewer of unknown shows only is not the viewer of any show."""
    assert ask_viewer_show(db, "*", [(UNKNOWN_SHOW, 600, 1, 0)]) == []


@pytest.mark.parametrize(
    ("sitting", "binge", "binge5"),
    [
        pytest.param([("10:00", 1, 420), ("10:00", 2, 420), ("10:00", 3, 420)], True, False, id="three to 70 percent"),
        pytest.param([("10:00", 1, 420), ("10:00", 2, 420), ("10:00", 3, 419)], False, False, id="one a second short"),
        pytest.param([("10:00", 1, 420), ("10:00", 2, 420), ("12:00", 3, 420)], False, False, id="two sittings"),
        pytest.param([("10:00", 1, 420), ("10:00", 2, 420), ("10:00", 8, 900)], False, False, id="another show"),
        pytest.param([("10:00", 1, 420), ("10:00", 2, 420), ("10:00", 9, 900)], False, False, id="unknown runtime"),
        pytest.param([("10:00", 1, 420), ("10:00", 2, 420), ("10:00", 77, 900)], False, False, id="an orphan"),
        pytest.param([("10:00", episode, 420) for episode in (1, 2, 3, 4)], True, False, id="four"),
        pytest.param([("10:00", episode, 420) for episode in (1, 2, 3, 4, 5)], True, True, id="five"),
    ],
)
def test_binge_viewer(
    db: duckdb.DuckDBPyConnection, sitting: list[tuple[str, int, int]], *, binge: bool, binge5: bool
) -> None:
    """A binge is three (long: five) episodes of one show in a sitting, each watched to 70 % of its known runtime."""
    catalogue = [*((episode, 5, 600) for episode in (1, 2, 3, 4, 5)), (8, 6, 600), (9, 5, None)]
    rows = ask_viewer_show(db, "is_binge, is_binge5", sitting=sitting, catalogue=catalogue)
    assert rows == [(binge, binge5)]


def ask_show_counts(db: duckdb.DuckDBPyConnection, columns: str) -> list[tuple[Any, ...]]:
    """Return the counts of three viewers: 7 travels, 8 also has unknown shows, 9 watched less than two minutes."""
    give(
        db,
        "watched",
        WATCHED,
        [
            (7, 5, "KR", 119, 1, 0),
            (7, 5, "JP", 1, 2, 0),
            (8, 5, "KR", 120, 1, 0),
            (8, UNKNOWN_SHOW, "KR", 240, 1, 0),
            (9, 5, "KR", 50, 1, 0),
        ],
    )
    give(db, "viewer", VIEWER, [(7, 120, True, True), (8, 360, False, True), (9, 50, True, True)])
    give(
        db,
        "viewer_show",
        VIEWER_SHOW,
        [
            (7, 5, 120, 2, True, True, True, True, False),
            (8, 5, 120, 1, True, False, False, False, False),
            (9, 5, 50, 1, True, True, True, True, True),
        ],
    )
    return ask(db, "show_counts", f"show_id, country, {columns}")


def test_reach_is_of_the_place(db: duckdb.DuckDBPyConnection) -> None:
    """A viewer is reached in a country with 120 seconds of the show there, and worldwide with 120 seconds in total."""
    assert ask_show_counts(db, "watched_seconds, reach") == [
        (0, "**", 240, 1),
        (0, "KR", 240, 1),
        (5, "**", 290, 2),
        (5, "JP", 1, 0),
        (5, "KR", 289, 1),
    ]


def test_what_viewers_are_is_counted_among_the_reached(db: duckdb.DuckDBPyConnection) -> None:
    """The loyal, binge, sole, new and multilingual viewers are counted among the viewers reached in a place."""
    columns = (
        "return_days, loyal_viewers, binge_viewers, sole_viewers, new_viewers, new_sole_viewers, multilingual_viewers"
    )
    assert [row for row in ask_show_counts(db, columns) if row[0] == 5] == [
        (5, "**", 3, 2, 1, 1, 2, 1, 1),
        (5, "JP", 0, 0, 0, 0, 0, 0, 0),
        (5, "KR", 1, 1, 0, 0, 1, 0, 0),
    ]


def test_valued_seconds_weigh_by_share(db: duckdb.DuckDBPyConnection) -> None:
    """The seconds of a viewer are weighted by the show's share of all seconds of the viewer, in whole milliseconds."""
    assert ask_show_counts(db, "valued_ms") == [
        (0, "**", 0),
        (0, "KR", 0),
        # 7: 120 × 120/120, 8: 120 × 120/360, 9: 50 × 50/50 seconds
        (5, "**", 120_000 + 40_000 + 50_000),
        (5, "JP", 1_000),
        (5, "KR", 119_000 + 40_000 + 50_000),
    ]


def test_valued_seconds_of_endless_play(db: duckdb.DuckDBPyConnection) -> None:
    """Valued seconds stay exact for a viewer with billions of seconds or none, without parts of a millisecond."""
    give(db, "watched", WATCHED, [(1, 5, "KR", 3 * 10**9, 1, 0), (2, 5, "KR", 0, 1, 0), (3, 5, "KR", 1, 1, 0)])
    give(db, "viewer", VIEWER, [(1, 4 * 10**9, False, False), (2, 0, False, False), (3, 3, False, False)])
    flags = (False,) * 5
    give(db, "viewer_show", VIEWER_SHOW, [(1, 5, 3 * 10**9, 1, *flags), (2, 5, 0, 1, *flags), (3, 5, 1, 1, *flags)])
    assert ask(db, "show_counts", "valued_ms")[0] == (2_250_000_000_000 + 333,)


def test_base_counts_viewers_active_anywhere(db: duckdb.DuckDBPyConnection) -> None:
    """The base counts viewers with 120 seconds of anything, in a country and worldwide."""
    give(
        db,
        "watched",
        WATCHED,
        [(7, 5, "KR", 100, 1, 0), (7, 6, "KR", 20, 1, 0), (7, 5, "JP", 119, 1, 0), (8, UNKNOWN_SHOW, "JP", 120, 1, 0)],
    )
    give(db, "viewer", VIEWER, [(7, 239, True, False), (8, 120, False, True)])
    assert ask(db, "base_counts") == [("**", 359, 2, 1, 1), ("JP", 239, 1, 0, 1), ("KR", 120, 1, 1, 0)]


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
    (answer,) = ask(db, "audience", columns)
    return answer


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        pytest.param(0, (0, 6000, None, None, 0), id="nobody"),
        pytest.param(9, (None, 6000, None, None, None), id="too few to tell"),
        pytest.param(10, (10, 6000, 600.0, 2.0, 5), id="enough"),
    ],
)
def test_counts_of_few_viewers_are_not_published(
    db: duckdb.DuckDBPyConnection, reach: int, expected: tuple[object, ...]
) -> None:
    """A row with 1 to 9 viewers has its seconds only."""
    counts = {"watched_seconds": 6000, "reach": reach, "return_days": 20, "loyal_viewers": min(reach, 5)}
    columns = "reach, watched_seconds, average_seconds, return_days, loyal_viewers"
    assert ask_audience(db, columns, counts) == expected


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


@pytest.mark.parametrize(
    ("active", "expected"),
    [pytest.param(9, (None, 7, None, None), id="few"), pytest.param(10, (10, 7, 3, 2), id="enough")],
)
def test_base_of_few_viewers_is_not_published(
    db: duckdb.DuckDBPyConnection, active: int, expected: tuple[object, ...]
) -> None:
    """The base has its numbers of viewers only from min_cell viewers on."""
    names = ("country", "watched_seconds", "active_viewers", "multilingual_viewers", "new_viewers")
    schema = pa.schema([(name, pa.string() if name == "country" else INT) for name in names])
    give(db, "base_counts", schema, [("KR", 5, active - 4, 3, 1), ("KR", 2, 4, 0, 1)])
    columns = "active_viewers, watched_seconds, multilingual_viewers, new_viewers"
    assert ask(db, "audience_base", columns) == [expected]
