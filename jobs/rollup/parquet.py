"""Reads Parquet files: only the columns that are asked for, and within limits.

The sizes of a file's schema and pages are read first, because the library allocates what a file claims. The texts of a
column that has a dictionary are read by dictionary, so that a text that repeats is in memory once. Writers give up a
dictionary that grows too large, as that of event ids: if most texts come after it, and none in it is long, all are read
one by one, because adding each of them to the dictionary takes longer.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.rollup import records
from jobs.rollup.blocks import BLOCK_BYTES
from jobs.rollup.columns import judge, longest_text
from jobs.rollup.limits import Limits
from jobs.rollup.records import MICROS_A_DAY, NO_TEXT, NULL, Asked, Literal, Record
from jobs.rollup.thrift import BINARY, I32, I64, LIST, STRUCT, Reader

Names = tuple[str, ...]

MAGIC = b"PAR1"
MAX_FOOTER_BYTES = 8 << 20
HEADER_BYTES = 4 << 10
MAX_HEADER_BYTES = 1 << 20
ROWS_A_BATCH = 1 << 17
ROWS_IN_MEMORY = 50_000
"""Maximum rows whose values are objects of Python at a time."""
ENCODINGS = {5: 2, 8: 4}
"""Field of a page's encoding in its header, by the number of the header, of version 1 or 2."""
TYPE, CODEC, COMPRESSED_SIZE, DATA_OFFSET, DICTIONARY_OFFSET = 1, 4, 7, 9, 11
"""Fields of a column's metadata."""
METADATA = {(TYPE, I32), (CODEC, I32), (COMPRESSED_SIZE, I64), (DATA_OFFSET, I64), (DICTIONARY_OFFSET, I64)}
"""Those that are read, with their types."""
CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
"""Codecs of pages by number, as Arrow names them."""
CHUNKS_A_COLUMN = 10
"""Row groups and column chunks of a file for each column that a schema may have. In memory, each is many times its
bytes."""
REPEATED = 2
DICTIONARY_PAGE = 2
PLAIN, DELTA_LENGTHS, DELTA_TEXTS = 0, 6, 7
"""Encodings PLAIN; DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY, which the library cannot read by dictionary."""
BYTE_ARRAY = 6
"""Type of texts."""
SHORT_TEXT = 256
"""Most bytes of a text that each row may have a copy of."""
NAMES_SHOWN = 10


def read_records(path: Path, asked: Asked) -> Iterator[Record]:
    """Yield the rows: those that are plays for certain in tables, a line of JSON for each other, with its number.

    Raises:
        ValueError, LookupError, pyarrow.ArrowException: the file is damaged, has no such column, or is beyond a limit.
        OSError: the library takes the file for damaged; or, with an error number, the disk does not work.
    """
    limits = asked.limits
    with path.open("rb") as file:
        footer = _Footer.read(file, limits)
        leaves = footer.leaves
        wanted = records.in_order(leaves if asked.fields is None else asked.fields.values())
        columns = {one: leaves[one] for one in wanted if one in leaves}
        if not columns:
            message = f"its columns have none of the names of the fields; it has {_shown(leaves)}"
            raise ValueError(message)
        groups = [[_size(file, chunks[one], limits) for one in columns.values()] for chunks in footer.groups]
        by_dictionary = [_reads_dictionary([group[at] for group in groups if group]) for at in range(len(columns))]
        to_records = _Rows(wanted, columns, asked)
        with pq.ParquetFile(
            path,
            read_dictionary=[".".join(one) for one, by in zip(columns, by_dictionary, strict=True) if by],
            buffer_size=1 << 20,
            pre_buffer=False,
            coerce_int96_timestamp_unit="us",
            arrow_extensions_enabled=False,
        ) as opened:
            for group, sizes in enumerate(groups):
                rows = _rows_a_batch(sizes, by_dictionary, limits)
                batches = opened.reader.iter_batches(rows, [group], sorted(columns.values()), use_threads=False)
                for batch in batches:
                    yield from to_records(batch)


def _reads_dictionary(chunks: "list[_Size]") -> bool:
    """Return whether the texts of a column are read by dictionary: if it pays, and no encoding forbids it."""
    return any(one.dictionary and not one.given_up for one in chunks) and not any(one.delta for one in chunks)


def _shown(leaves: Mapping[Names, int]) -> str:
    more = ", …" if len(leaves) > NAMES_SHOWN else ""
    return ", ".join(".".join(one) for one in list(leaves)[:NAMES_SHOWN]) + more


# Sizes, before the library reads anything.


