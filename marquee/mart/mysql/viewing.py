"""The sums of viewership in MySQL: of a day anew, and moved with the episodes that change their show.

Sums of integers stay exact. A row is deleted when its seconds become 0. See marquee/mart/viewing.py.
"""

from datetime import datetime

from marquee.mart.mysql import schema as mysql_schema
from marquee.mart.mysql.connection import MysqlSession
from marquee.mart.viewing import KEY, SUM, TABLE, sums_where
from marquee.sql import Query, read_statements

_COLUMNS = ", ".join((*KEY, SUM))


def sum_day(session: MysqlSession, day: datetime) -> None:
    """Sum the viewership of a day, whose episodes are in the dimensions."""
    session.execute(f"delete from {TABLE} where day = %s", [day])  # noqa: S608 - our own names
    session.execute(f"insert into {TABLE} ({_COLUMNS}) {sums_where('f.day = %s')}", [day])


def stage_moves(session: MysqlSession) -> None:
    """Create the empty staging table of episodes that leave their show."""
    session.execute("drop temporary table if exists moved_episode")
    columns = "episode_id bigint not null, show_left bigint not null, show_joined bigint not null"
    session.execute(
        f"create temporary table moved_episode ({columns}, primary key (episode_id)) {mysql_schema.TABLE_OPTIONS}"
    )


def note_moves(session: MysqlSession) -> None:
    """Note the episodes that staged dimensions move to another show, or drop; before these are merged."""
    for statement in ("note_moved", "note_lost"):
        session.execute(_statement(statement).text)


def move_sums(session: MysqlSession) -> None:
    """Subtract the viewership of noted episodes from the shows that they left, and add it to those that they joined."""
    moved = _statement("moved_sums")
    if _add(session, moved.put({"side": "show_left"}).text, sign=-1):
        _add(session, moved.put({"side": "show_joined"}).text)
        session.execute(f"delete from {TABLE} where {SUM} = 0")  # noqa: S608 - our own names


def _add(session: MysqlSession, sums: str, sign: int = 1) -> int:
    """Add sums to the table, or subtract them; return 0 if there are none."""
    # Not values(), which MySQL gives up, nor the alias of a row, which MariaDB lacks: hence the condition.
    signed = f"select {', '.join(KEY)}, {sign} * {SUM} as {SUM} from ({sums}) as summed"  # noqa: S608 - our own names
    return session.execute(
        f"insert into {TABLE} ({_COLUMNS}) select {_COLUMNS} from ({signed}) as change_of where 1 = 1 "  # noqa: S608
        f"on duplicate key update {SUM} = {TABLE}.{SUM} + change_of.{SUM}"
    )


def _statement(name: str) -> Query:
    return read_statements("marquee.mart.mysql", "moves")[name]
