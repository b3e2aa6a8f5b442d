"""A DuckDB file from somebody else runs no view but ours, and reaches no other file."""

import os
from pathlib import Path

import duckdb
import pytest

from marquee.errors import ConfigError
from marquee.mart import schema
from marquee.mart.admin import check_mart, upgrade_mart
from marquee.mart.base import open_mart, read_mart
from marquee.mart.duckdb import sameness
from marquee.mart.errors import QueryError
from marquee.mart.questions import QUESTIONS, ask
from tests.helpers_mart import change, kiosk_of, rows_of


@pytest.fixture
def kiosk(tmp_path: Path) -> Path:
    """A mart without rows."""
    path = tmp_path / "kiosk.duckdb"
    with open_mart(kiosk_of(path)):
        pass
    return path


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["create or replace view q_binge as select content from read_text('/etc/hostname')"], "q_binge"),
        (["create or replace view q_binge as select 1 as place, 'ours' as title"], "q_binge"),
        (
            [
                "alter table dim_genre rename to elsewhere",
                "create view dim_genre as select * from elsewhere",
            ],
            "dim_genre",
        ),
        (
            [
                "drop table fact_audience_base cascade",
                "create table fact_audience_base (period varchar, country varchar as (upper(period)))",
            ],
            "fact_audience_base",
        ),
        (["drop view q_binge"], "q_binge"),
        (["create macro round(a, b) as 42"], "macros round"),
        (["create macro duckdb_views() as table select 1 as view_name, 'x' as sql"], "macros duckdb_views"),
    ],
    ids=["reads a file", "other answers", "view for a table", "computed column", "missing", "macro", "table macro"],
)
def test_a_file_that_differs_is_refused(kiosk: Path, statements: list[str], named: str) -> None:
    """What differs is named, for asking and for loading, and nothing of it runs."""
    change(kiosk, *statements)
    for use in (lambda: ask(kiosk_of(kiosk), "binge"), lambda: open_mart(kiosk_of(kiosk)).__enter__()):
        with pytest.raises(ConfigError, match=rf"{named}.*load the mart from the lake into a new one"):
            use()


@pytest.mark.parametrize(
    "statements",
    [
        ["create or replace view q_binge as select content from read_text('/etc/hostname')"],
        ["drop view q_binge", "create table q_binge (t text)"],
        ["drop table dim_genre cascade", "create view dim_genre as select 'x' as genre"],
        ["create table mine (t text)", "create view of_mine as select * from mine"],
    ],
    ids=["another view", "table for a view", "view for a table", "others"],
)
def test_nothing_of_an_earlier_version_is_run(kiosk: Path, statements: list[str]) -> None:
    """A mart of an earlier version is refused, whatever it has; an upgrade drops what has our names, and no more."""
    change(kiosk, *statements, "update schema_version set version = 3")
    for use in (lambda: ask(kiosk_of(kiosk), "binge"), lambda: open_mart(kiosk_of(kiosk)).__enter__()):
        with pytest.raises(ConfigError, match=r"schema version 3.*Run `marquee mart upgrade`"):
            use()
    upgrade_mart(kiosk_of(kiosk))
    assert [ask(kiosk_of(kiosk), one.name)[1] for one in QUESTIONS] == [[]] * len(QUESTIONS)
    others = "select table_name from information_schema.tables where table_name in ('mine', 'of_mine')"
    assert len(rows_of(kiosk, others)) == 2 * ("mine" in statements[0])


@pytest.mark.parametrize("view", ["dim_show", "schema_version", "mine"])
def test_a_file_of_views_alone_is_no_mart(tmp_path: Path, view: str) -> None:
    """A file with a view and no tables is refused, for asking and for loading, and nothing of it runs."""
    path = tmp_path / "kiosk.duckdb"
    with duckdb.connect(path) as db:
        db.execute(f"create view {view} as select error('run') as version")
    for use in (lambda: ask(kiosk_of(path), "binge"), lambda: open_mart(kiosk_of(path)).__enter__()):
        with pytest.raises(ConfigError, match="is a database, but not a mart"):
            use()


