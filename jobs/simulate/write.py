"""Writes the simulated play events to a store, in the layout of the Kafka Connect S3 sink.

    topics/<topic>/year=2026/month=01/day=05/hour=13/<topic>+<partition>+<start offset>.json.gz
    _SIMULATED.json                                   parameters of the simulation, and its counts when it is complete

The same settings give the same bytes. Another run completes an incomplete folder and keeps the existing files. One hour
has no events. ``simulate`` omits a few late-arriving files, which ``add_late_files`` writes.
"""

import contextlib
import filecmp
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.simulate.events import HourOfEvents, Part, plays_in
from jobs.simulate.plays import Plays, day_plays, hour_plays
from jobs.simulate.scratch import Column, Scratch
from jobs.simulate.service import HOUR_MS, Service, make_service, to_ms
from jobs.simulate.settings import SimulateSettings
from marquee.calendar import Grain, Period
from marquee.errors import ConfigError
from marquee.storage.base import ObjectNotFoundError, Store

MARKER = "_SIMULATED.json"
TOPICS = "topics/"
QUIET_DAY, QUIET_HOUR = 2, 3
"""Day, counted from 0, and hour without events."""
LATE_HOUR, LATE_EVERY = 14, 2
"""In this hour of every second day, the largest file of the second half arrives late."""

HOURS = 24

Parameters = dict[str, Any]
Progress = Callable[[int], object]
"""Called after files are written, with the number of events in them."""


@dataclass(frozen=True)
class Summary:
    """Counts of a whole simulation, except ``written``, which counts the files of this call."""

    hours: int = 0
    events: int = 0
    """Distinct events, including those in late files."""
    duplicates: int = 0
    malformed: int = 0
    files: int = 0
    late_files: int = 0
    """Number of the files that only ``add_late_files`` writes."""
    written: int = 0
    """Number of files that this call wrote; the others existed."""


def simulate(settings: SimulateSettings, store: Store, progress: Progress | None = None) -> Summary:
    """Write the play events of the settings' days, except the late files.

    Does nothing if they are already complete; ConfigError if the store contains anything else.
    """
    parameters = settings.model_dump(mode="json")
    if done := _claim(store, parameters):
        return done
    return _write(store, parameters, _files(make_service(settings)), progress or _unheard)


def add_late_files(settings: SimulateSettings, store: Store, progress: Progress | None = None) -> Summary:
    """Write the late files; ConfigError unless ``simulate`` has written the other files with the same settings."""
    done = _read_marker(store, settings.model_dump(mode="json"))
    if done is None:
        message = f"{store.url}: the other files are not complete. Run simulate without --late first, same settings"
        raise ConfigError(message)
    written = 0
    for hour, files in _files(make_service(settings)):
        for file in files:
            written += file.late and _put_new(store, file.key, hour, file.part)
        (progress or _unheard)(hour.events)
    return replace(done, written=written)


def simulate_hour(
    settings: SimulateSettings,
    store: Store,
    hour: Period,
    events: int,
    progress: Progress | None = None,
    *,
    spread: bool = False,
) -> Summary:
    """Write one busy hour for benchmarks: ``events`` random events, two files for each partition, none of them late.

    With ``spread``, the events of a viewer go to any partition, as in a topic without keys.
    """
    settings = settings.model_copy(update={"start": hour.date, "days": 1, "events_per_day": 2 * events})
    parameters = settings.model_dump(mode="json") | {"hour": str(hour), "events": events}
    if spread:
        parameters["spread"] = True
    if done := _claim(store, parameters):
        return done
    service, start = make_service(settings), to_ms(hour.start)
    with Scratch() as scratch:
        plays = (plays_in(some, start) for some in hour_plays(service, start, events))
        one = HourOfEvents(service, plays, start, scratch, most=events, spread=spread)
        files = [replace(file, late=False) for file in _number(one, hour, settings, [0] * settings.partitions)]
        return _write(store, parameters, iter([(one, files)]), progress or _unheard)


@dataclass(frozen=True)
class _File:
    key: str
    part: Part
    late: bool


def _files(service: Service) -> Iterator[tuple[HourOfEvents, list[_File]]]:
    """Yield each hour with events, and its files."""
    settings = service.settings
    offsets = [0] * settings.partitions
    with contextlib.ExitStack() as scratches:
        yesterday = _Day.draw(service, settings.start - timedelta(days=1), scratches.enter_context(Scratch()))
        for number in range(settings.days):
            day = settings.start + timedelta(days=number)
            today = _Day.draw(service, day, scratches.enter_context(Scratch()))
            for hour in Period.parse(str(day)).parts(Grain.HOUR):
                if (number, hour.start.hour) == (min(QUIET_DAY, settings.days - 1), QUIET_HOUR):
                    continue
                plays = itertools.chain(yesterday.plays(HOURS + hour.start.hour), today.plays(hour.start.hour))
                with Scratch() as scratch:
                    one = HourOfEvents(service, plays, to_ms(hour.start), scratch)
                    yield one, _number(one, hour, settings, offsets)
            yesterday.scratch.close()
            yesterday = today


