"""Compare the rollup of one hour on Marquee's two engines with plain DuckDB, ClickHouse, Polars and PySpark scripts.

All process the same hour, one after the other, in rounds, and must have the same results, row by row. The hour exists
keyed by viewer and spread over all Kafka partitions, as JSON lines, Parquet and Avro. See docs/benchmarks.md.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.command import count, new_parser, run_part, show
from bench.contenders import ALL_FORMS, CONTENDERS, LOCAL, Contender
from bench.inputs import KEYED, SPREAD, make_hour
from bench.measure import BenchError, Measured, measure
from bench.report import Comparison, to_json, to_table
from bench.results import Results, check_equal, summarise

EVENTS = 4_200_000
USUAL = tuple(one.name for one in CONTENDERS if one.name != "naive-pyspark")


def main(arguments: Sequence[str]) -> int:
    """Run the comparisons; return the exit code: 1 if a contender failed or had other results."""
    given = _parse(arguments)
    comparisons: list[Comparison] = []

    def part(work: Path, console: Console) -> dict[str, object]:
        for kind in given.hours:
            inputs = make_hour(given.folder or work, kind, given.events, given.forms)
            for form, raw in inputs.items():
                chosen = [one for one in CONTENDERS if one.name in {*given.only, LOCAL} and form in one.forms]
                comparisons.append(one := Comparison(f"An hour {kind}, {form}"))
                _run(one, chosen, given, raw, work, console)
                show(to_table(one))
        return to_json(comparisons)

    return run_part(part, given.json) or int(any(one.failed for one in comparisons))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [one.name for one in CONTENDERS]
    parser = new_parser("rollup", __doc__, "keep the inputs here, or take them from here")
    parser.add_argument("--events", type=count, default=EVENTS, help="distinct events of the hour (default: 4.2e6)")
    parser.add_argument(
        "--hours",
        nargs="+",
        choices=(KEYED, SPREAD),
        default=(KEYED, SPREAD),
        help="whose viewers are in one partition",
    )
    parser.add_argument("--forms", nargs="+", choices=ALL_FORMS, default=ALL_FORMS, help="default: all")
    parser.add_argument("--only", nargs="+", choices=names, default=USUAL, metavar="NAME", help=", ".join(names))
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one run (default: %(default)s)")
    return parser.parse_args(arguments)


def _run(
    one: Comparison, chosen: Sequence[Contender], given: argparse.Namespace, raw: Path, work: Path, console: Console
) -> None:
    """Measure each contender in turns; the results of the first round's local engine are what all must have."""
    kept = work / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    expected: Results | None = None
    for number in range(1, given.rounds + 1):
        for contender in chosen:
            if contender.name in one.failed:
                continue
            folder = kept if expected is None else work / "run"
            try:
                took, results = _run_one(contender, raw, folder, given.timeout)
                if expected is None and results is not None:
                    expected = results
                    one.counted = summarise(results)
                elif expected is not None and results is not None:
                    check_equal(contender.title, results, expected)
            except BenchError as error:
                console.print(str(error), style="red", markup=False)
                if contender.name == LOCAL:
                    raise
                one.failed[contender.name] = str(error)
                one.runs.pop(contender.name, None)
                continue
            finally:
                shutil.rmtree(work / "run", ignore_errors=True)
            one.runs.setdefault(contender.name, []).append(took)
            spent = f"{took.cpu_s:7.1f} CPU s {took.wall_s:7.1f} s  load {took.load:.1f}"
            console.print(f"{one.title}  round {number}/{given.rounds}  {contender.name:15} {spent}")


def _run_one(one: Contender, raw: Path, folder: Path, timeout_s: float) -> tuple[Measured, Results | None]:
    if lacking := one.missing():
        message = f"not run: {lacking} is not installed"
        raise BenchError(message)
    scratch, out = folder / "scratch", folder / "out"
    scratch.mkdir(parents=True)
    took = measure(one.command(raw, out), one.environment(raw, out, scratch), scratch, timeout_s)
    shutil.rmtree(scratch)
    return took, one.results(out)
