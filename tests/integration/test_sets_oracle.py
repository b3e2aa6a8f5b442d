"""Sets of shows against the oracle on generated corner cases: losses by country, orders of shows, and overlaps.

Everything is small, so that thresholds are met: seconds around reach_seconds (120), a handful of viewers, ties.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from jobs.profile import sets
from jobs.profile.queries import query
from jobs.profile.sets import Show, Watchers, order_shows, overlaps
from jobs.profile.settings import ProfileOptions
from marquee.engine.duckdb import open_database
from marquee.lake.datasets import SHOW_VIEWER, WORLDWIDE
from tests.oracle.sets import Sets, Watched

REACH_S = 120
BUCKETS = 2
GENRES = {1: ["Crime", "Drama"], 2: ["Crime"], 3: ["Drama"], 4: [], 5: ["Nature"]}
COUNTED = ("reach", "left_with_nothing", "lose_nearly_all", "at_risk_seconds")

watched = st.dictionaries(
    st.tuples(st.integers(0, 7), st.integers(0, 5), st.sampled_from(["KR", "KR", "JP"])),
    st.sampled_from([0, 1, 60, 119, 120, 121, 1080, 1200]),
    min_size=1,
    max_size=25,
)


def buckets_of(seconds: Watched) -> list[pa.Table]:
    """Return the rows of show_viewer, by bucket, with the viewers of a bucket numbered in any order."""
    totals: Counter[int] = Counter()
    for (viewer, _, _), one in seconds.items():
        totals[viewer] += one
    tables = []
    for bucket in range(BUCKETS):
        numbers = {viewer: number for number, viewer in enumerate(one for one in totals if one % BUCKETS == bucket)}
        rows = [
            {
                "show_id": show,
                "country": country,
                "viewer_number": numbers[viewer],
                "watched_seconds": one,
                "viewer_seconds": totals[viewer],
            }
            for (viewer, show, country), one in seconds.items()
            if viewer in numbers
        ]
        table = pa.Table.from_pylist(rows, schema=SHOW_VIEWER.schema)
        tables.append(table.sort_by([(name, "ascending") for name in SHOW_VIEWER.sort]))
    return tables


def watchers_of(seconds: Watched, oracle: Sets) -> Watchers:
    """Return the watchers of the shows, whose figures worldwide are the oracle's."""
    shows = []
    for show in oracle.shows:
        figures = oracle.seconds_of({show}), len(oracle.reached({show})), len(oracle.lost({show}))
        shows.append(Show(show, *figures))
    return Watchers(shows, buckets_of(seconds), REACH_S)


def lose(seconds: Watched, shows: Sequence[int]) -> dict[str, Counter[str]]:
    """Return the sums over all buckets of loss.sql, by country."""
    options = ProfileOptions(reach_seconds=REACH_S).model_dump()
    found: dict[str, Counter[str]] = {}
    for table in buckets_of(seconds):
        with open_database() as db:
            db.register(SHOW_VIEWER.name, table)
            rows = query("loss").select(db, {**options, "shows": shows, "worldwide": WORLDWIDE}).to_pylist()
        for row in rows:
            found.setdefault(row.pop("country"), Counter()).update(row)
    return found


@given(seconds=watched, shows=st.sets(st.integers(1, 6), min_size=1))
@example(seconds={(1, 1, "KR"): 100, (1, 2, "KR"): 100}, shows={1, 2})  # two shows that reach nobody alone
@example(seconds={(1, 1, "KR"): 119, (1, 1, "JP"): 119}, shows={1})  # a traveller, reached in neither country
@example(seconds={(1, 1, "KR"): 1080, (1, 2, "KR"): 120}, shows={1})  # exactly 90 %
@example(seconds={(1, 1, "KR"): 1200, (1, 0, "KR"): 1}, shows={1})  # and a second of an unknown show
@example(seconds={(1, 1, "KR"): 1200, (1, 2, "KR"): 0}, shows={1})  # and another show for no time
def test_losses_are_those_of_the_oracle(seconds: dict[tuple[int, int, str], int], shows: set[int]) -> None:
    """Every count in every country equals the result of loops over all viewers."""
    found = lose(seconds, sorted(shows))
    expected = Sets(seconds, REACH_S, Fraction(9, 10)).losses(shows)
    event(f"set effect: {any(one['left_with_nothing'] != one['one_by_one'] for one in expected.values())}")
    assert {
        place: {name: counts[name] for name in COUNTED} for place, counts in found.items() if any(counts.values())
    } == {
        place: {name: row[name] for name in COUNTED}
        for place, row in expected.items()
        if any(row[name] for name in COUNTED)
    }


