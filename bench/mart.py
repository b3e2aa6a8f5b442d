"""Compare loading a day of viewership into MySQL with a bare LOAD DATA of the same rows, and with executemany.

The benchmark starts its own MariaDB, and each load goes into an empty table of the same mart. See docs/benchmarks.md.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

import pyarrow as pa
import pyarrow.csv
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bench.command import count, new_parser, run_part, show
from bench.days import day_name, make_day, make_schedule
from bench.measure import BenchError, cpu_seconds, wait_for
from jobs.mart_load.load import load_mart
from jobs.mart_load.settings import MartLoadSettings
from marquee.calendar import Period, Span
from marquee.lake.markers import Markers
from marquee.mart.cells import Cells
from marquee.mart.settings import MartSettings
from marquee.storage.local import LocalStore
from tests.mariadb_server import MysqlDatabase, SqlServer, install, mariadb_server, mysql_database

ROWS = 600_000
DAYS = 15
MEMORY_MB = 400
LARGER = 5
"""Size of the larger day as a multiple of a day, for the measurement of memory."""
LOOK_S = 0.02
LARGER_DAY = 90
"""The number of that day."""
SERVER = (
    "--local-infile=1",
    "--innodb-buffer-pool-size=512M",
    "--innodb-log-file-size=256M",
    "--innodb-flush-method=O_DIRECT",
)
"""A usual configuration, with commits as durable as by default."""
COLUMNS = ("day", "episode_id", "country", "daypart", "device", "plays", "watched_seconds")
NO_DAY = Span.of(Period.parse("1999-01-01"), Period.parse("1999-01-01"))
"""Loads the dimensions alone, which belong to every span."""


Rows = Sequence[tuple[object, ...]]


@dataclass(frozen=True)
class Took:
    """Seconds of wall time, and CPU seconds of this process and the server together."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:6.2f} s {self.cpu_s:6.2f} CPU s"


@dataclass(frozen=True)
class World:
    """A lake with some days, a server to load them into, and the mart's rows of the first, as a file and in Python."""

    store: LocalStore
    server: SqlServer
    tsv: Path
    rows: Rows


def main(arguments: Sequence[str]) -> int:
    """Run the comparison; return the exit code."""
    given = _parse(arguments)

    def part(folder: Path, console: Console) -> None:
        with mariadb_server(install(folder), folder / "server", *SERVER) as server:
            world = _make(given, folder, server, console)
            show(_compare(world, given.rounds, console))
            if given.days:
                show(_in_a_row(world, given.days, console))
            show(_memory(world, given.rows, console))

    return run_part(part)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = new_parser("mart", __doc__)
    parser.add_argument("--rows", type=count, default=ROWS, help="rows of a day (default: %(default)s)")
    parser.add_argument("--days", type=int, default=DAYS, help="days in a row, 0: none (default: %(default)s)")
    return parser.parse_args(arguments)


def _make(given: argparse.Namespace, folder: Path, server: SqlServer, console: Console) -> World:
    days = max(1, given.days)
    console.print(f"{days} days of {given.rows:,} rows, and one of {LARGER} times as many")
    store = LocalStore(folder / "lake")
    make_schedule(store)
    first, *_ = [make_day(store, day, given.rows) for day in range(days)]
    make_day(store, LARGER_DAY, given.rows * LARGER)
    rows = _day_rows(first).select(COLUMNS)
    tsv = folder / "day.tsv"
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    pyarrow.csv.write_csv(rows, tsv, options)
    return World(store, server, tsv, list(zip(*(column.to_pylist() for column in rows.columns), strict=True)))


