"""Kernels for the tests of the engines; Spark's workers import them from here."""

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
"""Another value in the process of a test shows in a kernel only if code came from there."""


@dataclass(frozen=True)
class Number:
    """A unit of work: a number, after how many seconds, with how much CPU, and a folder to note it in."""

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
    """Keep a core busy for some CPU seconds."""
    ends = time.thread_time() + unit.seconds
    while time.thread_time() < ends:
        pass
    return 0


def fail(unit: Number, _: Task) -> int:
    """Return the number, noted in a folder; an odd one is an error of ours, zero is none of ours."""
    time.sleep(unit.seconds)
    if unit.folder is not None:
        Path(unit.folder, f"{unit.number}").touch()
    if unit.number % 2:
        message = f"{unit.number} is odd"
        raise BadInputError(message)
    return 1 // unit.number


def fail_with_unit(unit: Number, _: Task) -> int:
    """Fail with the unit in the error's text: an error of ours for an odd number, else another one."""
    message = f"{unit} and {unit!r}"
    raise BadInputError(message) if unit.number % 2 else ValueError(message)


def tell_place(_unit: Number, _task: Task) -> str:
    """Return what this module says where the kernel runs."""
    return PLACE


def look_around(unit: Number, task: Task) -> dict[str, Any]:
    """Leave a file in the scratch folder, and return what there was, and what the task may use."""
    before = [path.name for path in task.scratch.iterdir()]
    (task.scratch / "file").write_text(str(unit.number), encoding="utf-8")
    with task.database() as database:
        names = ("threads", "memory_limit", "temp_directory")
        settings = {name: database.execute("select current_setting(?)", [name]).fetchone() for name in names}
    return {"scratch": str(task.scratch), "before": before, "memory_mb": task.memory_mb, **settings}


def split(unit: Number, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send the numbers below the unit's to three keys, in a table each; then fail, if the unit says so."""
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
    """Return the key, how many tables came, and the sum of their numbers times a factor."""
    listed = list(tables)
    if parameters.fails == key:
        message = f"reducer {key} failed"
        raise BadInputError(message)
    return key, len(listed), parameters.factor * sum(sum(table["number"].to_pylist()) for table in listed)


def blocks(unit: Number, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send one table of 400,000 bytes to either of two keys."""
    for key in (0, 1):
        yield key, pa.table({"number": pa.array([unit.number] * 50_000, pa.int64())})


def add_and_look(_: int, tables: Iterable[pa.Table], _parameters: Sum, task: Task) -> tuple[int, int]:
    """Return the sum of the numbers, and how many files of the shuffle there are."""
    files = len(list(Path(task.scratch).parent.glob("marquee-shuffle-*/*.arrow")))
    return sum(sum(table["number"].to_pylist()) for table in tables), files


class Holder:
    """Has a method, which is no kernel."""

    @staticmethod
    def double(unit: Number, _: Task) -> int:
        """Return twice the number."""
        return 2 * unit.number
