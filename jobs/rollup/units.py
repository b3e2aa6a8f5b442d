"""Units of work that the rollup sends to its kernels, and the keys of what its mapper returns."""

from dataclasses import dataclass
from datetime import datetime

from jobs.rollup.contract import Fields, Window
from jobs.rollup.limits import Limits
from marquee.lake.manifest import Input
from marquee.storage.opening import StoreAddress

REJECTED = -1
"""Key of rejected lines in the mapper's output. Keys from 0 are buckets."""

READ = -2
"""Key of line counts in the mapper's output (schema READS), taken before validation."""


@dataclass(frozen=True)
class ParseUnit:
    """Raw objects of an hour, and how to read their lines."""

    raw: StoreAddress
    objects: tuple[Input, ...]
    window: Window
    fields: Fields
    buckets: int
    viewer_key: str
    """Fingerprint of the viewer keys, which ``key.py`` finds where the task runs."""
    limits: Limits
    most_rejects: float
    """How many rejects make the hour fail, whatever its other lines are."""
    compiled: bool = False
    """Whether the compiled modules are used: all tasks of an hour have to hash event ids alike."""


@dataclass(frozen=True)
class Destination:
    """Destination of an hour's outputs: the lake, the run's prefix in it, and the start of the hour, in UTC.

    Viewers of the requests ``erased`` are left out; the keys with the fingerprint ``viewer_key`` find their lines among
    the rejects.
    """

    lake: StoreAddress
    prefix: str
    hour: datetime
    erased: tuple[str, ...] = ()
    viewer_key: str = ""
