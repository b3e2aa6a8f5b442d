"""Rows by key: the same with the compiled loops and without them, however keys lie; sums are exact."""

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.profile import arrays
from jobs.profile.arrays import (
    Groups,
    Sums,
    any_of_runs,
    at_least,
    choose,
    count_flags,
    count_spans,
    first_day,
    first_of_runs,
    greatest_so_far,
    least_from_here,
    numbered,
    order_of,
    packed,
    run_of_each,
    scaled,
    split,
    starts_of,
    sum_each,
)

KEYS = np.array([5, 2, 5, 0, 2, 5])
FAR = 1 << 40
"""A key that is not counted in place."""


@pytest.fixture(autouse=True, params=["compiled", "numpy"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Take the compiled loops, then what stands in for them."""
    assert arrays.is_compiled()
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(arrays, "native", None)
        yield request.param


@pytest.mark.parametrize("size", [pytest.param(6, id="in place"), pytest.param(FAR, id="sorted")])
def test_sums_by_key(size: int) -> None:
    """Keys 1, 3 and 4 have no row. Key 0 has one of no seconds and without a flag, and counts nevertheless."""
    sums = Sums(KEYS, size)
    assert sums.keys.tolist() == [0, 2, 5]
    assert sums.sum(np.array([10, 20, 30, 0, 50, 60])).tolist() == [0, 70, 100]
    first = np.array([True, False, True, False, False, False])
    second = np.array([False, True, True, False, True, True])
    counted = sums.count(packed([first, second]), ["first", "second"])
    assert {name: one.tolist() for name, one in counted.items()} == {"first": [0, 0, 2], "second": [0, 2, 2]}


def test_large_sums_are_exact() -> None:
    """2**53 + 1 is no fraction, so such sums are not counted as fractions."""
    assert Sums(np.array([0, 0]), 1).sum(np.array([1 << 53, 1])).tolist() == [(1 << 53) + 1]


def test_flags_of_rows_that_stand_for_several() -> None:
    """The first row of key 1 stands for three with flag 0, the second for two with both flags."""
    counts = count_flags(np.array([1, 1, 0]), np.array([1, 3, 0], np.uint16), 2, 2, np.array([3, 2, 9]))
    assert [one.tolist() for one in counts] == [[0, 5], [0, 2]]


@pytest.mark.parametrize(
    "far",
    [
        pytest.param(7, id="one digit"),
        pytest.param(1 << 20, id="two digits"),
        pytest.param(1 << 60, id="a key and the number of a row have 64 bits"),
        pytest.param((1 << 63) - 1, id="they have more"),
    ],
)
def test_groups(far: int) -> None:
    """Rows of one key stay in their order. A row with a key below 0 is in no group."""
    groups = Groups(np.array([far, 5, -1, far, 0, 5, -far, far]))
    assert groups.keys.tolist() == [0, 5, far]
    assert groups.order.tolist() == [4, 1, 5, 0, 3, 7]
    assert groups.starts.tolist() == [0, 1, 3]
    assert groups.sizes.tolist() == [1, 2, 3]
    column = np.array([1, 2, 4, 8, 16, 32, 64, 128])
    assert groups.sum(column).tolist() == groups.union(column.astype(np.uint64)).tolist() == [16, 34, 137]
    assert groups.least(column).tolist() == [16, 2, 1]
    assert groups.greatest(-column).tolist() == [-16, -2, -1]


def test_groups_of_rows_in_order() -> None:
    """Rows that are in order already are not sorted, and those below 0 are left out."""
    groups = Groups(np.array([-3, 2, 2, 4]))
    assert (groups.keys.tolist(), groups.order.tolist(), groups.starts.tolist()) == ([2, 4], [1, 2, 3], [0, 2])


@given(st.lists(st.one_of(st.integers(-2, 5), st.integers(0, 1 << 30), st.integers(0, (1 << 63) - 1)), max_size=40))
def test_any_keys_are_grouped(keys: list[int]) -> None:
    """Groups are those of a dictionary of lists."""
    expected: dict[int, list[int]] = {}
    for row, key in enumerate(keys):
        if key >= 0:
            expected.setdefault(key, []).append(row)
    groups = Groups(np.array(keys, np.int64))
    assert groups.keys.tolist() == sorted(expected)
    rows = np.split(groups.order, groups.starts[1:]) if len(groups) else []
    assert [one.tolist() for one in rows] == [expected[key] for key in sorted(expected)]


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([7, 65_535, 7, 0], id="16 bits, which are counted"),
        pytest.param([7, 65_536, 7, 0], id="17 bits"),
        pytest.param([7, 65_535, 7, -1], id="below 0"),
    ],
)
def test_rows_with_one_key_keep_their_order(keys: list[int]) -> None:
    """The last row has the least key, the second the greatest, and the two rows of key 7 stay as they are."""
    assert order_of(np.array(keys)).tolist() == [3, 0, 2, 1]


def test_no_rows_have_no_sums() -> None:
    """Without rows there are no keys."""
    none = np.empty(0, np.int64)
    assert order_of(none).tolist() == Groups(none).sum(none).tolist() == Groups(none).sizes.tolist() == []
    sums = Sums(none, 3)
    assert sums.keys.tolist() == sums.sum(none).tolist() == []


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([7, 5, 5, 9, 7], id="close together, some twice"),
        pytest.param([7, 7, 1 << 62, 5, 5, 7], id="far from each other, in runs"),
        pytest.param([-3, 4, -3], id="below zero"),
        pytest.param([], id="none"),
    ],
)
def test_values_are_numbered_in_their_order(values: list[int]) -> None:
    """The least value has number 0, whatever the order and the distance of the rows."""
    distinct, of_row = numbered(np.array(values, np.int64))
    assert distinct.tolist() == sorted(set(values))
    assert [distinct[one] for one in of_row] == values


def test_viewers_of_all_64_bits_are_numbered() -> None:
    """A viewer may have the highest bit, also beside one that differs by the lowest bit only."""
    top = (1 << 64) - 1
    for values in ([top, 0, top - 1, top], [top, top - 1, top]):
        distinct, of_row = numbered(np.array(values, np.uint64))
        assert distinct.tolist() == sorted(set(values))
        assert distinct.dtype.type is np.uint64
        assert [int(distinct[one]) for one in of_row] == values


@pytest.mark.parametrize("size", [pytest.param(40, id="in place"), pytest.param(FAR, id="sorted")])
def test_a_row_counts_for_each_of_its_list(size: int) -> None:
    """List 0 has members 1 and 3, list 1 none, list 2 member 1. Key 11 gets the first and the last row."""
    lists = (np.array([0, 2, 2, 3]), np.array([1, 3, 1]))
    keys, sums = sum_each(np.array([10, 20, 10]), np.array([5, 6, 7]), np.array([0, 1, 2]), lists, size)
    assert (keys.tolist(), sums.tolist()) == ([11, 13], [12, 5])


def test_runs() -> None:
    """Two runs of two and one row, and the same where each row is a run."""
    keys = np.array([4, 4, 9])
    starts = starts_of(keys)
    assert starts.tolist() == [0, 2]
    assert run_of_each(starts, 3).tolist() == [0, 0, 1]
    assert first_of_runs(keys, starts).tolist() == [4, 9]
    flags = np.array([False, True, False])
    assert any_of_runs(flags, starts).tolist() == [True, False]
    assert any_of_runs(flags, np.arange(3)).tolist() == flags.tolist()


def test_values_up_to_here_and_from_here() -> None:
    """The greatest so far and the least from here begin anew with each group."""
    values, group = np.array([3, 1, 2, 9, 4, 7]), np.array([0, 0, 0, 1, 1, 2])
    assert greatest_so_far(values, group).tolist() == [3, 3, 3, 9, 9, 7]
    assert least_from_here(values, group, 10).tolist() == [1, 1, 2, 4, 4, 7]


def test_bitmaps_of_days() -> None:
    """Days 0 and 65, day 63, and day 64: of the first word, of both, and of the second."""
    low, high = np.array([1, 1 << 63, 0], np.uint64), np.array([2, 0, 1], np.uint64)
    assert first_day(low, high).tolist() == [0, 63, 64]
    spans = [{"low": 1, "high": 0}, {"low": 1 << 63, "high": 2}, {"low": 0, "high": 1}]
    assert count_spans(low, high, spans).tolist() == [2, 1, 1]


def test_numbers_row_by_row() -> None:
    """Which rows have a number, which another; and two numbers of one key."""
    assert choose(np.array([True, False]), np.array([5, 6]), -1).tolist() == [5, -1]
    assert [one.tolist() for one in split(np.array([23, 9]), 10)] == [[2, 0], [3, 9]]
    assert at_least(np.array([7, 6]), Decimal("0.7"), np.array([10, 10])).tolist() == [True, False]


def test_shares_are_exact() -> None:
    """7 × 7 × 1000 / 9 is 5,444.4; of nothing it is 0. A product of 70 bits is exact, too."""
    part, whole = np.array([7, 1]), np.array([9, 0])
    assert scaled(part, part, 1000, whole).tolist() == [5444, 0]
    large = np.array([1 << 30])
    assert scaled(large, large, 1000, np.array([1 << 20])).tolist() == [1000 << 40]
