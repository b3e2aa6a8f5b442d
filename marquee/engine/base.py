"""Two engines with the same two verbs, ``map`` and ``map_reduce``: this machine's cores, or Spark's.

A kernel is named by its import path (``jobs.rollup.kernel:parse``) and gets a plain unit of work, never code. Between
mapper and reducer go Arrow tables; Spark carries them as buffers through its own shuffle, so retries, spilling and
executors are Spark's.

    map:         kernel(unit, task) -> value
    map_reduce:  mapper(unit, task) -> (key, table) pairs;  reducer(key, tables, parameters, task) -> value

Values come back in the order of units, or of keys. The order of a reducer's tables is not defined: reducers must not
depend on it.
"""

import atexit
import importlib
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
import pyarrow as pa

from marquee.errors import MarqueeError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.accumulators import Accumulator

Unit = Mapping[str, Any]
"""One piece of work: plain values only."""

MIB = 1 << 20

KERNELS = "jobs."
"""What the import path of a kernel starts with."""

_FAILED = -(1 << 32)
"""In Spark's shuffle, the key of a mapper's error; keys of tables are greater."""


@dataclass(frozen=True)
class Task:
    """What a kernel may use: a scratch folder of its own, and a share of the memory."""

    scratch: Path
    memory_mb: int

    def database(self) -> duckdb.DuckDBPyConnection:
        """Open a session of this thread's DuckDB, bounded by the task's share of memory."""
        return open_database(self.memory_mb, self.scratch.parent)


DRIVER_MEMORY_MB = 256
"""MiB for what is merged once the tasks are done: tables that are small by design."""

_databases: dict[tuple[int, int, int, Path], duckdb.DuckDBPyConnection] = {}
"""Databases by process, thread, memory and folder. Not in a ``threading.local``: a fork, as Spark's start makes one,
would take down those of other threads in the child, which crashes it.
"""


def open_database(memory_mb: int = DRIVER_MEMORY_MB, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open a session of this thread's in-memory DuckDB: one core, and beyond its memory it spills to disk.

    A database takes 15 ms to start, a session of it none; a session's temporary tables go with it, so close it.
    """
    folder = spill or Path(tempfile.gettempdir())
    owner = (os.getpid(), threading.get_ident(), memory_mb, folder)  # of threads that have ended idents are used again
    if owner not in _databases:
        _databases[owner] = _start_database(memory_mb, folder)
    return _databases[owner].cursor()


@atexit.register
def _close_databases() -> None:
    while _databases:
        _databases.popitem()[1].close()


def _start_database(memory_mb: int, folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{memory_mb}MiB",
            "temp_directory": str(folder / f"marquee-spill-{os.getpid()}-{threading.get_ident()}"),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )


class Engine(Protocol):
    """Runs kernels over units, somewhere."""

    name: str

    def map(self, kernel: str, units: Sequence[Unit]) -> list[Any]:
        """Return the kernel's value for each unit, in their order."""

    def map_reduce(self, mapper: str, reducer: str, units: Sequence[Unit], parameters: Unit) -> list[Any]:
        """Return the reducer's value for each key that the mapper gave, in the order of keys."""


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


IDLE = LocalEngine(EngineOptions(workers=1, memory_mb=128))
"""For planning, which asks no engine for anything."""


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


_elsewhere: list["Accumulator[float]"] = []
"""CPU seconds of tasks that this process has had done elsewhere, for each engine."""


def cpu_seconds() -> float:
    """Return the CPU time of this process up to now, and that of the tasks that it has had done elsewhere."""
    return time.process_time() + sum(one.value for one in _elsewhere)


class SparkEngine:
    """Spark's scheduler and shuffle; the units go out as tasks, tables travel as Arrow buffers, never as rows."""

    name = "spark"

    def __init__(self, context: "SparkContext", task_memory_mb: int) -> None:
        self._context = context
        self._task_memory_mb = task_memory_mb
        self._cpu = context.accumulator(0.0)
        _elsewhere.append(self._cpu)

    def map(self, kernel: str, units: Sequence[Unit]) -> list[Any]:
        load(kernel)  # a wrong name fails here, not in tasks that Spark tries again
        if not units:
            return []
        memory_mb, cpu = self._task_memory_mb, self._cpu

        def one(unit: Unit) -> Any:  # noqa: ANN401 - a kernel's plain value
            with _spark_task(memory_mb, cpu) as task:
                try:
                    return _import(kernel)(unit, task)
                except MarqueeError as error:
                    return error

        return _values(self._context.parallelize(list(units), len(units)).map(one).collect())

    def map_reduce(self, mapper: str, reducer: str, units: Sequence[Unit], parameters: Unit) -> list[Any]:
        load(mapper), load(reducer)
        if not units:
            return []
        memory_mb, cpu = self._task_memory_mb, self._cpu

        def map_one(unit: Unit) -> Iterator[tuple[int, bytes | MarqueeError]]:
            with _spark_task(memory_mb, cpu) as task:
                try:
                    for key, table in _import(mapper)(unit, task):
                        yield key, _to_buffer(table)
                except MarqueeError as error:
                    yield _FAILED, error

        def reduce_one(pair: tuple[int, Iterable[Any]]) -> tuple[int, Any]:
            key, buffers = pair
            if key == _FAILED:
                return key, next(iter(buffers))
            with _spark_task(memory_mb, cpu) as task:
                tables = (_from_buffer(buffer) for buffer in buffers)
                try:
                    return key, _import(reducer)(key, tables, parameters, task)
                except MarqueeError as error:
                    return key, error

        mapped = self._context.parallelize(list(units), len(units)).flatMap(map_one)
        reduced = mapped.groupByKey(max(self._context.defaultParallelism, 1)).map(reduce_one).collect()
        return _values([value for _, value in sorted(reduced, key=lambda pair: pair[0])])


class _spark_task:  # noqa: N801 - a context manager that Spark can send along
    def __init__(self, memory_mb: int, cpu: "Accumulator[float]") -> None:
        self._memory_mb = memory_mb
        self._cpu = cpu

    def __enter__(self) -> Task:
        self._began = time.process_time()
        self._folder = tempfile.TemporaryDirectory(prefix="marquee-task-")
        return Task(Path(self._folder.name), self._memory_mb)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        self._cpu.add(time.process_time() - self._began)


def load(path: str) -> Callable[..., Any]:
    """Return the kernel of an import path such as ``jobs.rollup.kernel:parse_objects``; only our own can be named."""
    if not path.startswith(KERNELS):
        message = f"{path!r} is no kernel: expected {KERNELS}<module>:<function>"
        raise ValueError(message)
    return _import(path)


def _import(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    kernel: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return kernel


def _values(values: list[Any]) -> list[Any]:
    """Return what came back from Spark, or raise the first error of ours: thrown in a task, its class would be lost."""
    for value in values:
        if isinstance(value, MarqueeError):
            raise value
    return values


def _to_buffer(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _from_buffer(buffer: bytes) -> pa.Table:
    return pa.ipc.open_stream(buffer).read_all()
