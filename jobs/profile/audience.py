"""Kernel of an audience period: counts one bucket of viewers from the state and later days, then merges all buckets.

The state (viewer_period, sitting_period) holds all days of the period except the last, which may still grow. A new day
is merged into the state, and earlier days are not read again. The state is independent of the schedule, which is joined
when viewers are counted.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from jobs.profile.day_bitmap import split_bitmap
from jobs.profile.files import create_view, fetch, scan, write
from jobs.profile.queries import query
from jobs.profile.units import STATE, AudienceUnit, DayFiles
from marquee.engine.base import Task
from marquee.engine.duckdb import open_database
from marquee.errors import CorruptLakeError
from marquee.lake.datasets import AUDIENCE, AUDIENCE_BASE, SITTING_PERIOD, VIEWER_PERIOD, VIEWER_SEEN
from marquee.lake.manifest import Output
from marquee.sql import Values
from marquee.storage.base import Store

log = logging.getLogger(__name__)

COUNTED = ("show_counts", "base_counts", "episode_countries")


class Watching(NamedTuple):
    """Queries of rows in the form of the state: viewer_period and sitting_period."""

    played: list[str]
    intervals: list[str]


@dataclass(frozen=True)
class PeriodPart:
    """A bucket's part of a period: the files of the state, the tables ``COUNTED`` by name, and the viewer count."""

    outputs: tuple[Output, ...]
    tables: Mapping[str, pa.Table]
    viewers: int


def count_bucket(unit: AudienceUnit, task: Task) -> PeriodPart:
    """Update a bucket's state and count its viewers."""
    store = unit.lake.open()
    outputs: list[Output] = []
    with task.database() as db:
        db.register("catalogue", unit.catalogue)
        create_view(db, VIEWER_SEEN.name, VIEWER_SEEN, scan(fetch(store, unit.seen, task.scratch)))
        state, days = _fetch_state(store, unit, task.scratch)
        *before, today = _scan_days(store, days, task.scratch)
        if len(unit.days) > 1:
            _create_views(db, [state, *before])
            make_state(db, unit.values)
            outputs += write(db, store, unit.prefix, VIEWER_PERIOD, unit.bucket)
            # Reading the file back takes a tenth of the memory of a table.
            before = [Watching(scan(fetch(store, outputs, task.scratch)), [f"from {SITTING_PERIOD.name}"])]
            outputs += write(db, store, unit.prefix, SITTING_PERIOD, unit.bucket)
        _create_views(db, [*before, today])
        return PeriodPart(tuple(outputs), count(db, unit.values), len(db.table("viewer")))


def make_state(db: duckdb.DuckDBPyConnection, values: Values) -> None:
    """Create the view viewer_period and the table sitting_period from the relations played and play_interval."""
    query("viewer_period").create_view(db, VIEWER_PERIOD.name)
    query("sittings").create_table(db, SITTING_PERIOD.name, values)


def count(db: duckdb.DuckDBPyConnection, values: Values) -> dict[str, pa.Table]:
    """Return the tables ``COUNTED``, from the relations played, play_interval, viewer_seen and catalogue."""
    query("watched").create_table(db, "watched", values)
    query("viewer").create_table(db, "viewer", values)
    query("sittings").create_table(db, "sitting", values)
    query("viewer_show").create_table(db, "viewer_show", values)
    return {name: query(name).select(db, values) for name in COUNTED}


def finish_period(
    store: Store, prefix: str, parts: Sequence[PeriodPart], catalogue: pa.Table, values: Values
) -> tuple[list[Output], int]:
    """Write the period's audience; return all outputs of the period, and the seconds of unknown shows."""
    outputs = [output for part in parts for output in part.outputs]
    with open_database() as db:
        make_audience(db, parts, catalogue, values)
        for dataset in (AUDIENCE, AUDIENCE_BASE):
            outputs += write(db, store, prefix, dataset)
        (orphans,) = query("orphans").select(db, values).to_pylist()
    return outputs, orphans["watched_seconds"]


def make_audience(
    db: duckdb.DuckDBPyConnection, parts: Sequence[PeriodPart], catalogue: pa.Table, values: Values
) -> None:
    """Create the tables audience and audience_base from the counts of all buckets."""
    for name in COUNTED:
        db.register(name, pa.concat_tables(part.tables[name] for part in parts))
    db.register("catalogue", catalogue)
    for dataset in (AUDIENCE, AUDIENCE_BASE):
        query(dataset.name).create_table(db, dataset.name, values)


def _fetch_state(store: Store, unit: AudienceUnit, scratch: Path) -> tuple[Watching, Sequence[DayFiles]]:
    """Return the latest state and the days not in it; no state and all days if the state cannot be read."""
    try:
        parts = ([one for one in unit.state if one.dataset == dataset.name] for dataset in STATE)
        return Watching(*(scan(fetch(store, part, scratch)) for part in parts)), unit.days[unit.merged :]
    except CorruptLakeError as error:
        log.warning("%s; bucket %d is rebuilt from all days of the period", error, unit.bucket)
        return Watching([], []), unit.days


def _scan_days(store: Store, days: Sequence[DayFiles], scratch: Path) -> list[Watching]:
    """Return the rows of days in the form of the state: viewer_day with the bit of the day, and sitting_day."""
    outputs = [output for day in days for output in (*day.viewer_day, *day.sitting_day)]
    paths = dict(zip(outputs, fetch(store, outputs, scratch), strict=True))
    scans = []
    for day in days:
        low, high = split_bitmap(1 << day.number)
        bitmap = f", {low}::ubigint as days_low, {high}::ubigint as days_high"
        viewer_day, sitting_day = ([paths[one] for one in part] for part in (day.viewer_day, day.sitting_day))
        scans.append(Watching(scan(viewer_day, bitmap), scan(sitting_day)))
    return scans


def _create_views(db: duckdb.DuckDBPyConnection, parts: Sequence[Watching]) -> None:
    """Create the views played and play_interval over the rows of all parts."""
    create_view(db, "played", VIEWER_PERIOD, [one for part in parts for one in part.played])
    create_view(db, "play_interval", SITTING_PERIOD, [one for part in parts for one in part.intervals])
