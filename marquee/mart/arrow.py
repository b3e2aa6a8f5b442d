"""Converts answers to Arrow tables with the same types for every database.

Whole numbers are int64 (decimal if they do not fit), other numbers float64, days date32, times timestamps in
microseconds (without a zone; a mart's times are UTC), and texts string.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

WHOLE = pa.int64()
LARGE = pa.decimal128(38, 0)
"""Whole numbers beyond 64 bits."""


def normalise(table: pa.Table) -> pa.Table:
    """Return a table with the types above; other types, such as lists, do not change."""
    columns = [_normal(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def column_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return Python values as a column of one of the types above."""
    if kind == WHOLE:
        try:
            return pa.array(values, WHOLE)
        except (OverflowError, pa.ArrowInvalid):
            return pa.array(values, LARGE)
    if kind == pa.string() and any(isinstance(value, bytes) for value in values):
        kind = pa.binary()
    return pa.array(values, kind)


def _normal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if kinds.is_integer(kind) or (kinds.is_decimal(kind) and kind.scale == 0):
        try:
            return column.cast(WHOLE)
        except pa.ArrowInvalid:
            return column.cast(LARGE)
    if kinds.is_decimal(kind) or kinds.is_floating(kind):
        return column.cast(pa.float64())
    if kinds.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz))
    if kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return column.cast(pa.string())
    return column
