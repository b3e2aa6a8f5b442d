"""Runs that erase a viewer, killed after their writes and run again: the lake is the same in the end."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.rollup.viewer import viewer_of
from marquee.lake import keys
from marquee.lake.erasures import Request, write_request
from tests.faults.crashing import STORE_CALLS, crash_everywhere, observe_lake
from tests.small_world import CASE, DAY, KEY, WINTER, SmallWorld, told_service

WRITES = [(store, name) for store, name in STORE_CALLS if name.startswith("put") or name == "delete"]


@pytest.fixture
def asked(tmp_path: Path) -> SmallWorld:
    """A finished lake of two viewers, with a request to erase one; the raw events of one of its two hours are gone."""
    with told_service() as service:
        world = SmallWorld(tmp_path / "asked")
        world.configure(service.url)
        for hour in (10, 11):
            world.events(f"{DAY}T{hour}", [("ann", minute, WINTER) for minute in range(3)] + [("eve", 7, CASE)])
        assert world.run() == 0
    (gone,) = (info.key for info in world.raw.list() if "hour=10" in info.key)
    world.raw.delete(gone)
    request = Request((viewer_of((KEY.encode(),), "eve"),))
    write_request(world.lake, request, keys.new_run_id(datetime(2026, 1, 6, tzinfo=UTC)))
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