def _footer(file: BinaryIO) -> bytes:
    end = file.seek(0, 2)
    file.seek(max(0, end - 8))
    tail = file.read(8)
    size = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or size + 12 > end:
        message = "the end of the file is missing"
        raise ValueError(message)
    if size > MAX_FOOTER_BYTES:
        message = f"its metadata has {size} bytes; at most {MAX_FOOTER_BYTES} are read"
        raise ValueError(message)
    file.seek(end - 8 - size)
    return file.read(size)


@dataclass(frozen=True)
class _Element:
    """An element of the schema."""

    name: str = ""
    children: int = 0
    repeated: bool = False


@dataclass(frozen=True)
class _Chunk:
    """The pages of a column in a row group: where they begin, their bytes and codec, and the type of the values."""

    start: int
    size: int
    codec: int
    type: int


@dataclass(frozen=True)
class _Footer:
    """The columns by their paths, without those in lists (the first of those with one path); and the row groups."""

    leaves: dict[Names, int]
    groups: list[list[_Chunk]]

    @staticmethod
    def read(file: BinaryIO, limits: Limits) -> "_Footer":
        """Read the end of a file."""
        reader = Reader(_footer(file))
        leaves: dict[Names, int] = {}
        groups: list[list[_Chunk]] = []
        left = CHUNKS_A_COLUMN * limits.columns
        for number, kind in reader.fields():
            if (number, kind) == (2, LIST):
                size, _ = reader.list_size()
                if size > limits.columns:
                    message = f"its schema has {size} elements; see MARQUEE_ROLLUP__LIMITS__COLUMNS"
                    raise ValueError(message)
                leaves = _walk([_element(reader) for _ in range(size)], limits)
            elif (number, kind) == (4, LIST):
                for _ in range(_bounded(reader, left)):
                    groups.append(_group(reader, left))
                    left -= 1 + len(groups[-1])
            else:
                reader.skip(kind)
        return _Footer(leaves, groups)


def _bounded(reader: Reader, most: int) -> int:
    """Read the length of a list of row groups or column chunks; ValueError if it is more than ``most``."""
    size, _ = reader.list_size()
    if size > most:
        message = f"it has {size} row groups or column chunks, too many; see MARQUEE_ROLLUP__LIMITS__COLUMNS"
        raise ValueError(message)
    return size


def _group(reader: Reader, most: int) -> list[_Chunk]:
    chunks: list[_Chunk] = []
    for number, kind in reader.fields():
        if (number, kind) == (1, LIST):
            chunks = [_chunk(reader) for _ in range(_bounded(reader, most))]
        else:
            reader.skip(kind)
    return chunks


def _chunk(reader: Reader) -> _Chunk:
    found: dict[int, int] = {}
    for number, kind in reader.fields():
        if (number, kind) == (3, STRUCT):
            for inner, inner_kind in reader.fields():
                if (inner, inner_kind) in METADATA:
                    found[inner] = reader.integer()
                else:
                    reader.skip(inner_kind)
        else:
            reader.skip(kind)
    # Without rows, a chunk may have a dictionary alone.
    start = found[DATA_OFFSET] or found.get(DICTIONARY_OFFSET, 0)
    return _Chunk(min(start, found.get(DICTIONARY_OFFSET) or start), found[COMPRESSED_SIZE], found[CODEC], found[TYPE])


def _element(reader: Reader) -> _Element:
    name, children, repeated = "", 0, False
    for number, kind in reader.fields():
        if (number, kind) == (4, BINARY):
            name = reader.text()
        elif (number, kind) == (5, I32):
            children = reader.integer()
        elif (number, kind) == (3, I32):
            repeated = reader.integer() == REPEATED
        else:
            reader.skip(kind)
    return _Element(name, children, repeated)


def _walk(elements: list[_Element], limits: Limits) -> dict[Names, int]:
    found: dict[Names, int] = {}
    above: list[tuple[str, int, bool]] = []  # (name, children that are left, inside a list)
    column = 0
    for root, one in enumerate(elements):
        inside = one.repeated or bool(above and above[-1][2])
        if one.children:
            above.append(("" if root == 0 else one.name, one.children, inside))
            if len(above) > limits.nesting:
                message = f"its schema is nested deeper than {limits.nesting}; see MARQUEE_ROLLUP__LIMITS__NESTING"
                raise ValueError(message)
            continue
        if not inside:
            found.setdefault((*(name for name, _, _ in above[1:]), one.name), column)
        column += 1
        while above:
            name, left, inner = above.pop()
            if left > 1:
                above.append((name, left - 1, inner))
                break
    return found


