"""Fixtures and hooks of all tests."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import hypothesis
import pytest

from marquee.engine.spark import SparkEngine
from marquee.engine.spark_session import QUICK_JAVA
from marquee.storage.base import S3Options
from marquee.storage.local import LocalStore
from marquee.storage.s3 import S3Store
from tests.helpers_mart import Kiosk
from tests.mariadb_server import (
    Installed,
    MariaDB,
    MysqlDatabase,
    SqlServer,
    install,
    mariadb_server,
    mysql_database,
)
from tests.mysql_server import SCRIPTS, MySQL, NoMysqlError, install_mysql
from tests.s3_proxy import S3Proxy, s3_proxy_before
from tests.s3_server import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, S3Server, s3_server_at

# These tests need built images (`make test-images`), a release (`make test-release`), or a cluster (`make e2e`).
collect_ignore = ["images", "e2e_cluster", "release"]

RECORDINGS = Path(__file__).parents[2] / "shared" / "tvmaze"
NO_RECORDINGS = f"{RECORDINGS}, the recorded answers of TVmaze, is not there"
NO_MYSQL = "there is no MySQL here, so marts were tested on MariaDB alone"

SPARK_CONF = {
    "spark.master": "local[2]",
    "spark.driver.memory": "512m",
    "spark.driver.extraJavaOptions": QUICK_JAVA,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.executorEnv.PYTHONPATH": str(Path(__file__).parents[1]),
}

# A process in the background of a shell ignores Ctrl-C, and so do the processes that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An example has no deadline, because a machine may be slow at times.
hypothesis.settings.register_profile("marquee", max_examples=100, deadline=None)
hypothesis.settings.load_profile("marquee")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(error: object) -> None:
    """End the run when a worker dies, because xdist 3.8 may wait forever for its tests."""
    if error:
        pytest.exit("a worker died, see the stacks above", returncode=pytest.ExitCode.INTERNAL_ERROR)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the number of tests that were left out."""
    reasons = [str(one.longrepr) for one in terminalreporter.stats.get("skipped", ())]
    without_recordings = sum(NO_RECORDINGS in reason for reason in reasons)
    if without_recordings:
        terminalreporter.write_line(f"!!! NOT RUN: {without_recordings} tests, for {NO_RECORDINGS}.")
    without_mysql = [reason for reason in reasons if NO_MYSQL in reason]
    if without_mysql:
        why = without_mysql[0].rpartition(NO_MYSQL)[2].rstrip("')")
        terminalreporter.write_line(f"!!! NOT RUN: {len(without_mysql)} tests, for {NO_MYSQL}{why}.")


@pytest.fixture
def lake(tmp_path: Path) -> LocalStore:
    """An empty lake in a folder."""
    return LocalStore(tmp_path / "lake")


@pytest.fixture(scope="session")
def tvmaze() -> Path:
    """The folder of recorded answers of TVmaze (CC BY-SA 4.0, https://www.tvmaze.com/api), beside the repository.

    A clone alone has no recordings: tests/made_up_schedule.py tests the same behaviour, and the run ends with a report
    of the tests that are left out. With CI=true a missing folder fails the test, because nobody would read that report.
    """
    if not RECORDINGS.is_dir():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NO_RECORDINGS)
    return RECORDINGS


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Remove the settings, profiles and credentials of the environment of the test run."""
    for name in list(os.environ):
        if name.startswith(("MARQUEE_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore the logging that a test changes for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server on loopback, with a bucket that all tests share."""
    with s3_server_at(tmp_path_factory.mktemp("s3") / "buckets") as server:
        yield server


@pytest.fixture
def s3_options(s3_server: S3Server) -> S3Options:
    """The options of the S3 server."""
    return S3Options(endpoint_url=s3_server.url, path_style=True)


@pytest.fixture
def s3_lake(s3_options: S3Options, tmp_path: Path) -> S3Store:
    """An empty lake in the bucket, below a prefix of its own."""
    return S3Store(BUCKET, f"{tmp_path.name}/lake", s3_options)


