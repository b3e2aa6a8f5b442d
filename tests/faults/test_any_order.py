"""Whatever happens to a lake, and in whatever order: once it is left alone, its bytes are those of one undisturbed run.

Hypothesis chooses the events: runs, crashes at any call, twin and stale runs, late, replaced and deleted raw files,
damaged markers, and periods at which the process dies. What may differ is the number of the generation, which counts
the runs.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from jobs.registry import PROFILE, ROLLUP
from jobs.rollup import reduce
from marquee.calendar import EVER, Period
from marquee.errors import CorruptLakeError
from marquee.lake.keys import success_key
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from tests.faults.crashing import STORE_CALLS, CrashPoint, Killed, Side, observe_lake, without_generations
from tests.small_world import CASE, DAY, WINTER, Play, SmallWorld

HOURS = [f"{DAY}T{hour}" for hour in (10, 11, 12)]
NEXT_DAY = "2026-01-06T00"
EXAMPLES, STEPS = int(os.environ.get("EXAMPLES", "12")), 8
RUNS_TO_QUIESCENCE = 8

hours = st.sampled_from([*HOURS, NEXT_DAY])
plays = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "cid"]), st.integers(0, 59), st.sampled_from([WINTER, CASE])),
    min_size=1,
    max_size=3,
)
calls = st.integers(1, 60)
"""A run of everything makes about as many calls to the store."""


class AnyOrder(RuleBasedStateMachine):
    """A lake of a few hours in two days, and what may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = new_world(Path(self.folder.name) / "world")
        self.files: dict[tuple[str, int], list[Play]] = {}
        """All raw files that count, also those that retention has deleted since."""
        self.expired: set[str] = set()
        self.damaged: set[str] = set()

    @initialize(first=plays, last=plays)
    def begin(self, first: list[Play], last: list[Play]) -> None:
        """There are events in the first and in the last hour."""
        self.write(HOURS[0], 0, first)
        self.write(NEXT_DAY, 0, last)

    @rule()
    def run(self) -> None:
        """The pipeline runs."""
        run(self.world)

    @rule(at=calls, side=st.sampled_from(["before", "after"]))
    def crash(self, at: int, side: Side) -> None:
        """The process dies at a call."""
        with CrashPoint(STORE_CALLS, at, side).in_force(), contextlib.suppress(Killed):
            run(self.world)

    @rule(at=calls)
    def twin_run(self, at: int) -> None:
        """At a call of a run, another one runs from beginning to end."""
        with at_call(at, lambda: run(self.world)):
            run(self.world)

    @rule(hour=hours, added=plays)
    def stale_run(self, hour: str, added: list[Play]) -> None:
        """A run that has read its markers is frozen, until a late file has come and another run has published it."""
        markers = Markers(self.world.lake)
        for stage in ("rollup", "profile", "audience"):
            read_all(markers, stage)
        self.late_file(hour, added)
        run(self.world)
        run(self.world, markers)

    @rule(hour=hours, added=plays)
    def late_file(self, hour: str, added: list[Play]) -> None:
        """A file arrives for an hour whose raw files are still there."""
        if hour not in self.expired:
            self.write(hour, 1 + max((number for at, number in self.files if at == hour), default=-1), added)

    @rule(data=st.data(), changed=plays)
    def replaced_file(self, data: st.DataObject, changed: list[Play]) -> None:
        """A file is replaced by one of other plays."""
        there = sorted(key for key in self.files if key[0] not in self.expired)
        if there:
            self.write(*data.draw(st.sampled_from(there)), changed)

    @rule(hour=hours)
    def deleted_raw(self, hour: str) -> None:
        """Retention deletes the raw files of an hour that is done."""
        if any(at == hour for at, _ in self.files) and hour not in self.expired:
            self.settle()
            self.expired.add(hour)
            for info in list(self.world.raw.list(folder_of(hour))):
                self.world.raw.delete(info.key)

    @rule(stage=st.sampled_from(["rollup", "profile", "audience"]), hour=hours)
    def damaged_marker(self, stage: str, hour: str) -> None:
        """A marker is overwritten with half a text, of an hour whose raw files are there or of a day."""
        period = Period.parse(hour if stage == "rollup" else hour[:10])
        key = success_key(stage, period)
        if self.world.lake.head(key) and not (stage == "rollup" and hour in self.expired):
            self.world.lake.put(key, b'{"stage": "roll')
            self.damaged.add(key)

    @rule(hour=hours)
    def poison(self, hour: str) -> None:
        """The process dies twice at an hour, whatever else it does."""
        for _ in range(2):
            with dying_at(hour), contextlib.suppress(Killed):
                run(self.world)

    def teardown(self) -> None:
        """Leave the lake alone; compare it with a lake that was made in one go from all files."""
        try:
            self.settle()
            other = new_world(Path(self.folder.name) / "other")
            for (hour, number), listed in self.files.items():
                other.events(hour, listed, file=number)
            assert run(other) == 0
            assert without_generations(observe_lake(self.world.lake)) == without_generations(observe_lake(other.lake))
        finally:
            self.folder.cleanup()

    def write(self, hour: str, number: int, listed: list[Play]) -> None:
        """Write a raw file."""
        self.files[hour, number] = listed
        self.world.events(hour, listed, file=number)

    def settle(self) -> None:
        """Delete damaged markers, as their messages say, and run until a run has nothing to do."""
        for key in self.damaged:
            if self.world.lake.head(key) and not is_marker(self.world.lake.get(key), key):
                self.world.lake.delete(key)
        self.damaged.clear()
        codes = []
        for _ in range(RUNS_TO_QUIESCENCE):
            before = generations(self.world)
            codes.append(run(self.world))
            if codes[-1] == 0 and generations(self.world) == before:
                return
        message = f"runs ended with {codes}, and the last one still had something to do"
        raise AssertionError(message)


