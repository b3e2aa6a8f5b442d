"""What profile and audience send to their kernels: the work on one bucket of viewers each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marquee.lake.datasets import SITTING_PERIOD, VIEWER_PERIOD
from marquee.lake.manifest import Output
from marquee.sql import Values
from marquee.storage.opening import StoreAddress

if TYPE_CHECKING:
    import pyarrow as pa

STATE = (VIEWER_PERIOD, SITTING_PERIOD)
"""The datasets of a period's state, which a run takes up from the last one."""


@dataclass(frozen=True)
class BucketUnit:
    """What either unit has: the lake, the run's prefix in it, the bucket, and the values of the queries."""

    lake: StoreAddress
    prefix: str
    bucket: int
    values: Values


@dataclass(frozen=True)
class DayUnit(BucketUnit):
    """A bucket of a day: the outputs to read of viewer_hour, and of viewer_seen of the day before."""

    hours: tuple[Output, ...]
    registry: tuple[Output, ...]


@dataclass(frozen=True)
class DayFiles:
    """A bucket of a day that is profiled: the day's number in the period, from 0, and what to read of it."""

    number: int
    viewer_day: tuple[Output, ...]
    sitting_day: tuple[Output, ...]


@dataclass(frozen=True)
class AudienceUnit(BucketUnit):
    """A bucket of a period.

    ``days`` are those of the period so far; ``state`` is what the last run wrote of the first ``merged`` of them;
    ``seen`` is viewer_seen of the last day; ``catalogue`` has episode_id, show_id and runtime_seconds.
    """

    days: tuple[DayFiles, ...]
    state: tuple[Output, ...]
    merged: int
    seen: tuple[Output, ...]
    catalogue: "pa.Table"
