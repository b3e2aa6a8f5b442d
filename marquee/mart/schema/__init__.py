"""The mart's schema: parses ``tables.sql`` and ``views.sql`` with their comments.

The files are plain SQL. Their comments become comments in the database, so each definition of a column is written only
once. A comment belongs to the table or view below it or, after a column, to that column.
"""

import functools
import re
from dataclasses import dataclass

from marquee.sql import read_sql

VERSION = 8
"""Version of the schema, incremented with every change of tables or views. Other versions of a mart are rejected."""

_CREATE = re.compile(
    r"(?P<comment>(?:^-- [^\n]*\n)+)^create (?P<kind>table|view) (?P<name>\w+) (?P<body>.*?);$",
    re.MULTILINE | re.DOTALL,
)
_COLUMN = re.compile(
    r"^    (?P<name>\w+) (?P<type>[^,\n]*?)(?P<required> not null)?,? -- (?P<comment>.+)$", re.MULTILINE
)
_KEY = re.compile(r"^    primary key \((?P<columns>[^)]+)\)$", re.MULTILINE)
_SEED_ROWS = re.compile(r"^insert into .*?;$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    comment: str
    nullable: bool


@dataclass(frozen=True)
class Relation:
    """A table or view, and the statement that creates it. A view has its query, but no columns."""

    kind: str
    name: str
    comment: str
    statement: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    query: str = ""


def tables_sql() -> str:
    """Return the statements that create the tables and fill the constant ones."""
    return read_sql("marquee.mart.schema", "tables")


def views_sql() -> str:
    """Return the statements that create the views."""
    return read_sql("marquee.mart.schema", "views")


@functools.cache
def relations() -> tuple[Relation, ...]:
    """Return every table and view with its comments, in the order of the files."""
    return tuple(_relation(match) for match in _CREATE.finditer(f"{tables_sql()}\n{views_sql()}"))


def relation(name: str) -> Relation:
    """Return a table or view."""
    return next(one for one in relations() if one.name == name)


def seed_rows() -> list[str]:
    """Return the statements that insert the rows of constant tables."""
    return [statement.removesuffix(";") for statement in _SEED_ROWS.findall(tables_sql())]


def _relation(match: re.Match[str]) -> Relation:
    kind, name, body = match["kind"], match["name"], match["body"]
    statement = match[0].removeprefix(match["comment"])
    comment = " ".join(line.removeprefix("-- ") for line in match["comment"].splitlines())
    if kind == "view":
        return Relation(kind, name, comment, statement, query=body.removeprefix("as\n"))
    columns = tuple(
        Column(one["name"], one["type"], one["comment"], nullable=not one["required"]) for one in _COLUMN.finditer(body)
    )
    key = _KEY.search(body)
    return Relation(kind, name, comment, statement, columns, tuple(key["columns"].split(", ")) if key else ())
