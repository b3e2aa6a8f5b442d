"""Compare the rollup of one hour on Marquee's two engines with plain DuckDB, Polars and PySpark scripts.

All process the same simulated hour, one after the other, in rounds, and must count the same. See docs/benchmarks.md.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.contenders import CONTENDERS, HOUR, LOCAL, Contender
from bench.figures import Figures, check_equal
from bench.measure import BenchError, Measured, measure
from bench.report import to_json, to_table
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import simulate_hour
from marquee.calendar import Period
from marquee.errors import TERMINATED, MarqueeError
from marquee.storage.opening import open_store

EVENTS = 4_200_000
PARTITIONS = 21
"""Kafka partitions; each gives two files an hour."""


def main(arguments: Sequence[str]) -> int:
    """Run the comparison; return the exit code."""
    given = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that processes and folders are cleaned up
    console = Console(stderr=True)
    chosen = [one for one in CONTENDERS if one.name in given.only or one.name == LOCAL]
    try:
        with tempfile.TemporaryDirectory(prefix="marquee-bench-") as work:
            raw = _make_hour(given.folder or Path(work), given.events, console)
            rounds, figures = _run(chosen, given, raw, Path(work), console)
    except (BenchError, MarqueeError) as error:
        console.print(f"[red]{error}", highlight=False)
        return 1
    Console().print(to_table(rounds, figures))
    if given.json:
        given.json.write_text(json.dumps(to_json(rounds, figures), indent=2) + "\n", encoding="utf-8")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [one.name for one in CONTENDERS]
    parser = argparse.ArgumentParser("python -m bench rollup", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="distinct events of the hour (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep the simulated hour here, or take it from here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to a file, too")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one run (default: %(default)s)")
    return parser.parse_args(arguments)


def _make_hour(folder: Path, events: int, console: Console) -> Path:
    raw = folder.resolve() / f"hour-of-{events}-events"
    console.print(f"the hour: {events:,} events in {raw}", highlight=False)
    simulate_hour(SimulateSettings(partitions=PARTITIONS), open_store(raw.as_uri()), Period.parse(HOUR), events)
    return raw


def _run(
    chosen: Sequence[Contender], given: argparse.Namespace, raw: Path, work: Path, console: Console
) -> tuple[list[dict[str, Measured]], Figures]:
    """Return the measurements of each round, and the common figures."""
    rounds: list[dict[str, Measured]] = []
    expected: Figures | None = None
    for number in range(1, given.rounds + 1):
        took = {}
        for one in chosen:
            took[one.name], figures = _run_one(one, raw, work / "run", given.timeout)
            expected = expected or figures
            if figures and expected:
                check_equal(one.title, figures, expected)
            seconds = f"{took[one.name].wall_s:7.1f} s {took[one.name].cpu_s:7.1f} CPU s"
            console.print(f"round {number}/{given.rounds}  {one.name:15} {seconds}", highlight=False)
        rounds.append(took)
    if expected is None:
        message = "nothing was run: expected at least one round"
        raise BenchError(message)
    return rounds, expected


def _run_one(one: Contender, raw: Path, folder: Path, timeout_s: float) -> tuple[Measured, Figures | None]:
    scratch, out = folder / "scratch", folder / "out"
    scratch.mkdir(parents=True)
    try:
        took = measure(one.command(raw, out), one.environment(raw, out, scratch), scratch, timeout_s)
        return took, one.figures(out)
    finally:
        shutil.rmtree(folder)
