"""Reads Avro files: only the fields that are asked for, and within limits.

The blocks of a file are decoded here, because a general reader trusts the counts and sizes that a file claims: 178
bytes can claim 300 million items. Values of a record that are not read are passed over, and are never made.
Specification: https://avro.apache.org/docs/1.12.0/specification/
"""

import bz2
import json
import lzma
import struct
import sys
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias
from uuid import UUID

import cramjam
import numpy as np
from isal import isal_zlib

from jobs.rollup import records
from jobs.rollup.avro_columns import AvroColumns, columns_of
from jobs.rollup.avro_schema import FIXED_BYTES, Names, Resolver, Schema, Tree, fields_with_slots, leaves
from jobs.rollup.blocks import BLOCK_BYTES, Numbers
from jobs.rollup.limits import Limits
from jobs.rollup.records import NO_TEXT, NULL, Asked, Literal, Record
from jobs.rollup.several import Piece

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Read: TypeAlias = Callable[[bytes, int, list[Literal]], int]
"""Reads a value at a position of a block, stores literals of what is asked for, and returns the position after it."""

SYNC_BYTES = 16
SCHEMA, CODEC = b"avro.schema", b"avro.codec"
MAX_METADATA_BYTES = 2 << 20
MAX_DECIMAL_BYTES, MAX_SCALE = 32, 80
"""Limits of a decimal that is read; Parquet has 32 bytes at most, which are 77 digits."""
LONGEST_VARINT = 70
MORE = 128
"""Bit of a byte of a number that has further bytes."""
WINDOW_LOG = 27
"""Largest window of zstd, as the logarithm of its bytes: 128 MiB, which all levels but ``--ultra`` stay within."""


def read_records(path: Path, asked: Asked) -> Iterator[Record]:
    """Yield the records: those that are plays for certain in tables, a line of JSON for each other, with its number.

    Values that are texts and no records are lines themselves.

    Raises:
        ValueError, LookupError, EOFError, struct.error, isal_zlib.error: the file is damaged, or beyond a limit.
    """
    with path.open("rb") as file:
        schema, codec, sync = _read_header(file)
        tree = Resolver(asked.limits).resolve(schema)
        blocks = _blocks(file, codec, sync, asked.limits)
        if tree.kind in ("string", "bytes"):
            yield from enumerate((text for data, count in blocks for text in _texts(data, count)), 1)
            return
        paths = records.in_order(leaves(tree) if asked.fields is None else asked.fields.values())
        read = _reader(tree, {one: slot for slot, one in enumerate(paths)})
        columns = columns_of(tree, asked, paths) if records.are_short(paths) else None
        to_records = _Records(paths, read, columns)
        for data, count in blocks:
            yield from to_records(data, count)
        yield from to_records.flush()


class _Records:
    """Turns blocks into records, and numbers them: by columns, if there are any and as far as they read a file."""

    def __init__(self, paths: list[Names], read: Read, columns: AvroColumns | None) -> None:
        self._paths, self._read, self._columns = paths, read, columns
        self._next = 1
        self._pending = self._held = 0
        self._blocks: list[tuple[int, bytes]] = []
        """The blocks of the records in columns, and how many of these are in the blocks before."""

    def __call__(self, data: bytes, count: int) -> Iterator[Record]:
        """Yield the records that are ready; those of a block may be later."""
        at, left = 0, count
        while left > 0 and self._columns is not None:
            self._blocks.append((self._pending, data))
            self._held += len(data)
            read, at = self._columns.add(data, at, left)
            self._pending += read
            left -= read
            stopped = left > 0 and not self._columns.is_full
            if left > 0 or self._held >= BLOCK_BYTES:
                yield from self.flush()
            if stopped:  # at what the decoder cannot read
                self._columns = None
        if left <= 0:
            _check_end(data, at)
            return
        rows = _rows(data, at, left, self._read, len(self._paths))
        yield from enumerate(records.to_lines(self._paths, rows), self._next)
        self._next += left

    def flush(self) -> Iterator[Record]:
        """Yield the records that are in columns."""
        if self._columns is None or not self._pending:
            return
        plays, sure, starts = self._columns.take()
        if plays.num_rows:
            yield plays
        others = np.flatnonzero(~sure)
        rows = self._rows_at(others, starts)
        yield from zip((others + self._next).tolist(), records.to_lines(self._paths, rows), strict=True)
        self._next += self._pending
        self._pending, self._held, self._blocks = 0, 0, []

    def _rows_at(self, places: Numbers, starts: Numbers) -> Iterator[list[Literal]]:
        blocks = np.searchsorted([first for first, _ in self._blocks], places, side="right") - 1
        for block, start in zip(blocks.tolist(), starts[places].tolist(), strict=True):
            row = [NULL] * len(self._paths)
            self._read(self._blocks[block][1], start, row)
            yield row


