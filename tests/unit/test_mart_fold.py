"""Small cells of viewership are folded into larger ones, with exact totals."""

import random
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marquee.engine.duckdb import open_database
from marquee.mart.fold import BITS, KEY, SUMS, fold_query
from tests.oracle import fold as oracle

SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("show_id", pa.int64()),
        ("episode_id", pa.int64()),
        ("country", pa.string()),
        ("daypart", pa.string()),
        ("device", pa.string()),
        ("plays", pa.int64()),
        ("watched_seconds", pa.int64()),
        ("viewer_bits", pa.uint64()),
    ]
)
DAY = "2026-01-05"
Row = tuple[oracle.Key, oracle.Cell]


def cell(place: str, viewers: range, seconds: int = 60) -> Row:
    """Return a cell of ``show.episode country daypart device``, with a play of each viewer: a range of bits."""
    episode, country, daypart, device = place.split()
    bits = sum(1 << one for one in viewers)
    key = (DAY, int(episode[0]), int(episode.replace(".", "")), country, daypart, device)
    return key, (len(viewers), seconds, bits)


def folded(rows: Sequence[Row], min_cell: int) -> dict[oracle.Key, oracle.Cell]:
    """Return the published cells."""
    with open_database() as db:
        db.register("cell", table_of(rows))
        found = db.sql(fold_query(min_cell)).to_arrow_table()
    assert found.column_names == [*KEY, *SUMS, BITS]
    keys = [(str(one["day"]), *(one[name] for name in KEY[1:])) for one in found.to_pylist()]
    assert [(day, episode) for day, _, episode, *_ in keys] == sorted((day, episode) for day, _, episode, *_ in keys)
    assert len(keys) == len(set(keys))
    return dict(zip(keys, zip(*(found[name].to_pylist() for name in (*SUMS, BITS)), strict=True), strict=True))


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Return cells as the loader has them."""
    columns: list[Sequence[Any]] = list(zip(*((*key, *sums) for key, sums in rows), strict=True)) or [()] * len(SCHEMA)
    days = [date.fromisoformat(one) for one in columns[0]]
    return pa.table(
        [pa.array(one, field.type) for one, field in zip([days, *columns[1:]], SCHEMA, strict=True)], SCHEMA
    )


def places(found: dict[oracle.Key, oracle.Cell]) -> dict[str, int]:
    """Return the seconds of published cells by show, episode, country, daypart and device."""
    return {" ".join(map(str, key[1:])): cell[1] for key, cell in found.items()}


def test_small_devices_of_an_episode_are_one_cell() -> None:
    """Devices with too few viewers become one cell of the episode, country and daypart; a large one stays."""
    rows = [
        cell("1.1 KR evening tv", range(10), 600),
        cell("1.1 KR evening phone", range(10, 16), 60),
        cell("1.1 KR evening web", range(16, 20), 5),
    ]
    assert places(folded(rows, 10)) == {"1 11 KR evening tv": 600, "1 11 KR evening (other)": 65}


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        pytest.param(["1.2 KR evening web"], "1 -2 KR evening (other)", id="episode"),
        pytest.param(["1.1 KR night web"], "1 -2 KR (other) (other)", id="daypart"),
        pytest.param(["1.2 US night web"], "1 -2 .. (other) (other)", id="country"),
        pytest.param(["2.2 US night web"], "-1 0 .. (other) (other)", id="show"),
    ],
)
def test_what_is_left_passes_up(others: Sequence[str], expected: str) -> None:
    """Cells that are too few together at a level join what is left of the next one."""
    rows = [cell("1.1 KR evening phone", range(6)), *(cell(one, range(6, 12)) for one in others)]
    assert places(folded(rows, 10)) == {expected: 120}


def test_one_viewer_on_two_devices_is_one_viewer() -> None:
    """Cells of the same viewers stay too small together, because bits merge by OR and do not add up."""
    rows = [cell(f"1.1 KR evening {device}", range(6)) for device in ("phone", "tv", "web")]
    assert folded([*rows, cell("1.1 US evening tv", range(6, 10))], 10) == {
        (DAY, 1, -2, "..", "(other)", "(other)"): (22, 240, (1 << 10) - 1)
    }


def test_a_remainder_takes_in_the_smallest_cell_of_the_topmost_level() -> None:
    """A remainder of too few viewers is published with the smallest cell of the topmost level that has any."""
    rows = [
        cell("1.1 KR evening tv", range(10), 5),  # smaller, but of a lower level
        cell("1.2 KR evening tv", range(6), 60),
        cell("1.2 KR evening web", range(6, 11), 60),  # 11 viewers of both devices
        cell("1.3 KR evening tv", range(6), 70),
        cell("1.3 KR evening web", range(6, 11), 70),
        cell("2.1 US night tv", range(1), 1),
    ]
    assert places(folded(rows, 10)) == {
        "1 11 KR evening tv": 5,
        "1 13 KR evening (other)": 140,
        "-1 0 .. (other) (other)": 121,
    }


def test_a_day_of_too_few_viewers_has_no_cell() -> None:
    """A day whose viewers are fewer than the floor is withheld as a whole; another day is not."""
    late = [
        ((f"2026-01-0{day}", *key[1:]), sums) for day in (5, 6) for key, sums in [cell("1.1 KR night tv", range(9))]
    ]
    more = ("2026-01-06", 2, 21, "KR", "night", "tv"), (1, 60, 1 << 9)
    assert folded([*late, more], 10) == {("2026-01-06", -1, 0, "..", "(other)", "(other)"): (10, 120, (1 << 10) - 1)}


def test_no_cells_are_none() -> None:
    """A day without plays has no cells, with any floor."""
    assert folded([], 10) == folded([], 1) == {}


VIEWERS = st.integers(0, (1 << 12) - 1)  # of up to twelve viewers
CELLS = st.lists(
    st.tuples(
        st.tuples(
            st.sampled_from([DAY, "2026-01-06"]),
            st.integers(0, 2),
            st.integers(1, 3),
            st.sampled_from(["KR", "US", "JP"]),
            st.sampled_from(["morning", "night"]),
            st.sampled_from(["phone", "tv", "web"]),
        ),
        st.tuples(st.integers(0, 5), st.integers(0, 100), VIEWERS),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(CELLS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_any_cells_fold_as_loops_say(rows: list[Row], least: int, rng: random.Random) -> None:
    """Any cells in any order: the oracle's cells, each large enough, and the totals of each day with any cell."""
    rows = [((*key[:2], 10 * key[1] + key[2], *key[3:]), sums) for key, sums in rows]  # an episode has one show
    found = folded(rows, least)
    assert found == oracle.fold(rows, least)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert folded(shuffled, least) == found
    if least > 1:
        assert all(bits.bit_count() >= least for _, _, bits in found.values())
    for day in {key[0] for key, _ in rows}:
        cells = [sums for key, sums in rows if key[0] == day]
        published = [sums for key, sums in found.items() if key[0] == day]
        bits = 0
        for one in cells:
            bits |= one[2]
        if bits.bit_count() >= least:
            assert [sum(column) for column in zip(*(one[:2] for one in published), strict=True)] == [
                sum(column) for column in zip(*(one[:2] for one in cells), strict=True)
            ]
        elif least > 1:
            assert not published
