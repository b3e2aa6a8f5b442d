"""Reads raw objects as blocks of lines: JSON lines (plain or compressed), Avro, Parquet.

A block has an Arrow table of whole lines (``n``: line number in the object, from 1; ``text``), of about 16 MiB at most,
and the lines that cannot be read as text: not UTF-8, or too long. The table refers to the buffer that the file was
decompressed to, without a copy. With a pass (passes.py), most lines are events already, and the table has the others.

Avro and Parquet records that are plays for certain become a table of plays; each other record becomes one line of JSON,
so that one contract validates all formats. So does each event of a text in which events are not one on each line.
"""

import gzip
import struct
import zlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from jobs.rollup.blocks import (
    BLOCK_BYTES,
    KEPT_BYTES,
    LINES_A_BLOCK,
    NONE,
    Block,
    Bytes,
    Numbers,
    Unreadable,
    in_blocks,
    to_table,
)
from jobs.rollup.compression import HEAD_BYTES, Decompressed, Format, format_of, open_text, sniff
from jobs.rollup.contract import MAX_LINE_BYTES, Fields, Reason, Window
from jobs.rollup.limits import Limits
from jobs.rollup.records import Asked, Record
from jobs.rollup.several import is_over_lines, split_text
from marquee.errors import BadInputError

if TYPE_CHECKING:
    from jobs.rollup.passes import Pass, Passed

NEWLINE = ord("\n")
ASCII_END = 128
BOM = b"\xef\xbb\xbf"
OPENINGS = (b"{", b"[", b'"')
SPACE = b" \t\r\n"
MANY_EMPTY = 1000
PLAY_BYTES = 240
"""Bytes of a play as a line of JSON, roughly."""
CHUNK_BYTES = 1 << 20
FILL_BYTES = 256 << 10
NO_LINES = to_table([], [])

DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    gzip.BadGzipFile,
    isal_zlib.error,  # type: ignore[assignment] # the stubs take it for an instance
    zlib.error,
    struct.error,
    pa.ArrowException,
    ValueError,
    RecursionError,
    LookupError,
    OverflowError,
)
"""Errors that the readers raise for a truncated or damaged file, or a file of another format."""

_NO_LIMITS = Limits()


def read_blocks(
    path: Path,
    key: str,
    fields: Fields | None = None,
    limits: Limits = _NO_LIMITS,
    window: Window | None = None,
    passing: "Pass | None" = None,
) -> Iterator[Block]:
    """Yield the blocks of an object in order. A block is valid until the next one is read, unless it is lasting.

    Of Avro and Parquet records, only ``fields`` are read; without them, all that are neither lists nor maps. With a
    ``window`` of the hour, records that are plays for certain are no lines, but ``plays`` of a block, or its ``events``
    if there is a pass.

    Raises:
        BadInputError: the file cannot be read to its end, or is beyond a limit; the message names the key.
    """
    asked = Asked(None if fields is None else fields.paths, limits, window, passing)
    keyed = passing is not None
    try:
        with path.open("rb") as file:
            if not file.peek(1):
                return
            found = format_of(file, key)
            if found is Format.AVRO:
                from jobs.rollup import avro  # noqa: PLC0415 - with its codecs, and most objects are JSON lines

                yield from in_blocks(_limited(avro.read_records(path, asked), limits.object_bytes), keyed=keyed)
            elif found is Format.PARQUET:
                from jobs.rollup import parquet  # noqa: PLC0415 - as above

                yield from in_blocks(_limited(parquet.read_records(path, asked), limits.object_bytes), keyed=keyed)
            else:
                with open_text(file, found, limits.object_bytes) as text:
                    yield from _Splitter(text, passing).blocks()
    except DAMAGE as error:
        raise _unreadable(key, error) from error
    except OSError as error:
        if error.errno is not None:  # an error of the disk, not of the file's format
            raise
        raise _unreadable(key, error) from error


def _limited(records: Iterator[Record], most: int) -> Iterator[Record]:
    """Yield records; ValueError once they are longer in all, as lines of JSON, than an object may be."""
    left = most
    for record in records:
        left -= _length(record)
        if left < 0:
            message = (
                f"its records have more than {most >> 20} MiB as JSON. If they are what a producer wrote, raise "
                "MARQUEE_ROLLUP__LIMITS__OBJECT_MB"
            )
            raise ValueError(message)
        yield record


def _length(record: Record) -> int:
    if isinstance(record, pa.Table):
        return PLAY_BYTES * int(record.num_rows)
    _, text = record
    return len(text) if isinstance(text, str) else len(text[1])


def _unreadable(key: str, error: Exception) -> BadInputError:
    message = f"{key} cannot be read to its end: {error}. Replace or remove the file; nothing of its hour was published"
    return BadInputError(message)


