"""Count the instructions of the rollup of a small hour, with valgrind: nearly the same in each run, under any load.

The instructions of an event are those of a small hour less those of a tiny one, divided by the further events. They say
nothing about caches, memory and waiting, and valgrind lacks some instructions of the processor, such as those for
SHA-256. So they serve to find a change of our own code, rather than to compare programs. See docs/benchmarks.md.
"""

import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.command import run_part, show
from bench.contenders import ALL_FORMS, DUCKDB, KEY, ROOT
from bench.inputs import JSON, SPREAD, make_hour
from bench.measure import BenchError

TINY, SMALL = 1_000, 21_000
"""Events of the two hours."""
PARTITIONS = 2
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--log-fd=2")
COUNT = re.compile(r"==(\d+)== I +refs: +([\d,]+)")
PROCESS = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)
WAYS = (*ALL_FORMS, DUCKDB)
"""Forms that Marquee reads, and the DuckDB script, which reads JSON."""


@dataclass(frozen=True)
class Instructions:
    """Instructions of an event in a small hour, and those of the whole tiny hour."""

    an_event: float
    tiny_hour: int


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit code."""
    parser = ArgumentParser("python -m bench instructions", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the inputs here, or take them from here")
    given = parser.parse_args(arguments)

    def part(work: Path, _: Console) -> None:
        counts = count_instructions((given.folder or work).resolve(), work, WAYS)
        table = Table(title="Instructions of the rollup", title_justify="left")
        for heading in ("", "an event", "×", f"hour of {TINY:,}, million"):
            table.add_column(heading, justify="right", no_wrap=True)
        for way, one in counts.items():
            ratio = one.an_event / counts[DUCKDB].an_event
            table.add_row(way, f"{one.an_event:,.0f}", f"{ratio:.3f}", f"{one.tiny_hour / 1e6:,.1f}")
        show(table)

    return run_part(part)


def count_instructions(inputs: Path, scratch: Path, ways: Sequence[str]) -> Mapping[str, Instructions]:
    """Return the counts of each way; BenchError if a rollup fails, FileNotFoundError without valgrind."""
    raw = {events: make_hour(inputs, SPREAD, events, ALL_FORMS, PARTITIONS) for events in (TINY, SMALL)}
    hours = [f"{way}:{folders[JSON if way == DUCKDB else way]}" for way in ways for folders in raw.values()]
    # With one order of sets, and without threads that only wait.
    fixed = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "VIEWER_KEY": KEY}
    command = [*VALGRIND, sys.executable, "-m", "bench.counted", str(scratch), *hours]
    run = subprocess.run(command, env=os.environ | fixed, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        message = f"counting ended with code {run.returncode}:\n{run.stderr[-2000:]}"
        raise BenchError(message)
    of_process = {pid: int(number.replace(",", "")) for pid, number in COUNT.findall(run.stderr)}
    counted = [of_process[pid] for _, pid in PROCESS.findall(run.stdout)]
    nothing, pairs = counted[0], zip(counted[1::2], counted[2::2], strict=True)
    return {
        way: Instructions((small - tiny) / (SMALL - TINY), tiny - nothing)
        for way, (tiny, small) in zip(ways, pairs, strict=True)
    }
