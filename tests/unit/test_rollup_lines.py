"""Raw objects to lines: each line once, with its number, in every format and wherever blocks end."""

import errno
import gzip
import io
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollup import lines
from jobs.rollup import parquet as parquet_reader
from jobs.rollup.lines import read_blocks
from marquee.errors import BadInputError
from tests.helpers_rollup import GOOD, lines_of, new_world, play, to_line
from tests.oracle import rollup as oracle

Line = tuple[int, str | tuple[str, bytes]]
"""Number and text; for a line that is not text, the reason and the kept part."""
BOM = b"\xef\xbb\xbf"
AT = datetime(2026, 1, 5, 13, 2, 11, 123000, UTC)
EVENT = {"name": "user_id", "type": "string"}, {"name": "episode_id", "type": "long"}


def read(folder: Path, name: str, data: bytes) -> list[Line]:
    """Write a file and read its lines."""
    path = folder / "file"
    path.write_bytes(data)
    found: list[Line] = []
    for block in read_blocks(path, name):
        # A block is valid only until the next one is read, so its rows are copied at once.
        rows = block.lines.to_pylist()
        found += [(row["n"], row["text"].removesuffix("\n")) for row in rows]
        found += [(one.n, (str(one.reason), one.raw)) for one in block.unreadable]
        found += [(int(n), "") for n in block.empty]
    return sorted(found, key=lambda one: one[0])


def avro(records: Sequence[Any], *fields: dict[str, Any], codec: str = "null", block: int = 16000) -> bytes:
    """Return an Avro file of records."""
    file = io.BytesIO()
    schema = {"type": "record", "name": "play", "fields": list(fields)}
    fastavro.writer(file, schema, records, codec=codec, sync_interval=block)
    return file.getvalue()


def parquet(table: pa.Table, **options: Any) -> bytes:
    """Return a Parquet file of a table."""
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


# Lines.


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\nb\n", ["a", "b"], id="two lines"),
        pytest.param(b"a\nb", ["a", "b"], id="no newline at the end"),
        pytest.param(b"\n\na\n\n", ["", "", "a", ""], id="blank lines"),
        pytest.param(b"a\r\nb\r\n", ["a\r", "b\r"], id="lines as Windows ends them"),
        pytest.param(
            b"a\rb\x0bc\x0cd\x1ce\xc2\x85f\xe2\x80\xa8g\n", ["a\rb\vc\fd\x1ce\x85f\u2028g"], id="no other ends"
        ),
        pytest.param(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"], id="byte order mark"),
        pytest.param(b"a\0b\n", ["a\0b"], id="zero byte"),
        pytest.param("é\n\U0001f600".encode(), ["é", "\U0001f600"], id="long characters"),
    ],
)
@pytest.mark.parametrize("name", ["plays+0+0.json", "plays+0+0.json.gz"])
def test_lines_of_a_file(tmp_path: Path, name: str, data: bytes, expected: list[str]) -> None:
    """A line ends with a newline only, the last one may lack it, and a leading byte order mark is removed."""
    data = gzip.compress(data) if name.endswith(".gz") else data
    assert read(tmp_path, name, data) == list(enumerate(expected, start=1))


ANY_LINE = st.one_of(
    st.text("ab\r é\u2028\U0001f600", max_size=20).map(str.encode),
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")),
    st.integers(28, 130).map(lambda size: b"x" * size),
    st.just(BOM + b"a"),
)