def _rows(data: bytes, at: int, count: int, read: Read, width: int) -> Iterator[list[Literal]]:
    for _ in range(count):
        row = [NULL] * width
        at = read(data, at, row)
        yield row
    _check_end(data, at)


def _texts(data: bytes, count: int) -> Iterator[Piece]:
    at = 0
    for _ in range(count):
        start, at = _span(data, at)
        found = records.line_of(data[start:at])
        yield found
    _check_end(data, at)


def _check_end(data: bytes, at: int) -> None:
    if at != len(data):
        message = f"an Avro block has {len(data) - at} bytes more than its records"
        raise ValueError(message)


# The file.


def _read_header(file: BinaryIO) -> tuple[Schema, str, bytes]:
    file.read(len(b"Obj\x01"))
    metadata: dict[bytes, bytes] = {}
    while count := _read_long(file):
        if count < 0:
            _read_long(file)
        for _ in range(abs(count)):
            name, value = _read_bytes(file), _read_bytes(file)
            if name in (SCHEMA, CODEC):
                metadata[name] = value
    if SCHEMA not in metadata:
        message = "its header has no Avro schema"
        raise ValueError(message)
    return json.loads(metadata[SCHEMA]), metadata.get(CODEC, b"null").decode(), _exactly(file, SYNC_BYTES)


def _blocks(file: BinaryIO, codec: str, sync: bytes, limits: Limits) -> Iterator[tuple[bytes, int]]:
    """Yield the decompressed blocks with their numbers of records."""
    if codec not in CODECS:
        message = f"its Avro codec is {codec!r}; the codecs {', '.join(sorted(CODECS))} are read"
        raise ValueError(message)
    left = limits.object_bytes
    while (count := _read_long(file, at_end=0)) or file.peek(1):  # type: ignore[attr-defined] # a buffered file
        size = _read_long(file)
        most = min(limits.block_bytes, left)
        if not 0 <= size <= most:
            raise _too_large(size, most)
        data = CODECS[codec](_exactly(file, size), most)
        if len(data) > most:
            raise _too_large(len(data), most)
        if count > len(data):
            message = f"an Avro block of {len(data)} bytes claims {count} records"
            raise ValueError(message)
        if _exactly(file, SYNC_BYTES) != sync:
            message = "an Avro block does not end with the file's marker"
            raise ValueError(message)
        left -= len(data)
        yield data, count


def _too_large(size: int, most: int) -> ValueError:
    return ValueError(
        f"an Avro block has {size} bytes or more, and {most} are read. If it is what a producer wrote, raise "
        "MARQUEE_ROLLUP__LIMITS__BLOCK_MB or MARQUEE_ROLLUP__LIMITS__OBJECT_MB"
    )


def _read_long(file: BinaryIO, at_end: int | None = None) -> int:
    value = shift = 0
    while shift < LONGEST_VARINT:
        byte = file.read(1)
        if not byte:
            if at_end is None or shift:
                raise _cut_short()
            return at_end
        value |= (byte[0] & 127) << shift
        if byte[0] < MORE:
            return (value >> 1) ^ -(value & 1)
        shift += 7
    raise _cut_short()


