"""Writes and reads Parquet. Equal rows give equal bytes.

The query that computes the rows sorts them by the dataset's key. This module applies the schema and fixed writer
settings. Compression is zstd.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from marquee.lake.datasets import Dataset

ROWS_A_GROUP = 131_072

Rows: TypeAlias = pa.Table | pa.RecordBatchReader


def to_parquet(rows: Rows, dataset: Dataset) -> bytes:
    """Return the bytes of a file with the dataset's schema. Columns match by name; a reader is streamed."""
    schema = dataset.schema
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd", store_schema=False) as writer:
        for group in _row_groups(batches):
            # One chunk per column: the writer ends pages where chunks end, so batch boundaries would change the bytes.
            whole = group.select(schema.names).cast(schema).combine_chunks()
            writer.write_table(whole, row_group_size=ROWS_A_GROUP)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_parquet(data: bytes) -> pa.Table:
    """Return the rows of a file."""
    return pq.read_table(pa.BufferReader(data))


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
