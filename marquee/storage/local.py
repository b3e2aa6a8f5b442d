"""The object store in a local folder. The etag of an object is its modification time and size."""

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from marquee.storage.base import READERS, ObjectInfo, PreconditionError, not_found
from marquee.system_errors import explain, explained

WRITE_TRIES = 50
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{8}")


class LocalStore:
    """A folder. A write goes to a hidden file, which is then renamed. A lock file serialises conditional writes."""

    readers = READERS
    LOCK = ".lock"
    """Name of the file that serialises conditional writes, at the top of the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with explained(path, "read"):
            try:
                return path.read_bytes()
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
        folder = self.root / prefix.rpartition("/")[0]
        found = []
        for path, folders, files in os.walk(folder, onerror=_unless_gone):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                key = Path(path, name).relative_to(self.root).as_posix()
                if key.startswith(prefix) and not name.startswith(".") and (info := self.head(key)):
                    found.append(info)
        yield from sorted(found, key=lambda info: info.key.encode())

    def names(self, folder: str = "") -> Sequence[str]:
        try:
            entries = list(os.scandir(self.root / folder))
        except OSError as error:
            _unless_gone(error)
            return []
        shown = [one for one in entries if not one.name.startswith(".")]
        return sorted(f"{one.name}/" if one.is_dir() else one.name for one in shown)

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

    def put(self, key: str, data: bytes) -> ObjectInfo:
        temporary = self._write_hidden(key, data)
        info = _local_info(key, temporary.stat())
        path = self._path(key)
        with explained(path, "write"):
            temporary.replace(path)
        return info

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        temporary = self._write_hidden(key, data)
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

    def _write_hidden(self, key: str, data: bytes) -> Path:
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with explained(path, "write"):
            for tries_left in reversed(range(WRITE_TRIES)):
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    temporary.write_bytes(data)
                    break
                except (FileNotFoundError, FileExistsError):  # a concurrent delete has removed the empty folders
                    if not tries_left:
                        raise
                except OSError:  # a partly written file would occupy space on a full disk
                    with suppress(OSError):
                        temporary.unlink()
                    raise
        # The kernel's file timestamps are milliseconds apart, so two writes in a row could share an etag.
        now = time.time_ns()
        os.utime(temporary, ns=(now, now))
        return temporary

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.root / self.LOCK
        with explained(path, "write"):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = path.open("wb")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _local_info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}")


def _unless_gone(error: OSError) -> None:
    """Raise the error of a listing, unless the folder is gone: a listing must not omit an unreadable folder."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise explain(error, doing="list") or error from error
