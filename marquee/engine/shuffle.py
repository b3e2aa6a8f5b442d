"""The engines' shuffle: holds tables by key between mappers and reducers, in memory first, then in files.

On Spark it holds the tables of a task, which Spark's own shuffle has brought there: compressed, as Arrow streams.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from marquee import stopping


class Shuffle:
    """Groups the mappers' tables by key for the reducers; beyond ``budget`` bytes, tables go to files."""

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._left = budget
        self._held: dict[int, list[pa.Table | pa.Buffer | Path]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, pairs: Iterable[tuple[int, pa.Table | pa.Buffer]]) -> None:
        """Take tables, or Arrow streams of tables, by key."""
        for key, table in pairs:
            stopping.check()
            size = table.nbytes if isinstance(table, pa.Table) else table.size
            with self._lock:
                keep = self._left >= size
                self._left -= size if keep else 0
                number = sum(len(held) for held in self._held.values())
                path = self._folder / f"{key}-{number}.arrow"
                self._held[key].append(table if keep else path)
            if not keep:
                _write(table, path)

    def keys(self) -> list[int]:
        return sorted(self._held)

    def give(self, key: int) -> Iterator[pa.Table]:
        left = self._held.pop(key)[::-1]
        while left:  # what is given is no longer held here
            held = left.pop()
            yield held if isinstance(held, pa.Table) else _read(held)


def to_stream(table: pa.Table) -> pa.Buffer:
    """Return a table as a compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_COMPRESSED) as writer:
        writer.write_table(table)
    return sink.getvalue()


_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


def _write(table: pa.Table | pa.Buffer, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink:
        if isinstance(table, pa.Buffer):
            sink.write(table)
        else:
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)


def _read(stream: pa.Buffer | Path) -> pa.Table:
    source = pa.memory_map(str(stream)) if isinstance(stream, Path) else stream
    return pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(use_threads=False)).read_all()