def test_any_order_ends_in_the_same_bytes() -> None:
    """After anything in any order, the lake has the bytes of a run in one go."""
    budget = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=[Phase.explicit, Phase.generate],
    )
    run_state_machine_as_test(AnyOrder, settings=budget)


def new_world(folder: Path) -> SmallWorld:
    """Return a world without events; nothing here fetches a schedule."""
    world = SmallWorld(folder)
    world.configure("http://127.0.0.1:9")
    return world


def run(world: SmallWorld, markers: Markers | None = None) -> int:
    """Run rollup and profile; with markers that an earlier moment has read, if they are given."""
    if markers is None:
        return world.run("rollup", "profile")
    codes = []
    with mock.patch.dict(os.environ, MARQUEE_CONFIG=str(world.config)):
        for job in (ROLLUP, PROFILE):
            outcome = job.run(load_settings(job.settings), markers, EVER, force=False, advance=lambda *_: None)
            codes.append(outcome.exit_code)
    return max(codes)


def read_all(markers: Markers, stage: str) -> None:
    """Read a stage's markers into the cache."""
    with contextlib.suppress(CorruptLakeError):
        markers.of(stage)


def folder_of(hour: str) -> str:
    """Return the folder of an hour's raw files."""
    return f"topics/plays/{Period.parse(hour).start:year=%Y/month=%m/day=%d/hour=%H}/"


def generations(world: SmallWorld) -> dict[str, str]:
    """Return the run of each published period."""
    return {name: marker.run_id for name, marker in world.markers().items()}


def is_marker(data: bytes, key: str) -> bool:
    """Return whether an object can be read as a success marker."""
    try:
        Marker.from_json(data, key, "")
    except CorruptLakeError:
        return False
    return True


@contextmanager
def at_call(number: int, do: Callable[[], object]) -> Iterator[None]:
    """Do something once, at the n-th call to a store."""
    point = CrashPoint(STORE_CALLS, number)
    real = point._is_ours

    def is_ours(name: str) -> bool:
        if point.died_at is None and real(name):
            do()
        return False

    with mock.patch.object(point, "_is_ours", is_ours), point.in_force():
        yield


@contextmanager
def dying_at(hour: str) -> Iterator[None]:
    """Let the process die where it finishes an hour."""
    real = reduce.finish_hour

    def finish(store: Any, prefix: str, *more: Any) -> Any:
        if hour in prefix:
            raise Killed
        return real(store, prefix, *more)

    with mock.patch.object(reduce, "finish_hour", finish):
        yield
