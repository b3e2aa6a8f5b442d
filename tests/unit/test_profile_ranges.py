"""Ranges of viewers: each has all rows of its viewers, whatever files they are in, and memory holds few rows."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.profile.ranges import SortedFile, in_ranges
from marquee.lake.datasets import VIEWER_DAY, VIEWER_SEEN
from marquee.lake.parquet import to_parquet

Viewers = Sequence[int]
DAY = date(2026, 1, 5)


def days(folder: Path, *files: Viewers) -> list[SortedFile]:
    """Return files of viewer_day, one for each day, with a row for each viewer given."""
    found = []
    for number, viewers in enumerate(files):
        rows = [(viewer, episode, "KR", "ko", 1, 60) for episode, viewer in enumerate(viewers)]
        columns = list(zip(*rows, strict=True)) or [()] * len(VIEWER_DAY.columns)
        table = pa.table(
            [pa.array(one, kind) for one, kind in zip(columns, VIEWER_DAY.schema.types, strict=True)], VIEWER_DAY.schema
        )
        path = folder / f"day-{number}"
        path.write_bytes(to_parquet(table, VIEWER_DAY))
        found.append(SortedFile(path, VIEWER_DAY, number))
    return found


def seen(folder: Path, viewers: Viewers) -> SortedFile:
    """Return a file of viewer_seen."""
    table = pa.table([pa.array(viewers, pa.uint64()), pa.array([DAY] * len(viewers))], VIEWER_SEEN.schema)
    path = folder / "seen"
    path.write_bytes(to_parquet(table, VIEWER_SEEN))
    return SortedFile(path, VIEWER_SEEN)


def viewers_of(tables: Sequence[pa.Table]) -> list[list[int]]:
    """Return the viewers of each table."""
    return [table["viewer"].to_pylist() for table in tables]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files two rows at a time."""
    monkeypatch.setattr("jobs.profile.ranges.LEAST", 2)


def test_range_has_all_rows_of_its_viewers(tmp_path: Path) -> None:
    """No viewer is in two ranges, and the registry follows: 6 is in no file of a day, and 9 comes after all."""
    files = days(tmp_path, [1, 1, 3, 3, 5, 7], [1, 2, 3, 3, 3, 8], [8])
    found = list(in_ranges([files[:2], files[2:]], [[seen(tmp_path, [1, 2, 3, 5, 6, 7, 8, 9])]], rows=7))
    assert [[viewers_of(group) for group in tables] for tables in found] == [
        [[[1, 1], [1, 2]], [[]], [[1, 2]]],
        [[[3, 3, 5, 7], [3, 3, 3, 8]], [[8]], [[3, 5, 6, 7, 8, 9]]],
    ]


def test_viewer_with_more_rows_than_a_range_is_not_cut(tmp_path: Path) -> None:
    """A viewer of seven rows is in one range, although a range has about two."""
    files = days(tmp_path, [1, 4, 4, 4, 4, 4, 4, 4, 5, 6, 7], [4, 8])
    found = [viewers_of(group) for (group,) in in_ranges([files], [], rows=2)]
    assert [sorted({one for file in files for one in file}) for files in found] == [[1], [4, 5], [6, 7, 8]]
    assert found[1] == [[4, 4, 4, 4, 4, 4, 4, 5], [4]]


def test_rows_of_a_day_have_its_bit(tmp_path: Path) -> None:
    """The rows of the second file have the bit of day 1, and nothing in the other word."""
    ((group,),) = in_ranges([days(tmp_path, [1], [1, 2])], [])
    assert [(table["days_low"].to_pylist(), table["days_high"].to_pylist()) for table in group] == [
        ([1], [0]),
        ([2, 2], [0, 0]),
    ]


def test_no_files_are_an_empty_range(tmp_path: Path) -> None:
    """A bucket without viewers has a range, whose counts are zero."""
    assert list(in_ranges([[]], [])) == [[[]]]
    assert [viewers_of(group) for (group,) in in_ranges([days(tmp_path, [])], [])] == [[[]]]
