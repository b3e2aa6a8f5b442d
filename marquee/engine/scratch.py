"""The scratch folder, in which this process writes all its temporary files.

It is the folder of ``engine.scratch``, or the system's when unset. All code that writes temporary files takes the
folder from ``tempfile``, so one setting covers shuffles, fetched objects, rows for MySQL, and DuckDB's spill files.

Within it each process has a folder of its own, ``marquee-run-…``, which only its user can open (mode 0700). It holds a
lock as long as it lives. A folder without a lock is of a process that was killed; the next process deletes it.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from marquee import stopping
from marquee.errors import ConfigError
from marquee.system_errors import explain

SETTING = "MARQUEE_ENGINE__SCRATCH"


@contextmanager
def temporary_files_in(folder: Path | None) -> Iterator[None]:
    """Create this process's temporary files in a folder while the body runs; None means the system's folder."""
    before = tempfile.tempdir
    tempfile.tempdir = before if folder is None else str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def check_scratch(folder: Path | None) -> Path:
    """Return the scratch folder, after checking that this process can write a file there.

    Raises:
        ConfigError: the folder does not exist, or this user has no permission to write there.
        TryAgainError: its disk is full.
    """
    found = folder or _of_system()
    if not found.is_dir():
        message = f"{SETTING}={found}: the folder does not exist. Create it, or set another"
        raise ConfigError(message)
    try:
        with tempfile.TemporaryFile(dir=found) as file:
            file.write(b"scratch")
            file.flush()
    except OSError as error:
        where = f"{SETTING}={found}" if folder else f"{found}, the system's folder for temporary files"
        message = f"cannot write {where}: {error.strerror}. Set {SETTING} to another folder"
        raise explain(error, where, "write") or ConfigError(message) from error
    return found


def _of_system() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        message = f"cannot write any folder for temporary files: {error.strerror}. Set {SETTING} to a folder"
        raise ConfigError(message) from error


OWN = "marquee-run-"
_UNLOCKED = "marquee-new-"
TRIES = 3
"""A task that still runs may create a file while its folder is being deleted."""
_LOCK = ".lock"
"""Lock file in a process's folder. The folder gets its final name after the lock is taken, so none is without."""


@dataclass(frozen=True)
class _Held:
    folder: Path
    lock: int


_held: dict[tuple[int, Path], _Held] = {}
"""Folders of this process by process and root. A forked process has its own."""
_guard = threading.Lock()


def own_scratch(root: Path | None = None) -> Path:
    """Return this process's own folder below a scratch folder; made on first use, deleted with the process.

    Making it deletes the folders of killed processes. A folder from this function is its own root.
    """
    found = (root or _of_system()).absolute()
    with _guard:
        for (process, above), held in _held.items():
            if process == os.getpid() and found in (above, held.folder) and held.folder.is_dir():
                return held.folder
        sweep(found)
        held = _make(found)
        _held[os.getpid(), found] = held
        return held.folder


def sweep(root: Path) -> None:
    """Delete the folders of this user's processes that were killed."""
    with suppress(OSError):
        for entry in os.scandir(root):
            if entry.name.startswith(OWN) and entry.is_dir(follow_symlinks=False):
                _delete_unless_held(Path(entry.path))


@atexit.register
def delete_own_scratch() -> None:
    """Delete this process's own folders; the next call of ``own_scratch`` makes a new one."""
    for owner, held in list(_held.items()):
        if owner[0] == os.getpid():
            for _ in range(TRIES):
                shutil.rmtree(held.folder, ignore_errors=True)
            os.close(held.lock)
            del _held[owner]


stopping.finally_(delete_own_scratch)


def _make(root: Path) -> _Held:
    new = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=root))
    lock = os.open(new / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return _Held(new.rename(new.with_name(new.name.replace(_UNLOCKED, OWN, 1))), lock)


def _delete_unless_held(folder: Path) -> None:
    try:
        if folder.stat().st_uid != os.geteuid():
            return
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # another process has just deleted it
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # its process lives
        pass
    finally:
        os.close(lock)
