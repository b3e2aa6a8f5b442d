"""Splits events by viewer: by bucket, which is the viewer modulo the number of buckets, and by ranges of viewers."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from jobs.rollup.events import TEXTS

MOST_BITS = 16
"""At most 2 to the power of this many ranges of viewers."""


class Splitter:
    """Collects events, and splits them by bucket: all at the end, or before if they take more than ``budget`` bytes.

    So there is one table for each bucket, because tables of a few rows cost more than their rows.
    """

    def __init__(self, buckets: int, budget: int) -> None:
        self._buckets = buckets
        self._budget = budget
        self._held: list[pa.Table] = []
        self._bytes = 0

    def add(self, events: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        """Add events, which must keep their memory; yield (bucket, events) if there is no room for more."""
        self._held.append(events)
        self._bytes += events.get_total_buffer_size()  # of many small chunks, nbytes takes ten times as long
        if self._bytes > self._budget:
            yield from self.rest()

    def rest(self) -> Iterator[tuple[int, pa.Table]]:
        """Yield (bucket, events) of what was added."""
        events = pa.concat_tables(self._held) if self._held else None
        self._held, self._bytes = [], 0
        if events:
            yield from by_bucket(events, self._buckets)


def by_bucket(events: pa.Table, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield (bucket, events)."""
    bucket = (events["viewer"].to_numpy() % np.uint64(buckets)).astype(np.uint16)
    order = np.argsort(bucket, kind="stable")  # a radix sort
    bounds = np.searchsorted(bucket[order], np.arange(buckets + 1))
    in_order = events.unify_dictionaries().combine_chunks().take(pa.array(order))
    for number in range(buckets):
        first, end = int(bounds[number]), int(bounds[number + 1])
        if end > first:
            yield number, _with_own_texts(in_order.slice(first, end - first))


def by_viewer_range(tables: Sequence[pa.Table], most: int) -> Iterator[pa.Table]:
    """Yield the events of tables in parts of about ``most`` rows: each of a range of viewers, in the order of viewers.

    A viewer is in one part, however many events they have.
    """
    rows = sum(table.num_rows for table in tables)
    bits = min(MOST_BITS, ((rows - 1) // most).bit_length())
    if not bits:
        yield pa.concat_tables(tables)
        return
    ranges = [(table["viewer"].to_numpy() >> np.uint64(64 - bits)).astype(np.uint16) for table in tables]
    for number in range(1 << bits):
        own = [table.filter(pa.array(part == number)) for table, part in zip(tables, ranges, strict=True)]
        if any(table.num_rows for table in own):
            yield pa.concat_tables(own)


def _with_own_texts(events: pa.Table) -> pa.Table:
    """Return events without texts that none of them has, if there are more texts than events."""
    for name in TEXTS:
        column = events[name].chunk(0)
        if len(column.dictionary) > events.num_rows:
            own, place = np.unique(column.indices.to_numpy(), return_inverse=True)
            compact = pa.DictionaryArray.from_arrays(place.astype(np.int32), column.dictionary.take(pa.array(own)))
            events = events.set_column(events.column_names.index(name), name, compact)
    return events
