"""A store in a local folder. A local object's etag is its time of change and size."""

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from marquee.storage.base import READERS, ObjectInfo, PreconditionError, not_found

WRITE_TRIES = 50
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{8}")


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
