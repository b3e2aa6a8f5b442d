"""Columns of records give what their lines of JSON give: the same plays, and the same rejects with their numbers."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.rollup import avro_columns, columns, instants, parsing
from jobs.rollup.blocks import Block
from jobs.rollup.contract import Event, Fields, Reason, Window, validate
from jobs.rollup.lines import read_blocks
from jobs.rollup.viewer import viewer_of
from marquee.errors import BadInputError
from tests.helpers_passes import EVENT_KEY, KEY, new_pass, siphash_1_3
from tests.helpers_rollup import play, to_line
from tests.unit.test_rollup_kernel import split, validated
from tests.unit.test_rollup_lines import parquet

WINDOW = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC without a zone
AT = datetime(2026, 1, 5, 13, 2, 11, 123000, UTC)
EVER = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 - as above
NAMES = ("user_id", "episode_id", "country", "utc_offset_minutes", "language", "device", "watched_seconds")

PASS = new_pass()

Judged = tuple[list[tuple[str, ...]], list[tuple[int, str, str]]]


def judged(blocks: Sequence[Block]) -> Judged:
    """Return the plays, in order of their values, and the rejects with their numbers, as the reference parser says."""
    plays, rejects = [], []
    for block in blocks:
        for table in block.plays:
            plays += [tuple(str(row[name]) for name in vars(event())) for row in table.to_pylist()]
        rejects += [(one.n, str(one.reason), one.raw.decode()) for one in block.unreadable]
        for row in block.lines.to_pylist():
            found = validate(row["text"].encode(), Fields(), WINDOW)
            if isinstance(found, Event):
                plays.append(tuple(map(str, vars(found).values())))
            else:
                rejects.append((row["n"], str(found), row["text"]))
    return sorted(plays), rejects


def event() -> Event:
    """Return a play, for the names of its fields."""
    found = validate(b'{"event_id":"e","received_at":"2026-01-05T13:02:11Z","event":{"user_id":"u","episode_id":1,'
                     b'"country":"KR","utc_offset_minutes":0,"language":"ko","device":"tv","watched_seconds":1}}',
                     Fields(), WINDOW)  # fmt: skip
    assert isinstance(found, Event)
    return found


def both(path: Path, data: bytes, name: str = "a.parquet") -> tuple[Judged, Judged, int]:
    """Read a file by columns and as lines; return what each gives, and how many plays no line was needed for.

    With a pass, columns have to give the same plays, keyed.
    """
    path.write_bytes(data)
    by_columns = list(read_blocks(path, name, Fields(), window=WINDOW))
    keyed = list(read_blocks(path, name, Fields(), window=WINDOW, passing=PASS))
    plays = [row for block in by_columns for table in block.plays for row in table.to_pylist()]
    assert [row for block in keyed for table in block.events for row in table.to_pylist()] == list(
        map(with_keys, plays)
    )
    lines = [[row for block in blocks for row in block.lines.to_pylist()] for blocks in (by_columns, keyed)]
    assert lines[0] == lines[1]
    as_lines = list(read_blocks(path, name, Fields()))
    assert sum(block.count for block in by_columns) == sum(block.count for block in as_lines)
    assert not any(block.plays for block in as_lines)
    return judged(by_columns), judged(as_lines), sum(table.num_rows for block in by_columns for table in block.plays)


def with_keys(row: dict[str, Any]) -> dict[str, Any]:
    """Return a play as an event: the HMAC of its user, and the hash of its id."""
    viewer, event_key = viewer_of((KEY,), row.pop("user_id")), siphash_1_3(EVENT_KEY, row.pop("event_id").encode())
    return {"viewer": viewer, "event_key": event_key, **row}


def table(**columns: pa.Array) -> pa.Table:
    """Return a table of plays, in which some columns are others."""
    rows = len(next(iter(columns.values())))
    usual: dict[str, Any] = {**play(), **play()["event"]}
    found = {name: columns.get(name, pa.array([usual[name]] * rows)) for name in ("event_id", "received_at", *NAMES)}
    inner = pa.StructArray.from_arrays([_whole(found[name]) for name in NAMES], list(NAMES))
    return pa.table({"event_id": found["event_id"], "received_at": found["received_at"], "event": inner})


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


TEXT_TYPES = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
NUMBER_TYPES = [pa.int64(), pa.int32(), pa.int16(), pa.uint64(), pa.uint8(), pa.float64(), pa.decimal128(18, 0),
                pa.decimal128(10, 2), pa.duration("s"), pa.bool_(), pa.string()]  # fmt: skip
IDS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.sampled_from(["", "e1", "ü", "日本", 'a"b', "a\\b", "a\x1fb", "\x00", "\x7f", "}{", '"} {"', "\ufeff"]),
    st.sampled_from(["é" * 64, "é" * 65, "a" * 64, "a" * 65, "a" * 128, "a" * 129, "😀" * 128]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.integers(-130, 255), st.sampled_from([-721, -720, 840, 841, 3600, 3601, 2**53, 2**53 + 1])
)
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "country": st.sampled_from([None, "KR", "kr", "US", "USA", "", "Ü", "KR\n"]),
    "language": st.sampled_from([None, "ko", "KO", "zh-hant-tw", "x", "", "en_US", "é", "i-klingon", "a" * 129]),
    "device": st.sampled_from([None, "tv", "TV", "", "a" * 32, "a" * 33, "smart-tv_2", "tv\n"]),
}
CLOCKS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.sampled_from([datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15)]),  # noqa: DTZ001
    st.datetimes(datetime(2026, 1, 5, 12, 44, 59), datetime(2026, 1, 5, 14, 15, 1)),  # noqa: DTZ001
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
)


@st.composite
def instants_as_text(draw: st.DrawFn) -> Any:
    """Return texts of instants, right or nearly so."""
    at = draw(CLOCKS)
    if at is None:
        return None
    text = at.isoformat(timespec="seconds") + draw(
        st.sampled_from(["", ".", ".1", ".123", ".999999", ".9999999", ".123456789", ".1234567891", ".12x", ",123"])
    )
    zones = ["Z", "Z", "z", "", "+00:00", "-00:00", "+01:00", "+1:00", "-23:59", "+24:00", "+01:60", "+01:00:00", " Z"]
    text += draw(st.sampled_from(zones))
    at_place = draw(st.integers(0, len(text) - 1))
    return draw(
        st.sampled_from([text, text, text[:at_place] + draw(st.sampled_from("0 9Tt:٣")) + text[at_place + 1 :]])
    )


def _fits(values: list[Any], kind: pa.DataType) -> pa.Array | None:
    if pa.types.is_string(kind):
        return pa.array([None if one is None else str(one) for one in values], kind)
    if pa.types.is_decimal(kind):
        values = [None if one is None or one > 10**8 else Decimal(one) for one in values]
    try:
        return pa.array(values, pa.int64()).cast(kind) if not pa.types.is_decimal(kind) else pa.array(values, kind)
    except pa.ArrowInvalid:
        return pa.array([None if one is None else one % 128 for one in values], pa.int64()).cast(kind)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Return tables of rows that are plays or nearly so, in odd types."""
    rows = draw(st.integers(1, 12))
    odd = draw(st.sets(st.sampled_from(["event_id", "received_at", *NAMES]), max_size=4))
    columns: dict[str, pa.Array] = {}
    for name in ("event_id", "received_at", *NAMES):
        usual = {**play(), **play()["event"]}[name]
        if name not in odd:
            columns[name] = pa.array([usual] * rows)
        elif name in ("event_id", "user_id", *WORDS):
            values = draw(st.lists(WORDS.get(name, IDS), min_size=rows, max_size=rows))
            columns[name] = pa.array(values, pa.string()).cast(draw(st.sampled_from(TEXT_TYPES)))
        elif name == "received_at" and draw(st.booleans()):
            values = draw(st.lists(instants_as_text(), min_size=rows, max_size=rows))
            columns[name] = pa.array(values, pa.string()).cast(draw(st.sampled_from(TEXT_TYPES)))
        elif name == "received_at":
            values = draw(st.lists(CLOCKS, min_size=rows, max_size=rows))
            kind = pa.timestamp(
                draw(st.sampled_from(["s", "ms", "us", "ns"])), draw(st.sampled_from([None, "UTC", "Asia/Seoul"]))
            )
            columns[name] = pa.array(values, pa.timestamp("us")).cast(kind, safe=False)
        else:
            values = draw(st.lists(NUMBERS, min_size=rows, max_size=rows))
            columns[name] = _fits(values, draw(st.sampled_from(NUMBER_TYPES)))
    return table(**columns)


