"""Retention of what nothing is made from: the schedule as served, and objects of superseded runs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.cli.__main__ import main
from jobs.retain.command import retain
from jobs.retain.settings import RetainSettings
from marquee.settings.loading import load_settings
from tests.small_world import CASE, DAY, SmallWorld, finished_world, told_service


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallWorld]:
    """A finished world whose settings are in force, with a captured day of schedule."""
    with told_service() as service:
        made = finished_world(tmp_path / "world", service)
        monkeypatch.setenv("MARQUEE_CONFIG", str(made.config))
        yield made


def end(today: datetime, **days: int) -> None:
    """Carry out the plans of a day with these days of retention."""
    retain(load_settings(RetainSettings, retention=days), today, lambda *_: None)


def stored(world: SmallWorld, text: str) -> set[str]:
    """Return the objects of the lake whose keys contain a text."""
    return {info.key for info in world.lake.list("data/") if text in info.key}


def test_schedule_as_served_ends_and_its_tables_stay(world: SmallWorld) -> None:
    """The answers as served end seven days after the end of their day; the capture stands and is whole."""
    served, tables = stored(world, "/payload"), stored(world, "/shows")
    assert served
    day = datetime.fromisoformat(DAY).replace(tzinfo=UTC)
    end(day + timedelta(days=7), schedule_raw_days=7)
    assert stored(world, "/payload") == served
    end(day + timedelta(days=8), schedule_raw_days=7)
    assert stored(world, "/payload") == set()
    assert stored(world, "/shows") == tables
    generations = world.generations()
    assert world.run() == 0
    assert world.generations() == generations
    assert main(["verify"]) == 0


def test_objects_of_superseded_runs_end(world: SmallWorld) -> None:
    """A week after a late file has made an hour again, the objects of the first run end; the published ones stay."""
    first = stored(world, f"rollup/{DAY}T10/")
    world.events(f"{DAY}T10", [("bob", 7, CASE)], file=5)
    assert world.run("rollup", "profile") == 0
    now = datetime.now(UTC)
    end(now + timedelta(days=6), superseded_days=7)
    assert first <= stored(world, f"rollup/{DAY}T10/")
    end(now + timedelta(days=8), superseded_days=7)
    assert stored(world, f"rollup/{DAY}T10/") == {one.key for one in world.markers()[f"rollup/{DAY}T10"].outputs}
    assert main(["verify"]) == 0
