"""The scratch folder, in which this process writes all its temporary files.

It is the folder of ``engine.scratch``, or the system's when unset. All code that writes temporary files takes the
folder from ``tempfile``, so one setting covers shuffles, fetched objects, rows for MySQL, and DuckDB's spill files.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
