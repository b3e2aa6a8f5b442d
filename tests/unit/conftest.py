"""Fail any unit test that starts a process or a server: such a test belongs in tests/integration."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Never

import pytest

from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk

WHERE_TO = "a unit test starts no {}: move the test to tests/integration"


@contextmanager
def _nothing_is_started() -> Iterator[None]:
    """Fail the test when it starts another process or listens at a port."""

    def start(*_: Any, **__: Any) -> Never:
        pytest.fail(WHERE_TO.format("process"))

    def guarded(bind: Callable[..., None]) -> Callable[..., None]:
        def bind_unless_at_a_port(self: socket.socket, address: Any) -> None:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                pytest.fail(WHERE_TO.format("server"))
            bind(self, address)

        return bind_unless_at_a_port

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start)
        patch.setattr(socket.socket, "bind", guarded(socket.socket.bind))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Apply the guard while fixtures of any scope are made."""
    with _nothing_is_started():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Apply the guard while a test runs."""
    with _nothing_is_started():
        yield


def _refused(fixture: str) -> object:
    """Return a fixture that replaces one that starts a server, because a test elsewhere may have started it already."""

    @pytest.fixture(name=fixture)
    def refuse() -> Never:
        pytest.fail(WHERE_TO.format("server"))

    return refuse


refuse_s3, refuse_s3_proxy, refuse_mariadb, refuse_mariadb_data, refuse_mysql, refuse_sql_server, refuse_spark = map(
    _refused, ("s3_server", "one_s3_proxy", "mariadb", "mariadb_data", "mysql", "sql_server", "spark_engine")
)


@pytest.fixture
def store(lake: LocalStore) -> Store:
    """An empty store for tests that hold for every store; tests/integration/test_on_s3.py runs the same tests on S3."""
    return lake


@pytest.fixture(scope="module")
def new_kiosk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Kiosk]:
    """Name a new place for a mart each time; tests/integration/test_on_mysql.py runs the same tests on MySQL."""
    return lambda: tmp_path_factory.mktemp("kiosks") / "new" / "kiosk.duckdb"
