"""A machine's clock that is a day behind or ahead delays or repeats work, and changes no result."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from tests.faults.crashing import observe_lake, without_generations
from tests.small_world import CASE, DAY, WINTER, SmallWorld

NOON, LATER = datetime(2026, 1, 5, 12, 30, tzinfo=UTC), datetime(2026, 1, 7, tzinfo=UTC)
FIRST, LAST = [("ann", 1, WINTER), ("bob", 2, CASE)], [("cid", 59, CASE)]


def world_at(folder: Path) -> SmallWorld:
    """Return a world whose hour 10 is complete, and whose hour 12 has only its first file at half past."""
    world = SmallWorld(folder)
    world.configure("http://127.0.0.1:9")
    world.events(f"{DAY}T10", FIRST)
    world.events(f"{DAY}T12", FIRST)
    return world


def end(world: SmallWorld) -> dict[str, object]:
    """Let the rest of hour 12 arrive, run with the right clock, and return the lake without generations."""
    world.events(f"{DAY}T12", LAST, file=1)
    with time_machine.travel(LATER):
        assert world.run("rollup", "profile") == 0
    return without_generations(observe_lake(world.lake))


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, object]:
    """The lake of a run in one go, with the right clock."""
    return end(world_at(tmp_path / "expected"))


def test_clock_a_day_behind_makes_nothing(tmp_path: Path, expected: dict[str, object]) -> None:
    """For a clock that is a day behind, no hour is over: nothing is published, and the right clock makes all."""
    world = world_at(tmp_path / "world")
    with time_machine.travel("2026-01-04T12:30:00Z"):
        assert world.run("rollup", "profile") == 0
    assert world.markers() == {}
    assert end(world) == expected


def test_clock_a_day_ahead_is_corrected_by_late_files(tmp_path: Path, expected: dict[str, object]) -> None:
    """For a clock that is a day ahead, the current hour is over: it is published early, and restated by later files."""
    world = world_at(tmp_path / "world")
    with time_machine.travel("2026-01-06T12:30:00Z"):
        assert world.run("rollup", "profile") == 0
    assert world.markers()[f"rollup/{DAY}T12"].counts["rows_out"] == 2
    with time_machine.travel(NOON):
        assert world.run("rollup", "profile") == 0
    assert end(world) == expected
    assert world.generations()[f"rollup/{DAY}T12"] == 2
