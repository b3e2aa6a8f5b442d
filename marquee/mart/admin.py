"""What an administrator does with a mart: make it, with its users; bring it to this version's schema; check it."""

import logging

from marquee.mart import schema
from marquee.mart.base import read_mart
from marquee.mart.duckdb.mart import check_writable, open_duckdb_mart
from marquee.mart.errors import NoMartError
from marquee.mart.mysql.connection import mysql_session
from marquee.mart.mysql.database import (
    check_database,
    check_version,
    name_of,
    open_database,
    probe_privileges,
    upgrade_database,
)
from marquee.mart.mysql.users import make_users
from marquee.mart.settings import MartSettings, is_mysql, kiosk_path
from marquee.system_errors import user_name

log = logging.getLogger(__name__)


def init_mart(settings: MartSettings) -> list[str]:
    """Make a mart where there is none, and its users; return what is there now, a line each."""
    if not is_mysql(settings.url):
        with open_duckdb_mart(settings):
            return [f"{settings.url} is a mart of schema version {schema.VERSION}"]
    with mysql_session(settings) as session:
        open_database(session, settings.period)
        users = make_users(session, settings)
        return [f"{name_of(session)} is a mart of schema version {schema.VERSION}", *users]


def upgrade_mart(settings: MartSettings) -> list[str]:
    """Bring a mart to this version's schema; return what was done, a line each."""
    if not is_mysql(settings.url):
        with read_mart(settings):  # which refuses another version, and says to load the file anew
            return [f"{settings.url} has schema version {schema.VERSION} already"]
    with mysql_session(settings) as session:
        before = upgrade_database(session)
        return [f"{name_of(session)}: schema version {before} is now {schema.VERSION}, its views are made anew"]


def check_mart(settings: MartSettings) -> str:
    """Check that a mart can be loaded, as far as that can be told without changing it; return what was found.

    Raises:
        ConfigError: a setting, here or at the server, is in the way.
        TryAgainError: it cannot be reached, or is being loaded.
    """
    if not is_mysql(settings.url):
        check_writable(kiosk_path(settings.url))
        try:
            with read_mart(settings):
                return f"{settings.url}: schema version {schema.VERSION}; may be written as {user_name()}"
        except NoMartError:
            return f"{settings.url}: no mart yet; the first load makes one"
    with mysql_session(settings) as session:
        server = check_version(session)
        try:
            check_database(session)
        except NoMartError:
            return f"{name_of(session)}: {server}; no mart yet: the first load, or `marquee mart init`, makes one"
        probe_privileges(session)
        return f"{name_of(session)}: {server}; schema version {schema.VERSION}; may be loaded"