def _day_rows(hours: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of a day in a mart; show 0 has all episodes, which no row of many viewers depends on."""
    with Cells(MEMORY_MB) as cells:
        for hour in hours:
            cells.add(hour)
        return cells.folded(pa.table({"episode_id": [0], "show_id": [0]}), min_cell=10)


def _compare(world: World, rounds: int, console: Console) -> Table:
    """Return the times of each way, in turns, each into a new mart with the schedule loaded."""
    took: dict[str, list[Took]] = {name: [] for name in WAYS}
    for number in range(1, rounds + 1):
        for name, way in WAYS.items():
            with _mart(world) as mart:
                took[name].append(_time(world, partial(way, world, mart)))
                _check(mart, 1)
            console.print(f"round {number}/{rounds}  {name:26} {took[name][-1]}")
    title = f"A day of {len(world.rows):,} rows in the mart into MySQL, {rounds} round(s)"
    table = _table(title, "best s", "×", "median s", "CPU s", "×")
    # Other load on the machine makes a run longer, never shorter: compare the best of each.
    best = {name: Took(min(one.wall_s for one in each), min(one.cpu_s for one in each)) for name, each in took.items()}
    for name, one in best.items():
        table.add_row(
            name,
            f"{one.wall_s:.2f}",
            f"{one.wall_s / best[BARE].wall_s:.2f}",
            f"{median(each.wall_s for each in took[name]):.2f}",
            f"{one.cpu_s:.2f}",
            f"{one.cpu_s / best[BARE].cpu_s:.2f}",
        )
    return table


def _in_a_row(world: World, days: int, console: Console) -> Table:
    """Return the mean times of a day among the first, the last and all days of a series."""
    took: list[Took] = []
    with _mart(world) as mart:
        for day in range(days):
            took.append(_time(world, partial(_load, world, mart, day)))
            console.print(f"day {day + 1}/{days}  {took[-1]}")
        _check(mart, days)
    third = max(1, days // 3)
    parts = {f"a day of the first {third}": took[:third], f"a day of the last {third}": took[-third:]}
    means = {
        name: Took(fmean(one.wall_s for one in part), fmean(one.cpu_s for one in part))
        for name, part in (parts | {"a day of all": took}).items()
    }
    first = next(iter(means.values()))
    table = _table(f"{days} days of {len(world.rows):,} rows, one after the other", "mean s", "×", "mean CPU s", "×")
    for name, mean in means.items():
        table.add_row(
            name,
            f"{mean.wall_s:.2f}",
            f"{mean.wall_s / first.wall_s:.2f}",
            f"{mean.cpu_s:.2f}",
            f"{mean.cpu_s / first.cpu_s:.2f}",
        )
    return table


def _time(world: World, work: Callable[[], None]) -> Took:
    """Return the time of some work, including the server's part."""
    started, used_s = time.monotonic(), time.process_time() + cpu_seconds(world.server.pid)
    work()
    return Took(time.monotonic() - started, time.process_time() + cpu_seconds(world.server.pid) - used_s)


def _memory(world: World, rows: int, console: Console) -> Table:
    """Return the memory of the loader's process for a day and for a larger one."""
    table = _table("Memory of the loader's process, at its highest", "MB")
    for day, size in ((0, rows), (LARGER_DAY, rows * LARGER)):
        with _mart(world) as mart:
            peak_mb = _peak_mb(world, mart, day_name(day))
            _check(mart, 1)
        console.print(f"{size:,} rows  {peak_mb:6.0f} MB")
        table.add_row(f"a day of {size:,} rows", f"{peak_mb:.0f}")
    return table


def _peak_mb(world: World, mart: MysqlDatabase, day: str) -> float:
    """Load a day in a process of its own; return the last observed peak of its resident memory in MiB."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARQUEE_")}
    settings = {
        "MARQUEE_LAKE": world.store.url,
        "MARQUEE_MART__URL": mart.url,
        "MARQUEE_MART__PASSWORD": mart.password,
    }
    command = [sys.executable, "-m", "jobs.mart_load", "--from", day, "--to", day]
    log = world.tsv.with_suffix(".log")
    with log.open("wb") as output:
        child = subprocess.Popen(command, env=inherited | settings, stdout=output, stderr=output)
    peak_mb = wait_for(child, LOOK_S)
    if child.returncode:
        message = f"the loader ended with code {child.returncode}: {log.read_text(encoding='utf-8')[-2000:]}"
        raise BenchError(message)
    return peak_mb


@contextmanager
def _mart(world: World) -> Iterator[MysqlDatabase]:
    """Create a mart with the schedule and without facts."""
    with mysql_database(world.server) as database:
        _load_span(world, database, NO_DAY)
        yield database


def _load(world: World, mart: MysqlDatabase, day: int = 0) -> None:
    _load_span(world, mart, Span.of(Period.parse(day_name(day)), Period.parse(day_name(day))))


def _load_span(world: World, mart: MysqlDatabase, span: Span) -> None:
    settings = MartSettings(url=mart.url, password=SecretStr(mart.password))
    report = load_mart(MartLoadSettings(lake=world.store.url, mart=settings), Markers(world.store), span)
    if report.exit_code:
        message = f"the load ended with code {report.exit_code}: {Markers(world.store).failures('mart_load')}"
        raise BenchError(message)


def _load_bare(world: World, mart: MysqlDatabase) -> None:
    with mart.connect(autocommit=False, local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"load data local infile '{world.tsv}' into table fact_viewership ({', '.join(COLUMNS)})")
        connection.commit()


def _execute_many(world: World, mart: MysqlDatabase) -> None:
    places = ", ".join(["%s"] * len(COLUMNS))
    with mart.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.executemany(f"insert into fact_viewership ({', '.join(COLUMNS)}) values ({places})", world.rows)  # noqa: S608 - our own names
        connection.commit()


BARE = "LOAD DATA LOCAL INFILE"
WAYS: Mapping[str, Callable[[World, MysqlDatabase], None]] = {
    "Marquee": _load,
    BARE: _load_bare,
    "executemany": _execute_many,
}


def _check(mart: MysqlDatabase, days: int) -> None:
    ((found,),) = mart.ask("select count(distinct day) from fact_viewership")
    if found != days:
        message = f"{found} days were loaded, expected {days}"
        raise BenchError(message)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=f"{title}; {os.cpu_count()} cores")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
