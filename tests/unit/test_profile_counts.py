"""The counts of an audience period, each on a few rows, with thresholds met exactly and missed by one."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.profile.show_counts import Traits, count_base, count_genres, count_shows, find_traits
from jobs.profile.sittings import find_binges, join_sittings
from jobs.profile.watching import Watching, merge_played
from marquee.lake.datasets import (
    SITTING_PERIOD,
    UNKNOWN_GENRE,
    UNKNOWN_SHOW,
    VIEWER_HOUR,
    VIEWER_PERIOD,
    VIEWER_SEEN,
    WORLDWIDE,
    Dataset,
)

INT = pa.int64()
CATALOGUE = pa.schema([("episode_id", INT), ("show_id", INT), ("runtime_seconds", INT)])
SHOW_GENRE = pa.schema([("show_id", INT), ("genre", pa.string())])

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
    "spans": [{"low": 1, "high": 0}],
    "starts_before": None,
    "lasts_until": None,
    "unknown_genre": UNKNOWN_GENRE,
    "unknown_show": UNKNOWN_SHOW,
    "worldwide": WORLDWIDE,
}
Row = tuple[Any, ...]


def table(schema: pa.Schema | Dataset, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Return rows as a table; the values of a row are in the order of the columns."""
    arrow = schema.schema if isinstance(schema, Dataset) else schema
    columns = list(zip(*rows, strict=True)) or [()] * len(arrow.names)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, arrow.types, strict=True)], arrow)


def rows_of(found: pa.Table, columns: str = "") -> list[Row]:
    """Return the sorted rows of a table, with all of its columns, or with these."""
    names = columns.split(", ") if columns else found.column_names
    return sorted(tuple(row[name] for name in names) for row in found.to_pylist())


def watch(rows: Sequence[tuple[int, int, str, int, int, int]]) -> Watching:
    """Return what viewers watched: (viewer, show, country, seconds, days). A show has one episode, with its id."""
    shows = sorted({show for _, show, *_ in rows} - {UNKNOWN_SHOW})
    catalogue = table(CATALOGUE, [(show, show, 600) for show in shows])
    played = [
        (viewer, show, country, "ko", 1, seconds, low, high) for viewer, show, country, seconds, low, high in rows
    ]
    return Watching(table(VIEWER_PERIOD, played), catalogue, VALUES)


def give(watching: Watching, **given: Sequence[Any]) -> Traits:
    """Return traits: those given, by pair of viewer and show or by viewer in order, and otherwise none."""
    pairs, viewers = len(watching.pairs.viewer), len(watching.viewers)
    none = dict.fromkeys(("known", "loyal", "sole", "near_sole", "binge", "binge5"), [False] * pairs)
    by_viewer = dict.fromkeys(("new", "multilingual"), [False] * viewers)
    columns: dict[str, Any] = {**none, **by_viewer, "days": [0] * pairs, **given}
    return Traits(**{name: np.array(column) for name, column in columns.items()})


def at(time: str) -> datetime:
    """Return a time of 2026-01-05, or of another day if the text names one."""
    return datetime.fromisoformat(time if "T" in time else f"2026-01-05T{time}")


def sit(schema: Dataset, rows: Sequence[Row], columns: str = "", **values: object) -> list[Row]:
    """Return the sittings of play intervals."""
    return rows_of(join_sittings(table(schema, rows), VALUES | values), columns)


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
def test_sittings_end_with_a_gap(intervals: list[tuple[str, str]], expected: list[str]) -> None:
    """A sitting continues while the next interval begins less than 30 minutes after the latest end so far."""
    rows = [(7, at(start), number, 60, at(start), at(end)) for number, (start, end) in enumerate(intervals)]
    found = {row[1] for row in sit(SITTING_PERIOD, rows, binge_episodes=1)}
    assert found == {at(start) for start in expected}


def test_sitting_continues_in_another_country_and_language() -> None:
    """The pieces of an hour by country and language are of one sitting, in which an episode has the seconds of all."""
    hours = [
        (7, 11, "KR", "ko", 5, 300, at("10:00"), at("10:05")),
        (7, 11, "KR", "en", 2, 120, at("10:06"), at("10:08")),
        (7, 11, "JP", "ko", 1, 60, at("10:20"), at("10:21")),
        (7, 12, "JP", "ko", 1, 60, at("10:30"), at("10:31")),
    ]
    assert sit(VIEWER_HOUR, hours, "started_at, episode_id, watched_seconds", binge_episodes=1) == [
        (at("10:00"), 11, 480),
        (at("10:00"), 12, 60),
    ]


