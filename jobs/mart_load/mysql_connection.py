"""A connection to MySQL or MariaDB: opened safely, its session set and verified, its errors told as ours.

Rows go to the server by LOAD DATA LOCAL, from memory. In that protocol the *server* names the file that the client is to
send, so a hostile one could ask for any. This client opens none: it sends the rows it has prepared, when asked for a
name that only this connection knows, once; any other request ends the connection.
"""

import re
import secrets
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
from pymysql.connections import Connection, MySQLResult
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from pymysql.protocol import LoadLocalPacketWrapper, MysqlPacket

from jobs.common.errors import BadInputError, ConfigError, MarqueeError, TryAgainError
from jobs.mart_load.errors import LostConnectionError
from jobs.mart_load.infile import Infile
from jobs.mart_load.plan import Answer
from jobs.mart_load.settings import MartSettings, mysql_address

COLLATION = "utf8mb4_bin"
SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
IDLE_S = 120
"""A loader that says nothing for so long between two statements is taken for dead, and its locks are freed."""

LOST = frozenset({0, 1053, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014, 2027, 2055, 3169, 4031})
"""Codes that leave open whether the last statement was done; 0 is PyMySQL's for a connection that was closed."""
_LATER: Mapping[int, str] = {
    **dict.fromkeys((1205, 1213), "another transaction holds what this one needs: let it end, and try again"),
    **dict.fromkeys((1021, 1030, 1114, 1041), "make room on the server's disk, and try again"),
    **dict.fromkeys((1290, 1792, 1836), "the server takes no writes now: try again when it does, or name the primary"),
    **dict.fromkeys((1040, 1203, 1226), "too many connections: try again later"),
    **dict.fromkeys((1317, 1969, 3024), "the statement was ended by the server: try again"),
    **dict.fromkeys((2002, 2003), "the server cannot be reached: start it, or set MARQUEE_MART__URL right"),
}
_SETTINGS: Mapping[int, str] = {
    **dict.fromkeys((1045, 1130, 1251, 1698, 2059), "set MARQUEE_MART__URL and MARQUEE_MART__PASSWORD right"),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1410), "grant the user what `marquee mart init` grants its users"),
    1049: "create the database: create database … character set utf8mb4 collate utf8mb4_bin",
    **dict.fromkeys((1148, 3948, 4166), "set local_infile=1 at the server (set global local_infile = 1)"),
    **dict.fromkeys((1115, 1193, 1231, 1273, 1286), "expected MySQL 8.0 or later, or MariaDB 10.11 or later, with InnoDB"),
    2026: "set MARQUEE_MART__TLS_CA to the CA of a certificate that names the host of MARQUEE_MART__URL",
}
_DATA = {
    1048: "null where there must be a value",
    1062: "the same key twice (or differing only in blanks at its end)",
    1263: "null where there must be a value",
    1264: "out of range",
    1265: "no value of its type",
    1292: "no value of its type",
    1366: "no value of its type",
    1406: "too long",
}
_COLUMN = re.compile(r"column '(?:[^']*\.)?`?(?P<name>\w+)`?'")
_ROW = re.compile(r"at row (?P<number>\d+)")


class HostileServerError(TryAgainError):
    """The server asked for what no honest one asks for."""


class _Result(MySQLResult):
    def _read_load_local_packet(self, first_packet: MysqlPacket) -> None:
        connection = self.connection
        source = connection.take_source(LoadLocalPacketWrapper(first_packet).filename)
        for chunk in source.chunks():
            connection.write_packet(chunk)
        connection.write_packet(b"")  # the end
        self._read_ok_packet(connection._read_packet())  # noqa: SLF001 - the protocol has no public reader


