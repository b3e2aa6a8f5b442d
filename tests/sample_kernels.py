"""Kernels for the tests of the engines, which the workers of Spark import from here."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import SecretStr

from marquee.engine.base import Engine, Task
from marquee.errors import BadInputError, TryAgainError
from marquee.lake.files import write_output
from marquee.storage.local import LocalStore
from tests.sample_stages import WORDS

SECRET = "canary-7ac0"
PLACE = "the module"
"""A test changes this value in its own process; a kernel returns the change only if its code was sent from there."""


@dataclass(frozen=True)
class Number:
    """A unit of work: a number, a time to wait or to burn, a folder to record it in, a failure, and a secret."""

    number: int = 0
    seconds: float = 0
    folder: Path | None = None
    fails: bool = False
    key: SecretStr = field(default=SecretStr(SECRET), repr=False)


@dataclass(frozen=True)
class Sum:
    """Parameters of reducers: a factor, the key whose reducer fails, and a folder in which a merger leaves a file."""

    factor: int = 1
    fails: int | None = None
    folder: Path | None = None


def double(unit: Number, _: Task) -> int:
    """Return twice the number, after a while."""
    time.sleep(unit.seconds)
    return 2 * unit.number


def burn(unit: Number, _: Task) -> int:
    """Use a core for a number of CPU seconds."""
    ends = time.thread_time() + unit.seconds
    while time.thread_time() < ends:
        pass
    return 0


def fail(unit: Number, _: Task) -> int:
    """Record the number in a folder and return; an odd number is an error of Marquee, and zero another error."""
    time.sleep(unit.seconds)
    if unit.folder is not None:
        Path(unit.folder, f"{unit.number}").touch()
    if unit.number % 2:
        message = f"{unit.number} is odd"
        raise BadInputError(message)
    return 1 // unit.number


def fail_with_unit(unit: Number, _: Task) -> int:
    """Fail with the unit in the text: with an error of Marquee for an odd number, and with another one otherwise."""
    message = f"{unit} and {unit!r}"
    raise BadInputError(message) if unit.number % 2 else ValueError(message)


def tell_place(_unit: Number, _task: Task) -> str:
    """Return the value of PLACE where the kernel runs."""
    return PLACE


def tell_worker(_unit: Number, _task: Task) -> tuple[list[str], list[str]]:
    """Return the command line of the process that has forked this one, and the files of the package pyspark."""
    command = Path(f"/proc/{os.getppid()}/cmdline").read_text(encoding="utf-8").split("\0")
    return command, list(sys.modules["pyspark"].__path__)


def look_around(unit: Number, task: Task) -> dict[str, Any]:
    """Leave a file in the scratch folder, and return its earlier contents and the limits of the task."""
    before = [path.name for path in task.scratch.iterdir()]
    (task.scratch / "file").write_text(str(unit.number), encoding="utf-8")
    with task.database() as database:
        names = ("threads", "memory_limit", "temp_directory")
        settings = {name: database.execute("select current_setting(?)", [name]).fetchone() for name in names}
    return {"scratch": str(task.scratch), "before": before, "memory_mb": task.memory_mb, **settings}


def split(unit: Number, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send the numbers below that of the unit to three keys, a table each; then fail, if the unit says so."""
    numbers = range(unit.number)
    for key in (2, 0, 1):
        yield key, pa.table({"number": [number for number in numbers if number % 3 == key]})
    if unit.fails:
        message = f"mapper {unit.number} failed"
        raise TryAgainError(message)


