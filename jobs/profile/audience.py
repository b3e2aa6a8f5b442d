"""The kernel of an audience period: one bucket of viewers, from the state so far and the days that came since.

The state (viewer_period, sitting_period) holds all days of the period but the last, which may still grow. So a new
day is merged into what is there, and the days before are not read again. The state knows nothing of the schedule: that
comes in with the counting.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from jobs.common.commit import Output
from jobs.common.datasets import SITTING_DAY, SITTING_PERIOD, VIEWER_DAY, VIEWER_PERIOD, VIEWER_SEEN
from jobs.common.engine import Task, Unit
from jobs.common.errors import CorruptLakeError
from jobs.common.store import Store
from jobs.profile import sql
from jobs.profile.bits import split_bits
from jobs.profile.files import fetch, open_lake, scan, write

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
    """Rows as the state has them: viewer_period, and sitting_period."""

    played: duckdb.DuckDBPyRelation
    stretch: duckdb.DuckDBPyRelation


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
    state, days = _fetch_state(store, unit, task.scratch)
    files = [*unit["seen"], *(output for day in days for output in (*day.viewer_day, *day.sitting_day))]
    paths = state | fetch(store, files, task.scratch)
    outputs: list[Output] = []
    with task.database() as db:
        db.register("catalogue", unit["catalogue"])
        scan(db, VIEWER_SEEN, unit["seen"], paths).create_view("viewer_seen")
        before = [_scan_state(db, state), *(_scan_day(db, day, paths) for day in days[:-1])]
        today = _scan_day(db, days[-1], paths)
        if len(unit["days"]) > 1:
            show(before)
            make_state(db, unit["values"])
            for dataset in STATE:
                outputs += write(db, store, unit["prefix"], dataset, unit["bucket"])
            before = [Watching(*(db.table(dataset.name) for dataset in STATE))]
        show([*before, today])
        tables = count(db, unit["values"])
        return PeriodPart(tuple(outputs), tables, len(db.table("viewer")))


def show(parts: Sequence[Watching]) -> None:
    """Show all rows of the parts as the views played and stretch."""
    for name, relations in zip(("played", "stretch"), zip(*parts, strict=True), strict=True):
        reduce(lambda one, other: one.union(other), relations).create_view(name)


def make_state(db: duckdb.DuckDBPyConnection, values: sql.Values) -> None:
    """Make the tables viewer_period and sitting_period from the relations played and stretch."""
    sql.make(db, VIEWER_PERIOD.name, "viewer_period", values)
    sql.make(db, SITTING_PERIOD.name, "sittings", values)


def count(db: duckdb.DuckDBPyConnection, values: sql.Values) -> dict[str, pa.Table]:
    """Return the tables ``COUNTED`` from the relations played, stretch, viewer_seen and catalogue."""
    sql.make(db, "watched", "watched", values)
    sql.make(db, "viewer", "viewer", values)
    sql.make(db, "sitting", "sittings", {**values, "lasts_until": None})
    sql.make(db, "viewer_show", "viewer_show", values)
    return {name: sql.select(db, name, values) for name in COUNTED}


def _fetch_state(store: Store, unit: Unit, scratch: Path) -> tuple[dict[Output, Path], list[DayFiles]]:
    """Return the files of the last state and the days that are not in it: all days, if the state cannot be read."""
    try:
        return fetch(store, unit["state"], scratch), unit["days"][unit["merged"] :]
    except CorruptLakeError as error:
        log.warning("%s; bucket %d is made from all days of the period", error, unit["bucket"])
        return {}, unit["days"]


def _scan_state(db: duckdb.DuckDBPyConnection, state: Mapping[Output, Path]) -> Watching:
    return Watching(
        *(scan(db, one, [output for output in state if output.dataset == one.name], state) for one in STATE)
    )


def _scan_day(db: duckdb.DuckDBPyConnection, day: DayFiles, paths: Mapping[Output, Path]) -> Watching:
    """Return a day's rows as they stand in the state: viewer_day with the bit of the day, and sitting_day."""
    low, high = split_bits(1 << day.number)
    return Watching(
        scan(db, VIEWER_DAY, day.viewer_day, paths).project(
            f"*, {low}::ubigint as days_low, {high}::ubigint as days_high"
        ),
        scan(db, SITTING_DAY, day.sitting_day, paths),
    )
