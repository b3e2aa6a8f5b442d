"""Reads and writes files of the lake as relations of a DuckDB connection, for the kernels."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.profile.buckets import Share
from marquee.lake.datasets import Dataset
from marquee.lake.files import fetch_output, write_output
from marquee.lake.manifest import Output
from marquee.lake.parquet import ROWS_A_GROUP
from marquee.storage.base import Store, in_parallel

QUOTE = "'"
SPOOLED = 1 << 20
"""Rows of a spool that are held in memory: some 60 MB."""


def fetch(store: Store, outputs: Sequence[Output], scratch: Path) -> list[Path]:
    """Download and verify outputs; return their local files in order. CorruptLakeError if one is gone or damaged."""
    return list(in_parallel(store, lambda one: _fetch(store, one, scratch), outputs))


def _fetch(store: Store, output: Output, scratch: Path) -> Path:
    path = fetch_output(store, output, scratch)
    if not isinstance(output, Share):
        return path
    with tempfile.NamedTemporaryFile(dir=scratch, suffix=".parquet", delete=False) as part:
        _write_share(path, output, Path(part.name))
    if path.is_relative_to(scratch):  # a copy, not the object itself
        path.unlink()
    return Path(part.name)


def _write_share(path: Path, share: Share, part: Path) -> None:
    """Write the rows of a file that belong to a bucket to another file."""
    with pq.ParquetFile(path) as file, pq.ParquetWriter(part, file.schema_arrow) as writer:
        for batch in file.iter_batches(ROWS_A_GROUP):
            own = batch.column("viewer").to_numpy() % np.uint64(share.buckets) == share.bucket
            writer.write_batch(batch.filter(pa.array(own)))


def create_view(db: duckdb.DuckDBPyConnection, view: str, dataset: Dataset, queries: Sequence[str]) -> None:
    """Create a view over the rows of all queries; without queries, an empty view with the dataset's columns."""
    db.register(f"no_{view}", dataset.schema.empty_table())
    db.execute(f"create or replace temp view {view} as {' union all '.join(queries or [f'from no_{view}'])}")


def scan(files: Sequence[Path], added: str = "") -> list[str]:
    """Return the query of all rows in the files, with the columns ``added``; no query without files.

    The query is text, because DuckDB binds a relation again, and opens its files, for each step derived from it.
    """
    if not files:
        return []
    names = ", ".join(f"'{str(file).replace(QUOTE, QUOTE * 2)}'" for file in files)
    # The lake's keys have parts such as run=…, which are not columns.
    return [f"from read_parquet([{names}], hive_partitioning = false) select *{added}"]


def write(
    db: duckdb.DuckDBPyConnection, store: Store, prefix: str, dataset: Dataset, bucket: int | None = None
) -> list[Output]:
    """Write the relation with the dataset's name as a stream, sorted by its key; an empty bucket gets no file."""
    rows = db.sql(f"from {dataset.name} order by {', '.join(dataset.sort)}").to_arrow_reader(ROWS_A_GROUP)
    if bucket is not None:
        return write_batches(store, prefix, dataset, rows, bucket)
    return [write_output(store, prefix, dataset, rows)]


def write_batches(
    store: Store, prefix: str, dataset: Dataset, batches: Iterable[pa.RecordBatch], bucket: int
) -> list[Output]:
    """Write the rows of a bucket, which come in the order of the dataset's key; an empty bucket gets no file."""
    some = (batch for batch in batches if batch.num_rows)
    first = next(some, None)
    if first is None:
        return []
    rows = pa.RecordBatchReader.from_batches(first.schema, chain([first], some))
    return [write_output(store, prefix, dataset, rows, bucket)]


class Spool:
    """Rows of a bucket that come in parts, in the order of the dataset's key. Where they are many, they go to disk."""

    def __init__(self, dataset: Dataset, scratch: Path) -> None:
        self._dataset = dataset
        self._scratch = scratch
        self._files: list[Path] = []
        self._held: list[pa.RecordBatch] = []

    def add(self, rows: pa.Table) -> None:
        """Add the next rows."""
        self._held += rows.to_batches()
        if sum(batch.num_rows for batch in self._held) > SPOOLED:
            with tempfile.NamedTemporaryFile(dir=self._scratch, suffix=".arrow", delete=False) as file:
                self._files.append(Path(file.name))
            with pa.ipc.new_file(self._files[-1], rows.schema) as writer:
                for batch in self._held:
                    writer.write_batch(batch)
            self._held = []

    def write(self, store: Store, prefix: str, bucket: int) -> list[Output]:
        """Write the rows as a file of the lake; an empty bucket gets no file."""
        batches = chain(chain.from_iterable(map(_batches_of, self._files)), self._held)
        return write_batches(store, prefix, self._dataset, batches, bucket)


def _batches_of(file: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(file)) as source, pa.ipc.open_file(source) as reader:
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    file.unlink()
