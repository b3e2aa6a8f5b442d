"""DuckDB for kernels: one core, bounded memory, one database for each thread."""

import atexit
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakSet

import duckdb

from marquee import stopping
from marquee.engine.scratch import own_scratch

DRIVER_MEMORY_MB = 256
"""MiB for merging the tasks' results, which are small by design."""

_databases: dict[tuple[object, ...], duckdb.DuckDBPyConnection] = {}
"""Databases by process, thread, memory and folders. A ``threading.local`` does not work here: after a fork, which
starting Spark does, the child would close the databases of other threads and crash.
"""
_sessions: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()


def open_database(
    memory_mb: int = DRIVER_MEMORY_MB, spill: Path | None = None, reads: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a session of this thread's in-memory DuckDB. It uses one core, and spills to disk beyond its memory.

    Starting a database takes 15 ms, opening a session almost nothing. Close the session to drop its temporary tables.

    Args:
        memory_mb: MiB.
        spill: scratch folder. DuckDB spills into a folder in it that only this user can open.
        reads: folder whose files queries may read, beside the scratch folder. They may read no other file.
    """
    folder = own_scratch(spill)
    allowed = tuple(one for one in (folder, spill, reads) if one is not None)
    owner = (os.getpid(), threading.get_ident(), memory_mb, allowed)  # idents of ended threads are reused
    if owner not in _databases:
        _databases[owner] = _start_database(memory_mb, folder, allowed)
    session = _databases[owner].cursor()
    interruptible(session)
    return session


def interruptible(session: duckdb.DuckDBPyConnection) -> None:
    """Interrupt the session's queries when a signal asks this process to stop."""
    _sessions.add(session)


def _interrupt() -> None:
    for session in list(_sessions):
        session.interrupt()


stopping.at_once(_interrupt)


@atexit.register
def close_databases() -> None:
    """Close the databases of this process. The next session opens a new one."""
    while _databases:
        _databases.popitem()[1].close()


def _start_database(memory_mb: int, folder: Path, allowed: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    spill = folder / f"marquee-spill-{os.getpid()}-{threading.get_ident()}"
    spill.mkdir(mode=0o700, exist_ok=True)
    database = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{memory_mb}MiB",
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    lock_down(database, *allowed)
    return database


def lock_down(database: duckdb.DuckDBPyConnection, *reads: Path) -> None:
    """Allow a database no files but those in some folders, no extensions, and no change of its settings."""
    folders = ", ".join("'" + str(one).replace("'", "''") + "'" for one in reads)
    database.execute(f"set allowed_directories = [{folders}]")
    database.execute("set enable_external_access = false")
    database.execute("set lock_configuration = true")
