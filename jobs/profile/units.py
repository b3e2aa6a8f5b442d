"""Units of work that profile and audience send to their kernels: one bucket of viewers each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marquee.lake.datasets import SITTING_PERIOD, VIEWER_PERIOD
from marquee.lake.manifest import Output
from marquee.sql import Values
from marquee.storage.opening import StoreAddress

if TYPE_CHECKING:
    import pyarrow as pa

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

    ``days`` are the period's days so far; ``state`` has the previous run's outputs for the first ``merged`` days;
    ``seen`` is viewer_seen of the last day; ``catalogue`` has episode_id, show_id and runtime_seconds.
    """

    days: tuple[DayFiles, ...]
    state: tuple[Output, ...]
    merged: int
    seen: tuple[Output, ...]
    catalogue: "pa.Table"
