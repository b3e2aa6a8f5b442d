"""Garbage: objects of a lake that nothing needs any more.

* Objects of runs that no success marker lists: superseded, failed, lost to another run, or killed.
* Failure markers that a later success has settled, but whose run was killed before it cleared them.
* Objects of runs that have begun and died, unless their period is put off.
* Leftovers of killed writes: hidden files in a local folder, incomplete uploads to S3.

All of these count as garbage only when they are older than the grace period: a run may still be writing, and a reader
may still be reading a superseded run. Runs that were replaced because they may hold erased viewers are garbage at once.
An object that a success marker lists is never garbage, in any run's prefix. While the success marker of a period is
damaged, nothing of the period is garbage, because what it lists is unknown.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.erasures import replaced_runs
from marquee.lake.manifest import Failure, Marker
from marquee.lake.markers import Markers
from marquee.lake.superseded import GRACE, replaced_at
from marquee.storage.base import ObjectInfo, Store, in_parallel

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
        _garbage(keys.run_prefix(*run), unlisted)
        for run, objects in runs.items()
        if run not in named.current
        and (unlisted := [one for one in objects if one.key not in named.kept])
        and run[1] not in markers.damaged(run[0])
        and _is_over(run, markers.of(run[0]).get(run[1]), before)
    ]
    for key, failure in _settled_failures(markers, stages).items():
        if datetime.fromisoformat(failure.failed_at) < before:
            garbage.append(Garbage(key, (key,), len(failure.to_json())))
    garbage += [Garbage(key, (key,), 0) for key in _stale_begun(markers, stages, before)]
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
    markers = Markers(store, indexed=False)  # read again: the plan may be hours old
    stages = _stages(one.prefix for one in listed)
    named, settled = _named_runs(markers, stages), _settled_failures(markers, stages)
    deleted = []
    for one, run in zip(listed, runs, strict=True):
        in_force = one.prefix.endswith(f"/{keys.FAILED}") and one.prefix not in settled
        unknown = run is not None and run[1] in markers.damaged(run[0])
        needed = run in named.current or not named.kept.isdisjoint(one.keys)
        if one.leftover or not (needed or unknown or in_force):
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


@dataclass(frozen=True)
class _Named:
    """What markers name: their own runs, and the keys of unchanged objects in the prefixes of earlier runs."""

    current: set[Run]
    kept: set[str]


def _named_runs(markers: Markers, stages: Iterable[str]) -> _Named:
    listed = [marker for stage in stages for marker in markers.of(stage).values()]
    return _Named(
        {(one.stage, Period.parse(one.period), one.run_id) for one in listed},
        {output.key for one in listed if one.other_runs for output in one.outputs},
    )


def _is_over(run: Run, published: Marker | None, before: datetime) -> bool:
    try:
        begun = keys.run_started(run[2])
    except ValueError:  # not a run of Marquee
        return False
    if published is not None and run[2] in replaced_runs(published):
        return True
    if begun >= before:
        return False
    if published is None or datetime.fromisoformat(published.finished_at) < before:
        return True
    replaced = replaced_at(published).get(run[2])
    return replaced is not None and replaced < before


def _settled_failures(markers: Markers, stages: Iterable[str]) -> dict[str, Failure]:
    return {
        keys.failed_key(stage, period): failure
        for stage in stages
        for period, failure in markers.settled(stage).items()
    }


def _stale_begun(markers: Markers, stages: Iterable[str], before: datetime) -> list[str]:
    return [keys.begun_key(stage, period) for stage in stages for period in markers.stale_begun(stage, before)]


def _garbage(prefix: str, objects: list[ObjectInfo]) -> Garbage:
    return Garbage(prefix, tuple(info.key for info in objects), sum(info.size for info in objects))