@dataclass(frozen=True)
class _Day:
    """The plays that start on a day, by the hours of this day and the next one in which they may have events."""

    scratch: Scratch
    hours: list[Column]

    @classmethod
    def draw(cls, service: Service, day: date, scratch: Scratch) -> "_Day":
        hours = [scratch.column() for _ in range(2 * HOURS)]
        midnight = to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
        for plays in day_plays(service, day):
            for number, column in enumerate(hours):
                here = plays_in(plays, midnight + number * HOUR_MS)
                if len(here):
                    column.append(here.packed())
        return cls(scratch, hours)

    def plays(self, hour: int) -> Iterator[Plays]:
        return map(Plays.unpack, self.hours[hour])


def _number(hour: HourOfEvents, period: Period, settings: SimulateSettings, offsets: list[int]) -> list[_File]:
    """Return an hour's files, named by the offsets of their first records; advances ``offsets`` of the partitions."""
    day = (period.date - settings.start).days
    late = None
    if day % LATE_EVERY == 0 and period.start.hour == LATE_HOUR:
        late = max((part for part in hour.parts if part.half == 1), key=lambda part: part.lines, default=None)
    files = []
    for part in hour.parts:
        name = f"{settings.topic}+{part.partition}+{offsets[part.partition]:010}.json.gz"
        folder = f"{TOPICS}{settings.topic}/{period.start:year=%Y/month=%m/day=%d/hour=%H}"
        files.append(_File(f"{folder}/{name}", part, part is late))
        offsets[part.partition] += part.lines
    return files


def _write(
    store: Store, parameters: Parameters, hours: Iterator[tuple[HourOfEvents, list[_File]]], progress: Progress
) -> Summary:
    total = Summary()
    for hour, files in hours:
        present = [file for file in files if not file.late]
        written = sum(_put_new(store, file.key, hour, file.part) for file in present)
        total = Summary(
            hours=total.hours + 1,
            events=total.events + hour.events,
            duplicates=total.duplicates + hour.duplicates,
            malformed=total.malformed + len(hour.malformed),
            files=total.files + len(files),
            late_files=total.late_files + len(files) - len(present),
            written=total.written + written,
        )
        progress(hour.events)
    counts = {name: count for name, count in asdict(total).items() if name != "written"}
    store.put(MARKER, _marker(parameters, counts))
    return total


def _put_new(store: Store, key: str, hour: HourOfEvents, part: Part) -> bool:
    """Write a file unless it exists with the same bytes, because rewriting it would make its hour stale."""
    pieces = hour.file(part)
    small, more = next(pieces), next(pieces, None)
    there = store.head(key)
    if more is None:
        if there and there.size == len(small) and store.get(key) == small:
            return False
        store.put(key, small)
        return True
    with tempfile.TemporaryDirectory(prefix="marquee-") as folder:
        path = Path(folder, "file")
        with path.open("wb") as file:
            file.writelines(itertools.chain((small, more), pieces))
        if (
            there
            and there.size == path.stat().st_size
            and filecmp.cmp(store.fetch(key, Path(folder)), path, shallow=False)
        ):
            return False
        store.put_file(key, path)
    return True


def _claim(store: Store, parameters: Parameters) -> Summary | None:
    """Return the summary of a complete simulation; otherwise claim the store, or ConfigError if it has other files."""
    done = _read_marker(store, parameters)
    if done is None and store.head(MARKER) is None:
        if stranger := next(iter(store.list(TOPICS)), None):
            message = f"{store.url} contains {stranger.key!r}, which simulate did not write. Use an empty folder"
            raise ConfigError(message)
        store.put_if_absent(MARKER, _marker(parameters, None))
    return done


def _read_marker(store: Store, parameters: Parameters) -> Summary | None:
    """Return the summary of a complete simulation, else None; ConfigError if it has other parameters."""
    try:
        marker = json.loads(store.get(MARKER))
    except ObjectNotFoundError:
        return None
    there: Parameters = marker["parameters"]
    names = sorted(there.keys() | parameters.keys())
    if other := [name for name in names if there.get(name) != parameters.get(name)]:
        differences = ", ".join(f"{name} was {there.get(name)!r}, now {parameters.get(name)!r}" for name in other)
        message = f"{store.url} contains another simulation ({differences}). Use an empty folder for this one"
        raise ConfigError(message)
    return Summary(**marker["counts"]) if marker["counts"] else None


def _marker(parameters: Parameters, counts: dict[str, int] | None) -> bytes:
    return json.dumps({"parameters": parameters, "counts": counts}, indent=2).encode()


def _unheard(_: int) -> None:
    """Ignore progress."""
