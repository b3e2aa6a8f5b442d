"""The queries of profile: the ``.sql`` files of this folder, each over relations of the names in its head."""

from marquee.sql import Query, read_query


def query(name: str) -> Query:
    """Return the query of a file of this folder."""
    return read_query("jobs.profile", name)
