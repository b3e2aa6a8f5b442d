"""What runs in Spark's workers: kernels by name, whose tables and values travel as rows with one binary value.

    map_values     numbers of units -> a value each
    map_tables     numbers of units -> tables by key, as Arrow streams
    reduce_tables  tables of some keys -> a value for each key, and the table that goes with it if there is one
    merge_tables   the tables of all keys -> one value; all other rows pass

Each is a function of an iterator of Arrow batches, as ``mapInArrow`` takes it, with one row a batch: a row is a buffer
of some MiB. It holds a bounded part of its tables; the rest waits in scratch files. It imports nothing of pyspark, so
Spark, Spark Connect and Sail run the same.
"""

import os
import pickle
import tempfile
import threading
import time
import traceback
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from marquee.beside import import_jobs
from marquee.engine.base import Task, load_kernel
from marquee.engine.duckdb import close_databases
from marquee.engine.scratch import check_scratch, delete_own_scratch, own_scratch
from marquee.engine.shuffle import Shuffle, to_stream
from marquee.errors import INTERNAL, MarqueeError, describe_foreign
from marquee.machine import MIB
from marquee.system_errors import explain
from marquee.telemetry.logs import set_up_logs_of_worker

import_jobs()  # workers import this module before they load kernels and units, which are in `jobs`

CELL_BYTES = 8 * MIB
"""Most bytes of a table in one row: Spark and its workers hold some rows at a time, and a cell is below 2 GiB."""


class Kind(IntEnum):
    """What the payload of a row is; the driver looks at failures first."""

    FAILED = 0
    """A pickled MarqueeError; its key is the unit's number, or the key."""
    VALUE = 1
    """A pickled value of a unit or of a reducer."""
    MERGED = 2
    """The pickled value of the merger."""
    TABLE = 3
    """An Arrow stream."""
    CPU = 4
    """The pickled id of a process, and the CPU seconds of its tasks."""


class Row(NamedTuple):
    """A row of a frame. ``slot`` decides to which partition of the shuffle it goes."""

    slot: int
    kind: int
    key: int
    payload: bytes | pa.Buffer


SCHEMA = pa.schema([("slot", pa.int32()), ("kind", pa.int32()), ("key", pa.int64()), ("payload", pa.binary())])


@dataclass(frozen=True)
class Tasks:
    """What workers need to start tasks; ``slots`` has one for each partition of the shuffle."""

    memory_mb: int
    scratch: Path | None
    slots: tuple[int, ...] = (0,)

    @contextmanager
    def start(self) -> Iterator[Task]:
        """Start a task with its own scratch folder. It raises the errors of ``check_scratch``."""
        set_up_logs_of_worker()
        scratch = own_scratch(check_scratch(self.scratch))
        with tempfile.TemporaryDirectory(prefix="marquee-task-", dir=scratch) as folder:
            yield Task(Path(folder), self.memory_mb)

    def slot(self, key: int) -> int:
        """Return the slot of a key: keys that follow each other go to different partitions."""
        return self.slots[key % len(self.slots)]


@dataclass
class _Running:
    """The tasks of this process. Spark's workers run one at a time, Sail runs several in its own process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    tasks: int = 0
    counted: float = 0.0

    @contextmanager
    def counted_in(self, cpu: list[float]) -> Iterator[None]:
        """Append to ``cpu`` the CPU seconds of this process that no other task has counted; clean up after the last."""
        with self.lock:
            if not self.tasks:
                self.counted = time.process_time()
            self.tasks += 1
        try:
            yield
        finally:
            with self.lock:
                self.tasks -= 1
                if not self.tasks:  # Spark kills its workers in the end, so they clean up after each task
                    close_databases()
                    delete_own_scratch()
                now = time.process_time()
                cpu.append(now - self.counted)
                self.counted = now


_running = _Running()

Batches = Iterable[pa.RecordBatch]


def map_values(tasks: Tasks, path: str, units: Sequence[bytes], batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the kernel's value for each unit whose number is in the batches."""
    for number in _numbers(batches):
        cpu: list[float] = []
        with _running.counted_in(cpu):
            row = _value_of(tasks, path, units[number], number)
        yield _batch(row)
        yield _batch(_cpu_row(cpu))


def _value_of(tasks: Tasks, path: str, unit: bytes, number: int) -> Row:
    try:
        with tasks.start() as task:
            return _pickled(Kind.VALUE, number, load_kernel(path)(_unpickle(unit), task))
    except Exception as error:  # noqa: BLE001 - the edge of a task
        return _failed(number, error)


