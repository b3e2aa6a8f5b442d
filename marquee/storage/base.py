"""One small interface over two stores: a local folder, which is here, and S3, which is in ``s3.py``.

Both list in the order of keys, both write whole objects atomically, and both have conditional writes; the same tests
run on each. A local object's etag is its time of change and size; on S3 it is the server's.
"""

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from marquee.errors import ConfigError, MarqueeError

READERS = 16
"""Calls at a time, unless the settings of S3 say otherwise."""

WRITE_TRIES = 50
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{8}")


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


@lru_cache(maxsize=16)
def open_store(url: str, s3: S3Options | None = None) -> Store:
    """Open the store of a URL: ``file:///folder`` or ``s3://bucket/prefix``."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        from marquee.storage.s3 import S3Store  # noqa: PLC0415 - boto3 is slow, and unused on local folders

        return S3Store(parts.netloc, parts.path.strip("/"), s3 or S3Options())
    message = f"{url!r} is no store: expected file:///folder or s3://bucket/prefix"
    raise ConfigError(message)


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


class LocalStore:
    """A folder. Writes go to a hidden file and are renamed; conditional ones are serialised by a lock on the folder."""

    readers = READERS

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise not_found(self, key) from error

    def head(self, key: str) -> ObjectInfo | None:
        try:
            status = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _local_info(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # The order of keys is not the order of folders ("a.b" sorts before "a/b"), so all keys are sorted at the end.
        folder = self.root / prefix.rpartition("/")[0]
        found = []
        for path, folders, files in os.walk(folder, onerror=_unless_gone):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                key = Path(path, name).relative_to(self.root).as_posix()
                if key.startswith(prefix) and not name.startswith(".") and (info := self.head(key)):
                    found.append(info)
        yield from sorted(found, key=lambda info: info.key.encode())

    def leftovers(self, before: datetime) -> Iterator[ObjectInfo]:
        for path, folders, files in os.walk(self.root, onerror=_unless_gone):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in filter(_HIDDEN.fullmatch, sorted(files)):
                file = Path(path, name)
                try:
                    status = file.stat()
                except FileNotFoundError:  # its writer is alive
                    continue
                if datetime.fromtimestamp(status.st_mtime, UTC) < before:
                    yield _local_info(file.relative_to(self.root).as_posix(), status)

    def put(self, key: str, data: bytes) -> ObjectInfo:
        temporary = self._write_hidden(key, data)
        info = _local_info(key, temporary.stat())
        temporary.replace(self._path(key))
        return info

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        temporary = self._write_hidden(key, data)
        # Of what we write, not of what stands there by the time we return: that may be another writer's.
        info = _local_info(key, temporary.stat())
        try:
            self._path(key).hardlink_to(temporary)
        except FileExistsError as error:
            message = f"{self.url}/{key} is there already"
            raise PreconditionError(message) from error
        finally:
            temporary.unlink()
        return info

    def put_if_unchanged(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        with self._locked():
            now = self.head(key)
            if now is None or now.etag != etag:
                message = (
                    f"{self.url}/{key} has changed: expected etag {etag}, found {now.etag if now else 'no object'}"
                )
                raise PreconditionError(message)
            return self.put(key, data)

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        # Empty folders are no objects; a folder that another writer has just filled stays.
        for folder in path.parents:
            if folder == self.root:
                break
            try:
                folder.rmdir()
            except OSError:
                break

    def sweep(self, key: str) -> None:
        self.delete(key)

    def fetch(self, key: str, scratch: Path) -> Path:  # noqa: ARG002 - nothing to copy
        path = self._path(key)
        if not path.is_file():
            raise not_found(self, key)
        return path

    def _path(self, key: str) -> Path:
        if not key or any(part in {"", ".", ".."} for part in key.split("/")):
            message = f"{key!r} is no key: expected names separated by single slashes, none of them '.' or '..'"
            raise ValueError(message)
        return self.root / key

    def _write_hidden(self, key: str, data: bytes) -> Path:
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        for tries_left in reversed(range(WRITE_TRIES)):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(data)
                break
            except (FileNotFoundError, FileExistsError):  # a delete takes the empty folders away meanwhile
                if not tries_left:
                    raise
        # The kernel stamps files with a clock of some milliseconds: two writes in one tick would share an etag.
        now = time.time_ns()
        os.utime(temporary, ns=(now, now))
        return temporary

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _local_info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}")


def _unless_gone(error: OSError) -> None:
    """Let a listing fail rather than leave out a folder that cannot be read; one that is not there holds nothing."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def not_found(store: Store, key: str) -> ObjectNotFoundError:
    """Return the error of a store that has no object of a key."""
    return ObjectNotFoundError(f"{store.url}/{key}: no such object")
