"""Units of work that profile and audience send to their kernels: one bucket of viewers each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marquee.lake.datasets import SITTING_PERIOD, VIEWER_PERIOD
from marquee.lake.manifest import Output
from marquee.sql import Values
from marquee.storage.opening import StoreAddress

if TYPE_CHECKING:
    import pyarrow as pa

    from marquee.lake.captured_schedule import Catalogue

STATE = (VIEWER_PERIOD, SITTING_PERIOD)
"""Datasets of a period's state, which a run continues from the previous run."""


@dataclass(frozen=True)
class BucketUnit:
    """Fields of every unit: the lake, the run's prefix in it, the bucket, and the parameters of the queries."""

    lake: StoreAddress
    prefix: str
    bucket: int
    values: Values


@dataclass(frozen=True)
class DayUnit(BucketUnit):
    """A bucket of a day: the outputs of viewer_hour to read, and those of viewer_seen of the day before."""

    hours: tuple[Output, ...]
    registry: tuple[Output, ...]


@dataclass(frozen=True)
class DayFiles:
    """A bucket of a profiled day: the day's number in the period, from 0, and the outputs to read."""

    number: int
    viewer_day: tuple[Output, ...]
    sitting_day: tuple[Output, ...]


@dataclass(frozen=True)
class AudienceUnit(BucketUnit):
    """A bucket of a period.

    ``kept`` are the outputs of the blocks of the state that stay as they are. ``merging`` are those of the blocks that
    become one with the later ``days``, which has the edges ``block``; ``last`` is the last day, which may still grow.
    ``merged`` is the number of days in the blocks of both. ``seen`` is
    viewer_seen of the last day; ``sets`` is whether to write show_viewer; ``launches`` is launch_viewer of the day
    before a day; ``catalogue`` is of the episodes played in the period, and ``ladder`` is its season_episode.
    """

    kept: tuple[Output, ...]
    merging: tuple[Output, ...]
    merged: int
    days: tuple[DayFiles, ...]
    block: Values
    last: DayFiles
    seen: tuple[Output, ...]
    sets: bool
    launches: tuple[Output, ...]
    catalogue: "Catalogue"
    ladder: "pa.Table"
