"""Other clients of the same MySQL mart: analysts who read or lock, and loaders that are frozen, late or concurrent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobs.mart_load.load import load_mart
from jobs.mart_load.settings import MartLoadSettings
from marquee.calendar import Period
from marquee.errors import TryAgainError
from marquee.lake.markers import Markers
from marquee.storage.local import LocalStore
from tests.faults.mysql_proxy import Fault, mysql_proxy, once
from tests.helpers_mart import SmallLake, load
from tests.helpers_mysql import all_rows, load_mysql, restate, settings_of, small_lake, url_at
from tests.mariadb_server import MysqlDatabase


@pytest.fixture
def small(lake: LocalStore, mysql_mart: MysqlDatabase) -> SmallLake:
    """A lake whose mart is loaded, with changes in every stage since then."""
    small = small_lake(lake)
    assert load_mysql(lake, mysql_mart).loaded == 4
    restate(small, 660)
    return small


@contextmanager
def locking(database: MysqlDatabase, *statements: str) -> Iterator[None]:
    """Hold locks while the block runs."""
    with database.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield
        cursor.execute("unlock tables")
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "select * from fact_viewership where day = '2026-01-05' for update",
        "select * from fact_viewership lock in share mode",
        "lock tables fact_viewership read",
        "lock tables dim_episode read, fact_viewership read, fact_audience_base read",
    ],
)
def test_an_analyst_holds_a_lock(small: SmallLake, mysql_mart: MysqlDatabase, statement: str) -> None:
    """A load waits for an analyst's lock up to the timeout, then fails with a remedy, and succeeds without the lock."""
    with locking(mysql_mart, statement):
        report = load_mysql(small.store, mysql_mart, lock_timeout_s=1)
    assert report.exit_code == 75
    reason = Markers(small.store).failures("mart_load")[Period.parse("2026-01-05")].reason
    assert "MARQUEE_MART__LOCK_TIMEOUT_S" in reason
    assert load_mysql(small.store, mysql_mart).exit_code == 0
    assert Markers(small.store).failures("mart_load") == {}
    assert mysql_mart.ask("select watched_seconds from fact_viewership where episode_id = 11") == ((660,),)


