"""Reads Marquee's ``.sql`` files, and runs queries on DuckDB.

The head of a file describes the query's result: grain, inputs, units. A file has two kinds of placeholders:

    $name      a parameter: a value, which the database binds
    {{name}}   a piece of SQL, which is inserted as text where a parameter is not allowed, such as a field's path

Comments are removed, so no literal may contain ``--``.
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
"""Values of parameters by name; a query uses only the names that it contains."""
NOTHING: Values = {}


@dataclass(frozen=True)
class Query:
    """One statement; ``where`` names its file in messages."""

    text: str
    where: str

    @cached_property
    def parameters(self) -> frozenset[str]:
        """Names of the statement's parameters."""
        return frozenset(_PARAMETER.findall(self.text))

    @cached_property
    def pyformat(self) -> str:
        """The text in PyMySQL's format, with ``%(name)s`` for each parameter."""
        return _PARAMETER.sub(r"%(\1)s", self.text)

    def bind(self, values: Values) -> dict[str, Any]:
        """Return the values of the statement's parameters. ValueError lists missing ones."""
        missing = sorted(self.parameters.difference(values))
        if missing:
            message = f"{self.where} needs a value for {', '.join(f'${name}' for name in missing)}"
            raise ValueError(message)
        return {name: values[name] for name in self.parameters}

    def put(self, pieces: Mapping[str, str]) -> "Query":
        """Return the query with SQL in place of each ``{{name}}``. The pieces must be our own SQL, never input."""
        return Query(_PIECE.sub(lambda match: pieces[match[1]], self.text), self.where)

    def select(self, db: "duckdb.DuckDBPyConnection", values: Values = NOTHING) -> "pa.Table":
        """Run the query; return the rows."""
        return db.sql(self.text, params=self.bind(values)).to_arrow_table()

    def create_table(self, db: "duckdb.DuckDBPyConnection", table: str, values: Values = NOTHING) -> None:
        """Store the rows in a temporary table of the connection."""
        db.execute(f"create or replace temp table {table} as {self.text}", self.bind(values))

    def create_view(self, db: "duckdb.DuckDBPyConnection", view: str) -> None:
        """Create a temporary view of the connection; the query must have no parameters, and runs on each read."""
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
    """Return the statements of a file by name; the line ``-- name: …`` above a statement names it."""
    _, *parts = _NAME.split(read_sql(package, file))
    named = zip(parts[::2], parts[1::2], strict=True)
    return {name: _query(text, f"{package}/{file}.sql, {name}") for name, text in named}


def _query(text: str, where: str) -> Query:
    return Query(_COMMENT.sub("", text).strip().removesuffix(";"), where)
