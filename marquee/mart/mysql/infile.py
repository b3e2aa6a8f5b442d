r"""Encodes rows for LOAD DATA: one line per row, tabs between columns, ``\N`` for null, backslash escapes.

pyarrow encodes the rows column by column in separate threads, while further rows are read. The encoded rows are held
until they are sent, in memory up to ``IN_MEMORY`` bytes and then in an unnamed file. So the server receives all rows at
once, without slow steps or steps that may fail in between.
"""

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

IN_MEMORY = 16 << 20
CHUNK = 1 << 18  # bytes of a packet, less than the smallest max_allowed_packet that a mart accepts
ROWS_AT_ONCE = 65_536
ENCODERS = 2
"""Number of encoder threads, and maximum number of pieces that wait for encoding."""
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0"))
_UNESCAPES = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "\\": "\\"}


class Infile:
    """Encoded rows with ``columns`` in this order; the first ``key`` columns are the primary key."""

    def __init__(self, columns: Sequence[str], key: int) -> None:
        self.columns = tuple(columns)
        self.rows = 0
        self._key = key
        self._pool = ThreadPoolExecutor(ENCODERS, "marquee-encoder")
        self._encoding: deque[Future[bytes]] = deque()
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def add(self, rows: pa.Table) -> None:
        """Append rows; columns match by name."""
        chosen = rows.select(self.columns)
        for start in range(0, chosen.num_rows, ROWS_AT_ONCE):
            self._encoding.append(self._pool.submit(encode, chosen.slice(start, ROWS_AT_ONCE)))
            self._write_until(ENCODERS)
        self.rows += rows.num_rows

    def flush(self) -> None:
        """Wait until all added rows are encoded."""
        self._write_until(0)

    def chunks(self) -> Iterator[bytes]:
        """Yield all added rows, encoded, in chunks."""
        self.flush()
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            yield chunk

    def key_of(self, number: int) -> dict[str, str | None]:
        """Return the key of a row by its number in MySQL's warnings, which starts at 1."""
        self.flush()
        self._file.seek(0)
        line = next(line for count, line in enumerate(self._file, start=1) if count == number)
        cells = line.decode().removesuffix("\n").split("\t")
        return {name: _unescape(cell) for name, cell in zip(self.columns[: self._key], cells, strict=False)}

    def _write_until(self, waiting: int) -> None:
        """Write encoded pieces in order until at most ``waiting`` pieces are left."""
        while len(self._encoding) > waiting:
            self._file.write(self._encoding.popleft().result())


def encode(rows: pa.Table) -> bytes:
    """Return rows as encoded lines."""
    if not rows.num_rows:
        return b""
    *cells, last = [_cells(pa.concat_arrays(column.chunks)) for column in rows.columns]
    ended = pc.binary_join_element_wise(last, _text(""), _text("\n"))
    lines = pc.binary_join_element_wise(*cells, ended, _text("\t"))
    # The last buffer of an Arrow string array has its texts one after the other; this array uses the whole buffer.
    data: bytes = lines.buffers()[-1].to_pybytes()
    return data[: _length(lines)]


def _cells(column: pa.Array) -> pa.Array:
    """Return a column as texts. Most texts and times repeat within an hour, so each distinct value is encoded once."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        texts = column.cast(pa.large_string())
    else:
        distinct = column.dictionary_encode()
        texts = _escaped(distinct.dictionary).take(distinct.indices)
    return pc.fill_null(texts, "\\N")


def _escaped(values: pa.Array) -> pa.Array:
    texts = values.cast(pa.large_string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        for special, escaped in _ESCAPES:
            texts = pc.replace_substring(texts, special, escaped)
    return texts


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _length(lines: pa.Array) -> int:
    offsets = pa.Array.from_buffers(pa.int64(), len(lines) + 1, [None, lines.buffers()[1]])
    length: int = offsets[len(lines)].as_py()
    return length


def _unescape(cell: str) -> str | None:
    if cell == "\\N":
        return None
    letters = iter(cell)
    return "".join(_UNESCAPES[next(letters)] if letter == "\\" else letter for letter in letters)
