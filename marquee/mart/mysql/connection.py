"""Connections to MySQL or MariaDB, with verified session variables and errors translated into Marquee's.

Rows go to the server from memory, with LOAD DATA LOCAL. In that protocol the *server* names the file that the client
sends, so a hostile server could request any file. This client opens no file: it sends its prepared rows once, for a
random name that only this connection knows. Any other request ends the connection.
"""

import re
import secrets
import socket
import ssl
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import pyarrow as pa
import pymysql
from pymysql.connections import Connection, MySQLResult
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from pymysql.protocol import LoadLocalPacketWrapper, MysqlPacket

from marquee.errors import ConfigError, TryAgainError
from marquee.mart.arrow import WHOLE, column_of
from marquee.mart.errors import LostConnectionError
from marquee.mart.ledger import Answer
from marquee.mart.mysql.errors import is_down, ours, refused
from marquee.mart.mysql.infile import Infile
from marquee.mart.mysql.variables import COLLATION, set_variables
from marquee.mart.settings import MartSettings, mysql_address
from marquee.outages import Outage
from marquee.settings.sections import budget_s
from marquee.sql import Values
from marquee.telemetry.instruments import MART_DURATION

SAFE_PLUGINS = frozenset({"mysql_native_password", "caching_sha2_password", "sha256_password", "client_ed25519"})
"""Plugins of the server that authenticate without a password in clear text."""
CLEAR_PLUGINS = frozenset({"mysql_clear_password", "dialog"})
"""Plugins to which the client sends the password itself, such as for PAM and LDAP."""
_TEXT_OR_MARK = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|\?""", re.DOTALL)
"""A quoted text or name, in which a question mark is literal, or the marker of a parameter."""
_KINDS = {
    **dict.fromkeys((FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG), WHOLE),
    **dict.fromkeys((FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR), WHOLE),
    **dict.fromkeys((FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE), pa.float64()),
    **dict.fromkeys((FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE), pa.date32()),
    **dict.fromkeys((FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP), pa.timestamp("us")),
    FIELD_TYPE.TIME: pa.duration("us"),
    FIELD_TYPE.NULL: pa.null(),
}
"""Arrow types by the protocol's types; all others are text or bytes."""


class RefusedPluginError(ConfigError):
    """The server asks for an authentication that this client refuses or does not have."""


class _Result(MySQLResult):  # type: ignore[misc]  # PyMySQL publishes no types
    def _read_load_local_packet(self, first_packet: MysqlPacket) -> None:
        connection = self.connection
        source = connection.take_source(LoadLocalPacketWrapper(first_packet).filename)
        for chunk in source.chunks():
            connection.write_packet(chunk)
        connection.write_packet(b"")  # the end
        self._read_ok_packet(connection._read_packet())  # noqa: SLF001 - PyMySQL has no public reader


