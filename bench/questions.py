"""Measure each question on a mart with a quarter of viewership, in DuckDB and in a MariaDB of its own, cold and warm.

Cold: the server was restarted, or the file is opened anew and is in no cache of the system. Warm: the same question
again. CPU seconds are the server's, or for DuckDB this process's. See docs/benchmarks.md.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bench.command import count, new_parser, run_part, show
from bench.measure import BenchError, cpu_seconds
from bench.question_mart import make_quarter
from jobs.mart_load.load import load_mart
from jobs.mart_load.settings import MartLoadSettings
from marquee.errors import TryAgainError
from marquee.lake.markers import Markers
from marquee.mart.base import read_mart
from marquee.mart.questions import QUESTIONS, Question, query_of
from marquee.mart.settings import MartSettings
from marquee.storage.local import LocalStore
from tests.mariadb_server import MariaDB, SqlServer, install

ROWS = 1_500_000
TIMEOUT_S = 300
SERVER = (
    "--local-infile=1",
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=256M",
    "--innodb-flush-method=O_DIRECT",
    "--aria-pagecache-buffer-size=128M",  # of temporary tables on disk: the server's default
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
)
"""A usual configuration, in which a restarted server has nothing in memory, nor has the system for it."""
DATABASE = "kiosk"
PASSWORD = "bench"  # noqa: S105 - of a server that lives as long as this process


@dataclass(frozen=True)
class Took:
    """Seconds of wall time and of CPU, and rows of the answer."""

    wall_s: float
    cpu_s: float
    rows: int


@dataclass
class Times:
    """The times of a question in a mart: the first, cold one and those after it. None: not within the timeout."""

    cold: Took | None = None
    warm: list[Took] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """A mart: its settings, how to make it cold, and the CPU seconds that it has used so far."""

    name: str
    settings: MartSettings
    chill: Callable[[], None]
    cpu_s: Callable[[], float]
    size_mb: Callable[[], float]


def main(arguments: Sequence[str]) -> int:
    """Run the measurement; return the exit code."""
    given = _parse(arguments)

    def part(work: Path, console: Console) -> dict[str, object]:
        folder, found = given.folder or work, dict[str, object]()
        lake = _lake(folder, given.rows, console)
        for open_place in [PLACES[name] for name in given.marts]:
            with open_place(folder, given.timeout) as place:
                _load(lake, place, console)
                times = _measure(place, given, console)
                show(_table(place, given, times))
                found[place.name] = {name: asdict(one) for name, one in times.items()}
        return found

    return run_part(part, given.json)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = new_parser("questions", __doc__, "keep the lake and the marts here, and use those that are there")
    names = [one.name for one in QUESTIONS]
    parser.add_argument(
        "--rows", type=count, default=ROWS, help="rows of viewership of the quarter (default: %(default)s)"
    )
    parser.add_argument("--timeout", type=int, default=TIMEOUT_S, help="seconds for a question (default: %(default)s)")
    parser.add_argument("--period", help="ask for this period; by default each view chooses its own")
    parser.add_argument("--marts", nargs="+", choices=PLACES, default=list(PLACES), help="the marts to measure")
    parser.add_argument("--questions", nargs="+", choices=names, default=names, metavar="QUESTION", help="all if unset")
    return parser.parse_args(arguments)


def _lake(folder: Path, rows: int, console: Console) -> LocalStore:
    made = folder / f"rows-{rows}"
    store = LocalStore(folder / "lake")
    if not made.exists():
        console.print(f"a lake with a quarter of about {rows:,} rows of viewership")
        found = make_quarter(store, rows, lambda day: console.print(f"made {day}"))
        made.write_text(f"{found}\n", encoding="utf-8")
    return store


def _load(lake: LocalStore, place: Place, console: Console) -> None:
    started, used_s = time.monotonic(), _all_cpu_s(place)
    markers = Markers(lake)
    report = load_mart(MartLoadSettings(lake=lake.url, mart=place.settings), markers)
    if report.exit_code:
        message = f"the load ended with code {report.exit_code}: {markers.failures('mart_load')}"
        raise BenchError(message)
    took = f"{time.monotonic() - started:.1f} s, {_all_cpu_s(place) - used_s:.1f} CPU s, {place.size_mb():,.0f} MB"
    console.print(f"{place.name}: {report.rows:,} rows loaded in {took}")


def _all_cpu_s(place: Place) -> float:
    """Return the CPU seconds of this process and the server's."""
    return time.process_time() + (place.cpu_s() if place.cpu_s is not time.process_time else 0)


