"""Reads and writes files of the lake as relations of a DuckDB connection, for the kernels."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow as pa

from marquee.lake.datasets import Dataset
from marquee.lake.files import fetch_output, write_output
from marquee.lake.manifest import Output
from marquee.lake.parquet import ROWS_A_GROUP
from marquee.storage.base import Store, in_parallel

QUOTE = "'"


def fetch(store: Store, outputs: Sequence[Output], scratch: Path) -> list[Path]:
    """Download and verify outputs; return their local files in order. CorruptLakeError if one is gone or damaged."""
    return list(in_parallel(store, lambda one: fetch_output(store, one, scratch), outputs))


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
        first = next(rows, None)
        if first is None:
            return []
        rows = pa.RecordBatchReader.from_batches(rows.schema, chain([first], rows))
    return [write_output(store, prefix, dataset, rows, bucket)]