@pytest.mark.parametrize("name", ["pipe", "kiosk.duckdb.wal"], ids=["as the file", "as its log"])
def test_a_pipe_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """A named pipe in the place of a mart is refused by name, for asking, loading and checking: DuckDB would wait."""
    pipe = tmp_path / name
    os.mkfifo(pipe)
    path = tmp_path / name.removesuffix(".wal")
    if path != pipe:
        duckdb.connect(path).close()
    settings = kiosk_of(path)
    for use in (lambda: ask(settings, "binge"), lambda: open_mart(settings).__enter__(), lambda: check_mart(settings)):
        with pytest.raises(ConfigError, match=rf"{name} is a pipe, a socket or a device\. Set MARQUEE_MART__URL"):
            use()


@pytest.mark.parametrize("damage", ["cut off", "other bytes"])
def test_a_damaged_file_is_named(kiosk: Path, damage: str) -> None:
    """A file that lacks its end, or in which bytes differ, is named as damaged, for asking and for loading."""
    data = kiosk.read_bytes()
    half = len(data) // 2
    kiosk.write_bytes(data[:half] if damage == "cut off" else data[:12_300] + b"damage" * 1000 + data[18_300:])
    for use in (lambda: ask(kiosk_of(kiosk), "binge"), lambda: open_mart(kiosk_of(kiosk)).__enter__()):
        with pytest.raises(ConfigError, match=r"is damaged: .*load the mart again"):
            use()


def test_objects_with_other_names_are_left_alone(kiosk: Path) -> None:
    """A view and a table that an analyst has added are neither run nor refused."""
    change(kiosk, "create view mine as select content from read_text('/etc/hostname')", "create table notes (t text)")
    assert [ask(kiosk_of(kiosk), one.name)[1] for one in QUESTIONS] == [[]] * len(QUESTIONS)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/etc/hostname')",
        "select * from '/etc/hostname'",
        "copy (select 1) to '/tmp/written-by-a-mart'",
        "attach '/tmp/other.duckdb'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set memory_limit = '100GB'",
    ],
)
def test_a_query_reaches_nothing_else(kiosk: Path, sql: str) -> None:
    """A query reads and writes no other file, loads no extension, and changes no setting."""
    with read_mart(kiosk_of(kiosk)) as mart, pytest.raises(QueryError, match=r"disabled|locked|not"):
        mart.table(sql)


def test_a_process_may_open_a_mart_twice(kiosk: Path) -> None:
    """Two open marts of one file, as in a notebook, both answer and both reach nothing else."""
    with read_mart(kiosk_of(kiosk)) as one, read_mart(kiosk_of(kiosk)) as other:
        for mart in (one, other):
            assert mart.query("select count(*) from dim_daypart")[1] == [(24,)]
            with pytest.raises(QueryError):
                mart.table("select * from read_text('/etc/hostname')")


def test_another_version_of_duckdb_may_word_a_view_otherwise(kiosk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A definition in other words is accepted if this version of DuckDB words it as ours."""
    anew: list[bool] = []
    real = sameness._definitions

    def worded_otherwise(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
        found = dict(real(db))
        if not anew:
            found["q_binge"] = found["q_binge"].replace("CREATE VIEW", "create  view")
            anew.append(True)
        return found

    sameness._expected()
    monkeypatch.setattr(sameness, "_definitions", worded_otherwise)
    assert ask(kiosk_of(kiosk), "binge")[1] == []
    assert anew


def test_every_definition_is_made_anew_alike() -> None:
    """Each of our own definitions, made again from its words, is the same."""
    expected = sameness._expected()
    assert set(expected) == {one.name for one in schema.relations()}
    assert sameness._defined_anew(dict(expected)) == expected
