"""What retention has ended: layers of periods whose objects were deleted on purpose.

    markers/<stage>/_ENDED                 what retention has ended of the stage's periods

The list is written before the first object is deleted, by a conditional write, so that two runs at once lose nothing.
An entry is *done* once its objects are gone; a run that died in between leaves the entry, and the next run deletes the
rest. It is no cache: without it nobody knows whether an object was deleted on purpose or lost.

Objects of the lake have ended if their run began before the entry. So a period that is made again, from restored
inputs, has its objects again, and needs no change of the list.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise, starmap
from typing import Any

from marquee.calendar import Grain, Period
from marquee.errors import CorruptLakeError, NewerLakeError, TryAgainError
from marquee.lake import keys
from marquee.lake.layers import layer_of
from marquee.lake.manifest import Marker, Output, check_time, now_text
from marquee.storage.base import ObjectNotFoundError, PreconditionError, Store

FORMAT = 1
TRIES = 20


@dataclass(frozen=True)
class Range:
    """Consecutive periods of one grain whose layer ended at one time; ``done`` once their objects are gone."""

    layer: str
    first: Period
    last: Period
    at: datetime
    done: bool

    @property
    def periods(self) -> Iterator[Period]:
        """The periods in order."""
        return self.first.until(self.last.end)


@dataclass(frozen=True)
class Deleted:
    """The number of objects, and their bytes, that were deleted."""

    objects: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Ended:
    """What retention has ended of a stage's periods. The ranges of a layer and grain are disjoint and in order."""

    ranges: tuple[Range, ...] = ()
    deleted: Mapping[str, Deleted] = field(default_factory=dict)
    etag: str | None = None
    """Version of the object; None if there is none yet."""

    def __bool__(self) -> bool:
        return bool(self.ranges)

    @cached_property
    def _starts(self) -> Mapping[tuple[str, Grain], tuple[list[datetime], list[Range]]]:
        found: dict[tuple[str, Grain], list[Range]] = {}
        for one in self.ranges:
            found.setdefault((one.layer, one.first.grain), []).append(one)
        return {key: ([one.first.start for one in listed], listed) for key, listed in found.items()}

    def range_of(self, layer: str, period: Period) -> Range | None:
        """Return the entry of a period; None if the layer of the period has not ended."""
        starts, listed = self._starts.get((layer, period.grain), ((), ()))
        at = bisect_right(starts, period.start) - 1
        return listed[at] if at >= 0 and period.start < listed[at].last.end else None

    def at(self, layer: str, period: Period) -> datetime | None:
        """Return when the layer of a period ended; None if it has not."""
        found = self.range_of(layer, period)
        return found.at if found else None

    def end_of(self, layer: str, marker: Marker) -> datetime | None:
        """Return when the objects of a published run ended; None if they have not, as of a run that began later."""
        found = self._range_over(layer, marker)
        return found.at if found else None

    def is_gone(self, layer: str, marker: Marker) -> bool:
        """Return whether the objects of a published run have ended, and are deleted."""
        found = self._range_over(layer, marker)
        return found is not None and found.done

    def _range_over(self, layer: str, marker: Marker) -> Range | None:
        found = self.range_of(layer, Period.parse(marker.period)) if self.ranges else None
        return found if found and keys.run_started(marker.run_id) < found.at else None

    def has_output(self, output: Output) -> bool:
        """Return whether an object that a marker lists has ended; it may be of an earlier run than the marker's."""
        if not self.ranges or (run := keys.run_of(output.key)) is None:
            return False
        try:
            at = self.at(layer_of(output.dataset).name, run[1])
            return at is not None and keys.run_started(run[2]) < at
        except (KeyError, ValueError):  # a dataset of a later version, or not a run of Marquee
            return False

    def has_dataset(self, dataset: str, marker: Marker) -> bool:
        """Return whether a dataset of a published run has ended."""
        try:
            return bool(self.ranges) and self.end_of(layer_of(dataset).name, marker) is not None
        except (KeyError, ValueError):  # as above
            return False

    def left(self, outputs: Iterable[Output]) -> list[Output]:
        """Return the objects that a marker lists and that have not ended."""
        return [one for one in outputs if not self.has_output(one)]

    def with_periods(self, layer: str, periods: Iterable[Period], at: datetime, *, done: bool) -> "Ended":
        """Return the list with these periods, of which there are some; entries of them so far are replaced."""
        new = set(periods)
        start, end = min(one.start for one in new), max(one.end for one in new)
        kept: list[Range] = []
        for one in self.ranges:
            near = one.layer == layer and one.first.start < end and start < one.last.end
            if near and any(period in new for period in one.periods):
                left = [period for period in one.periods if period not in new]
                kept += _ranges(layer, left, one.at, done=one.done)
            else:
                kept.append(one)
        return Ended(_joined([*kept, *_ranges(layer, new, at, done=done)]), self.deleted, self.etag)

    def with_deleted(self, layer: str, deleted: Deleted) -> "Ended":
        """Return the list with more objects in the number of those deleted."""
        before = self.deleted.get(layer, Deleted())
        total = Deleted(before.objects + deleted.objects, before.bytes + deleted.bytes)
        return Ended(self.ranges, {**self.deleted, layer: total}, self.etag)

    def to_json(self) -> bytes:
        """Return the bytes of the object."""
        listed = [[one.layer, str(one.first), str(one.last), now_text(one.at), one.done] for one in self.ranges]
        deleted = {layer: [one.objects, one.bytes] for layer, one in sorted(self.deleted.items())}
        lines = ",\n  ".join(json.dumps(one) for one in listed)
        return f'{{\n "format": {FORMAT},\n "deleted": {json.dumps(deleted)},\n "ended": [\n  {lines}\n ]\n}}'.encode()


