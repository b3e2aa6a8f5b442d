"""The queries of profile: the ``.sql`` files of this folder. The head of each names its relations and parameters."""

from marquee.sql import Query, read_query


def query(name: str) -> Query:
    """Return the query in the file ``<name>.sql`` of this folder."""
    return read_query("jobs.profile", name)
