"""Interface of the engines, ``map`` and ``map_reduce``, the same for this machine's cores and for Spark.

A kernel is a function of one of Marquee's own modules. It takes a unit of work (a frozen dataclass) and a task. Spark
sends a kernel as the names of its module and function, never as code. Arrow tables pass from mapper to reducer. Spark
carries them as buffers through its own shuffle, so Spark handles retries, spilling and executors.

    map:         kernel(unit, task) -> value
    map_reduce:  mapper(unit, task) -> (key, table) pairs;  reducer(key, tables, parameters, task) -> value

Values come back in the order of units, or of keys. The order of a reducer's tables is undefined: reducers must not
depend on it.
"""

import importlib
import sys
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
    from pyspark.accumulators import Accumulator

MIB = 1 << 20

_packages = {"jobs", "marquee"}
"""Packages whose modules kernels may come from."""


@dataclass(frozen=True)
class Task:
    """Resources of one kernel call: its own scratch folder, and its share of the memory in MiB."""

    scratch: Path
    memory_mb: int

    def database(self) -> "duckdb.DuckDBPyConnection":
        """Open a session of this thread's DuckDB, limited to the task's share of the memory."""
        from marquee.engine.duckdb import open_database  # noqa: PLC0415 - planning opens no database

        return open_database(self.memory_mb, self.scratch.parent)


U = TypeVar("U")
P = TypeVar("P")
V = TypeVar("V")

Kernel: TypeAlias = Callable[[U, Task], V]
"""Computes a value from a unit."""
Mapper: TypeAlias = Callable[[U, Task], Iterable[tuple[int, "pa.Table"]]]
"""Computes tables from a unit, each with a key."""
Reducer: TypeAlias = Callable[[int, Iterator["pa.Table"], P, Task], V]
"""Computes a value from a key and its tables."""


class Engine(Protocol):
    """Runs kernels over units of work."""

    name: str

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        """Return the kernel's value for each unit, in their order."""

    def map_reduce(self, mapper: Mapper[U], reducer: Reducer[P, V], units: Sequence[U], parameters: P) -> list[V]:
        """Return the reducer's value for each key of the mapper, in the order of keys."""


class _NoEngine:
    """Computes nothing. Planning uses it, because planning runs no kernel."""

    name = "none"

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        raise NotImplementedError

    def map_reduce(self, mapper: Mapper[U], reducer: Reducer[P, V], units: Sequence[U], parameters: P) -> list[V]:
        raise NotImplementedError


NO_ENGINE: Engine = _NoEngine()


_elsewhere: list["Accumulator[float]"] = []
"""CPU seconds of tasks in other processes (Spark's workers), one entry for each engine."""


def cpu_seconds() -> float:
    """Return the CPU seconds used so far by this process and by its tasks in other processes."""
    return time.process_time() + sum(one.value for one in _elsewhere)


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
