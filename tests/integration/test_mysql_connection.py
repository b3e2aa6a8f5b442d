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
from tests.faults.mysql_proxy import LOGIN, AskForFile, Plan, SwitchTo, mysql_proxy, once
from tests.helpers_mysql import load_mysql, settings_of, small_lake, url_at
from tests.mariadb_server import Installed, MariaDB, MysqlDatabase, SqlServer, mysql_database

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
        with pymysql.connect(
            host="127.0.0.1", port=proxy.port, local_infile=True, ssl_disabled=True, **user
        ) as connection:
            connection.cursor().execute("load data local infile 'mine' into table t")
    assert b"".join(proxy.given).decode() == SECRET


# TLS


class TlsServer:
    """A server with TLS, whose certificate can be replaced."""

    def __init__(self, server: SqlServer, authority: Authority, folder: Path) -> None:
        self._server, self.authority, self._folder = server, authority, folder

    def present(self, authority: Authority, *names: str, ends_at: datetime | None = None) -> None:
        """Replace the certificate of the server."""
        authority.sign(self._folder, *names, ends_at=ends_at)
        if isinstance(self._server, MariaDB):
            self._server.ask("flush ssl")
        else:  # MySQL takes a certificate that it cannot verify at its start alone
            self._server.restart()


TlsFixture = tuple[TlsServer, MysqlDatabase, Path]


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The authority that the client trusts."""
    return make_authority("the one that is trusted")


@pytest.fixture(scope="module")
def tls_server(
    installed: Installed, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["TlsFixture"]:
    """A server with TLS and a mart, and the file of the trusted CA."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ca.pem").write_bytes(authority.pem())
    authority.sign(folder, "127.0.0.1")
    options = (f"--ssl-cert={folder / 'cert.pem'}", f"--ssl-key={folder / 'key.pem'}", "--local-infile=1")
    with installed.server(folder / "server", *options) as server, mysql_database(server) as database:
        yield TlsServer(server, authority, folder), database, folder / "ca.pem"


def test_the_right_server_is_spoken_to(tls_server: TlsFixture, lake: LocalStore) -> None:
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
    tls_server: TlsFixture, names: Sequence[str], trusted: bool, ends_at: datetime, why: str
) -> None:
    """A wrong certificate is refused, and the error says what is wrong with it and which setting to check."""
    server, database, ca = tls_server
    server.present(server.authority if trusted else make_authority("another"), *names, ends_at=ends_at)
    for open_it in (open_mart, read_mart):
        with pytest.raises(ConfigError, match=rf"{re.escape(why)}.*MARQUEE_MART__TLS_CA"), _open(open_it, database, ca):
            pass


def test_a_server_without_tls_is_refused(mariadb: SqlServer, tmp_path: Path, authority: Authority) -> None:
    """A server without TLS is refused before anything is sent, even the user's name. MySQL always has TLS."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem())
    with (
        mysql_database(mariadb) as mysql_mart,
        mysql_proxy(mariadb.port) as proxy,
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


# Authentication


def test_ed25519(mariadb: SqlServer) -> None:
    """A user of MariaDB's ed25519 connects with the right password, and gets 78 with a wrong one."""
    mariadb.ask("install soname 'auth_ed25519'")
    try:
        with mysql_database(mariadb) as database:
            name = f"{database.name}_ed"
            database.ask(f"create user {name} identified via ed25519 using password('right')")
            database.ask(f"grant all on {database.name}.* to {name}")
            url = f"mysql://{name}@127.0.0.1:{mariadb.port}/{database.name}"
            settings = settings_of(database, url=url, password=SecretStr("right"))
            with open_mart(settings) as mart:
                assert mart.query("select period from kiosk")[1] == [("",)]
            wrong = settings.model_copy(update={"password": SecretStr("wrong-one")})
            with pytest.raises(ConfigError, match=r"1045 .*MARQUEE_MART__PASSWORD") as refused, open_mart(wrong):
                pass
            assert "wrong-one" not in repr(refused.value)
    finally:
        mariadb.ask("uninstall soname 'auth_ed25519'")


