"""The work that ``bench.instructions`` counts: ``python -m bench.counted SCRATCH WAY:RAW…``, under valgrind.

A way is a form of events that Marquee reads, or ``duckdb`` for the plain script; RAW is the folder of an hour's raw
events. The first hour of each way is rolled up at once, so that all code is loaded. Then each hour is rolled up in a
process of its own, forked from this one, and one process does nothing. Valgrind prints their counts.
"""

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from bench import plain_duckdb
from jobs.rollup.settings import RollupOptions, RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage

HOUR = "2026-01-05T13"
SCRIPT = "duckdb"
MEMORY_MB = 512


def main(scratch: Path, hours: list[str]) -> None:
    """Roll up each hour in a process of its own."""
    loaded: set[str] = set()
    for one in hours:
        way, _, raw = one.partition(":")
        if way not in loaded:
            loaded.add(way)
            _work(way, Path(raw), scratch / f"loaded-{way}")
    gc.collect()
    gc.freeze()
    print("nothing", _fork(lambda: None))
    for number, one in enumerate(hours):
        way, _, raw = one.partition(":")
        print(number, _fork(partial(_work, way, Path(raw), scratch / f"{number}")))


def _work(way: str, raw: Path, out: Path) -> None:
    if way == SCRIPT:
        folder = next(raw.glob("topics/plays/*/*/*/hour=13"))
        plain_duckdb.main(HOUR, folder, out)
        return
    options = RollupOptions(viewer_key=SecretStr(os.environ["VIEWER_KEY"]))
    settings = RollupSettings(raw=raw.as_uri(), lake=out.as_uri(), rollup=options)
    markers = Markers(settings.store)
    report = run_stage(RollupStage(settings, markers, LocalEngine(EngineOptions(1, MEMORY_MB))), markers)
    if (report.changed, report.failures) != (1, 0):
        sys.exit(f"{raw} was not rolled up: {markers.failures('rollup')}")


def _fork(work: Callable[[], None]) -> int:
    """Do the work in a process of its own; return its id."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"a rollup ended with status {status}")
    return pid


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