def test_sittings_are_of_one_viewer() -> None:
    """Two viewers at the same time are in two sittings, and an episode watched twice in one sitting is one row."""
    rows = [
        (7, at("10:00"), 1, 100, at("10:00"), at("10:10")),
        (7, at("10:20"), 1, 50, at("10:20"), at("10:30")),
        (8, at("10:05"), 1, 70, at("10:05"), at("10:06")),
    ]
    assert sit(SITTING_PERIOD, rows, binge_episodes=1) == [
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
def test_sittings_that_matter_are_kept(values: dict[str, Any], kept: list[str]) -> None:
    """A sitting is kept with three different episodes, or at an edge where it may join one of another day."""
    rows = [
        *((7, at("08:00"), episode, 60, at("08:00"), at("08:10")) for episode in (1, 2)),
        *((7, at("12:00"), episode, 60, at("12:00"), at("12:10")) for episode in (1, 2, 3)),
        *((7, at("20:00"), episode, 60, at("20:00"), at("20:10")) for episode in (1, 1, 2)),
    ]
    assert sorted({row[1] for row in sit(SITTING_PERIOD, rows, **values)}) == [at(start) for start in kept]


def test_state_adds_up_days_and_sets_their_bits() -> None:
    """Seconds and plays of the days are summed, and their bits are joined, also for day 64 and later."""
    days = [(7, 1, "KR", "ko", 1, 60, 1, 0), (7, 1, "KR", "ko", 2, 90, 1 << 63, 0), (7, 1, "KR", "ko", 1, 30, 0, 5)]
    assert rows_of(merge_played(table(VIEWER_PERIOD, days))) == [(7, 1, "KR", "ko", 4, 180, 1 | 1 << 63, 5)]


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        pytest.param([("en", 16200), ("ko", 1800)], True, id="1800 seconds and a tenth"),
        pytest.param([("en", 16201), ("ko", 1800)], False, id="less than a tenth"),
        pytest.param([("en", 5000), ("ko", 1799)], False, id="less than 1800 seconds"),
        pytest.param([("en-US", 5000), ("en-GB", 5000)], False, id="variants of one language"),
        pytest.param([("en-US", 1000), ("en", 800), ("pt-BR", 900), ("pt-PT", 900)], True, id="variants are summed"),
        pytest.param([("x-one", 5000), ("x-two", 5000)], True, id="two private languages"),
        pytest.param([("i-ami", 5000), ("i-tao", 5000)], True, id="two languages under i"),
        pytest.param([("en", 9000)], False, id="one language"),
    ],
)
def test_multilingual_viewer(spoken: list[tuple[str, int]], *, expected: bool) -> None:
    """A viewer is multilingual with at least 10 % and 30 minutes in each of two languages."""
    played = table(VIEWER_PERIOD, [(7, 1, "KR", language, 1, seconds, 1, 0) for language, seconds in spoken])
    watching = Watching(played, table(CATALOGUE, []), VALUES)
    assert watching.totals.tolist() == [sum(n for _, n in spoken)]
    assert watching.are_multilingual(VALUES).tolist() == [expected]


@pytest.mark.parametrize(
    ("first_day", "expected"),
    [pytest.param(date(2026, 1, 4), False, id="the day before"), pytest.param(date(2026, 1, 5), True, id="first day")],
)
def test_new_viewer(first_day: date, *, expected: bool) -> None:
    """A viewer is new if the first day is in the period."""
    seen = table(VIEWER_SEEN, [(7, first_day), (8, date(2026, 1, 5))])
    assert watch([(7, 1, "KR", 60, 1, 0)]).are_new(seen, VALUES).tolist() == [expected]


