"""Administration of a mart: create it and its users, upgrade its schema, check it."""

import logging

from marquee.mart import schema
from marquee.mart.base import read_mart
from marquee.mart.duckdb.mart import check_writable, empty_duckdb_mart, open_duckdb_mart
from marquee.mart.errors import NoMartError
from marquee.mart.mysql.connection import mysql_session
from marquee.mart.mysql.database import (
    check_database,
    check_version,
    name_of,
    open_database,
    prepare_database,
    probe_privileges,
    upgrade_database,
)
from marquee.mart.mysql.users import make_users
from marquee.mart.settings import MartSettings, duckdb_path, is_mysql
from marquee.system_errors import user_name

log = logging.getLogger(__name__)


def init_mart(settings: MartSettings) -> list[str]:
    """Create a mart if there is none, and its users; return a line for each of them."""
    if not is_mysql(settings.url):
        with open_duckdb_mart(settings):
            return [f"{settings.url} is a mart of schema version {schema.VERSION}"]
    with mysql_session(settings) as session:
        open_database(session, settings)
        users = make_users(session, settings)
        return [f"{name_of(session)} is a mart of schema version {schema.VERSION}", *users]


def prepare_mart(settings: MartSettings) -> list[str]:
    """Create a mart in MySQL, or upgrade it from an earlier schema version, and its users; return a line for each.

    This is what charts run at each installation and upgrade. Unlike ``upgrade_mart`` it never empties a mart of this
    schema version: two releases with different settings would empty each other's mart.
    """
    with mysql_session(settings) as session:
        before = prepare_database(session, settings)
        where = name_of(session)
        line = f"{where} is a mart of schema version {schema.VERSION}"
        return [_upgraded(where, before, settings) if before else line, *make_users(session, settings)]


def upgrade_mart(settings: MartSettings) -> list[str]:
    """Upgrade a mart to this version's schema and the settings' floor and detail; return a line for each action.

    A mart whose rows are of another version, floor or detail is emptied; the next load fills it from the lake.
    """
    if not is_mysql(settings.url):
        return [_upgraded(settings.url, empty_duckdb_mart(settings), settings)]
    with mysql_session(settings) as session:
        before = upgrade_database(session, settings)
        views = "all views are created again"
        return [f"{_upgraded(name_of(session), before, settings)}; {views}"]


def _upgraded(where: str, before: int | None, settings: MartSettings) -> str:
    if before is None:
        return f"{where} has schema version {schema.VERSION}"
    return (
        f"{where}: schema version {before} is now {schema.VERSION}, with detail={settings.detail} and "
        f"min_cell={settings.min_cell}. It is empty: load it with `marquee mart-load`"
    )


def check_mart(settings: MartSettings) -> str:
    """Check that a mart can be loaded, without changing it; return a description of it.

    Raises:
        ConfigError: a setting, of Marquee or of the server, prevents loading.
        TryAgainError: the mart cannot be reached, or is being loaded.
    """
    if not is_mysql(settings.url):
        check_writable(duckdb_path(settings.url))
        try:
            with read_mart(settings):
                return f"{settings.url}: schema version {schema.VERSION}; {user_name()} can write it"
        except NoMartError:
            return f"{settings.url}: no mart yet; the first load creates it"
    with mysql_session(settings) as session:
        server = check_version(session)
        try:
            check_database(session)
        except NoMartError:
            return f"{name_of(session)}: {server}; no mart yet; the first load, or `marquee mart init`, creates it"
        probe_privileges(session)
        return f"{name_of(session)}: {server}; schema version {schema.VERSION}; can be loaded"