def test_a_missing_package_is_named(mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a plugin needs a package that is missing, the error is 78 and names both ways out."""

    def missing(*_: object) -> bytes:
        message = "'pynacl' package is required for ed25519_password auth method"
        raise RuntimeError(message)

    monkeypatch.setattr("pymysql._auth.ed25519_password", missing)
    plan = once(LOGIN, SwitchTo("client_ed25519"))
    with mysql_proxy(mysql_mart.server.port, plan) as proxy:
        settings = settings_of(mysql_mart, url=url_at(mysql_mart, proxy.port))
        with pytest.raises(ConfigError, match=r"'pynacl' package is required.* Install it, or give the user another"):
            read_mart(settings).__enter__()


@pytest.mark.parametrize("plugin", ["mysql_clear_password", "dialog"])
def test_no_password_in_clear_text(mysql_mart: MysqlDatabase, plugin: str) -> None:
    """A server that asks for the password in clear text without TLS gets nothing, and the error names the plugin."""
    with mysql_proxy(mysql_mart.server.port, once(LOGIN, SwitchTo(plugin))) as proxy:
        settings = settings_of(mysql_mart, url=url_at(mysql_mart, proxy.port), plaintext=True)
        with pytest.raises(ConfigError, match=rf"{plugin}.*without TLS; nothing was sent.*MARQUEE_MART__TLS_CA"):
            read_mart(settings).__enter__()
    assert proxy.given == []


def test_the_proxy_would_get_a_password(mysql_mart: MysqlDatabase) -> None:
    """The driver with default options sends the password, so the proxy of the test above is effective."""
    with mysql_proxy(mysql_mart.server.port, once(LOGIN, SwitchTo("mysql_clear_password"))) as proxy:
        user = {"user": mysql_mart.user, "password": mysql_mart.password, "ssl_disabled": True}
        with pytest.raises(pymysql.MySQLError):
            pymysql.connect(host="127.0.0.1", port=proxy.port, connect_timeout=5, read_timeout=5, **user)
    assert proxy.given == [mysql_mart.password.encode() + b"\0"]


@pytest.mark.parametrize("plugin", ["mysql_old_password", "authentication_kerberos_client", "parsec"])
def test_another_plugin_is_named(mysql_mart: MysqlDatabase, plugin: str) -> None:
    """A plugin that the driver does not have is named, with those that it has."""
    with mysql_proxy(mysql_mart.server.port, once(LOGIN, SwitchTo(plugin))) as proxy:
        settings = settings_of(mysql_mart, url=url_at(mysql_mart, proxy.port))
        with pytest.raises(ConfigError, match=rf"@127.0.0.1.*{plugin}.*caching_sha2_password, client_ed25519"):
            read_mart(settings).__enter__()


@pytest.mark.parametrize("installed", ["mysql"], indirect=True)
def test_caching_sha2_password(tls_server: TlsFixture, lake: LocalStore) -> None:
    """MySQL's usual plugin works with and without TLS, before and after the server has cached the password."""
    small_lake(lake)
    tls, database, ca = tls_server
    tls.present(tls.authority, "127.0.0.1")
    database.ask(f"alter user {database.user} require none")
    ways: list[dict[str, Any]] = [{"tls_ca": ca}, {}]
    for more in ways:
        database.ask("flush privileges")  # forgets the passwords
        ((plugin,),) = database.ask("select plugin from mysql.user where user = %s", [database.user])
        assert plugin == "caching_sha2_password"
        for _ in range(2):
            assert load_mysql(lake, database, force=True, **more).exit_code == 0
        with pytest.raises(ConfigError, match=r"1045 .*MARQUEE_MART__PASSWORD"):
            load_mysql(lake, database, password=SecretStr("wrong"), **more)


def _open(open_it: Callable[[MartSettings], Any], database: MysqlDatabase, ca: Path) -> Any:
    return open_it(settings_of(database, tls_ca=ca))
