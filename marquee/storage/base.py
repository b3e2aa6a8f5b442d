"""Interface of the two object stores: a local folder (``local.py``) and S3 (``s3.py``).

Both list objects in the order of keys, write whole objects atomically, and have conditional writes. The same tests run
on both.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from marquee.errors import MarqueeError

READERS = 16
"""Default number of calls at a time."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object in a listing: its key, its size in bytes, and its etag, which changes whenever the object changes.

    ``link`` marks what ``list_all`` lists of a local folder, but nobody reads: a symbolic link, a pipe or a device.

    ``version`` identifies the bytes more strictly than the etag, for caches that outlast a process: in a folder also by
    inode and time of change, which no tool can set. It is empty if nothing identifies them. ``changed_ns`` is the time
    of the change, where another change within the clock's step could leave the version as it is; otherwise 0.
    """

    key: str
    size: int
    etag: str
    link: bool = False
    version: str = field(default="", compare=False)
    changed_ns: int = field(default=0, compare=False)


@dataclass(frozen=True)
class S3Options:
    """Connection to S3, in addition to boto3's own configuration chain."""

    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool = False
    ca_bundle: str | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    retry_for_s: float = 10.0
    retry_mode: Literal["standard", "adaptive"] = "standard"
    parallel_reads: int = READERS
    part_mb: int = 16
    conditional_writes: bool = True


class ObjectNotFoundError(MarqueeError):
    """There is no object with this key."""


class PreconditionError(MarqueeError):
    """The condition of a write does not hold: the object exists already or has changed. Nothing was written."""


class Store(Protocol):
    """Objects by key. Every call may raise TryAgainError when the store cannot be reached."""

    url: str
    readers: int
    """Recommended number of calls at a time."""
    fetch_copies: bool
    """Whether ``fetch`` copies an object, which takes long, and does not only name its file."""

    def get(self, key: str) -> bytes:
        """Return an object's bytes; ObjectNotFoundError if there is none."""

    def get_version(self, key: str) -> tuple[bytes, str]:
        """Return an object's bytes and their version, as in ``ObjectInfo``; ObjectNotFoundError if there is none."""

    def head(self, key: str) -> ObjectInfo | None:
        """Return key, size and etag of an object; None if there is none."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with the prefix, in the order of keys."""

    def list_all(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield what ``list`` yields and what it omits: hidden names, keys that end in a slash, and symbolic links.

        Links are not followed. If a folder of the prefix itself is a link, that link is all there is.
        """

    def names(self, folder: str = "") -> Sequence[str]:
        """Return the sorted names in a folder (``""``, or ending in a slash); a folder's name ends in a slash."""

    def names_after(self, folder: str, after: str) -> Sequence[str]:
        """Return some of the ``names`` in a folder that sort after a name, from the first on; empty if there are none.

        It takes one request, whatever the number of names.
        """

    def put(self, key: str, data: bytes, *, private: bool = False, durable: bool = True) -> ObjectInfo:
        """Write an object atomically. It replaces an existing one.

        In a folder, only this user can read a ``private`` object; a power loss may take one that is not ``durable``.
        """

    def put_file(self, key: str, path: Path) -> None:
        """Write an object from a local file, like ``put``; the file is not held in memory."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Write an object; PreconditionError if there is one already."""

    def put_if_unchanged(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        """Replace an object that still has this etag; PreconditionError otherwise."""

    def delete(self, key: str) -> None:
        """Delete an object if it exists."""

    def leftovers(self, before: datetime) -> Iterator[ObjectInfo]:
        """Yield leftovers of killed writes that began before an instant. ``list`` omits, ``sweep`` deletes them."""

    def sweep(self, key: str) -> None:
        """Delete the leftover with a key from ``leftovers`` if it exists."""

    def server_time(self) -> datetime | None:
        """Return the time of the store's server; None without a server."""

    def fetch(self, key: str, scratch: Path) -> Path:
        """Return a local file with the object: the object itself if it is local, otherwise a copy in ``scratch``."""


A = TypeVar("A")
R = TypeVar("R")


def in_parallel(store: Store, call: Callable[[A], R], arguments: Iterable[A]) -> Generator[R]:
    """Call the store for all arguments in parallel; yield the results in the order of the arguments.

    The first error is raised, and calls that have not started are cancelled.
    """
    pool = ThreadPoolExecutor(store.readers)
    try:
        yield from pool.map(call, arguments)
    finally:
        pool.shutdown(cancel_futures=True)


def not_found(store: Store, key: str) -> ObjectNotFoundError:
    """Return the error for a key without an object."""
    return ObjectNotFoundError(f"{store.url}/{key}: no such object")
