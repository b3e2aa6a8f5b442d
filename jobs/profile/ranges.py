"""Reads the viewer-level rows of a period by ranges of viewers: the one place where its kernel reads them.

All files are sorted by viewer. A range has all rows of its viewers, from all files, and is counted before the next is
read. So memory depends on the number of files, of which a period has a few dozen, and not on its days.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.profile.arrays import Words, words
from jobs.profile.day_bitmap import split_bitmap
from marquee.lake.datasets import TEXT, VIEWER_PERIOD, Dataset

ROWS = 1 << 17
"""Rows of a range, about: an array of them has a MiB, and a range costs little by itself."""
LEAST = 1 << 12
"""Least number of rows that are read from a file at once."""
CODED = pa.dictionary(pa.int32(), pa.string())
"""Type of texts, with a dictionary of each part of a file."""


@cache
def fields_of(dataset: Dataset) -> pa.Schema:
    """Return the schema of a dataset's rows as they are read."""
    texts = {column.name for column in dataset.columns if column.type == TEXT}
    return pa.schema([one.with_type(CODED) if one.name in texts else one for one in dataset.schema])


def of_day(viewer_day: pa.Table, number: int) -> pa.Table:
    """Return the rows of viewer_day in the form of viewer_period; ``number`` is the day's in the period, from 0."""
    for name, word in zip(("days_low", "days_high"), split_bitmap(1 << number), strict=True):
        column = pa.repeat(pa.scalar(word, pa.uint64()), viewer_day.num_rows)
        viewer_day = viewer_day.append_column(VIEWER_PERIOD.schema.field(name), column)
    return viewer_day


class SortedFile:
    """A file of rows in the order of viewers, read a part at a time.

    Args:
        path: the file.
        dataset: what it has.
        day: for a file of viewer_day, which is read in the form of viewer_period, the number of its day.
    """

    def __init__(self, path: Path, dataset: Dataset, day: int | None = None) -> None:
        self._schema = fields_of(dataset)
        self._day = day
        texts = [one.name for one in self._schema if one.type == CODED]
        self._file = pq.ParquetFile(path, read_dictionary=texts)
        self.rows: int = self._file.metadata.num_rows
        self._unread = self.rows
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._held = self._schema.empty_table()
        self._viewers: Words = np.empty(0, np.uint64)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def last(self) -> np.uint64 | None:
        """The last viewer that is held; None if all rows of the file are."""
        return self._viewers[-1] if self._unread else None

    def hold(self, rows: int) -> None:
        """Read on until a number of rows is held, or all."""
        if self._held.num_rows < rows:
            self._read(rows - self._held.num_rows)

    def take(self, bound: np.uint64 | None) -> pa.Table:
        """Return the rows below a viewer that were not taken before; of None, all rows."""
        if bound is None:
            self._read(self._unread)
            end = self._held.num_rows
        else:
            while self._unread and not (len(self._viewers) and self._viewers[-1] >= bound):
                self._read(LEAST)
            end = int(np.searchsorted(self._viewers, bound))
        taken, self._held, self._viewers = self._held.slice(0, end), self._held.slice(end), self._viewers[end:]
        return taken if self._day is None else of_day(taken, self._day)

    def _read(self, rows: int) -> None:
        """Read at least this many more rows, if there are as many."""
        parts = [self._held]
        while rows > 0 and self._unread:
            if self._batches is None:  # all are as large as the first
                self._batches = self._file.iter_batches(max(rows, LEAST), use_threads=False)
            part = pa.Table.from_batches([next(self._batches)])
            part = part if part.schema == self._schema else part.cast(self._schema)
            rows, self._unread = rows - part.num_rows, self._unread - part.num_rows
            parts.append(part)
        if len(parts) > 1:
            self._held = pa.concat_tables(parts)
            self._viewers = words(self._held["viewer"])


def in_ranges(
    leading: Sequence[Sequence[SortedFile]], following: Sequence[Sequence[SortedFile]], rows: int = 0
) -> Iterator[list[list[pa.Table]]]:
    """Yield range by range the rows of each file, as the files are given: at least one range, if only an empty one.

    Args:
        leading: files whose rows decide how far a range goes.
        following: files that need no viewer who is in none of the leading files.
        rows: rows of the leading files in a range, about; 0 for ``ROWS``. A viewer is never cut.
    """
    files = [one for group in leading for one in group]
    with ExitStack() as stack:
        for group in (*leading, *following):
            for one in group:
                stack.callback(one.close)
        share = min((rows or ROWS) / max(sum(one.rows for one in files), 1), 1)
        times = 1
        while True:
            for one in files:
                one.hold(times * max(ceil(one.rows * share), LEAST))
            ends = [one.last for one in files if one.last is not None]
            bound = min(ends) if ends else None
            taken = [[one.take(bound) for one in group] for group in leading]
            if bound is not None and not any(table.num_rows for group in taken for table in group):
                times *= 2  # one viewer has more rows than are held
                continue
            times = 1
            yield [*taken, *([one.take(bound) for one in group] for group in following)]
            if bound is None:
                return
