"""Reads the ``.sql`` files of Marquee, and runs queries on DuckDB.

A file says in its head what its query makes: grain, inputs, units. Two notations stand in it for something else:

    $name      a parameter: a value, bound by the database
    {{name}}   SQL put in its place before the database sees it, where no parameter can stand, such as a field's path

Comments are taken off, so no literal may hold ``--``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_COMMENT = re.compile(r"--.*")
_PARAMETER = re.compile(r"\$([a-z]\w*)")
_PIECE = re.compile(r"\{\{(\w+)\}\}")
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

Values = Mapping[str, Any]
"""Values of parameters by name; a query takes those that it names."""
NOTHING: Values = {}


@dataclass(frozen=True)
class Query:
    """One statement; ``where`` names its file in messages."""

    text: str
    where: str

    @cached_property
    def parameters(self) -> frozenset[str]:
        """Names of its parameters."""
        return frozenset(_PARAMETER.findall(self.text))

    @cached_property
    def pyformat(self) -> str:
        """The text as PyMySQL takes it, ``%(name)s`` for each parameter."""
        return _PARAMETER.sub(r"%(\1)s", self.text)

    def bind(self, values: Values) -> dict[str, Any]:
        """Return the values that the statement names. ValueError names those that are missing."""
        missing = sorted(self.parameters.difference(values))
        if missing:
            message = f"{self.where} needs a value for {', '.join(f'${name}' for name in missing)}"
            raise ValueError(message)
        return {name: values[name] for name in self.parameters}

    def put(self, pieces: Mapping[str, str]) -> "Query":
        """Return the query with SQL in the places of ``{{name}}``. The pieces must be our own, never input."""
        return Query(_PIECE.sub(lambda match: pieces[match[1]], self.text), self.where)

    def select(self, db: "duckdb.DuckDBPyConnection", values: Values = NOTHING) -> "pa.Table":
        """Return the rows."""
        return db.sql(self.text, params=self.bind(values)).to_arrow_table()

    def create_table(self, db: "duckdb.DuckDBPyConnection", table: str, values: Values = NOTHING) -> None:
        """Keep the rows as a table of the connection."""
        db.execute(f"create or replace temp table {table} as {self.text}", self.bind(values))

    def create_view(self, db: "duckdb.DuckDBPyConnection", view: str) -> None:
        """Make a view of the connection; the query has no parameters, and its rows are made whenever they are read."""
        db.execute(f"create or replace temp view {view} as {self.text}")


def read_sql(package: str, file: str) -> str:
    """Return the text of a package's ``.sql`` file, which may have several statements."""
    return files(package).joinpath(f"{file}.sql").read_text(encoding="utf-8")


@cache
def read_query(package: str, file: str) -> Query:
    """Return the one query of a file."""
    return _query(read_sql(package, file), f"{package}/{file}.sql")


@cache
def read_statements(package: str, file: str) -> Mapping[str, Query]:
    """Return the statements of a file by the names on the lines ``-- name: …`` above them."""
    _, *parts = _NAME.split(read_sql(package, file))
    named = zip(parts[::2], parts[1::2], strict=True)
    return {name: _query(text, f"{package}/{file}.sql, {name}") for name, text in named}


def _query(text: str, where: str) -> Query:
    return Query(_COMMENT.sub("", text).strip().removesuffix(";"), where)
