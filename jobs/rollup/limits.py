"""Limits of what one raw object may contain."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of what one raw object may contain. An object beyond one of them is not read.

    ``object_bytes`` is its size after decompression, and that of its records as JSON; ``block_bytes`` the size after
    decompression of an Avro block, and of the Parquet pages that are read at a time; ``columns`` and ``nesting`` are of
    an Avro or Parquet schema.
    """

    object_bytes: int = 8 << 30
    block_bytes: int = 64 << 20
    columns: int = 10_000
    nesting: int = 64