@given(found=tables())
def test_columns_are_judged_like_lines(tmp_path_factory: pytest.TempPathFactory, found: pa.Table) -> None:
    """Rows of any types and values give the plays and the rejects that their lines give, with number and text."""
    by_columns, as_lines, _ = both(tmp_path_factory.mktemp("a") / "a", parquet(found, use_dictionary=False))
    assert by_columns == as_lines


@given(values=st.lists(st.binary(max_size=6), min_size=1, max_size=6), name=st.sampled_from(["event_id", "country"]))
@example(values=[b"e1", b"\xed\xa0\x80", b"\xff", b"e2"], name="event_id")
@example(values=[b"KR", b"\xff", b"KR"], name="country")
def test_any_bytes_are_judged_like_lines(
    tmp_path_factory: pytest.TempPathFactory, values: list[bytes], name: str
) -> None:
    """Bytes that are no text are the same rejects as in lines, also where a column says that it is text."""
    found = table(**{name: pa.array(values, pa.binary()).view(pa.string())})
    for dictionary in (True, False):
        by_columns, as_lines, _ = both(tmp_path_factory.mktemp("a") / "a", parquet(found, use_dictionary=dictionary))
        assert by_columns == as_lines


PLAIN = {
    "texts": {},
    "large texts": {"event_id": pa.array(["a", "ü"], pa.large_string())},
    "bytes": {"event_id": pa.array([b"a", b"b"], pa.binary())},
    "views": {"user_id": pa.array(["a", "b"], pa.string_view())},
    "coded texts": {"country": pa.array(["KR", "US"]).dictionary_encode()},
    "coded users": {"user_id": pa.array(["a", "b"]).dictionary_encode()},
    "small numbers": {
        "watched_seconds": pa.array([60, 30], pa.int16()),
        "utc_offset_minutes": pa.array([0, 60], pa.int8()),
    },
    "numbers without a sign": {"episode_id": pa.array([1, 2**53], pa.uint64())},
    "decimals": {"episode_id": pa.array([Decimal(1), Decimal(2**53)], pa.decimal128(18, 0))},
    "seconds": {"received_at": pa.array([AT.replace(microsecond=0)] * 2, pa.timestamp("s"))},
    "milliseconds": {"received_at": pa.array([AT, AT], pa.timestamp("ms", "UTC"))},
    "microseconds": {"received_at": pa.array([AT, AT], pa.timestamp("us"))},
    "nanoseconds": {"received_at": pa.array([AT, AT], pa.timestamp("ns", "Asia/Seoul"))},
    "an offset": {"received_at": pa.array(["2026-01-05T14:02:11+01:00", "2026-01-05T13:02:11.1234567Z"])},
}


