"""Erases viewers from profiled days: finds what holds them, and writes the objects of their buckets again.

All that a day has of a viewer are rows of the viewer, so without these rows the day is as it would be made without the
viewer. ``episode_day`` alone has sums, from which the removed rows are subtracted.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.profile.buckets import Bucketing, bucketing_of
from jobs.profile.files import write_batches
from marquee.engine.base import Engine, Task
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import (
    DATASETS,
    EPISODE_DAY,
    SHOW_VIEWER,
    SITTING_DAY,
    VIEWER,
    VIEWER_DAY,
    VIEWER_PERIOD,
    VIEWER_SEEN,
)
from marquee.lake.erased_rows import (
    NOBODY,
    Pseudonyms,
    are_among,
    erased_viewers,
    held_in,
    of_bucket,
    rewrite,
    rewrite_blocks,
)
from marquee.lake.files import read_output, write_output
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers
from marquee.lake.parquet import from_parquet
from marquee.runs.erasing import search_runs
from marquee.storage.base import Store
from marquee.storage.opening import StoreAddress

log = logging.getLogger(__name__)

PERIODS_A_SEARCH = 8
"""Periods that one task searches for erased viewers."""

_DATASETS = {one.name: one for one in DATASETS}

OF_VIEWERS = frozenset(one.name for one in DATASETS if one.by_bucket and VIEWER in one.columns)
"""Datasets with the viewers' pseudonyms."""


@dataclass(frozen=True)
class SearchUnit:
    """Objects of some runs to search for viewers of requests: of each run its bucketing and its outputs."""

    lake: StoreAddress
    runs: tuple[tuple[Bucketing, tuple[Output, ...]], ...]
    requests: tuple[str, ...]


def search(unit: SearchUnit, task: Task) -> list[bool]:  # noqa: ARG001 - as all kernels
    """Return of each run whether it holds an erased viewer, or cannot be read."""
    lake = unit.lake.open()

    def holds(output: Output, of: Bucketing) -> bool:
        viewers = erased_viewers(lake, unit.requests, of.viewer_key)
        try:
            return len(held_in(lake, output, of.buckets, viewers)) > 0
        except CorruptLakeError:  # the run of the period says so
            return True

    return [any(holds(one, of) for one in outputs) for of, outputs in unit.runs]


def hold_erased(lake: StoreAddress, engine: Engine, runs: Sequence[Marker], markers: Markers) -> list[bool]:
    """Return of each published run of days or periods whether it holds an erased viewer; what has ended holds none."""

    def unit_of(requests: tuple[str, ...], some: Sequence[Marker]) -> SearchUnit:
        left = [(one, markers.ended(one.stage).left(_of_viewers(one))) for one in some]
        return SearchUnit(lake, tuple((bucketing_of(one), tuple(outputs)) for one, outputs in left), requests)

    return search_runs(engine, search, unit_of, runs, markers, PERIODS_A_SEARCH)


def _of_viewers(marker: Marker) -> Iterator[Output]:
    return (one for one in marker.outputs if one.dataset in OF_VIEWERS)


@dataclass(frozen=True)
class ErasedDayUnit:
    """A bucket of a published day: the bucketing of the day, the outputs, and the requests to honour."""

    lake: StoreAddress
    prefix: str
    of: Bucketing
    outputs: tuple[Output, ...]
    requests: tuple[str, ...]


@dataclass(frozen=True)
class ErasedDay:
    """What a day lists now of a bucket, and what it lost: rows of viewer_day by episode, viewers, and first days."""

    outputs: tuple[Output, ...]
    plays: pa.Table
    viewers: int
    first_days: pa.Array


def erase_bucket(unit: ErasedDayUnit, task: Task) -> ErasedDay:  # noqa: ARG001 - as all kernels
    """Write the objects of a bucket again without erased viewers."""
    lake = unit.lake.open()
    viewers = erased_viewers(lake, unit.requests, unit.of.viewer_key)
    removed = {one.name: one.schema.empty_table() for one in (VIEWER_DAY, SITTING_DAY, VIEWER_SEEN)}
    outputs = []
    for output in unit.outputs:
        dataset = _DATASETS[output.dataset]
        now, removed[output.dataset] = rewrite(lake, unit.prefix, dataset, output, unit.of.buckets, viewers)
        outputs += [now] if now else []
    plays = removed[VIEWER_DAY.name]
    lost = len(plays[VIEWER.name].unique())
    return ErasedDay(tuple(outputs), plays, lost, removed[VIEWER_SEEN.name]["first_day"].combine_chunks())


