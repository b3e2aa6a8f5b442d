"""Turns the rounds into medians, minima and ratios of CPU time: a table for readers, JSON for programs."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

from rich.table import Table

from bench.contenders import CONTENDERS, DUCKDB, FASTAVRO, LOCAL, SPARK_ENGINE, START_UP
from bench.measure import Measured

PACKAGES = ("chdb-core", "duckdb", "fastavro", "polars", "pyarrow", "pyspark")
NET = "spark-net"
QUIET = 1.0
"""Load by others up to which wall times can be compared."""


@dataclass
class Comparison:
    """What was measured with one input: each contender's runs, and why contenders have none."""

    title: str
    counted: dict[str, int] = field(default_factory=dict)
    """Events, duplicates, rejects and rows, equal for all contenders that are in ``runs``."""
    runs: dict[str, list[Measured]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def load(self) -> float:
        """The highest load by others of all runs."""
        return max((one.load for runs in self.runs.values() for one in runs), default=0.0)

    @property
    def yardstick(self) -> str:
        """The contender to which the others are compared."""
        return next((name for name in (DUCKDB, FASTAVRO) if name in self.runs), LOCAL)


def with_net_spark(runs: Mapping[str, Sequence[Measured]]) -> dict[str, Sequence[Measured]]:
    """Return the runs, and those of the Spark engine less Spark's start in the same round, if both were measured."""
    if not {SPARK_ENGINE, START_UP} <= runs.keys():
        return dict(runs)
    pairs = zip(runs[SPARK_ENGINE], runs[START_UP], strict=True)
    net = [Measured(one.wall_s - less.wall_s, one.cpu_s - less.cpu_s, one.peak_mb, one.load) for one, less in pairs]
    return {**runs, NET: net}


def summarise(one: Comparison) -> dict[str, dict[str, float | None]]:
    """Return medians, minima and ratios of each contender; no ratio of wall times if others load the machine."""
    runs = with_net_spark(one.runs)
    base = runs.get(one.yardstick, [])
    quiet = one.load <= QUIET
    return {
        name: {
            "cpu_s": median(took.cpu_s for took in each),
            "least_cpu_s": min(took.cpu_s for took in each),
            "cpu_ratio": median(took.cpu_s / other.cpu_s for took, other in zip(each, base, strict=True)),
            "least_cpu_ratio": min(took.cpu_s for took in each) / min(other.cpu_s for other in base),
            "peak_mb": max(took.peak_mb for took in each),
            "wall_s": median(took.wall_s for took in each),
            "wall_ratio": median(took.wall_s / other.wall_s for took, other in zip(each, base, strict=True))
            if quiet
            else None,
            "load": max(took.load for took in each),
        }
        for name, each in runs.items()
    }


def to_table(one: Comparison) -> Table:
    """Return the table that is printed."""
    rounds = len(one.runs.get(LOCAL, ()))
    counts = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in one.counted.items())
    table = Table(title=f"{one.title}: {counts}; {rounds} round(s), {os.cpu_count()} cores", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("CPU s", "least", "CPU ×", "× of least", "peak MB", "wall ×", "load"):
        table.add_column(heading, justify="right", no_wrap=True)
    titles = {each.name: each.title for each in CONTENDERS} | {NET: "  without start-up"}
    summary = summarise(one)
    for name in (
        each for known in CONTENDERS for each in ((known.name, NET) if known.name == START_UP else (known.name,))
    ):
        if name in one.failed:
            table.add_row(titles[name], "failed", *[""] * 5, "!")
        elif took := summary.get(name):
            wall = took["wall_ratio"]
            table.add_row(
                titles[name],
                *(f"{took[key]:.1f}" for key in ("cpu_s", "least_cpu_s")),
                *(f"{took[key]:.2f}" for key in ("cpu_ratio", "least_cpu_ratio")),
                f"{took['peak_mb']:,.0f}",
                "–" if wall is None else f"{wall:.2f}",
                f"{took['load']:.1f}",
            )
    remarks = [f"{titles[name]}: {why}" for name, why in one.failed.items()]
    if one.load > QUIET:
        remarks.append(f"No ratio of wall times: others loaded the machine with {one.load:.1f}, more than {QUIET:.0f}.")
    table.caption, table.caption_justify = "\n".join(remarks), "left"
    return table


def to_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return all measurements, with the machine and the input."""
    return {
        "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0], "system": platform.system()},
        "packages": {name: _version(name) for name in PACKAGES},
        "comparisons": [asdict(one) | {"summary": summarise(one)} for one in comparisons],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
