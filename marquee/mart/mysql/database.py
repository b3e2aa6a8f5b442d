"""The database of a mart in MySQL: creates, checks and upgrades its schema.

A database is a mart when it has a schema version and its tables have the expected columns, the engine InnoDB and the
expected collations. Statements that create tables commit by themselves, so the version is written last: a database
without a version is incomplete, and initialization resumes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from marquee.errors import ConfigError, TryAgainError
from marquee.mart import schema
from marquee.mart.errors import NoMartError
from marquee.mart.kiosk import EMPTY, KIOSK, KioskRow, check_kiosk, check_period, protects_alike
from marquee.mart.mysql import schema as mysql_schema
from marquee.mart.mysql.connection import MysqlSession
from marquee.mart.mysql.variables import COLLATION
from marquee.mart.settings import MartSettings

OLDEST = {"MySQL": (8, 0), "MariaDB": (10, 11)}

_TABLES = "select table_name from information_schema.tables where table_schema = database()"
_COLUMNS = """
select table_name, column_name, coalesce(collation_name, '') from information_schema.columns
where table_schema = database()
"""
_ENGINES = "select table_name, coalesce(engine, '') from information_schema.tables where table_schema = database()"


def open_database(session: MysqlSession, settings: MartSettings) -> None:
    """Create the schema in an empty database for some settings, or check that a mart is as they say."""
    check_version(session)
    if version_of(session) is None:
        with _alone(session):
            if version_of(session) is None:
                _create(session, settings)
    check_database(session)
    check_kiosk(name_of(session), _kiosk(session), settings)
    session.commit()


def check_database(session: MysqlSession) -> None:
    """Check that the database is a mart of this version with the expected tables; ConfigError if not."""
    version = version_of(session)
    if version is None:
        message = f"There is no mart in {name_of(session)}. Load one first with `marquee mart-load`"
        raise NoMartError(message)
    if version != schema.VERSION:
        todo = "Upgrade Marquee" if version > schema.VERSION else EMPTY
        message = f"{name_of(session)} has schema version {version}, this Marquee expects {schema.VERSION}. {todo}"
        raise ConfigError(message)
    _check_shape(session)


def version_of(session: MysqlSession) -> int | None:
    """Return the schema version; None if it is missing or incomplete. ConfigError if the database is not a mart."""
    tables = set(session.column(_TABLES))
    if "schema_version" not in tables:
        if tables:
            message = (
                f"{name_of(session)} has tables, but is not a mart. Set MARQUEE_MART__URL to a mart, or to an empty "
                "database"
            )
            raise ConfigError(message)
        return None
    versions = session.column("select max(version) from schema_version")
    return int(versions[0]) if versions[0] is not None else None


def name_of(session: MysqlSession) -> str:
    """Return the name of the database in messages."""
    return f"database {session.address.database!r} of {session.where}"


def check_version(session: MysqlSession) -> str:
    """Return the server's name and version; ConfigError if it is too old or does not allow LOAD DATA LOCAL."""
    (text,) = session.column("select version()")
    server = "MariaDB" if "mariadb" in text.lower() else "MySQL"
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if version < OLDEST[server]:
        message = f"{session.where}: {server} {text} is too old. Use MySQL 8.0 or later, or MariaDB 10.11 or later"
        raise ConfigError(message)
    _, rows = session.query("show variables like 'local_infile'")
    if rows and rows[0][1] != "ON":
        message = f"{session.where}: local_infile is {rows[0][1]}, so LOAD DATA LOCAL is off. Set local_infile=1 there"
        raise ConfigError(message)
    return f"{server} {text}"


def probe_privileges(session: MysqlSession) -> None:
    """Try every kind of statement of a load on no rows. ConfigError names the first missing privilege."""
    for table in mysql_schema.tables().values():
        column = table.columns[0].name
        session.execute(f"delete from {table.name} where 1 = 0")  # noqa: S608 - our own names
        session.execute(f"update {table.name} set {column} = {column} where 1 = 0")  # noqa: S608
        session.execute(f"insert into {table.name} select * from {table.name} where 1 = 0")  # noqa: S608
    session.execute(mysql_schema.create_staging(mysql_schema.tables()["kiosk"]))
    session.execute(f"drop temporary table {mysql_schema.staging('kiosk')}")
    session.rollback()


