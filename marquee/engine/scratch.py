"""The scratch folder: where everything that this process writes for itself alone goes.

It is the folder of ``engine.scratch``, else the system's. Whatever makes temporary files asks ``tempfile`` for their
folder, so that one setting serves all: shuffles, fetched objects, rows on their way to MySQL, and what DuckDB spills.
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
    """Have this process's temporary files made in a folder; in the system's where there is none."""
    before = tempfile.tempdir
    tempfile.tempdir = before if folder is None else str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def check_scratch(folder: Path | None) -> Path:
    """Return the scratch folder, in which a file can be written.

    Raises:
        ConfigError: there is none, or this user may not write there.
        TryAgainError: its disk is full.
    """
    found = folder or _of_system()
    if not found.is_dir():
        message = f"{SETTING}={found}: no such folder: make it, or name one that exists"
        raise ConfigError(message)
    try:
        with tempfile.TemporaryFile(dir=found) as file:
            file.write(b"scratch")
            file.flush()
    except OSError as error:
        where = f"{SETTING}={found}" if folder else f"{found}, the system's folder for temporary files"
        message = f"cannot write {where}: {error.strerror}: name another folder"
        raise explain(error, where, "write") or ConfigError(message) from error
    return found


def _of_system() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        message = f"no folder for temporary files can be written: set {SETTING} to one: {error.strerror}"
        raise ConfigError(message) from error
