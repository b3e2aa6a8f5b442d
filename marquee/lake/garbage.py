"""Garbage: objects of a lake that nothing needs any more.

* Runs that no success marker names: superseded, failed, lost to another run, or killed.
* Failure markers that a later success has settled, but whose run was killed before it cleared them.
* Leftovers of killed writes: hidden files in a local folder, incomplete uploads to S3.

All of these count as garbage only when they are older than the grace period: a run may still be writing, and a reader
may still be reading a superseded run. An object that a success marker lists is never garbage, in any run's prefix.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.manifest import Failure, Marker
from marquee.lake.markers import Markers
from marquee.storage.base import ObjectInfo, Store, in_parallel

GRACE = timedelta(days=7)
"""Grace period: longer than any run, and than any read of a run's objects."""

Run = tuple[str, Period, str]
"""Stage, period and run id."""


@dataclass(frozen=True)
class Garbage:
    """Objects that are deleted together: a run's under its prefix, or one object, whose key is then the prefix."""

    prefix: str
    keys: tuple[str, ...]
    bytes: int
    leftover: bool = False
    """Whether it is the leftover of a killed write, which is not an object: ``sweep`` removes it, not ``delete``."""

    @property
    def objects(self) -> int:
        """Number of objects."""
        return len(self.keys)


def plan_garbage(store: Store, markers: Markers, now: datetime, grace: timedelta = GRACE) -> list[Garbage]:
    """Return the garbage of a lake in the order of prefixes, without deleting any."""
    before = now - grace
    runs = _list_runs(store)
    stages = _stages(keys.run_prefix(*run) for run in runs)
    named = _named_runs(markers, stages)
    garbage = [
        _garbage(keys.run_prefix(*run), objects)
        for run, objects in runs.items()
        if run not in named and _is_over(run, markers.of(run[0]).get(run[1]), before)
    ]
    for key, failure in _settled_failures(markers, stages).items():
        if datetime.fromisoformat(failure.failed_at) < before:
            garbage.append(Garbage(key, (key,), len(failure.to_json())))
    garbage += [Garbage(info.key, (info.key,), info.size, leftover=True) for info in store.leftovers(before)]
    return sorted(garbage, key=lambda one: one.prefix)


def plan_digest(plan: Iterable[Garbage]) -> str:
    """Return the SHA-256 of a plan's keys, which confirms exactly these keys."""
    keys = sorted(key for one in plan for key in one.keys)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def collect(store: Store, plan: Iterable[Garbage]) -> list[Garbage]:
    """Delete the objects of a plan and return what was deleted. Objects that a newer marker lists are kept."""
    listed = list(plan)
    runs = [keys.run_of(one.prefix) for one in listed]
    markers = Markers(store)  # read again: the plan may be hours old
    stages = _stages(one.prefix for one in listed)
    named, settled = _named_runs(markers, stages), _settled_failures(markers, stages)
    deleted = []
    for one, run in zip(listed, runs, strict=True):
        in_force = one.prefix.endswith(f"/{keys.FAILED}") and one.prefix not in settled
        if one.leftover or (run not in named and not in_force):
            list(in_parallel(store, store.sweep if one.leftover else store.delete, one.keys))
            deleted.append(one)
    return deleted


def _list_runs(store: Store) -> dict[Run, list[ObjectInfo]]:
    runs = defaultdict(list)
    for info in store.list("data/"):
        if run := keys.run_of(info.key):
            runs[run].append(info)
    return runs


def _stages(prefixes: Iterable[str]) -> set[str]:
    """Return the stages whose markers apply to these prefixes: all known stages, and those in the prefixes."""
    below = (prefix.split("/")[1:2] for prefix in prefixes if prefix.startswith(("data/", "markers/")))
    return {*keys.STAGES, *(stage for stages in below for stage in stages)}


def _named_runs(markers: Markers, stages: Iterable[str]) -> set[Run]:
    return {run for stage in stages for marker in markers.of(stage).values() for run in _runs_of(marker)}


def _runs_of(marker: Marker) -> Iterator[Run]:
    yield marker.stage, Period.parse(marker.period), marker.run_id
    for output in marker.outputs:  # an unchanged output may be in the prefix of an earlier run
        if run := keys.run_of(output.key):
            yield run


def _is_over(run: Run, published: Marker | None, before: datetime) -> bool:
    try:
        begun = keys.run_started(run[2])
    except ValueError:  # not a run of Marquee
        return False
    return begun < before and (published is None or datetime.fromisoformat(published.finished_at) < before)


def _settled_failures(markers: Markers, stages: Iterable[str]) -> dict[str, Failure]:
    return {
        keys.failed_key(stage, period): failure
        for stage in stages
        for period, failure in markers.settled(stage).items()
    }


def _garbage(prefix: str, objects: list[ObjectInfo]) -> Garbage:
    return Garbage(prefix, tuple(info.key for info in objects), sum(info.size for info in objects))