def map_tables(tasks: Tasks, path: str, units: Sequence[bytes], batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the mapper's tables for each unit whose number is in the batches, as few a key as the memory allows."""
    for number in _numbers(batches):
        cpu: list[float] = []
        with _running.counted_in(cpu):
            for row in _tables_of(tasks, path, units[number], number):
                yield _batch(row)
        yield _batch(_cpu_row(cpu))


def _tables_of(tasks: Tasks, path: str, unit: bytes, number: int) -> Iterator[Row]:
    try:
        with tasks.start() as task:
            for key, table in gather(load_kernel(path)(_unpickle(unit), task), task.memory_mb * MIB // 8):
                yield from _table_rows(tasks, key, table)
    except Exception as error:  # noqa: BLE001 - the edge of a task
        yield _failed(number, error)


def gather(pairs: Iterable[tuple[int, pa.Table]], budget: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield the tables of a key as one, as long as all that is held takes at most ``budget`` bytes."""
    held: dict[int, list[pa.Table]] = defaultdict(list)
    left = budget
    for key, table in pairs:
        left -= table.nbytes
        if held and left < 0:
            yield from _together(held)
            held.clear()
            left = budget - table.nbytes
        held[key].append(table)
    yield from _together(held)


def _together(held: dict[int, list[pa.Table]]) -> Iterator[tuple[int, pa.Table]]:
    for key, tables in held.items():
        if all(table.schema.equals(tables[0].schema) for table in tables):
            yield key, pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        else:
            yield from ((key, table) for table in tables)


def reduce_tables(tasks: Tasks, path: str, parameters: bytes, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the reducer's value for each key in the batches, and its table if it has one. Other rows pass."""
    cpu: list[float] = []
    with _running.counted_in(cpu):
        for row in _reduced(tasks, path, parameters, batches):
            yield _batch(row)
    yield _batch(_cpu_row(cpu))


def _reduced(tasks: Tasks, path: str, parameters: bytes, batches: Batches) -> Iterator[Row]:
    try:
        with tasks.start() as task:
            shuffle = Shuffle(task.scratch, task.memory_mb * MIB // 4)
            yield from _take(shuffle, _rows(batches))
            given = _unpickle(parameters)
            for key in shuffle.keys():  # noqa: SIM118 - not a dict
                yield from _reduce_key(tasks, path, given, key, shuffle.give(key))
    except Exception as error:  # noqa: BLE001 - the edge of a task
        yield _failed(-1, error)


def _reduce_key(tasks: Tasks, path: str, parameters: object, key: int, tables: Iterator[pa.Table]) -> Iterator[Row]:
    try:
        with tasks.start() as task:
            value, table = load_kernel(path)(key, tables, parameters, task)
        yield _pickled(Kind.VALUE, key, value)
        if table is not None:
            yield from _table_rows(tasks, key, table)
    except Exception as error:  # noqa: BLE001 - the edge of a task
        yield _failed(key, error)


def merge_tables(tasks: Tasks, path: str, parameters: bytes, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the merger's value of all tables in the batches, if there are any and nothing has failed."""
    cpu: list[float] = []
    with _running.counted_in(cpu):
        for row in _merged(tasks, path, parameters, batches):
            yield _batch(row)
    yield _batch(_cpu_row(cpu))


def _merged(tasks: Tasks, path: str, parameters: bytes, batches: Batches) -> Iterator[Row]:
    try:
        with tasks.start() as task:
            shuffle = Shuffle(task.scratch, task.memory_mb * MIB // 4)
            failed = False
            for row in _take(
                shuffle, (one._replace(key=0) if one.kind == Kind.TABLE else one for one in _rows(batches))
            ):
                failed = failed or row.kind == Kind.FAILED
                yield row
            if shuffle.keys() and not failed:
                yield _pickled(Kind.MERGED, 0, load_kernel(path)(shuffle.give(0), _unpickle(parameters), task))
    except Exception as error:  # noqa: BLE001 - the edge of a task
        yield _failed(-1, error)


def _take(shuffle: Shuffle, rows: Iterable[Row]) -> Iterator[Row]:
    """Give tables to the shuffle; yield all other rows."""
    for row in rows:
        if row.kind == Kind.TABLE:
            shuffle.take([(row.key, row.payload)])
        else:
            yield row


def _numbers(batches: Batches) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _rows(batches: Batches) -> Iterator[Row]:
    for batch in batches:
        slots, kinds, keys = (batch.column(name).to_pylist() for name in SCHEMA.names[:3])
        payloads = batch.column("payload")
        for number, slot in enumerate(slots):
            yield Row(slot, kinds[number], keys[number], payloads[number].as_buffer())


def _batch(row: Row) -> pa.RecordBatch:
    """Return a row as a batch, without a copy of its payload."""
    offsets = pa.py_buffer(array("i", (0, len(row.payload))))
    payload = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(row.payload)])
    numbers = [pa.array([one], of.type) for one, of in zip(row[:-1], SCHEMA, strict=False)]
    return pa.RecordBatch.from_arrays([*numbers, payload], schema=SCHEMA)


def _table_rows(tasks: Tasks, key: int, table: pa.Table) -> Iterator[Row]:
    rows = max(1, table.num_rows * CELL_BYTES // max(1, table.nbytes))
    for first in range(0, max(1, table.num_rows), rows):
        yield Row(tasks.slot(key), Kind.TABLE, key, to_stream(table.slice(first, rows)))


def _pickled(kind: Kind, key: int, value: object) -> Row:
    return Row(0, kind, key, pickle.dumps(value))


def _failed(key: int, error: Exception) -> Row:
    """Return the row of an error. One that is not Marquee's comes to the driver as its class and place.

    Raised here, it would run the task three more times, and then be an error of Java.
    """
    found = error if isinstance(error, MarqueeError) else explain(error) or MarqueeError(describe_foreign(error))
    if found.exit_code == INTERNAL:  # for the driver's log of level debug
        found.add_note("".join(traceback.format_exception(error)))
    return _pickled(Kind.FAILED, key, found)


def _cpu_row(cpu: list[float]) -> Row:
    return _pickled(Kind.CPU, 0, (os.getpid(), sum(cpu)))


def _unpickle(data: bytes) -> Any:  # noqa: ANN401 - any unit
    return pickle.loads(data)  # noqa: S301 - the driver's own
