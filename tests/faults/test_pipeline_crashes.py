"""The whole pipeline, killed before and after calls to the store and run again: the same lake, the same kiosk.

A run of everything makes about a hundred calls, and to try them all on both sides would take minutes. So every call is
tried of a run that has one period of one stage to make; of runs of everything, and of the kiosk's, each so many calls,
always the same ones.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.common.calendar import Period
from jobs.common.lake import success_key
from tests.faults.crashing import crash_everywhere, observe_lake
from tests.helpers_mart import content
from tests.schedule_service import ScheduleService, schedule_service
from tests.small_world import CASE, DAY, WINTER, SmallWorld, tell_schedule

RUN_ID = re.compile(r"\d{8}T\d+-[0-9a-f]{8}")
HOUR, LAST_HOUR = "2026-01-05T10", "2026-01-05T12"


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service, at one address for all worlds: it stands in the markers."""
    with schedule_service() as running:
        tell_schedule(running)
        yield running


@pytest.fixture(scope="module")
def fresh(service: ScheduleService, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """Three hours, of which one has no events and one a bad line; nothing has run."""
    world = SmallWorld(tmp_path_factory.mktemp("fresh"))
    world.configure(service.url)
    world.events(HOUR, [("ann", minute, WINTER) for minute in range(3)] + [("bob", 7, CASE)])
    world.events(LAST_HOUR, [("ann", minute, CASE) for minute in range(3)], bad_lines=1)
    return world


@pytest.fixture(scope="module")
def done(fresh: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """All has run."""
    world = fresh.copy(tmp_path_factory.mktemp("done") / "world")
    assert world.run() == 0
    return world


@pytest.fixture(scope="module")
def restated(done: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """All has run; since then a file has come late, with a viewer who was never seen."""
    world = done.copy(tmp_path_factory.mktemp("restated") / "world")
    world.events(HOUR, [("cid", 5, CASE)], file=1)
    return world


def observe(world: SmallWorld) -> object:
    """Return what is the same in the end however often it was killed: all but run ids and times."""
    kiosk = {name: [tuple(_plain(cell) for cell in row) for row in rows] for name, rows in content(world.kiosk).items()}
    return observe_lake(world.lake), kiosk


def _plain(cell: object) -> object:
    return RUN_ID.sub("RUN", cell) if isinstance(cell, str) else cell


def crash(world: SmallWorld, folder: Path, *commands: str, every: int = 1) -> int:
    """Kill these commands, in copies of a world, at every n-th call and on both sides; return how many calls there are."""
    numbers = itertools.count(1)
    return crash_everywhere(
        lambda: world.copy(folder / str(next(numbers))), lambda copy: copy.run(*commands), observe, every=every
    )


@pytest.mark.parametrize(
    ("command", "stage", "period"),
    [
        pytest.param("schedule-fetch", "schedule_fetch", DAY, id="a captured day"),
        pytest.param("rollup", "rollup", HOUR, id="an hour"),
        pytest.param("profile", "profile", DAY, id="a profiled day"),
        pytest.param("profile", "audience", "2026-W02", id="the audience of a week"),
    ],
)
def test_one_period_killed_at_every_call(
    done: SmallWorld, tmp_path: Path, command: str, stage: str, period: str
) -> None:
    """A period whose marker was deleted is made again, whatever was made of it when the run was killed."""
    world = done.copy(tmp_path / "first")
    world.lake.delete(success_key(stage, Period.parse(period)))
    crash(world, tmp_path, command)


@pytest.mark.parametrize("history", ["fresh", "restated"])
def test_everything_killed_here_and_there(request: pytest.FixtureRequest, tmp_path: Path, history: str) -> None:
    """From the first capture to the kiosk, when nothing has run yet and when a file came late."""
    assert crash(request.getfixturevalue(history), tmp_path, every=31) > 90
