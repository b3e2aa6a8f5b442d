"""The kernel of an audience period: one bucket of viewers, from the state so far and the days that came since.

The state (viewer_period, sitting_period) holds all days of the period but the last, which may still grow. So a new
day is merged into what is there, and the days before are not read again. The state knows nothing of the schedule: that
comes in with the counting.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from jobs.profile import sql
from jobs.profile.bits import split_bits
from jobs.profile.files import fetch, open_lake, scan, show, write
from marquee.engine.base import Task, Unit
from marquee.errors import CorruptLakeError
from marquee.lake.datasets import SITTING_PERIOD, VIEWER_PERIOD, VIEWER_SEEN
from marquee.lake.manifest import Output
from marquee.storage.base import Store

log = logging.getLogger(__name__)

COUNTED = ("show_counts", "base_counts", "episode_countries")
STATE = (VIEWER_PERIOD, SITTING_PERIOD)


@dataclass(frozen=True)
class DayFiles:
    """A bucket of a day: the day's number in the period, from 0, and what to read of it."""

    number: int
    viewer_day: tuple[Output, ...]
    sitting_day: tuple[Output, ...]


class Watching(NamedTuple):
    """Queries of rows as the state has them: viewer_period, and sitting_period."""

    played: list[str]
    stretch: list[str]


@dataclass(frozen=True)
class PeriodPart:
    """What a bucket adds to its period: the files of the state, the tables ``COUNTED`` by name, and its viewers."""

    outputs: tuple[Output, ...]
    tables: Mapping[str, pa.Table]
    viewers: int


def count_bucket(unit: Unit, task: Task) -> PeriodPart:
    """Bring a bucket's state up to date and count its viewers.

    The unit has ``lake``, ``s3``, ``prefix`` and ``bucket``; ``days``, the DayFiles of the period so far; ``state``,
    the outputs of the last state, and ``merged``, how many of the days are in it; ``seen``, the last day's viewer_seen;
    ``catalogue``, a table of episode_id, show_id, runtime_seconds; and ``values`` for the queries.
    """
    store = open_lake(unit)
    outputs: list[Output] = []
    with task.database() as db:
        db.register("catalogue", unit["catalogue"])
        show(db, VIEWER_SEEN.name, VIEWER_SEEN, scan(fetch(store, unit["seen"], task.scratch)))
        state, days = _fetch_state(store, unit, task.scratch)
        *before, today = _scan_days(store, days, task.scratch)
        if len(unit["days"]) > 1:
            _show_all(db, [state, *before])
            make_state(db, unit["values"])
            outputs += write(db, store, unit["prefix"], VIEWER_PERIOD, unit["bucket"])
            # Read back from its file, which takes a tenth of the memory of a table.
            before = [Watching(scan(fetch(store, outputs, task.scratch)), [f"from {SITTING_PERIOD.name}"])]
            outputs += write(db, store, unit["prefix"], SITTING_PERIOD, unit["bucket"])
        _show_all(db, [*before, today])
        return PeriodPart(tuple(outputs), count(db, unit["values"]), len(db.table("viewer")))


def make_state(db: duckdb.DuckDBPyConnection, values: sql.Values) -> None:
    """Make the view viewer_period and the table sitting_period from the relations played and stretch."""
    sql.define(db, VIEWER_PERIOD.name, "viewer_period")
    sql.make(db, SITTING_PERIOD.name, "sittings", values)


def count(db: duckdb.DuckDBPyConnection, values: sql.Values) -> dict[str, pa.Table]:
    """Return the tables ``COUNTED`` from the relations played, stretch, viewer_seen and catalogue."""
    sql.make(db, "watched", "watched", values)
    sql.make(db, "viewer", "viewer", values)
    sql.make(db, "sitting", "sittings", values)
    sql.make(db, "viewer_show", "viewer_show", values)
    return {name: sql.select(db, name, values) for name in COUNTED}


def _fetch_state(store: Store, unit: Unit, scratch: Path) -> tuple[Watching, list[DayFiles]]:
    """Return the last state and the days that are not in it: all days, if the state cannot be read."""
    try:
        parts = ([one for one in unit["state"] if one.dataset == dataset.name] for dataset in STATE)
        return Watching(*(scan(fetch(store, part, scratch)) for part in parts)), unit["days"][unit["merged"] :]
    except CorruptLakeError as error:
        log.warning("%s; bucket %d is made from all days of the period", error, unit["bucket"])
        return Watching([], []), unit["days"]


def _scan_days(store: Store, days: Sequence[DayFiles], scratch: Path) -> list[Watching]:
    """Return the rows of days as they stand in the state: viewer_day with the bit of the day, and sitting_day."""
    outputs = [output for day in days for output in (*day.viewer_day, *day.sitting_day)]
    paths = dict(zip(outputs, fetch(store, outputs, scratch), strict=True))
    scans = []
    for day in days:
        low, high = split_bits(1 << day.number)
        bits = f", {low}::ubigint as days_low, {high}::ubigint as days_high"
        viewer_day, sitting_day = ([paths[one] for one in part] for part in (day.viewer_day, day.sitting_day))
        scans.append(Watching(scan(viewer_day, bits), scan(sitting_day)))
    return scans


def _show_all(db: duckdb.DuckDBPyConnection, parts: Sequence[Watching]) -> None:
    """Show the rows of all parts as the views played and stretch."""
    show(db, "played", VIEWER_PERIOD, [query for part in parts for query in part.played])
    show(db, "stretch", SITTING_PERIOD, [query for part in parts for query in part.stretch])