NOTHING_ENDED = Ended()


def read_ended(store: Store, stage: str) -> Ended:
    """Return what has ended of a stage's periods: two small requests.

    Raises:
        CorruptLakeError: the list is damaged.
        NewerLakeError: a later version of Marquee wrote it.
    """
    key = keys.ended_key(stage)
    info = store.head(key)  # before the body: if it is replaced in between, a conditional write fails safely
    if info is None:
        return NOTHING_ENDED
    try:
        return _parse(store.get(key), info.etag, key)
    except ObjectNotFoundError:
        return NOTHING_ENDED
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = (
            f"{key} is not a list of what has ended: {error}. Restore it from a backup: without it, nobody knows which "
            "objects were deleted on purpose"
        )
        raise CorruptLakeError(message) from error


def in_words(ended: Ended) -> list[str]:
    """Return what has ended by layer and grain, such as ``raw of 720 hours up to 2026-01-31T23``."""
    listed: dict[tuple[str, Grain], list[Range]] = {}
    for one in ended.ranges:
        listed.setdefault((one.layer, one.first.grain), []).append(one)
    said = []
    for (layer, grain), ranges in listed.items():
        number = sum(1 for one in ranges for _ in one.periods)
        said.append(f"{layer} of {number:,} {grain}{'s' * (number != 1)} up to {ranges[-1].last}")
    return said


def _parse(data: bytes, etag: str, key: str) -> Ended:
    read: Any = json.loads(data)
    if type(read["format"]) is int and read["format"] > FORMAT:
        message = (
            f"{key} has format {read['format']}; this version reads up to {FORMAT}. A later version of Marquee wrote "
            "it, so nothing was changed. Upgrade Marquee"
        )
        raise NewerLakeError(message)
    ranges = tuple(_range(*one) for one in read["ended"])
    deleted = {str(layer): Deleted(int(objects), int(size)) for layer, (objects, size) in read["deleted"].items()}
    if list(ranges) != sorted(ranges, key=_place) or any(starmap(_overlap, pairwise(ranges))):
        message = "its periods are out of order"
        raise ValueError(message)
    return Ended(ranges, deleted, etag)


def _range(layer: object, first: str, last: str, at: str, done: object) -> Range:
    one = Range(
        str(layer), Period.parse(first), Period.parse(last), datetime.fromisoformat(check_time(at)), done is True
    )
    if one.first.grain is not one.last.grain or one.last < one.first:
        message = f"{first} to {last} are no range"
        raise ValueError(message)
    return one


def update_ended(store: Store, stage: str, change: Callable[[Ended], Ended]) -> Ended:
    """Change the list of a stage by a conditional write, as often as another run is first; return what was written."""
    key = keys.ended_key(stage)
    for _ in range(TRIES):
        before = read_ended(store, stage)
        after = change(before)
        data = after.to_json()
        try:
            info = (
                store.put_if_absent(key, data)
                if before.etag is None
                else store.put_if_unchanged(key, data, before.etag)
            )
        except PreconditionError:
            continue
        return Ended(after.ranges, after.deleted, info.etag)
    message = f"{key}: other runs changed it {TRIES} times in a row. Run again later"
    raise TryAgainError(message)


def _place(one: Range) -> tuple[str, Grain, datetime]:
    return one.layer, one.first.grain, one.first.start


def _overlap(one: Range, other: Range) -> bool:
    return _place(one)[:2] == _place(other)[:2] and other.first.start < one.last.end


def _ranges(layer: str, periods: Iterable[Period], at: datetime, *, done: bool) -> list[Range]:
    """Return periods, of any grains, as ranges of one period each."""
    at = at.astimezone(UTC)
    return [Range(layer, one, one, at, done) for one in periods]


def _joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return ranges in order, with those joined that are consecutive and ended together."""
    joined: list[Range] = []
    for one in sorted(ranges, key=_place):
        last = joined[-1] if joined else None
        alike = last and (last.layer, last.first.grain, last.at, last.done) == (
            one.layer,
            one.first.grain,
            one.at,
            one.done,
        )
        if last and alike and last.last.end == one.first.start:
            joined[-1] = Range(last.layer, last.first, one.last, last.at, last.done)
        else:
            joined.append(one)
    return tuple(joined)
