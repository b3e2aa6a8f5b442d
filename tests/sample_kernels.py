"""Kernels for the tests of the engines; Spark's workers import them from here."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from marquee.engine.base import Task, Unit
from marquee.errors import BadInputError, TryAgainError

SECRET = "canary-7ac0"


def double(unit: Unit, _: Task) -> int:
    """Return twice the number, after a while."""
    time.sleep(unit.get("seconds", 0))
    number: int = unit["number"]
    return 2 * number


def burn(unit: Unit, _: Task) -> int:
    """Keep a core busy for some CPU seconds."""
    ends = time.thread_time() + unit["seconds"]
    while time.thread_time() < ends:
        pass
    return 0


def fail(unit: Unit, _: Task) -> int:
    """Return the number, noted in a folder; an odd one is an error of ours, zero is none of ours."""
    time.sleep(unit.get("seconds", 0))
    if "folder" in unit:
        Path(unit["folder"], f"{unit['number']}").touch()
    if unit["number"] % 2:
        message = f"{unit['number']} is odd"
        raise BadInputError(message)
    return 1 // int(unit["number"])


def look_around(unit: Unit, task: Task) -> dict[str, Any]:
    """Leave a file in the scratch folder, and tell what there was, and what the task may use."""
    before = [path.name for path in task.scratch.iterdir()]
    (task.scratch / "file").write_text(str(unit["number"]))
    with task.database() as database:
        names = ("threads", "memory_limit", "temp_directory")
        settings = {name: database.execute("select current_setting(?)", [name]).fetchone() for name in names}
    return {"scratch": str(task.scratch), "before": before, "memory_mb": task.memory_mb, **settings}


def split(unit: Unit, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send the numbers below the unit's to three keys, in a table each; two odd units fail."""
    numbers = range(unit["number"])
    for key in (2, 0, 1):
        yield key, pa.table({"number": [number for number in numbers if number % 3 == key]})
    if unit.get("fails"):
        message = f"mapper {unit['number']} failed"
        raise TryAgainError(message)


def nothing(_unit: Unit, _task: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send no table."""
    yield from ()


def add(key: int, tables: Iterable[pa.Table], parameters: Unit, _: Task) -> tuple[int, int, int]:
    """Return the key, how many tables came, and the sum of their numbers times a factor."""
    listed = list(tables)
    if parameters.get("fails") == key:
        message = f"reducer {key} failed"
        raise BadInputError(message)
    return key, len(listed), parameters["factor"] * sum(sum(table["number"].to_pylist()) for table in listed)


def blocks(unit: Unit, _: Task) -> Iterator[tuple[int, pa.Table]]:
    """Send one table of 400,000 bytes to either of two keys."""
    for key in (0, 1):
        yield key, pa.table({"number": pa.array([unit["number"]] * 50_000, pa.int64())})


def add_and_look(_: int, tables: Iterable[pa.Table], _parameters: Unit, task: Task) -> tuple[int, int]:
    """Return the sum of the numbers, and how many files of the shuffle there are."""
    files = len(list(Path(task.scratch).parent.glob("marquee-shuffle-*/*.arrow")))
    return sum(sum(table["number"].to_pylist()) for table in tables), files