@dataclass(frozen=True)
class _Size:
    """What a column of a row group takes: its dictionary, its largest page, the most a row takes on average."""

    dictionary: int
    page: int
    row: float
    delta: bool
    given_up: bool
    """Whether most values come after the dictionary, and none in it is long."""

    @property
    def longest(self) -> int:
        """The most bytes that a text of the dictionary may have."""
        return min(self.dictionary, SHORT_TEXT) if self.given_up else self.dictionary


def _size(file: BinaryIO, chunk: _Chunk, limits: Limits) -> _Size:
    dictionaries, page, row, delta = [], 0, 0.0, False
    values: Counter[bool] = Counter()
    for one in _pages(file, chunk):
        if one.dictionary:
            dictionaries.append(one)
        else:
            # With this encoding, each text of a page may have nearly all of its bytes.
            row = max(row, one.size / (1 if one.encoding == DELTA_TEXTS else max(one.values, 1)))
            page = max(page, one.size)
            delta = delta or one.encoding in (DELTA_LENGTHS, DELTA_TEXTS)
            values[one.encoding == PLAIN] += one.values
    given_up = values[True] > values[False] and len(dictionaries) == 1
    given_up = given_up and _is_short(file, chunk, dictionaries[0], limits)
    return _Size(max((one.size for one in dictionaries), default=0), page, row, delta, given_up)


def _is_short(file: BinaryIO, chunk: _Chunk, page: "_Page", limits: Limits) -> bool:
    """Return whether a dictionary certainly has no long text. One beyond the limit is not read."""
    codec = CODECS.get(chunk.codec, "")
    if chunk.type != BYTE_ARRAY or codec == "" or page.size > limits.block_bytes:
        return False
    file.seek(page.at)
    data = file.read(page.packed)
    try:
        texts = pa.decompress(data, page.full, codec) if codec else pa.py_buffer(data)
    except (OSError, ValueError, pa.ArrowException):
        return False
    return 0 <= longest_text(texts) <= SHORT_TEXT


def _rows_a_batch(columns: list[_Size], by_dictionary: list[bool], limits: Limits) -> int:
    """Return how many rows to decode at a time; ValueError if the pages that are read together are too large."""
    held = sum(one.dictionary + one.page for one in columns)
    if held > limits.block_bytes:
        message = (
            f"its pages have {held} bytes that are read together, and {limits.block_bytes} are read. If it is what a "
            "producer wrote, raise MARQUEE_ROLLUP__LIMITS__BLOCK_MB"
        )
        raise ValueError(message)
    # Without a dictionary in memory, each row may have its own copy of the dictionary's longest text.
    a_row = sum(one.row if by else max(one.row, one.longest) for one, by in zip(columns, by_dictionary, strict=True))
    return max(1, min(ROWS_A_BATCH, int(BLOCK_BYTES / max(a_row, 1))))


@dataclass(frozen=True)
class _Page:
    """A page: its bytes compressed and not, where they begin, its values and their encoding; or a dictionary."""

    packed: int
    full: int
    at: int
    values: int
    encoding: int
    dictionary: bool

    @property
    def size(self) -> int:
        """Its bytes, compressed or not, whichever is more."""
        return max(self.packed, self.full)


def _pages(file: BinaryIO, chunk: _Chunk) -> Iterator[_Page]:
    at, end = chunk.start, chunk.start + chunk.size
    while at < end:
        page = _page_at(file, at)
        yield page
        at = page.at + page.packed


def _page_at(file: BinaryIO, at: int) -> _Page:
    """Return the page whose header is at a place."""
    size = HEADER_BYTES
    while True:
        file.seek(at)
        reader = Reader(file.read(size))
        try:
            return _page(reader, at)
        except IndexError:
            size *= 8
            if size > MAX_HEADER_BYTES:
                raise


def _page(reader: Reader, start: int) -> _Page:
    sizes = {1: 0, 2: 0, 3: 0}
    values = encoding = 0
    for number, type_ in reader.fields():
        if number in (1, 2, 3) and type_ == I32:
            sizes[number] = reader.integer()
        elif number in ENCODINGS and type_ == STRUCT:
            for inner, inner_type in reader.fields():
                if (inner, inner_type) == (1, I32):
                    values = reader.integer()
                elif (inner, inner_type) == (ENCODINGS[number], I32):
                    encoding = reader.integer()
                else:
                    reader.skip(inner_type)
        else:
            reader.skip(type_)
    kind, full, packed = sizes.values()
    if packed < 0 or full < 0:
        message = "a page has a negative size"
        raise ValueError(message)
    return _Page(packed, full, start + reader.at, values, encoding, kind == DICTIONARY_PAGE)


# Values.