@pytest.mark.parametrize("kind", PLAIN)
def test_usual_types_need_no_line(tmp_path: Path, kind: str) -> None:
    """Two plays in each usual type are plays by their columns alone."""
    columns = {"event_id": pa.array(["e1", "e2"]), **PLAIN[kind]}
    by_columns, as_lines, surely = both(tmp_path / "a", parquet(table(**columns)))
    assert by_columns == as_lines
    assert (len(by_columns[0]), surely) == (2, 2)


def test_only_doubtful_rows_are_lines(tmp_path: Path) -> None:
    """Of 1,000 rows with two bad ones, two become lines, with their numbers."""
    seconds = np.full(1000, 60)
    seconds[[6, 998]] = 3601
    found = table(watched_seconds=pa.array(seconds))
    by_columns, as_lines, surely = both(tmp_path / "a", parquet(found, row_group_size=300))
    assert by_columns == as_lines
    assert surely == 998
    assert [(n, reason) for n, reason, _ in by_columns[1]] == [
        (7, Reason.WATCHED_SECONDS.value), (999, Reason.WATCHED_SECONDS.value)
    ]  # fmt: skip


@pytest.mark.parametrize(("longest", "by_dictionary"), [(64, False), (1000, True)])
def test_dictionary_that_the_writer_gave_up_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int, by_dictionary: bool
) -> None:
    """Ids of which most come after a full dictionary are read one by one, unless one in the dictionary is long."""
    ids = ["x" * longest, *(f"e{n:08}" for n in range(2000))]
    data = parquet(table(event_id=pa.array(ids)), dictionary_pagesize_limit=4096, write_batch_size=100)
    asked: list[list[str]] = []
    usual = pq.ParquetFile

    def opened(*arguments: Any, read_dictionary: list[str], **options: Any) -> pq.ParquetFile:
        asked.append(read_dictionary)
        return usual(*arguments, read_dictionary=read_dictionary, **options)

    monkeypatch.setattr(pq, "ParquetFile", opened)
    by_columns, as_lines, _ = both(tmp_path / "a", data)
    assert by_columns == as_lines
    assert len(by_columns[0]) == (2001 if longest == 64 else 2000)
    assert ["event_id" in one for one in asked] == [by_dictionary] * 3


