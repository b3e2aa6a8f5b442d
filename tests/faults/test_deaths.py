"""A period at which the process dies stops no other: it is put off, and tried again after all others."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from marquee.calendar import hour
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.storage.local import LocalStore
from tests.schedule_service import schedule_service
from tests.small_world import CASE, DAY, SmallWorld, tell_schedule

ONE, TWO, THREE = (f"2026-01-05T{number}" for number in (13, 14, 15))
TWICE = "the process died twice at this period: native code crashed, the memory was used up, or somebody killed it"


@dataclass(frozen=True)
class Lake:
    """A folder with raw files, a lake and scratch space."""

    folder: Path

    @property
    def store(self) -> LocalStore:
        """The lake."""
        return LocalStore(self.folder / "lake")

    def files(self, **words: str) -> None:
        """Write a raw file for hours: ``one="a b"``."""
        for name, text in words.items():
            period = {"one": ONE, "two": TWO, "three": THREE}[name]
            LocalStore(self.folder / "raw").put(f"{period}/file", text.encode())

    def start(self, *arguments: str, alone: bool = False) -> "subprocess.Popen[str]":
        """Start the stage; ``alone``: as a driver of Spark, which has no parent that starts it again."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "MARQUEE_LAKE": self.store.url,
            "MARQUEE_ENGINE__SCRATCH": str(scratch),
            "MARQUEE_LOG__FORMAT": "json",
        }
        if alone:
            environment["PYSPARK_GATEWAY_PORT"] = "1"
        command = [sys.executable, "-m", "tests.faults.processes", *arguments]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str, alone: bool = False) -> tuple[int, list[str]]:
        """Run the stage; return its exit code and the messages that it logged."""
        process = self.start(*arguments, alone=alone)
        _, errors = process.communicate(timeout=60)
        return process.returncode, [json.loads(line)["message"] for line in errors.splitlines() if line[:1] == "{"]

    def made(self) -> list[str]:
        """Return the periods that are done."""
        return [str(period) for period in sorted(Markers(self.store).of("words"))]

    def reasons(self) -> dict[str, str]:
        """Return why periods failed."""
        return {str(period): one.reason for period, one in Markers(self.store).failures("words").items()}

    def begun(self) -> dict[str, int]:
        """Return the number of deaths of each period."""
        return {str(period): one.died for period, one in Markers(self.store).begun("words").items()}

    def scratch(self) -> list[str]:
        """Return what is left in the scratch folder."""
        return [path.name for path in (self.folder / "scratch").iterdir()]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake(tmp_path)


@pytest.mark.parametrize(("word", "sent"), [("segv!", "SIGSEGV"), ("kill!", "SIGKILL"), ("memory!", "SIGABRT")])
def test_one_run_makes_all_other_periods(lake: Lake, word: str, sent: str) -> None:
    """A run whose process dies at a period starts it again, twice at most, and makes all other periods."""
    lake.files(one="a", two=word, three="b")
    code, log = lake.run()
    assert (code, lake.made()) == (70, [ONE, THREE])
    assert [line.split(" after ")[0] for line in log if line.startswith("the process")] == [
        f"the process died of {sent}"
    ] * 2
    assert log[-1] == "words: 1 made, 1 failed; see the log"
    assert lake.reasons()[TWO].startswith(TWICE)
    assert lake.begun() == {TWO: 2}
    assert lake.scratch() == []


def test_next_run_tries_it_again_after_the_others(lake: Lake) -> None:
    """The next run makes new periods first, dies once at the one put off, and does not try it a second time."""
    lake.files(one="a", two="segv!")
    lake.run()
    lake.files(three="b")
    code, log = lake.run()
    assert (code, lake.made()) == (70, [ONE, THREE])
    steps = [line.split(" after ")[0].split(":")[0] for line in log]
    assert steps[:3] == [f"words {TWO}", f"words {THREE} published", "the process died of SIGSEGV"]
    assert lake.reasons()[TWO].startswith("the process died twice at this period (3 times in all): ")


def test_period_that_no_longer_kills_is_made(lake: Lake) -> None:
    """Once the cause is gone, the next run makes the period, and nothing of its deaths is left."""
    lake.files(one="segv!")
    lake.run()
    lake.files(one="a")
    assert lake.run()[0] == 0
    assert (lake.made(), lake.reasons(), lake.begun()) == ([ONE], {}, {})
    assert lake.store.head(keys.begun_key("words", hour(ONE))) is None


