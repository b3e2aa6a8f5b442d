"""The kiosk's schema: ``tables.sql`` and ``views.sql``, read as what they create and what they say of it.

The files are plain SQL; comments become the database's own, so that each fact about a column stands once. A comment
belongs to what follows it (a table, a view) or, after a column, to that column.
"""

import re
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
"""Counted up with every change of tables or views: a kiosk of another version is not touched."""

_HERE = Path(__file__).parent
_CREATE = re.compile(
    r"(?P<comment>(?:^-- [^\n]*\n)+)^create (?P<kind>table|view) (?P<name>\w+) (?P<body>.*?);$",
    re.MULTILINE | re.DOTALL,
)
_COLUMN = re.compile(r"^    (?P<name>\w+) (?P<type>[^,\n]*?)(?: not null)?,? -- (?P<comment>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Relation:
    """A table or view; of a view no columns are told."""

    kind: str
    name: str
    comment: str
    columns: tuple[Column, ...]


def tables_sql() -> str:
    """Return the statements that create the tables and fill those that never change."""
    return (_HERE / "tables.sql").read_text(encoding="utf-8")


def views_sql() -> str:
    """Return the statements that create the views."""
    return (_HERE / "views.sql").read_text(encoding="utf-8")


def relations() -> list[Relation]:
    """Return every table and view with its comments, in the order of the files."""
    return [_relation(match) for match in _CREATE.finditer(f"{tables_sql()}\n{views_sql()}")]


def _relation(match: re.Match[str]) -> Relation:
    columns = _COLUMN.finditer(match["body"]) if match["kind"] == "table" else ()
    comment = " ".join(line.removeprefix("-- ") for line in match["comment"].splitlines())
    return Relation(match["kind"], match["name"], comment, tuple(Column(**one.groupdict()) for one in columns))