def upgrade_database(session: MysqlSession, settings: MartSettings) -> int | None:
    """Create the views again; empty a mart first whose rows are of an earlier version, or of another floor or detail.

    Return the version that it had if it was emptied, otherwise None. Statements that change tables commit by
    themselves: an interrupted upgrade leaves a mart without a version, which the next load or upgrade completes.
    """
    with _alone(session):
        version = version_of(session)
        if version is None and not session.column(_TABLES):
            message = f"There is no mart in {name_of(session)}. Create one with `marquee mart init`"
            raise NoMartError(message)
        if version is not None and version >= schema.VERSION:
            check_database(session)
        emptied = version != schema.VERSION or not protects_alike(_kiosk(session), settings)
        if emptied:
            _create_again(session, settings, version)
        for statement in mysql_schema.create_views():
            session.execute(statement)
    check_database(session)
    return (version or 0) if emptied else None


def prepare_database(session: MysqlSession, settings: MartSettings) -> int | None:
    """Create a mart in an empty database, or empty one of an earlier version for this one; otherwise make views again.

    Several processes may do it at once. ConfigError if a mart of this version has another period, floor or detail, or
    if the mart is of a newer version. Return the version that it had if it was made again, 0 if there was none.
    """
    check_version(session)
    with _alone(session):
        version = version_of(session)
        made = version is None or version < schema.VERSION
        if made:
            _create_again(session, settings, version)
        else:
            check_database(session)
            check_kiosk(name_of(session), _kiosk(session), settings)
            for statement in mysql_schema.create_views():
                session.execute(statement)
    check_database(session)
    return (version or 0) if made else None


def check_unchanged(session: MysqlSession) -> None:
    """Check that nobody has upgraded the mart since it was opened; ConfigError if somebody has."""
    (version,) = session.column("select max(version) from schema_version")
    if version != schema.VERSION:
        message = (
            f"{name_of(session)} was upgraded during this load, from schema version {schema.VERSION} to "
            f"{version or 'another'}. Nothing of this step was written. Load it with the new version of Marquee"
        )
        raise ConfigError(message)


def _create_again(session: MysqlSession, settings: MartSettings, version: int | None) -> None:
    """Replace a mart of some version, or of none, by an empty one for the same period."""
    for period in session.column("select period from kiosk") if version is not None else ():
        check_period(name_of(session), period, settings)
    _create(session, settings)


def _create(session: MysqlSession, settings: MartSettings) -> None:
    """Create all tables and views; drop first what an earlier version, or an interrupted creation, has left."""
    if session.column(_TABLES):
        session.execute("delete from schema_version")
        session.commit()
        for name in reversed(mysql_schema.tables()):
            if name != "schema_version":  # a database without it would not be ours
                session.execute(f"drop table if exists {name}")
    for table in mysql_schema.tables().values():
        session.execute(mysql_schema.create_table(table))
    for statement in (*mysql_schema.create_views(), *mysql_schema.seed_rows()):
        session.execute(statement)
    session.execute("delete from kiosk")
    session.execute(
        "insert into kiosk (period, detail, min_cell) values (%s, %s, %s)",
        [settings.period, settings.detail, settings.min_cell],
    )
    session.execute("insert into schema_version (version) values (%s)", [schema.VERSION])
    session.commit()


def _kiosk(session: MysqlSession) -> KioskRow:
    _, ((period, detail, min_cell),) = session.query(KIOSK)
    return KioskRow(period, detail, min_cell)


@contextmanager
def _alone(session: MysqlSession) -> Iterator[None]:
    """Exclude other processes that change the schema. A transaction cannot, because creating tables commits it."""
    lock = f"marquee {session.address.database}"[:64]
    (got,) = session.column("select get_lock(%s, %s)", [lock, 60])
    if not got:
        message = f"{name_of(session)}: another process has been changing its schema for a minute. Try again"
        raise TryAgainError(message)
    session.commit()  # start a new snapshot, which includes everything before the lock
    try:
        yield
    finally:
        session.query("select release_lock(%s)", [lock])


def _check_shape(session: MysqlSession) -> None:
    expected = {(table.name, one.name) for table in mysql_schema.tables().values() for one in table.columns}
    _, rows = session.query(_COLUMNS)
    ours = mysql_schema.tables()
    found = {(table, column): collation for table, column, collation in rows if table in ours}
    if differing := expected ^ set(found):
        message = (
            f"{name_of(session)} does not have the tables of schema version {schema.VERSION}: "
            f"{', '.join(sorted('.'.join(one) for one in differing)[:5])} are missing or unexpected. "
            "Load into an empty database"
        )
        raise ConfigError(message)
    wrong = [
        f"{table}.{column} has collation {one}" for (table, column), one in found.items() if one not in {"", COLLATION}
    ]
    wrong += [
        f"{table} is in {engine}"
        for table, engine in session.query(_ENGINES)[1]
        if table in ours and engine != "InnoDB"
    ]
    if wrong:
        message = (
            f"{name_of(session)}: {', '.join(wrong[:5])}; expected InnoDB and {COLLATION}. Load into an empty database"
        )
        raise ConfigError(message)