def test_driver_of_spark_is_not_started_again(lake: Lake) -> None:
    """Without a parent each run dies once; the third one makes the other periods first, and then dies again."""
    lake.files(one="segv!", two="a")
    assert lake.run(alone=True)[0] == -signal.SIGSEGV
    assert lake.run(alone=True)[0] == -signal.SIGSEGV
    assert (lake.made(), lake.begun()) == ([], {ONE: 2})
    assert lake.run(alone=True)[0] == -signal.SIGSEGV
    assert (lake.made(), lake.begun()) == ([TWO], {ONE: 3})
    assert lake.reasons()[ONE].startswith(TWICE)
    lake.files(one="b")
    assert lake.run(alone=True)[0] == 0
    assert (lake.made(), lake.reasons(), lake.begun()) == ([ONE, TWO], {}, {})


def test_forced_periods_are_made_once(lake: Lake) -> None:
    """A run with force that is started again does not make its periods a second time."""
    lake.files(one="a", two="b")
    lake.run()
    lake.files(two="segv!")
    assert lake.run("2026-01-05", "--force")[0] == 70
    generations = {str(period): one.generation for period, one in Markers(lake.store).of("words").items()}
    assert generations == {ONE: 2, TWO: 1}


def test_error_between_two_deaths_begins_the_count_anew(lake: Lake) -> None:
    """An error that the stage reports is an end like any other: the deaths before it no longer count."""
    lake.files(one="segv!")
    lake.run(alone=True)
    assert lake.begun() == {ONE: 1}
    lake.files(one="bad!")
    assert lake.run(alone=True)[0] == 65
    assert lake.begun() == {}
    lake.files(one="segv!")
    lake.run(alone=True)
    assert lake.begun() == {ONE: 1}


def test_parent_that_is_killed_takes_its_child_along(lake: Lake) -> None:
    """SIGKILL to the parent ends the child, too, so that nothing works on unseen."""
    lake.files(one="pause!")
    process = lake.start()
    assert process.stderr is not None
    process.stderr.readline()
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    process.kill()
    process.communicate(timeout=10)  # until the child has closed its standard error
    assert not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()


def test_older_versions_pass_over_the_object(lake: Lake) -> None:
    """Versions without this object look for _SUCCESS and _FAILED alone, so they list a lake as if it were not there."""
    lake.files(one="segv!")
    lake.run(alone=True)
    (key,) = [info.key for info in lake.store.list("markers/")]
    assert key == f"markers/words/{ONE}/_BEGUN"
    assert not re.fullmatch(r"markers/[a-z_]+/(?P<period>[^/]+)/(?P<name>_SUCCESS|_FAILED)", key)


@pytest.mark.parametrize("damage", [b"", b"no JSON", b'{"deaths": "many"}', b"[]"])
def test_damaged_object_counts_for_nothing(lake: Lake, damage: bytes) -> None:
    """A damaged object changes no result: the period is made, and the object is deleted."""
    lake.files(one="a")
    lake.store.put(keys.begun_key("words", hour(ONE)), damage)
    assert lake.run()[0] == 0
    assert (lake.made(), list(lake.store.list("markers/words/2026-01-05T13/_BEGUN"))) == ([ONE], [])


KILLING = """
import os, signal, sys
from jobs.cli.__main__ import main
from jobs.rollup import kernel

inner = kernel.split_lines

def split_lines(db, batch, *others):
    if any("T11" in key or "hour=11" in key for key, _ in batch):
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(db, batch, *others)

kernel.split_lines = split_lines
sys.argv[1:] = ["run"]
sys.exit(main())
"""


def test_whole_pipeline_goes_on(tmp_path: Path) -> None:
    """`marquee run` goes on after an hour that kills its process: other hours, the schedule and the mart are made."""
    world = SmallWorld(tmp_path)
    for number in (10, 11):
        world.events(f"{DAY}T{number}", [("ann", 1, CASE)])
    with schedule_service() as service:
        tell_schedule(service)
        world.configure(service.url)
        environment = os.environ | {"MARQUEE_CONFIG": str(world.config)}
        done = subprocess.run(
            [sys.executable, "-c", KILLING], env=environment, check=False, capture_output=True, text=True, timeout=100
        )
    assert done.returncode == 70, done.stderr
    assert done.stderr.count("the process died of SIGKILL") == 2
    made = world.generations()
    assert {name for name in made if "rollup" in name or "schedule" in name} == {
        f"rollup/{DAY}T10",
        f"schedule_fetch/{DAY}",
    }
    assert world.kiosk.exists()
