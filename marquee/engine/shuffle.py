"""The engines' shuffle: holds tables by key between mappers and reducers, in memory first, then in files.

On Spark it holds the tables of a task, which Spark's own shuffle has brought there.
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
        self._held: dict[int, list[pa.Table | Path]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, pairs: Iterable[tuple[int, pa.Table]]) -> None:
        for key, table in pairs:
            stopping.check()
            with self._lock:
                keep = self._left >= table.nbytes
                self._left -= table.nbytes if keep else 0
                number = sum(len(held) for held in self._held.values())
                path = self._folder / f"{key}-{number}.arrow"
                self._held[key].append(table if keep else path)
            if not keep:
                with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                    writer.write_table(table)

    def keys(self) -> list[int]:
        return sorted(self._held)

    def give(self, key: int) -> Iterator[pa.Table]:
        for held in self._held.pop(key):
            yield pa.ipc.open_file(pa.memory_map(str(held))).read_all() if isinstance(held, Path) else held