def find(
    trait: str,
    watched: Sequence[tuple[int, int, int, int]] = ((5, 600, 1, 0),),
    sitting: Sequence[tuple[str, int, int]] = (),
    catalogue: Sequence[tuple[int, int, int | None]] = (),
    **values: object,
) -> list[object]:
    """Return a trait of the shows of viewer 7, who watched (show, seconds, days), by show.

    The viewer sat at (start, episode, seconds).
    """
    watching = watch([(7, show, "KR", seconds, low, high) for show, seconds, low, high in watched])
    rows = [(7, at(start), episode, seconds, at(start), at(start)) for start, episode, seconds in sitting]
    binges = find_binges(table(SITTING_PERIOD, rows), table(CATALOGUE, catalogue), watching, VALUES)
    traits = find_traits(watching, table(VIEWER_SEEN, []), binges, VALUES | values)
    found: list[object] = getattr(traits, trait).tolist()
    return found


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(0b0000001, 0, False, id="one span of four"),
        pytest.param(0b1111111, 0, False, id="all days of one span"),
        pytest.param(0b1000001 | 1 << 13, 0, True, id="two of four"),
        pytest.param(1, 1, True, id="the second in the high word"),
    ],
)
def test_loyal_viewer(low: int, high: int, *, expected: bool) -> None:
    """A viewer is loyal to a show with plays in half of the spans, on any number of days of each."""
    week = 0b1111111
    spans = [{"low": week << 7 * number, "high": 0} for number in range(3)] + [{"low": 1 << 63, "high": 0b111111}]
    assert find("loyal", [(5, 600, low, high)], spans=spans) == [expected]


def test_days_of_both_words_are_counted() -> None:
    """The days with a play are those of the low and the high word, over all countries."""
    assert find("days", [(5, 60, 0b101, 0), (5, 60, 0b100, 0b11)]) == [4]


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
def test_sole_and_near_sole_viewer(watched: list[tuple[int, int]], *, sole: bool, near_sole: bool) -> None:
    """A sole viewer of a show watched no second of anything else, and a near-sole viewer at most a tenth."""
    rows = [(show, seconds, 1, 0) for show, seconds in watched]
    place = sorted(show for show, _ in watched).index(5)
    assert (find("sole", rows)[place], find("near_sole", rows)[place]) == (sole, near_sole)


def test_unknown_show_is_nobodys_show() -> None:
    """A viewer of unknown shows only is not the viewer of any show."""
    rows = [(UNKNOWN_SHOW, 600, 1, 0)]
    assert [find(trait, rows) for trait in ("known", "days", "loyal", "sole")] == [[False], [0], [False], [False]]


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
def test_binge_viewer(sitting: list[tuple[str, int, int]], *, binge: bool, binge5: bool) -> None:
    """A binge is three (long: five) episodes of one show in a sitting, each watched to 70 % of its known runtime."""
    catalogue = [*((episode, 5, 600) for episode in (1, 2, 3, 4, 5)), (8, 6, 600), (9, 5, None)]
    assert find("binge", sitting=sitting, catalogue=catalogue) == [binge]
    assert find("binge5", sitting=sitting, catalogue=catalogue) == [binge5]


def count_three(columns: str) -> list[Row]:
    """Return the counts of three viewers: 7 travels, 8 also has unknown shows, 9 watched less than two minutes."""
    watching = watch(
        [
            (7, 5, "KR", 119, 1, 0),
            (7, 5, "JP", 1, 2, 0),
            (8, 5, "KR", 120, 1, 0),
            (8, UNKNOWN_SHOW, "KR", 240, 1, 0),
            (9, 5, "KR", 50, 1, 0),
        ]
    )
    traits = give(  # 7 × show 5, 8 × the unknown show, 8 × show 5, 9 × show 5
        watching,
        known=[True, False, True, True],
        days=[2, 0, 1, 1],
        loyal=[True, False, True, True],
        sole=[True, False, False, True],
        near_sole=[True, False, False, True],
        binge=[True, False, False, True],
        binge5=[False, False, False, True],
        new=[True, True, True],
        multilingual=[True, False, True],
    )
    return rows_of(count_shows(watching, traits, VALUES), f"show_id, country, {columns}")


def test_reach_is_of_the_place() -> None:
    """A viewer is reached in a country with 120 seconds of the show there, and worldwide with 120 seconds in total."""
    assert count_three("watched_seconds, reach") == [
        (0, "**", 240, 1),
        (0, "KR", 240, 1),
        (5, "**", 290, 2),
        (5, "JP", 1, 0),
        (5, "KR", 289, 1),
    ]


