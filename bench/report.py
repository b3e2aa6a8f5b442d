"""Turns the rounds into medians and ratios: a table for readers, JSON for programs."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from statistics import median
from typing import Any

from rich.table import Table

from bench.contenders import CONTENDERS, LOCAL, SPARK_ENGINE, START_UP
from bench.figures import Figures
from bench.measure import Measured

Rounds = Sequence[Mapping[str, Measured]]
"""For each round, the measurements of each contender by name."""

PACKAGES = ("duckdb", "polars", "pyarrow", "pyspark")
NET = "spark-net"


def with_net_spark(rounds: Rounds) -> Rounds:
    """Return the rounds with the time of Spark's start subtracted from the Spark engine's, where both were measured."""
    return [
        {**one, NET: _less(one[SPARK_ENGINE], one[START_UP])} if {SPARK_ENGINE, START_UP} <= one.keys() else one
        for one in rounds
    ]


def _less(whole: Measured, part: Measured) -> Measured:
    return Measured(whole.wall_s - part.wall_s, whole.cpu_s - part.cpu_s, whole.peak_mb)


def summarise(rounds: Rounds) -> dict[str, dict[str, float]]:
    """Return the medians of each contender, and the medians over the rounds of its ratios to the local engine."""
    rounds = with_net_spark(rounds)
    return {
        name: {
            "wall_s": median(one[name].wall_s for one in rounds),
            "cpu_s": median(one[name].cpu_s for one in rounds),
            "peak_mb": median(one[name].peak_mb for one in rounds),
            "wall_ratio": median(one[name].wall_s / one[LOCAL].wall_s for one in rounds),
            "cpu_ratio": median(one[name].cpu_s / one[LOCAL].cpu_s for one in rounds),
        }
        for name in rounds[0]
    }


def to_table(rounds: Rounds, figures: Figures) -> Table:
    """Return the table that is printed."""
    summary = summarise(rounds)
    events = f"{figures.plays:,} events, {figures.duplicates:,} duplicates, {sum(figures.rejects.values()):,} rejects"
    table = Table(title=f"The rollup of one hour: {events}; medians of {len(rounds)} round(s), {os.cpu_count()} cores")
    table.add_column("")
    for heading in ("wall s", "CPU s", "peak MB", "wall ×", "CPU ×"):
        table.add_column(heading, justify="right")
    titles = {one.name: one.title for one in CONTENDERS}
    order = [name for one in CONTENDERS for name in ((one.name, NET) if one.name == START_UP else (one.name,))]
    for name in order:
        if took := summary.get(name):
            memory = f"{took['peak_mb']:,.0f}"
            table.add_row(
                titles.get(name, "  without start-up"),
                f"{took['wall_s']:.1f}",
                f"{took['cpu_s']:.1f}",
                memory,
                f"{took['wall_ratio']:.2f}",
                f"{took['cpu_ratio']:.2f}",
            )
    return table


def to_json(rounds: Rounds, figures: Figures) -> dict[str, Any]:
    """Return all measurements, with the machine and the input."""
    return {
        "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0], "system": platform.system()},
        "packages": {name: version(name) for name in PACKAGES},
        "figures": asdict(figures),
        "summary": summarise(rounds),
        "rounds": [{name: asdict(took) for name, took in one.items()} for one in rounds],
    }
