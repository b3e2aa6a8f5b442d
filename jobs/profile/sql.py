"""Runs the ``.sql`` files beside this module, by name, on relations of a DuckDB connection.

A file is one query over relations of the names in its head; what it makes can be tested on Arrow tables alone.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import duckdb
import pyarrow as pa

_PARAMETER = re.compile(r"\$(\w+)")
_COMMENT = re.compile(r"--.*")

Values = Mapping[str, Any]
"""Values by the names that the queries have for them; a query takes those it names."""


def select(db: duckdb.DuckDBPyConnection, name: str, values: Values) -> pa.Table:
    """Return the rows of a query."""
    make(db, name, name, values)
    table: pa.Table = db.table(name).to_arrow_table()
    return table


def make(db: duckdb.DuckDBPyConnection, table: str, name: str, values: Values) -> None:
    """Keep the rows of a query as a table of the connection."""
    db.execute(f"create or replace temp table {table} as {_text(name)}", _named(name, values))


def define(db: duckdb.DuckDBPyConnection, view: str, name: str) -> None:
    """Show a query without parameters as a view of the connection: its rows are made when they are read."""
    db.execute(f"create or replace temp view {view} as {_text(name)}")


@cache
def _text(name: str) -> str:
    return _COMMENT.sub("", files("jobs.profile").joinpath(f"{name}.sql").read_text(encoding="utf-8"))


def _named(name: str, values: Values) -> dict[str, Any]:
    return {parameter: values[parameter] for parameter in _PARAMETER.findall(_text(name))}
