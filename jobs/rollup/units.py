"""Units of work that the rollup sends to its kernels."""

from dataclasses import dataclass, field

from pydantic import SecretStr

from jobs.rollup.contract import Fields, Window
from marquee.lake.manifest import Input
from marquee.storage.opening import StoreAddress


@dataclass(frozen=True)
class ParseUnit:
    """Raw objects of an hour, and how to read their lines. The ``repr`` of a unit does not show the viewer key."""

    raw: StoreAddress
    objects: tuple[Input, ...]
    window: Window
    fields: Fields
    buckets: int
    viewer_key: SecretStr = field(repr=False)


@dataclass(frozen=True)
class Destination:
    """Destination of a run's outputs: the lake, and the run's prefix in it."""

    lake: StoreAddress
    prefix: str