def test_rows_that_lack_a_column_are_lines(tmp_path: Path) -> None:
    """A file without a field's column has no plays by columns, and each row is a reject as before."""
    path = tmp_path / "a"
    path.write_bytes(parquet(table(event_id=pa.array(["e1", "e2"])).drop_columns("received_at")))
    blocks = list(read_blocks(path, "a", Fields(), window=WINDOW))
    assert [(n, reason) for n, reason, _ in judged(blocks)[1]] == [(1, "received_at"), (2, "received_at")]


def buffers(texts: Sequence[str]) -> tuple[Any, Any]:
    """Return the offsets and the bytes of texts."""
    ends = np.cumsum([0, *(len(one.encode()) for one in texts)])
    return ends, np.frombuffer("".join(texts).encode(), np.uint8)


@given(texts=st.lists(instants_as_text().map(lambda one: one or ""), min_size=1, max_size=8))
@example(
    texts=["0000-12-31T23:30:00-01:00", "9999-12-31T23:59:59-01:00", "2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z"]
)
@example(texts=["2026-01-05T24:00:00Z", "2026-01-05T23:60:00Z", "2026-01-05T23:59:60Z", "2026-13-01T00:00:00Z"])
def test_instants_are_read_as_the_reference_parser_reads_them(texts: list[str]) -> None:
    """A text is of the form exactly if the reference parser accepts it in some window, and is the same instant."""
    micros, right = instants.parse(*buffers(texts))
    for text, micro, holds in zip(texts, micros.tolist(), right.tolist(), strict=True):
        found = validate(_line(text), Fields(), Window(*EVER))
        at = instants.EPOCH + timedelta(microseconds=micro) if _in_years(micro) else None
        assert (at if holds else None) == (found.received_at if isinstance(found, Event) else None), text


def _in_years(micros: int) -> bool:
    first, last = map(instants.in_micros, EVER)
    return first <= micros < last


def _line(at: str) -> bytes:
    return json.dumps(play(received_at=at)).encode()


@given(texts=st.lists(instants_as_text(), min_size=1, max_size=20))
def test_queries_read_instants_like_the_reference_parser(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]
) -> None:
    """Lines with any instants are the same plays and rejects for the queries as for the reference parser."""
    raws = [to_line(play(received_at=text)) for text in texts]
    expected = validated(*raws)
    assert split(tmp_path_factory.mktemp("a"), *raws) == expected
    with mock.patch.object(parsing, "FAST_REJECTS", 1):
        assert split(tmp_path_factory.mktemp("a"), *raws) == expected


# Avro.