def test_days_and_loyalty_of_a_country_are_of_the_show_anywhere() -> None:
    """A viewer reached in Korea who also watched the show in Japan the next day has two days in the row of Korea."""
    watching = watch([(7, 5, "KR", 120, 1, 0), (7, 5, "JP", 60, 2, 0)])
    counts = count_shows(watching, give(watching, known=[True], days=[2], loyal=[True], sole=[True]), VALUES)
    assert rows_of(counts, "country, reach, return_days, loyal_viewers, sole_viewers") == [
        ("**", 1, 2, 1, 1),
        ("JP", 0, 0, 0, 0),
        ("KR", 1, 2, 1, 1),
    ]


def test_what_viewers_are_is_counted_among_the_reached() -> None:
    """The loyal, binge, sole, new and multilingual viewers are counted among the viewers reached in a place."""
    columns = (
        "return_days, loyal_viewers, binge_viewers, sole_viewers, new_viewers, new_sole_viewers, multilingual_viewers"
    )
    assert [row for row in count_three(columns) if row[0] == 5] == [
        (5, "**", 3, 2, 1, 1, 2, 1, 1),
        (5, "JP", 0, 0, 0, 0, 0, 0, 0),
        (5, "KR", 1, 1, 0, 0, 1, 0, 0),
    ]


def test_valued_seconds_weigh_by_share() -> None:
    """The seconds of a viewer are weighted by the show's share of all seconds of the viewer, in whole milliseconds."""
    assert count_three("valued_ms") == [
        (0, "**", 0),
        (0, "KR", 0),
        # 7: 120 × 120/120, 8: 120 × 120/360, 9: 50 × 50/50 seconds
        (5, "**", 120_000 + 40_000 + 50_000),
        (5, "JP", 1_000),
        (5, "KR", 119_000 + 40_000 + 50_000),
    ]


def test_valued_seconds_of_endless_play() -> None:
    """Valued seconds stay exact for a viewer with billions of seconds or none, without parts of a millisecond."""
    rest = [(1, UNKNOWN_SHOW, "KR", 10**9, 1, 0), (3, UNKNOWN_SHOW, "KR", 2, 1, 0)]
    watching = watch([(1, 5, "KR", 3 * 10**9, 1, 0), (2, 5, "KR", 0, 1, 0), (3, 5, "KR", 1, 1, 0), *rest])
    traits = give(watching, known=[False, True, True, False, True])
    assert rows_of(count_shows(watching, traits, VALUES), "show_id, country, valued_ms")[2:] == [
        (5, "**", 2_250_000_000_000 + 333),
        (5, "KR", 2_250_000_000_000 + 333),
    ]


def test_base_counts_viewers_active_anywhere() -> None:
    """The base counts viewers with 120 seconds of anything, in a country and worldwide."""
    watching = watch(
        [(7, 5, "KR", 100, 1, 0), (7, 6, "KR", 20, 1, 0), (7, 5, "JP", 119, 1, 0), (8, UNKNOWN_SHOW, "JP", 120, 1, 0)]
    )
    traits = give(watching, multilingual=[True, False], new=[False, True])
    assert rows_of(count_base(watching, traits, VALUES)) == [
        ("**", 359, 2, 1, 1),
        ("JP", 239, 1, 0, 1),
        ("KR", 120, 1, 1, 0),
    ]


def test_genres_count_each_viewer_once() -> None:
    """Reach takes 120 seconds of the genre together in the country; sole viewers watch no other genre at all."""
    watching = watch(
        [
            (7, 5, "KR", 60, 1, 0),  # together with show 6, two minutes of crime in Korea
            (7, 6, "KR", 60, 1, 0),
            (7, 6, "JP", 119, 1, 0),
            (8, 6, "JP", 120, 1, 0),
            (8, UNKNOWN_SHOW, "JP", 1, 1, 0),  # a second of another show: no sole viewer
        ]
    )
    genres = table(SHOW_GENRE, [(5, "Crime"), (6, "Crime"), (6, "Drama")])
    assert rows_of(count_genres(watching, genres, VALUES)) == [
        ("Crime", "**", 359, 2, 1),
        ("Crime", "JP", 239, 1, 0),
        ("Crime", "KR", 120, 1, 1),
        ("Drama", "**", 299, 2, 0),  # viewer 7 has 60 seconds of show 5, which is no drama
        ("Drama", "JP", 239, 1, 0),
        ("Drama", "KR", 60, 0, 0),
        ("Unknown show", "**", 1, 0, 0),
        ("Unknown show", "JP", 1, 0, 0),
    ]
