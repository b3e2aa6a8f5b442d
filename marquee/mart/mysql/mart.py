"""The mart in MySQL or MariaDB: replaces its rows one transaction at a time.

A transaction locks the single row of the table ``kiosk``, which excludes other loaders, and compares its change with
the ledger again. Then it writes both the rows and their ledger entries. So analysts see either the old or the new state
without waiting, and a killed loader leaves one of the two. After a lost connection, the ledger shows whether the commit
succeeded.

LOAD DATA writes viewership directly into its tables within the transaction; a staging table would take 50 % longer.
Names that facts and dimensions share go through temporary staging tables.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import pyarrow as pa
from pymysql.err import MySQLError

from marquee.errors import ConfigError, TryAgainError
from marquee.mart.cells import HOURS, Cells
from marquee.mart.errors import LostConnectionError, QueryError
from marquee.mart.ledger import LEDGER, Answer, Change, Entry, Ledger, ledger_of, naive, row_of
from marquee.mart.mysql import dimensions as names
from marquee.mart.mysql import schema as mysql_schema
from marquee.mart.mysql import viewing
from marquee.mart.mysql.connection import MysqlSession, as_pymysql, connect, marks, mysql_session, outage_of
from marquee.mart.mysql.database import check_database, check_unchanged, open_database
from marquee.mart.mysql.errors import NO_SUCH_TABLE, READ_ONLY
from marquee.mart.mysql.infile import Infile
from marquee.mart.settings import MartSettings
from marquee.outages import Outage
from marquee.telemetry.instruments import MART_RECONNECTS

log = logging.getLogger(__name__)

Write = Callable[[MysqlSession], None]
T = TypeVar("T")


class MysqlMart:
    """An open mart. It reconnects after a lost connection, as soon as the server answers again."""

    def __init__(self, settings: MartSettings, session: MysqlSession, outage: Outage) -> None:
        self._settings = settings
        self._session = session
        self._outage = outage

    def ledger(self) -> Ledger:
        found = _ledger(self._session)
        self._session.commit()  # the next query sees what others have committed
        return found

    def load_dimensions(self, tables: Mapping[str, pa.Table], change: Change) -> bool:
        def stage(session: MysqlSession) -> None:
            for name, rows in tables.items():
                _stage(session, name, rows)
            viewing.stage_moves(session)

        def write(session: MysqlSession) -> None:
            viewing.note_moves(session)
            names.merge_dimensions(session, list(tables))
            viewing.move_sums(session)

        return self._replace(change, stage, write)

    def load_viewership(self, hours: Iterable[pa.Table], change: Change) -> bool:
        day = naive(change.step.period.start)
        with _infile(HOURS) as hour_rows, _infile("fact_viewership") as rows:
            named = self._read_day(hours, hour_rows, rows, restated=change.restated)

            def stage(session: MysqlSession) -> None:
                names.stage_named(session, named)

            def write(session: MysqlSession) -> None:
                orphans = names.orphans_of(session, day)
                after = day + timedelta(days=1)
                ledger = "delete from load_ledger where dataset = 'viewership' and starts_at >= %s and starts_at < %s"
                session.execute(ledger, [day, after])
                session.execute("delete from fact_viewership where day = %s", [day])
                session.execute(f"delete from {HOURS} where hour >= %s and hour < %s", [day, after])  # noqa: S608
                session.load("fact_viewership", rows)
                session.load(HOURS, hour_rows)
                names.add_named(session)
                viewing.sum_day(session, day)
                names.drop_orphans(session, orphans.without(named))

            return self._replace(change, stage, write)

    def _read_day(self, hours: Iterable[pa.Table], hour_rows: Infile, rows: Infile, *, restated: bool) -> names.Named:
        """Fill the rows of a day and, in a mart of hours, of its hours; return what they name."""
        named = names.Named()
        with Cells(self._settings.memory_mb) as cells:
            for hour in hours:
                cells.add(hour)
                if self._settings.detail == "hour":
                    hour_rows.add(hour)
                    named.add(hour)
            folded = cells.folded(self._read_shows(), self._settings.min_cell, restated=restated)
        rows.add(folded)
        named.add(folded)
        return named

    def _read_shows(self) -> pa.Table:
        """Return the show of each known episode. After a lost connection, retry once."""
        return self._once_more(self._shows)

    def _shows(self) -> pa.Table:
        shows = self.table("select episode_id, show_id from dim_episode")
        self._session.commit()  # the next transaction is to see what others have committed meanwhile
        return shows

    def load_audience(self, tables: Mapping[str, pa.Table], change: Change) -> bool:
        period = change.step.items[0].marker.period
        named = names.Named()
        for rows in tables.values():
            if "country" in rows.column_names:
                named.add(rows.select(["country"]))

        def stage(session: MysqlSession) -> None:
            names.stage_named(session, named)

        def write(session: MysqlSession) -> None:
            orphans = names.audience_orphans_of(session, period)
            for name, rows in tables.items():
                session.execute(f"delete from {name} where period = %s", [period])  # noqa: S608 - our own names
                _load(session, name, name, rows)
            names.add_named(session)
            names.drop_orphans(session, orphans.without(named))

        return self._replace(change, stage, write)

    def recount(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return

        def write() -> None:  # the same again does no harm
            self._recount(entries)

        self._once_more(write)

    def _recount(self, entries: Sequence[Entry]) -> None:
        self._session.query("select period from kiosk for update")
        for one in entries:
            self._session.execute(
                "update load_ledger set hours = %s, hours_expected = %s, definition_version = %s, erased_later = %s "
                "where dataset = %s and period = %s and run_id = %s",
                [
                    one.hours,
                    one.hours_expected,
                    one.definition_version,
                    one.erased_later,
                    one.dataset,
                    one.period,
                    one.run_id,
                ],
            )
        self._session.commit()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        try:
            return self._session.query(as_pymysql(sql, parameters), parameters)
        except MySQLError as error:
            if error.args[0] != NO_SUCH_TABLE:
                raise
            why = f"{error.args[1]}. Run `marquee mart upgrade`, which creates all views again"
            message = f"{self._session.where}: {why}"
            raise ConfigError(message) from error

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        try:
            return self._session.table(as_pymysql(sql, parameters), parameters)
        except (MySQLError, TryAgainError) as error:
            cause = error if isinstance(error, MySQLError) else error.__cause__
            if error is not cause and not (isinstance(cause, MySQLError) and cause.args[0] == READ_ONLY):
                raise  # a failure of the server, not of the query
            message = f"{self._session.where}: {cause}\nUse a query in the server's SQL that only reads"
            raise QueryError(message) from error

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _replace(self, change: Change, stage: Write, write: Write) -> bool:
        """Apply a change in one transaction. After a lost connection, retry once unless the ledger has the change."""

        def attempt() -> bool:
            return self._attempt(change, stage, write)

        return self._once_more(attempt, lambda: change.made(self.ledger()) or attempt())

    def _once_more(self, work: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Do work. If the connection is lost meanwhile, do it again once, or ``again``: it may be the cause."""
        self._wake()
        try:
            return work()
        except LostConnectionError as error:
            log.warning("%s", error)
        self._reconnect()
        return (again or work)()

    def _wake(self) -> None:
        """Reconnect if the server has closed the connection while the loader was reading from the lake."""
        try:
            self._session.query("select 1")
        except LostConnectionError:
            self._reconnect()

    def _reconnect(self) -> None:
        MART_RECONNECTS.inc()
        self._session.close()
        self._session = connect(self._settings, self._outage)

    def _attempt(self, change: Change, stage: Write, write: Write) -> bool:
        session = self._session
        try:
            stage(session)
            session.commit()
            session.query("select period from kiosk for update")
            check_unchanged(session)
            if not change.wanted(_ledger(session)):
                session.rollback()
                return False
            write(session)
            _write_ledger(session, change.entries)
            session.commit()
        except BaseException:
            session.rollback()
            raise
        return True


