"""The object store in a local folder. The etag of an object is its modification time and size."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from operator import attrgetter
from pathlib import Path

from marquee.storage.base import READERS, ObjectInfo, PreconditionError, not_found
from marquee.system_errors import explain, explained

WRITE_TRIES = 50
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP}
"""Errors of network drives that cannot sync a folder: there, names are durable when the server says so."""
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{8}")


class LocalStore:
    """A folder. A write goes to a hidden file, which is then renamed. A lock file serialises conditional writes.

    When a write returns, the object and its name are on the disk (``fsync`` of the file and of its folder). So a power
    loss cannot leave a marker whose objects are lost. ``durable=False`` leaves that to the operating system.
    """

    readers = READERS
    fetch_copies = False
    LOCK = ".lock"
    """Name of the file that serialises conditional writes, at the top of the folder."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self._top = os.fspath(root)
        self.url = root.as_uri()
        self._durable = durable

    def get(self, key: str) -> bytes:
        return self.get_version(key)[0]

    def get_version(self, key: str) -> tuple[bytes, str]:
        path = self._path(key)
        with explained(path, "read"):
            try:
                with path.open("rb") as file:
                    return file.read(), _version(os.fstat(file.fileno()))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise not_found(self, key) from error

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with explained(path, "read"):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _local_info(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # Keys sort differently from folders ("a.b" is before "a/b"), so all keys are sorted at the end.
        found: list[ObjectInfo] = []
        left = [prefix.rpartition("/")[0]]
        top = left[0]
        while left:
            folder = left.pop()
            start = f"{folder}/" if folder else ""
            for entry in self._scan(folder):
                name = entry.name
                key = start + name
                if name[0] == "." or (folder == top and not key.startswith(prefix)):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(key)
                    elif entry.is_file():
                        found.append(_local_info(key, entry.stat()))
                except OSError as error:  # deleted during the listing, or a link to nothing
                    _unless_gone(error)
        yield from _in_order(found)

    def _scan(self, folder: str) -> Sequence[os.DirEntry[str]]:
        try:
            return [*os.scandir(f"{self._top}/{folder}")]  # Path would take most of the time of a listing
        except OSError as error:
            _unless_gone(error)
            return []

    def list_all(self, prefix: str = "") -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        if (link := self._link_to(folder)) is not None:
            yield ObjectInfo(link, 0, "", link=True)
            return
        found: list[ObjectInfo] = []
        left = [folder]
        while left:  # a stack: folders may be nested more deeply than calls
            for info in self._entries(left.pop(), prefix):
                if isinstance(info, str):
                    left.append(info)
                else:
                    found.append(info)
        yield from _in_order(found)

    def _link_to(self, folder: str) -> str | None:
        """Return the first folder on the way to a folder that is a link; None if there is none."""
        parts = folder.split("/")
        ways = ("/".join(parts[: number + 1]) for number in range(len(parts)))
        return next((way for way in ways if way and (self.root / way).is_symlink()), None)

    def _entries(self, folder: str, prefix: str) -> Iterator[ObjectInfo | str]:
        """Yield what is in a folder: objects and links with the prefix, and the names of its folders."""
        for entry in self._scan(folder):
            key = f"{folder}/{entry.name}" if folder else entry.name
            if not key.startswith(prefix):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield key
                elif entry.is_file(follow_symlinks=False):
                    yield _local_info(key, entry.stat(follow_symlinks=False))
                else:
                    yield ObjectInfo(key, 0, "", link=True)
            except FileNotFoundError:  # deleted during the listing
                continue

    def names(self, folder: str = "") -> Sequence[str]:
        shown = [one for one in self._scan(folder) if not one.name.startswith(".")]
        return sorted(f"{one.name}/" if one.is_dir() else one.name for one in shown)

    def names_after(self, folder: str, after: str) -> Sequence[str]:
        return [name for name in self.names(folder) if name > after]

    def leftovers(self, before: datetime) -> Iterator[ObjectInfo]:
        for path, folders, files in os.walk(self.root, onerror=_unless_gone):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in filter(_HIDDEN.fullmatch, sorted(files)):
                file = Path(path, name)
                try:
                    status = file.stat()
                except FileNotFoundError:  # its writer has just renamed it
                    continue
                if datetime.fromtimestamp(status.st_mtime, UTC) < before:
                    yield _local_info(file.relative_to(self.root).as_posix(), status)

    def put(self, key: str, data: bytes, *, private: bool = False, durable: bool = True) -> ObjectInfo:
        return self._put(key, partial(_write, data), private=private, durable=durable)

    def put_file(self, key: str, path: Path) -> None:
        self._put(key, partial(shutil.copyfile, path))

    def _put(
        self, key: str, fill: Callable[[Path], object], *, private: bool = False, durable: bool = True
    ) -> ObjectInfo:
        temporary = self._write_hidden(key, fill, private=private, durable=durable)
        info = _local_info(key, temporary.stat())
        path = self._path(key)
        with explained(path, "write"):
            temporary.replace(path)
            if durable:
                self._sync(path.parent)
        return info

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        temporary = self._write_hidden(key, partial(_write, data))
        # Taken from the file before the link: afterwards another writer may already have replaced the object.
        info = _local_info(key, temporary.stat())
        path = self._path(key)
        with explained(path, "write"):
            try:
                path.hardlink_to(temporary)
            except FileExistsError as error:
                message = f"{self.url}/{key} exists already"
                raise PreconditionError(message) from error
            finally:
                temporary.unlink()
            self._sync(path.parent)
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
        with explained(path, "delete"):
            path.unlink(missing_ok=True)
        # Delete empty parent folders; stop at a folder that is not empty, for example because of another writer.
        for folder in path.parents:
            if folder == self.root:
                break
            try:
                folder.rmdir()
            except OSError:
                break

    def sweep(self, key: str) -> None:
        self.delete(key)

    def server_time(self) -> datetime | None:
        return None

    def fetch(self, key: str, scratch: Path) -> Path:  # noqa: ARG002 - nothing to copy
        if self.head(key) is None:
            raise not_found(self, key)
        return self._path(key)

    def _path(self, key: str) -> Path:
        if not key or any(part in {"", ".", ".."} for part in key.split("/")):
            message = f"Invalid key {key!r}. Use names separated by single slashes, none of them '.' or '..'"
            raise ValueError(message)
        return self.root / key

    def _write_hidden(
        self, key: str, fill: Callable[[Path], object], *, private: bool = False, durable: bool = True
    ) -> Path:
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with explained(path, "write"):
            for tries_left in reversed(range(WRITE_TRIES)):
                try:
                    self._make_folder(path.parent)
                    if private:
                        temporary.touch(mode=0o600)
                    fill(temporary)
                    # The kernel's file timestamps are milliseconds apart, so two writes in a row could share an etag.
                    now = time.time_ns()
                    os.utime(temporary, ns=(now, now))
                    if durable:
                        self._sync(temporary)
                    break
                except (FileNotFoundError, FileExistsError):  # a concurrent delete has removed the empty folders
                    if not tries_left:
                        raise
                except OSError:  # a partly written file would occupy space on a full disk
                    with suppress(OSError):
                        temporary.unlink()
                    raise
        return temporary

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and its parents; the name of each new one is on the disk when this returns."""
        missing = list(takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
        folder.mkdir(parents=True, exist_ok=True)
        for one in reversed(missing):
            self._sync(one.parent)

    def _sync(self, path: Path) -> None:
        """Wait until a file's bytes, or a folder's names, are on the disk."""
        if not self._durable:
            return
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # a concurrent delete has removed it
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.root / self.LOCK
        with explained(path, "write"):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = path.open("wb")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _local_info(key: str, status: os.stat_result) -> ObjectInfo:
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}"
    changed_ns = status.st_ctime_ns
    return ObjectInfo(key, status.st_size, etag, False, f"{etag}-{status.st_ino:x}-{changed_ns:x}", changed_ns)  # noqa: FBT003 - fast


def _in_order(found: list[ObjectInfo]) -> list[ObjectInfo]:
    """Return objects in the order of their keys as bytes."""
    if all(info.key.isascii() for info in found):
        return sorted(found, key=attrgetter("key"))
    return sorted(found, key=lambda info: os.fsencode(info.key))


def _version(status: os.stat_result) -> str:
    return _local_info("", status).version


def _unless_gone(error: OSError) -> None:
    """Raise the error of a listing, unless the folder is gone: a listing must not omit an unreadable folder."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise explain(error, doing="list") or error from error