def test_a_long_question_holds_up_nobody(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A long-running reader does not block a load."""
    with locking(mysql_mart, "start transaction with consistent snapshot", "select * from fact_viewership"):
        assert load_mysql(small.store, mysql_mart).replaced == 3


def test_readers_see_the_old_or_the_new(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """Between any two statements of a load, a reader sees only old or only new rows and ledger, and meets no lock."""
    sql = """
        select (select name from dim_show where show_id = 1),
            (select sum(watched_seconds) from fact_viewership where day = '2026-01-05' and episode_id = 11),
            (select group_concat(episode_id) from fact_viewership where country in ('US', 'JP')),
            (select group_concat(episode_id) from dim_episode where episode_id > 12),
            (select generation from load_ledger where dataset = 'viewership' and period = '2026-01-05T00'),
            (select sum(watched_seconds) from fact_audience_base)
    """
    seen = []
    with mysql_mart.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set session lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")

        def read(_: str) -> None:
            cursor.execute(sql)
            seen.extend(cursor.fetchall())

        with mysql_proxy(mysql_mart.server.port, read) as proxy:
            assert load_mysql(small.store, mysql_mart, url=url_at(mysql_mart, proxy.port)).replaced == 3
        read("after the load")
    assert list(dict.fromkeys(seen)) == [
        ("Cases", 600, "99", "99", 1, 780),
        ("Cases 660", 600, "99", "99", 1, 780),
        ("Cases 660", 660, "1660", "1660", 2, 780),
        ("Cases 660", 660, "1660", "1660", 2, 660),
    ]


LOADER = """
import os, signal, sys
from pathlib import Path
from marquee.storage.local import LocalStore
from marquee.mart.mysql import connection as mysql_connection
from marquee.mart.mysql import variables
from tests.helpers_mysql import load_mysql
from tests.mariadb_server import MysqlDatabase, SqlServer

root, folder, port, name, user, password, how = sys.argv[1:]
server = SqlServer(Path(folder))
server.port = int(port)
mart = MysqlDatabase(server, name, user, password)
if how == "freeze":
    variables.IDLE_S = 1
    real = mysql_connection.MysqlSession.execute_many

    def execute_many(self, sql, rows):
        real(self, sql, rows)
        if "load_ledger" in sql and not getattr(mysql_connection, "frozen", False):
            mysql_connection.frozen = True
            os.kill(os.getpid(), signal.SIGSTOP)

    mysql_connection.MysqlSession.execute_many = execute_many
print("ready", flush=True)
sys.stdin.readline()
report = load_mysql(LocalStore(Path(root)), mart, lock_timeout_s=20)
print(report.loaded, report.replaced, report.unchanged, report.exit_code, flush=True)
"""


@contextmanager
def loader(store: LocalStore, database: MysqlDatabase, how: str = "") -> Iterator["subprocess.Popen[str]"]:
    """Start a process that loads when it is signalled; its last line is the result."""
    server = (str(database.server.folder), str(database.server.port))
    arguments = [str(store.root), *server, database.name, database.user, database.password, how]
    command = [sys.executable, "-c", LOADER, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert line_of(process) == "ready"
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process writes."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]") -> None:
    """Signal a process to continue."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_loaders_at_once(
    lake: LocalStore, mysql_mart: MysqlDatabase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two loaders that start at once into an empty database load everything once, and neither fails."""
    small_lake(lake)
    with loader(lake, mysql_mart) as one, loader(lake, mysql_mart) as other:
        tell(one)
        tell(other)
        done = [[int(number) for number in line_of(process).split()] for process in (one, other)]
    assert [sum(numbers) for numbers in zip(*done, strict=True)] == [4, 0, 4, 0]
    kiosk = tmp_path_factory.mktemp("kiosk") / "kiosk.duckdb"
    load(lake, kiosk)
    assert all_rows(mysql_mart) == all_rows(kiosk)


def test_a_maker_is_overtaken(lake: LocalStore, mysql_mart: MysqlDatabase) -> None:
    """A loader that waits to complete a half-made schema finds that another has completed and loaded the mart."""
    small_lake(lake)
    done = []

    def overtake(statement: str) -> None:
        if statement.startswith("select get_lock"):
            done.append(load_mysql(lake, mysql_mart).loaded)

    with (
        mysql_proxy(mysql_mart.server.port, once("create table if not exists load_ledger", Fault.LOST_BEFORE)) as proxy,
        pytest.raises(TryAgainError),
    ):
        load_mysql(lake, mysql_mart, url=url_at(mysql_mart, proxy.port))
    assert len(mysql_mart.ask("show tables")) == 2
    with mysql_proxy(mysql_mart.server.port, overtake) as proxy:
        assert load_mysql(lake, mysql_mart, url=url_at(mysql_mart, proxy.port)).unchanged == 4
    assert done == [4]


def test_a_frozen_loader_is_reaped(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """After a frozen loader's locks are freed and another loads, its commit is refused, and it has nothing to do."""
    with loader(small.store, mysql_mart, "freeze") as frozen:
        tell(frozen)
        _, status = os.waitpid(frozen.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert mysql_mart.ask("select name from dim_show where show_id = 1") == (("Cases",),)
        assert load_mysql(small.store, mysql_mart, lock_timeout_s=20).replaced == 3
        rows = all_rows(mysql_mart)
        frozen.send_signal(signal.SIGCONT)
        numbers = [int(number) for number in line_of(frozen).split()]
    assert numbers[-1] == 0
    assert all_rows(mysql_mart) == rows


def test_a_loader_that_slept_is_refused(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A loader with an outdated plan is refused when another has loaded something newer, and nothing is rolled back."""
    rows: dict[str, Any] = {}

    def overtake(number: int, _all: int, _period: str) -> None:
        if number == 1:
            restate(small, 720)
            assert load_mysql(small.store, mysql_mart).exit_code == 0
            rows.update(all_rows(mysql_mart))

    settings = MartLoadSettings(lake=small.store.url, mart=settings_of(mysql_mart))
    report = load_mart(settings, Markers(small.store), advance=overtake)
    assert report.exit_code == 76
    assert [code for _, code in report.failed] == [76, 76]
    assert all_rows(mysql_mart) == rows
