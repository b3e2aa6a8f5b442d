"""Writes and reads Parquet. Equal rows give equal bytes.

The query that computes the rows sorts them by the dataset's key. This module applies the schema and fixed writer
settings. Compression is zstd.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from marquee.lake.datasets import Dataset

ROWS_A_GROUP = 131_072

Rows: TypeAlias = pa.Table | pa.RecordBatchReader


def to_parquet(rows: Rows, dataset: Dataset) -> bytes:
    """Return the bytes of a file with the dataset's schema. Columns match by name; a reader is streamed."""
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    sink = pa.BufferOutputStream()
    write_groups(_row_groups(batches), dataset, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def write_groups(groups: Iterable[pa.Table], dataset: Dataset, sink: Path | pa.NativeFile) -> int:
    """Write row groups of at most ``ROWS_A_GROUP`` rows with the dataset's schema, one by one; return all rows."""
    schema, rows = dataset.schema, 0
    with pq.ParquetWriter(sink, schema, compression="zstd", store_schema=False) as writer:
        for group in groups:
            # One chunk per column: the writer ends pages where chunks end, so batch boundaries would change the bytes.
            whole = group.select(schema.names).cast(schema).combine_chunks()
            writer.write_table(whole, row_group_size=ROWS_A_GROUP)
            rows += group.num_rows
    return rows


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of a file, with all columns or with these. Small files take a fraction of ``pq.read_table``."""
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        return file.read(columns=None if columns is None else list(columns), use_threads=False)


def count_rows(data: bytes) -> int:
    """Return the number of rows of a file."""
    rows: int = pq.read_metadata(pa.BufferReader(data)).num_rows
    return rows


def empty(dataset: Dataset) -> pa.Table:
    """Return a table of the dataset without rows."""
    return dataset.schema.empty_table()


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows in tables of ``ROWS_A_GROUP``, independent of the batches' sizes."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= ROWS_A_GROUP:
            table = pa.Table.from_batches(held)
            whole = rows - rows % ROWS_A_GROUP
            yield from (table.slice(start, ROWS_A_GROUP) for start in range(0, whole, ROWS_A_GROUP))
            held, rows = table.slice(whole).to_batches(), rows - whole
    if rows:
        yield pa.Table.from_batches(held)
