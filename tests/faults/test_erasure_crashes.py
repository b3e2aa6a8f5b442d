"""Runs that erase a viewer, killed after their writes and run again: the lake is the same in the end."""

import itertools
from pathlib import Path

import pytest

from tests.faults.crashing import WRITES, crash_everywhere, observe_lake, world_of_two
from tests.small_world import SmallWorld


@pytest.fixture
def asked(tmp_path: Path) -> SmallWorld:
    """A finished lake of two viewers, with a request to erase one; the raw events of one of its two hours are gone."""
    world = world_of_two(tmp_path / "asked")
    (gone,) = (info.key for info in world.raw.list() if "hour=10" in info.key)
    world.raw.delete(gone)
    return world


def erase(world: SmallWorld) -> int:
    """Run the stages that hold viewers."""
    return world.run("rollup", "profile")


def test_erasure_killed_at_writes_ends_the_same(asked: SmallWorld, tmp_path: Path) -> None:
    """Killed after every fifth write and run again, the stages erase the viewer from hours, the day and audiences."""
    numbers = itertools.count(1)
    writes = crash_everywhere(
        lambda: asked.copy(tmp_path / str(next(numbers))),
        erase,
        lambda world: observe_lake(world.lake),
        calls=WRITES,
        every=5,
        sides=["after"],
    )
    assert writes > 30  # two hours, a day, and four audiences
