"""Carries out a plan of retention: checks each removal once more, notes what ends, and deletes the objects.

What ends is noted before the first object is deleted. So a run that dies in between leaves a list that says what may be
missing, and the next run deletes the rest. Two runs at once delete the same objects, each of them once.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.retain.plan import Context, Doomed, Kept, Plan, Removal
from jobs.rollup.inventory import take_inventory
from marquee.calendar import Grain, Period, Span
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.ended import Deleted, update_ended
from marquee.lake.files import verify_output
from marquee.lake.garbage import collect
from marquee.lake.layers import HELD, RAW, REJECTS, SCHEDULE_RAW, SUPERSEDED, VIEWER_DAYS, VIEWER_HOURS
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import read_marker
from marquee.runs.stage import Advance
from marquee.storage.base import Store, in_parallel

log = logging.getLogger(__name__)

TOGETHER = 24
"""Periods that are noted and deleted together, at most: the hours of a day."""


@dataclass
class Outcome:
    """What was deleted by layer, what was kept after all, and the damage that was found on the way."""

    deleted: dict[str, Deleted] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    def add(self, layer: str, objects: int, size: int) -> None:
        """Add deleted objects."""
        before = self.deleted.get(layer, Deleted())
        self.deleted[layer] = Deleted(before.objects + objects, before.bytes + size)


def carry_out(
    context: Context, plan: Plan, advance: Advance, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Outcome:
    """Delete what a plan says, as far as it still holds; return what was deleted and what was not."""
    with TemporaryDirectory(prefix="marquee-retain-") as scratch:
        run = _Run(context, Path(scratch), clock)
        done, every = 0, len(plan.removals)
        advance(done, every, "")
        for removals in _groups(plan.removals):
            run.remove(removals)
            done += len(removals)
            advance(done, every, f"{removals[0].layer.name} {removals[-1].period}")
    if plan.garbage:
        collected = collect(context.markers.store, plan.garbage)
        objects, size = sum(one.objects for one in collected), sum(one.bytes for one in collected)
        run.outcome.add(SUPERSEDED.name, objects, size)
        update_ended(
            context.markers.store,
            keys.ROLLUP,
            lambda ended: ended.with_deleted(SUPERSEDED.name, Deleted(objects, size)),
        )
    return run.outcome


def _groups(removals: Sequence[Removal]) -> Iterator[list[Removal]]:
    for _, alike in groupby(removals, key=lambda one: (one.layer.name, one.stage)):
        listed = list(alike)
        for start in range(0, len(listed), TOGETHER):
            yield listed[start : start + TOGETHER]


class _Run:
    def __init__(self, context: Context, scratch: Path, clock: Callable[[], datetime]) -> None:
        self._context, self._scratch, self._clock = context, scratch, clock
        self._store = context.markers.store
        self._raw: Store | None = None
        self._verified: dict[tuple[str, Period], str] = {}
        self.outcome = Outcome()

    def remove(self, removals: Sequence[Removal]) -> None:
        """Carry out removals of one layer and stage. The last look at raw objects comes after all that takes long."""
        layer, stage = removals[0].layer, removals[0].stage
        checked = [(one, self._check(one)) for one in removals]
        left: dict[Period, Sequence[Doomed]] = {}
        for one, marker in checked:
            found = marker if isinstance(marker, str) else self._look_at(one, marker)
            if isinstance(found, str):
                log.warning("%s of %s stays: %s", layer.name, one.period, found)
                self.outcome.kept.append(Kept(layer, one.period, len(one.objects), found))
            else:
                left[one.period] = found
        if not left:
            return
        at = self._clock()
        if layer is not HELD:
            update_ended(self._store, stage, lambda ended: ended.with_periods(layer.name, left, at, done=False))
        store = self._raw_store if layer in {RAW, HELD} else self._store
        objects = [each for period in left for each in left[period]]
        for _ in in_parallel(store, store.delete, [each.key for each in objects]):
            pass
        deleted = Deleted(len(objects), sum(each.size for each in objects))
        self.outcome.add(layer.name, deleted.objects, deleted.bytes)
        update_ended(
            self._store,
            stage,
            lambda ended: (
                ended if layer is HELD else ended.with_periods(layer.name, left, at, done=True)
            ).with_deleted(layer.name, deleted),
        )
        log.info(
            "%s of %s to %s has ended", layer.name, min(left), max(left), extra={"layer": layer.name, **vars(deleted)}
        )

    @property
    def _raw_store(self) -> Store:
        if self._raw is None:
            self._raw = self._context.settings.open(self._context.settings.raw)
        return self._raw

    def _check(self, removal: Removal) -> Marker | str:
        """Return the marker of the run of a removal, or why its objects stay after all."""
        marker = read_marker(self._store, removal.stage, removal.period)
        if marker is None or marker.run_id != removal.run_id:
            return "the period was published again after the plan was made"
        return self._why_unsafe(removal, marker) or marker

    def _look_at(self, removal: Removal, marker: Marker) -> Sequence[Doomed] | str:
        """Return the objects to delete now, or why they stay: an hour's folder of raw events is listed once more."""
        if removal.layer not in {RAW, HELD}:
            return removal.objects
        options, hour = self._context.settings.rollup, removal.period
        span = Span(hour.start, hour.end)
        folders = options.layout.folders(hour)
        found = take_inventory(self._raw_store, options.layout, span, options.ignore, prefixes=folders)
        here = {one.key: Doomed(one.key, one.etag, one.size) for one in found.hours.get(hour, [])}
        planned = {one.key: one for one in removal.objects}
        replaced = [key for key, one in planned.items() if key in here and here[key] != one]
        if replaced:
            return f"{replaced[0]} was replaced after the plan was made"
        made_of = {one.name for one in marker.inputs}
        if removal.layer is RAW and any(key not in planned and key not in made_of for key in here):
            entry = self._context.markers.ended(keys.ROLLUP).range_of(RAW.name, hour)
            if entry is None and made_of <= here.keys():
                return "a file has arrived after the plan was made"
        return [one for key, one in planned.items() if key in here]

    def _why_unsafe(self, removal: Removal, marker: Marker) -> str:
        """Return which object of the successors is missing or damaged; empty if they are all there."""
        if removal.layer in {HELD, REJECTS}:
            return ""
        if removal.layer is RAW:
            return self._why_damaged(removal.stage, removal.period, marker)
        if removal.layer is SCHEDULE_RAW:
            return self._why_damaged(removal.stage, removal.period, marker, but=SCHEDULE_RAW.data)
        if removal.layer is VIEWER_HOURS:
            return self._why_damaged_period(keys.PROFILE, Period.containing(removal.period.start, Grain.DAY))
        if removal.layer is VIEWER_DAYS and removal.stage == keys.PROFILE:
            audiences = (Period.containing(removal.period.start, grain) for grain in keys.GRAINS[keys.AUDIENCE])
            return next(filter(None, (self._why_damaged_period(keys.AUDIENCE, one) for one in audiences)), "")
        return self._why_damaged(removal.stage, removal.period, marker, but=VIEWER_DAYS.data)

    def _why_damaged_period(self, stage: str, period: Period) -> str:
        if (stage, period) not in self._verified:
            marker = read_marker(self._store, stage, period)
            why = self._why_damaged(stage, period, marker) if marker else f"{stage} {period} is not made"
            self._verified[stage, period] = why
        return self._verified[stage, period]

    def _why_damaged(self, stage: str, period: Period, marker: Marker, but: Sequence[str] = ()) -> str:
        """Read all objects of a run that have not ended; return what is missing or damaged."""
        ended = self._context.markers.ended(stage)
        outputs = [one for one in ended.left(marker.outputs) if one.dataset not in but]

        def check(output: Output) -> str:
            try:
                verify_output(self._store, output, self._scratch)
            except CorruptLakeError as error:
                return str(error)
            return ""

        why = next(filter(None, in_parallel(self._store, check, outputs)), "")
        if why:
            self.outcome.damage.append(f"{stage} {period}: {why}")
        return why


def totals(removals: Sequence[Removal]) -> Mapping[str, tuple[int, int, int]]:
    """Return periods, objects and bytes of removals by layer."""
    periods, objects, size = Counter[str](), Counter[str](), Counter[str]()
    for one in removals:
        periods[one.layer.name] += 1
        objects[one.layer.name] += len(one.objects)
        size[one.layer.name] += one.bytes
    return {name: (periods[name], objects[name], size[name]) for name in periods}