def _read_bytes(file: BinaryIO) -> bytes:
    size = _read_long(file)
    if not 0 <= size <= MAX_METADATA_BYTES:
        message = f"its header claims an entry of {size} bytes"
        raise ValueError(message)
    return _exactly(file, size)


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _cut_short()
    return data


def _cut_short() -> EOFError:
    return EOFError("the file ends in the middle of a block")


# Codecs: each returns at most a byte more than the limit.


def _inflate(data: bytes, most: int) -> bytes:
    inflater = isal_zlib.decompressobj(-zlib.MAX_WBITS)
    found = inflater.decompress(data, most + 1)
    if len(found) <= most and not inflater.eof:
        raise _cut_short()
    return found


def _stream(decompressor: Any, data: bytes, most: int) -> bytes:  # noqa: ANN401 - of any of three modules
    found: bytes = decompressor.decompress(data, most + 1)
    if len(found) <= most and not decompressor.eof:
        raise _cut_short()
    return found


def _unsnap(data: bytes, most: int) -> bytes:
    packed, checksum = data[:-4], data[-4:]
    try:
        size = cramjam.snappy.decompress_raw_len(packed)
        if size > most:
            raise _too_large(size, most)
        found = bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise ValueError(str(error)) from error
    if zlib.crc32(found) != int.from_bytes(checksum):
        message = "the checksum of a block is wrong"
        raise ValueError(message)
    return found


def _unpack_zstd(data: bytes, most: int) -> bytes:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}
    try:
        return _stream(zstd.ZstdDecompressor(options=options), data, most)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error


def _unpack_xz(data: bytes, most: int) -> bytes:
    try:
        return _stream(lzma.LZMADecompressor(memlimit=1 << WINDOW_LOG), data, most)
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from error


def _unpack_bz2(data: bytes, most: int) -> bytes:
    try:
        return _stream(bz2.BZ2Decompressor(), data, most)
    except OSError as error:
        raise ValueError(str(error)) from error


CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "null": lambda data, _: data,
    "deflate": _inflate,
    "snappy": _unsnap,
    "zstandard": _unpack_zstd,
    "bzip2": _unpack_bz2,
    "xz": _unpack_xz,
}


# Values.


