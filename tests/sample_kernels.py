"""Kernels for the tests of the engines, which the workers of Spark import from here."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import SecretStr

from marquee.engine.base import Task
from marquee.errors import BadInputError, TryAgainError

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
    """Parameters of reducers: a factor, and the key whose reducer fails."""

    factor: int = 1
    fails: int | None = None


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


def nothing(_unit: Number, _task: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send no table."""
    yield from ()


def add(key: int, tables: Iterable[pa.Table], parameters: Sum, _: Task) -> tuple[int, int, int]:
    """Return the key, the number of tables, and the sum of their numbers times a factor."""
    listed = list(tables)
    if parameters.fails == key:
        message = f"reducer {key} failed"
        raise BadInputError(message)
    return key, len(listed), parameters.factor * sum(sum(table["number"].to_pylist()) for table in listed)


def blocks(unit: Number, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send one table of 400,000 bytes to each of two keys."""
    for key in (0, 1):
        yield key, pa.table({"number": pa.array([unit.number] * 50_000, pa.int64())})


def add_and_look(_: int, tables: Iterable[pa.Table], _parameters: Sum, task: Task) -> tuple[int, int]:
    """Return the sum of the numbers, and the number of files of the shuffle."""
    files = len(list(Path(task.scratch).parent.glob("marquee-shuffle-*/*.arrow")))
    return sum(sum(table["number"].to_pylist()) for table in tables), files


class Holder:
    """A class with a method, which is not a kernel."""

    @staticmethod
    def double(unit: Number, _: Task) -> int:
        """Return twice the number."""
        return 2 * unit.number
