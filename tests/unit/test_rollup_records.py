"""Avro and Parquet records at their edges: one bad record is one reject, and unneeded fields are not read."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from jobs.rollup.contract import Fields
from jobs.rollup.limits import Limits
from jobs.rollup.lines import read_blocks
from marquee.errors import BadInputError
from tests.helpers_rollup import new_world, play
from tests.unit.test_rollup_lines import AT, avro, parquet, read

EVENT = [
    {"name": name, "type": "string" if isinstance(value, str) else "long"} for name, value in play()["event"].items()
]
FIELDS: list[dict[str, Any]] = [
    {"name": "event_id", "type": "string"},
    {"name": "received_at", "type": "string"},
    {"name": "event", "type": {"type": "record", "name": "event", "fields": EVENT}},
]
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
SIX = [play(event_id=f"e{n}", user_id=f"u{n}") for n in range(6)]


def counts(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    """Return the counts of an hour with one file."""
    world = new_world(folder)
    world.put_bytes(name, data)
    report = world.run()
    assert report.failed == (), world.failures()
    found = world.rolled().counts
    return {"plays": found["rows_out"], **found["rejects"]}


# Avro.


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"])
def test_codecs_of_avro(tmp_path: Path, codec: str) -> None:
    """Avro is read with each codec of the sink, and of the specification."""
    assert counts(tmp_path, "a.avro", avro(SIX, *FIELDS, codec=codec)) == {"plays": 6}


def test_other_codec_is_named(tmp_path: Path) -> None:
    """An Avro file with another codec is bad input, and the message lists those that are read."""
    data = avro(SIX, *FIELDS).replace(b"\x08null", b"\x06lzo", 1)
    with pytest.raises(
        BadInputError, match=r"its Avro codec is 'lzo'; the codecs bzip2, deflate, null, snappy, xz, zst"
    ):
        read(tmp_path, "a.avro", data)


def test_avro_text_that_is_no_utf8_is_one_reject(tmp_path: Path) -> None:
    """One user id that is not UTF-8 is one reject, as in a line of JSON."""
    assert counts(tmp_path, "a.avro", avro(SIX, *FIELDS).replace(b"\x04u3", b"\x04\xffx")) == {
        "plays": 5,
        "not_utf8": 1,
    }


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        pytest.param({"type": "int", "logicalType": "date"}, 100_000_000, id="a day in the year 275760"),
        pytest.param(MILLIS, 10**17, id="microseconds in a field of milliseconds"),
        pytest.param("bytes", b"\xff\xfe", id="bytes"),
        pytest.param({"type": "array", "items": {"type": "map", "values": "double"}}, [{"a": 1.0}, {}], id="a list"),
        pytest.param(["null", "string", {"type": "fixed", "name": "f", "size": 3}], b"abc", id="one of three types"),
        pytest.param({"type": "enum", "name": "n", "symbols": ["a", "b"]}, "b", id="one of a few"),
    ],
)
def test_avro_field_that_nobody_needs(tmp_path: Path, kind: Any, value: object) -> None:
    """A further field is passed over, whatever its value is."""
    raw = (
        {"date": "int", "timestamp-millis": "long"}.get(kind.get("logicalType", "")) if isinstance(kind, dict) else None
    )
    further = {"name": "further", "type": raw or kind}
    data = avro([{**record, "further": value} for record in SIX], further, *FIELDS)
    if raw:
        data = _with_schema(data, {"type": "record", "name": "play", "fields": [{**further, "type": kind}, *FIELDS]})
    assert counts(tmp_path, "a.avro", data) == {"plays": 6}


def _with_schema(data: bytes, schema: Any) -> bytes:
    """Return an Avro file with another schema for the same bytes."""
    file = io.BytesIO()
    fastavro.writer(file, schema, [])
    header = file.getvalue()[:-16]
    whole: Any = fastavro.block_reader(io.BytesIO(data))
    [block] = whole
    file = io.BytesIO(header + whole._header["sync"])
    file.seek(0, 2)
    for number in (block.num_records, len(block.bytes_.getvalue())):
        file.write(zigzag(number))
    file.write(block.bytes_.getvalue() + whole._header["sync"])
    return file.getvalue()


def zigzag(number: int) -> bytes:
    """Return a number as Avro writes it."""
    number, found = (number << 1) ^ (number >> 63), b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


NAMED = {"type": "record", "name": "a.place", "fields": [{"name": "country", "type": "string"}]}


def test_avro_type_that_is_named_twice(tmp_path: Path) -> None:
    """A type that is used again by its name is read at the second place as at the first."""
    data = avro(
        [{"first": {"country": "KR"}, "event": {"country": "US"}}],
        {"name": "first", "type": NAMED},
        {"name": "event", "type": ["null", "a.place"]},
    )
    path = tmp_path / "a"
    path.write_bytes(data)
    [block] = read_blocks(path, "a", Fields())
    found = json.loads(block.lines["text"][0].as_py())
    assert (found["event"]["country"], found["event_id"]) == ("US", None)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        pytest.param(
            {"type": "record", "name": "e", "fields": [{"name": "a", "type": ["null", "e"]}]},
            "its Avro schema refers to itself: 'e'",
            id="a schema that refers to itself",
        ),
        pytest.param(
            {"type": "record", "name": "e", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]},
            "its Avro schema has an array of items without bytes",
            id="items without bytes",
        ),
        pytest.param(
            {"type": "record", "name": "e", "fields": [{"name": "a", "type": "null"}]},
            "its Avro schema has records without bytes",
            id="records without bytes",
        ),
        pytest.param({"type": "record"}, "'name'", id="a record without a name"),
        pytest.param([["null"] * 20_000], "its Avro schema has more than 10000 fields", id="too many types"),
        pytest.param(
            {
                "type": "record",
                "name": "e",
                "fields": [{"name": "a", "type": {"type": "fixed", "name": "f", "size": -1}}],
            },
            "its Avro schema has the type 'f' of -1 bytes",
            id="a value that takes reading backwards",
        ),
        pytest.param(5, "its Avro schema is malformed", id="no schema"),
    ],
)
def test_avro_schema_beyond_a_limit(tmp_path: Path, schema: object, words: str) -> None:
    """A schema that makes a small file large is refused before a record is read."""
    text = json.dumps(schema).encode()
    header = b"Obj\x01" + zigzag(1) + zigzag(11) + b"avro.schema" + zigzag(len(text)) + text + zigzag(0) + b"0" * 16
    body = zigzag(10**9) + zigzag(0)
    with pytest.raises(BadInputError, match=words):
        read(tmp_path, "a.avro", header + zigzag(1) + zigzag(len(body)) + body + b"0" * 16)


def test_avro_schema_that_multiplies(tmp_path: Path) -> None:
    """Twenty types, each of which has the one before twice, are a million fields, and are refused."""
    kind: Any = "long"
    for n in range(20):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": kind if n == 0 else f"t{n - 1}"}]
        kind = {"type": "record", "name": f"t{n}", "fields": fields}
    text = json.dumps(kind).encode()
    data = b"Obj\x01" + zigzag(1) + zigzag(11) + b"avro.schema" + zigzag(len(text)) + text + zigzag(0) + b"0" * 16
    with pytest.raises(BadInputError, match="its Avro schema has more than 10000 fields, or is nested deeper than 64"):
        read(tmp_path, "a.avro", data)


@pytest.mark.parametrize("codec", ["deflate", "snappy", "zstandard", "bzip2", "xz"])
def test_avro_block_has_a_limit_after_decompression(tmp_path: Path, codec: str) -> None:
    """A block that is larger than the limit after decompression is refused, and never held as a whole."""
    data = avro([{"event_id": "A" * (2 << 20)}], {"name": "event_id", "type": "string"}, codec=codec, block=1 << 30)
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=r"an Avro block has .+MARQUEE_ROLLUP__LIMITS__BLOCK_MB"):
        list(read_blocks(path, "a", limits=Limits(block_bytes=1 << 20)))


def test_avro_counts_are_not_believed(tmp_path: Path) -> None:
    """A block that claims more records, or an array that claims more items, than it has bytes is damaged."""
    data = avro([{"event_id": "abc"}], {"name": "event_id", "type": "string"})
    start = data.rindex(b"\x02\x08\x06abc")
    with pytest.raises(BadInputError, match="an Avro block of 4 bytes claims 1099511627776 records"):
        read(tmp_path, "a.avro", data[:start] + zigzag(1 << 40) + data[start + 1 :])
    array = {"name": "further", "type": {"type": "array", "items": "boolean"}}
    many = avro([{"event_id": "abc", "further": [True] * 60}], array, {"name": "event_id", "type": "string"})
    place = many.rindex(zigzag(60) + b"\x01" * 60)
    spoilt = many[:place] + zigzag(1 << 40)[:1] + many[place + 1 :]
    with pytest.raises(BadInputError, match=r"^a\.avro cannot be read to its end"):
        read(tmp_path, "a.avro", spoilt)


def test_avro_texts_that_hold_json(tmp_path: Path) -> None:
    """An Avro file of texts, as a sink of texts writes it, is read as lines of JSON."""
    file = io.BytesIO()
    fastavro.writer(file, "string", [json.dumps(one) for one in SIX])
    assert counts(tmp_path, "a.avro", file.getvalue()) == {"plays": 6}


@pytest.mark.parametrize(
    ("scale", "value"),
    [
        pytest.param(0, b"\x7f" * 900_000, id="two million digits"),
        pytest.param(10**9, b"\x7f", id="a fraction of a billion digits"),
    ],
)
def test_avro_decimal_beyond_all_numbers_is_one_reject(tmp_path: Path, scale: int, value: bytes) -> None:
    """A decimal that no number type holds is one reject; another record of its file is a play."""
    [identity, *others] = FIELDS
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 9 + scale, "scale": scale}
    records = [{**SIX[0], "event_id": value}]
    data = avro(records, {**identity, "type": "bytes"}, *others)
    schema = {"type": "record", "name": "play", "fields": [{**identity, "type": decimal}, *others]}
    path = tmp_path / "a"
    path.write_bytes(_with_schema(data, schema))
    [block] = read_blocks(path, "a", Fields())
    assert json.loads(block.lines["text"][0].as_py())["event_id"] == {}


def test_avro_header_without_a_schema(tmp_path: Path) -> None:
    """A header without a schema is named."""
    with pytest.raises(BadInputError, match="its header has no Avro schema"):
        read(tmp_path, "a.avro", b"Obj\x01" + zigzag(0) + b"0" * 16)


# Parquet.


def table(**columns: pa.Array) -> pa.Table:
    """Return the table of six plays with other columns at its top."""
    found = pa.Table.from_pylist(SIX)
    for name, values in columns.items():
        found = found.drop_columns(name) if name in found.column_names else found
        found = found.append_column(name, values)
    return found


NANOS = 1767618131123456789
"""2026-01-05T13:02:11.123456789Z"""


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([NANOS] * 6, pa.timestamp("ns")), id="nanoseconds"),
        pytest.param(pa.array([NANOS] * 6, pa.timestamp("ns", "Asia/Seoul")), id="nanoseconds in a zone"),
        pytest.param(pa.array([10**11] * 6, pa.time64("ns")), id="time of day"),
        pytest.param(pa.array([6 * 10**11] * 6, pa.timestamp("s")), id="the year 20983"),
        pytest.param(pa.array([10**17 * 9] * 6, pa.timestamp("ms")), id="no year"),
        pytest.param(pa.array([[1], [], None, [2, 3], [4], []]), id="a list"),
        pytest.param(pa.array([b"\xff"] * 6), id="bytes"),
    ],
)
def test_parquet_column_that_nobody_needs(tmp_path: Path, column: pa.Array) -> None:
    """A further column is not read, whatever its values are."""
    assert counts(tmp_path, "a.parquet", parquet(table(ingest_ts=column), coerce_timestamps=None)) == {"plays": 6}


@pytest.mark.parametrize(
    ("values", "written"),
    [
        pytest.param(pa.array([NANOS], pa.timestamp("ns")), "2026-01-05T13:02:11.123456Z", id="rounded down"),
        pytest.param(pa.array([NANOS], pa.timestamp("ns", "UTC")), "2026-01-05T13:02:11.123456Z", id="in UTC"),
        pytest.param(pa.array([NANOS // 10**6 * 10**6], pa.timestamp("ns")), "2026-01-05T13:02:11.123Z", id="cut"),
        pytest.param(pa.array([-1], pa.timestamp("ns")), "1969-12-31T23:59:59.999999Z", id="down before 1970, too"),
        pytest.param(pa.array([6 * 10**11], pa.timestamp("s")), 6 * 10**17, id="the year 20983 remains a number"),
    ],
)
def test_nanoseconds_become_microseconds(tmp_path: Path, values: pa.Array, written: object) -> None:
    """Nanoseconds are cut where they are zero, and rounded down where they are not."""
    [(_, text)] = read(tmp_path, "a.parquet", parquet(pa.table({"received_at": values})))
    assert json.loads(str(text)) == {"received_at": written}


def test_parquet_of_nanoseconds_has_its_plays(tmp_path: Path) -> None:
    """Six plays with nanoseconds, also in the old form of Impala and Hive, are six plays."""
    column = pa.array([NANOS] * 6, pa.timestamp("ns"))
    for form, options in (("new", {}), ("old", {"use_deprecated_int96_timestamps": True})):
        assert counts(tmp_path / form, "a.parquet", parquet(table(received_at=column), **options)) == {"plays": 6}


TEXTS = [f"e{n}" for n in range(6)]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(),
        pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.large_string()),
    ],
    ids=str,
)  # fmt: skip
def test_types_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    """A text counts as a text, in whatever type a column has it."""
    assert counts(tmp_path, "a.parquet", parquet(table(event_id=pa.array(TEXTS, kind)))) == {"plays": 6}


def episodes(array: pa.Array) -> pa.Table:
    """Return the table of six plays with other episodes."""
    events = pa.array([one["event"] for one in SIX])
    names = [field.name for field in events.type]
    inner = [array if name == "episode_id" else events.field(name) for name in names]
    return table(event=pa.StructArray.from_arrays(inner, names))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        pytest.param(pa.array([1, 2, 3, 4, 5, 2**53], pa.uint64()), {"plays": 6}, id="uint64"),
        pytest.param(pa.array([1, 2, 3, 4, 5, 2**64 - 1], pa.uint64()), {"plays": 5, "episode_id": 1}, id="too great"),
        pytest.param(pa.array([Decimal(n) for n in range(6)], pa.decimal128(20, 0)), {"plays": 5, "episode_id": 1},
                     id="decimals without a fraction, of which 0 is no episode"),
        pytest.param(pa.array([Decimal("1.0")] * 6, pa.decimal128(5, 1)), {"episode_id": 6}, id="decimals"),
        pytest.param(pa.array([1.0] * 6), {"episode_id": 6}, id="fractions"),
        pytest.param(pa.array(["1"] * 6), {"episode_id": 6}, id="texts"),
        pytest.param(pa.array([[1]] * 6), {"episode_id": 6}, id="lists"),
        pytest.param(pa.nulls(6), {"episode_id": 6}, id="nulls"),
    ],
)  # fmt: skip
def test_types_of_numbers(tmp_path: Path, values: pa.Array, found: dict[str, int]) -> None:
    """A whole number counts in whatever type a column has it, and any other value is a reject with a reason."""
    world = new_world(tmp_path, allow_no_plays=True)
    world.put_bytes("a.parquet", parquet(episodes(values)))
    world.run()
    rolled = world.rolled().counts
    assert {"plays": rolled["rows_out"], **rolled["rejects"]} == {"plays": 0} | found


def test_parquet_text_that_is_no_utf8_is_one_reject(tmp_path: Path) -> None:
    """One id of bytes that are not UTF-8 is one reject."""
    bad = [b"e0", b"e1", b"\xff", b"e3", b"e4", b"e5"]
    for kind in (pa.binary(), pa.string()):
        column = pa.array(bad, pa.binary()).view(kind)
        found = counts(tmp_path / str(kind), "a.parquet", parquet(table(event_id=column)))
        assert found == {"plays": 5, "not_utf8": 1}


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_parquet_texts_as_differences(tmp_path: Path, encoding: str) -> None:
    """Texts that are stored as differences, as version 2 of the format does, are read like all others."""
    data = parquet(table(), use_dictionary=False, column_encoding={"event_id": encoding}, data_page_version="2.0")
    assert counts(tmp_path, "a.parquet", data) == {"plays": 6}


def test_parquet_without_rows(tmp_path: Path) -> None:
    """A file without rows has no lines, and is no damaged file."""
    path = tmp_path / "a"
    path.write_bytes(parquet(table().slice(0, 0)))
    assert list(read_blocks(path, "a", Fields())) == []


def test_parquet_names_with_dots(tmp_path: Path) -> None:
    """A column whose name has a dot in it is not the column inside a structure."""
    path = tmp_path / "a"
    path.write_bytes(parquet(pa.table({"event.user_id": ["flat"], "event": [{"user_id": "inside"}]})))
    for place, user in (("/event.user_id", "flat"), ("event.user_id", "inside")):
        [block] = read_blocks(path, "a", Fields(user_id=place))
        assert f'"user_id":"{user}"' in block.lines["text"][0].as_py().replace("event.user_id", "user_id")


def test_parquet_without_a_column_of_a_field(tmp_path: Path) -> None:
    """A file that has none of the columns is bad input, and the message has the names that it has."""
    path = tmp_path / "a"
    path.write_bytes(parquet(pa.table({"id": ["e1"], "meta": [{"at": 1}]})))
    with pytest.raises(BadInputError, match=r"its columns have none of the names of the fields; it has id, meta\.at"):
        list(read_blocks(path, "a", Fields()))


def nested(depth: int) -> pa.Table:
    """Return a table of one structure inside another."""
    value: Any = 1
    kind = pa.int64()
    for _ in range(depth):
        value, kind = {"a": value}, pa.struct([("a", kind)])
    return pa.table({"x": pa.array([value], kind)})


@pytest.mark.parametrize(
    ("made", "limits", "words"),
    [
        pytest.param(lambda: parquet(nested(70)), Limits(), "nested deeper than 64", id="too deep"),
        pytest.param(
            lambda: parquet(pa.table({f"c{n}": [1] for n in range(101)})), Limits(columns=100), "102 elements",
            id="too wide",
        ),
        pytest.param(
            lambda: parquet(pa.table({"event_id": ["A" * (3 << 20)]}), compression="zstd", use_dictionary=False),
            Limits(block_bytes=2 << 20), r"its pages have \d+ bytes that are read together", id="a page",
        ),
        pytest.param(
            lambda: parquet(pa.table({"event_id": ["A" * (3 << 20)] * 50}), compression="zstd"),
            Limits(block_bytes=2 << 20), r"its pages have \d+ bytes that are read together", id="a dictionary",
        ),
        pytest.param(
            lambda: parquet(pa.table({"event_id": ["A" * 100_000] * 11}), compression="zstd"),
            Limits(object_bytes=1 << 20), "its records have more than 1 MiB as JSON", id="all of its records",
        ),
    ],
)  # fmt: skip
def test_parquet_beyond_a_limit(tmp_path: Path, made: Callable[[], bytes], limits: Limits, words: str) -> None:
    """A schema or a page beyond a limit is refused before the library reads it; records, once they are too many."""
    path = tmp_path / "a"
    path.write_bytes(made())
    with pytest.raises(BadInputError, match=words):
        list(read_blocks(path, "a", limits=limits))


def test_dictionary_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary that the writer gave up is looked at for long texts, but not if it is larger than what is read."""
    long = [f"{number:04}" + "A" * 100_000 for number in range(1024)]
    texts = pa.table({"event_id": [*long, *map(str, range(20_000))]})
    path = tmp_path / "a"
    path.write_bytes(parquet(texts, compression="zstd", dictionary_pagesize_limit=64 << 20))
    assert path.stat().st_size < 1 << 20
    read: list[int] = []
    monkeypatch.setattr(pa, "decompress", lambda *given: read.append(given[1]))
    with pytest.raises(BadInputError, match="bytes that are read together"):
        list(read_blocks(path, "a"))
    assert read == []


def test_long_texts_of_a_dictionary_are_held_once(tmp_path: Path) -> None:
    """Twenty thousand rows that refer to one text of a mebibyte are lines that are too long, and take no 20 GB."""
    coded = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["A" * (1 << 20)]))
    path = tmp_path / "a"
    path.write_bytes(parquet(pa.table({"event_id": coded}), compression="zstd"))
    blocks = list(read_blocks(path, "a", Fields()))
    assert sum(block.count for block in blocks) == 20_000
    assert {one.reason.value for block in blocks for one in block.unreadable} == {"line_too_long"}
    assert max(block.nbytes for block in blocks) < 32 << 20


def test_times_in_avro_and_parquet_agree(tmp_path: Path) -> None:
    """An instant gives the same text from Avro and from Parquet."""
    at = AT + timedelta(microseconds=7)
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    [(_, one)] = read(tmp_path, "a.avro", avro([{"at": at}], {"name": "at", "type": micros}))
    [(_, other)] = read(tmp_path, "a.parquet", parquet(pa.table({"at": pa.array([at], pa.timestamp("us", "UTC"))})))
    assert one == other == '{"at":"2026-01-05T13:02:11.123007Z"}'
