"""Measure one whole day, from raw events to the mart: all stages on the local engine, each in its own process.

The yardstick is the DuckDB script's rollup of one busy hour, measured before and after the stages of each round. See
docs/benchmarks.md.
"""

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from statistics import median

import duckdb
from rich.console import Console
from rich.table import Table

from bench.command import count, new_parser, run_part, show
from bench.contenders import CONTENDERS, DUCKDB
from bench.inputs import JSON, KEYED, PARTITIONS, make_hour
from bench.measure import BenchError, Measured, measure
from bench.pipeline import STAGES, TIMEOUT_S, World, arrive
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate
from marquee.storage.opening import open_store

START = date(2026, 1, 1)
EVENTS = 10_000_000
HOUR_EVENTS = 4_200_000
"""Events of the hour to which the day is compared; another hour is scaled to it."""

Took = Mapping[str, Measured]
"""What each stage took, and the DuckDB script before and after them."""
BEFORE, AFTER = "duckdb before", "duckdb after"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit code."""
    given = _parse(arguments)

    def part(work: Path, console: Console) -> dict[str, object]:
        events, rounds = _run(given, (given.folder or work).resolve(), console)
        show(_table(given, events, rounds))
        found = [{name: asdict(took) for name, took in one.items()} for one in rounds]
        return {"events": events, "hour_events": given.hour_events, "rounds": found}

    return run_part(part, given.json)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = new_parser("day", __doc__, "keep the events here, or take them from here; the lake stays, too")
    parser.set_defaults(rounds=1)
    parser.add_argument("--events", type=count, default=EVENTS, help="events of the day, such as 1e8 (default: 1e7)")
    parser.add_argument(
        "--hour-events", type=count, default=HOUR_EVENTS, help="events of the DuckDB script's hour (default: 4.2e6)"
    )
    return parser.parse_args(arguments)


def _run(given: argparse.Namespace, folder: Path, console: Console) -> tuple[int, list[Took]]:
    """Return the number of events, and for each round what the DuckDB script and each stage took."""
    settings = SimulateSettings(start=START, days=1, events_per_day=given.events, seed=1, partitions=PARTITIONS)
    simulated = folder / f"day-of-{given.events}-events"
    console.print(f"A day of {given.events:,} events in {simulated}")
    store = open_store(simulated.as_uri())
    simulate(settings, store)
    events = add_late_files(settings, store).events
    hour = make_hour(folder, KEYED, given.hour_events, (JSON,))[JSON]
    rounds: list[Took] = []
    with serve(settings) as url:
        for number in range(1, given.rounds + 1):
            shutil.rmtree(folder / "world", ignore_errors=True)
            world = World(folder / "world", settings, url)
            arrive(simulated, world.raw, START, settings.topic)
            took = {BEFORE: _script(hour, folder / "script")}
            took |= world.run_stages(START)
            took[AFTER] = _script(hour, folder / "script")
            _check(world, events)
            listed = "  ".join(f"{name} {one.cpu_s:.2f}" for name, one in took.items())
            console.print(f"round {number}/{given.rounds}  {listed}  CPU s")
            rounds.append(took)
    return events, rounds


def _script(hour: Path, folder: Path) -> Measured:
    """Measure the DuckDB script's rollup of the hour."""
    script = next(one for one in CONTENDERS if one.name == DUCKDB)
    shutil.rmtree(folder, ignore_errors=True)
    scratch, out = folder / "scratch", folder / "out"
    scratch.mkdir(parents=True)
    took = measure(script.command(hour, out), script.environment(hour, out, scratch), scratch, TIMEOUT_S)
    shutil.rmtree(folder)
    return took


def _check(world: World, events: int) -> None:
    """Raise a BenchError unless the mart has one play for each event."""
    with duckdb.connect(str(world.folder / "mart.duckdb"), read_only=True) as mart:
        ((plays,),) = mart.sql("select coalesce(sum(plays), 0)::bigint from fact_viewership").fetchall()
    if plays != events:
        message = f"the mart has {plays:,} plays, but the day has {events:,} events"
        raise BenchError(message)


def _table(given: argparse.Namespace, events: int, rounds: Sequence[Took]) -> Table:
    """Return medians by stage; ``×`` is the ratio to the DuckDB script for its hour of 4.2 million, on average."""
    load = max(one.load for took in rounds for one in took.values())
    title = f"A day of {events:,} events, raw to mart; {len(rounds)} round(s), {os.cpu_count()} cores, load {load:.1f}"
    table = Table(title=title, title_justify="left")
    for heading in ("", "CPU s", "×", "wall s", "peak MB", "load"):
        table.add_column(heading, justify="right", no_wrap=True)
    scale = HOUR_EVENTS / given.hour_events
    hours = [(took[BEFORE].cpu_s + took[AFTER].cpu_s) / 2 * scale for took in rounds]
    whole = [_all(took) for took in rounds]
    for name, each in (*((name, [took[name] for took in rounds]) for name in STAGES), ("all", whole)):
        _add(table, name, each, hours)
    for name in (BEFORE, AFTER):
        _add(table, f"{name}: hour of {given.hour_events:,}", [took[name] for took in rounds], hours)
    by_event = median(one.cpu_s / events / (hour / HOUR_EVENTS) for one, hour in zip(whole, hours, strict=True))
    table.caption = (
        f"×: of the DuckDB script's CPU time, before and after, for an hour of {HOUR_EVENTS:,} events. An event of the "
        f"day takes {by_event:.2f} times the CPU time of an event in the DuckDB script, which only rolls up."
    )
    table.caption_justify = "left"
    return table


def _add(table: Table, name: str, each: Sequence[Measured], hours: Sequence[float]) -> None:
    table.add_row(
        name,
        f"{median(one.cpu_s for one in each):.1f}",
        f"{median(one.cpu_s / hour for one, hour in zip(each, hours, strict=True)):.2f}",
        f"{median(one.wall_s for one in each):.1f}",
        f"{max(one.peak_mb for one in each):,.0f}",
        f"{max(one.load for one in each):.1f}",
    )


def _all(took: Took) -> Measured:
    """Return the sum of the stages' times, and the highest peak and load."""
    stages = [took[name] for name in STAGES]
    return Measured(
        sum(one.wall_s for one in stages),
        sum(one.cpu_s for one in stages),
        max(one.peak_mb for one in stages),
        max(one.load for one in stages),
    )
