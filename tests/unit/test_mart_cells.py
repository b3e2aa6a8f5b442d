"""The viewership of a day is collected by hours, and becomes the rows of a mart."""

from datetime import date, datetime

import pyarrow as pa
import pytest

from marquee.lake.datasets import VIEWERSHIP
from marquee.mart import cells
from marquee.mart.cells import Cells

DAY = date(2026, 1, 5)
MANY = (1 << 64) - 1
Play = tuple[int, str, int, str, int, int]
"""Episode, country, local hour, device, seconds, bits of viewers."""


def hour(number: int, *plays: Play) -> pa.Table:
    """Return the viewership of an hour; each row is of one play."""
    at = datetime(2026, 1, 5, number)  # noqa: DTZ001 - the lake's times have no zone
    names = ("episode_id", "country", "local_hour", "device", "watched_seconds", "viewer_bits")
    rows = [{"hour": at, "plays": 1, **dict(zip(names, play, strict=True))} for play in plays]
    return pa.Table.from_pylist(rows, schema=VIEWERSHIP.schema)


HOURS = [
    hour(0, (11, "KR", 9, "tv", 60, MANY), (11, "KR", 9, "web", 5, 1)),
    hour(1, (11, "KR", 10, "tv", 30, MANY), (12, "US", 18, "tv", 7, 2)),
    hour(2),
    hour(23, (11, "KR", 8, "tv", 10, 4), (11, "KR", 8, "web", 3, 1)),
]


@pytest.mark.parametrize("most_rows", [1, 3, 100])
def test_hours_of_a_daypart_add_up(monkeypatch: pytest.MonkeyPatch, most_rows: int) -> None:
    """Hours of a daypart are one cell, whether rows are kept as they are read or are summed now and then."""
    monkeypatch.setattr(cells, "MOST_ROWS", most_rows)
    shows = pa.table({"episode_id": [11, 12], "show_id": [1, 2]})
    with Cells(256) as day:
        for one in HOURS:
            day.add(one)
        exact = day.folded(shows, 1).to_pylist()
    columns = ("day", "episode_id", "country", "daypart", "device", "plays", "watched_seconds")
    assert sorted(tuple(row[name] for name in columns) for row in exact) == [
        (DAY, 11, "KR", "morning", "tv", 3, 100),
        (DAY, 11, "KR", "morning", "web", 2, 8),
        (DAY, 12, "US", "evening", "tv", 1, 7),
    ]


def test_an_episode_without_a_show_is_of_the_unknown_show() -> None:
    """Small cells of episodes in no schedule become other episodes of the unknown show, -1."""
    with Cells(256) as day:
        day.add(hour(0, (98, "KR", 9, "tv", 60, 0b11111), (99, "KR", 9, "tv", 30, 0b1111100000)))
        (row,) = day.folded(pa.table({"episode_id": [11], "show_id": [1]}), 10).to_pylist()
    assert (row["episode_id"], row["country"], row["device"], row["watched_seconds"]) == (-1, "KR", "(other)", 90)
