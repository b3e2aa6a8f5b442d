"""MySQL statements for the schema that all marts share.

They add: the engine InnoDB; utf8mb4 with a binary collation (names are keys, and the default collations treat
``Pokemon`` and ``Pokémon`` as equal); comments on tables and columns (MySQL has none for views); primary keys of the
viewership and its sums, which determine their storage order; and foreign keys among the dimensions. Facts have no
foreign keys: each would cost a look-up per row, and the loader adds missing dimension rows itself.
"""

import re

from marquee.lake.datasets import VIEWERSHIP
from marquee.mart import schema, viewing
from marquee.mart.schema import Relation

TABLE_OPTIONS = "engine = InnoDB default character set = utf8mb4 collate = utf8mb4_bin"
_REFERENCE = re.compile(r"-> (?P<table>dim_(?:country|language|genre|show))\b(?!\w)")
_REFERRING = ("dim_", "show_history")

_KEYS = {
    "fact_viewership": ("day", "episode_id", "country", "daypart", "device"),
    "fact_viewership_hour": tuple(VIEWERSHIP.sort),
    viewing.TABLE: viewing.KEY,
}
"""Keys that only MySQL has: there they determine the order of storage."""


def tables() -> dict[str, Relation]:
    """Return the tables by name, in the order in which they can be created."""
    return {one.name: one for one in schema.relations() if one.kind == "table"}


def key_of(table: Relation) -> tuple[str, ...]:
    """Return a table's primary key in MySQL."""
    return _KEYS.get(table.name, table.key)


def create_table(table: Relation) -> str:
    """Return the statement that creates a table."""
    lines = [
        f"{one.name} {one.type}{'' if one.nullable else ' not null'} comment {quoted(one.comment)}"
        for one in table.columns
    ]
    lines.append(f"primary key ({', '.join(key_of(table))})")
    lines += [
        f"foreign key ({column}) references {target} ({', '.join(tables()[target].key)})"
        for column, target in references(table)
    ]
    body = ",\n    ".join(lines)
    return f"create table if not exists {table.name} (\n    {body}\n) {TABLE_OPTIONS} comment = {quoted(table.comment)}"


def create_staging(table: Relation) -> str:
    """Return the statement that creates a temporary table with the columns and the key of another table."""
    lines = [f"{one.name} {one.type}{'' if one.nullable else ' not null'}" for one in table.columns]
    lines.append(f"primary key ({', '.join(key_of(table))})")
    return f"create temporary table {staging(table.name)} ({', '.join(lines)}) {TABLE_OPTIONS}"


def staging(table: str) -> str:
    """Return the name of a table's staging table."""
    return f"staged_{table}"


def create_views() -> list[str]:
    """Return the statements that create or replace the views. Each view runs with the privileges of its user."""
    return [
        f"create or replace sql security invoker view {one.name} as\n{one.query}"
        for one in schema.relations()
        if one.kind == "view"
    ]


def seed_rows() -> list[str]:
    """Return the statements that insert the rows of constant tables; they are idempotent."""
    return [statement.replace("insert into", "insert ignore into", 1) for statement in schema.seed_rows()]


def references(table: Relation) -> list[tuple[str, str]]:
    """Return (column, table) for each foreign key of a table."""
    if not table.name.startswith(_REFERRING):
        return []
    return [(one.name, match["table"]) for one in table.columns if (match := _REFERENCE.search(one.comment))]


def quoted(text: str) -> str:
    """Return a text as a literal for the SQL mode of ``MysqlSession``."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
