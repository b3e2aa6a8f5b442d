"""The local engine: the cores of this machine."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from marquee import stopping
from marquee.engine.base import Kernel, Mapper, Merger, P, Reducer, Task, U, V, W, kernel_path
from marquee.engine.scratch import own_scratch
from marquee.machine import MIB, USUAL_MEMORY_MB, keep_freed_memory

if TYPE_CHECKING:
    from marquee.engine.shuffle import Shuffle

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
    side_by_side = 1

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        if options.memory_mb >= USUAL_MEMORY_MB:
            keep_freed_memory()
        self._pool = ThreadPoolExecutor(options.workers, "marquee-worker")

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        kernel_path(kernel)  # reject here what Spark would reject
        return self._run(kernel, units)

    def map_reduce_merge(
        self,
        mapper: Mapper[U],
        reducer: Reducer[P, V],
        merger: Merger[P, W],
        units: Sequence[U],
        parameters: P,
    ) -> tuple[list[V], W | None]:
        kernel_path(mapper), kernel_path(reducer), kernel_path(merger)
        with self._shuffle(4) as shuffle, self._shuffle(16) as partials:

            def reduce(key: int, task: Task) -> V:
                value, table = reducer(key, shuffle.give(key), parameters, task)
                partials.take([] if table is None else [(0, table)])
                return value

            self._run(lambda unit, task: shuffle.take(mapper(unit, task)), units)
            values = self._run(reduce, shuffle.keys())
            merged = self._run(lambda key, task: merger(partials.give(key), parameters, task), partials.keys())
            return values, merged[0] if merged else None

    @contextmanager
    def _shuffle(self, part: int) -> Iterator["Shuffle"]:
        """Open a shuffle that holds a part of the memory."""
        from marquee.engine.shuffle import Shuffle  # noqa: PLC0415 - planning needs no pyarrow

        scratch = own_scratch(self.options.scratch)
        with tempfile.TemporaryDirectory(prefix="marquee-shuffle-", dir=scratch) as folder:
            yield Shuffle(Path(folder), self.options.memory_mb * MIB // part)

    def _run(self, work: Callable[[Item, Task], V], items: Sequence[Item]) -> list[V]:
        folder = own_scratch(self.options.scratch)

        def one(item: Item) -> V:
            stopping.check()
            with tempfile.TemporaryDirectory(prefix="marquee-task-", dir=folder) as scratch:
                return work(item, Task(Path(scratch), self.options.task_memory_mb))

        futures = [self._pool.submit(one, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            # After a failure, no task of this call still runs when the next call begins.
            for future in futures:
                future.cancel()
            wait(futures)
