"""The tables of a day of the schedule, read back into memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from jobs.schedule_fetch import normalise as real
from marquee.lake.datasets import Dataset
from marquee.lake.parquet import from_parquet


@dataclass(frozen=True)
class Schedule:
    """Tables and counts of a day."""

    tables: Mapping[Dataset, pa.Table]
    counts: dict[str, Any]


def normalise(answers: Mapping[str, Iterable[Any]]) -> Schedule:
    """Return the tables of one day from the items of each source."""
    with TemporaryDirectory() as folder:
        found = real.normalise(answers, Path(folder))
        return Schedule({one: from_parquet(file.read_bytes()) for one, file in found.tables.items()}, found.counts)