def _long(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < MORE:
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 127, 7
    while shift < LONGEST_VARINT:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < MORE:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
    message = "a number of an Avro block has more than ten bytes"
    raise ValueError(message)


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Return where the bytes of a text begin and end."""
    size, start = _long(data, at)
    end = start + size
    if size < 0 or end > len(data):
        raise _cut_short()
    return start, end


def _reader(tree: Tree, slots: Mapping[Names, int]) -> Read:
    """Return the function that reads a value and stores the literals of some paths in their slots."""
    if not slots:
        return _skip(tree)
    if tree.kind == "record":
        return _record([_reader(one, below) for one, below in fields_with_slots(tree, slots)])
    if tree.kind == "union":
        return _union([_reader(one, slots) for _, one in tree.inner])
    slot = slots.get(())
    return _skip(tree) if slot is None else _leaf(tree, slot)


def _record(reads: Collection[Read]) -> Read:
    def read(data: bytes, at: int, row: list[Literal]) -> int:
        for one in reads:
            at = one(data, at, row)
        return at

    return read


def _union(reads: list[Read]) -> Read:
    def read(data: bytes, at: int, row: list[Literal]) -> int:
        branch, at = _long(data, at)
        if branch < 0:
            message = f"an Avro block has branch {branch} of a union"
            raise ValueError(message)
        return reads[branch](data, at, row)

    return read


def _skip(tree: Tree) -> Read:
    if tree.kind in FIXED_BYTES or tree.kind in ("fixed", "null"):
        return _skip_fixed(tree.least)
    if tree.kind in ("int", "long", "enum"):
        return lambda data, at, _: _long(data, at)[1]
    if tree.kind in ("string", "bytes"):
        return lambda data, at, _: _span(data, at)[1]
    inner = [_skip(one) for _, one in tree.inner]
    if tree.kind == "union":
        return _union(inner)
    if tree.kind == "map":
        return _skip_items(_record([_skip(Tree("string")), *inner]))
    return _skip_items(inner[0]) if tree.kind == "array" else _record(inner)


def _skip_fixed(size: int) -> Read:
    def read(data: bytes, at: int, _: list[Literal]) -> int:
        if at + size > len(data):
            raise _cut_short()
        return at + size

    return read


def _skip_items(skip: Read) -> Read:
    def read(data: bytes, at: int, row: list[Literal]) -> int:
        while True:
            count, at = _long(data, at)
            if count == 0:
                return at
            if count < 0:  # the size of the items in bytes follows
                _, at = _span(data, at)
                continue
            if count > len(data) - at:
                raise _cut_short()
            for _ in range(count):
                at = skip(data, at, row)

    return read


def _leaf(tree: Tree, slot: int) -> Read:
    make = _maker(tree)
    if make is None:
        skip = _skip(tree)
        nothing = NULL if tree.kind == "null" else NO_TEXT

        def read(data: bytes, at: int, row: list[Literal]) -> int:
            row[slot] = nothing
            return skip(data, at, row)
    elif tree.kind in ("int", "long", "enum"):

        def read(data: bytes, at: int, row: list[Literal]) -> int:
            value, at = _long(data, at)
            row[slot] = make(value)
            return at
    elif tree.kind in ("string", "bytes"):

        def read(data: bytes, at: int, row: list[Literal]) -> int:
            start, end = _span(data, at)
            row[slot] = make(data[start:end])
            return end
    else:
        skip_over = _skip_fixed(tree.least)

        def read(data: bytes, at: int, row: list[Literal]) -> int:
            end = skip_over(data, at, row)
            row[slot] = make(data[at:end])
            return end

    return read


def _maker(tree: Tree) -> Callable[[Any], Literal] | None:
    """Return the function that makes a literal of a value; None for a value that has none."""
    kind, logical = tree.kind, tree.logical
    if kind == "enum":
        return lambda index: records.text(tree.symbols[index if index >= 0 else len(tree.symbols)].encode())
    if kind in ("bytes", "fixed") and logical == "decimal":
        return lambda value: _decimal(value, tree.scale)
    if kind == "fixed" and logical == "uuid" and tree.size == len(UUID(int=0).bytes):
        return lambda value: f'"{UUID(bytes=value)}"'
    if kind in ("int", "long"):
        return LOGICAL.get((kind, logical), str)
    return MAKERS.get(kind)


def _decimal(value: bytes, scale: int) -> Literal:
    if len(value) > MAX_DECIMAL_BYTES or not 0 <= scale <= MAX_SCALE:
        return NO_TEXT
    number = int.from_bytes(value, signed=True)
    return records.decimal(Decimal(number).scaleb(-scale, Context(prec=MAX_SCALE)))


MAKERS: dict[str, Callable[[Any], Literal]] = {
    "string": records.text,
    "bytes": records.text,
    "fixed": records.text,
    "boolean": lambda value: records.truth(value[0]),
    "float": lambda value: records.number(struct.unpack("<f", value)[0]),
    "double": lambda value: records.number(struct.unpack("<d", value)[0]),
}
LOGICAL: dict[tuple[str, str], Callable[[int], Literal]] = {
    ("int", "date"): records.day,
    ("int", "time-millis"): lambda value: records.time_of_day(value * 1000),
    ("long", "time-micros"): records.time_of_day,
    **{
        ("long", f"{local}timestamp-{unit}"): instant
        for local in ("", "local-")
        for unit, instant in (
            ("millis", lambda value: records.instant(value * 1000)),
            ("micros", records.instant),
            ("nanos", lambda value: records.instant(value // 1000)),
        )
    },
}
