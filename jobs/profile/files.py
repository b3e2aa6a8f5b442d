"""What the kernels read and write: files of the lake, as relations of a DuckDB connection."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from jobs.common.commit import READERS, Output, fetch_output, write_output
from jobs.common.datasets import Dataset
from jobs.common.engine import Unit
from jobs.common.parquet import ROWS_A_GROUP
from jobs.common.store import S3Options, Store, open_store


def open_lake(unit: Unit) -> Store:
    """Open the lake that a unit of work names."""
    return open_store(unit["lake"], S3Options(**unit["s3"]))


def fetch(store: Store, outputs: Sequence[Output], scratch: Path) -> dict[Output, Path]:
    """Return local files of the outputs, checked; CorruptLakeError if one is gone or damaged."""
    with ThreadPoolExecutor(max(1, min(len(outputs), READERS))) as pool:
        return dict(zip(outputs, pool.map(lambda one: fetch_output(store, one, scratch), outputs), strict=True))


def scan(
    db: duckdb.DuckDBPyConnection, dataset: Dataset, outputs: Iterable[Output], paths: Mapping[Output, Path]
) -> duckdb.DuckDBPyRelation:
    """Return a dataset's rows in the outputs' files, read as they are needed."""
    files = [str(paths[one]) for one in outputs]
    if not files:
        return db.from_arrow(dataset.schema.empty_table())
    # The lake's keys have parts such as run=…, which are no columns.
    return db.read_parquet(files, hive_partitioning=False)


def write(
    db: duckdb.DuckDBPyConnection, store: Store, prefix: str, dataset: Dataset, bucket: int | None = None
) -> tuple[Output, ...]:
    """Write the connection's table of the dataset's name, sorted by its key; an empty bucket has no file."""
    table = db.table(dataset.name)
    if bucket is not None and len(table) == 0:
        return ()
    rows = table.order(", ".join(dataset.sort)).to_arrow_reader(ROWS_A_GROUP)
    return (write_output(store, prefix, dataset, rows, bucket),)
