"""The Spark engine. Its configuration comes from spark-submit or from the settings."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from marquee.beside import import_jobs
from marquee.engine.base import Kernel, Mapper, P, Reducer, Task, U, V, _elsewhere, kernel_path, load_kernel
from marquee.engine.scratch import check_scratch
from marquee.errors import ConfigError, MarqueeError
from marquee.system_errors import explain

if TYPE_CHECKING:
    from pyspark import RDD, SparkContext
    from pyspark.accumulators import Accumulator

import_jobs()  # Spark's workers import this module before they load kernels and units, which are in `jobs`

_FAILED = -(1 << 32)
"""Key of a mapper's error in Spark's shuffle; all keys of tables are greater."""


class SparkEngine:
    """Runs kernels on Spark's scheduler and shuffle. Each unit is a task; tables travel as Arrow buffers, not rows."""

    name = "spark"

    def __init__(self, context: "SparkContext", task_memory_mb: int, scratch: Path | None = None) -> None:
        self._context = context
        self._task_memory_mb = task_memory_mb
        self._scratch = scratch
        self._cpu = context.accumulator(0.0)
        _elsewhere.append(self._cpu)

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        path = kernel_path(kernel)  # a wrong kernel fails here, not in tasks that Spark retries
        if not units:
            return []
        return _values(self._send(units).map(self._task(_map_one, path)).collect())

    def map_reduce(self, mapper: Mapper[U], reducer: Reducer[P, V], units: Sequence[U], parameters: P) -> list[V]:
        map_path, reduce_path = kernel_path(mapper), kernel_path(reducer)
        if not units:
            return []
        mapped = self._send(units).flatMap(self._task(_map_tables, map_path))
        grouped = mapped.groupByKey(max(self._context.defaultParallelism, 1))
        reduced = grouped.map(self._task(_reduce_one, reduce_path, parameters)).collect()
        return _values([value for _, value in sorted(reduced, key=lambda pair: pair[0])])

    def _send(self, units: Sequence[U]) -> "RDD[U]":
        return self._context.parallelize(list(units), len(units))

    def _task(self, work: Callable[..., Any], *arguments: object) -> Callable[[Any], Any]:
        """Return what Spark sends to its workers: names of Marquee's functions, and values, but no code."""
        return partial(work, _Tasks(self._task_memory_mb, self._cpu, self._scratch), *arguments)


def _map_one(tasks: "_Tasks", path: str, unit: object) -> object:
    try:
        with tasks.start() as task:
            return load_kernel(path)(unit, task)
    except Exception as error:  # noqa: BLE001 - the edge of a task
        return _ours(error)


def _map_tables(tasks: "_Tasks", path: str, unit: object) -> Iterator[tuple[int, bytes | MarqueeError]]:
    try:
        with tasks.start() as task:
            for key, table in load_kernel(path)(unit, task):
                yield key, _to_buffer(table)
    except Exception as error:  # noqa: BLE001 - the edge of a task
        yield _FAILED, _ours(error)


def _reduce_one(tasks: "_Tasks", path: str, parameters: object, pair: tuple[int, Iterable[Any]]) -> tuple[int, object]:
    key, buffers = pair
    if key == _FAILED:
        return key, next(iter(buffers))
    try:
        with tasks.start() as task:
            return key, load_kernel(path)(key, map(_from_buffer, buffers), parameters, task)
    except Exception as error:  # noqa: BLE001 - the edge of a task
        return key, _ours(error)


def _ours(error: Exception) -> MarqueeError:
    """Return the error that a task returns as its value; raise any other error, so that Spark retries the task."""
    found = error if isinstance(error, MarqueeError) else explain(error)
    if found is None:
        raise error
    return found


@dataclass(frozen=True)
class _Tasks:
    """What Spark's workers need to start tasks."""

    memory_mb: int
    cpu: "Accumulator[float]"
    scratch: Path | None

    @contextmanager
    def start(self) -> Iterator[Task]:
        """Start a task with its own scratch folder; count its CPU time when it ends."""
        began = time.process_time()
        with tempfile.TemporaryDirectory(prefix="marquee-task-", dir=check_scratch(self.scratch)) as folder:
            yield Task(Path(folder), self.memory_mb)
        self.cpu.add(time.process_time() - began)


def _values(values: list[Any]) -> list[Any]:
    """Return the values from Spark, or raise the first error among them: raised in a task, it would lose its class."""
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


SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""Set by spark-submit. Its Java process already has a configuration, including the application's name."""


def start_spark(conf: Mapping[str, str], task_memory_mb: int, scratch: Path | None = None) -> SparkEngine:
    """Return an engine on the running Spark, or on a new one with this configuration.

    Tasks create their temporary files in ``scratch``, which must exist on every machine. Spark does so, too, unless its
    configuration names a folder.
    """
    try:
        from pyspark import SparkConf, SparkContext  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "MARQUEE_ENGINE__KIND='spark' needs pyspark. Install marquee[spark], or set it to 'local'"
        raise ConfigError(message) from error
    # Tasks must run on the interpreter that has Marquee. By default PySpark uses the first `python3` in the path. Only
    # this variable changes that: spark.pyspark.python works for spark-submit alone, which sets this variable itself.
    os.environ.setdefault("PYSPARK_PYTHON", conf.get("spark.pyspark.python", sys.executable))
    configured = SparkConf().setAll(list(conf.items()))
    configured.setIfMissing("spark.executorEnv.PYTHONSAFEPATH", "1")  # no modules from the current folder
    if scratch is not None:
        configured.setIfMissing("spark.local.dir", str(scratch))
    if SUBMITTED not in os.environ:
        configured.setIfMissing("spark.app.name", "marquee")
    context = SparkContext.getOrCreate(configured)
    context.setLogLevel("WARN")
    return SparkEngine(context, task_memory_mb, scratch)
