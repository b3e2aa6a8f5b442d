"""Kernel of an audience period: counts one bucket of viewers from the state and later days, then merges all buckets.

The state (viewer_period, sitting_period; see ``state.py``) holds all days of the period except the last, which may
still grow. New days are merged into it in steps, and earlier days are not read again. The state is independent of the
schedule, which is joined when viewers are counted.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from jobs.profile.files import Spool, create_view, fetch, scan, write, write_batches
from jobs.profile.queries import query
from jobs.profile.ranges import SortedFile, fields_of, in_ranges
from jobs.profile.season_counts import Ladder, count_seasons, count_steps, find_steps
from jobs.profile.show_counts import (
    ShowViewers,
    count_base,
    count_genres,
    count_shows,
    find_traits,
    list_countries_of_episodes,
)
from jobs.profile.sittings import find_binges, join_sittings
from jobs.profile.units import STATE, AudienceUnit, DayFiles
from jobs.profile.watching import Watching, merge_played
from marquee.engine.base import Task
from marquee.engine.duckdb import open_database
from marquee.errors import CorruptLakeError
from marquee.lake.captured_schedule import Catalogue
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    LAUNCH,
    LAUNCH_VIEWER,
    SEASON_AUDIENCE,
    SEASON_STEP,
    SHOW_VIEWER,
    SITTING_DAY,
    SITTING_PERIOD,
    VIEWER_DAY,
    VIEWER_PERIOD,
    VIEWER_SEEN,
    Dataset,
)
from marquee.lake.manifest import Output
from marquee.machine import keeping_freed_memory
from marquee.sql import Values
from marquee.storage.base import Store

LAUNCHED = "launch_counts"
COUNTED = (
    "show_counts",
    "base_counts",
    "genre_counts",
    "episode_countries",
    "step_counts",
    "season_counts",
    LAUNCHED,
)
PUBLISHED = (AUDIENCE, AUDIENCE_BASE, AUDIENCE_GENRE, SEASON_STEP, SEASON_AUDIENCE, LAUNCH)

NO_LAUNCHES = pa.schema(
    [("show_id", pa.int64()), ("premiered", pa.date32()), ("reach", pa.int64()), ("watched_seconds", pa.int64())]
).empty_table()


class Plays(NamedTuple):
    """Rows in the form of the state: viewer_period and sitting_period."""

    played: pa.Table
    intervals: pa.Table


@dataclass(frozen=True)
class PeriodPart:
    """A bucket's part of a period: its files, the tables ``COUNTED`` by name, and the viewer count.

    ``unreadable`` says which object of the state cannot be read, and the part has nothing else.
    """

    outputs: tuple[Output, ...]
    tables: Mapping[str, pa.Table]
    viewers: int
    unreadable: str = ""


def count_bucket(unit: AudienceUnit, task: Task) -> PeriodPart:
    """Update a bucket's state and count its viewers."""
    with keeping_freed_memory():
        return _count_ranges(unit, task)


def _count_ranges(unit: AudienceUnit, task: Task) -> PeriodPart:
    """Update a bucket's state and count its viewers, range by range."""
    store = unit.lake.open()
    try:
        state = [_open_state(store, one, task.scratch) for one in (unit.kept, unit.merging)]
    except CorruptLakeError as error:
        return PeriodPart((), {}, 0, str(error))
    parts = [*state, *(_open_days(store, one, task.scratch) for one in (unit.days, [unit.last]))]
    seen = [SortedFile(path, VIEWER_SEEN) for path in fetch(store, unit.seen, task.scratch)]
    block = [Spool(dataset, task.scratch) for dataset in STATE]
    counts = _Counts(unit)
    for tables in in_ranges([one.played for one in parts], [*(one.intervals for one in parts), seen]):
        *rows, registry = tables
        kept, merging, new, last = (
            Plays(_together(played, VIEWER_PERIOD), _together(intervals, SITTING_PERIOD))
            for played, intervals in zip(rows[: len(parts)], rows[len(parts) :], strict=True)
        )
        if unit.days:
            merged = merge_plays(concatenate([merging, new]), {**unit.values, **unit.block})
            for spool, added in zip(block, merged, strict=True):
                spool.add(added)
            kept = concatenate([kept, merged])
        counts.add(concatenate([kept, last]), _together(registry, VIEWER_SEEN))
    outputs = [*unit.kept, *(one for spool in block for one in spool.write(store, unit.prefix, unit.bucket))]
    return counts.finish(store, outputs, task)


class _Counts:
    """The counts of a bucket, range by range."""

    def __init__(self, unit: AudienceUnit) -> None:
        self._unit = unit
        self._ladder = Ladder(unit.ladder)
        self._tables: dict[str, list[pa.Table]] = defaultdict(list)
        self._show_viewers = ShowViewers()
        self._played: list[pa.Table] = []
        self._viewers = 0

    def add(self, plays: Plays, seen: pa.Table) -> None:
        """Count the viewers of a range."""
        unit = self._unit
        watching = Watching(plays.played, unit.catalogue.episodes, unit.values)
        counted = count(watching, plays.intervals, seen, unit.catalogue, self._ladder, unit.values)
        for name, table in counted.items():
            self._tables[name].append(table)
        if unit.sets:
            self._show_viewers.add(watching)
        else:
            self._played.append(plays.played)
        self._viewers += len(watching.viewers)

    def finish(self, store: Store, outputs: Sequence[Output], task: Task) -> PeriodPart:
        """Write what lists viewers, and return all counts with all outputs."""
        unit = self._unit
        tables = {name: pa.concat_tables(parts) for name, parts in self._tables.items()}
        if unit.sets:
            written = write_batches(store, unit.prefix, SHOW_VIEWER, self._show_viewers.take(), unit.bucket)
            tables[LAUNCHED] = NO_LAUNCHES
        else:
            with task.database(unit.lake.folder) as db:
                create_view(db, "launch_before", LAUNCH_VIEWER, scan(fetch(store, unit.launches, task.scratch)))
                tables[LAUNCHED] = count_launches(db, pa.concat_tables(self._played), unit.catalogue, unit.values)
                written = write(db, store, unit.prefix, LAUNCH_VIEWER, unit.bucket)
        return PeriodPart((*outputs, *written), tables, self._viewers)