@given(seconds=watched, order_reach=st.sampled_from([1, 1, 3]))
@example(seconds={(1, 1, "KR"): 200, (1, 2, "KR"): 200, (2, 3, "KR"): 200}, order_reach=1)  # two go without a loss
@example(seconds={(1, 2, "KR"): 200, (2, 1, "KR"): 200}, order_reach=1)  # a tie: the lower id is first
@example(seconds={(1, 1, "KR"): 200, (1, 2, "KR"): 0}, order_reach=1)  # a show that nobody watched for any time
def test_orders_are_those_of_the_oracle(seconds: dict[tuple[int, int, str], int], order_reach: int) -> None:
    """Each step of each order equals that of a greedy choice which counts all viewers again."""
    oracle = Sets(seconds, REACH_S, Fraction(9, 10), order_reach)
    rows = order_shows(watchers_of(seconds, oracle), order_reach).to_pylist()
    found: dict[str, list[tuple[int, int, int]]] = {}
    for number, row in enumerate(sorted(rows, key=lambda one: (one["strategy"], one["step"]))):
        assert rows[number] == row
        found.setdefault(row["strategy"], []).append((row["show_id"], row["viewers"], row["watched_seconds"]))
    expected = {name: steps for name, steps in oracle.orders().items() if steps}
    event(f"greedy differs: {expected.get('remove') != expected.get('remove_by_sole')}")
    assert found == expected


@given(seconds=watched)
@example(seconds={(1, 1, "KR"): 200, (1, 3, "KR"): 1, (2, 1, "KR"): 200, (2, 5, "KR"): 300})
def test_overlaps_are_those_of_the_oracle(seconds: dict[tuple[int, int, str], int]) -> None:
    """The viewers of each pair of shows, and those without another show of a genre, equal the oracle's."""
    oracle = Sets(seconds, REACH_S, Fraction(9, 10))
    rows = overlaps(watchers_of(seconds, oracle), GENRES).to_pylist()
    found = {(row["show_id"], row["other_show_id"]): (row["viewers"], row["only_of_genre_viewers"]) for row in rows}
    assert list(found) == sorted(found)
    assert found == oracle.overlaps(GENRES)


def test_viewers_are_compared_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlaps are the same when viewers are compared 64 at a time, the least that fits a word."""
    seconds: Mapping[Any, int] = {
        (viewer, show, "KR"): 200 for viewer in range(200) for show in (1, 2, 3) if viewer % show == 0
    }
    oracle = Sets(seconds, REACH_S, Fraction(9, 10), 1)
    watchers = watchers_of(seconds, oracle)
    monkeypatch.setattr(sets, "VIEWERS_AT_ONCE", 64)
    rows = overlaps(watchers, {}).to_pylist()
    found = {(row["show_id"], row["other_show_id"]): row["viewers"] for row in rows}
    # Of 0 to 199 there are 100 even numbers, 67 multiples of 3, and 34 multiples of 6.
    half = {(1, 2): 100, (1, 3): 67, (2, 3): 34}
    assert found == {(1, 1): 200, (2, 2): 100, (3, 3): 67, **half, **{pair[::-1]: both for pair, both in half.items()}}


def test_orders_have_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders end after their number of steps, and overlaps have the shows of most reach."""
    monkeypatch.setattr(sets, "REMOVED", 3)
    monkeypatch.setattr(sets, "KEPT", 2)
    monkeypatch.setattr(sets, "OVERLAPPING", 2)
    seconds = {(viewer, show, "KR"): 200 for show in range(1, 6) for viewer in range(show)}  # show 5 has five viewers
    watchers = watchers_of(seconds, Sets(seconds, REACH_S, Fraction(9, 10), 1))
    steps = Counter(row["strategy"] for row in order_shows(watchers, 1).to_pylist())
    removing = ("remove", "remove_by_hours", "remove_by_reach", "remove_by_sole")
    assert steps == {**dict.fromkeys(removing, 3), "keep": 2, "keep_by_reach": 2, "keep_by_hours": 2}
    rows = overlaps(watchers, {}).to_pylist()
    assert [(row["show_id"], row["other_show_id"], row["viewers"]) for row in rows] == [
        (4, 4, 4),
        (4, 5, 4),
        (5, 4, 4),
        (5, 5, 5),
    ]
