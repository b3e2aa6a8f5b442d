"""DuckDB for kernels: one core, bounded memory, one database for each thread."""

import atexit
import os
import tempfile
import threading
from pathlib import Path

import duckdb

DRIVER_MEMORY_MB = 256
"""MiB for merging the tasks' results, which are small by design."""

_databases: dict[tuple[int, int, int, Path], duckdb.DuckDBPyConnection] = {}
"""Databases by process, thread, memory and folder. A ``threading.local`` does not work here: after a fork, which
starting Spark does, the child would close the databases of other threads and crash.
"""


def open_database(memory_mb: int = DRIVER_MEMORY_MB, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open a session of this thread's in-memory DuckDB. It uses one core, and spills to disk beyond its memory.

    Starting a database takes 15 ms, opening a session almost nothing. Close the session to drop its temporary tables.
    """
    folder = spill or Path(tempfile.gettempdir())
    owner = (os.getpid(), threading.get_ident(), memory_mb, folder)  # idents of ended threads are reused
    if owner not in _databases:
        _databases[owner] = _start_database(memory_mb, folder)
    return _databases[owner].cursor()


@atexit.register
def _close_databases() -> None:
    while _databases:
        _databases.popitem()[1].close()


def _start_database(memory_mb: int, folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{memory_mb}MiB",
            "temp_directory": str(folder / f"marquee-spill-{os.getpid()}-{threading.get_ident()}"),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
