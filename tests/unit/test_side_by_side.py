"""Periods that do not depend on each other are made side by side, and fail apart."""

import threading
from pathlib import Path

import pytest

from marquee.calendar import Period, hour
from marquee.engine.base import count_elsewhere
from marquee.errors import EngineGoneError
from marquee.lake.manifest import Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Target, run_stage
from marquee.storage.local import LocalStore
from tests.sample_stages import WordsStage

HOURS = [hour(f"2026-01-05T{number:02}") for number in range(6)]


class Parallel(WordsStage):
    """A stage of which two hours are made at a time; each waits for another one, and counts how many there are."""

    side_by_side = 2

    def __init__(self, lake: LocalStore, raw: LocalStore) -> None:
        super().__init__(lake, raw)
        self.pair = threading.Barrier(2, timeout=10)
        self.at_work: set[Period] = set()
        self.most = 0
        self.gone: tuple[Period, ...] = ()

    def make(self, target: Target, run: RunContext) -> Result:
        """Count the words together with another hour."""
        self.at_work.add(target.period)
        self.pair.wait()
        self.most = max(self.most, len(self.at_work))
        self.pair.wait()
        self.at_work.remove(target.period)
        count_elsewhere(0, 1.0)
        if target.period in self.gone:
            message = "Spark has stopped"
            raise EngineGoneError(message)
        return super().make(target, run)


@pytest.fixture
def raw(tmp_path: Path) -> LocalStore:
    """A store with a file for each of six hours."""
    store = LocalStore(tmp_path / "raw")
    for one in HOURS:
        store.put(f"{one}/file", b"a b\n")
    return store


def test_two_periods_are_made_at_a_time(lake: LocalStore, raw: LocalStore) -> None:
    """Each hour meets another one, never more than two are at work, and each counts its own CPU time alone."""
    stage, markers = Parallel(lake, raw), Markers(lake)
    report = run_stage(stage, markers)
    assert (report.changed, report.failures, stage.most) == (6, 0, 2)
    made = Markers(lake).of("words")
    assert sorted(made) == HOURS
    assert all(1 <= (one.cpu_seconds or 0) < 1.9 for one in made.values())  # a task of a second elsewhere, each


def test_periods_side_by_side_fail_apart(lake: LocalStore, raw: LocalStore) -> None:
    """A failed hour has its marker and its exit code, and all others are made."""
    raw.put(f"{HOURS[2]}/file", b"bad!\n")
    report = run_stage(Parallel(lake, raw), Markers(lake))
    assert (report.changed, report.failed) == (5, ((HOURS[2], 65),))
    assert list(Markers(lake).failures("words")) == [HOURS[2]]


def test_no_period_begins_after_spark_has_stopped(lake: LocalStore, raw: LocalStore) -> None:
    """When Spark has stopped under two hours, no other one begins, no hour is blamed, and nothing remains of them."""
    stage = Parallel(lake, raw)
    stage.gone = HOURS[0], HOURS[1]
    with pytest.raises(EngineGoneError, match="Spark has stopped"):
        run_stage(stage, Markers(lake))
    markers = Markers(lake)
    assert (markers.of("words"), markers.failures("words"), list(lake.list())) == ({}, {}, [])
