"""The whole pipeline, killed after calls to the store and run again, gives the same lake and the same mart.

A run of everything makes about a hundred calls, and testing them all would take minutes. So every write is tested for
runs that make one period of one stage: between two writes nothing changes. For runs of everything, including the load
of the mart, which writes elsewhere, every n-th call is tested, always the same ones.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marquee.calendar import Period
from marquee.lake.keys import success_key
from tests.faults.crashing import WRITES, crash_everywhere, observe_lake
from tests.helpers_mart import content
from tests.schedule_service import ScheduleService
from tests.small_world import CASE, DAY, WINTER, SmallWorld, told_service

RUN_ID = re.compile(r"\d{8}T\d+-[0-9a-f]{8}")
HOUR, LAST_HOUR = "2026-01-05T10", "2026-01-05T12"


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service, at one address for all worlds because markers contain it."""
    with told_service() as running:
        yield running


@pytest.fixture(scope="module")
def fresh(service: ScheduleService, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A lake before any run, with three hours of raw events: one without events, one with a bad line."""
    world = SmallWorld(tmp_path_factory.mktemp("fresh"))
    world.configure(service.url)
    world.events(HOUR, [("ann", minute, WINTER) for minute in range(3)] + [("bob", 7, CASE)])
    world.events(LAST_HOUR, [("ann", minute, CASE) for minute in range(3)], bad_lines=1)
    return world


@pytest.fixture(scope="module")
def done(fresh: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """The same lake after a full run."""
    world = fresh.copy(tmp_path_factory.mktemp("done") / "world")
    assert world.run() == 0
    return world


@pytest.fixture(scope="module")
def restated(done: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """The finished lake with a late file of a new viewer."""
    world = done.copy(tmp_path_factory.mktemp("restated") / "world")
    world.events(HOUR, [("cid", 5, CASE)], file=1)
    return world


def lake_of(world: SmallWorld) -> object:
    """Return the lake without fields that differ from run to run."""
    return observe_lake(world.lake)


def lake_and_kiosk_of(world: SmallWorld) -> object:
    """Return the lake and all rows of the mart without fields that differ from run to run."""
    kiosk = {name: [tuple(_plain(cell) for cell in row) for row in rows] for name, rows in content(world.kiosk).items()}
    return observe_lake(world.lake), kiosk


def _plain(cell: object) -> object:
    return RUN_ID.sub("RUN", cell) if isinstance(cell, str) else cell


def copies(world: SmallWorld, folder: Path) -> Callable[[], SmallWorld]:
    """Return a function that copies a world, each time into a folder of its own."""
    numbers = itertools.count(1)
    return lambda: world.copy(folder / str(next(numbers)))


@pytest.mark.parametrize(
    ("command", "stage", "period"),
    [
        pytest.param("schedule-fetch", "schedule_fetch", DAY, id="a captured day"),
        pytest.param("rollup", "rollup", LAST_HOUR, id="an hour"),
        pytest.param("profile", "profile", DAY, id="a profiled day"),
        pytest.param("profile", "audience", "2026-W02", id="the audience of a week"),
    ],
)
def test_one_period_killed_at_every_write(
    done: SmallWorld, tmp_path: Path, command: str, stage: str, period: str
) -> None:
    """A run for a period whose marker was deleted makes it again, also after being killed after any write."""
    world = done.copy(tmp_path / "first")
    world.lake.delete(success_key(stage, Period.parse(period)))
    make = copies(world, tmp_path)
    writes = crash_everywhere(make, lambda copy: copy.run(command), lake_of, calls=WRITES, sides=["after"])
    objects = done.markers()[f"{stage}/{period}"].outputs
    # The marker, the clearing of a failure, and the trace of the run, twice; of hours, also the list of pending ones,
    # and its deletion.
    assert writes == len(objects) + (6 if stage == "rollup" else 4)


@pytest.mark.parametrize("history", ["fresh", "restated"])
def test_everything_killed_here_and_there(request: pytest.FixtureRequest, tmp_path: Path, history: str) -> None:
    """A full run killed at sampled calls reaches the same end, both for a new lake and after a late file."""
    make = copies(request.getfixturevalue(history), tmp_path)
    calls = crash_everywhere(make, SmallWorld.run, lake_and_kiosk_of, every=31, sides=["after"])
    assert calls > 2 * 31
