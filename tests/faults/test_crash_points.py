"""A lake whose runs are killed at any moment and repeated has the same markers and bytes as an undisturbed one."""

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from marquee.calendar import hour
from marquee.lake.garbage import collect, plan_garbage
from marquee.lake.keys import success_key
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.local import LocalStore
from tests.faults.crashing import (
    FAR_FUTURE,
    FILE_CALLS,
    STORE_CALLS,
    Calls,
    CrashPoint,
    Killed,
    crash_everywhere,
    observe_lake,
)
from tests.sample_stages import Ticking, TotalsStage, WordsStage

ONE, TWO, THREE = (hour(f"2026-01-05T{number}") for number in (13, 14, 15))


@dataclass(frozen=True)
class World:
    """A lake and its raw files."""

    lake: LocalStore
    raw: LocalStore

    def files(self, **texts: str) -> None:
        """Write raw files: ``one="a b"`` is a file of hour ONE."""
        for name, text in texts.items():
            period = {"one": ONE, "two": TWO, "three": THREE}[name]
            self.raw.put(f"{period}/file", text.encode())


def first_files(world: World) -> None:
    """Before the first run: one hour is good, one is bad input, and one crashes its stage half-way through."""
    world.files(one="a b", two="bad!", three="c boom!")


def changed_files(world: World) -> None:
    """After one run: one hour has a changed word, the bad one is mended, and the third, which was good, is bad."""
    world.files(one="a b", two="bad!", three="c")
    run(world)
    world.files(one="a b a", two="d", three="bad!")


def nothing_changed(world: World) -> None:
    """After a run with a restatement that left garbage: there is nothing to do."""
    changed_files(world)
    run(world)


def run(world: World) -> None:
    """Run both stages like one process does."""
    markers = Markers(world.lake)
    run_stage(WordsStage(world.lake, world.raw), markers, clock=Ticking())
    run_stage(TotalsStage(markers), markers, clock=Ticking())


def collect_all(world: World) -> None:
    """Delete the garbage."""
    collect(world.lake, plan_garbage(world.lake, Markers(world.lake), FAR_FUTURE, timedelta(0)))


MakeWorlds = Callable[[Callable[[World], None]], Callable[[], World]]


@pytest.fixture
def make_worlds(tmp_path: Path) -> MakeWorlds:
    """Return a function that makes new worlds with the given history, each in folders of its own."""
    numbers = itertools.count(1)

    def worlds(history: Callable[[World], None]) -> Callable[[], World]:
        first = tmp_path / history.__name__
        history(World(LocalStore(first / "lake"), LocalStore(first / "raw")))

        def make() -> World:
            folder = tmp_path / str(next(numbers))
            if first.exists():  # without files there is nothing to copy
                shutil.copytree(first, folder)  # keeps the times of files, which identify objects
            return World(LocalStore(folder / "lake"), LocalStore(folder / "raw"))

        return make

    return worlds


@pytest.mark.parametrize(
    ("history", "calls"),
    [
        pytest.param(first_files, STORE_CALLS, id="first run"),
        pytest.param(changed_files, STORE_CALLS, id="restatement"),
        pytest.param(nothing_changed, STORE_CALLS, id="nothing to do"),
        pytest.param(changed_files, FILE_CALLS, id="restatement, inside of the store"),
    ],
)
def test_killed_and_run_again_ends_the_same(
    make_worlds: MakeWorlds, history: Callable[[World], None], calls: Calls
) -> None:
    """Two stages with good and bad periods reach the same end after being killed before or after any call."""
    crash_everywhere(make_worlds(history), run, lambda world: observe_lake(world.lake), calls=calls)


def test_garbage_collection_may_be_killed(make_worlds: MakeWorlds) -> None:
    """A killed garbage collection keeps every listed object, and the next collection deletes the rest."""
    make = make_worlds(nothing_changed)
    lake = make().lake
    plan = plan_garbage(lake, Markers(lake), FAR_FUTURE, timedelta(0))
    assert [one.objects for one in plan] == [1, 2]  # of the first totals, and of the first words of hour ONE
    crash_everywhere(make, collect_all, lambda world: observe_lake(world.lake))


# Preconditions of the tests above


def test_observing_tells_what_has_to_be_the_same(make_worlds: MakeWorlds) -> None:
    """Runs of the same files look the same; a changed word, another generation or an extra object look different."""
    make = make_worlds(first_files)
    worlds = [make() for _ in range(5)]
    for world in worlds:
        run(world)
    same, again, word, generation, more = worlds
    word.files(one="a c")
    run(word)
    run_stage(WordsStage(generation.lake, generation.raw), Markers(generation.lake), force=True, clock=Ticking())
    more.lake.put("data/stray", b"x")
    seen = observe_lake(same.lake)
    assert observe_lake(again.lake) == seen
    assert [observe_lake(world.lake) == seen for world in (word, generation, more)] == [False] * 3
    # Hour one with its two objects, the failures of the others, and the day with its one object.
    assert sorted(key.split("/")[0] for key in seen) == ["data"] * 3 + ["markers"] * 4


@pytest.mark.parametrize(("side", "landed"), [("before", False), ("after", True)])
def test_crash_point_kills_for_good(lake: LocalStore, side: str, landed: bool) -> None:
    """A crash point before a call prevents it, one after a call lets it happen, and no later call is made."""
    point = CrashPoint(STORE_CALLS, 2, side)  # type: ignore[arg-type]
    with point.in_force():
        lake.put("a", b"1")
        with pytest.raises(Killed):
            lake.put_if_absent("b", b"2")
        with pytest.raises(Killed):
            lake.put("c", b"3")
    assert (lake.head("a") is not None, lake.head("b") is not None, lake.head("c")) == (True, landed, None)
    assert (point.count, point.died_at) == (2, "put_if_absent('b',)")


def test_a_run_that_does_not_recover_is_found(make_worlds: MakeWorlds) -> None:
    """The harness detects a run that publishes its marker before its object and trusts that marker later."""

    def careless(world: World) -> None:
        if world.lake.head(success_key("words", ONE)) is None:
            world.lake.put_if_absent(success_key("words", ONE), b'{"run_id": "x"}')
            world.lake.put("stray", b"x")

    def observe(world: World) -> list[str]:
        return [info.key for info in world.lake.list()]

    with pytest.raises(AssertionError, match=r"killed after call 2, put_if_absent"):
        crash_everywhere(make_worlds(lambda _: None), careless, observe)
