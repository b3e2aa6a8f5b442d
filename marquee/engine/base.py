"""Two engines with the same two verbs, ``map`` and ``map_reduce``: this machine's cores, or Spark's.

A kernel is named by its import path (``jobs.rollup.kernel:parse``) and gets a plain unit of work, never code. Between
mapper and reducer go Arrow tables; Spark carries them as buffers through its own shuffle, so retries, spilling and
executors are Spark's.

    map:         kernel(unit, task) -> value
    map_reduce:  mapper(unit, task) -> (key, table) pairs;  reducer(key, tables, parameters, task) -> value

Values come back in the order of units, or of keys. The order of a reducer's tables is not defined: reducers must not
depend on it.
"""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from marquee.engine.duckdb import open_database

if TYPE_CHECKING:
    from pyspark.accumulators import Accumulator

Unit = Mapping[str, Any]
"""One piece of work: plain values only."""

MIB = 1 << 20

KERNELS = "jobs."
"""What the import path of a kernel starts with."""


@dataclass(frozen=True)
class Task:
    """What a kernel may use: a scratch folder of its own, and a share of the memory."""

    scratch: Path
    memory_mb: int

    def database(self) -> duckdb.DuckDBPyConnection:
        """Open a session of this thread's DuckDB, bounded by the task's share of memory."""
        return open_database(self.memory_mb, self.scratch.parent)


class Engine(Protocol):
    """Runs kernels over units, somewhere."""

    name: str

    def map(self, kernel: str, units: Sequence[Unit]) -> list[Any]:
        """Return the kernel's value for each unit, in their order."""

    def map_reduce(self, mapper: str, reducer: str, units: Sequence[Unit], parameters: Unit) -> list[Any]:
        """Return the reducer's value for each key that the mapper gave, in the order of keys."""


class _NoEngine:
    """Computes nothing: for planning, which asks no engine for anything."""

    name = "none"

    def map(self, kernel: str, units: Sequence[Unit]) -> list[Any]:
        raise NotImplementedError

    def map_reduce(self, mapper: str, reducer: str, units: Sequence[Unit], parameters: Unit) -> list[Any]:
        raise NotImplementedError


NO_ENGINE: Engine = _NoEngine()


_elsewhere: list["Accumulator[float]"] = []
"""CPU seconds of tasks that this process has had done elsewhere, for each engine."""


def cpu_seconds() -> float:
    """Return the CPU time of this process up to now, and that of the tasks that it has had done elsewhere."""
    return time.process_time() + sum(one.value for one in _elsewhere)


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