def merge_plays(plays: Plays, values: Values) -> Plays:
    """Return the rows of several days merged into a block of the state."""
    return Plays(merge_played(plays.played), join_sittings(plays.intervals, values))


def count(
    watching: Watching, intervals: pa.Table, seen: pa.Table, catalogue: Catalogue, ladder: Ladder, values: Values
) -> dict[str, pa.Table]:
    """Return the tables ``COUNTED``, except launches.

    Args:
        watching: what the viewers watched in the period.
        intervals: their sittings by block and day.
        seen: viewer_seen of the last day.
        catalogue: the episodes played, and the genres of their shows.
        ladder: the steps of the period's seasons.
        values: the thresholds, and what ``query_values`` says of the period.
    """
    sittings = join_sittings(intervals, {**values, "starts_before": None, "lasts_until": None})
    binges = find_binges(sittings, catalogue.episodes, watching, values)
    traits = find_traits(watching, seen, binges, values)
    steps = find_steps(watching, ladder, values)
    return {
        "show_counts": count_shows(watching, traits, values),
        "base_counts": count_base(watching, traits, values),
        "genre_counts": count_genres(watching, catalogue.genres, values),
        "episode_countries": list_countries_of_episodes(watching),
        "step_counts": count_steps(steps, ladder, values),
        "season_counts": count_seasons(steps, ladder),
    }


def count_launches(db: duckdb.DuckDBPyConnection, played: pa.Table, catalogue: Catalogue, values: Values) -> pa.Table:
    """Return launch_counts of a day, and create the table launch_viewer, from the relation launch_before."""
    db.register("played", played)
    db.register("catalogue", catalogue.episodes)
    db.register("premiere", catalogue.premieres)
    query("launch_viewer").create_table(db, LAUNCH_VIEWER.name, values)
    return query(LAUNCHED).select(db, values)


def finish_period(
    store: Store, prefix: str, parts: Sequence[PeriodPart], catalogue: Catalogue, ladder: pa.Table, values: Values
) -> tuple[list[Output], int]:
    """Write the period's audience; return all outputs of the period, and the seconds of unknown shows."""
    outputs = [output for part in parts for output in part.outputs]
    with open_database() as db:
        make_audience(db, parts, catalogue, ladder, values)
        for dataset in PUBLISHED:
            outputs += write(db, store, prefix, dataset)
        (orphans,) = query("orphans").select(db, values).to_pylist()
    return outputs, orphans["watched_seconds"]


def list_steps(catalogue: Catalogue, values: Values) -> pa.Table:
    """Return season_episode: the steps of the catalogue's seasons."""
    with open_database() as db:
        db.register("season_list", catalogue.seasons)
        return query("season_episode").select(db, values)


def make_audience(
    db: duckdb.DuckDBPyConnection,
    parts: Sequence[PeriodPart],
    catalogue: Catalogue,
    ladder: pa.Table,
    values: Values,
) -> None:
    """Create the tables of the datasets ``PUBLISHED`` from the counts of all buckets."""
    for name in COUNTED:
        db.register(name, pa.concat_tables(part.tables[name] for part in parts))
    db.register("catalogue", catalogue.episodes)
    db.register("season_episode", ladder)
    for dataset in PUBLISHED:
        query(dataset.name).create_table(db, dataset.name, values)


def concatenate(parts: Sequence[Plays]) -> Plays:
    """Return the rows of all parts."""
    return Plays(*(pa.concat_tables(tables, promote_options="permissive") for tables in zip(*parts, strict=True)))


class _Files(NamedTuple):
    """Files of the state or of days, whose rows together are ``Plays``."""

    played: list[SortedFile]
    intervals: list[SortedFile]


def _open_state(store: Store, outputs: Sequence[Output], scratch: Path) -> _Files:
    """Open blocks of the state; CorruptLakeError if they cannot be read."""
    of_each = {dataset: [one for one in outputs if one.dataset == dataset.name] for dataset in STATE}
    return _Files(
        *([SortedFile(path, dataset) for path in fetch(store, listed, scratch)] for dataset, listed in of_each.items())
    )


def _open_days(store: Store, days: Sequence[DayFiles], scratch: Path) -> _Files:
    """Open days, whose rows are read in the form of the state."""
    outputs = [output for day in days for output in (*day.viewer_day, *day.sitting_day)]
    paths = dict(zip(outputs, fetch(store, outputs, scratch), strict=True))
    return _Files(
        [SortedFile(paths[one], VIEWER_DAY, day.number) for day in days for one in day.viewer_day],
        [SortedFile(paths[one], SITTING_DAY) for day in days for one in day.sitting_day],
    )


def _together(tables: Sequence[pa.Table], dataset: Dataset) -> pa.Table:
    """Return the rows of all tables, with the columns of a dataset."""
    return pa.concat_tables([fields_of(dataset).empty_table(), *tables])
