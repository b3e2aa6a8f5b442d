"""Files of the lake: writes them under a run's prefix, and reads them checked against their manifest."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.manifest import WAY_OUT, Marker, Output
from marquee.lake.parquet import ROWS_A_GROUP, Rows, count_rows, empty, from_parquet, to_parquet
from marquee.storage.base import ObjectNotFoundError, Store


def write_output(store: Store, prefix: str, dataset: Dataset, rows: Rows, bucket: int | None = None) -> Output:
    """Write one file of a dataset under a run's prefix."""
    name = keys.table_file(dataset.name) if bucket is None else keys.bucket_file(dataset.name, bucket)
    data = to_parquet(rows, dataset)
    return write_bytes(store, prefix + name, dataset.name, data, count_rows(data), private=dataset.private)


def in_order(dataset: Dataset, tables: Iterable[pa.Table]) -> pa.Table:
    """Return the rows of several tables of a dataset by bucket, sorted; blocks of a state may have rows of one key."""
    rows = pa.concat_tables(tables)
    others = [name for name in dataset.schema.names if name not in dataset.sort]
    return rows.sort_by([(name, "ascending") for name in (*dataset.sort, *others)])


def write_bytes(store: Store, key: str, dataset: str, data: bytes, rows: int, *, private: bool = False) -> Output:
    """Write one object of a run."""
    store.put(key, data, private=private)
    return Output(dataset, key, len(data), hashlib.sha256(data).hexdigest(), rows)


def write_file(store: Store, key: str, dataset: str, path: Path, rows: int) -> Output:
    """Write one object of a run from a local file, which may be larger than the memory."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    store.put_file(key, path)
    return Output(dataset, key, path.stat().st_size, sha256, rows)


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
    _check_file(store, output, path)
    return path


def read_output(store: Store, output: Output, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of a Parquet object that a marker lists, by default with all columns.

    It checks the object's bytes and the number of rows.
    """
    table = from_parquet(read_bytes(store, output), columns)
    _check_rows(store, output, table.num_rows)
    return table


def read_dataset(store: Store, marker: Marker, dataset: Dataset) -> pa.Table:
    """Return the rows of all files that a marker lists of a dataset, checked as by ``read_output``."""
    return pa.concat_tables([empty(dataset), *(read_output(store, one) for one in marker.of(dataset))])


def read_fetched(store: Store, output: Output, path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet object that ``fetch_output`` has fetched, a row group at a time."""
    with pq.ParquetFile(path) as file:
        _check_rows(store, output, file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
            yield pa.Table.from_batches([batch])


def verify_output(store: Store, output: Output, scratch: Path) -> None:
    """Check that an object that a marker lists has its bytes and, if it is Parquet, its rows; CorruptLakeError if not.

    The bytes are streamed, so memory does not depend on the size of the object.
    """
    with _listed(store, output):
        path = store.fetch(output.key, scratch)
    try:
        _check_file(store, output, path)
        if output.key.endswith(".parquet"):
            _check_rows(store, output, pq.read_metadata(path).num_rows)
    except pa.ArrowException as error:
        message = f"{store.url}/{output.key} is damaged: it is not a Parquet file. {WAY_OUT}"
        raise CorruptLakeError(message) from error
    finally:
        if path.is_relative_to(scratch):  # a copy, not the object itself
            path.unlink()


@contextmanager
def _listed(store: Store, output: Output) -> Iterator[None]:
    try:
        yield
    except ObjectNotFoundError as error:
        message = f"{store.url}/{output.key} is missing, but its manifest lists it. {WAY_OUT}"
        raise CorruptLakeError(message) from error


def _check_file(store: Store, output: Output, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    _check(store, output, path.stat().st_size, found)


def _check(store: Store, output: Output, size: int, sha256: str) -> None:
    if (size, sha256) != (output.size, output.sha256):
        message = (
            f"{store.url}/{output.key} is damaged: expected {output.size} bytes with SHA-256 {output.sha256}, as its "
            f"manifest says, found {size} bytes with {sha256}. {WAY_OUT}"
        )
        raise CorruptLakeError(message)


def _check_rows(store: Store, output: Output, rows: int) -> None:
    if rows != output.rows:
        message = (
            f"{store.url}/{output.key} is damaged: expected {output.rows} rows, as its manifest says, found {rows}. "
            f"{WAY_OUT}"
        )
        raise CorruptLakeError(message)
