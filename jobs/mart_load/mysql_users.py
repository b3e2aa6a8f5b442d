"""The users of a mart in MySQL, each with no more than it needs: one that loads, one that asks."""

from jobs.mart_load.mysql_connection import MysqlSession
from jobs.mart_load.settings import MartSettings

LOADER = "select, insert, update, delete, create temporary tables"
ANALYST = "select"


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
        session.execute("create user if not exists %s@'%%' identified by %s", [user, password.get_secret_value()])
        session.execute("alter user %s@'%%' identified by %s", [user, password.get_secret_value()])
        # In a grant _ is any one letter.
        database = session.address.database.replace("_", "\\_")
        session.execute(f"grant {privileges} on `{database}`.* to %s@'%%'", [user])
        made.append(f"user {user}: may {privileges} in {session.address.database}")
    return made
