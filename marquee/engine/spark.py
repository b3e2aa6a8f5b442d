"""The Spark engine: kernels over DataFrames, so that Spark, Spark Connect and Sail run it alike.

A frame has a row for each table or value, with one binary value of some MiB; ``spark_tasks`` has what the workers do.
The shuffle is one ``repartition`` between two ``mapInArrow``: unlike a grouping, it holds no group in memory. Only
manifests and other small values come back to the driver.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from marquee import stopping
from marquee.engine.base import (
    Kernel,
    Mapper,
    Merger,
    P,
    Reducer,
    U,
    V,
    W,
    count_elsewhere,
    kernel_path,
)
from marquee.engine.spark_session import Session, failed_to_answer, map_in_arrow, open_session
from marquee.engine.spark_tasks import SCHEMA, Kind, Tasks, map_tables, map_values, merge_tables, reduce_tables
from marquee.errors import EngineGoneError, MarqueeError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

T = TypeVar("T")

MOST_SIDE_BY_SIDE = 16

_Found = dict[Kind, list[tuple[int, Any]]]


class SparkEngine:
    """Runs kernels on Spark's scheduler and shuffle. Each unit is a task; tables travel as Arrow buffers, not rows."""

    name = "spark"

    def __init__(self, session: Session, task_memory_mb: int, scratch: Path | None = None) -> None:
        self.session = session
        self._task_memory_mb = task_memory_mb
        self._scratch = scratch
        _engines.add(self)

    @property
    def side_by_side(self) -> int:
        """How many calls at a time keep Spark busy: some wait for their last tasks or for the driver, others run."""
        return min(self.session.partitions + 2, MOST_SIDE_BY_SIDE)

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        path = kernel_path(kernel)  # a wrong kernel fails here, not in tasks that Spark retries
        if not units:
            return []
        return _values(self._collect(lambda: self._over(units, map_values, self._tasks(), path)))

    def map_reduce_merge(
        self,
        mapper: Mapper[U],
        reducer: Reducer[P, V],
        merger: Merger[P, W],
        units: Sequence[U],
        parameters: P,
    ) -> tuple[list[V], W | None]:
        map_path, reduce_path, merge_path = kernel_path(mapper), kernel_path(reducer), kernel_path(merger)
        if not units:
            return [], None

        def merged() -> "DataFrame":
            partitions, sent = self.session.partitions, pickle.dumps(parameters)
            tasks = self._tasks(slots(partitions))
            mapped = self._over(units, map_tables, tasks, map_path).repartition(partitions, "slot")
            reduced = map_in_arrow(mapped, partial(reduce_tables, tasks, reduce_path, sent), SCHEMA)
            work = partial(merge_tables, self._tasks(), merge_path, sent)
            return map_in_arrow(reduced.repartition(1), work, SCHEMA)

        found = self._collect(merged)
        return _values(found), next((value for _, value in found[Kind.MERGED]), None)

    def _over(self, units: Sequence[U], work: Callable[..., Any], *arguments: object) -> "DataFrame":
        """Return the frame of a function over the numbers of units, a task for each.

        Spark sends a function of ``spark_tasks`` by its name, with values: names of kernels, and pickled units.
        """
        numbers = self.session.spark.range(0, len(units), 1, len(units))
        sent = partial(work, *arguments, [pickle.dumps(unit) for unit in units])
        return map_in_arrow(numbers, sent, SCHEMA)

    def _tasks(self, slots_: tuple[int, ...] = (0,)) -> Tasks:
        return Tasks(self._task_memory_mb, self._scratch, slots_)

    def _collect(self, frame: Callable[[], "DataFrame"]) -> _Found:
        """Return what the tasks found, by kind, in the order of keys. Raise the first failure.

        A failure comes as a value: raised in a task, it would lose its class.
        """
        with self._needed():
            rows = frame().select("kind", "key", "payload").collect()
        found: _Found = {kind: [] for kind in Kind}
        for row in sorted(rows, key=lambda row: (row.kind, row.key)):
            found[Kind(row.kind)].append((row.key, pickle.loads(row.payload)))  # noqa: S301 - of our own tasks
        for _, (process, seconds) in found[Kind.CPU]:
            count_elsewhere(process, seconds)
        for _, error in found[Kind.FAILED]:
            raise error
        return found

    @contextmanager
    def _needed(self) -> Iterator[None]:
        """Tell errors of a Spark that has stopped from those of a period."""
        try:
            yield
        except MarqueeError:
            raise
        except Exception as error:
            if self.session.runs() and not failed_to_answer(error):
                raise
            stopping.check()
            message = (
                "Spark has stopped: it was asked to, its process died, or it lost too many executors. The rest of the "
                "periods is not tried; run it again to continue. Look for the reason in the driver's log"
            )
            raise EngineGoneError(message) from error


_engines: "WeakSet[SparkEngine]" = WeakSet()


def _cancel() -> None:
    for engine in list(_engines):
        engine.session.cancel()


stopping.at_once(_cancel)


def start_spark(conf: Mapping[str, str], task_memory_mb: int, scratch: Path | None = None) -> SparkEngine:
    """Return an engine on the running Spark, on a new one with this configuration, or on the server that it names.

    Tasks create their temporary files in ``scratch``, which must exist on every machine. Spark does so, too, unless its
    configuration names a folder.

    Raises:
        ConfigError: a package is missing, or the server's URL is wrong.
    """
    return SparkEngine(open_session(conf, scratch), task_memory_mb, scratch)


def _values(found: _Found) -> list[Any]:
    return [value for _, value in found[Kind.VALUE]]


@lru_cache(maxsize=16)
def slots(partitions: int) -> tuple[int, ...]:
    """Return an integer for each partition of a shuffle that Spark sends there: keys in turn fill all partitions alike.

    Spark hashes the integer by Murmur3 with seed 42. Elsewhere they go to any partition, with the same results.
    """
    found: dict[int, int] = {}
    value = 0
    while len(found) < partitions:
        found.setdefault(_murmur3(value) % partitions, value)
        value += 1
    return tuple(found[partition] for partition in range(partitions))


_MASK = 0xFFFF_FFFF


def _murmur3(value: int, seed: int = 42) -> int:
    """Return the Murmur3 hash of a 32-bit integer, with its sign."""
    mixed = seed ^ (_rotate(value * 0xCC9E_2D51, 15) * 0x1B87_3593) & _MASK
    mixed = (_rotate(mixed, 13) * 5 + 0xE654_6B64) & _MASK
    mixed ^= 4
    mixed = ((mixed ^ mixed >> 16) * 0x85EB_CA6B) & _MASK
    mixed = ((mixed ^ mixed >> 13) * 0xC2B2_AE35) & _MASK
    mixed ^= mixed >> 16
    return mixed - (1 << 32) if mixed >> 31 else mixed


def _rotate(value: int, bits: int) -> int:
    value &= _MASK
    return (value << bits | value >> 32 - bits) & _MASK
