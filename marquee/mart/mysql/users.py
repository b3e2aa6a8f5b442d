"""The users of a mart in MySQL, each with no more than it needs: one that loads, one that asks."""

from marquee.mart.mysql.connection import MysqlSession
from marquee.mart.settings import MartSettings

LOADER = "select, insert, update, delete, create temporary tables"
ANALYST = "select"
HOSTS = ("%", "localhost")
"""The second because of MariaDB's users without a name: they come before those from anywhere."""


def make_users(session: MysqlSession, settings: MartSettings) -> list[str]:
    """Make the users whose passwords are set, or give them these; return a line for each."""
    wanted = (
        (settings.loader, settings.loader_password, LOADER),
        (settings.analyst, settings.analyst_password, ANALYST),
    )
    made = []
    for user, password, privileges in wanted:
        if password is None:
            made.append(f"user {user}: not made, for its password is not set")
            continue
        # In a grant _ is any one letter.
        database = session.address.database.replace("_", "\\_")
        for host in HOSTS:
            session.execute(
                "create user if not exists %s@%s identified by %s", [user, host, password.get_secret_value()]
            )
            session.execute("alter user %s@%s identified by %s", [user, host, password.get_secret_value()])
            session.execute(f"grant {privileges} on `{database}`.* to %s@%s", [user, host])
        made.append(f"user {user}: may {privileges} in {session.address.database}")
    return made
