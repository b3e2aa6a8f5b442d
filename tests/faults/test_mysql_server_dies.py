"""The server of a mart is killed, restarted, or out of disk space: old data are kept, and the rerun succeeds."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marquee.errors import ConfigError
from marquee.lake.markers import Markers
from marquee.storage.local import LocalStore
from tests.faults.mysql_proxy import Fault, Plan, mysql_proxy
from tests.helpers_mart import SmallLake, load, rows_of
from tests.helpers_mysql import all_rows, load_mysql, restate, small_lake, url_at
from tests.mariadb_server import Installed, MariaDB, MysqlDatabase, SqlServer, mysql_database


@pytest.fixture(scope="module")
def server(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    """A server that a test may kill."""
    with installed.server(tmp_path_factory.mktemp("dying")) as server:
        yield server


@pytest.fixture
def mart(server: SqlServer) -> Iterator[MysqlDatabase]:
    """An empty database on that server."""
    with mysql_database(server) as database:
        yield database


@pytest.fixture
def small(lake: LocalStore, mart: MysqlDatabase) -> SmallLake:
    """A lake whose mart is loaded, with changes in every stage since then."""
    small = small_lake(lake)
    assert load_mysql(lake, mart).loaded == 4
    restate(small, 660)
    return small


def reasons(small: SmallLake) -> str:
    """Return the reasons of failed loads."""
    return "\n".join(failure.reason for failure in Markers(small.store).failures("mart_load").values())


def after(sent: str, then: Callable[[], None], passing: int = 0) -> Plan:
    """Return a plan that acts once, a number of statements after the first one that contains ``sent``."""
    left: list[int] = []

    def plan(statement: str) -> Fault | None:
        if left and not left[0]:
            left[0] -= 1
            then()
            return Fault.LOST_BEFORE
        if left:
            left[0] -= 1
        elif sent in statement.lower():
            left.append(passing)
        return None

    return plan


@pytest.mark.parametrize(
    "moment", ["into table staged_dim_show", "into table fact_viewership", "insert into load_ledger"]
)
def test_the_server_is_killed(small: SmallLake, mart: MysqlDatabase, tmp_path: Path, moment: str) -> None:
    """When the server is killed within a step, the load ends with "try again", and the old data are kept."""
    old = all_rows(mart)
    with mysql_proxy(mart.server.port, after(moment, mart.server.kill)) as proxy:
        report = load_mysql(small.store, mart, url=url_at(mart, proxy.port))
    mart.server.start()
    assert report.exit_code == 75
    assert "the connection was lost: try again" in reasons(small)
    left = all_rows(mart)
    changed = {name for name in old if left[name] != old[name]} - {"load_ledger"}
    assert not changed & {"fact_viewership", "fact_audience", "fact_audience_base"}
    if moment == "into table staged_dim_show":
        assert left == old
    assert load_mysql(small.store, mart).exit_code == 0
    load(small.store, tmp_path / "kiosk.duckdb")
    assert all_rows(mart) == all_rows(tmp_path / "kiosk.duckdb")
    assert reasons(small) == ""


def test_the_server_is_restarted_between_two_steps(small: SmallLake, mart: MysqlDatabase, tmp_path: Path) -> None:
    """When the server restarts between two steps, the load reconnects and completes."""
    plan = after("insert into load_ledger", mart.server.restart, passing=1)  # the commit
    with mysql_proxy(mart.server.port, plan) as proxy:
        report = load_mysql(small.store, mart, url=url_at(mart, proxy.port))
    assert (report.failed, report.replaced) == ((), 3)
    load(small.store, tmp_path / "kiosk.duckdb")
    assert all_rows(mart) == all_rows(tmp_path / "kiosk.duckdb")


def started_later(server: SqlServer) -> threading.Timer:
    """Start a server in half a second."""
    timer = threading.Timer(0.5, server.start)
    timer.start()
    return timer


def test_a_server_that_is_down_is_waited_for(small: SmallLake, mart: MysqlDatabase) -> None:
    """A load that begins while the server is down waits for it, and loads all that has changed."""
    mart.server.kill()
    start = started_later(mart.server)
    report = load_mysql(small.store, mart, retry_for_s=60)
    start.join()
    assert (report.failed, report.replaced) == ((), 3)


def test_a_server_that_dies_within_a_step_is_waited_for(small: SmallLake, mart: MysqlDatabase, tmp_path: Path) -> None:
    """A load whose server is killed within a transaction, and started again, loads every row once."""
    timers = []

    def die() -> None:
        mart.server.kill()
        timers.append(started_later(mart.server))

    with mysql_proxy(mart.server.port, after("into table fact_viewership", die)) as proxy:
        report = load_mysql(small.store, mart, url=url_at(mart, proxy.port), retry_for_s=60)
    timers[0].join()
    assert (report.failed, report.replaced) == ((), 3)
    load(small.store, tmp_path / "kiosk.duckdb")
    assert all_rows(mart) == all_rows(tmp_path / "kiosk.duckdb")


def test_a_wrong_password_is_not_waited_for(lake: LocalStore, mart: MysqlDatabase) -> None:
    """What waiting does not mend fails at the first attempt."""
    began = time.monotonic()
    with pytest.raises(ConfigError, match="MARQUEE_MART__PASSWORD"):
        load_mysql(lake, mart, password="wrong", retry_for_s=600)
    assert time.monotonic() - began < 60


SPARING = ("--innodb-temp-data-file-path=ibtmp1:12M:autoextend", "--innodb-autoextend-increment=1")
"""A server that uses as little of the disk as possible."""


@pytest.fixture
def little_disk(tmp_path: Path, installed: Installed) -> Iterator[Path]:
    """A file system of 96 MB; MySQL's own files alone have as many."""
    size = "96m" if installed.kind is MariaDB else "208m"
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"a disk that fills up has to be mounted, and only root may: run the tests as root ({done.stderr})")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_disk_is_full(installed: Installed, little_disk: Path, lake: LocalStore, tmp_path: Path) -> None:
    """On a full disk the load fails with that reason, old data can be queried, and a rerun with room succeeds."""
    small = small_lake(lake)
    with (
        installed.server(tmp_path / "server", *SPARING, data=little_disk / "data") as server,
        mysql_database(server) as mart,
    ):
        assert load_mysql(lake, mart).loaded == 4
        old = all_rows(mart)
        small.hour("2026-01-05T00", *[(number, "KR", 9, "x" * 32, 60) for number in range(100_000)])
        free = os.statvfs(little_disk)
        (little_disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - 300_000))
        assert load_mysql(lake, mart).exit_code == 75
        assert "free disk space or memory of the server" in reasons(small)
        assert all_rows(mart) == old
        (little_disk / "filler").unlink()
        assert load_mysql(lake, mart).replaced == 1
        assert rows_of(mart, "select count(*) from fact_viewership") == [(100_001,)]
