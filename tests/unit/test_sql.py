"""SQL files: two notations of parameters, and one reader."""

import re
from pathlib import Path

import duckdb
import pytest

import marquee
from marquee.sql import Query, read_query, read_statements

ROOT = Path(marquee.__file__).parents[1]
SQL_FILES = sorted(path for folder in ("marquee", "jobs") for path in (ROOT / folder).rglob("*.sql"))


def test_parameters_are_bound() -> None:
    """A query takes the values of its parameters only, and a value is never read as SQL."""
    query = Query("select $name as name, $times + 1 as times", "test.sql")
    values = {"name": "it's; drop table x", "times": 2, "unused": None}
    assert query.parameters == {"name", "times"}
    with duckdb.connect() as db:
        assert query.select(db, values).to_pylist() == [{"name": "it's; drop table x", "times": 3}]


def test_missing_value_is_named() -> None:
    """A missing value is an error that names the file and its parameters."""
    with pytest.raises(ValueError, match=r"^test\.sql needs a value for \$first, \$last$"):
        Query("select $last, $first, $given", "test.sql").bind({"given": 1})


def test_pieces_are_put_in_place() -> None:
    """SQL in the place of {{name}} is inserted as SQL, and parameters stay as they are."""
    query = Query("select line.{{field}} as found, $more as more from lines", "test.sql").put({"field": '"a"."b"'})
    assert query.text == 'select line."a"."b" as found, $more as more from lines'
    with duckdb.connect() as db:
        db.execute("create table lines as select {a: {b: 7}} as line")
        assert query.select(db, {"more": 1}).to_pylist() == [{"found": 7, "more": 1}]


def test_missing_piece_is_an_error() -> None:
    """A missing piece of SQL is an error, so that no incomplete query reaches the database."""
    with pytest.raises(KeyError, match="other"):
        Query("select {{field}}, {{other}}", "test.sql").put({"field": "1"})


def test_tables_and_views_replace_what_was_there() -> None:
    """A table keeps its rows and a view follows the data, and both replace an earlier one of the same name."""
    with duckdb.connect() as db:
        db.execute("create table numbers as select 1 as n")
        for _ in range(2):
            Query("select n * $factor as n from numbers", "test.sql").create_table(db, "made", {"factor": 10})
            Query("select n from numbers", "test.sql").create_view(db, "seen")
        db.execute("insert into numbers values (2)")
        assert db.execute("from made").fetchall() == [(10,)]
        assert db.execute("from seen order by n").fetchall() == [(1,), (2,)]


def test_pymysql_gets_its_own_notation() -> None:
    """The parameters of a query are written as %(name)s for PyMySQL."""
    assert Query("where hour in $hours and a = $a", "test.sql").pyformat == "where hour in %(hours)s and a = %(a)s"


def test_file_is_read_without_its_comments() -> None:
    """A file is read without its comments, whose words are not parameters."""
    query = read_query("jobs.profile", "viewer_seen")
    assert query.parameters == {"day"}
    assert query.text.startswith("select")
    assert "--" not in query.text


def test_named_statements_of_a_file() -> None:
    """The statements of a file are found by the names above them, without their final semicolons."""
    statements = read_statements("marquee.mart.mysql", "orphans")
    assert statements["audience_countries"].text == "select distinct country from fact_audience_base"
    assert statements["orphan_episodes"].parameters == {"day"}
    assert all(one.text and ";" not in one.text for one in statements.values())


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_has_a_head(path: Path) -> None:
    """Each SQL file begins with a comment that says what it makes."""
    head = path.read_text(encoding="utf-8").split("\n\n")[0].removeprefix("-- sqlfluff:dialect:mysql\n")
    assert head.startswith("-- ")


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_read_in_one_place(path: Path) -> None:
    """No literal of a file contains the start of a comment, which the reader would remove."""
    for line in path.read_text(encoding="utf-8").splitlines():
        assert not re.search(r"'[^']*--[^']*'", line.partition("-- ")[0])
