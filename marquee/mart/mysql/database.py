"""The database of a mart in MySQL: making its schema, and knowing it again.

A database is one of ours when it has a version, and when its tables have our columns, InnoDB and exact collations. What
creates them commits by itself, so the version is written last: a database without one is not done yet, and is gone on
with.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from marquee.errors import ConfigError, TryAgainError
from marquee.mart import schema
from marquee.mart.errors import NoMartError
from marquee.mart.mysql import schema as mysql_schema
from marquee.mart.mysql.connection import COLLATION, MysqlSession

MIGRATIONS: Mapping[int, Sequence[str]] = {}
"""Version of the schema -> what makes it of the one before. There is none yet: marts in MySQL begin with version 2."""
OLDEST = {"MySQL": (8, 0), "MariaDB": (10, 11)}

_TABLES = "select table_name from information_schema.tables where table_schema = database()"
_COLUMNS = """
select table_name, column_name, coalesce(collation_name, '') from information_schema.columns
where table_schema = database()
"""
_ENGINES = "select table_name, coalesce(engine, '') from information_schema.tables where table_schema = database()"


def open_database(session: MysqlSession, period: str) -> None:
    """Make the schema in an empty database, for a period; check the one that is there."""
    check_version(session)
    if version_of(session) is None:
        with _alone(session):
            if version_of(session) is None:
                _create(session, period)
    check_database(session)
    (standing,) = session.column("select period from kiosk")
    if standing != period:
        message = (
            f"{name_of(session)} is a kiosk for {standing or 'everything there is'}, and MARQUEE_MART__PERIOD="
            f"{period!r} asks for {period or 'everything there is'}: name another database in MARQUEE_MART__URL"
        )
        raise ConfigError(message)
    session.commit()


def check_database(session: MysqlSession) -> None:
    """Refuse what is no mart, is of another version, or has not our tables."""
    version = version_of(session)
    if version is None:
        message = f"there is no mart in {name_of(session)}: load one first, with `marquee mart-load`"
        raise NoMartError(message)
    if version != schema.VERSION:
        todo = "upgrade Marquee" if version > schema.VERSION else "run `marquee mart upgrade`"
        message = f"{name_of(session)} has schema version {version}, this Marquee expects {schema.VERSION}: {todo}"
        raise ConfigError(message)
    _check_shape(session)


def version_of(session: MysqlSession) -> int | None:
    """Return the version of the schema; None where there is none, or none that is done. ConfigError if not ours."""
    tables = set(session.column(_TABLES))
    if "schema_version" not in tables:
        if tables:
            message = (
                f"{name_of(session)} is a database, but no mart: expected a mart, or nothing; name another in "
                "MARQUEE_MART__URL"
            )
            raise ConfigError(message)
        return None
    versions = session.column("select max(version) from schema_version")
    return int(versions[0]) if versions[0] is not None else None


def name_of(session: MysqlSession) -> str:
    """Return how the database is called in messages."""
    return f"database {session.address.database!r} of {session.where}"


def check_version(session: MysqlSession) -> str:
    """Return the server's name and version; ConfigError for one that is too old, or takes no rows from its client."""
    (text,) = session.column("select version()")
    server = "MariaDB" if "mariadb" in text.lower() else "MySQL"
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if version < OLDEST[server]:
        message = f"{session.where}: {server} {text}: expected MySQL 8.0 or later or MariaDB 10.11 or later"
        raise ConfigError(message)
    _, rows = session.query("show variables like 'local_infile'")
    if rows and rows[0][1] != "ON":
        message = f"{session.where}: local_infile is {rows[0][1]}: the server has to allow LOAD DATA LOCAL: set it to 1"
        raise ConfigError(message)
    return f"{server} {text}"


def probe_privileges(session: MysqlSession) -> None:
    """Try whatever a load does, on no rows. ConfigError names the first that the user may not."""
    for table in mysql_schema.tables().values():
        column = table.columns[0].name
        session.execute(f"delete from {table.name} where 1 = 0")  # noqa: S608 - our own names
        session.execute(f"update {table.name} set {column} = {column} where 1 = 0")  # noqa: S608
        session.execute(f"insert into {table.name} select * from {table.name} where 1 = 0")  # noqa: S608
    session.execute(mysql_schema.create_staging(mysql_schema.tables()["kiosk"]))
    session.execute(f"drop temporary table {mysql_schema.staging('kiosk')}")
    session.rollback()


def upgrade_database(session: MysqlSession) -> int:
    """Bring a mart to this version's schema, and make its views anew; return the version it had.

    What changes tables commits by itself: a migration may be cut short anywhere, and is then run again from its start.
    """
    with _alone(session):
        before = version_of(session)
        if before is None:
            message = f"there is no mart in {name_of(session)}: make one with `marquee mart init`"
            raise NoMartError(message)
        for version in range(before + 1, schema.VERSION + 1):
            if version not in MIGRATIONS:
                message = (
                    f"{name_of(session)} has schema version {before}, too old for an upgrade: load an empty database"
                )
                raise ConfigError(message)
            for statement in MIGRATIONS[version]:
                session.execute_again(statement)
            session.execute("update schema_version set version = %s", [version])
            session.commit()
        for statement in mysql_schema.create_views() if before <= schema.VERSION else ():
            session.execute(statement)
    check_database(session)
    return before


def _create(session: MysqlSession, period: str) -> None:
    for table in mysql_schema.tables().values():
        session.execute(mysql_schema.create_table(table))
    for statement in (*mysql_schema.create_views(), *mysql_schema.seed_rows()):
        session.execute(statement)
    session.execute("delete from kiosk")
    session.execute("insert into kiosk (period) values (%s)", [period])
    session.execute("insert into schema_version (version) values (%s)", [schema.VERSION])
    session.commit()


@contextmanager
def _alone(session: MysqlSession) -> Iterator[None]:
    """Keep other makers of the schema out: what creates tables commits, so no transaction can."""
    lock = f"marquee {session.address.database}"[:64]
    (got,) = session.column("select get_lock(%s, %s)", [lock, 60])
    if not got:
        message = f"{name_of(session)}: another process has been making its schema for a minute: try again"
        raise TryAgainError(message)
    session.commit()  # what is read from now on was there when the lock was got
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
            f"{name_of(session)} has not the tables of schema version {schema.VERSION}: "
            f"{', '.join(sorted('.'.join(one) for one in differing)[:5])} are missing or too many: "
            "load into an empty database"
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
            f"{name_of(session)}: {', '.join(wrong[:5])}: expected InnoDB and {COLLATION}: load into an empty database"
        )
        raise ConfigError(message)