@pytest.fixture(scope="session")
def one_s3_proxy(s3_server: S3Server) -> Iterator[S3Proxy]:
    """One S3 proxy for all tests, because each new address needs a new client, which is slow to make."""
    with s3_proxy_before(s3_server.url) as proxy:
        yield proxy


@pytest.fixture
def s3_proxy(one_s3_proxy: S3Proxy) -> S3Proxy:
    """A proxy in front of the S3 server, without faults."""
    one_s3_proxy.mend()
    return one_s3_proxy


@pytest.fixture(scope="session")
def mariadb_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty data folder of MariaDB, which is copied for each server."""
    return install(tmp_path_factory.mktemp("mariadb"))


@pytest.fixture(scope="session")
def mariadb(mariadb_data: Path) -> Iterator[SqlServer]:
    """A MariaDB server that all tests share; a test that stops or reconfigures a server needs its own."""
    with mariadb_server(mariadb_data, mariadb_data.parent / "server") as server:
        yield server


@pytest.fixture(scope="session")
def mysql_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty data folder of MySQL, which is copied for each server.

    Where MySQL cannot be installed, because the mirror does not have it or this is not root, the tests are skipped and
    the run ends with a report of that. With CI=true a missing folder ``shared`` fails them.
    """
    try:
        return install_mysql(tmp_path_factory.mktemp("mysql"))
    except NoMysqlError as error:
        in_ci = os.environ.get("CI") == "true" and not SCRIPTS.is_dir()
        (pytest.fail if in_ci else pytest.skip)(f"{NO_MYSQL}: {error}")


@pytest.fixture(scope="session")
def mysql(mysql_data: Path) -> Iterator[SqlServer]:
    """A MySQL server that all tests share, as ``mariadb``."""
    with Installed(MySQL, mysql_data).server(mysql_data.parent / "server") as server:
        yield server


@pytest.fixture(scope="session", params=["mariadb", "mysql"])
def installed(request: pytest.FixtureRequest) -> Installed:
    """Either kind of server, for tests that need a server of their own."""
    data = request.getfixturevalue(f"{request.param}_data")
    return Installed({"mariadb": MariaDB, "mysql": MySQL}[request.param], data)


@pytest.fixture(scope="session")
def sql_server(request: pytest.FixtureRequest, installed: Installed) -> SqlServer:
    """A server of either kind that all tests share."""
    server: SqlServer = request.getfixturevalue("mysql" if installed.kind is MySQL else "mariadb")
    return server


@pytest.fixture
def mysql_mart(sql_server: SqlServer) -> Iterator[MysqlDatabase]:
    """An empty database for a mart, on either kind of server."""
    with mysql_database(sql_server) as database:
        yield database


@pytest.fixture(scope="module", params=["duckdb", "mariadb", "mysql"])
def new_kiosk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Kiosk]]:
    """Name a new place for a mart each time, for tests that hold for DuckDB and for MySQL."""
    with ExitStack() as stack:
        if request.param == "duckdb":
            yield lambda: tmp_path_factory.mktemp("kiosks") / "new" / "kiosk.duckdb"
        else:
            server = request.getfixturevalue(request.param)
            yield lambda: stack.enter_context(mysql_database(server))


@pytest.fixture(scope="session")
def spark_engine() -> Iterator[SparkEngine]:
    """One Spark for all tests with the marker, with two tasks at a time in little memory."""
    from pyspark import SparkContext  # noqa: PLC0415 - slow, and needed by few tests

    from marquee.engine.spark import start_spark  # noqa: PLC0415
    from tests.helpers_rollup import SECRET  # noqa: PLC0415 - imports the rollup

    with mock.patch.dict(os.environ, MARQUEE_ROLLUP__VIEWER_KEY=SECRET):  # of executors, which do not get it by tasks
        engine = start_spark(SPARK_CONF, task_memory_mb=128)
    yield engine
    SparkContext.getOrCreate().stop()
    # PySpark keeps its Java process until ours ends, with an open pipe that pytest would warn about.
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
