"""Files of the lake: writes them under a run's prefix, and reads them checked against their manifest."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.manifest import Output
from marquee.lake.parquet import ROWS_A_GROUP, Rows, count_rows, from_parquet, to_parquet
from marquee.storage.base import ObjectNotFoundError, Store


def write_output(store: Store, prefix: str, dataset: Dataset, rows: Rows, bucket: int | None = None) -> Output:
    """Write one file of a dataset under a run's prefix."""
    name = keys.table_file(dataset.name) if bucket is None else keys.bucket_file(dataset.name, bucket)
    data = to_parquet(rows, dataset)
    return write_bytes(store, prefix + name, dataset.name, data, count_rows(data))


def write_bytes(store: Store, key: str, dataset: str, data: bytes, rows: int) -> Output:
    """Write one object of a run."""
    store.put(key, data)
    return Output(dataset, key, len(data), hashlib.sha256(data).hexdigest(), rows)


def read_bytes(store: Store, output: Output) -> bytes:
    """Return the bytes of an object that a marker lists; CorruptLakeError if they differ from the marker."""
    with _listed(store, output):
        data = store.get(output.key)
    _check(store, output, len(data), hashlib.sha256(data).hexdigest())
    return data


def fetch_output(store: Store, output: Output, scratch: Path) -> Path:
    """Return a checked local file of an object that a marker lists, for objects that are too large for the memory."""
    with _listed(store, output):
        path = store.fetch(output.key, scratch)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    _check(store, output, path.stat().st_size, found)
    return path


def read_output(store: Store, output: Output) -> pa.Table:
    """Return the rows of a Parquet object that a marker lists; checks its bytes and the number of rows."""
    table = from_parquet(read_bytes(store, output))
    _check_rows(store, output, table.num_rows)
    return table


def read_fetched(store: Store, output: Output, path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet object that ``fetch_output`` has fetched, a row group at a time."""
    with pq.ParquetFile(path) as file:
        _check_rows(store, output, file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
            yield pa.Table.from_batches([batch])


@contextmanager
def _listed(store: Store, output: Output) -> Iterator[None]:
    try:
        yield
    except ObjectNotFoundError as error:
        message = f"{store.url}/{output.key} is missing, but its manifest lists it. Run its period again with --force"
        raise CorruptLakeError(message) from error


def _check(store: Store, output: Output, size: int, sha256: str) -> None:
    if (size, sha256) != (output.size, output.sha256):
        message = (
            f"{store.url}/{output.key} is damaged: expected {output.size} bytes with SHA-256 {output.sha256}, as its "
            f"manifest says, found {size} bytes with {sha256}. Run its period again with --force"
        )
        raise CorruptLakeError(message)


def _check_rows(store: Store, output: Output, rows: int) -> None:
    if rows != output.rows:
        message = (
            f"{store.url}/{output.key} is damaged: expected {output.rows} rows, as its manifest says, found {rows}. "
            "Run its period again with --force"
        )
        raise CorruptLakeError(message)
