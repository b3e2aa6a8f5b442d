"""Hours whose raw events are gone, deleted by retention or by hand: what is left of them, and what was made of them.

A published hour of which a raw object is gone cannot be made again as it was, so it stands as published. New and
replaced objects of such an hour are *held*: they are counted and shown, but not read, until somebody decides. An hour
without a marker and without raw objects was perhaps never received, or its marker was lost. The lake tells them apart:
a run that came to its end has written viewership, and an hour with plays has further files or is an input of its day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from marquee.calendar import Grain, Period
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import VIEWER_HOUR, VIEWERSHIP
from marquee.lake.ended import Ended
from marquee.lake.layers import RAW, VIEWER_HOURS
from marquee.lake.manifest import Input, Marker
from marquee.lake.markers import read_marker
from marquee.storage.base import Store

RESTORE = "To make it again, restore all of its raw objects from a backup and use --force"
"""What to do about an hour that retention has ended."""

SEALING = (RAW.name, VIEWER_HOURS.name)
"""Layers of an hour of which either, once ended, leaves the hour as it was published."""


def ended_at(ended: Ended, hour: Period) -> datetime | None:
    """Return when retention ended an hour, so that it takes no late file any more; None if it has not."""
    return min(filter(None, (ended.at(layer, hour) for layer in SEALING)), default=None)


class InputsOf(Sequence[Input]):
    """All inputs of a marker that has some. They are read when somebody asks for more than whether there are any."""

    def __init__(self, marker: Marker) -> None:
        self._marker = marker

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._marker.inputs)

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - a number or a slice
        return self._marker.inputs[at]


@dataclass(frozen=True)
class Left:
    """The raw objects of a published hour, by what has happened to them since it was made."""

    gone: Sequence[Input] = ()
    """Objects of which the hour was made that are no longer there."""
    held: tuple[Input, ...] = ()
    """Objects that are new, or replaced, beside missing ones."""
    count: int = 0
    """Number of objects that are there."""


def what_is_left(marker: Marker, listed: Sequence[Input], *, ended: bool = False) -> Left:
    """Compare the objects that are there with those of which an hour was made; ``ended``: retention ended the hour."""
    there = {one.name for one in listed}
    gone = tuple(one for one in marker.inputs if one.name not in there)
    made_of = set(marker.inputs) if gone or ended else set(listed)
    return Left(gone, tuple(one for one in listed if one not in made_of), len(listed))


def describe_held(hour: Period, left: Left, ended_at: datetime | None) -> str:
    """Return what is held of an hour, why, and what to do; ``ended_at`` is when retention ended the hour, if it did."""
    verb = "is" if len(left.held) == 1 else "are"
    held = f"{several(len(left.held), 'late or replaced file')} {verb} held, such as {left.held[0].name}, because"
    if ended_at:
        return f"{held} retention ended this hour on {ended_at:%Y-%m-%d}. {RESTORE}; or leave the files"
    return (
        f"{held} other raw events of this hour are gone ({several(len(left.gone), 'object')}). Restore them; leave the "
        f"files; or {by_force(hour, left.count)}"
    )


def by_force(hour: Period, objects: int) -> str:
    """Return what force does with an hour of which some objects are left."""
    what = f"count only what is left ({several(objects, 'object')})" if objects else "publish it as an empty hour"
    return f"{what} with `marquee rollup {hour} --force`"


def several(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``2 objects``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def was_made_with_plays(store: Store, hour: Period) -> bool:
    """Return whether a run ever made an hour with plays, for an hour without a marker: one or two small requests."""
    files: set[str] = set()
    for info in store.list(f"data/{keys.ROLLUP}/{hour}/"):
        if run := keys.run_of(info.key):
            files.add(info.key.removeprefix(keys.run_prefix(*run)).partition("/")[0].removesuffix(".parquet"))
    # A run that fails by its rejects takes its viewership back: without it, the hour was not made. A run that erases
    # viewers leaves it in the run before.
    if {VIEWERSHIP.name, VIEWER_HOUR.name} <= files:
        return True
    try:
        day = read_marker(store, keys.PROFILE, Period.containing(hour.start, Grain.DAY))
    except CorruptLakeError:  # nobody knows, and an hour with plays must not become an empty one
        return True
    name = f"{keys.ROLLUP}/{hour}/{VIEWER_HOUR.name}"
    return day is not None and any(one.name == name and one.size for one in day.inputs)


def lost_at_the_edges(store: Store, first: Period | None, last: Period | None) -> Iterator[Period]:
    """Yield the first and the last hour with plays beyond the known hours; their markers and raw objects are gone.

    None: no hour is known. Between known hours, an hour is known anyway. Two requests, if no hour is beyond them.
    """
    before = takewhile(lambda hour: first is None or hour < first, keys.list_periods(store, keys.ROLLUP))
    after = reversed([*keys.list_periods(store, keys.ROLLUP, last)])
    for hours in (before, after):
        found = next((hour for hour in hours if was_made_with_plays(store, hour)), None)
        if found is not None:
            yield found