def subtract_plays(store: Store, prefix: str, output: Output, removed: Sequence[pa.Table]) -> Output:
    """Write episode_day again without the plays of removed rows; an episode without plays has no row."""
    lost: dict[int, list[int]] = {}
    for table in removed:
        for row in table.select(EPISODE_DAY.schema.names).to_pylist():
            of = lost.setdefault(row["episode_id"], [0, 0])
            of[0] += row["plays"]
            of[1] += row["watched_seconds"]
    rows = read_output(store, output).to_pylist()
    for row in rows:
        plays, seconds = lost.get(row["episode_id"], (0, 0))
        row["plays"], row["watched_seconds"] = row["plays"] - plays, row["watched_seconds"] - seconds
    left = pa.Table.from_pylist([row for row in rows if row["plays"]], EPISODE_DAY.schema)
    return write_output(store, prefix, EPISODE_DAY, left)


@dataclass(frozen=True)
class ErasedPeriodUnit(ErasedDayUnit):
    """A bucket of a published period that cannot be counted again.

    ``last`` is viewer_day of its last day, and ``before`` has the keys of viewer_day of the runs that it replaces, as
    far as they have not been collected: they have the viewers that were erased from the day.
    """

    bucket: int = 0
    last: tuple[Output, ...] = ()
    before: tuple[str, ...] = ()


def erase_period(unit: ErasedPeriodUnit, task: Task) -> ErasedDay:  # noqa: ARG001 - as all kernels
    """Write the objects of a bucket of a period again without erased viewers."""
    lake = unit.lake.open()
    erased = erased_viewers(lake, unit.requests, unit.of.viewer_key)
    outputs: list[Output] = []
    played = [NOBODY, *(_viewers_in(lake, one, unit) for one in unit.last)]
    by_dataset: dict[str, list[Output]] = {}
    for output in unit.outputs:
        by_dataset.setdefault(output.dataset, []).append(output)
    numbered = by_dataset.pop(SHOW_VIEWER.name, [])
    for name, blocks in by_dataset.items():
        if name == VIEWER_PERIOD.name:
            played += [_viewers_in(lake, one, unit) for one in blocks]
        outputs += rewrite_blocks(lake, unit.prefix, _DATASETS[name], blocks, unit.of.buckets, erased)
    for key in unit.before:
        found = from_parquet(lake.get(key), [VIEWER.name])[VIEWER.name].to_numpy()
        played.append(of_bucket(found[are_among(found, erased)], unit.bucket, unit.of.buckets))
    viewers = np.unique(np.concatenate(played))
    gone = are_among(viewers, erased)
    for output in numbered:
        outputs += _without_numbers(lake, unit.prefix, output, gone)
    return ErasedDay(tuple(outputs), VIEWER_DAY.schema.empty_table(), int(gone.sum()), pa.array([], pa.date32()))


def _viewers_in(store: Store, output: Output, unit: ErasedPeriodUnit) -> Pseudonyms:
    """Return the viewers of the unit's bucket in an object, which may have several buckets of the period."""
    viewers = np.unique(read_output(store, output, [VIEWER.name])[VIEWER.name].to_numpy())
    return of_bucket(viewers, unit.bucket, unit.of.buckets)


def _without_numbers(
    store: Store, prefix: str, output: Output, gone: np.ndarray[Any, np.dtype[np.bool_]]
) -> list[Output]:
    """Write show_viewer of a bucket again without some viewers, whose numbers are their places among all.

    The numbers of the others stay their places. If viewers of the last day are missing among all, because they were
    erased from the day before, nobody knows whose a number is, and the bucket has no rows any more.
    """
    rows = read_output(store, output)
    numbers = rows["viewer_number"].to_numpy()
    if (len(numbers) and numbers.max() >= len(gone)) or len(np.unique(numbers)) != len(gone):
        log.warning("%s is dropped: its viewers cannot be told from erased ones", output.key)
        return []
    if not gone.any():
        return [output]
    left = rows.filter(pa.array(~gone[numbers]))
    places = (np.cumsum(~gone) - 1)[left["viewer_number"].to_numpy()].astype(np.int32)
    column = left.column_names.index("viewer_number")
    left = left.set_column(column, SHOW_VIEWER.schema.field("viewer_number"), pa.array(places))
    return write_batches(store, prefix, SHOW_VIEWER, left.to_batches(), keys.bucket_of(output.key))
