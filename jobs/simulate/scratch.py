"""Columns on disk: arrays that are written once, a chunk at a time, and read as often as needed, a chunk at a time.

With them, a simulation of any size holds a few chunks in memory. The file has no name and goes when it is closed.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

CHUNK = 1 << 15
"""Usual number of rows of a chunk."""

Array = npt.NDArray[Any]


def chunk_sizes(rows: int) -> list[int]:
    """Divide a number of rows into chunks."""
    return [min(CHUNK, rows - done) for done in range(0, rows, CHUNK)]


class Scratch:
    """A temporary file for columns, which can be read until it is closed."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(prefix="marquee-")  # noqa: SIM115 - closed by close
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which takes the columns away."""
        self._file.close()

    def column(self, chunks: Iterable[Array] = ()) -> "Column":
        """Return a column of these chunks, all of which it takes at once."""
        column = Column(self)
        for chunk in chunks:
            column.append(chunk)
        return column

    def write(self, chunk: Array) -> tuple[int, int]:
        """Append a chunk; return its place: offset and size in bytes."""
        place = self._size, chunk.nbytes
        self._file.seek(self._size)
        self._file.write(np.ascontiguousarray(chunk).data)
        self._size += chunk.nbytes
        return place

    def read(self, place: tuple[int, int]) -> bytearray:
        """Return the bytes at a place."""
        data = bytearray(place[1])
        self._file.seek(place[0])
        self._file.readinto(data)  # type: ignore[attr-defined]
        return data


@dataclass
class Column:
    """A column of one type on disk. Iterating gives its chunks in the order in which they were appended."""

    scratch: Scratch
    rows: int = 0
    _dtype: "np.dtype[Any]" = field(default_factory=lambda: np.dtype(np.int64))
    _places: list[tuple[int, int]] = field(default_factory=list)

    def append(self, chunk: Array) -> None:
        """Append a chunk; all have the type of the first one."""
        if not self._places:
            self._dtype = chunk.dtype
        self.rows += len(chunk)
        self._places.append(self.scratch.write(chunk))

    def __iter__(self) -> Iterator[Array]:
        return (np.frombuffer(self.scratch.read(place), self._dtype) for place in self._places)

    def whole(self) -> Array:
        """Return all rows in one array."""
        return np.concatenate([*self]) if self._places else np.empty(0, self._dtype)
