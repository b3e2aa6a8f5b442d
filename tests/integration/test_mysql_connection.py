"""Connections to MySQL: a server gets no local file that it asks for, and TLS accepts only the right server."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pydantic import SecretStr

from jobs.mart_load.load import load_mart
from jobs.mart_load.settings import MartLoadSettings
from marquee.errors import ConfigError, MarqueeError
from marquee.lake.markers import Markers
from marquee.mart.base import open_mart, read_mart
from marquee.mart.settings import MartSettings
from marquee.storage.local import LocalStore
from tests.certificates import Authority, make_authority
from tests.faults.mysql_proxy import LOGIN, AskForFile, Plan, mysql_proxy, once
from tests.helpers_mysql import load_mysql, settings_of, small_lake, url_at
from tests.mariadb_server import MariaDB, MysqlDatabase, mariadb_server, mysql_database

LOW_LEVEL = {LOGIN, "set names", "set autocommit", "commit", "rollback"}
"""PyMySQL accepts only the expected answer here: after any other one the connection counts as lost."""
SECRET = "the secret of this machine"


def kind_of(statement: str) -> str:
    """Return the first two words of a statement, which identify statements that differ only in names and values."""
    return " ".join(statement.lower().split()[:2])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A local file that no server may read."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


def asked_at(number: int, file: str) -> Plan:
    """Return a plan in which the server asks for a file at the n-th statement."""
    count = 0

    def plan(_: str) -> AskForFile | None:
        nonlocal count
        count += 1
        return AskForFile(file) if count == number else None

    return plan


def test_a_server_gets_no_file_of_ours(mysql_mart: MysqlDatabase, lake: LocalStore, secret: Path) -> None:
    """A hostile server that asks for a file at any statement receives no byte of it."""
    small_lake(lake)
    load_mysql(lake, mysql_mart)

    def force(plan: Plan) -> tuple[list[str], list[bytes], str]:
        reason = ""
        with mysql_proxy(mysql_mart.server.port, plan) as proxy:
            settings = MartLoadSettings(lake=lake.url, mart=settings_of(mysql_mart, url=url_at(mysql_mart, proxy.port)))
            markers = Markers(lake)
            try:
                report = load_mart(settings, markers, force=True)
            except MarqueeError as error:
                reason = str(error)
            else:
                reason = " ".join(one.reason for one in markers.failures("mart_load").values())
                assert bool(report.failed) == bool(reason)
        return proxy.statements, proxy.given, reason

    statements, given, reason = force(lambda _: None)
    assert (given, reason) == ([], "")
    first = {kind_of(statement): number for number, statement in reversed(list(enumerate(statements, start=1)))}
    assert {LOGIN, "set names", "load data", "commit"} <= first.keys()
    for kind, number in first.items():
        _, given, reason = force(asked_at(number, str(secret)))
        assert SECRET not in repr(given), kind
        assert set(given) <= {b""}, kind
        if kind not in LOW_LEVEL:
            assert "The server requested a file" in reason, kind


def test_the_proxy_would_get_a_file(mysql_mart: MysqlDatabase, secret: Path) -> None:
    """A client with default options sends the file, so the proxy of the test above is effective."""
    mysql_mart.ask("create table t (c text)")
    with mysql_proxy(mysql_mart.server.port, once("load data", AskForFile(str(secret)))) as proxy:
        user = {"user": mysql_mart.user, "password": mysql_mart.password, "database": mysql_mart.name}
        with pymysql.connect(host="127.0.0.1", port=proxy.port, local_infile=True, **user) as connection:
            connection.cursor().execute("load data local infile 'mine' into table t")
    assert b"".join(proxy.given).decode() == SECRET


# TLS


class TlsServer:
    """A MariaDB with TLS, whose certificate can be replaced."""

    def __init__(self, server: MariaDB, authority: Authority, folder: Path) -> None:
        self._server, self.authority, self._folder = server, authority, folder

    def present(self, authority: Authority, *names: str, ends_at: datetime | None = None) -> None:
        """Replace the certificate of the server."""
        authority.sign(self._folder, *names, ends_at=ends_at)
        self._server.ask("flush ssl")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The authority that the client trusts."""
    return make_authority("the one that is trusted")


