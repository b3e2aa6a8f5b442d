"""Keys of rows: sums and orders are the same whether keys are counted or compared, and sums are exact."""

import numpy as np
import pytest

from jobs.profile.arrays import Sums, numbered, order_of

KEYS = np.array([5, 2, 5, 0, 2, 5])


@pytest.mark.parametrize("size", [pytest.param(6, id="in place"), pytest.param(1 << 40, id="sorted")])
def test_sums_by_key(size: int) -> None:
    """Keys 1, 3 and 4 have no row. Key 0 has one of no seconds, and counts nevertheless."""
    sums = Sums(KEYS, size)
    assert sums.keys.tolist() == [0, 2, 5]
    assert sums.sum(np.array([10, 20, 30, 0, 50, 60])).tolist() == [0, 70, 100]
    assert sums.sum(np.array([True, False, True, False, False, False])).tolist() == [0, 0, 2]


def test_large_sums_are_exact() -> None:
    """2**53 + 1 is no fraction, so such sums are not counted as fractions."""
    assert Sums(np.array([0, 0]), 1).sum(np.array([1 << 53, 1])).tolist() == [(1 << 53) + 1]


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
    assert order_of(np.array(keys), stable=True).tolist() == [3, 0, 2, 1]


def test_no_rows_have_no_sums() -> None:
    """Without rows there are no keys."""
    assert order_of(np.empty(0, np.int64), stable=True).tolist() == []
    sums = Sums(np.empty(0, np.int64), 3)
    assert sums.keys.tolist() == sums.sum(np.empty(0, np.int64)).tolist() == []


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
