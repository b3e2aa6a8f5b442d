"""Moves rows of viewers to newer keys: from the objects of a run to those that it would have under these keys.

``move_rows`` (map) reads an object, and yields its rows by dataset and by the bucket of the new pseudonyms.
``write_bucket`` (reduce) sorts the rows of a bucket and writes them. Neither needs raw events: the new pseudonym is a
hash of the old one (``jobs.rollup.viewer``).

show_viewer has numbers instead of pseudonyms: the places of a bucket's viewers, in their order. Its rows are joined to
the viewers of the bucket, and numbered anew.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.rollup.key import keys_of
from jobs.rollup.pseudonyms import Numbers, Viewers
from jobs.rollup.settings import MOST_BUCKETS
from jobs.rollup.viewer import newer_keys
from marquee.engine.base import Task
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.datasets import DATASETS, SHOW_VIEWER, VIEWER, Dataset
from marquee.lake.erased_rows import NOBODY, of_bucket
from marquee.lake.files import in_order, read_output, write_output
from marquee.lake.manifest import Output
from marquee.storage.base import Store
from marquee.storage.opening import StoreAddress

log = logging.getLogger(__name__)

MOVED = tuple(one for one in DATASETS if one.by_bucket)
"""Datasets with rows of viewers."""
_PLACES = {one.name: place for place, one in enumerate(MOVED)}
NUMBER = "viewer_number"


@dataclass(frozen=True)
class MoveUnit:
    """An object to move: the fingerprints of its keys and of the newer ones, and the number of its buckets.

    Of show_viewer, ``played`` are the objects that have the viewers of its bucket, and perhaps of others.
    """

    lake: StoreAddress
    output: Output
    before: str
    after: str
    buckets: int
    played: tuple[Output, ...] = ()


@dataclass(frozen=True)
class Destination:
    """Destination of the rows: the lake, and the prefix of the run in it."""

    lake: StoreAddress
    prefix: str


def move_rows(unit: MoveUnit, task: Task) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of an object under the newer keys, by dataset and bucket."""
    lake, dataset = unit.lake.open(), MOVED[_PLACES[unit.output.dataset]]
    rows = read_output(lake, unit.output)
    if dataset is SHOW_VIEWER:
        viewers = _viewers_of(lake, unit)
        numbers = rows[NUMBER].to_numpy()
        if len(np.unique(numbers)) != len(viewers) or (len(numbers) and numbers.max() >= len(viewers)):
            log.warning("%s is dropped: nobody knows which viewers it numbers", unit.output.key)
            return
        rows = rows.drop_columns([NUMBER])
        old = viewers[numbers]
    else:
        old = rows[VIEWER.name].to_numpy()
        rows = rows.select(
            [one.name for one in dataset.schema if one.name in rows.column_names and one.name != VIEWER.name]
        )
    known, places = np.unique(old, return_inverse=True)
    new = _under_newer_keys(known, unit, task)[places]
    rows = rows.append_column(VIEWER.name, pa.array(new))
    bucket = new % np.uint64(unit.buckets)
    order = np.argsort(bucket, kind="stable")
    bounds = np.searchsorted(bucket[order], np.arange(unit.buckets + 1))
    in_order = rows.take(pa.array(order))
    for number in range(unit.buckets):
        first, end = int(bounds[number]), int(bounds[number + 1])
        if end > first:
            yield _PLACES[dataset.name] * MOST_BUCKETS + number, in_order.slice(first, end - first).combine_chunks()


def write_bucket(
    key: int,
    tables: Iterator[pa.Table],
    to: Destination,
    task: Task,  # noqa: ARG001 - as all reducers
) -> tuple[Output, None]:
    """Write the rows of a bucket of a dataset, sorted by its key."""
    place, bucket = divmod(key, MOST_BUCKETS)
    dataset = MOVED[place]
    rows = pa.concat_tables(tables)
    if dataset is SHOW_VIEWER:
        _, numbers = np.unique(rows[VIEWER.name].to_numpy(), return_inverse=True)
        rows = rows.append_column(NUMBER, pa.array(numbers.astype(np.int32)))
    return write_output(to.lake.open(), to.prefix, dataset, in_order(dataset, [rows]), bucket), None


def merge_nothing(tables: Iterator[pa.Table], to: Destination, task: Task) -> None:
    """Merge nothing: no reducer has a table."""


def _under_newer_keys(viewers: Numbers, unit: MoveUnit, task: Task) -> Numbers:
    newer = newer_keys(keys_of(unit.after), unit.before)
    if not newer:
        message = f"{unit.output.key} has viewers by keys with the fingerprint {unit.before}, which are not older ones"
        raise ConfigError(message)
    with task.database() as db:
        return Viewers(newer).after(db, viewers)


def _viewers_of(lake: Store, unit: MoveUnit) -> Numbers:
    """Return the viewers of the bucket of a unit, in order."""
    parts = [read_output(lake, one, [VIEWER.name])[VIEWER.name].to_numpy() for one in unit.played]
    viewers: Numbers = np.unique(np.concatenate([NOBODY, *parts]))
    return of_bucket(viewers, keys.bucket_of(unit.output.key), unit.buckets)


def datasets_of(stage: str) -> tuple[Dataset, ...]:
    """Return the datasets of a stage with rows of viewers."""
    return tuple(one for one in MOVED if one.stage == stage)
