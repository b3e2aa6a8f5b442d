"""What retention would delete now, and what it keeps although its time is over, with the reason.

A plan is of the start of a day, so that it stays the same on that day while the data do. The oldest periods of a layer
come first. Once it has ``MOST`` objects it takes no further period, so that memory is limited; the next plan has the
rest. Garbage is not part of this limit.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.stage import ProfileStage
from jobs.retain.settings import RetainSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import Period
from marquee.engine.base import NO_ENGINE
from marquee.lake.garbage import Garbage, plan_digest
from marquee.lake.layers import Layer
from marquee.lake.manifest import Output
from marquee.lake.markers import Markers

MOST = 100_000
"""Objects with which a plan is full: some 50 MB of memory."""


class Doomed(NamedTuple):
    """An object to delete: its key, what identifies its bytes (an etag, or a SHA-256), and its size."""

    key: str
    tag: str
    size: int


@dataclass(frozen=True)
class Removal:
    """What ends with a layer of a period: the objects to delete, of the published run ``run_id``."""

    layer: Layer
    stage: str
    period: Period
    run_id: str
    objects: tuple[Doomed, ...]

    @property
    def bytes(self) -> int:
        """Bytes of the objects."""
        return sum(one.size for one in self.objects)


@dataclass(frozen=True)
class Kept:
    """What stays although its time is over: the layer, the period, the number of objects, and why."""

    layer: Layer
    period: Period
    objects: int
    reason: str


@dataclass
class Plan:
    """A plan of a day; ``more`` is whether the next plan has more."""

    today: datetime
    removals: list[Removal] = field(default_factory=list)
    garbage: list[Garbage] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    more: bool = False
    _objects: int = 0
    """Number of objects of the removals, which is asked for every period."""

    def add(self, removal: Removal) -> None:
        """Add a removal."""
        self.removals.append(removal)
        self._objects += len(removal.objects)

    @property
    def full(self) -> bool:
        """Whether nothing more fits into the plan."""
        return self._objects >= MOST

    def ends(self, layer: Layer, stage: str) -> set[Period]:
        """Return the periods of a stage that end with a layer by this plan."""
        return {one.period for one in self.removals if one.layer is layer and one.stage == stage}

    @property
    def digest(self) -> str:
        """SHA-256 of what the plan deletes and ends: of keys, versions and sizes."""
        total = hashlib.sha256()
        for one in self.removals:
            total.update(f"{one.layer.name} {one.stage} {one.period} {one.run_id}\n".encode())
            for each in one.objects:
                total.update(f"{each.key}\t{each.tag}\t{each.size}\n".encode(errors="surrogateescape"))
        total.update(plan_digest(self.garbage).encode())
        return total.hexdigest()


@dataclass(frozen=True)
class Context:
    """The lake and the settings that a plan is made from."""

    settings: RetainSettings
    markers: Markers
    today: datetime

    @property
    def rollup(self) -> RollupStage:
        """The rollup, to plan with."""
        return RollupStage(self.settings, self.markers, NO_ENGINE, lambda: self.today)

    @property
    def profile(self) -> ProfileStage:
        """The profile, to plan with."""
        return ProfileStage(self.settings, self.markers, NO_ENGINE)

    @property
    def audience(self) -> AudienceStage:
        """The audience, to plan with."""
        return AudienceStage(self.settings, self.markers, NO_ENGINE)

    def before(self, layer: Layer) -> datetime | None:
        """Return the instant by which a period must have ended for a layer of it to end; None if it never does."""
        days = self.settings.retention.days(layer.setting)
        return None if days is None else self.today - timedelta(days=days)


def doomed(outputs: Sequence[Output]) -> tuple[Doomed, ...]:
    """Return outputs as objects to delete."""
    return tuple(Doomed(one.key, one.sha256, one.size) for one in outputs)


def over(periods: Iterable[Period], before: datetime) -> Iterator[Period]:
    """Yield the periods that ended before an instant, or at it, in order."""
    yield from sorted(one for one in periods if one.end <= before)
