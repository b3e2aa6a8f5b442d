"""What an administrator does with a mart: make it, with its users; bring it to this version's schema; check it.

``python -m jobs.mart_load.admin`` makes it, as `marquee mart init` does, with no more than the stage's image has.
"""

import logging
import sys

from jobs.common.command import guarded
from jobs.common.settings import check_names, load_settings
from jobs.mart_load import schema
from jobs.mart_load.duckdb_mart import open_duckdb_mart
from jobs.mart_load.errors import NoMartError
from jobs.mart_load.mart import read_mart
from jobs.mart_load.mysql_connection import mysql_session
from jobs.mart_load.mysql_database import (
    check_database,
    check_version,
    name_of,
    open_database,
    probe_privileges,
    upgrade_database,
)
from jobs.mart_load.mysql_users import make_users
from jobs.mart_load.settings import MartLoadSettings, MartSettings, is_mysql
from jobs.settings import SETTINGS

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
        try:
            with read_mart(settings):
                return f"{settings.url}: schema version {schema.VERSION}"
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


def main() -> int:
    """Make the mart of the settings, log what is there now, and return the exit code."""

    def command() -> int:
        check_names(SETTINGS)
        for line in init_mart(load_settings(MartLoadSettings).mart):
            log.info("%s", line)
        return 0

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
