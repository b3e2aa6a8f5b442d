"""A stage as a process of its own, whose periods die, block or wait as their raw files say.

``python -m tests.faults.processes`` reads MARQUEE_LAKE, and the raw files beside the lake. A file of an hour is one of:

    a b c     words, which are counted
    segv!     a kernel reads the address 0
    kill!     the process gets SIGKILL, as from the system when it is out of memory
    memory!   a kernel takes more memory than the process may have, in C++, which aborts
    python!   a kernel loops in Python          compute!  a kernel holds Python's global lock for ever
    query!    a kernel runs an endless query    merge!    the driver runs one, in the main thread
    fifo!     a kernel reads a pipe that nobody writes
    wait!     a kernel waits until there is a file ``go`` beside the lake
    pause!    the stage pauses between two attempts
"""

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from marquee.calendar import Span
from marquee.engine.base import Task, kernels_of
from marquee.engine.duckdb import open_database
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.lake.manifest import Result
from marquee.lake.markers import Markers
from marquee.runs.command import stage_command
from marquee.runs.stage import Advance, Report, RunContext, Target, run_stage
from marquee.settings.sections import ComputeSettings
from marquee.storage.local import LocalStore
from tests.sample_stages import WordsStage

ENDLESS = "select count(*) from range(1000000) a, range(100000000) b where (a.range * b.range) % 7 = 3"
AT = "at the place"
"""Written to standard error where a period blocks."""


@dataclass(frozen=True)
class What:
    """A unit of work: a word of a raw file, and the folder of the process's files."""

    word: str
    folder: Path


def _segv() -> None:
    ctypes.string_at(0)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _memory() -> None:
    import resource  # noqa: PLC0415 - in this process alone

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
    held = []
    while True:
        try:
            held.append(bytearray(1 << 24))
        except MemoryError:  # what Python catches, native code need not
            os.abort()


def _python() -> None:
    while True:
        pass


def _compute() -> None:
    re.fullmatch("(a+)+b", "a" * 60)


def _fifo(folder: Path) -> None:
    path = folder / "fifo"
    os.mkfifo(path)
    path.read_bytes()


def _wait(folder: Path) -> None:
    while not (folder / "go").exists():
        time.sleep(0.02)


def work(unit: What, task: Task) -> int:
    """Do what the word says."""
    (task.scratch / "copy").write_text("of raw events", encoding="utf-8")
    doing: dict[str, Callable[[], object]] = {
        "segv!": _segv,
        "kill!": _kill,
        "memory!": _memory,
        "python!": _python,
        "compute!": _compute,
        "query!": lambda: task.database().execute(ENDLESS).fetchall(),
        "wait!": lambda: _wait(unit.folder),
        "fifo!": lambda: _fifo(unit.folder),
    }
    if unit.word in doing:
        sys.stderr.write(f"{AT}\n")
        doing[unit.word]()
    return 0


class DyingStage(WordsStage):
    """Counts words, after a kernel has looked at each."""

    def __init__(self, lake: LocalStore, raw: LocalStore, scratch: Path | None) -> None:
        super().__init__(lake, raw)
        self._folder = raw.root.parent
        self._engine = LocalEngine(EngineOptions(workers=2, memory_mb=512, scratch=scratch))

    def make(self, target: Target, run: RunContext) -> Result:
        """Run the kernel over the words, then count them."""
        words = [word for one in target.inputs for word in self.raw.get(one.name).decode().split()]
        self._engine.map(work, [What(word, self._folder) for word in words])
        if "merge!" in words:
            sys.stderr.write(f"{AT}\n")
            with open_database(spill=self._engine.options.scratch) as db:
                db.execute(ENDLESS).fetchall()
        if "pause!" in words:
            sys.stderr.write(f"{AT}\n")
            time.sleep(600)
        return super().make(target, run)


def run(settings: ComputeSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Run the stage over the raw files beside the lake."""
    lake = settings.store
    assert isinstance(lake, LocalStore)
    stage = DyingStage(lake, LocalStore(lake.root.parent / "raw"), settings.engine.scratch)
    with kernels_of("tests"):
        return run_stage(stage, markers, span, force=force, advance=advance)


if __name__ == "__main__":
    from tests.faults import processes  # kernels are functions of a module with a name

    sys.exit(stage_command("words", "Count words.", ComputeSettings, processes.run))