@pytest.fixture(scope="module")
def tls_server(
    mariadb_data: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TlsServer, MysqlDatabase, Path]]:
    """A server with TLS and a mart, and the file of the trusted CA."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ca.pem").write_bytes(authority.pem())
    authority.sign(folder, "127.0.0.1")
    options = (f"--ssl-cert={folder / 'cert.pem'}", f"--ssl-key={folder / 'key.pem'}", "--local-infile=1")
    with mariadb_server(mariadb_data, folder / "server", *options) as server, mysql_database(server) as database:
        yield TlsServer(server, authority, folder), database, folder / "ca.pem"


def test_the_right_server_is_spoken_to(tls_server: tuple[TlsServer, MysqlDatabase, Path], lake: LocalStore) -> None:
    """A server whose certificate matches its address or name is accepted, and every connection is encrypted."""
    server, database, ca = tls_server
    server.present(server.authority, "127.0.0.1", "localhost")
    small_lake(lake)
    database.ask(f"alter user {database.user} require ssl")
    for host in ("127.0.0.1", "localhost"):
        url = f"mysql://{database.user}@{host}:{database.server.port}/{database.name}"
        assert load_mysql(lake, database, url=url, tls_ca=ca).exit_code == 0
        with read_mart(settings_of(database, url=url, tls_ca=ca)) as mart:
            ((_, cipher),) = mart.query("show session status like 'Ssl_cipher'")[1]
            assert cipher.startswith("TLS_")


@pytest.mark.parametrize(
    ("names", "trusted", "ends_at", "why"),
    [
        (["database.example"], True, None, "not valid for '127.0.0.1'"),
        (["127.0.0.1"], False, None, "unable to get local issuer certificate"),
        (["127.0.0.1"], True, datetime(2025, 1, 1, tzinfo=UTC), "certificate has expired"),
    ],
    ids=["of another name", "of another CA", "expired"],
)
def test_a_wrong_certificate_is_refused(
    tls_server: tuple[TlsServer, MysqlDatabase, Path], names: Sequence[str], trusted: bool, ends_at: datetime, why: str
) -> None:
    """A wrong certificate is refused, and the error says what is wrong with it and which setting to check."""
    server, database, ca = tls_server
    server.present(server.authority if trusted else make_authority("another"), *names, ends_at=ends_at)
    for open_it in (open_mart, read_mart):
        with pytest.raises(ConfigError, match=rf"{re.escape(why)}.*MARQUEE_MART__TLS_CA"), _open(open_it, database, ca):
            pass


def test_a_server_without_tls_is_refused(mysql_mart: MysqlDatabase, tmp_path: Path, authority: Authority) -> None:
    """A server without TLS is refused before anything is sent, even the user's name."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem())
    with (
        mysql_proxy(mysql_mart.server.port) as proxy,
        pytest.raises(ConfigError, match=r"SSL is required but the server doesn't support it.*MARQUEE_MART__TLS_CA"),
        open_mart(settings_of(mysql_mart, url=url_at(mysql_mart, proxy.port), tls_ca=ca)),
    ):
        pass
    assert proxy.statements == []


def test_a_password_is_in_no_message(mysql_mart: MysqlDatabase) -> None:
    """A wrong password is refused with the settings to check, and the message does not contain it."""
    settings = settings_of(mysql_mart, password=SecretStr("not-the-password"))
    with pytest.raises(ConfigError, match="MARQUEE_MART__PASSWORD") as refused, open_mart(settings):
        pass
    assert "not-the-password" not in repr(refused.value)


def _open(open_it: Callable[[MartSettings], Any], database: MysqlDatabase, ca: Path) -> Any:
    return open_it(settings_of(database, tls_ca=ca))