@contextmanager
def open_mysql_mart(settings: MartSettings) -> Iterator[MysqlMart]:
    """Open a mart for loading; create it in an empty database."""
    outage = outage_of(settings)
    session = connect(settings, outage)
    mart = MysqlMart(settings, session, outage)
    try:
        open_database(session, settings)
        yield mart
    finally:
        mart.close()


@contextmanager
def read_mysql_mart(settings: MartSettings) -> Iterator[MysqlMart]:
    """Open a mart for reading."""
    with mysql_session(settings) as session:
        check_database(session)
        session.commit()
        session.execute("set session transaction read only")
        yield MysqlMart(settings, session, outage_of(settings))


def _infile(name: str) -> Infile:
    table = mysql_schema.tables()[name]
    return Infile([column.name for column in table.columns], len(mysql_schema.key_of(table)))


def _stage(session: MysqlSession, name: str, rows: pa.Table) -> None:
    session.execute(f"drop temporary table if exists {mysql_schema.staging(name)}")
    session.execute(mysql_schema.create_staging(mysql_schema.tables()[name]))
    _load(session, name, mysql_schema.staging(name), rows)


def _load(session: MysqlSession, name: str, into: str, rows: pa.Table) -> None:
    table = mysql_schema.tables()[name]
    key = mysql_schema.key_of(table)
    columns = [*key, *(one.name for one in table.columns if one.name not in key and one.name in rows.column_names)]
    with Infile(columns, len(key)) as source:
        source.add(rows)
        session.load(into, source)


def _ledger(session: MysqlSession) -> Ledger:
    return ledger_of(session.query(LEDGER))


def _write_ledger(session: MysqlSession, entries: Sequence[Entry]) -> None:
    rows = [row_of(entry) for entry in entries]
    for entry in entries:
        session.execute("delete from load_ledger where dataset = %s and period = %s", [entry.dataset, entry.period])
    session.execute_many(
        f"insert into load_ledger ({', '.join(rows[0])}) values ({marks(rows[0])})",  # noqa: S608 - our own names
        [tuple(row.values()) for row in rows],
    )