class _Connection(Connection):  # type: ignore[misc]  # as above
    _source: tuple[bytes, Infile] | None = None

    def offer(self, source: Infile) -> str:
        """Prepare rows for one request; return the name under which the server must request them."""
        name = secrets.token_hex(16)
        self._source = (name.encode(), source)
        return name

    def take_source(self, name: bytes) -> Infile:
        """Return the prepared rows once, for the name from ``offer``."""
        offered, self._source = self._source, None
        if offered is None or not secrets.compare_digest(offered[0], name):
            self._force_close()
            message = "The server requested a file of this machine; nothing was sent. Make sure that it is your server"
            raise ConfigError(message)
        return offered[1]

    def dial(self, path: str | None, connect_timeout_s: int, timeout_s: int) -> None:
        """Connect. For a socket's path this opens the socket itself, because PyMySQL leaks it when connecting fails."""
        self._read_timeout = self._write_timeout = connect_timeout_s  # also limits the wait for the greeting
        if path is None:
            self.connect()
        else:
            with _closed_on_error(socket.socket(socket.AF_UNIX)) as own:
                own.settimeout(connect_timeout_s)
                own.connect(path)
                self._secure = True  # a local socket is safe for a password in clear text
                self.connect(own)
        self._read_timeout = self._write_timeout = timeout_s

    def _process_auth(self, plugin_name: bytes, auth_packet: MysqlPacket, handler: object = None) -> MysqlPacket:
        """Authenticate as the server asks, unless that would send the password in clear text, or is not supported."""
        plugin = plugin_name.decode(errors="replace")
        if plugin not in SAFE_PLUGINS | CLEAR_PLUGINS:
            known = ", ".join(sorted(SAFE_PLUGINS))
            message = f"the server authenticates this user by the plugin {plugin!r}. Give the user one of: {known}"
            raise RefusedPluginError(message)
        if plugin in CLEAR_PLUGINS and not self._secure:
            message = (
                f"the server asks for the password in clear text (plugin {plugin!r}) on a connection without TLS; "
                "nothing was sent. Set MARQUEE_MART__TLS_CA, or give the user another plugin. If the user has another "
                "one, this may not be your server"
            )
            raise RefusedPluginError(message)
        return super()._process_auth(plugin_name, auth_packet, handler)

    def _read_query_result(self, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002 - PyMySQL's signature
        del unbuffered  # not used
        self._result = None
        result = _Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return int(result.affected_rows or 0)


Parameters: TypeAlias = Sequence[Any] | Values
"""Values of a statement's parameters: in their order, or by name."""


class MysqlSession:
    """An open connection; ``where`` names it in messages."""

    def __init__(self, settings: MartSettings) -> None:
        self.address = mysql_address(settings.url)
        self.where = f"{self.address.user}@{settings.socket or f'{self.address.host}:{self.address.port}'}"
        try:
            self._connection = _Connection(**_arguments(settings))
        except (OSError, ssl.SSLError) as error:
            message = f"MARQUEE_MART__TLS_CA='{settings.tls_ca}': {error}. Use a file of CA certificates"
            raise ConfigError(message) from error
        path = str(settings.socket) if settings.socket else None
        try:
            with self._translating():
                self._connection.dial(path, settings.connect_timeout_s, settings.timeout_s)
        except RefusedPluginError as error:
            message = f"{self.where}: {error}"
            raise ConfigError(message) from error
        try:
            set_variables(self, settings)
            self.commit()
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement with ``%s`` or ``%(name)s`` for parameters; return the number of changed rows."""
        with self._translating("delete" if sql.startswith("delete") else "other"), self._connection.cursor() as cursor:
            return int(cursor.execute(sql, parameters or None))

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for many rows."""
        with self._translating(), self._connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def query(self, sql: str, parameters: Parameters = ()) -> Answer:
        """Run a query."""
        with self._translating(), self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return [name for name, *_ in cursor.description or ()], list(cursor.fetchall())

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query; return an Arrow table."""
        with self._translating(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            described, rows = cursor.description or (), cursor.fetchall()
        columns = [
            column_of([row[number] for row in rows], _kind(code, scale))
            for number, (_, code, _, _, _, scale, _) in enumerate(described)
        ]
        return pa.table(columns, names=[name for name, *_ in described])

    def column(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Run a query of one column; return its values."""
        return [value for (value,) in self.query(sql, parameters)[1]]

    def load(self, table: str, source: Infile) -> None:
        """Insert all rows unchanged. On its own, LOAD DATA LOCAL would only warn about rows that it changes or skips.

        Raises:
            BadInputError: the server cannot store a row unchanged; the message names the first one.
        """
        source.flush()
        name = self._connection.offer(source)
        sql = (
            f"load data local infile '{name}' into table {table} character set utf8mb4 "
            "fields terminated by '\\t' escaped by '\\\\' lines terminated by '\\n' "
            f"({', '.join(source.columns)})"
        )
        with self._translating("load"), self._connection.cursor() as cursor:
            loaded = cursor.execute(sql)
            warned = cursor.warning_count
        if warned:
            _, ((_, code, text), *_) = self.query("show warnings limit 1")
            raise refused(table.removeprefix("staged_"), source, code, text)
        if loaded != source.rows:
            message = (
                f"{self.where}: {table} stored {loaded} of {source.rows} rows without a warning; all are rolled back"
            )
            raise TryAgainError(message)

    def commit(self) -> None:
        """Commit. After a LostConnectionError the transaction may or may not be committed."""
        with self._translating("commit"):
            self._connection.commit()

    def rollback(self) -> None:
        """Roll back. If the connection is lost, the server rolls back by itself."""
        with suppress(pymysql.err.Error, OSError):
            self._connection.rollback()

    def close(self) -> None:
        """Close the connection."""
        with suppress(pymysql.err.Error, OSError):
            self._connection.close()

    @contextmanager
    def _translating(self, statement: str = "other") -> Iterator[None]:
        try:
            with MART_DURATION.labels(statement).time():
                yield
        except pymysql.err.MySQLError as error:
            raise ours(error, self.where) from error
        except RuntimeError as error:  # PyMySQL lacks a package
            message = f"{self.where}: {error}. Install it, or give the user another authentication plugin"
            raise ConfigError(message) from error
        except OSError as error:
            message = f"{self.where}: cannot connect: {error}. Start the server, or correct MARQUEE_MART__URL"
            raise LostConnectionError(message) from error


def outage_of(settings: MartSettings) -> Outage:
    """Return the outages of the server of a mart, before any."""
    return Outage("MySQL", budget_s(settings.retry_for_s))


def connect(settings: MartSettings, outage: Outage) -> MysqlSession:
    """Connect. A server that is down, or accepts no connection now, is tried again within the budget of the outage."""
    attempt = 1
    while True:
        try:
            session = MysqlSession(settings)
        except TryAgainError as error:
            pause_s = outage.pause_s(str(error), attempt) if is_down(error) else None
            if pause_s is None:
                raise
        else:
            outage.over()
            return session
        time.sleep(pause_s)
        attempt += 1


@contextmanager
def mysql_session(settings: MartSettings) -> Iterator[MysqlSession]:
    """Open a connection while the body runs."""
    session = connect(settings, outage_of(settings))
    try:
        yield session
    finally:
        session.close()


@contextmanager
def _closed_on_error(own: socket.socket) -> Iterator[socket.socket]:
    """Close a socket only if the body fails."""
    try:
        yield own
    except BaseException:
        own.close()
        raise


def _arguments(settings: MartSettings) -> dict[str, Any]:
    address = mysql_address(settings.url)
    # With ssl_ca alone, PyMySQL verifies neither the certificate nor the host name.
    tls = {"ssl_ca": str(settings.tls_ca), "ssl_verify_cert": True, "ssl_verify_identity": True}
    return {
        **(tls if settings.tls_ca else {"ssl_disabled": True}),
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": settings.password.get_secret_value() if settings.password else "",
        "database": address.database,
        "charset": "utf8mb4",
        "collation": COLLATION,
        "autocommit": False,
        "local_infile": True,
        "connect_timeout": settings.connect_timeout_s,
        "program_name": "marquee",
        "conv": {**conversions, FIELD_TYPE.DECIMAL: _number, FIELD_TYPE.NEWDECIMAL: _number},
        "defer_connect": True,
    }


def marks(values: Collection[Any]) -> str:
    """Return the parameter markers of a statement, one for each value."""
    return ", ".join(["%s"] * len(values))


def _number(text: str) -> int | float:
    """Parse a MySQL decimal, which is mostly a sum of whole numbers."""
    return float(text) if "." in text else int(text)


def as_pymysql(sql: str, parameters: Collection[Any]) -> str:
    """Return a query with PyMySQL's ``%s`` in place of each ``?``; a query without parameters does not change."""
    if not parameters:
        return sql
    return _TEXT_OR_MARK.sub(lambda found: "%s" if found[0] == "?" else found[0], sql.replace("%", "%%"))


def _kind(code: int, scale: int | None) -> pa.DataType:
    """Return the Arrow type of a column for its type in the protocol."""
    if code in {FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL}:
        return pa.float64() if scale else WHOLE
    return _KINDS.get(code, pa.string())