class _Rows:
    """Turns batches of rows into records, and numbers them."""

    def __init__(self, wanted: list[Names], columns: Mapping[Names, int], asked: Asked) -> None:
        self._wanted, self._columns = wanted, columns
        self._next = 1
        self._window, self._passing = asked.window, asked.passing
        # A field in no column is null in all rows.
        whole = asked.fields is not None and all(one in columns for one in asked.fields.values())
        self._fields = asked.fields if whole and records.are_short(wanted) else None

    def __call__(self, batch: pa.RecordBatch) -> Iterator[Record]:
        first = self._next
        self._next += batch.num_rows
        numbers = np.arange(first, self._next)
        if self._fields and self._window:
            columns = {name: _column(batch, one) for name, one in self._fields.items()}
            plays, sure = judge(columns, self._window, passing=self._passing)
            if plays.num_rows:
                yield plays
                numbers = numbers[~sure]
                batch = batch.filter(pa.array(~sure)) if len(numbers) else batch.slice(0, 0)
        # The literals of a part are in memory at a time.
        for at in range(0, len(numbers), ROWS_IN_MEMORY):
            part = batch.slice(at, ROWS_IN_MEMORY)
            lines = records.to_lines(self._wanted, _rows(part, self._wanted, self._columns))
            yield from zip(numbers[at : at + ROWS_IN_MEMORY].tolist(), lines, strict=True)


def _rows(batch: pa.RecordBatch, wanted: list[Names], columns: Mapping[Names, int]) -> Iterator[tuple[Literal, ...]]:
    nothing = [NULL] * batch.num_rows
    found = [_literals(_column(batch, one)) if one in columns else nothing for one in wanted]
    return zip(*found, strict=True)


def _column(batch: pa.RecordBatch, path: Names) -> pa.Array:
    """Return the values of a column, with null where a structure around it is null."""
    array = batch.column(batch.schema.get_field_index(path[0]))
    for name in path[1:]:
        array = array.flatten()[array.type.get_field_index(name)]
    return array


def _literals(array: pa.Array) -> list[Literal]:
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        return _decoded(array)
    make = _maker(array.type)
    if make is None:
        return [NULL if null else NO_TEXT for null in array.is_null().to_pylist()]
    return [NULL if value is None else make(value) for value in _plain(array).to_pylist()]


def _decoded(array: pa.DictionaryArray) -> list[Literal]:
    used, places = np.unique(array.indices.fill_null(-1).to_numpy(zero_copy_only=False), return_inverse=True)
    nulls = int(len(used) > 0 and used[0] < 0)
    values = [NULL] * nulls + _literals(array.dictionary.take(pa.array(used[nulls:])))
    return [values[place] for place in places]


def _plain(array: pa.Array) -> pa.Array:
    """Return an array whose values Python can always hold: bytes for text, whole numbers for instants."""
    kind = array.type
    if pa.types.is_string(kind):
        return array.cast(pa.binary())
    if pa.types.is_large_string(kind):
        return array.cast(pa.large_binary())
    if pa.types.is_string_view(kind):
        return array.cast(pa.binary_view())
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return array.view(pa.int32() if kind.bit_width == pa.int32().bit_width else pa.int64())
    return array


MICROS: Mapping[str, Callable[[int], int]] = {
    "s": lambda value: value * 1_000_000,
    "ms": lambda value: value * 1_000,
    "us": lambda value: value,
    "ns": lambda value: value // 1_000,
}


def _maker(kind: pa.DataType) -> Callable[[Any], Literal] | None:
    """Return the function that makes a literal of a value; None for a value that has none."""
    types = pa.types
    if types.is_timestamp(kind):
        return partial(_in_micros, records.instant, MICROS[kind.unit])
    if types.is_time(kind):
        return partial(_in_micros, records.time_of_day, MICROS[kind.unit])
    if types.is_date64(kind):
        return partial(_in_micros, records.day, lambda value: value * 1_000 // MICROS_A_DAY)
    for holds, make in MAKERS:
        if holds(kind):
            return make
    return None


def _in_micros(make: Callable[[int], Literal], convert: Callable[[int], int], value: int) -> Literal:
    return make(convert(value))


MAKERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], Literal]], ...] = (
    (pa.types.is_integer, str),
    (pa.types.is_duration, str),
    (pa.types.is_string, records.text),
    (pa.types.is_large_string, records.text),
    (pa.types.is_string_view, records.text),
    (pa.types.is_binary, records.text),
    (pa.types.is_large_binary, records.text),
    (pa.types.is_binary_view, records.text),
    (pa.types.is_fixed_size_binary, records.text),
    (pa.types.is_date32, records.day),
    (pa.types.is_boolean, records.truth),
    (pa.types.is_floating, records.number),
    (pa.types.is_decimal, records.decimal),
)
