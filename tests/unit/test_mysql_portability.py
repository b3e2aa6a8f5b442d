"""All SQL for MySQL is valid on MySQL 8.0, MySQL 8.4 and MariaDB 10.11, and the scan for this finds what is not."""

import pytest

from marquee.mart import schema
from tests.mysql_portability import RULES, Rule, findings, statements

SCHEMA = statements(f"{schema.tables_sql()}\n{schema.views_sql()}")


@pytest.mark.parametrize(
    "statement",
    SCHEMA,
    ids=lambda text: " ".join(text[text.index("create") :].split()[:3]) if "create" in text else None,
)
def test_the_schema_is_portable(statement: str) -> None:
    """No table and no view has a construct or a name that one of the servers lacks."""
    assert findings(statement) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_finds_its_example(rule: Rule) -> None:
    """Each rule finds its example in any case and with any white space."""
    for text in (rule.example, rule.example.upper(), rule.example.replace(" ", "\n  ")):
        assert f"{rule.name}: " in "".join(findings(text)), text


@pytest.mark.parametrize(
    "statement",
    [
        "select 1 as rank",
        "create table t (lead int)",
        "create table groups (i int)",
        "select x.i from t as x join system y on y.i = x.i",
        "select Row from t",
        "create table t (i int, window int)",
        "select function.i from t as function",
        "select 1 as manual",
        "select i from t order by parallel",
        "select 1 as qualify",
        "insert into t (i, lag) values (1, 2)",
        "create table option (i int)",
        "select s.i from t as schema",
    ],
)
def test_a_reserved_word_as_a_name_is_found(statement: str) -> None:
    """A reserved word of MySQL as a name is found, also where MariaDB accepts it."""
    assert [one for one in findings(statement) if one.startswith("reserved word")] != []


@pytest.mark.parametrize(
    "statement",
    [
        "select rank() over (order by i) as place, lead (i) over (order by i) from t",
        "select t.rank, `groups`, 'system' from t -- the rank, within groups",
        "create table t (i int, j int generated always as (i + 1), foreign key (i) references u (i)) engine=InnoDB",
        "select cast(i as char), cast(i as signed) from t",
        "/* returning */ select 'a || b', 'it''s \\' a -> b' from t # json",
        "delete from t where i in (select i from u)",
        "insert into t select i from u on duplicate key update j = 1",
        "create or replace view v as select 1 as i",
        "create or replace sql security invoker view v as select 1 as i",
        "create table if not exists t (c varchar(9) character set utf8mb4 collate utf8mb4_bin)",
        "select i from t for update",
        "select i from t limit 3 offset 2",
        "create user u identified by 'p'",
        "create database if not exists d character set utf8mb4",
        "grant all on d.* to u with grant option",
        "select database()",
        "load data local infile 'x' into table t character set utf8mb4 (a, @b) set b = nullif(@b, '')",
    ],
)
def test_what_all_have_is_not_found(statement: str) -> None:
    """Words in comments and quotes, and functions and keywords in their places, are not findings."""
    assert findings(statement) == []


def test_statements_are_told_apart() -> None:
    """Statements are separated by semicolons, except those in comments and quotes."""
    assert statements("select ';' ; -- a; b\nselect 2;\n-- the end; it is\n") == ["select ';'", "-- a; b\nselect 2"]
