"""The local engine: the cores of this machine."""

import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from marquee.engine.base import MIB, Task, Unit, load


@dataclass(frozen=True)
class EngineOptions:
    """How much of a machine an engine may use; ``memory_mb`` is for all its workers together."""

    workers: int
    memory_mb: int
    scratch: Path | None = None

    @property
    def task_memory_mb(self) -> int:
        """The share of one task."""
        return self.memory_mb // self.workers


class LocalEngine:
    """The cores of this machine, one thread a task: the kernels' work is done outside Python's lock."""

    name = "local"

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self._pool = ThreadPoolExecutor(options.workers, "marquee-worker")

    def map(self, kernel: str, units: Sequence[Unit]) -> list[Any]:
        return self._run(load(kernel), units)

    def map_reduce(self, mapper: str, reducer: str, units: Sequence[Unit], parameters: Unit) -> list[Any]:
        map_function, reduce_function = load(mapper), load(reducer)
        with tempfile.TemporaryDirectory(prefix="marquee-shuffle-", dir=self.options.scratch) as folder:
            shuffle = _Shuffle(Path(folder), self.options.memory_mb * MIB // 4)
            self._run(lambda unit, task: shuffle.take(map_function(unit, task)), units)
            keys = shuffle.keys()
            return self._run(lambda key, task: reduce_function(key, shuffle.give(key), parameters, task), keys)

    def _run(self, work: Callable[[Any, Task], Any], items: Sequence[Any]) -> list[Any]:
        def one(item: Any) -> Any:  # noqa: ANN401 - units, keys and values are any plain value
            with tempfile.TemporaryDirectory(prefix="marquee-task-", dir=self.options.scratch) as scratch:
                return work(item, Task(Path(scratch), self.options.task_memory_mb))

        futures = [self._pool.submit(one, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            # After a failure nothing of this call goes on behind the next one's back.
            for future in futures:
                future.cancel()
            wait(futures)


class _Shuffle:
    """Tables by key between the mappers and the reducers of one machine: in memory up to a budget, then in files."""

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._left = budget
        self._held: dict[int, list[pa.Table | Path]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, pairs: Iterable[tuple[int, pa.Table]]) -> None:
        for key, table in pairs:
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