@given(st.lists(ANY_LINE, max_size=12), st.booleans(), st.integers(40, 100), st.lists(st.integers(0, 500), max_size=2))
def test_blocks_may_end_anywhere(raws: list[bytes], ended: bool, block: int, cuts: list[int]) -> None:
    """Blocks and gzip members may end anywhere: each line is read, or rejected as too long or not UTF-8."""
    # The first bytes tell the format: these are text.
    data = b"\n".join([b"a", *raws]) + b"\n" * ended
    members = [data[first:end] for first, end in zip([0, *sorted(cuts)], [*sorted(cuts), None], strict=True)]
    expected: list[Line] = []
    for number, raw in enumerate(oracle.split(data), start=1):
        if len(raw) > 30:
            expected.append((number, ("line_too_long", raw[:16])))
        elif _decodes(raw):
            expected.append((number, raw.decode()))
        else:
            expected.append((number, ("not_utf8", raw[:16])))
    small: Any = {"BLOCK_BYTES": block, "MAX_LINE_BYTES": 30, "KEPT_BYTES": 16}
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(lines, **small):
        assert read(Path(folder), "a.json", data) == expected
        assert read(Path(folder), "a.json.gz", b"".join(map(gzip.compress, members))) == expected


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("end", [b"\n", b""], ids=["with a newline", "at the end of the file"])
def test_line_of_a_mebibyte_is_the_longest(tmp_path: Path, end: bytes) -> None:
    """A line of exactly 1 MiB is read, one with a byte more is too long, and the next lines are read."""
    longest = b"x" * 2**20
    assert read(tmp_path, "a.json", b"a\n" + longest + end) == [(1, "a"), (2, longest.decode())]
    assert read(tmp_path, "a.json", b"a\n" + longest + b"x" + end) == [
        (1, "a"),
        (2, ("line_too_long", longest[: 64 << 10])),
    ]


@pytest.mark.parametrize("mebibytes", [2, 3, 5], ids=["as a block", "more than a block", "more than two"])
def test_endless_line_is_passed_over(tmp_path: Path, mebibytes: int) -> None:
    """A line larger than the buffer is rejected alone, also as the first or the last line."""
    endless = b"y" * (mebibytes << 20)
    data = gzip.compress(endless + b"\nb\n" + endless + b"\nc\n" + endless, 1)
    too_long = ("line_too_long", b"y" * (64 << 10))
    with mock.patch.object(lines, "BLOCK_BYTES", 2 << 20):
        found = read(tmp_path, "a.json.gz", data)
    assert found == [(1, too_long), (2, "b"), (3, too_long), (4, "c"), (5, too_long)]


# Damage.

DATA = lines_of(*(b"line %d" % number for number in range(100)))
TABLE = pa.table({"event_id": [f"e{n}" for n in range(100)], "at": [AT] * 100})
FILES = {
    "plays.json.gz": gzip.compress(DATA),
    "plays.avro": avro([{"user_id": f"u{n}", "episode_id": n} for n in range(100)], *EVENT, codec="deflate"),
    "plays.parquet": parquet(TABLE, row_group_size=30),
}


@pytest.mark.parametrize("name", FILES)
def test_file_cut_short_is_bad_input(tmp_path: Path, name: str) -> None:
    """A file that is cut short anywhere is bad input, and the error names it and says what to do."""
    data = FILES[name]
    assert len(read(tmp_path, name, data)) == 100
    # An Avro file does not have its number of blocks: cut between two, here after the header, it looks whole.
    whole = data.index(data[-16:]) + 16 if name.endswith(".avro") else None
    for size in range(1, len(data), 7):
        if size != whole:
            with pytest.raises(BadInputError, match=rf"^{name} cannot be read to its end: .+\. Replace or remove"):
                read(tmp_path, name, data[:size])


@pytest.mark.parametrize("name", FILES)
def test_damaged_file_is_read_or_bad_input(tmp_path: Path, name: str) -> None:
    """A damaged byte either does no harm or is bad input with the name of the file."""
    found = 0
    for place in range(0, len(FILES[name]), 5):
        data = bytearray(FILES[name])
        data[place] ^= 0x10
        try:
            read(tmp_path, name, bytes(data))
        except BadInputError as error:
            assert str(error).startswith(f"{name} cannot be read to its end: ")  # noqa: PT017 - in a loop
            found += 1
    assert found > 20


@pytest.mark.parametrize("name", ["plays.avro", "plays.parquet"])
def test_file_of_another_kind_is_bad_input(tmp_path: Path, name: str) -> None:
    """Plain lines in a file named as Avro or Parquet are bad input."""
    with pytest.raises(
        BadInputError, match=rf"^{name} cannot be read to its end: it is not (Avro|Parquet), as its name says"
    ):
        read(tmp_path, name, DATA)


