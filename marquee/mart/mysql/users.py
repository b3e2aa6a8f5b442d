"""The two users of a mart in MySQL, with minimal privileges: one for loading and one for queries."""

from marquee.mart.mysql.connection import MysqlSession
from marquee.mart.settings import MartSettings

LOADER = "select, insert, update, delete, create temporary tables"
ANALYST = "select"
HOSTS = ("%", "localhost")
"""``localhost`` is needed because MariaDB's anonymous local users take precedence over users of ``%``."""


def make_users(session: MysqlSession, settings: MartSettings) -> list[str]:
    """Create the users whose passwords are set, or update their passwords; return a line for each."""
    wanted = (
        (settings.loader, settings.loader_password, LOADER),
        (settings.analyst, settings.analyst_password, ANALYST),
    )
    made = []
    for user, password, privileges in wanted:
        if password is None:
            made.append(f"user {user}: not created, because its password is not set")
            continue
        # In a grant, _ matches any character.
        database = session.address.database.replace("_", "\\_")
        for host in HOSTS:
            session.execute(
                "create user if not exists %s@%s identified by %s", [user, host, password.get_secret_value()]
            )
            session.execute("alter user %s@%s identified by %s", [user, host, password.get_secret_value()])
            session.execute(f"grant {privileges} on `{database}`.* to %s@%s", [user, host])
        made.append(f"user {user}: granted {privileges} in {session.address.database}")
    return made
