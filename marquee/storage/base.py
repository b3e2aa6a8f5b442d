"""One small interface over two stores: a local folder (``local.py``) and S3 (``s3.py``).

Both list in the order of keys, both write whole objects atomically, and both have conditional writes; the same tests
run on each.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from marquee.errors import MarqueeError

READERS = 16
"""Calls at a time, unless the settings of S3 say otherwise."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing tells of an object: its key, size in bytes, and etag (changes whenever the object does)."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class S3Options:
    """How to reach S3, beyond what boto3's own configuration chain knows."""

    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool = False
    ca_bundle: str | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    attempts: int = 5
    retry_mode: Literal["standard", "adaptive"] = "standard"
    parallel_reads: int = READERS
    part_mb: int = 16
    conditional_writes: bool = True


class ObjectNotFoundError(MarqueeError):
    """There is no object of that key."""


class PreconditionError(MarqueeError):
    """A conditional write found the object there already, or changed; nothing was written."""


class Store(Protocol):
    """Objects by key. Every call may raise TryAgainError when the store cannot be reached."""

    url: str
    readers: int
    """How many calls at a time are worth while."""

    def get(self, key: str) -> bytes:
        """Return an object's bytes; ObjectNotFoundError if there is none."""

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; None if there is none."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with the prefix, in the order of keys."""

    def names(self, folder: str = "") -> Sequence[str]:
        """Return the names right below a folder (``""``, or ending in a slash), sorted; a folder's ends in a slash."""

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """Write an object, atomically, over an older one if there is one."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Write an object unless there is one: PreconditionError then."""

    def put_if_unchanged(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        """Replace an object if its etag is still this one: PreconditionError otherwise."""

    def delete(self, key: str) -> None:
        """Delete an object; none there is fine."""

    def leftovers(self, before: datetime) -> Iterator[ObjectInfo]:
        """Yield what killed writes have left, begun before then: never listed, but there to ``sweep`` by these keys."""

    def sweep(self, key: str) -> None:
        """Delete what killed writes have left under a key that ``leftovers`` gave; none there is fine."""

    def fetch(self, key: str, scratch: Path) -> Path:
        """Return a local file to read the object from: itself where it is local, else a copy in ``scratch``."""


A = TypeVar("A")
R = TypeVar("R")


def in_parallel(store: Store, call: Callable[[A], R], arguments: Iterable[A]) -> Generator[R]:
    """Yield what a call to the store gives for each argument, in their order, while further calls are under way.

    The first error is raised; calls that have not begun then are not made.
    """
    pool = ThreadPoolExecutor(store.readers)
    try:
        yield from pool.map(call, arguments)
    finally:
        pool.shutdown(cancel_futures=True)


def not_found(store: Store, key: str) -> ObjectNotFoundError:
    """Return the error of a store that has no object of a key."""
    return ObjectNotFoundError(f"{store.url}/{key}: no such object")
