"""What the rollup sends to its kernels."""

from dataclasses import dataclass, field

from pydantic import SecretStr

from jobs.rollup.contract import Fields, Window
from marquee.lake.manifest import Input
from marquee.storage.opening import StoreAddress


@dataclass(frozen=True)
class ParseUnit:
    """Some raw objects of an hour, and how their lines are read. The viewer key shows in no text of a unit."""

    raw: StoreAddress
    objects: tuple[Input, ...]
    window: Window
    fields: Fields
    buckets: int
    viewer_key: SecretStr = field(repr=False)


@dataclass(frozen=True)
class Destination:
    """Where a run writes: the lake, and the run's prefix in it."""

    lake: StoreAddress
    prefix: str