class _Splitter:
    """Splits text into blocks of lines, in one buffer for all blocks; with a pass, in the buffer of the pass."""

    def __init__(self, file: Decompressed, passing: "Pass | None") -> None:
        self._file, self._pass = file, passing
        self._buffer = passing.buffer[:BLOCK_BYTES] if passing else np.empty(BLOCK_BYTES, np.uint8)
        self._filled = 0
        self._next = 1

    @cached_property
    def _newlines(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Memory for where the buffer has newlines. The pass, which takes most objects, needs none."""
        return np.empty(BLOCK_BYTES, bool)

    def blocks(self) -> Iterator[Block]:
        self._fill_from(0)
        self._check_inside()
        if self._is_over_lines():
            yield from in_blocks(enumerate(split_text(self._rest(), whole=True), 1))
            return
        if self._pass:
            self._pass.begin_object()
        while self._filled:
            at_end = self._filled < BLOCK_BYTES
            if self._pass and self._pass.pays:
                start = self._filled if at_end else self._end_of_lines()
                start = yield from self._passed(self._pass, start)
            else:
                start = yield from self._split(at_end=at_end)
            if at_end and start == self._filled:
                return
            if start:
                self._fill_from(start)
            else:
                yield from self._endless_line()

    def _split(self, *, at_end: bool) -> Generator[Block, None, int]:
        """Yield the lines of the buffer; return where the last one ends."""
        newlines = np.equal(self._buffer[: self._filled], NEWLINE, out=self._newlines[: self._filled])
        start = 0
        for ends in _ends(newlines, at_end=at_end):
            last = at_end and ends[-1] == self._filled and not self._pass
            yield from self._lines(self._buffer[start : ends[-1]], ends - start, last=last)
            start = int(ends[-1])
        return start

    def _end_of_lines(self) -> int:
        """Return the end of the last whole line in the buffer."""
        for end in range(self._filled, 0, -CHUNK_BYTES):
            begin = max(0, end - CHUNK_BYTES)
            if (found := self._buffer[begin:end].tobytes().rfind(b"\n")) >= 0:
                return begin + found + 1
        return 0

    def _passed(self, passing: "Pass", end: int) -> Generator[Block, None, int]:
        """Yield the lines of the buffer up to an end, as events where the pass takes them; return where it stopped."""
        begin = 0
        while begin < end and passing.pays:
            passing.line = self._next
            passed = passing.read(begin, end)
            self._next, begin = passing.line, passed.end
            yield self._left_by(passed, end)
            if passed.long_line_end is not None:
                begin = min(passed.long_line_end + 1, end)
                yield from self._lines(self._buffer[passed.end : begin], np.array([begin - passed.end]), last=False)
        return begin

    def _left_by(self, passed: "Passed", end: int) -> Block:
        """Return a block of the events and the lines that a pass has left, which are copied."""
        if not len(passed.others):
            return Block(NO_LINES, lasting=True, events=(passed.events,))
        begins, ends, numbers = passed.others.T
        ends = np.minimum(ends + 1, end)
        if numbers[0] == 1 and self._buffer[begins[0] : begins[0] + 3].tobytes() == BOM:
            begins[0] += len(BOM)
        apart = np.flatnonzero(begins[1:] != ends[:-1]) + 1
        runs = zip(begins[[0, *apart]].tolist(), ends[[*(apart - 1), -1]].tolist(), strict=True)
        data = np.concatenate([self._buffer[first:last] for first, last in runs])
        offsets = np.zeros(len(ends) + 1, np.int32)
        np.cumsum(ends - begins, out=offsets[1:])
        return replace(_block(data, offsets, numbers, lasting=True), events=(passed.events,))

    def _fill_from(self, start: int) -> None:
        """Keep what the buffer has from ``start``, and read on."""
        rest = self._buffer[start : self._filled].copy()
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)
        self._filled += _fill(self._file, self._buffer.data[self._filled :])

    def _check_inside(self) -> None:
        head = self._buffer[:HEAD_BYTES][: self._filled].tobytes()
        if (inside := sniff(head)) is not Format.PLAIN:
            message = f"it is {inside} inside another compression"
            raise ValueError(message)

    def _is_over_lines(self) -> bool:
        head = self._buffer[: min(self._filled, 2 * MAX_LINE_BYTES)].tobytes()
        return is_over_lines(head)

    def _rest(self) -> Iterator[bytes]:
        """Yield the rest of the file, from the start of the buffer."""
        while self._filled:
            for at in range(0, self._filled, CHUNK_BYTES):
                yield self._buffer[at : min(at + CHUNK_BYTES, self._filled)].tobytes()
            self._fill_from(self._filled)

    def _endless_line(self) -> Iterator[Block]:
        """Read a line of which the buffer has only the first part."""
        head = self._buffer[:KEPT_BYTES].tobytes()
        if _may_hold_several(head):
            yield from self._split_up(self._rest_of_line())
        else:
            for _ in self._rest_of_line():
                pass
            yield Block(to_table([], []), (Unreadable(self._next, Reason.LINE_TOO_LONG, head),))
            self._next += 1

    def _rest_of_line(self) -> Iterator[bytes]:
        """Yield the rest of a line, whose end the buffer does not have; then the buffer has what follows the line."""
        while self._filled:
            ends = np.flatnonzero(self._buffer[: self._filled] == NEWLINE)
            end = int(ends[0]) if len(ends) else self._filled
            for at in range(0, end, CHUNK_BYTES):
                yield self._buffer[at : min(at + CHUNK_BYTES, end)].tobytes()
            self._fill_from(end + len(ends[:1]))
            if len(ends):
                return

    def _lines(self, data: Bytes, ends: Numbers, *, last: bool) -> Iterator[Block]:
        """Yield the lines of some bytes: one block, but for long lines with several events."""
        first, start = 0, 0
        for index in _longer(ends):
            begin = int(ends[index - 1]) if index else 0
            if _may_hold_several(data[begin : begin + KEPT_BYTES].tobytes()):
                if index > first:
                    yield self._block(data[start:begin], ends[first:index] - start)
                first, start = index + 1, int(ends[index])
                line = data[begin:start]
                yield from self._split_up(
                    line[at : at + CHUNK_BYTES].tobytes() for at in range(0, len(line), CHUNK_BYTES)
                )
        if first < len(ends):
            yield self._block(data[start:], ends[first:] - start, last=last)

    def _split_up(self, chunks: Iterator[bytes]) -> Iterator[Block]:
        first = self._next
        for block in in_blocks(enumerate(split_text(chunks), first)):
            yield block
            self._next += block.count
        if self._next == first:  # a line of brackets
            yield Block(to_table([], []), (Unreadable(first, Reason.LINE_TOO_LONG, b""),))
            self._next += 1

    def _block(self, data: Bytes, ends: Numbers, *, last: bool = False) -> Block:
        offsets = np.zeros(len(ends) + 1, np.int32)
        offsets[1:] = ends
        if self._next == 1 and data[:3].tobytes() == BOM:
            offsets[0] = len(BOM)
        block = _block(data, offsets, np.arange(self._next, self._next + len(ends)), lasting=last)
        self._next += len(ends)
        return block


def _ends(newlines: np.ndarray[Any, Any], *, at_end: bool) -> Iterator[Numbers]:
    """Yield the ends of LINES_A_BLOCK lines of a buffer at a time; at the end of the file, one may lack its newline."""
    # An array of the ends takes eight bytes for each, so it is made in parts if there are many.
    sample = newlines[:CHUNK_BYTES]
    dense = np.count_nonzero(sample) * len(newlines) > LINES_A_BLOCK * len(sample)
    step = CHUNK_BYTES if dense else len(newlines)
    for at in range(0, len(newlines), step):
        ends = np.flatnonzero(newlines[at : at + step]) + (at + 1)
        if at_end and at + step >= len(newlines) and not newlines[-1]:
            ends = np.append(ends, len(newlines))
        for first in range(0, len(ends), LINES_A_BLOCK):
            yield ends[first : first + LINES_A_BLOCK]


def _longer(ends: Numbers) -> Numbers:
    """Return which lines are longer than a line may be."""
    return np.flatnonzero(np.diff(ends, prepend=0) > MAX_LINE_BYTES + 1) if int(ends[-1]) > MAX_LINE_BYTES else NONE


def _may_hold_several(head: bytes) -> bool:
    return head.removeprefix(BOM).lstrip(SPACE)[:1] in OPENINGS


def _fill(file: Decompressed, view: memoryview) -> int:
    filled = 0
    # Parts at a time: isal reads into memory of its own first, which would be new for large parts.
    while filled < len(view) and (got := file.readinto(view[filled : filled + FILL_BYTES])):
        filled += got
    return filled


def _block(data: Bytes, offsets: np.ndarray[Any, np.dtype[np.int32]], numbers: Numbers, *, lasting: bool) -> Block:
    """Return a block of lines in some bytes, without a copy."""
    text = pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(data))
    lengths = np.diff(offsets) - (data[offsets[1:] - 1] == NEWLINE)
    empty = np.flatnonzero(lengths == 0)
    if len(empty) < MANY_EMPTY:  # not worth the copy of the others
        empty = NONE
    unreadable = _find_unreadable(data, offsets, lengths)
    table = to_table(numbers, text)
    if not unreadable and not len(empty):
        return Block(table, lasting=lasting)
    readable = np.ones(len(numbers), bool)
    readable[list(unreadable)] = False
    readable[empty] = False
    rejected = tuple(
        Unreadable(
            int(numbers[index]), reason, data[offsets[index] : offsets[index + 1]][:KEPT_BYTES].tobytes().rstrip(b"\n")
        )
        for index, reason in sorted(unreadable.items())
    )
    return Block(table.filter(pa.array(readable)), rejected, numbers[empty], lasting)


def _find_unreadable(data: Bytes, offsets: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> dict[int, Reason]:
    found = {int(index): Reason.LINE_TOO_LONG for index in np.flatnonzero(lengths > MAX_LINE_BYTES)}
    if data.max() >= ASCII_END and not _is_utf8(data.data):
        for index in range(len(offsets) - 1):
            if index not in found and not _is_utf8(data.data[offsets[index] : offsets[index + 1]]):
                found[index] = Reason.NOT_UTF8
    return found


def _is_utf8(data: memoryview) -> bool:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True
