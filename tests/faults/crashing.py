"""Crash points: die before or after each call in turn, run again, and reach the state of an undisturbed run.

``crash_everywhere`` takes three functions, which know nothing of crashes:

    make_world()     makes a new world each time: folders, inputs, and the history before the run
    run(world)       is killed and then run again; it must reach the same end from wherever it starts
    observe(world)   returns what must be the same in the end; for a lake, ``observe_lake``

Calls are counted in this process alone, in all its threads: on every opened store, or inside of a local one
(``FILE_CALLS``).
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar
from unittest import mock

from jobs.profile.state import STATE
from jobs.rollup.viewer import viewer_of
from marquee.lake.erasures import REPLACED, Request, write_request
from marquee.lake.garbage import collect, plan_garbage
from marquee.lake.keys import new_run_id, run_of
from marquee.lake.markers import Markers
from marquee.lake.superseded import SUPERSEDED
from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from marquee.storage.s3 import S3Store
from tests.small_world import CASE, DAY, KEY, WINTER, SmallWorld, told_service

W = TypeVar("W")
Side = Literal["before", "after"]
Calls = Sequence[tuple[Any, str]]

_STORE = (
    *("get", "get_version", "head", "list", "put", "put_file", "put_if_absent", "put_if_unchanged"),
    *("delete", "fetch", "leftovers", "sweep"),
)
STORE_CALLS: Calls = [(kind, name) for kind in (LocalStore, S3Store) for name in _STORE]
"""Every call to a store."""
WRITES: Calls = [(store, name) for store, name in STORE_CALLS if name.startswith("put") or name == "delete"]
"""Those that write."""

FILE_CALLS: Calls = [
    *((Path, name) for name in ("mkdir", "write_bytes", "replace", "hardlink_to", "unlink", "rmdir")),
    (os, "utime"),
]
"""Calls of a local store to its folder; a killed process leaves the effects of earlier ones."""

FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
_OF_THIS_RUN = {"run_id", "started_at", "finished_at", "failed_at", "cpu_seconds", "etag", "inputs_digest"} | {
    REPLACED,
    SUPERSEDED,
}


class Killed(BaseException):
    """Raised where the process dies; like a signal, no code may catch it."""


class CrashPoint:
    """Counts calls; before or after the given one the process dies, and later calls are not made."""

    def __init__(self, calls: Calls, at: int | None = None, side: Side = "before") -> None:
        self.calls, self.at, self.side = calls, at, side
        self.count = 0
        self.died_at: str | None = None
        self._lock = threading.Lock()
        self._within = threading.local()

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Count, and die, until the end of the block."""
        with contextlib.ExitStack() as stack:
            for owner, name in self.calls:
                original = getattr(owner, name)
                stack.enter_context(mock.patch.object(owner, name, self._counted(original, name)))
            yield

    def _counted(self, original: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            if getattr(self._within, "call", False):  # part of a call that is already counted
                return original(*arguments, **named)
            ours = self._is_ours(f"{name}{arguments[1:2]}")
            if ours and self.side == "before":
                raise Killed
            self._within.call = True
            try:
                result = original(*arguments, **named)
                # A listing is lazy: read it whole, to be able to die after it.
                result = iter(list(result)) if isinstance(result, Iterator) else result
            finally:
                self._within.call = False
            if ours:
                raise Killed
            return result

        return call

    def _is_ours(self, name: str) -> bool:
        with self._lock:
            if self.died_at:
                raise Killed
            self.count += 1
            if self.count == self.at:
                self.died_at = name
            return self.count == self.at


def crash_everywhere(
    make_world: Callable[[], W],
    run: Callable[[W], object],
    observe: Callable[[W], object],
    *,
    calls: Calls = STORE_CALLS,
    every: int = 1,
    sides: Sequence[Side] = ("before", "after"),
) -> int:
    """Kill the run at every call (or every n-th), on both sides, and check the end; return the number of calls.

    If one thread makes the calls, after one and before the next differ only in what is lost in memory.
    """
    clean = CrashPoint(calls)
    world = make_world()
    with clean.in_force():
        run(world)
    assert clean.count, "the run makes none of these calls"
    expected = observe(world)
    for at in range(1, clean.count + 1, every):
        for side in sides:
            _crash_once(make_world(), run, observe, CrashPoint(calls, at, side), expected)
    return clean.count


def _crash_once(
    world: W, run: Callable[[W], object], observe: Callable[[W], object], point: CrashPoint, expected: object
) -> None:
    with point.in_force(), contextlib.suppress(Killed):
        run(world)
    assert point.died_at, f"the run made {point.count} calls and never came to call {point.at}"
    run(world)
    found = observe(world)
    assert found == expected, f"killed {point.side} call {point.at}, {point.died_at}: {found!r} instead of {expected!r}"


def observe_lake(lake: Store) -> dict[str, object]:
    """Collect all garbage, and return the rest by key: markers as fields, other objects as their SHA-256.

    What differs from run to run is left out: run id, times, and the etags of a store.
    """
    collect(lake, plan_garbage(lake, Markers(lake), FAR_FUTURE, timedelta(0)))
    seen: dict[str, object] = {info.key: "left over" for info in lake.leftovers(FAR_FUTURE)}
    for info in lake.list():
        data, run = lake.get(info.key), run_of(info.key)
        name = info.key.replace(run[2], "RUN") if run else info.key
        seen[name] = _fields(data.decode()) if name.startswith("markers/") else hashlib.sha256(data).hexdigest()
    return seen


def without_generations(seen: dict[str, object]) -> dict[str, object]:
    """Return what ``observe_lake`` saw without what tells of runs: generations, and the runs of a state's blocks."""
    return {key: _without(value, {"generation", STATE}) for key, value in seen.items()}


def _fields(marker: str) -> object:
    fields = json.loads(marker)
    text = json.loads(re.sub(r"/run=[^/\"]+/", "/run=RUN/", marker.replace(fields["run_id"], "RUN")))
    return _without(text, _OF_THIS_RUN)


def _without(value: object, names: set[str]) -> object:
    if isinstance(value, dict):
        return {name: _without(entry, names) for name, entry in value.items() if name not in names}
    if isinstance(value, list):
        return [_without(entry, names) for entry in value]
    return value


def world_of_two(folder: Path) -> SmallWorld:
    """Return a finished lake of two viewers in two hours, with a request to erase one that no run has honoured."""
    with told_service() as service:
        world = SmallWorld(folder)
        world.configure(service.url)
        for hour in (10, 11):
            world.events(f"{DAY}T{hour}", [("ann", minute, WINTER) for minute in range(3)] + [("eve", 7, CASE)])
        assert world.run() == 0
    request = Request((viewer_of((KEY.encode(),), "eve"),))
    write_request(world.lake, request, new_run_id(datetime(2026, 1, 6, tzinfo=UTC)))
    return world
