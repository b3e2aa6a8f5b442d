"""DuckDB in a process that forks, as Spark's start does."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

from marquee.engine.duckdb import open_database


def test_fork_survives_the_databases_of_other_threads() -> None:
    """Spark's start forks this process, and the child must not close databases of threads that it does not have."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: open_database().close()).result()
        child = subprocess.run(["true"], preexec_fn=lambda: None, check=False)
    assert child.returncode == 0
