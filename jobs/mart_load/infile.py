r"""Rows as LOAD DATA reads them: one line a row, columns between tabs, ``\N`` for null, specials after a backslash.

They are encoded by pyarrow, column by column, and held compactly until they are sent (in memory; beyond ``IN_MEMORY``
in a file without a name), so that nothing that is slow or may fail comes between the first and the last row at the
server.
"""

import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

IN_MEMORY = 16 << 20
CHUNK = 1 << 18  # a packet, which must be smaller than the server's max_allowed_packet
ROWS_AT_ONCE = 65_536
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0"))
_UNESCAPES = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "\\": "\\"}


class Infile:
    """Encoded rows: of ``columns``, in their order, of which the first ``key`` tell one row from another."""

    def __init__(self, columns: Sequence[str], key: int) -> None:
        self.columns = tuple(columns)
        self.rows = 0
        self._key = key
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, rows: pa.Table) -> None:
        """Append rows; their columns go by name."""
        chosen = rows.select(self.columns)
        for start in range(0, chosen.num_rows, ROWS_AT_ONCE):
            self._file.write(encode(chosen.slice(start, ROWS_AT_ONCE)))
        self.rows += rows.num_rows

    def chunks(self) -> Iterator[bytes]:
        """Yield all that was added."""
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            yield chunk

    def key_of(self, number: int) -> dict[str, str | None]:
        """Return the key of a row by its number, from 1 on, as MySQL counts them in a warning."""
        self._file.seek(0)
        line = next(line for count, line in enumerate(self._file, start=1) if count == number)
        cells = line.decode().removesuffix("\n").split("\t")
        return {name: _unescape(cell) for name, cell in zip(self.columns[: self._key], cells, strict=False)}


def encode(rows: pa.Table) -> bytes:
    """Return rows as lines."""
    if not rows.num_rows:
        return b""
    cells = [_cells(pa.concat_arrays(column.chunks)) for column in rows.columns]
    lines = pc.binary_join_element_wise(*cells, _text("\t"))
    ended = pc.binary_join_element_wise(lines, _text(""), _text("\n"))
    # The texts of an Arrow array lie one after the other in its last buffer, of which this array is all.
    data: bytes = ended.buffers()[-1].to_pybytes()
    return data[: _length(ended)]


def _cells(column: pa.Array) -> pa.Array:
    text = column.cast(pa.large_string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        for special, escaped in _ESCAPES:
            text = pc.replace_substring(text, special, escaped)
    return pc.fill_null(text, "\\N")


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
