"""Rows in the format that LOAD DATA reads."""

from datetime import date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marquee.mart.mysql import infile
from marquee.mart.mysql.infile import Infile, encode

NASTY = st.text(st.sampled_from("a\\tnN\t\n\r\0é🙂'\"% ") | st.characters(codec="utf-8"))


def test_each_type_as_mysql_reads_it() -> None:
    """Each type is written as MySQL reads it: shortest numbers, times with a space, escaped nulls and separators."""
    rows = pa.table(
        {
            "whole": pa.array([-1, None], pa.int64()),
            "number": [0.1, 1e300],
            "day": [date(2026, 1, 5), None],
            "instant": pa.array([datetime(2026, 1, 5, 13, 2, 11, 123000), None], pa.timestamp("us")),  # noqa: DTZ001
            "text": ["a\tb\\c\nd\0e", "\\N"],
        }
    )
    assert encode(rows) == (
        b"-1\t0.1\t2026-01-05\t2026-01-05 13:02:11.123000\ta\\tb\\\\c\\nd\\0e\n\\N\t1e+300\t\\N\t\\N\t\\\\N\n"
    )


def test_no_rows_are_no_bytes() -> None:
    """A table without rows is written as no bytes."""
    assert encode(pa.table({"a": pa.array([], pa.string())})) == b""


def test_a_slice_is_its_rows_alone() -> None:
    """A slice of a table is written with its own rows only, although it shares memory with the whole."""
    assert encode(pa.table({"a": ["one", "two", "three"], "b": [1, 2, 3]}).slice(1, 1)) == b"two\t2\n"


@given(st.lists(st.tuples(st.none() | NASTY, st.none() | NASTY), min_size=1))
def test_every_key_is_read_back(rows: list[tuple[str | None, str | None]]) -> None:
    """Every key is read back from its row, whatever characters it has, so that messages can name the row."""
    first, second = zip(*rows, strict=True)
    table = pa.table({"a": pa.array(first, pa.string()), "b": pa.array(second, pa.string())})
    with Infile(["b", "a"], 2) as made:
        made.add(table)
        for number, row in enumerate(rows, start=1):
            assert made.key_of(number) == {"b": row[1], "a": row[0]}


@pytest.mark.parametrize("in_memory", [1 << 20, 1000], ids=["memory", "disk"])
def test_rows_come_out_as_they_went_in(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    """Rows are read from memory or disk in bounded chunks, as often as requested."""
    monkeypatch.setattr(infile, "IN_MEMORY", in_memory)
    rows = pa.table({"a": list(range(100_000))})
    with Infile(["a"], 1) as made:
        made.add(rows)
        made.add(rows.slice(0, 1))
        pieces = list(made.chunks())
        assert b"".join(pieces) == "".join(f"{one}\n" for one in [*range(100_000), 0]).encode()
        assert max(map(len, pieces)) <= infile.CHUNK
        assert (made.rows, made.columns) == (100_001, ("a",))
        assert list(made.chunks()) == pieces