class _Connection(Connection):
    _source: tuple[bytes, Infile] | None = None

    def offer(self, source: Infile) -> str:
        """Hold rows ready for one request; return the name to ask for them."""
        name = secrets.token_hex(16)
        self._source = (name.encode(), source)
        return name

    def take_source(self, name: bytes) -> Infile:
        """Return the rows held ready, for the name they were offered by, once."""
        offered, self._source = self._source, None
        if offered is None or not secrets.compare_digest(offered[0], name):
            self._force_close()
            message = "the server asked for a file of this machine: nothing was sent; make sure that it is your server"
            raise HostileServerError(message)
        return offered[1]

    def _read_query_result(self, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002, ARG002 - PyMySQL's own
        self._result = None
        result = _Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return int(result.affected_rows or 0)


class MysqlSession:
    """An open connection, with every statement's errors told as ours."""

    def __init__(self, settings: MartSettings) -> None:
        self.address = mysql_address(settings.url)
        self.where = f"{self.address.user}@{settings.socket or f'{self.address.host}:{self.address.port}'}"
        with self._told():
            self._connection = _Connection(**_arguments(settings))
        try:
            _set_session(self, settings)
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement, ``%s`` for each parameter; return how many rows it changed."""
        with self._told(), self._connection.cursor() as cursor:
            return int(cursor.execute(sql, tuple(parameters) or None))

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for many rows."""
        with self._told(), self._connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        """Run a query."""
        with self._told(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return [name for name, *_ in cursor.description or ()], list(cursor.fetchall())

    def column(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Run a query of one column; return its values."""
        return [value for (value,) in self.query(sql, parameters)[1]]

    def load(self, table: str, source: Infile) -> None:
        """Insert rows. BadInputError names the first that does not go in exactly; LOAD DATA LOCAL itself only warns."""
        name = self._connection.offer(source)
        sql = (
            f"load data local infile '{name}' into table {table} character set utf8mb4 "
            "fields terminated by '\\t' escaped by '\\\\' lines terminated by '\\n' "
            f"({', '.join(source.columns)})"
        )
        with self._told(), self._connection.cursor() as cursor:
            loaded = cursor.execute(sql)
            warnings = cursor.warning_count
        if warnings:
            raise self._refused(table, source)
        if loaded != source.rows:
            message = f"{self.where}: {table} took {loaded} of {source.rows} rows without a word: nothing is kept"
            raise TryAgainError(message)

    def commit(self) -> None:
        """Commit. LostConnectionError leaves open whether it was done."""
        with self._told():
            self._connection.commit()

    def rollback(self) -> None:
        """Roll back, if there is still a connection; without one the server does."""
        with suppress(pymysql.err.Error, OSError):
            self._connection.rollback()

    def close(self) -> None:
        """Close."""
        with suppress(pymysql.err.Error, OSError):
            self._connection.close()

    def _refused(self, table: str, source: Infile) -> MarqueeError:
        _, rows = self.query("show warnings limit 1")
        _, code, text = rows[0] if rows else ("", 0, "")
        column, row = _COLUMN.search(text), _ROW.search(text)
        place = f"{table}.{column['name']}" if column else table
        key = source.key_of(int(row["number"])) if row else {}
        where = ", ".join(f"{name} {value!r}" for name, value in key.items())
        return BadInputError(
            f"{place}{f', row of {where}' if where else ''}: {_DATA.get(code, f'refused with code {code}')}: "
            "nothing of its period is loaded; mend it where it comes from"
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except pymysql.err.MySQLError as error:
            raise self._ours(error) from error
        except (OSError, EOFError) as error:
            message = f"{self.where}: the connection was lost: {error}"
            raise LostConnectionError(message) from error

    def _ours(self, error: pymysql.err.MySQLError) -> Exception:
        code, text = (*error.args, "", "")[:2] if error.args and isinstance(error.args[0], int) else (-1, str(error))
        cause = getattr(error, "original_exception", None)
        if isinstance(cause, ssl.SSLError) or code == 2026:  # noqa: PLR2004 - CR_SSL_CONNECTION_ERROR
            return ConfigError(f"{self.where}: TLS failed: {text}: {_SETTINGS[2026]}")
        if code in LOST:
            return LostConnectionError(f"{self.where}: the connection was lost ({code} {text}): try again")
        if code in _LATER:
            return TryAgainError(f"{self.where}: {code} {text}: {_LATER[code]}")
        if code in _SETTINGS:
            return ConfigError(f"{self.where}: {code} {text}: {_SETTINGS[code]}")
        if code == -1 and isinstance(error, pymysql.OperationalError):  # of PyMySQL's own: an answer out of place
            return TryAgainError(f"{self.where}: {text}: make sure that it is a MySQL server, and yours")
        return error


def _arguments(settings: MartSettings) -> dict[str, Any]:
    address = mysql_address(settings.url)
    place = {"unix_socket": str(settings.socket)} if settings.socket else {"host": address.host, "port": address.port}
    # All three: with ssl_ca alone PyMySQL verifies neither the certificate nor the name.
    tls = {"ssl_ca": str(settings.tls_ca), "ssl_verify_cert": True, "ssl_verify_identity": True}
    return {
        **place,
        **(tls if settings.tls_ca else {"ssl_disabled": True}),
        "user": address.user,
        "password": settings.password.get_secret_value(),
        "database": address.database,
        "charset": "utf8mb4",
        "collation": COLLATION,
        "autocommit": False,
        "local_infile": True,
        "connect_timeout": settings.connect_timeout_s,
        "read_timeout": settings.timeout_s,
        "write_timeout": settings.timeout_s,
        "program_name": "marquee",
        "conv": {**conversions, FIELD_TYPE.DECIMAL: _number, FIELD_TYPE.NEWDECIMAL: _number},
    }


def _number(text: str) -> int | float:
    """Read what MySQL calls decimal: sums of whole numbers, above all."""
    return float(text) if "." in text else int(text)


def _set_session(session: MysqlSession, settings: MartSettings) -> None:
    wanted = {
        "sql_mode": SQL_MODE,
        "time_zone": "+00:00",
        "innodb_lock_wait_timeout": str(settings.lock_timeout_s),
        "lock_wait_timeout": str(settings.lock_timeout_s),
        "wait_timeout": str(max(IDLE_S, settings.timeout_s)),
        "transaction_isolation": "REPEATABLE-READ",  # MySQL's name of it
        "tx_isolation": "REPEATABLE-READ",  # MariaDB's, up to 11.0
        "idle_write_transaction_timeout": str(IDLE_S),  # MariaDB's alone
        "autocommit": "OFF",
        "character_set_client": "utf8mb4",
        "character_set_results": "utf8mb4",
        "collation_connection": COLLATION,
    }
    names = ", ".join(["%s"] * len(wanted))
    there = f"show session variables where variable_name in ({names})"
    known = [name for name, _ in session.query(there, list(wanted))[1]]
    set_by_connecting = {"autocommit", "character_set_client", "character_set_results", "collation_connection"}
    for name in known:
        if name not in set_by_connecting:
            value = int(wanted[name]) if wanted[name].isdecimal() else wanted[name]
            session.execute(f"set session {name} = %s", [value])
    for name, value in session.query(there, list(wanted))[1]:
        if set(value.upper().split(",")) != set(wanted[name].upper().split(",")):
            message = f"{session.where}: the server keeps {name} at {value!r}: expected {wanted[name]!r}; nothing is done"
            raise ConfigError(message)
    session.commit()
