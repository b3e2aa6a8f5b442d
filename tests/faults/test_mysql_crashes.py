"""The loader of a MySQL mart dies at any call, or loses the answer to a commit: in the end every row is there once.

The lake changes in every stage before each load, so that every kind of step is in progress when the loader dies.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from jobs.mart_load.dimensions import make_dimensions
from marquee.calendar import Period
from marquee.errors import TryAgainError
from marquee.lake.markers import read_marker
from marquee.mart import schema
from marquee.storage.local import LocalStore
from tests.faults.crashing import STORE_CALLS, Calls, CrashPoint, Killed
from tests.faults.mysql_proxy import LOGIN, Fault, Plan, mysql_proxy
from tests.helpers_mart import SmallLake, load
from tests.helpers_mysql import Content, all_rows, load_mysql, restate, small_lake, url_at
from tests.mariadb_server import MysqlDatabase

DATABASE_CALLS: Calls = [(Connection, "_execute_command"), (Connection, "write_packet")]
"""Every statement and every packet of rows sent to the server."""
STATES = (660, 720)
"""The states of the lake, in turn: the number by which its changes are recognized."""
STEPS = ("schedule_fetch", "rollup", "audience")
MADE = {
    "dim_country",
    "dim_language",
    "dim_show",
    "dim_episode",
    "fact_viewership",
    "fact_audience",
    "fact_audience_base",
}
PARTS = {
    "schedule_fetch": ("shows", "2026-01-05", "select name from dim_show where show_id = 1"),
    "rollup": (
        "viewership",
        "2026-01-05T00",
        "select watched_seconds from fact_viewership where day = '2026-01-05' and episode_id = 11",
    ),
    "audience": ("audience_base", "2026-01-05", "select watched_seconds from fact_audience_base"),
}
"""For each stage: a dataset and its period in the ledger, and a query that shows the state of its rows."""
OF_RUNS = {"run_id", "generation", "rows_run_id", "rows_generation"}
"""Columns of the ledger that differ from run to run."""


@pytest.fixture
def small(lake: LocalStore, mysql_mart: MysqlDatabase) -> SmallLake:
    """A lake whose mart is loaded."""
    small = small_lake(lake)
    assert load_mysql(lake, mysql_mart).loaded == 4
    return small


@pytest.fixture
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make only some of the dimensions, and only once for each state, to be quick."""
    made: dict[Any, Any] = {}

    def make(markers: Any) -> Any:
        (capture,) = markers.of("schedule_fetch").values()
        digests = tuple(output.sha256 for output in capture.outputs)
        if digests not in made:
            tables = make_dimensions(markers)
            made[digests] = {name: rows for name, rows in tables.items() if name in MADE}
        return made[digests]

    monkeypatch.setattr("jobs.mart_load.load.make_dimensions", make)


@pytest.fixture
def expected(small: SmallLake, mysql_mart: MysqlDatabase, tmp_path: Path) -> Mapping[int, Content]:
    """The expected content of the mart in both states of the lake: that of a DuckDB mart without faults."""
    rows = {}
    for state in STATES:
        restate(small, state)
        load(small.store, tmp_path / f"{state}.duckdb")
        rows[state] = without_run(all_rows(tmp_path / f"{state}.duckdb"))
    assert load_mysql(small.store, mysql_mart).replaced == 3
    return rows


def without_run(rows: Content) -> Content:
    """Leave out fields of the ledger that differ from run to run, and dimensions that are not always made."""
    (ledger,) = [one for one in schema.relations() if one.name == "load_ledger"]
    names = [column.name for column in ledger.columns if column.name != "loaded_at"]
    left = [number for number, name in enumerate(names) if name not in OF_RUNS]
    ledger_rows = [tuple(row[number] for number in left) for row in rows["load_ledger"]]
    made = {name: those for name, those in rows.items() if name in MADE}
    return {**made, "load_ledger": ledger_rows}


def load_until(small: SmallLake, database: MysqlDatabase, point: CrashPoint) -> None:
    """Load until the loader dies, if it does."""
    with point.in_force():
        try:
            load_mysql(small.store, database)
        except Killed:
            assert point.died_at


def steps_done(small: SmallLake, database: MysqlDatabase, state: int) -> tuple[str, ...]:
    """Return the stages whose new markers are loaded, and check that rows and ledger agree for each."""
    done = []
    for stage, (dataset, period, sql) in PARTS.items():
        marker = read_marker(small.store, stage, Period.parse(period))
        ledger = "select run_id from load_ledger where dataset = %s and period = %s"
        assert marker is not None
        loaded = database.ask(ledger, [dataset, period]) == ((marker.run_id,),)
        assert str(database.ask(sql)[0][0]).endswith(str(state)) is loaded, stage
        done += [stage] * loaded
    return tuple(done)