def _measure(place: Place, given: argparse.Namespace, console: Console) -> Mapping[str, Times]:
    found = {name: Times() for name in given.questions}
    for question in [one for one in QUESTIONS if one.name in found]:
        times = found[question.name]
        place.chill()
        try:
            times.cold, *times.warm = _ask(place, question, 1 + given.rounds, given.period)
        except TryAgainError as error:  # the timeout; the server goes on until it is restarted
            console.print(f"{place.name}  {question.name}: {error}")
        console.print(f"{place.name}  {question.name:22} {times.cold}")
    return found


def _ask(place: Place, question: Question, rounds: int, period: str | None) -> list[Took]:
    took = []
    with read_mart(place.settings) as mart:
        for _ in range(rounds):
            started, used_s = time.monotonic(), place.cpu_s()
            _, rows = mart.query(*query_of(mart, question, 0, {}, period))
            took.append(Took(time.monotonic() - started, place.cpu_s() - used_s, len(rows)))
    return took


def _table(place: Place, given: argparse.Namespace, times: Mapping[str, Times]) -> Table:
    load = f"load {os.getloadavg()[0]:.1f}"
    table = Table(title=f"{place.name}, a quarter of {given.rows:,} rows of viewership; {os.cpu_count()} cores, {load}")
    table.add_column("question")
    for heading in ("rows", "cold s", "CPU s", "warm s", "CPU s"):
        table.add_column(heading, justify="right")
    for name, one in times.items():
        if one.cold is None:
            table.add_row(name, "", f"> {given.timeout}", "", "", "")
            continue
        # Other load on the machine makes a run longer, never shorter: the best of the warm ones counts.
        warm = [f"{min(each):.2f}" for each in zip(*((took.wall_s, took.cpu_s) for took in one.warm), strict=True)]
        table.add_row(
            name, f"{one.cold.rows:,}", f"{one.cold.wall_s:.2f}", f"{one.cold.cpu_s:.2f}", *(warm or ["", ""])
        )
    return table


@contextmanager
def _duckdb(folder: Path, _timeout_s: int) -> Iterator[Place]:
    path = folder / "kiosk.duckdb"

    def chill() -> None:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    settings = MartSettings(url=f"duckdb://{path.resolve()}")
    yield Place("DuckDB", settings, chill, time.process_time, lambda: path.stat().st_size / 1e6)


@contextmanager
def _mariadb(folder: Path, timeout_s: int) -> Iterator[Place]:
    home = folder / "server"
    data = home / "data"
    is_new = not data.exists()
    if is_new:
        install(home)
    server = MariaDB(home, SERVER)
    server.start()
    try:
        if is_new:
            server.ask(f"create database {DATABASE} character set utf8mb4")
            server.ask(f"create user marquee identified by '{PASSWORD}'")
            server.ask(f"grant all on {DATABASE}.* to marquee with grant option")
        url = f"mysql://marquee@127.0.0.1:{server.port}/{DATABASE}"
        settings = MartSettings(url=url, password=SecretStr(PASSWORD), timeout_s=timeout_s)
        yield Place("MariaDB", settings, server.restart, lambda: _server_cpu_s(server), lambda: _folder_mb(data))
    finally:
        server.stop()


def _server_cpu_s(server: SqlServer) -> float:
    return cpu_seconds(server.pid)


def _folder_mb(data: Path) -> float:
    return sum(one.stat().st_size for one in (data / DATABASE).iterdir()) / 1e6


PLACES: Mapping[str, Callable[[Path, int], AbstractContextManager[Place]]] = {"duckdb": _duckdb, "mariadb": _mariadb}
