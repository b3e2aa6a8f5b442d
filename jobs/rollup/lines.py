"""Raw objects to blocks of lines: gzip or plain JSON lines, Avro, Parquet.

A block is an Arrow table of whole lines (``n``: number of the line in the object, from 1; ``text``), at most some 16
MiB, and the lines that no text can hold: not UTF-8, or endless. Lines lie in the block where the file was unpacked to,
without a copy. Avro and Parquet records become a line of JSON each, so that one contract validates all formats.
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
"""What the readers raise at a file that is cut short, damaged, or no such file."""


@dataclass(frozen=True)
class Unreadable:
    """A line rejected before it could be read as text."""

    n: int
    reason: Reason
    raw: bytes


@dataclass(frozen=True)
class Block:
    """Some whole lines of an object, and those that no text can hold; ``last`` when no other block follows."""

    lines: pa.Table
    unreadable: tuple[Unreadable, ...] = ()
    last: bool = False


def read_blocks(path: Path, key: str) -> Iterator[Block]:
    """Yield the blocks of an object in order; BadInputError names the key when the file cannot be read to its end.

    A block is valid until the next one is asked for: its memory is used again.
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
            f"{key} cannot be read to its end: {error}: replace or remove the file; no part of its hour was counted"
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
    """Read on to the end of an endless line; return how many bytes of what follows stand at the buffer's start."""
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
        if error.errno is not None:  # the disk's, not the file's
            raise
        raise pa.ArrowInvalid(str(error)) from error


def _to_line(record: dict[str, Any]) -> str:
    text = json.dumps(record, default=_plain, ensure_ascii=False)
    if "NaN" in text or "Infinity" in text:  # what they are written as is no JSON
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False)
    return text


def _plain(value: object) -> str:
    """Write what JSON has no form for as the contract expects it: instants in UTC, other things as their text."""
    if isinstance(value, datetime):
        instant = value if value.tzinfo else value.replace(tzinfo=UTC)
        finest = "microseconds" if value.microsecond % 1000 else "milliseconds"
        return instant.astimezone(UTC).isoformat(timespec=finest).replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


def _table(numbers: Any, text: pa.Array) -> pa.Table:  # noqa: ANN401 - a list or a numpy array
    return pa.table({"n": pa.array(numbers, pa.int64()), "text": text})
