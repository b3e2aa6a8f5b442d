"""The process from which Spark forks its Python workers: Spark's own daemon, which has imported what tasks need.

    python -m marquee.engine.spark_daemon pyspark.worker

Spark's daemon imports nothing, so each worker would import pyspark, pyarrow, numpy and DuckDB again. Spark also puts
archives of pyspark's sources ahead of the installed package, and each process would compile them again.
"""

import atexit
import gc
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from marquee.machine import keep_freed_memory

BEFORE_NUMPY = {"OPENBLAS_NUM_THREADS": "1"}
"""Variables: numpy would start threads, which a process that forks should not have. No task needs them."""
TASKS_NEED = ("pyspark.worker", "pyarrow.compute", "marquee.engine.spark_tasks", "marquee.lake.files")


def installed_first(path: list[str], home: Path | None) -> list[str]:
    """Return a search path without Spark's archives of the package that is installed as its home folder, if it is."""
    if home is None or not (home / "__init__.py").is_file():  # a Spark of its own: the installed package may differ
        return path
    return [one for one in path if Path(one).parent != home / "python" / "lib"]


def main() -> None:
    """Import what tasks need, and serve Spark."""
    spark_home = os.environ.get("SPARK_HOME")
    sys.path[:] = installed_first(sys.path, Path(spark_home) if spark_home else None)
    if find_spec("pyspark") is None:
        message = f"pyspark is not installed for {sys.executable}, only in SPARK_HOME={spark_home}. Install it"
        raise ModuleNotFoundError(message)
    os.environ |= BEFORE_NUMPY
    keep_freed_memory()
    for name in TASKS_NEED:
        import_module(name)
    gc.freeze()  # each worker collects garbage after each task, and would look through all that was imported
    atexit.register(gc.unfreeze)  # what is left in the end is collected, as without this
    from pyspark.daemon import manager  # noqa: PLC0415 - an extra, from where the path now says

    manager()


if __name__ == "__main__":
    main()