def test_gzip_with_something_after_it(tmp_path: Path) -> None:
    """Zeros after the end of a gzip file are padding, and anything else is damage."""
    data = gzip.compress(b"a\n")
    assert read(tmp_path, "a.json.gz", data + bytes(100)) == [(1, "a")]
    with pytest.raises(BadInputError, match=r"^a[.]json[.]gz cannot be read"):
        read(tmp_path, "a.json.gz", data + b"garbage")


@pytest.mark.parametrize("name", ["a.json", *FILES])
def test_file_of_no_bytes_has_no_lines(tmp_path: Path, name: str) -> None:
    """A file of no bytes has no lines in any format."""
    assert read(tmp_path, name, b"") == []


def test_full_disk_is_not_the_files_fault(tmp_path: Path) -> None:
    """An error of the system while reading a file is raised as it is, and is not bad input."""
    full = OSError(errno.EIO, "Input/output error")
    with mock.patch.object(pq, "ParquetFile", side_effect=full), pytest.raises(OSError, match="Input/output"):
        read(tmp_path, "plays.parquet", FILES["plays.parquet"])


# Records.


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_avro_records_are_lines(tmp_path: Path, codec: str) -> None:
    """Each Avro record becomes a line of JSON, numbered through all blocks of the file."""
    records = [{"user_id": f"ü{n}", "episode_id": n} for n in range(50)]
    found = read(tmp_path, "a.avro", avro(records, *EVENT, codec=codec, block=100))
    assert [(n, json.loads(str(text))) for n, text in found] == list(enumerate(records, start=1))


def test_avro_record_of_another_kind(tmp_path: Path) -> None:
    """Avro texts that are not records are lines, because a producer may write its JSON so."""
    file = io.BytesIO()
    fastavro.writer(file, "string", ["a", "b"])
    assert read(tmp_path, "a.avro", file.getvalue()) == [(1, "a"), (2, "b")]


def test_parquet_rows_are_lines(tmp_path: Path) -> None:
    """Parquet rows become lines, numbered through row groups and batches, with structs as objects."""
    records = [{"id": f"e{n}", "event": {"n": n, "x": None}} for n in range(50)]
    data = parquet(pa.Table.from_pylist(records), row_group_size=20, compression="gzip")
    with mock.patch.object(parquet_reader, "ROWS_A_BATCH", 7):
        found = read(tmp_path, "a.parquet", data)
    assert [(n, json.loads(str(text))) for n, text in found] == list(enumerate(records, start=1))


