"""Compute what large days cost from parts that are measured here. See docs/scale.md, which explains the formulas.

Measured: two whole days (files of ``bench day --json``), the steps of the rollup of two hours with one worker, and the
requests of three small days at an S3 server. CPU seconds are divided by the DuckDB script's of the same run, and
multiplied by ``--idle``, so that days measured under load compare.
"""

import json
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any
from unittest import mock

import pyarrow as pa
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bench.command import count, new_parser, run_part, show
from bench.contenders import KEY
from bench.day import AFTER, BEFORE, HOUR_EVENTS, START
from bench.inputs import JSON, SPREAD, make_hour
from bench.measure import BenchError
from bench.pipeline import STAGES, World, arrive
from jobs.rollup import counting, reduce
from jobs.rollup.settings import MOST_BUCKETS, RollupOptions, RollupSettings
from jobs.rollup.stage import BUCKET_BYTES, RollupStage
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate
from marquee.engine.choice import SPARK_OVERHEAD
from marquee.engine.local import EngineOptions, Item, LocalEngine
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.opening import open_store
from tests.s3_proxy import s3_proxy_before
from tests.s3_server import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, s3_server_at

DAYS = (100_000_000, 1_000_000_000, 10_000_000_000)
"""Events of the days whose cost is computed."""
IDLE_S = 6.5
SMALL_DAY = 24_000
BUSIEST = 0.061
"""Share of a simulated day's events in its busiest hour."""
HOURS = 23
"""Hours of a simulated day with events."""
OBJECT_EVENTS = 100_000
"""Events of a raw object, as in the larger measured day."""
SPARK_START_S = 24
CORES = 4
SMALL = 10
EXECUTORS = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class Steps:
    """CPU seconds of the steps of an hour's rollup, and what the hour has."""

    events: int
    raw_bytes: int
    buckets: int
    map_s: float
    reduce_s: float
    merge_s: float
    rest_s: float
    """Planning, and publishing."""
    partial_rows: int
    """Rows of viewership of all buckets, which are merged."""
    rows: int


class Watched(LocalEngine):
    """An engine with one worker that notes the CPU seconds of each step."""

    def __init__(self) -> None:
        super().__init__(EngineOptions(1, 512))
        self.took: list[float] = []

    def _run(self, work: Callable[..., Any], items: Sequence[Item]) -> list[Any]:
        began = time.process_time()
        try:
            return super()._run(work, items)
        finally:
            self.took.append(time.process_time() - began)


