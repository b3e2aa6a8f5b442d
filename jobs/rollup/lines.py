"""Reads raw objects as blocks of lines: plain or gzipped JSON lines, Avro, Parquet.

A block has an Arrow table of whole lines (``n``: line number in the object, from 1; ``text``), of about 16 MiB at most,
and the lines that cannot be read as text: not UTF-8, or too long. The table refers to the buffer that the file was
decompressed to, without a copy. Each Avro or Parquet record becomes one line of JSON, so that one contract validates
all formats.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip, isal_zlib

from jobs.rollup.contract import MAX_LINE_BYTES, Reason
from marquee.errors import BadInputError

BLOCK_BYTES = 16 << 20
RECORDS_A_BLOCK = 50_000
KEPT_BYTES = 64 << 10
NEWLINE = ord("\n")
ASCII_END = 128
BOM = b"\xef\xbb\xbf"

DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    gzip.BadGzipFile,
    isal_zlib.error,  # type: ignore[assignment] # the stubs take it for an instance
    zlib.error,
    pa.ArrowException,
    fastavro.schema.SchemaParseException,
    ValueError,
    LookupError,
    OverflowError,
)
"""Errors that the readers raise for a truncated or damaged file, or a file of another format."""


@dataclass(frozen=True)
class Unreadable:
    """A line that cannot be read as text, and its reject reason."""

    n: int
    reason: Reason
    raw: bytes


@dataclass(frozen=True)
class Block:
    """Whole lines of an object, and its unreadable lines; ``last`` if no other block follows."""

    lines: pa.Table
    unreadable: tuple[Unreadable, ...] = ()
    last: bool = False


def read_blocks(path: Path, key: str) -> Iterator[Block]:
    """Yield the blocks of an object in order; BadInputError names the key if the file cannot be read to its end.

    A block is valid until the next one is read, because they share a buffer.
    """
    if path.stat().st_size == 0:
        return
    try:
        if key.endswith(".avro"):
            yield from _number(_avro_records(path))
        elif key.endswith(".parquet"):
            yield from _number(_parquet_records(path))
        else:
            # isal's stubs leave open() untyped.
            with igzip.open(path, "rb") if key.endswith(".gz") else path.open("rb") as file:  # type: ignore[no-untyped-call]
                yield from _split(file)
    except DAMAGE as error:
        message = (
            f"{key} cannot be read to its end: {error}. Replace or remove the file; nothing of its hour was published"
        )
        raise BadInputError(message) from error


def _split(file: BinaryIO) -> Iterator[Block]:
    buffer, newlines = np.empty(BLOCK_BYTES, np.uint8), np.empty(BLOCK_BYTES, bool)
    filled, first_line = 0, 1
    while True:
        got = _fill(file, buffer.data[filled:])
        filled += got
        if filled == 0:
            return
        at_end = filled < BLOCK_BYTES
        ends = np.flatnonzero(np.equal(buffer[:filled], NEWLINE, out=newlines[:filled])) + 1
        if at_end and (len(ends) == 0 or ends[-1] != filled):
            ends = np.append(ends, filled)  # the last line may lack its newline
        if len(ends) == 0:
            head = buffer[:KEPT_BYTES].tobytes()
            filled = _skip_line(file, buffer)
            yield Block(_table([], pa.array([], pa.string())), (Unreadable(first_line, Reason.LINE_TOO_LONG, head),))
            first_line += 1
            continue
        yield _block(buffer, ends, first_line, last=at_end)
        first_line += len(ends)
        rest = buffer[ends[-1] : filled].copy()
        buffer[: len(rest)] = rest
        filled = len(rest)


def _fill(file: BinaryIO, view: memoryview) -> int:
    filled = 0
    while filled < len(view) and (got := file.readinto(view[filled:])):  # type: ignore[attr-defined] # binary files have it
        filled += got
    return filled


def _skip_line(file: BinaryIO, buffer: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    """Skip to the end of a line that is too long; return how many bytes of the next lines the buffer starts with."""
    while got := _fill(file, buffer.data):
        ends = np.flatnonzero(buffer[:got] == NEWLINE)
        if len(ends):
            rest = buffer[ends[0] + 1 : got].copy()
            buffer[: len(rest)] = rest
            return len(rest)
    return 0


def _block(buffer: np.ndarray[Any, Any], ends: np.ndarray[Any, Any], first_line: int, *, last: bool) -> Block:
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends
    if first_line == 1 and buffer[:3].tobytes() == BOM:
        offsets[0] = len(BOM)
    data = buffer.data[: ends[-1]]
    text = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
    unreadable = _find_unreadable(data, buffer[: ends[-1]], offsets)
    table = _table(np.arange(first_line, first_line + len(ends)), text)
    if not unreadable:
        return Block(table, last=last)
    readable = np.ones(len(ends), bool)
    readable[list(unreadable)] = False
    rejected = tuple(
        Unreadable(
            first_line + index, reason, bytes(data[offsets[index] : offsets[index + 1]][:KEPT_BYTES]).rstrip(b"\n")
        )
        for index, reason in sorted(unreadable.items())
    )
    return Block(table.filter(pa.array(readable)), rejected, last)


def _find_unreadable(data: memoryview, codes: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> dict[int, Reason]:
    lengths = np.diff(offsets) - (codes[offsets[1:] - 1] == NEWLINE)
    found = {int(index): Reason.LINE_TOO_LONG for index in np.flatnonzero(lengths > MAX_LINE_BYTES)}
    if codes.max() >= ASCII_END and not _is_utf8(data):
        for index in range(len(offsets) - 1):
            if index not in found and not _is_utf8(data[offsets[index] : offsets[index + 1]]):
                found[index] = Reason.NOT_UTF8
    return found


def _is_utf8(data: memoryview) -> bool:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _number(records: Iterator[dict[str, Any]]) -> Iterator[Block]:
    numbers = count(1)
    while batch := list(islice(records, RECORDS_A_BLOCK)):
        texts = [_to_line(record) for record in batch]
        yield Block(_table([next(numbers) for _ in texts], pa.array(texts, pa.string())))


def _avro_records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from fastavro.reader(file)  # type: ignore[misc] # a record of an event is a dict


def _parquet_records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(RECORDS_A_BLOCK):
                yield from batch.to_pylist()
    except OSError as error:
        if error.errno is not None:  # an error of the disk, not of the file's format
            raise
        raise pa.ArrowInvalid(str(error)) from error


def _to_line(record: dict[str, Any]) -> str:
    text = json.dumps(record, default=_plain, ensure_ascii=False)
    if "NaN" in text or "Infinity" in text:  # Python writes them, but they are not JSON
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False)
    return text


def _plain(value: object) -> str:
    """Convert a value without a JSON form to the contract's: instants in UTC, any other value as text."""
    if isinstance(value, datetime):
        instant = value if value.tzinfo else value.replace(tzinfo=UTC)
        finest = "microseconds" if value.microsecond % 1000 else "milliseconds"
        return instant.astimezone(UTC).isoformat(timespec=finest).replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


def _table(numbers: Any, text: pa.Array) -> pa.Table:  # noqa: ANN401 - a list or a numpy array
    return pa.table({"n": pa.array(numbers, pa.int64()), "text": text})
