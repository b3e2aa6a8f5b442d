"""The Spark engine. The configuration comes from spark-submit or from the settings."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from marquee.engine.scratch import check_scratch
from marquee.errors import ConfigError, MarqueeError
from marquee.system_errors import explain

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.accumulators import Accumulator
from marquee.engine.base import Task, Unit, _elsewhere, _import, load

_FAILED = -(1 << 32)
"""In Spark's shuffle, the key of a mapper's error; keys of tables are greater."""


class SparkEngine:
    """Spark's scheduler and shuffle; the units go out as tasks, tables travel as Arrow buffers, never as rows."""

    name = "spark"

    def __init__(self, context: "SparkContext", task_memory_mb: int, scratch: Path | None = None) -> None:
        self._context = context
        self._task_memory_mb = task_memory_mb
        self._scratch = scratch
        self._cpu = context.accumulator(0.0)
        _elsewhere.append(self._cpu)

    def map(self, kernel: str, units: Sequence[Unit]) -> list[Any]:
        load(kernel)  # a wrong name fails here, not in tasks that Spark tries again
        if not units:
            return []
        new_task = self._new_task()

        def one(unit: Unit) -> Any:  # noqa: ANN401 - a kernel's plain value
            try:
                with new_task() as task:
                    return _import(kernel)(unit, task)
            except Exception as error:
                if (ours := _ours(error)) is None:
                    raise
                return ours

        return _values(self._context.parallelize(list(units), len(units)).map(one).collect())

    def map_reduce(self, mapper: str, reducer: str, units: Sequence[Unit], parameters: Unit) -> list[Any]:
        load(mapper), load(reducer)
        if not units:
            return []
        new_task = self._new_task()

        def map_one(unit: Unit) -> Iterator[tuple[int, bytes | MarqueeError]]:
            try:
                with new_task() as task:
                    for key, table in _import(mapper)(unit, task):
                        yield key, _to_buffer(table)
            except Exception as error:
                if (ours := _ours(error)) is None:
                    raise
                yield _FAILED, ours

        def reduce_one(pair: tuple[int, Iterable[Any]]) -> tuple[int, Any]:
            key, buffers = pair
            if key == _FAILED:
                return key, next(iter(buffers))
            tables = (_from_buffer(buffer) for buffer in buffers)
            try:
                with new_task() as task:
                    return key, _import(reducer)(key, tables, parameters, task)
            except Exception as error:
                if (ours := _ours(error)) is None:
                    raise
                return key, ours

        mapped = self._context.parallelize(list(units), len(units)).flatMap(map_one)
        reduced = mapped.groupByKey(max(self._context.defaultParallelism, 1)).map(reduce_one).collect()
        return _values([value for _, value in sorted(reduced, key=lambda pair: pair[0])])

    def _new_task(self) -> "Callable[[], _spark_task]":
        return partial(_spark_task, self._task_memory_mb, self._cpu, self._scratch)


def _ours(error: Exception) -> MarqueeError | None:
    """Return the error that a task gives back as its value. Others it raises, and Spark tries it again."""
    return error if isinstance(error, MarqueeError) else explain(error)


class _spark_task:  # noqa: N801 - a context manager that Spark can send along
    def __init__(self, memory_mb: int, cpu: "Accumulator[float]", scratch: Path | None) -> None:
        self._memory_mb = memory_mb
        self._cpu = cpu
        self._scratch = scratch

    def __enter__(self) -> Task:
        self._began = time.process_time()
        self._folder = tempfile.TemporaryDirectory(prefix="marquee-task-", dir=check_scratch(self._scratch))
        return Task(Path(self._folder.name), self._memory_mb)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        self._cpu.add(time.process_time() - self._began)


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


SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""What spark-submit tells a driver: its Java process, which has a configuration, that has a name."""


def start_spark(conf: Mapping[str, str], task_memory_mb: int, scratch: Path | None = None) -> SparkEngine:
    """Return an engine on the running Spark, or on a new one with this configuration.

    Tasks, and Spark where its configuration names no folder, make their temporary files in ``scratch``, which must
    exist on every machine.
    """
    try:
        from pyspark import SparkConf, SparkContext  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "MARQUEE_ENGINE__KIND='spark' needs pyspark: install marquee[spark], or set it to 'local'"
        raise ConfigError(message) from error
    # Tasks must run on the interpreter that has Marquee. PySpark would take whatever `python3` is first in the path,
    # and is told in no other way: spark.pyspark.python counts for spark-submit alone, which sets this variable.
    os.environ.setdefault("PYSPARK_PYTHON", conf.get("spark.pyspark.python", sys.executable))
    configured = SparkConf().setAll(list(conf.items()))
    if scratch is not None:
        configured.setIfMissing("spark.local.dir", str(scratch))
    if SUBMITTED not in os.environ:
        configured.setIfMissing("spark.app.name", "marquee")
    context = SparkContext.getOrCreate(configured)
    context.setLogLevel("WARN")
    return SparkEngine(context, task_memory_mb, scratch)