@pytest.mark.parametrize("calls", [DATABASE_CALLS, STORE_CALLS], ids=["of the database", "of the store"])
@pytest.mark.usefixtures("made_once")
def test_killed_before_every_call(
    small: SmallLake, mysql_mart: MysqlDatabase, expected: Mapping[int, Content], calls: Calls
) -> None:
    """A load killed before any call leaves the mart between two steps, and the rerun gives the right content."""
    nothing_to_do, clean = CrashPoint(calls), CrashPoint(calls)
    load_until(small, mysql_mart, nothing_to_do)
    states = itertools.cycle(STATES)
    restate(small, next(states))
    load_until(small, mysql_mart, clean)
    left = set()
    # Until the first change, all calls are alike: the first one represents them.
    for at in (1, *range(nothing_to_do.count, clean.count + 1)):
        state = next(states)
        restate(small, state)
        point = CrashPoint(calls, at)
        load_until(small, mysql_mart, point)
        left.add(steps_done(small, mysql_mart, state))
        assert load_mysql(small.store, mysql_mart).exit_code == 0
        assert without_run(all_rows(mysql_mart)) == expected[state], f"killed before call {at}, {point.died_at}"
        assert steps_done(small, mysql_mart, state) == STEPS
    assert left >= {STEPS[:number] for number in range(len(STEPS))}


def lost_at_commit(number: int, fault: Fault, *, for_good: bool = False) -> Plan:
    """Return a plan that loses the n-th commit after the first LOAD DATA, and all that follows if it is for good."""
    commits, sent = 0, False

    def plan(statement: str) -> Fault | None:
        nonlocal commits, sent
        sent |= statement.startswith("load data")
        commit = sent and statement.lower() == "commit"
        if for_good and commits == number:
            return Fault.LOST_BEFORE
        commits += commit
        return fault if commit and commits == number else None

    return plan


@pytest.mark.parametrize("fault", Fault)
def test_the_answer_of_a_commit_is_lost(
    small: SmallLake, mysql_mart: MysqlDatabase, expected: Mapping[int, Content], fault: Fault
) -> None:
    """When the answer to any commit is lost, executed or not, the load continues and loads every row once."""
    states = itertools.cycle(STATES)
    for number in itertools.count(1):
        state = next(states)
        restate(small, state)
        with mysql_proxy(mysql_mart.server.port, lost_at_commit(number, fault)) as proxy:
            report = load_mysql(small.store, mysql_mart, url=url_at(mysql_mart, proxy.port))
        assert (report.failed, report.replaced) == ((), 3)
        assert without_run(all_rows(mysql_mart)) == expected[state]
        if proxy.statements.count(LOGIN) == 1:  # no connection was lost: there are no more commits
            break
    assert number > len(STEPS)


@pytest.mark.parametrize("fault", Fault)
def test_the_answer_of_a_commit_is_lost_and_the_ledger_cannot_be_read(
    small: SmallLake, mysql_mart: MysqlDatabase, expected: Mapping[int, Content], fault: Fault
) -> None:
    """When the server is gone after any commit, the load is tried again later, and that load loads every row once."""
    states, left = itertools.cycle(STATES), set()
    for number in itertools.count(1):
        state = next(states)
        restate(small, state)
        with mysql_proxy(mysql_mart.server.port, lost_at_commit(number, fault, for_good=True)) as proxy:
            if not fails_for_now(small, mysql_mart, proxy.port):  # no connection was lost: there are no more commits
                break
        done = steps_done(small, mysql_mart, state)
        left.add(done)
        again = load_mysql(small.store, mysql_mart)
        assert (again.exit_code, again.replaced) == (0, len(STEPS) - len(done))
        assert without_run(all_rows(mysql_mart)) == expected[state]
    all_done = {STEPS} if fault is Fault.LOST_AFTER else set()
    assert left == {STEPS[:number] for number in range(len(STEPS))} | all_done


def fails_for_now(small: SmallLake, database: MysqlDatabase, port: int) -> bool:
    """Load through a proxy; return whether the load fails with code 75 instead of succeeding."""
    try:
        report = load_mysql(small.store, database, url=url_at(database, port))
    except TryAgainError:
        return True
    assert report.exit_code in {0, 75}
    return report.exit_code == 75