class Merged:
    """Merges viewership, and knows how many rows the last merge has read: that of an hour comes last."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, parts: Iterable[pa.Table]) -> pa.Table:
        held = list(parts)
        self.rows = sum(one.num_rows for one in held)
        return counting.merge(held)


@dataclass(frozen=True)
class Line:
    """A straight line: what nothing takes, and what each one takes."""

    base: float
    each: float

    @classmethod
    def through(cls, one: tuple[float, float], other: tuple[float, float]) -> "Line":
        each = max(0.0, (other[1] - one[1]) / (other[0] - one[0]))  # below 0 only by noise
        return cls(one[1] - each * one[0], each)

    def at(self, number: float) -> float:
        return self.base + self.each * number


def main(arguments: Sequence[str]) -> int:
    """Run the measurements, and print the tables; return the exit code."""
    parser = new_parser("scale", __doc__, "keep the inputs here, or take them from here")
    parser.add_argument("--days", type=Path, nargs=2, required=True, metavar="FILE", help="of bench day --json")
    parser.add_argument("--events", type=count, nargs=2, default=(1_000_000, 4_200_000), help="of the two hours")
    parser.add_argument("--idle", type=float, default=IDLE_S, help="CPU s of the DuckDB script on an idle machine")
    given = parser.parse_args(arguments)

    def part(work: Path, console: Console) -> dict[str, object]:
        hours = [_steps(given, events, work) for events in given.events]
        console.print(*hours)
        requests = _requests(work, console)
        stages, peaks_mb = _stages(given)
        show(_measured(hours, requests, stages, peaks_mb))
        show(_days(hours[-1], requests, stages))
        show(_executors(hours[-1]))
        return {"hours": [vars(one) for one in hours], "requests": requests}

    return run_part(part, given.json)


def _steps(given: Namespace, events: int, work: Path) -> Steps:
    """Roll up an hour some times in this process; return the least of each step."""
    raw = make_hour(given.folder or work, SPREAD, events, (JSON,))[JSON]
    found = []
    for number in range(given.rounds + 1):
        lake = work / f"lake-{events}-{number}"
        settings = RollupSettings(raw=raw.as_uri(), lake=lake.as_uri(), rollup=RollupOptions(viewer_key=SecretStr(KEY)))
        markers, engine, merged = Markers(settings.store), Watched(), Merged()
        began = time.process_time()
        with mock.patch.object(reduce, "merge", merged):
            report = run_stage(RollupStage(settings, markers, engine), markers)
        all_s = time.process_time() - began
        if report.failures:
            message = f"{raw} was not rolled up: {markers.failures('rollup')}"
            raise BenchError(message)
        (marker,) = markers.of("rollup").values()
        (viewership,) = (one for one in marker.outputs if one.dataset == "viewership")
        map_s, reduce_s, merge_s = engine.took[-3:]
        rest_s = all_s - map_s - reduce_s - merge_s
        size, buckets = sum(one.size for one in marker.inputs), int(marker.counts["buckets"])
        steps = Steps(events, size, buckets, map_s, reduce_s, merge_s, rest_s, merged.rows, viewership.rows)
        found.append(steps)
    least = {name: min(getattr(one, name) for one in found[1:]) for name in ("map_s", "reduce_s", "merge_s", "rest_s")}
    return replace(found[0], **least)


def _requests(work: Path, console: Console) -> dict[str, dict[str, dict[str, float]]]:
    """Return the requests of a day by stage and method: those of any day, and those of each object and each bucket."""
    plain, objects, buckets = (
        _day_on_s3(work / f"s3-{partitions}-{buckets}", partitions, buckets, console)
        for partitions, buckets in ((2, 1), (4, 1), (2, 5))
    )
    found: dict[str, dict[str, dict[str, float]]] = {}
    for stage in STAGES:
        for method in sorted(plain[stage] | objects[stage] | buckets[stage]):
            an_object = (objects[stage][method] - plain[stage][method]) / (HOURS * 4)
            a_bucket = (buckets[stage][method] - plain[stage][method]) / (HOURS * 4)
            base = plain[stage][method] - HOURS * (4 * an_object + a_bucket)
            found.setdefault(stage, {})[method] = {"base": base, "an_object": an_object, "a_bucket": a_bucket}
    return found


def _day_on_s3(folder: Path, partitions: int, buckets: int, console: Console) -> dict[str, Counter[str]]:
    """Run all stages on a small day of two objects for each partition and hour; return their requests by method."""
    settings = SimulateSettings(start=START, days=1, events_per_day=SMALL_DAY, seed=1, partitions=partitions)
    simulated = folder / "simulated"
    store = open_store(simulated.as_uri())
    simulate(settings, store)
    add_late_files(settings, store)
    found: dict[str, Counter[str]] = {}
    with s3_server_at(folder / "server") as server, s3_proxy_before(server.url) as proxy, serve(settings) as url:
        arrive(simulated, server.root / BUCKET / "raw", START, settings.topic)
        scratch = folder / "scratch"
        scratch.mkdir()
        environment = World(folder / "world", settings, url).environment(scratch, START)
        on_s3 = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "MARQUEE_LAKE": f"s3://{BUCKET}/lake",
            "MARQUEE_RAW": f"s3://{BUCKET}/raw",
            "MARQUEE_S3__ENDPOINT_URL": proxy.url,
            "MARQUEE_S3__REGION": REGION,
            "MARQUEE_S3__PATH_STYLE": "true",
            "MARQUEE_ROLLUP__BUCKETS": str(buckets),
        }
        for stage, command in STAGES.items():
            proxy.mend()
            # Not by bench.measure, which waits for all children, and so for the server.
            subprocess.run([sys.executable, *command], env={**environment, **on_s3}, cwd=scratch, check=True)
            found[stage] = Counter(method for method, _ in proxy.answers)
            console.print(f"{2 * partitions} objects an hour, {buckets} bucket(s), {stage}: {dict(found[stage])}")
    return found


def _stages(given: Namespace) -> tuple[dict[str, Line], dict[int, float]]:
    """Return the idle CPU seconds of each stage by the events of a day, and the peak of memory of both days."""
    points: list[tuple[int, dict[str, float]]] = []
    peaks_mb: dict[int, float] = {}
    for path in given.days:
        day = json.loads(path.read_text(encoding="utf-8"))
        each = []
        for took in day["rounds"]:
            hour_s = mean(took[name]["cpu_s"] for name in (BEFORE, AFTER)) * HOUR_EVENTS / day["hour_events"]
            each.append({stage: took[stage]["cpu_s"] * given.idle / hour_s for stage in STAGES})
        peaks_mb[day["events"]] = max(took[stage]["peak_mb"] for took in day["rounds"] for stage in STAGES)
        points.append((day["events"], {stage: min(one[stage] for one in each) for stage in STAGES}))
    (small, of_small), (large, of_large) = sorted(points, key=lambda one: one[0])
    return {stage: Line.through((small, of_small[stage]), (large, of_large[stage])) for stage in STAGES}, peaks_mb


def _measured(
    hours: Sequence[Steps],
    requests: Mapping[str, Mapping[str, Mapping[str, float]]],
    stages: Mapping[str, Line],
    peaks_mb: Mapping[int, float],
) -> Table:
    """Return what was measured, by the names that the formulas use."""
    table = Table(title="Measured parts", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for hour in hours:
        table.add_row(f"rollup of {hour.events:,} events, {hour.buckets} buckets, {hour.raw_bytes:,} bytes", "")
        for name in ("map_s", "reduce_s", "merge_s", "rest_s"):
            seconds = getattr(hour, name)
            an_event = f"{seconds / hour.events * 1e6:.3f} µs an event"
            table.add_row(f"  {name.removesuffix('_s')}", f"{seconds:.3f} CPU s, {an_event}")
        table.add_row("  rows of viewership before and after the merge", f"{hour.partial_rows:,} and {hour.rows:,}")
    for events, peak_mb in peaks_mb.items():
        table.add_row(f"highest peak of a stage, day of {events:,} events, 2 workers", f"{peak_mb:,.0f} MB")
    for name, line in stages.items():
        table.add_row(f"{name}, a day", f"{line.base:.2f} CPU s + {line.each * 1e6:.3f} µs an event")
    for name, of in requests.items():
        for method, one in of.items():
            parts = (
                f"{one['base']:.0f} + {one['an_object']:.2f} × objects + {one['a_bucket']:.2f} × buckets of all hours"
            )
            table.add_row(f"{name}, {method} a day", parts)
    return table


def _buckets(size: float) -> int:
    """Return the buckets of an hour of this many bytes, as the rollup chooses them."""
    return min(MOST_BUCKETS, 1 << max(0, -(-int(size) // BUCKET_BYTES) - 1).bit_length())


def _days(hour: Steps, requests: Mapping[str, Mapping[str, Mapping[str, float]]], stages: Mapping[str, Line]) -> Table:
    """Return the cost of days."""
    table = Table(title="Cost of a day", title_justify="left")
    table.add_column("events")
    for events in DAYS:
        table.add_column(f"{events:,}", justify="right", no_wrap=True)
    of_day = [(events, events / OBJECT_EVENTS, HOURS * _buckets(_busiest_bytes(hour, events))) for events in DAYS]
    rows = {f"{name}, core-seconds": [line.at(events) for events in DAYS] for name, line in stages.items()}
    rows["all stages, core-seconds"] = [sum(line.at(events) for line in stages.values()) for events in DAYS]
    rows["on Spark, core-seconds"] = [
        sum(line.at(events) * (SPARK_OVERHEAD if name in {"rollup", "profile"} else 1) for name, line in stages.items())
        for events in DAYS
    ]
    rows["raw objects"] = [objects for _, objects, _ in of_day]
    rows["buckets of the busiest hour"] = [_buckets(_busiest_bytes(hour, events)) for events in DAYS]
    for method in ("GET", "PUT"):
        rows[f"requests, {method}"] = [
            sum(
                one["base"] + one["an_object"] * objects + one["a_bucket"] * buckets
                for one in (of[method] for of in requests.values() if method in of)
            )
            for _, objects, buckets in of_day
        ]
    rows["raw events, GB"] = [hour.raw_bytes / hour.events * events / 1e9 for events in DAYS]
    for name, numbers in rows.items():
        table.add_row(name, *(f"{one:,.0f}" if one > SMALL else f"{one:.2g}" for one in numbers))
    return table


def _busiest_bytes(hour: Steps, events: float) -> float:
    return hour.raw_bytes / hour.events * events * BUSIEST


def _executors(hour: Steps) -> Table:
    """Return the wall time of the busiest hour's rollup on Spark, alone, by executors, and its serial part."""
    table = Table(title=f"The busiest hour on Spark, executors of {CORES} cores: wall seconds", title_justify="left")
    for heading in ("events of the day", "of the hour", "serial s", *(f"{number}" for number in EXECUTORS)):
        table.add_column(heading, justify="right", no_wrap=True)
    a_row = hour.merge_s / hour.partial_rows
    for events in DAYS:
        of_hour = events * BUSIEST
        partial = _buckets(_busiest_bytes(hour, events)) * hour.partial_rows / hour.buckets
        serial = SPARK_OVERHEAD * (partial * a_row + hour.rest_s)
        parallel = SPARK_OVERHEAD * (hour.map_s + hour.reduce_s) / hour.events * of_hour
        walls = [SPARK_START_S + serial + parallel / (CORES * number) for number in EXECUTORS]
        table.add_row(f"{events:,}", f"{of_hour:,.0f}", f"{serial:.1f}", *(f"{one:,.0f}" for one in walls))
    return table
