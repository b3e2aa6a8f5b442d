"""Looks at old days of the raw store: which of them a run need not list, and when it lists them again.

A run without a period looks for late files in every hour. In a large raw store, it lists the days since a week before
the first hour that is not done, and every other day that is not *quiet*. A day is quiet if all of its hours are done
with exactly the objects that a run found there, and nothing else may be an event. Quiet days take turns: each is listed
again a day after its last look at the latest, and after a thirtieth of its age where that is more. So a late file in an
old hour is found within that time, and at once by a run that names its period.

The times of the last looks are in one object of the lake, ``markers/rollup/_LOOKS``. It is a cache: without it, or with
other settings, a run lists everything. A store of at most ``FEW`` objects is always listed as a whole.
"""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jobs.rollup.layout import Layout
from marquee.calendar import DAY, Period, day
from marquee.errors import MarqueeError
from marquee.lake import keys
from marquee.storage.base import ObjectNotFoundError, Store, in_parallel

log = logging.getLogger(__name__)

FEW = 10_000
"""Number of raw objects that every run lists: ten requests."""
RECENT = 7 * DAY
"""Days before the first hour that is not done, or the last hour, that every run lists."""
EVERY = DAY
"""Longest time between two looks at a quiet day, unless it is old."""
OF_AGE = 30
"""An old day is looked at again after its age divided by this."""
MOST_DAYS = 100_000
_COUNTS = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Look:
    """The last look at a quiet day: when, and the number of objects by class."""

    at: datetime
    objects: Mapping[str, int]


@dataclass
class Looks:
    """The looks at the quiet days of a raw store; ``of`` identifies the store and the settings that they hold for."""

    of: str
    days: dict[Period, Look] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        """The number of objects in the quiet days."""
        return sum(sum(look.objects.values()) for look in self.days.values())

    def quiet(self, before: datetime, now: datetime) -> list[Period]:
        """Return the quiet days that end before an instant and whose turn is not now; none if they have few objects.

        The share of the days that is listed is that of the time since the last look, the longest overdue first.
        """
        found = [one for one in self.days if one.end <= before]
        if self.objects <= FEW:
            return []
        overdue = {one: (now - self.days[one].at) / interval(one, now) for one in found}
        since = now - max((self.days[one].at for one in found), default=now)
        turns = int(sum(since / interval(one, now) for one in found))
        ordered = sorted(found, key=lambda one: overdue[one], reverse=True)
        return [one for number, one in enumerate(ordered) if number >= turns and 0 <= overdue[one] < 1]


def interval(one: Period, now: datetime) -> timedelta:
    """Return the longest time between two looks at a quiet day."""
    return max(EVERY, (now - one.end) / OF_AGE)


def looks_of(*settings: object) -> str:
    """Return what identifies the store and the settings of looks."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()


def read_looks(store: Store, of: str) -> Looks:
    """Return the looks with an identity; none if they are of other settings, lost or damaged."""
    key = keys.looks_key()
    try:
        found = json.loads(store.get(key))
        if found["of"] != of:
            return Looks(of)
        return Looks(of, {day(name): _look(one) for name, one in list(found["days"].items())[:MOST_DAYS]})
    except ObjectNotFoundError:
        return Looks(of)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s is no list of looks: %s. All raw objects are listed", key, error)
        return Looks(of)


def _look(value: Sequence[object]) -> Look:
    at, objects = value
    if not isinstance(objects, dict) or not isinstance(at, str):
        message = "expected a time and numbers"
        raise TypeError(message)
    if not all(_COUNTS.fullmatch(name) and type(number) is int and number >= 0 for name, number in objects.items()):
        message = "expected numbers of objects by class"
        raise ValueError(message)
    return Look(datetime.fromisoformat(at).astimezone(UTC), objects)


def write_looks(store: Store, looks: Looks) -> None:
    """Replace the list of looks. It is a cache, so an error is only logged."""
    days = {str(one): [look.at.isoformat(timespec="seconds"), look.objects] for one, look in sorted(looks.days.items())}
    try:
        store.put(keys.looks_key(), json.dumps({"of": looks.of, "days": days}, indent=1).encode(), durable=False)
    except MarqueeError as error:
        log.warning("cannot write the list of looks: %s", error)


def listed_prefixes(store: Store, layout: Layout, skipped: Collection[datetime]) -> list[str]:
    """Return prefixes that cover a raw store without some days, which are given by their starts.

    Only names are asked for: one request for each year and month.
    """
    found: list[str] = []
    folders = [(layout.top, dict[str, str]())]
    for level in layout.levels():
        below = []
        listed = in_parallel(store, store.names, [folder for folder, _ in folders])
        for (folder, above), names in zip(folders, listed, strict=True):
            for name in names:
                match = level.fullmatch(name)
                parts = above | match.groupdict() if match else above
                if match is None or (_is_day(parts) and _start_of(parts) not in skipped):
                    found.append(folder + name)
                elif not _is_day(parts):
                    below.append((folder + name, parts))
        folders = below
    return found


def _is_day(parts: Mapping[str, str]) -> bool:
    return {"year", "month", "day"} <= parts.keys()


def _start_of(parts: Mapping[str, str]) -> datetime | None:
    try:
        return datetime(int(parts["year"]), int(parts["month"]), int(parts["day"]), tzinfo=UTC)
    except ValueError:
        return None