TEXT_SCHEMAS: list[Any] = ["string", ["null", "string"], ["string", "null", "bytes"], "bytes"]
NUMBER_SCHEMAS: list[Any] = [
    "long",
    "int",
    ["null", "long"],
    ["null", "int", "long"],
    ["double", "long"],
    ["null", "string", "long"],
]


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a schema of plays with odd types, and records of odd values, with fields that nobody needs between."""
    rows = draw(st.integers(1, 8))
    fields: dict[str, dict[str, Any]] = {}
    values: dict[str, list[Any]] = {}
    for name in ("event_id", "received_at", *NAMES):
        usual = {**play(), **play()["event"]}[name]
        odd = draw(st.integers(0, 3)) == 0
        if isinstance(usual, str):
            kind: Any = draw(st.sampled_from(TEXT_SCHEMAS))
            strategy = instants_as_text() if name == "received_at" else WORDS.get(name, IDS)
        else:
            kind, strategy = draw(st.sampled_from(NUMBER_SCHEMAS)), NUMBERS
        if name == "received_at" and draw(st.booleans()):
            unit = draw(st.sampled_from(["millis", "micros", "nanos"]))
            kind = {"type": "long", "logicalType": draw(st.sampled_from(["", "local-"])) + "timestamp-" + unit}
            strategy = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(1767618000000, 1767622000000))
            usual, odd = 1767618131123 * {"millis": 1, "micros": 1000, "nanos": 10**6}[unit], draw(st.booleans())
        elif name == "device" and draw(st.booleans()):
            kind = {"type": "enum", "name": "kinds", "symbols": ["tv", "TV", "mobile"]}
            strategy = st.sampled_from(["tv", "TV", "mobile"])
        fields[name] = {"name": name, "type": kind}
        values[name] = [_in_avro(one, kind, usual) for one in draw(st.lists(strategy, min_size=rows, max_size=rows))]
        if not odd:
            values[name] = [_in_avro(usual, kind, usual)] * rows
    further = {"name": "further", "type": {"type": "map", "values": {"type": "array", "items": ["null", "double"]}}}
    inner: Any = {"type": "record", "name": "event", "fields": [*(fields[name] for name in NAMES[:4]), further,
                                                                *(fields[name] for name in NAMES[4:])]}  # fmt: skip
    optional = draw(st.booleans())
    schema = {"type": "record", "name": "play", "fields": [fields["event_id"], fields["received_at"],
              {"name": "event", "type": ["null", inner] if optional else inner}]}  # fmt: skip
    made = []
    for row in range(rows):
        event: Any = {**{name: values[name][row] for name in NAMES}, "further": {"a": [1.5, None], "b": []}}
        if optional and draw(st.integers(0, 9)) == 0:
            event = None
        made.append({"event_id": values["event_id"][row], "received_at": values["received_at"][row], "event": event})
    return schema, made


def _in_avro(value: Any, kind: Any, usual: Any) -> Any:
    """Return a value that a type can have."""
    kinds = kind if isinstance(kind, list) else [kind]
    if value is None:
        return None if "null" in kinds else usual if isinstance(kind, dict) else _in_avro(usual, kind, usual)
    if kind == "bytes":
        return value.encode()
    if "int" in kinds and "long" not in kinds:
        return min(value, 2**31 - 1)
    return value


def avro_of(schema: dict[str, Any], rows: Sequence[Any], block: int = 60) -> bytes:
    """Return an Avro file of small blocks."""
    file = io.BytesIO()
    fastavro.writer(file, schema, rows, sync_interval=block)
    return file.getvalue()


@given(found=records(), block=st.sampled_from([1, 300, 16000]), held=st.sampled_from([1, 2, 1 << 16]))
def test_avro_columns_are_judged_like_lines(
    tmp_path_factory: pytest.TempPathFactory, found: tuple[dict[str, Any], list[dict[str, Any]]], block: int, held: int
) -> None:
    """Records of any types and values give the plays and the rejects that their lines give, wherever blocks end."""
    with mock.patch.object(avro_columns, "ROWS", held):
        by_columns, as_lines, _ = both(tmp_path_factory.mktemp("a") / "a", avro_of(*found, block=block), "a.avro")
    assert by_columns == as_lines


def usual_schema(**kinds: Any) -> dict[str, Any]:
    """Return the schema of plays, with other types of some fields."""
    usual = {**play(), **play()["event"]}
    fields = {
        name: {"name": name, "type": kinds.get(name, "string" if isinstance(usual[name], str) else "long")}
        for name in ("event_id", "received_at", *NAMES)
    }
    event = {"type": "record", "name": "event", "fields": [fields[name] for name in NAMES]}
    outer = [fields["event_id"], fields["received_at"], {"name": "event", "type": event}]
    return {"type": "record", "name": "play", "fields": outer}


USUAL_AVRO: dict[str, dict[str, Any]] = {
    "texts": {},
    "optional fields": {
        "event_id": ["null", "string"],
        "watched_seconds": ["int", "null"],
        "user_id": ["string", "null"],
    },
    "a device of a set": {"device": {"type": "enum", "name": "kinds", "symbols": ["web", "tv"]}},
    "ids with a logical type": {"event_id": {"type": "string", "logicalType": "uuid"}},
}


@pytest.mark.parametrize("kind", USUAL_AVRO)
def test_usual_avro_types_need_no_line(tmp_path: Path, kind: str) -> None:
    """Plays in each usual type are plays by their columns alone, through all blocks; the others are lines."""
    rows = [play(event_id=f"e{n}", watched_seconds=4000 if n == 7 else 60) for n in range(50)]
    by_columns, as_lines, surely = both(tmp_path / "a", avro_of(usual_schema(**USUAL_AVRO[kind]), rows, 500), "a.avro")
    assert by_columns == as_lines
    assert [(n, reason) for n, reason, _ in by_columns[1]] == [(8, "watched_seconds")]
    assert surely == 49


def test_avro_without_the_compiled_decoder(tmp_path: Path) -> None:
    """Without the compiled decoder, the reader in Python finds the same plays and rejects."""
    rows = [play(event_id=f"e{n}", country="kr" if n == 3 else "KR") for n in range(10)]
    data = avro_of(usual_schema(), rows)
    by_columns, _, _ = both(tmp_path / "a", data, "a.avro")
    with mock.patch.object(avro_columns, "columns_native", None):
        without, _, surely = both(tmp_path / "a", data, "a.avro")
    assert (without, surely) == (by_columns, 0)


@given(at=st.integers(0, 400), value=st.integers(0, 255))
def test_spoilt_avro_is_judged_like_lines(tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    """A file with any byte spoilt gives the same plays and rejects, or the same words about its damage."""
    data = avro_of(usual_schema(event_id=["null", "string"]), [play(event_id=f"e{n}") for n in range(4)], 100)
    body = data.index(data[-16:]) + 16
    spoilt = bytearray(data)
    spoilt[body + at % (len(data) - body)] = value
    path = tmp_path_factory.mktemp("a") / "a"
    assert _outcome(path, bytes(spoilt), WINDOW) == _outcome(path, bytes(spoilt), None)


def _outcome(path: Path, data: bytes, window: Window | None) -> Judged | str:
    path.write_bytes(data)
    try:
        return judged(list(read_blocks(path, "a.avro", Fields(), window=window)))
    except BadInputError as error:
        return str(error)


# Texts of few distinct values.


@given(
    values=st.lists(
        st.one_of(
            st.binary(max_size=3), st.sampled_from([b"", b"abcdefgh", b"abcdefghi", b"abcdefghj", b"\x00", b"a\x00"])
        ),
        max_size=40,
    ),
    first=st.integers(0, 3),
)
def test_codes_stand_for_the_texts(values: list[bytes], first: int) -> None:
    """Coded texts are the texts, each distinct one once, also in a part of an array, whatever their bytes."""
    array = pa.array(values, pa.binary()).view(pa.string())[first:]
    coded = columns._coded(array)
    found = coded.dictionary.view(pa.binary()).take(coded.indices)
    assert found.to_pylist() == values[first:]
    assert len(coded.dictionary) == len(set(values[first:]))


def test_many_distinct_texts_are_coded_too() -> None:
    """A column of more distinct texts than the compiled code holds gives the same."""
    values = [f"text {n % 5000}" for n in range(20_000)]
    coded = columns._coded(pa.array(values))
    assert coded.dictionary.take(coded.indices).to_pylist() == values
