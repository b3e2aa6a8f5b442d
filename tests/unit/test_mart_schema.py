"""The schema of the kiosk: complete comments, valid references, and SQL that other engines accept."""

import re

import duckdb
import pytest

from jobs.mart_load.dimensions import DIMENSIONS
from marquee.lake import keys
from marquee.lake.datasets import VIEWERSHIP, Dataset
from marquee.mart import schema
from marquee.mart.ledger import LOADED_OF
from marquee.mart.questions import QUESTIONS

TABLES = {one.name: one for one in schema.relations() if one.kind == "table"}
VIEWS = {one.name: one for one in schema.relations() if one.kind == "view"}


@pytest.fixture
def db() -> duckdb.DuckDBPyConnection:
    """A database with the schema of the kiosk."""
    connection = duckdb.connect()
    connection.execute(schema.tables_sql())
    connection.execute(schema.views_sql())
    return connection


def test_every_table_view_and_column_has_a_comment(db: duckdb.DuckDBPyConnection) -> None:
    """Each table, view and column that the SQL files create has a comment."""
    columns = db.execute("select table_name, column_name from duckdb_columns() where not internal").fetchall()
    created = {(table, column) for table, column in columns if table in TABLES}
    assert created == {(table.name, column.name) for table in TABLES.values() for column in table.columns}
    assert {table for table, _ in columns} == {*TABLES, *VIEWS}


def test_references_name_tables() -> None:
    """Each "-> t" in a comment names a table."""
    named = {
        name
        for table in TABLES.values()
        for column in table.columns
        for name in re.findall(r"-> (\w+)", column.comment)
    }
    assert {"dim_show", "dim_episode", "dim_country", "dim_network"} <= named <= set(TABLES)


def test_views_tell_their_grain() -> None:
    """The comment of each question's view states its grain and its units."""
    assert [name for name in VIEWS if name.startswith("q_") and "Grain: " not in VIEWS[name].comment] == []
    assert [name for name in VIEWS if name.startswith("q_") and "Units: " not in VIEWS[name].comment] == []


def test_every_question_has_its_view_and_every_view_its_question(db: duckdb.DuckDBPyConnection) -> None:
    """Each question has its view and each view its question, and each answer begins with its period."""
    assert sorted(one.view for one in QUESTIONS) == sorted(name for name in VIEWS if name.startswith("q_"))
    for question in QUESTIONS:
        answer = db.execute(f"from {question.view} order by {question.order}")
        columns = [name for name, *_ in answer.description or ()]
        assert columns[0] == "period"
        assert set(question.example) <= set(columns)


@pytest.mark.parametrize("dataset", LOADED_OF[keys.AUDIENCE], ids=lambda one: one.name)
def test_facts_have_the_columns_of_their_dataset(dataset: Dataset) -> None:
    """Each column of a dataset has a column in the fact table of the kiosk, other than the bits of viewers."""
    columns = {column.name for column in TABLES[f"fact_{dataset.name}"].columns}
    assert columns - {"period"} == {column.name for column in dataset.columns} - {"viewer_bits"}


def test_viewership_by_hour_has_the_columns_of_the_lake() -> None:
    """Viewership by hour has the lake's columns, except the bits of viewers."""
    columns = {column.name for column in TABLES["fact_viewership_hour"].columns}
    assert columns == {column.name for column in VIEWERSHIP.columns} - {"viewer_bits"}


def test_dimensions_are_tables() -> None:
    """Each dimension that is made has its table, and each dimension of the schema is made or fixed."""
    fixed = {"dim_daypart"}
    assert set(DIMENSIONS) | fixed == {name for name in TABLES if name.startswith("dim_")} | {"show_history"}


@pytest.mark.parametrize(
    "construct",
    [
        *(
            r"::",
            r"\|\|",
            r"\bqualify\b",
            r"\bfilter *\(",
            r"\bis (not )?distinct from\b",
            r"\bilike\b",
            r"\bexclude\b",
        ),
        *(r"\bby name\b", r"\bgroup by all\b", r"\bdate_diff\b", r"\bdatediff\b", r"\bto_days\b", r"\bquantile"),
        *(
            r"\bmedian *\(",
            r"\bfull (outer )?join\b",
            r"\busing\b",
            r"\bnulls (first|last)\b",
            r"`",
            r'"',
            r"\bunnest\b",
        ),
        r"\bas (rank|rows|show|index|system|groups|window|before|condition|keys|lead|lag)\b",
    ],
)
def test_the_schema_is_portable(construct: str) -> None:
    """The schema has no construct that DuckDB or MySQL lacks, and no reserved word as a name."""
    code = re.sub(r"--.*", "", schema.tables_sql() + schema.views_sql())
    assert re.findall(construct, code, re.IGNORECASE) == []


def test_the_parts_of_the_day_cover_it(db: duckdb.DuckDBPyConnection) -> None:
    """The dayparts cover the day: morning from 6 to 12, daytime to 18, evening to 23, night to 6."""
    parts = db.execute("select daypart, count(*) from dim_daypart group by daypart order by min(local_hour)").fetchall()
    assert parts == [("night", 7), ("morning", 6), ("daytime", 6), ("evening", 5)]
    assert db.execute(
        "select daypart from dim_daypart where local_hour in (5, 6, 18, 23) order by local_hour"
    ).fetchall() == [
        ("night",),
        ("morning",),
        ("evening",),
        ("night",),
    ]
