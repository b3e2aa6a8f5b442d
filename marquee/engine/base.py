"""Interface of the engines: ``map`` and ``map_reduce_merge``, the same for all engines.

A kernel is a function of one of Marquee's own modules. It takes a unit of work (a frozen dataclass) and a task. Spark
sends a kernel as the names of its module and function, never as code. Arrow tables pass from mapper to reducer. Spark
carries them as buffers through its own shuffle, so Spark handles retries, spilling and executors.

    map:               kernel(unit, task) -> value
    map_reduce_merge:  mapper(unit, task) -> (key, table) pairs;  reducer(key, tables, parameters, task) -> value, table
                       or value, None;  merger(tables, parameters, task) -> value

Values come back to the driver in the order of units, or of keys, and must be small. Tables do not come back: a merger
makes one value of those of all reducers, in one task. The order of the tables of a reducer or a merger is undefined:
they must not depend on it.
"""

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""Variable that spark-submit sets. Its Java process already has a configuration, including the application's name."""

_packages = {"jobs", "marquee"}
"""Packages whose modules kernels may come from."""


@dataclass(frozen=True)
class Task:
    """Resources of one kernel call: its own scratch folder, and its share of the memory in MiB."""

    scratch: Path
    memory_mb: int

    def database(self, reads: Path | None = None) -> "duckdb.DuckDBPyConnection":
        """Open a session of this thread's DuckDB, limited to the task's share of the memory.

        Its queries may read the files of the scratch folder, and of the folder ``reads``.
        """
        from marquee.engine.duckdb import open_database  # noqa: PLC0415 - planning opens no database

        return open_database(self.memory_mb, self.scratch.parent, reads)


U = TypeVar("U")
P = TypeVar("P")
V = TypeVar("V")
W = TypeVar("W")

Kernel: TypeAlias = Callable[[U, Task], V]
"""Computes a value from a unit."""
Mapper: TypeAlias = Callable[[U, Task], Iterable[tuple[int, "pa.Table"]]]
"""Computes tables from a unit, each with a key."""
Reducer: TypeAlias = Callable[[int, Iterator["pa.Table"], P, Task], tuple[V, "pa.Table | None"]]
"""Computes a value from a key and its tables, and a table to merge with those of other keys, if it has one."""
Merger: TypeAlias = Callable[[Iterator["pa.Table"], P, Task], V]
"""Computes a value from the tables of all reducers."""


class Engine(Protocol):
    """Runs kernels over units of work."""

    name: str

    @property
    def side_by_side(self) -> int:
        """How many calls at a time, from threads of their own, keep it busy; 1 for an engine that one call fills."""

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        """Return the kernel's value for each unit, in their order."""

    def map_reduce_merge(
        self,
        mapper: Mapper[U],
        reducer: Reducer[P, V],
        merger: Merger[P, W],
        units: Sequence[U],
        parameters: P,
    ) -> tuple[list[V], W | None]:
        """Return the reducer's value for each key, in the order of keys, and the merger's of all their tables.

        The latter is None if there is no table.
        """


class _NoEngine:
    """Computes nothing. Planning uses it, because planning runs no kernel."""

    name = "none"
    side_by_side = 1

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        raise NotImplementedError

    def map_reduce_merge(
        self,
        mapper: Mapper[U],
        reducer: Reducer[P, V],
        merger: Merger[P, W],
        units: Sequence[U],
        parameters: P,
    ) -> tuple[list[V], W | None]:
        raise NotImplementedError


NO_ENGINE: Engine = _NoEngine()


class _OfThread(threading.local):
    elsewhere = 0.0


_lock = threading.Lock()
_elsewhere = [0.0]
"""CPU seconds of tasks in other processes (Spark's workers)."""
_of_thread = _OfThread()
"""Those of the tasks that the calling thread has waited for."""


def count_elsewhere(process: int, seconds: float) -> None:
    """Count the CPU seconds of tasks in another process, for which this thread has waited."""
    if process != os.getpid():
        _of_thread.elsewhere += seconds
        with _lock:
            _elsewhere[0] += seconds


def cpu_seconds(*, of_thread: bool = False) -> float:
    """Return the CPU seconds used so far by this process, or this thread, and by its tasks in other processes."""
    return time.thread_time() + _of_thread.elsewhere if of_thread else time.process_time() + _elsewhere[0]


def kernel_path(kernel: Callable[..., Any]) -> str:
    """Return the path of a kernel, such as ``jobs.rollup.kernel:parse_objects``. ValueError unless it is Marquee's own.

    A kernel must be a top-level function: no lambda, no nested function, no method.
    """
    if isfunction(kernel):
        module, name = kernel.__module__, kernel.__qualname__
        ours = module.startswith(tuple(f"{package}." for package in _packages))
        if ours and getattr(sys.modules.get(module), name, None) is kernel:
            return f"{module}:{name}"
    below = " or ".join(sorted(_packages))
    message = f"{kernel!r} cannot be a kernel. Use a top-level function of a module below {below}"
    raise ValueError(message)


def load_kernel(path: str) -> Callable[..., Any]:
    """Return the kernel of a path from ``kernel_path``."""
    module, _, name = path.partition(":")
    kernel: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return kernel


@contextmanager
def kernels_of(package: str) -> Iterator[None]:
    """Accept the kernels of one more package while the body runs. Tests use it for their own kernels."""
    _packages.add(package)
    try:
        yield
    finally:
        _packages.remove(package)
