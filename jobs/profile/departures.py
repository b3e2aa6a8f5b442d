"""Who was seen again after a show ended: its sole, near-sole and other viewers, against viewers alike.

A show that ended is counted in the week that contains the 28th day after its end, once that week is complete. So each
week reads 62 days of viewer_day, once, and only if a show ended; each day is read about nine times in all.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from jobs.profile.buckets import common, in_bucket
from jobs.profile.queries import query
from jobs.profile.units import BucketUnit
from marquee.calendar import Grain, Period
from marquee.lake import keys
from marquee.lake.coverage import coverage_of
from marquee.lake.datasets import DEPARTURE, VIEWER_DAY
from marquee.lake.manifest import Input, Marker, Output
from marquee.lake.markers import Markers
from marquee.memo import remember
from marquee.sql import Values
from marquee.storage.base import Store

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from marquee.engine.base import Engine, Task

DAYS = 28
"""Days up to the end that say what a viewer watched, and days after it in which a viewer may be seen again."""

DEPARTURES = "departures"
"""Name of the input of a week that says of which days and shows departures are counted."""

COUNTED = ("departure_counts", "stratum_counts")

Counts = Mapping[str, "pa.Table"]
"""The tables ``COUNTED`` of a bucket, by name."""


@dataclass(frozen=True)
class Ended:
    """A show that ended, the day of its end, and the number of days up to it that are profiled, of 28."""

    show_id: int
    ended: date
    days_before: int


@dataclass(frozen=True)
class Departing:
    """The shows to count in a week, and the profiled days that say who was seen."""

    shows: tuple[Ended, ...]
    days: Mapping[Period, Marker]

    def as_input(self, catalogue_digest: str, read: Sequence[str] | None = None) -> Input:
        """Return all of this as one input of the week; ``read`` are other contents of its days."""
        read = read or [marker.as_input(VIEWER_DAY).etag for marker in self.days.values()]
        content = repr((self.shows, read, catalogue_digest))
        return Input(DEPARTURES, hashlib.sha256(content.encode()).hexdigest(), 0)


@dataclass(frozen=True)
class DepartureUnit(BucketUnit):
    """A bucket: the outputs to read with the number of their day, the shows that ended, and the catalogue."""

    days: tuple[tuple[int, tuple[Output, ...]], ...]
    ended: "pa.Table"
    catalogue: "pa.Table"


def departing_in(markers: Markers, period: Period) -> Departing | None:
    """Return what to count in a period; None if it is no complete week, or nothing can be counted in it."""
    if period.grain is not Grain.WEEK:
        return None
    profiled = markers.of(keys.PROFILE)
    days_of = list(period.parts(Grain.DAY))
    if not all(_is_complete(profiled.get(day)) for day in days_of):
        return None
    window = Period.containing(period.start - timedelta(days=2 * DAYS - 1), Grain.DAY).until(period.end)
    days = {day: profiled[day] for day in window if day in profiled}
    if len({marker.counts.get("viewer_key") for marker in days.values()}) > 1:
        return None  # viewers of different keys cannot be found again
    first_end, last_end = (day.date - timedelta(days=DAYS) for day in (days_of[0], days_of[-1]))
    over = [(show, end) for show, end in _ended_shows(markers) if first_end <= end <= last_end]
    shows = tuple(Ended(show, end, known) for show, end in over if (known := _days_up_to(end, days)))
    return Departing(shows, days) if shows else None


def make_departures(
    store: Store, engine: "Engine", unit: BucketUnit, departing: Departing, catalogue: "pa.Table"
) -> list[Output]:
    """Count the viewers of all buckets, and write the dataset departure; ``unit`` is any unit of the period."""
    import pyarrow as pa  # noqa: PLC0415 - planning needs no kernel

    from jobs.profile.files import write  # noqa: PLC0415
    from marquee.engine.duckdb import open_database  # noqa: PLC0415

    start = min(day.date for day in departing.days)
    ended = pa.Table.from_pylist(
        [{**vars(one), "end_day": (one.ended - start).days} for one in departing.shows],
        pa.schema(
            [("show_id", pa.int64()), ("ended", pa.date32()), ("days_before", pa.int64()), ("end_day", pa.int64())]
        ),
    )
    buckets = common(departing.days.values()).buckets
    units = [
        DepartureUnit(
            lake=unit.lake,
            prefix=unit.prefix,
            bucket=bucket,
            values=unit.values,
            days=tuple(
                ((day.date - start).days, in_bucket(one, VIEWER_DAY, bucket, buckets))
                for day, one in departing.days.items()
            ),
            ended=ended,
            catalogue=catalogue,
        )
        for bucket in range(buckets)
    ]
    parts = engine.map(count_departures, units)
    with open_database() as db:
        finish_departures(db, parts, ended, unit.values)
        return write(db, store, unit.prefix, DEPARTURE)


def count_departures(unit: DepartureUnit, task: "Task") -> Counts:
    """Count a bucket's viewers of the shows that ended, and all its viewers, by stratum."""
    from jobs.profile.files import create_view, fetch, scan  # noqa: PLC0415

    store = unit.lake.open()
    with task.database(unit.lake.folder) as db:
        queries = [
            one
            for day, outputs in unit.days
            for one in scan(fetch(store, outputs, task.scratch), f", {day}::bigint as day")
        ]
        create_view(db, "played", VIEWER_DAY, queries or ["select *, 0::bigint as day from no_played"])
        db.register("catalogue", unit.catalogue)
        db.register("ended", unit.ended)
        return count_viewers(db, unit.values)


def count_viewers(db: "duckdb.DuckDBPyConnection", values: Values) -> Counts:
    """Return the tables ``COUNTED``, from the relations played, catalogue and ended."""
    for name in ("window_watched", "active_viewer"):
        query(name).create_table(db, name, values)
    return {name: query(name).select(db, values) for name in COUNTED}


def finish_departures(
    db: "duckdb.DuckDBPyConnection", parts: Sequence[Counts], ended: "pa.Table", values: Values
) -> None:
    """Create the table departure from the counts of all buckets."""
    import pyarrow as pa  # noqa: PLC0415

    for name in COUNTED:
        db.register(name, pa.concat_tables(part[name] for part in parts))
    db.register("ended", ended)
    query(DEPARTURE.name).create_table(db, DEPARTURE.name, values)


def _is_complete(day: Marker | None) -> bool:
    covered = coverage_of(day) if day else None
    return day is not None and (covered is None or covered.complete)


def _days_up_to(end: date, days: Mapping[Period, Marker]) -> int:
    """Return how many of the 28 days up to an end are there; 0 if the day of the end is not."""
    window = [day.date for day in days if end - timedelta(days=DAYS) < day.date <= end]
    return len(window) if end in window else 0


def _ended_shows(markers: Markers) -> list[tuple[int, date]]:
    """Return the captured shows that ended, and when; read again only after another capture."""
    captures = sorted(marker.run_id for marker in markers.of(keys.SCHEDULE_FETCH).values())
    key = hashlib.sha256(repr(captures).encode()).hexdigest()
    found = remember("ended-shows", key, lambda: [[show, str(end)] for show, end in _read_ended(markers)])
    return [(int(show), date.fromisoformat(end)) for show, end in found]


def _read_ended(markers: Markers) -> list[tuple[int, date]]:
    from marquee.lake.captured_schedule import ended_shows  # noqa: PLC0415 - reads with pyarrow

    return ended_shows(markers)
