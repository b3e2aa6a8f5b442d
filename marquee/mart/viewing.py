"""The table ``fact_show_daypart``: the sums of ``fact_viewership`` by day, show, country and daypart.

Whoever changes viewership, or the show of an episode, changes these sums in the same transaction. The SQL that defines
them is the same for DuckDB and MySQL.
"""

from collections.abc import Sequence
from datetime import datetime

from marquee.sql import read_query

TABLE = "fact_show_daypart"
KEY = ("day", "show_id", "country", "daypart")
SUM = "watched_seconds"


def sums_where(condition: str) -> str:
    """Return the query of the sums of some viewership ``f``, of shows ``e.show_id``."""
    return read_query("marquee.mart", "show_daypart").put({"condition": condition}).text


def sums_between(start: datetime, end: datetime) -> tuple[str, Sequence[datetime]]:
    """Return the query of the sums of the days from an instant to another, exclusive, and its parameters."""
    return f"select * from {TABLE} where day >= ? and day < ?", (start, end)  # noqa: S608 - our own names
