"""The loader of a mart in MySQL dies at any call, or loses a commit's answer: in the end all is right, and there once.

Each time the lake has changed in every stage, so that every kind of step is on its way when the loader dies.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pymysql.connections import Connection

from jobs.common.calendar import Period
from jobs.common.commit import read_marker
from jobs.common.store import LocalStore
from jobs.mart_load import schema
from tests.faults.crashing import STORE_CALLS, Calls, CrashPoint, Killed, Side
from tests.faults.mysql_proxy import Fault, Plan, mysql_proxy
from tests.helpers_mart import SmallLake, load
from tests.helpers_mysql import (
    TABLES,
    Content,
    content_of_duckdb,
    content_of_mysql,
    load_mysql,
    restate,
    small_lake,
    url_at,
)
from tests.mariadb_server import MysqlDatabase

DATABASE_CALLS: Calls = [(Connection, "_execute_command"), (Connection, "write_packet")]
"""Every statement, and every packet of rows, on its way to the server."""


STATES = (660, 720)
"""Of the lake, in turn."""
STEPS = ("schedule_fetch", "rollup", "audience")


@pytest.fixture
def small(lake: LocalStore, mysql_mart: MysqlDatabase) -> SmallLake:
    """A lake that is loaded."""
    small = small_lake(lake)
    assert load_mysql(lake, mysql_mart).loaded == 4
    return small


def without_run(rows: Content) -> Content:
    """Leave out of the ledger what differs from run to run."""
    named = [
        column.name for column in schema.relations()[TABLES.index("load_ledger")].columns if column.name != "loaded_at"
    ]
    left = [number for number, name in enumerate(named) if name not in {"run_id", "generation"}]
    return {**rows, "load_ledger": [tuple(row[number] for number in left) for row in rows["load_ledger"]]}


@pytest.fixture
def expected(small: SmallLake, tmp_path: Path) -> Mapping[int, Content]:
    """What a mart must hold that never saw a fault: what DuckDB makes of the same lake, in both of its states."""
    rows = {}
    for state in STATES:
        restate(small, state)
        load(small.store, tmp_path / f"{state}.duckdb")
        rows[state] = without_run(content_of_duckdb(tmp_path / f"{state}.duckdb"))
    return rows


def die_at(small: SmallLake, database: MysqlDatabase, point: CrashPoint) -> None:
    """Load until the loader dies, if it does."""
    with point.in_force():
        try:
            load_mysql(small.store, database)
        except Killed:
            assert point.died_at


@pytest.mark.parametrize(
    ("calls", "sides"),
    [(DATABASE_CALLS, ("before", "after")), (STORE_CALLS, ("before",))],
    ids=["of the database", "of the store"],
)
def test_killed_at_every_call(
    small: SmallLake,
    mysql_mart: MysqlDatabase,
    expected: Mapping[int, Content],
    calls: Calls,
    sides: Sequence[Side],
) -> None:
    """What is left is as before or after one of the steps; the rerun ends as a mart that saw no fault."""
    load_mysql(small.store, mysql_mart)
    states = itertools.cycle(STATES)
    restate(small, next(states))
    clean = CrashPoint(calls)
    die_at(small, mysql_mart, clean)
    left = set()
    for at, side in itertools.product(range(1, clean.count + 1), sides):
        state = next(states)
        restate(small, state)
        point = CrashPoint(calls, at, side)
        die_at(small, mysql_mart, point)
        left.add(steps_done(small, mysql_mart, state))
        assert load_mysql(small.store, mysql_mart).exit_code == 0
        found = without_run(content_of_mysql(mysql_mart))
        assert found == expected[state], f"killed {side} call {at} of {clean.count}, {point.died_at}"
        assert steps_done(small, mysql_mart, state) == STEPS
    assert left == {STEPS[:number] for number in range(len(STEPS) + 1)}


def steps_done(small: SmallLake, database: MysqlDatabase, state: int) -> tuple[str, ...]:
    """Return which stages' new markers are loaded: a step is done whole, with its word in the ledger, or not at all."""
    runs = dict(
        database.ask(
            "select dataset, run_id from load_ledger where period like '2026-01-05%' and period not like '%T01'"
        )
    )
    done = []
    for stage, dataset, period, sql in (
        ("schedule_fetch", "shows", "2026-01-05", "select name from dim_show where show_id = 1"),
        (
            "rollup",
            "viewership",
            "2026-01-05T00",
            "select watched_seconds from fact_viewership where hour = '2026-01-05' and episode_id = 11",
        ),
        ("audience", "audience_base", "2026-01-05", "select watched_seconds from fact_audience_base"),
    ):
        marker = read_marker(small.store, stage, Period.parse(period))
        assert marker is not None
        ((value,),) = database.ask(sql)
        assert (runs[dataset] == marker.run_id) is str(value).endswith(str(state)), (stage, value)
        done += [stage] * (runs[dataset] == marker.run_id)
    return tuple(done)


# A commit whose answer is lost.


def lost_at_commit(number: int, fault: Fault) -> Plan:
    """Return a plan that loses the n-th commit after rows have begun to be sent."""
    commits, sent = 0, False

    def plan(statement: str) -> Fault | None:
        nonlocal commits, sent
        sent |= statement.startswith("load data")
        commit = sent and statement.lower() == "commit"
        commits += commit
        return fault if commit and commits == number else None

    return plan


@pytest.mark.parametrize("fault", Fault)
def test_the_answer_of_a_commit_is_lost(
    small: SmallLake, mysql_mart: MysqlDatabase, expected: Mapping[int, Content], fault: Fault
) -> None:
    """Whichever commit it is, and whether it was done or not: the load itself goes on and ends right, nothing twice."""
    load_mysql(small.store, mysql_mart)
    states = itertools.cycle(STATES)
    for number in itertools.count(1):
        state = next(states)
        restate(small, state)
        with mysql_proxy(mysql_mart.server.port, lost_at_commit(number, fault)) as proxy:
            report = load_mysql(small.store, mysql_mart, url=url_at(mysql_mart, proxy.port))
        assert (report.failed, report.replaced) == ((), 3)
        assert without_run(content_of_mysql(mysql_mart)) == expected[state]
        if [statement.lower() for statement in proxy.statements].count("commit") < number:
            break
    assert number > 3
