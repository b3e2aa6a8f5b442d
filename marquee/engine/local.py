"""The local engine: the cores of this machine."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from marquee.engine.base import MIB, Kernel, Mapper, P, Reducer, Task, U, V, kernel_path

Item = TypeVar("Item")


@dataclass(frozen=True)
class EngineOptions:
    """How much of a machine an engine may use; ``memory_mb`` is the MiB for all workers together."""

    workers: int
    memory_mb: int
    scratch: Path | None = None

    @property
    def task_memory_mb(self) -> int:
        """The memory of one task, in MiB."""
        return self.memory_mb // self.workers


class LocalEngine:
    """Runs each task in a thread of this machine; kernels do their work outside Python's global lock."""

    name = "local"

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self._pool = ThreadPoolExecutor(options.workers, "marquee-worker")

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        kernel_path(kernel)  # reject here what Spark would reject
        return self._run(kernel, units)

    def map_reduce(self, mapper: Mapper[U], reducer: Reducer[P, V], units: Sequence[U], parameters: P) -> list[V]:
        from marquee.engine.shuffle import Shuffle  # noqa: PLC0415 - planning needs no pyarrow

        kernel_path(mapper), kernel_path(reducer)
        with tempfile.TemporaryDirectory(prefix="marquee-shuffle-", dir=self.options.scratch) as folder:
            shuffle = Shuffle(Path(folder), self.options.memory_mb * MIB // 4)
            self._run(lambda unit, task: shuffle.take(mapper(unit, task)), units)
            return self._run(lambda key, task: reducer(key, shuffle.give(key), parameters, task), shuffle.keys())

    def _run(self, work: Callable[[Item, Task], V], items: Sequence[Item]) -> list[V]:
        def one(item: Item) -> V:
            with tempfile.TemporaryDirectory(prefix="marquee-task-", dir=self.options.scratch) as scratch:
                return work(item, Task(Path(scratch), self.options.task_memory_mb))

        futures = [self._pool.submit(one, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            # After a failure, no task of this call still runs when the next call begins.
            for future in futures:
                future.cancel()
            wait(futures)
