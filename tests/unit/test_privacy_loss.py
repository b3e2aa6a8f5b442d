"""The table of what protection costs: shares of cells, viewers and hours, by hand."""

import pyarrow as pa
import pytest

from marquee.lake.datasets import AUDIENCE
from tools.privacy_loss import measure, part_of, times

H = 3600


def audience(*cells: tuple[int, int]) -> pa.Table:
    """Return cells of one show in several countries, each with its reach and hours."""
    rows = [
        {"show_id": 1, "country": f"C{number}", "reach": reach, "watched_seconds": hours * H}
        for number, (reach, hours) in enumerate(cells)
    ]
    empty = {one.name: None for one in AUDIENCE.columns}
    schema = pa.schema([field.with_nullable(nullable=True) for field in AUDIENCE.schema])
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=schema)


def test_loss_by_hand() -> None:
    """Of four cells with viewers, 2 and 6 were withheld; 2 are told as none, and 2 and 6 have no hours."""
    found = measure(audience((0, 1), (2, 10), (6, 20), (22, 30), (70, 40)), 10)
    assert (found.cells, found.viewers) == (4, 100)
    assert (found.before_cells, found.before_viewers) == (0.5, 0.08)
    assert (found.none_cells, found.none_viewers) == (0.25, 0.02)
    assert (found.without_hours, found.hours) == (0.5, 0.3)
    assert found.error == pytest.approx(2 / 92)  # 22 are told as 20, 70 as 70


def test_part_of_the_viewers() -> None:
    """Viewer 7 reached the show with two minutes in Korea, and viewer 8 is not of the part."""
    columns = {
        "show_id": [1, 1, 1],
        "country": ["KR", "JP", "KR"],
        "viewer": [7, 7, 8],
        "watched_seconds": [120, 60, 300],
    }
    rows = part_of(pa.table(columns), pa.array([7]).to_numpy()).sort_by("country").to_pylist()
    assert [(row["country"], row["reach"], row["watched_seconds"]) for row in rows] == [
        ("**", 1, 180),
        ("JP", 0, 60),
        ("KR", 1, 120),
    ]


def test_more_viewers_alike() -> None:
    """Ten times as many viewers alike have ten times the reach and the hours."""
    (row,) = times(audience((3, 2)), 10).to_pylist()
    assert (row["reach"], row["watched_seconds"]) == (30, 20 * H)
