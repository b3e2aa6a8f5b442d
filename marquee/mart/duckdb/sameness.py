"""The schema of a DuckDB mart, and the check that a file has it: somebody else's file may define its names otherwise.

A view runs whatever it says, and so do generated columns, and macros with the names of DuckDB's own functions. So the
definitions in a file are compared with those that Marquee makes. Tables and views with other names are left alone.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from marquee.errors import ConfigError
from marquee.mart import schema

_DEFINITIONS = """
select table_name as name, sql from system.main.duckdb_tables()
where database_name = current_database() and schema_name = 'main' and not temporary
union all
select view_name, sql from system.main.duckdb_views()
where database_name = current_database() and schema_name = 'main' and not internal and not temporary
"""
_MACROS = """
select distinct function_name from system.main.duckdb_functions() where not internal order by 1
"""


def create_schema(db: duckdb.DuckDBPyConnection) -> None:
    """Create the tables and views with their comments, and fill the constant tables."""
    db.execute(schema.tables_sql())
    db.execute(schema.views_sql())
    _add_comments(db)


def empty_schema(db: duckdb.DuckDBPyConnection) -> None:
    """Drop the tables and views that have our names, of any version, with the views that read them; others stay."""
    kinds = {name: sql.split()[1] for name, sql in _definitions(db).items()}
    for one in schema.relations():
        if one.name in kinds:
            db.execute(f"drop {kinds[one.name]} if exists {one.name} cascade")


def check_schema(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Check that a file defines the schema's names as Marquee does, and no macros; ConfigError if not."""
    todo = "Do not trust this file: load the mart from the lake into a new one"
    macros = [name for (name,) in db.execute(_MACROS).fetchall()]
    if macros:
        message = f"{path} defines the macros {', '.join(macros[:5])}, which could stand in for DuckDB's own. {todo}"
        raise ConfigError(message)
    expected, found = _expected(), _definitions(db)
    differing = [name for name, sql in expected.items() if found.get(name) != sql]
    if differing:
        again = _defined_anew({name: found.get(name, "") for name in differing})
        differing = [name for name in differing if again.get(name) != expected[name]]
    if differing:
        message = (
            f"{path} does not define these tables and views as Marquee does: {', '.join(sorted(differing)[:5])}. {todo}"
        )
        raise ConfigError(message)


@functools.cache
def _expected() -> Mapping[str, str]:
    """Return the definition of each table and view, in the words of this version of DuckDB."""
    with _empty_mart() as db:
        return _definitions(db)


def _defined_anew(definitions: Mapping[str, str]) -> Mapping[str, str]:
    """Return definitions in the words of this version of DuckDB; another version may have written them in its own."""
    with _empty_mart() as db:
        kinds = {one.name: one.kind for one in schema.relations()}
        for name, sql in definitions.items():
            try:
                db.execute(f"drop {kinds[name]} {name}")
                db.execute(sql)
            except duckdb.Error:
                return {}
        return _definitions(db)


@contextmanager
def _empty_mart() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a mart in memory, from which nothing else can be reached."""
    with duckdb.connect(config={"enable_external_access": False, "lock_configuration": True}) as db:
        db.execute(schema.tables_sql())
        db.execute(schema.views_sql())
        yield db


def _add_comments(db: duckdb.DuckDBPyConnection) -> None:
    for one in schema.relations():
        db.execute(f"comment on {one.kind} {one.name} is {_quoted(one.comment)}")
        for each in one.columns:
            db.execute(f"comment on column {one.name}.{each.name} is {_quoted(each.comment)}")


def _definitions(db: duckdb.DuckDBPyConnection) -> Mapping[str, str]:
    return dict(db.execute(_DEFINITIONS).fetchall())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
