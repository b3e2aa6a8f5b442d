"""Measure the cost of one day's increment as a quarter goes on, and of a run with nothing to do at its end.

Days arrive one after the other. On the measured days, each stage runs in its own process; the days between are made up
for in one run. See docs/benchmarks.md.
"""

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.command import count, new_parser, run_part, show
from bench.measure import Measured
from bench.pipeline import RUN, STAGES, STATUS, World, arrive
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import simulate
from marquee.storage.opening import open_store

START = date(2026, 1, 1)
EVENTS = 300_000
DAYS = (2, 30, 60, 86)
IDLE = {**STAGES, "run": RUN, "status": STATUS}
"""Commands that have nothing to do at the end."""

Rounds = Sequence[Mapping[str, Measured]]
"""For each round, what each command took."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit code."""
    given = _parse(arguments)

    def part(work: Path, console: Console) -> dict[str, object]:
        took, idle = _run(given, (given.folder or work).resolve(), console)
        show(_table(f"One day's increment, {given.events:,} events a day", took))
        show(_idle_table(given.days[-1], idle))
        return {"days": {day: _as_dicts(rounds) for day, rounds in took.items()}, "idle": _as_dicts(idle)}

    return run_part(part, given.json)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = new_parser("quarter", __doc__, "keep the events here, or take them from here; the lake stays, too")
    parser.add_argument("--events", type=count, default=EVENTS, help="events of a day (default: %(default)s)")
    parser.add_argument(
        "--days", type=count, nargs="+", default=DAYS, metavar="DAY", help="measured days, from 1 (default: 2 30 60 86)"
    )
    given = parser.parse_args(arguments)
    given.days = sorted(set(given.days))
    return given


def _run(given: argparse.Namespace, folder: Path, console: Console) -> tuple[dict[int, Rounds], Rounds]:
    """Return the measurements of each measured day, and of the commands that have nothing to do at the end."""
    settings = SimulateSettings(start=START, days=given.days[-1], events_per_day=given.events, seed=1)
    simulated = folder / f"quarter-of-{settings.days}-days-of-{given.events}-events"
    console.print(f"{settings.days} days of {given.events:,} events in {simulated}")
    simulate(settings, open_store(simulated.as_uri()))
    shutil.rmtree(folder / "world", ignore_errors=True)
    took: dict[int, Rounds] = {}
    with serve(settings) as url:
        world = World(folder / "world", settings, url)
        here = 0
        for day in given.days:
            for before in range(here + 1, day):
                arrive(simulated, world.raw, _date(before), settings.topic)
            if day > here + 1:
                console.print(f"day {here + 1:3} to {day - 1:3}  {_told(world.run(RUN, _date(day - 1)))}")
            arrive(simulated, world.raw, _date(day), settings.topic)
            took[day] = [_day(world.copy(), day, console) for _ in range(given.rounds - 1)]
            took[day] = [*took[day], _day(world, day, console)]
            here = day
        idle = [_idle(world, here, console) for _ in range(given.rounds)]
    shutil.rmtree(folder / "world-copy", ignore_errors=True)
    return took, idle


def _day(world: World, day: int, console: Console) -> Mapping[str, Measured]:
    took = world.run_stages(_date(day))
    console.print(f"day {day:3}  {_listed(took)}")
    return took


def _idle(world: World, day: int, console: Console) -> Mapping[str, Measured]:
    took = {name: world.run(command, _date(day)) for name, command in IDLE.items()}
    console.print(f"nothing to do  {_listed(took)}")
    return took


def _date(day: int) -> date:
    return START + timedelta(days=day - 1)


def _listed(took: Mapping[str, Measured]) -> str:
    return "  ".join(f"{name} {one.cpu_s:.2f}" for name, one in took.items()) + "  CPU s"


def _told(one: Measured) -> str:
    return f"{one.cpu_s:.1f} CPU s, {one.peak_mb:.0f} MB"


def _total(one: Mapping[str, Measured]) -> float:
    return sum(took.cpu_s for took in one.values())


def _table(title: str, took: Mapping[int, Rounds]) -> Table:
    """Return medians by day and stage; ``×`` compares with the first measured day."""
    rounds = len(next(iter(took.values())))
    table = _new_table(f"{title}; CPU s, medians of {rounds} round(s), {os.cpu_count()} cores")
    for heading in ("day", *STAGES, "all", "×", "least", "×", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    totals = {day: [_total(one) for one in each] for day, each in took.items()}
    first = next(iter(totals.values()))
    for day, each in took.items():
        table.add_row(
            str(day),
            *(f"{median(one[name].cpu_s for one in each):.2f}" for name in STAGES),
            f"{median(totals[day]):.2f}",
            f"{median(totals[day]) / median(first):.2f}",
            f"{min(totals[day]):.2f}",
            f"{min(totals[day]) / min(first):.2f}",
            f"{median(max(took.peak_mb for took in one.values()) for one in each):.0f}",
        )
    return table


def _idle_table(day: int, rounds: Rounds) -> Table:
    table = _new_table(f"Nothing to do after day {day}; medians of {len(rounds)} round(s)")
    for heading in ("", "CPU s", "least", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in IDLE:
        cpu = [one[name].cpu_s for one in rounds]
        peak_mb = median(one[name].peak_mb for one in rounds)
        table.add_row(name, f"{median(cpu):.2f}", f"{min(cpu):.2f}", f"{peak_mb:.0f}")
    return table


def _new_table(title: str) -> Table:
    return Table(title=title, title_justify="left")


def _as_dicts(rounds: Rounds) -> list[dict[str, dict[str, float]]]:
    return [{name: asdict(one) for name, one in each.items()} for each in rounds]
