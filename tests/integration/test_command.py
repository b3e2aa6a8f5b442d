"""Stages as processes, started like in their images."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedule_service import ScheduleService, silence
from tests.small_world import CASE, DAY, SmallWorld, tell_schedule, told_service

STAGES = ["schedule_fetch", "rollup", "profile", "mart_load"]


@pytest.fixture
def service() -> Iterator[ScheduleService]:
    """A schedule service."""
    with told_service() as running:
        yield running


@pytest.fixture
def world(service: ScheduleService, tmp_path: Path) -> SmallWorld:
    """One hour of events."""
    made = SmallWorld(tmp_path)
    made.configure(service.url)
    made.events(f"{DAY}T10", [("ann", 1, CASE)])
    return made


def environment_of(world: SmallWorld) -> dict[str, str]:
    """Return the environment variables of a process in a world."""
    return os.environ | {"MARQUEE_CONFIG": str(world.config)}


def test_stages_run_as_modules(world: SmallWorld) -> None:
    """All stages run in sequence as modules: exit code 0, JSON logs on standard error, nothing on standard output."""
    for name, made in zip(STAGES, [1, 1, 5, 6], strict=True):
        command = [sys.executable, "-m", f"jobs.{name}", DAY]
        done = subprocess.run(command, env=environment_of(world), check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        *_, last = map(json.loads, done.stderr.splitlines())
        assert last["message"] == f"{name}: {made} made"
    assert world.kiosk.exists()


@pytest.mark.parametrize(
    ("sent", "code"), [pytest.param(signal.SIGTERM, 143, id="SIGTERM"), pytest.param(signal.SIGINT, 130, id="Ctrl-C")]
)
def test_ended_by_a_signal_no_marker_is_written(
    world: SmallWorld, service: ScheduleService, sent: signal.Signals, code: int
) -> None:
    """A stage that a signal ends within a period writes no marker, and the next run makes the period."""
    service.tell(f"/schedule?country=KR&date={DAY}", silence())
    command = [sys.executable, "-m", "jobs.schedule_fetch"]
    process = subprocess.Popen(command, env=environment_of(world), stderr=subprocess.DEVNULL)
    try:
        while not service.asked:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(sent)
        assert process.wait(30) == code
    finally:
        process.kill()
        process.wait()
    assert list(world.lake.list()) == []
    tell_schedule(service)
    assert world.run("schedule-fetch") == 0
    assert world.generations() == {f"schedule_fetch/{DAY}": 1}