SEOUL = timedelta(hours=9)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        pytest.param(AT, pa.timestamp("ms", "UTC"), "2026-01-05T13:02:11.123Z", id="milliseconds"),
        pytest.param(AT, pa.timestamp("us", "UTC"), "2026-01-05T13:02:11.123Z", id="microseconds"),
        pytest.param(AT, pa.timestamp("ns", "UTC"), "2026-01-05T13:02:11.123Z", id="nanoseconds"),
        pytest.param(AT, pa.timestamp("ms", "Asia/Seoul"), "2026-01-05T13:02:11.123Z", id="a zone"),
        pytest.param(AT.replace(tzinfo=None), pa.timestamp("us"), "2026-01-05T13:02:11.123Z", id="no zone: UTC"),
        pytest.param(AT.replace(microsecond=0), pa.timestamp("s", "UTC"), "2026-01-05T13:02:11.000Z", id="seconds"),
        pytest.param(AT.replace(microsecond=123456), pa.timestamp("us"), "2026-01-05T13:02:11.123456Z", id="micros"),
        pytest.param(date(2026, 1, 5), pa.date32(), "2026-01-05", id="day"),
        pytest.param(Decimal("60.0"), pa.decimal128(5, 1), "60.0", id="decimal with a fraction: a text"),
        pytest.param(Decimal(60), pa.decimal128(20, 0), 60, id="decimal without a fraction"),
        pytest.param(60, pa.int16(), 60, id="small whole number"),
        pytest.param(2**53, pa.uint64(), 2**53, id="great whole number"),
        pytest.param(60.0, pa.float64(), 60.0, id="fraction"),
        pytest.param(float("nan"), pa.float64(), None, id="NaN: null"),
        pytest.param(float("-inf"), pa.float64(), None, id="infinity: null"),
        pytest.param(True, pa.bool_(), True, id="truth"),
        pytest.param("NaN", pa.string(), "NaN", id="the word NaN"),
        pytest.param(b"u1", pa.binary(), "u1", id="text without its type"),
        pytest.param(None, pa.string(), None, id="nothing"),
    ],
)  # fmt: skip
def test_values_of_parquet(tmp_path: Path, value: object, kind: pa.DataType, expected: object) -> None:
    """Parquet instants become the text of the contract, and values without a JSON form become text or null."""
    data = parquet(pa.table({"a": pa.array([value], kind)}))
    [(_, text)] = read(tmp_path, "a.parquet", data)
    found = json.loads(str(text))["a"]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        pytest.param(AT, {"type": "long", "logicalType": "timestamp-millis"}, "2026-01-05T13:02:11.123Z", id="millis"),
        pytest.param(AT, {"type": "long", "logicalType": "timestamp-micros"}, "2026-01-05T13:02:11.123Z", id="micros"),
        pytest.param(1767618131123, "long", 1767618131123, id="milliseconds without their type"),
        pytest.param(
            UUID("5224603a-0000-4000-8000-000000000000"),
            {"type": "string", "logicalType": "uuid"},
            "5224603a-0000-4000-8000-000000000000",
            id="uuid",
        ),
        pytest.param(None, ["null", "string"], None, id="nothing"),
        pytest.param("a", ["null", "string"], "a", id="one of two types"),
        pytest.param("tv", {"type": "enum", "name": "device", "symbols": ["tv", "phone"]}, "tv", id="one of a few"),
        pytest.param(float("nan"), "double", None, id="NaN: null"),
    ],
)
def test_values_of_avro(tmp_path: Path, value: object, kind: Any, expected: object) -> None:
    """Avro instants become the text of the contract, and values without a JSON form become text or null."""
    [(_, text)] = read(tmp_path, "a.avro", avro([{"a": value}], {"name": "a", "type": kind}))
    assert json.loads(str(text))["a"] == expected


def test_formats_give_the_same_bytes(tmp_path: Path) -> None:
    """The same events as lines, Avro and Parquet, with texts or typed instants, give the same rollup."""
    records = [play(event_id=f"e{n}", user_id=f"ü{n % 5}", watched_seconds=n) for n in range(40)]
    typed = [{**record, "received_at": AT} for record in records]
    event = [
        {"name": name, "type": "string" if isinstance(value, str) else "long"}
        for name, value in play()["event"].items()
    ]
    fields: list[dict[str, Any]] = [
        {"name": "event_id", "type": "string"},
        {"name": "received_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "event", "type": {"type": "record", "name": "event", "fields": event}},
    ]
    objects = {
        "plays.json": lines_of(*map(to_line, records)),
        "plays.json.gz": gzip.compress(lines_of(*map(to_line, records))),
        "plays.avro": avro(typed, *fields, codec="deflate"),
        "plays.parquet": parquet(pa.Table.from_pylist(records)),
        "plays.snappy.parquet": parquet(pa.Table.from_pylist(typed), compression="snappy"),
    }
    digests = []
    for name, data in objects.items():
        world = new_world(tmp_path / name)
        world.put_bytes(name, data)
        world.run()
        assert world.rolled().counts == {"rows_in": 40, "rows_out": 40, "duplicates": 0, "rejects": {}}
        digests.append(world.digests())
    assert digests == [digests[0]] * 5


def test_records_are_rejected_like_lines(tmp_path: Path) -> None:
    """Records are rejected by the same contract as lines, with their number in the file."""
    world = new_world(tmp_path)
    table = pa.Table.from_pylist([play(), play(event_id="e2", country="kr"), play(event_id="e3")])
    key = world.put_bytes("plays.parquet", parquet(table))
    world.run()
    [(where, number, reason, raw)] = world.rolled().rejects
    assert (where, number, reason) == (key, 2, "country")
    assert json.loads(raw) == play(event_id="e2", country="kr")
    assert json.loads(GOOD) == play()