def only_two(unit: Number, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send the number of the unit to key 2."""
    yield 2, pa.table({"number": [unit.number]})


def nothing(_unit: Number, _task: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send no table."""
    yield from ()


def map_reduce(engine: Engine, mapper: Any, reducer: Any, units: Sequence[Number], parameters: Sum) -> list[Any]:
    """Return the values of reducers that have no table to merge."""
    values, merged = engine.map_reduce_merge(mapper, reducer, total, units, parameters)
    assert merged is None
    return values


def add(key: int, tables: Iterable[pa.Table], parameters: Sum, _: Task) -> tuple[tuple[int, int, int], None]:
    """Return the key, the number of tables, and the sum of their numbers times a factor; no table."""
    listed = list(tables)
    if parameters.fails == key:
        message = f"reducer {key} failed"
        raise BadInputError(message)
    return (key, len(listed), parameters.factor * sum(sum(table["number"].to_pylist()) for table in listed)), None


def add_and_keep(
    key: int, tables: Iterable[pa.Table], parameters: Sum, task: Task
) -> tuple[tuple[int, int, int], pa.Table | None]:
    """Return what ``add`` returns, and the numbers of all keys but 2, which are to be merged."""
    listed = list(tables)
    value, _ = add(key, listed, parameters, task)
    return value, None if key == 2 else pa.concat_tables(listed)


def total(tables: Iterable[pa.Table], parameters: Sum, task: Task) -> tuple[int, int]:
    """Return the number of tables, and the sum of their numbers times a factor; leave a file if it may."""
    listed = list(tables)
    if parameters.folder is not None:
        Path(parameters.folder, "merged").touch()
    assert task.scratch.is_dir()
    return len(listed), parameters.factor * sum(sum(table["number"].to_pylist()) for table in listed)


def fail_to_merge(_: Iterable[pa.Table], _parameters: Sum, _task: Task) -> None:
    """Fail with an error of Marquee."""
    message = "the merger failed"
    raise TryAgainError(message)


def blocks(unit: Number, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send one table of 400,000 bytes to each of two keys."""
    for key in (0, 1):
        yield key, pa.table({"number": pa.array([unit.number] * 50_000, pa.int64())})


def add_and_look(_: int, tables: Iterable[pa.Table], _parameters: Sum, task: Task) -> tuple[tuple[int, int], None]:
    """Return the sum of the numbers, and the number of files of the shuffle; no table."""
    files = len(list(Path(task.scratch).parent.glob("marquee-shuffle-*/*.arrow")))
    return (sum(sum(table["number"].to_pylist()) for table in tables), files), None


def much(unit: Number, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send 400 tables of a mebibyte that does not compress to one key, and this process's memory to another."""
    noise = np.random.default_rng(unit.number)
    for _number in range(400):
        yield 0, pa.table({"number": noise.integers(0, 1 << 62, 1 << 17)})
    yield 1, pa.table({"number": [held_mb()]})


def most(key: int, tables: Iterable[pa.Table], _parameters: Sum, _: Task) -> tuple[tuple[int, int], None]:
    """Return the number of rows, and the most memory in MiB of this process, or of the mapper's; no table."""
    rows, memory = 0, 0
    for table in tables:
        rows += table.num_rows
        memory = max(memory, held_mb(), table["number"][0].as_py() if key == 1 else 0)
    return (rows, memory), None


def held_mb(name: str = "RssAnon") -> int:
    """Return the memory of this process in MiB, without the pages of files, which the system takes back."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith(name))


def peak(unit: Number, _: Task) -> tuple[int, int]:
    """Return the process and its peak memory in MiB, and begin another peak, after a while."""
    time.sleep(unit.seconds)
    found = os.getpid(), held_mb("VmHWM")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return found


def write_late(unit: Number, _: Task) -> tuple[str, str]:
    """Write an object, and return its key and SHA-256; the first attempt at number 0 takes the time of the unit."""
    time.sleep(unit.seconds if _is_first_attempt(unit) else 0)
    return _write(unit)


def _is_first_attempt(unit: Number) -> bool:
    assert unit.folder is not None
    first = unit.folder / "first-attempt"
    if unit.number or first.exists():
        return False
    first.touch()
    return True


def _write(unit: Number) -> tuple[str, str]:
    assert unit.folder is not None
    table = pa.table({"word": [str(unit.number)], "times": [unit.number]})
    output = write_output(LocalStore(unit.folder / "lake"), "data/", WORDS, table, unit.number)
    return output.key, output.sha256


class Holder:
    """A class with a method, which is not a kernel."""

    @staticmethod
    def double(unit: Number, _: Task) -> int:
        """Return twice the number."""
        return 2 * unit.number
