"""Sums by key: the same whether keys are counted in place or sorted, and exact beyond what fractions can hold."""

import numpy as np
import pytest

from jobs.profile.arrays import Sums

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


def test_no_rows_have_no_sums() -> None:
    """Without rows there are no keys."""
    sums = Sums(np.empty(0, np.int64), 3)
    assert sums.keys.tolist() == sums.sum(np.empty(0, np.int64)).tolist() == []
