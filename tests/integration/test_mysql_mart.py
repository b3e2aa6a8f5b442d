"""Features of a mart in MySQL alone: exact names, users, schema versions, and concurrent loaders."""

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from jobs.cli.__main__ import main
from jobs.mart_load import admin
from jobs.mart_load.load import load_mart
from jobs.mart_load.report import MartReport
from marquee.calendar import Period
from marquee.errors import ConfigError, TryAgainError
from marquee.lake.datasets import SHOWS
from marquee.lake.markers import Markers
from marquee.mart import schema
from marquee.mart.admin import check_mart, init_mart, prepare_mart, upgrade_mart
from marquee.mart.base import open_mart
from marquee.mart.ledger import make_plan
from marquee.mart.mysql import schema as mysql_schema
from marquee.mart.mysql.connection import MysqlSession
from marquee.mart.questions import QUESTIONS, ask
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, content, kiosk_of, load, mart_settings, rows_of
from tests.mariadb_server import MysqlDatabase, SqlServer
from tests.mariadb_server import mysql_database as new_database

HOSTILE = [
    "'); DROP TABLE dim_show; --",
    "Pokemon",
    "Pokémon",
    "pokemon",
    "Pokemon ",
    "ß",
    "ss",
    "🙂",
    "🙃",
    "tab\tline\nreturn\rback\\slash\\N",
    "\\N",
    "NULL",
    "NUL\0inside",
    '=HYPERLINK("x")',
    "%s %(a)s ?",
    "",
    "x" * 1000,
    "🙂" * 1000,
]


@pytest.fixture
def small(lake: LocalStore) -> SmallLake:
    """A lake to be filled."""
    return SmallLake(lake)


def shows(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return shows with these names and the ids from 1 on."""
    return [{"show_id": number, "name": name} for number, name in enumerate(names, start=1)]


def test_names_go_in_exactly(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """Names are stored exactly, and names that the usual collations treat as equal stay distinct."""
    small.capture("2026-01-05", shows=shows(HOSTILE))
    assert load(small.store, mysql_mart).exit_code == 0
    found = rows_of(mysql_mart, "select name from dim_show where show_id > 0 order by show_id")
    assert [name for (name,) in found] == HOSTILE
    assert rows_of(mysql_mart, "select show_id from dim_show where name = 'Pokemon' and show_id = 3") == []


def test_names_that_are_keys_go_in_exactly(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """Languages and genres are keys, and distinct ones stay distinct."""
    names = ["Crime", "crime", "Crimé", "🙂", "🙃", "ß", "ss", "'; --", "back\\", "tab\t"]
    small.capture(
        "2026-01-05",
        shows=[{"show_id": number, "language": name} for number, name in enumerate(names, start=1)],
        genres=[{"show_id": number, "genre": name} for number, name in enumerate(names, start=1)],
    )
    assert load(small.store, mysql_mart).exit_code == 0
    for column in ("language", "genre"):
        assert {name for (name,) in rows_of(mysql_mart, f"select {column} from dim_{column}")} == set(names)  # noqa: S608
    assert rows_of(mysql_mart, "select count(*) from dim_show_genre") == [(len(names),)]


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        (
            {"shows": shows(["fits", "x" * 10_000])},
            r"dim_show\.label, row of show_id '2': the value is too long, or .*\. Nothing",
        ),
        (
            {"shows": [{"show_id": 1, "rating": float("nan")}]},
            r"dim_show\.rating, row of show_id '1': the value is not of the column's type",
        ),
        (
            {"shows": [{"show_id": 1, "language": "x" * 101}]},
            r"dim_language\.language, row of language 'x{101}': the value is too long",
        ),
    ],
    ids=["too long", "no number", "a key too long"],
)
def test_what_does_not_go_in_exactly_is_refused(
    small: SmallLake, mysql_mart: MysqlDatabase, tables: dict[str, Any], reason: str
) -> None:
    """A name that cannot be stored exactly is bad input (65) with its row named, and the earlier content stays."""
    small.capture("2026-01-04", shows=[{"show_id": 7, "name": "before"}])
    load(small.store, mysql_mart)
    before = content(mysql_mart)
    small.capture("2026-01-05", **tables)
    report = load(small.store, mysql_mart)
    assert report.exit_code == 65
    assert re.search(reason, Markers(small.store).failures("mart_load")[Period.parse("2026-01-05")].reason)
    assert content(mysql_mart) == before


def test_facts_that_do_not_fit_are_refused(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """Facts that do not fit their columns are refused by key and not truncated: too many seconds, a long device."""
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60), (12, "KR", 9, "tv", 2**31))
    small.hour("2026-01-06T00", (11, "KR", 9, "d" * 33, 60))
    assert load(small.store, mysql_mart, detail="hour").exit_code == 65
    reasons = [one.reason for one in Markers(small.store).failures("mart_load").values()]
    key = "hour '2026-01-05 00:00:00.000000', episode_id '12', country 'KR', local_hour '9', device 'tv'"
    assert f"fact_viewership_hour.watched_seconds, row of {key}: the value is out of range" in reasons[0]
    key = f"day '2026-01-06', episode_id '11', country 'KR', daypart 'morning', device '{'d' * 33}'"
    assert f"fact_viewership.device, row of {key}: the value is too long" in reasons[1]
    assert rows_of(mysql_mart, "select count(*) from fact_viewership") == [(0,)]


def test_a_row_too_many_for_its_key_is_refused(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A duplicate key is refused, although LOAD DATA LOCAL would drop the row with a warning."""
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60), (11, "KR", 9, "tv", 120))
    assert load(small.store, mysql_mart, detail="hour").exit_code == 65
    (failure,) = Markers(small.store).failures("mart_load").values()
    assert "fact_viewership_hour, row of key '2026-01-05 00:00:00-11-KR-9-tv': the key is a duplicate" in failure.reason


def test_blanks_at_the_end_of_keys_do_not_count(small: SmallLake, new_kiosk: Callable[[], Kiosk]) -> None:
    """Trailing blanks are removed from keys, because MySQL ignores them and DuckDB does not; other names keep them."""
    for day, blank in (("2026-01-05", " "), ("2026-01-06", "")):
        show = {"show_id": 1, "name": "one ", "language": f"Korean{blank}"}
        small.capture(day, shows=[show], genres=[{"show_id": 1, "genre": f"Crime{blank}"}])
    kiosk = new_kiosk()
    assert load(small.store, kiosk).exit_code == 0
    assert rows_of(kiosk, "select language from dim_language") == [("Korean",)]
    assert rows_of(kiosk, "select genre from dim_genre") == rows_of(kiosk, "select genre from dim_show_genre")
    assert rows_of(kiosk, "select name, language, genres from show_history") == [("one ", "Korean", "Crime")]


def test_defaults_of_the_database_do_not_matter(lake: LocalStore, sql_server: SqlServer) -> None:
    """Names are stored exactly with any default character set of the database and without strict mode at the server."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=shows(HOSTILE))
    mode, engine = sql_server.ask("select @@global.sql_mode, @@global.default_storage_engine")[0]
    sql_server.ask("set global sql_mode = ''")
    sql_server.ask("set global default_storage_engine = MEMORY")
    try:
        with new_database(sql_server, "latin1") as database:
            assert load(lake, database).exit_code == 0
            found = rows_of(database, "select name from dim_show where show_id > 0 order by show_id")
            assert [name for (name,) in found] == HOSTILE
    finally:
        sql_server.ask("set global sql_mode = %s", arguments=[mode])
        sql_server.ask("set global default_storage_engine = %s", arguments=[engine])


# The schema


def test_the_schema_in_the_database(lake: LocalStore, mysql_mart: MysqlDatabase) -> None:
    """Every table and column has its comment, InnoDB and an exact collation, and the dimensions refer to each other."""
    load(lake, mysql_mart)
    without = """
        select c.table_name, c.column_name from information_schema.columns c
        join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
        where c.table_schema = database() and t.table_type = 'BASE TABLE' and (
            c.column_comment = '' or c.collation_name <> 'utf8mb4_bin' or t.table_comment = '' or t.engine <> 'InnoDB'
        )
    """
    assert rows_of(mysql_mart, without) == []
    referring = """
        select table_name, column_name, referenced_table_name from information_schema.key_column_usage
        where table_schema = database() and referenced_table_name is not null order by 1, 2
    """
    assert rows_of(mysql_mart, referring) == [
        ("dim_episode", "show_id", "dim_show"),
        ("dim_network", "country", "dim_country"),
        ("dim_show", "dvd_country", "dim_country"),
        ("dim_show", "language", "dim_language"),
        ("dim_show_genre", "genre", "dim_genre"),
        ("dim_show_genre", "show_id", "dim_show"),
        ("show_history", "show_id", "dim_show"),
    ]


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["create table mine (i int)"], "has tables, but is not a mart"),
        (["update schema_version set version = 99"], r"schema version 99, this Marquee expects .*\. Upgrade Marquee"),
        (["update schema_version set version = 1"], r"schema version 1, .*\. Run `marquee mart upgrade`"),
        (["alter table dim_genre add column mine int"], r"does not have the tables .*: dim_genre\.mine"),
        (["drop table fact_audience"], r"does not have the tables .*: fact_audience\."),
        (["alter table fact_audience engine = MyISAM"], "fact_audience is in MyISAM; expected InnoDB"),
        (
            ["alter table dim_episode modify name varchar(1000) collate utf8mb4_general_ci"],
            r"dim_episode\.name has collation utf8mb4_general_ci; expected InnoDB and utf8mb4_bin",
        ),
    ],
    ids=["of somebody else", "newer", "older", "a column more", "a table less", "engine", "collation"],
)
def test_other_databases_are_left_alone(
    lake: LocalStore, mysql_mart: MysqlDatabase, statements: Sequence[str], message: str
) -> None:
    """A database of another application is refused by name with a remedy, for loading and for asking."""
    if "mine (" not in statements[0]:
        load(lake, mysql_mart)
    for statement in statements:
        mysql_mart.ask(statement)
    with pytest.raises(ConfigError, match=f"database '{mysql_mart.name}' of .*{message}"):
        load(lake, mysql_mart)
    with pytest.raises(ConfigError, match=message):
        ask(kiosk_of(mysql_mart), "binge")


def test_a_schema_half_made_is_gone_on_with(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A schema without its version is incomplete, and the next load completes it: MySQL commits each table."""
    with open_mart(kiosk_of(mysql_mart)):
        pass
    mysql_mart.ask("delete from schema_version")
    mysql_mart.ask("drop view q_binge")
    mysql_mart.ask("drop table fact_audience_base")
    small.capture("2026-01-05", shows=shows(["one"]))
    assert load(small.store, mysql_mart).loaded == 1
    assert [ask(kiosk_of(mysql_mart), one.name)[1] for one in QUESTIONS] == [[]] * len(QUESTIONS)
    assert rows_of(mysql_mart, "select count(*) from dim_daypart") == [(24,)]


def test_an_upgrade_makes_the_views_again(lake: LocalStore, mysql_mart: MysqlDatabase) -> None:
    """An upgrade of a mart of this version creates its views again, and the data stay."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=shows(["one"]))
    load(lake, mysql_mart)
    before = content(mysql_mart)
    mysql_mart.ask("drop view q_binge")
    with pytest.raises(ConfigError, match=r"q_binge.*Run `marquee mart upgrade`, which creates all views again"):
        ask(kiosk_of(mysql_mart), "binge")
    upgrade_mart(kiosk_of(mysql_mart))
    assert content(mysql_mart) == before
    assert ask(kiosk_of(mysql_mart), "binge")[1] == []


def test_an_interrupted_upgrade_is_completed(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """An upgrade that ended between two tables leaves a mart without a version; the next, or a load, completes it."""
    small.capture("2026-01-05", shows=shows(["one"]))
    for complete in (lambda: upgrade_mart(kiosk_of(mysql_mart)), lambda: load(small.store, mysql_mart)):
        load(small.store, mysql_mart)
        before = content(mysql_mart)
        mysql_mart.ask("alter table kiosk drop column detail")
        mysql_mart.ask("drop table fact_viewership")
        mysql_mart.ask("delete from schema_version")
        complete()
        load(small.store, mysql_mart)
        assert content(mysql_mart) == before


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (99, r"version 99, .*\. Upgrade Marquee"),
    ],
)
def test_no_way_to_upgrade(lake: LocalStore, mysql_mart: MysqlDatabase, version: int, message: str) -> None:
    """A mart whose schema version is too new is refused and not changed."""
    load(lake, mysql_mart)
    mysql_mart.ask(f"update schema_version set version = {version}")  # noqa: S608 - a number
    with pytest.raises(ConfigError, match=message):
        upgrade_mart(kiosk_of(mysql_mart))
    assert rows_of(mysql_mart, "select version from schema_version") == [(version,)]


def test_an_upgrade_needs_a_mart(mysql_mart: MysqlDatabase) -> None:
    """Upgrading a database without a mart is an error that names the command to create one."""
    with pytest.raises(ConfigError, match=r"There is no mart in database .*\. Create one with `marquee mart init`"):
        upgrade_mart(kiosk_of(mysql_mart))


def test_preparing_a_mart_creates_it_and_upgrades_it_and_keeps_rows_of_this_version(
    small: SmallLake, mysql_mart: MysqlDatabase
) -> None:
    """A mart is created once, keeps its rows while its version stays, and is emptied when its version is older."""
    settings = kiosk_of(mysql_mart)
    assert prepare_mart(settings)[0].endswith(f"is a mart of schema version {schema.VERSION}")
    small.capture("2026-01-05", shows=shows(["one"]))
    load(small.store, mysql_mart)
    before = content(mysql_mart)
    mysql_mart.ask("drop view q_binge")
    prepare_mart(settings)
    assert content(mysql_mart) == before
    assert ask(settings, "binge")[1] == []
    mysql_mart.ask("update schema_version set version = 1")
    assert f"schema version 1 is now {schema.VERSION}" in prepare_mart(settings)[0]
    assert rows_of(mysql_mart, "select count(*) from dim_show where show_id > 0") == [(0,)]
    load(small.store, mysql_mart)
    assert content(mysql_mart) == before


@pytest.mark.parametrize(
    ("statement", "changed", "message"),
    [
        ("update schema_version set version = 99", {}, r"schema version 99, .*\. Upgrade Marquee"),
        ("update schema_version set version = 1", {"period": "2026-Q1"}, "is a mart for all periods"),
        ("select 1", {"min_cell": 14}, "was made with detail=day and min_cell="),
    ],
    ids=["a newer version", "another period", "another floor"],
)
def test_preparing_a_mart_that_is_not_as_the_settings_say_changes_nothing(
    small: SmallLake, mysql_mart: MysqlDatabase, statement: str, changed: dict[str, Any], message: str
) -> None:
    """A mart of a newer version, another period or another floor keeps its rows, and the message says which."""
    small.capture("2026-01-05", shows=shows(["one"]))
    load(small.store, mysql_mart)
    mysql_mart.ask(statement)
    with pytest.raises(ConfigError, match=message):
        prepare_mart(kiosk_of(mysql_mart).model_copy(update=changed))
    assert rows_of(mysql_mart, "select name from dim_show where show_id > 0") == [("one",)]


def test_several_releases_may_prepare_a_mart_at_once(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """Four processes that upgrade one mart take turns: one empties it, and the others find it done."""
    load(small.store, mysql_mart)
    mysql_mart.ask("update schema_version set version = 1")
    with ThreadPoolExecutor(4) as pool:
        lines = [one[0] for one in pool.map(prepare_mart, [kiosk_of(mysql_mart)] * 4)]
    assert sum("schema version 1 is now" in line for line in lines) == 1
    assert sum(line.endswith(f"is a mart of schema version {schema.VERSION}") for line in lines) == 3


# The users


def users_of(database: MysqlDatabase) -> Any:
    """Return the settings that create users, named after the database so that tests do not collide."""
    names = {"loader": f"{database.name}_l", "analyst": f"{database.name}_a"}
    passwords = {"loader_password": SecretStr("l'%s"), "analyst_password": SecretStr("a")}
    return kiosk_of(database).model_copy(update={**names, **passwords})


def test_users_may_do_what_they_need_and_no_more(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """The loader can load but neither create nor grant, and the analyst can ask but change nothing."""
    settings = users_of(mysql_mart)
    lines = init_mart(settings)
    assert init_mart(settings) == lines
    assert not any("l'%s" in line for line in lines)
    small.capture("2026-01-05", shows=shows(["one"]))
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60))

    def as_user(name: str, password: str) -> Any:
        url = f"mysql://{name}@127.0.0.1:{mysql_mart.server.port}/{mysql_mart.name}"
        changed = {"url": url, "password": SecretStr(password)}
        return mart_settings(small.store, mysql_mart).model_copy(
            update={"mart": kiosk_of(mysql_mart).model_copy(update=changed)}
        )

    loader, analyst = as_user(settings.loader, "l'%s"), as_user(settings.analyst, "a")
    assert load_mart(loader, Markers(small.store)).loaded == 2
    assert "can be loaded" in check_mart(loader.mart)
    assert ask(analyst.mart, "genre-hours")[0][0] == "period"
    with pytest.raises(ConfigError, match="DELETE command denied"):
        check_mart(analyst.mart)
    report = load_mart(analyst, Markers(small.store), force=True)
    assert report.exit_code == 78
    for user, password in ((settings.loader, "l'%s"), (settings.analyst, "a")):
        with mysql_mart.server.connect(mysql_mart.name, user, password) as connection, connection.cursor() as cursor:
            for statement in ("drop table dim_show", "create table mine (i int)", "create user mine"):
                with pytest.raises(Exception, match="denied"):
                    cursor.execute(statement)


def test_check_tells_what_is_there(lake: LocalStore, mysql_mart: MysqlDatabase) -> None:
    """The check reports the state of the mart before and after the first load."""
    assert re.search(r"MariaDB 10\.|MySQL 9\.", check_mart(kiosk_of(mysql_mart)))
    assert "no mart yet" in check_mart(kiosk_of(mysql_mart))
    load(lake, mysql_mart)
    assert f"schema version {schema.VERSION}; can be loaded" in check_mart(kiosk_of(mysql_mart))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("account lock", "(4151|3118) .*: ask .* to unlock the account"),
        ("password expire", "18[26][02] .*has expired: "),
    ],
)
def test_check_tells_of_a_user_who_is_kept_out(mysql_mart: MysqlDatabase, state: str, message: str) -> None:
    """The check of a user without access reports the server's message and a remedy."""
    user = f"kept_out_{mysql_mart.name}"
    mysql_mart.ask(f"create user {user} identified by 'p' {state}")
    mysql_mart.ask(f"grant select on {mysql_mart.name}.* to {user}")
    url = f"mysql://{user}@127.0.0.1:{mysql_mart.server.port}/{mysql_mart.name}"
    with pytest.raises(ConfigError, match=message):
        check_mart(kiosk_of(mysql_mart).model_copy(update={"url": url, "password": SecretStr("p")}))


def test_check_wants_a_server_that_takes_rows(mysql_mart: MysqlDatabase) -> None:
    """The check of a server without LOAD DATA LOCAL, off by default in MySQL 8, names the variable to set."""
    mysql_mart.server.ask("set global local_infile = 0")
    try:
        for act in (check_mart, init_mart):
            with pytest.raises(ConfigError, match=r"local_infile is OFF, .* Set local_infile=1"):
                act(kiosk_of(mysql_mart))
    finally:
        mysql_mart.server.ask("set global local_infile = 1")


# Two loaders, and readers


def load_while(other: Callable[[], Any], small: SmallLake, database: MysqlDatabase) -> MartReport:
    """Load, and run an action between the planning and the first transaction."""

    def plan_slowly(*given: Any, **named: Any) -> Any:
        planned = make_plan(*given, **named)
        patch.undo()
        other()
        return planned

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.mart_load.load.make_plan", plan_slowly)
        return load(small.store, database)


def test_what_another_has_loaded_is_not_loaded_twice(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A loader plans again once it has the lock, and then finds that the other loader has done everything."""
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60))
    loaded = load_while(lambda: load(small.store, mysql_mart), small, mysql_mart)
    assert loaded == MartReport(unchanged=1)


def test_a_load_that_was_open_during_an_upgrade_writes_nothing(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A loader that has the mart open while it is upgraded fails with the reason and does not mix its rows in."""
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60))
    report = load_while(lambda: mysql_mart.ask("update schema_version set version = 99"), small, mysql_mart)
    assert report.exit_code == 78
    (failure,) = Markers(small.store).failures("mart_load").values()
    assert "was upgraded during this load" in failure.reason
    assert rows_of(mysql_mart, "select count(*) from load_ledger") == [(0,)]


def test_a_loader_that_comes_late_does_not_turn_back(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A loader that is overtaken by a newer run ends with 76, and the newer content stays."""
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60))

    def overtake() -> None:
        small.hour("2026-01-05T00", (11, "KR", 9, "tv", 120))
        load(small.store, mysql_mart)

    assert load_while(overtake, small, mysql_mart).exit_code == 76
    assert rows_of(mysql_mart, "select watched_seconds from fact_viewership") == [(120,)]
    (failure,) = Markers(small.store).failures("mart_load").values()
    assert "another loader has loaded a newer run than generation 1" in failure.reason


def test_a_lock_held_by_another_is_waited_for_and_told(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """A lock that is held too long ends a load with "try again" and a remedy, while readers do not wait."""
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60))
    load(small.store, mysql_mart)
    settings = mart_settings(small.store, mysql_mart)
    short = settings.model_copy(update={"mart": settings.mart.model_copy(update={"lock_timeout_s": 1})})
    with mysql_mart.connect(autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("select * from kiosk for update")
        report = load_mart(short, Markers(small.store), force=True)
        assert ask(short.mart, "genre-hours", 0)[1] != []
    assert report.exit_code == TryAgainError.exit_code
    (failure,) = Markers(small.store).failures("mart_load").values()
    assert "MARQUEE_MART__LOCK_TIMEOUT_S: wait until they end, and try again" in failure.reason


def test_orphans_are_looked_for_only_where_they_may_be(
    small: SmallLake, mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restated hour whose unknown episodes all remain does not read all facts again."""
    small.hour("2026-01-05T00", (98, "BR", 9, "tv", 60), (99, "US", 19, "tv", 60))
    small.hour("2026-01-06T00", (98, "US", 9, "tv", 60))
    load(small.store, mysql_mart)
    asked: list[Any] = []
    real = MysqlSession.query

    def query(self: Any, sql: str, parameters: Sequence[Any] = ()) -> Any:
        asked.append((sql, list(parameters)))
        return real(self, sql, parameters)

    monkeypatch.setattr(MysqlSession, "query", query)
    everywhere = "select distinct episode_id from fact_viewership where episode_id in"
    small.hour("2026-01-05T00", (98, "BR", 9, "tv", 120), (99, "US", 19, "tv", 60))
    load(small.store, mysql_mart)
    assert [sql for sql, _ in asked if sql.startswith(everywhere)] == []
    small.hour("2026-01-05T00", (98, "BR", 9, "tv", 120))
    load(small.store, mysql_mart)
    assert [values for sql, values in asked if sql.startswith(everywhere)] == [[99]]
    assert rows_of(mysql_mart, "select episode_id from dim_episode") == [(0,), (98,)]


def test_a_capture_that_is_gone_leaves_orphans(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """When a capture loses its rows, keys that facts refer to stay as unknown ones, and all others are deleted."""
    known = {"episodes": [{"episode_id": 11, "show_id": 1}, {"episode_id": 12, "show_id": 1}], "shows": shows(["one"])}
    countries = [{"country": "XK", "name": "Kosovo"}, {"country": "XA", "name": "Elsewhere"}]
    small.capture("2026-01-05", **known, countries=countries)
    small.hour("2026-01-05T00", (11, "XK", 9, "tv", 60))
    load(small.store, mysql_mart)
    small.capture("2026-01-05")
    load(small.store, mysql_mart)
    unknown = "select episode_id, name from dim_episode where show_id = 0"
    assert rows_of(mysql_mart, unknown) == [(11, None)]
    assert rows_of(mysql_mart, "select country, name from dim_country where country like 'X%'") == [("XK", None)]
    assert rows_of(mysql_mart, "select show_id from dim_show") == [(-1,), (0,)]


def test_staging_tables_are_the_connections_own(small: SmallLake, mysql_mart: MysqlDatabase) -> None:
    """Staging tables are temporary and not in the database after a load."""
    small.publish("schedule_fetch", "2026-01-05", {SHOWS: pa.Table.from_pylist([], schema=SHOWS.schema)})
    load(small.store, mysql_mart)
    ours = set(mysql_schema.tables()) | {one.name for one in schema.relations()}
    assert {name for (name,) in rows_of(mysql_mart, "show tables")} == ours


# The command line


def test_the_commands(
    small: SmallLake, mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands create, load, query and describe a mart by its URL alone, and a second load does nothing."""
    small.capture("2026-01-05", shows=shows(["one"]), episodes=[{"episode_id": 11, "show_id": 1}])
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 3600))
    small.hour("2026-04-01T00", (11, "KR", 9, "tv", 3600))
    monkeypatch.setenv("MARQUEE_LAKE", small.store.url)
    monkeypatch.setenv("MARQUEE_MART__URL", "duckdb:///nowhere/kiosk.duckdb")
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", mysql_mart.password)
    monkeypatch.setenv("MARQUEE_MART__MIN_CELL", "1")
    mart, q1 = ["--mart", mysql_mart.url], ["--period", "2026-Q1"]

    def marquee(*arguments: str) -> tuple[int, str]:
        return main(list(arguments)), capsys.readouterr().out

    assert marquee("mart", "init", *mart, *q1)[0] == 0
    assert marquee("mart-load", *mart, *q1) == (0, "mart-load: 2 made\n")
    code, said = marquee("mart-load", *mart, *q1)
    expected = "mart-load: nothing was pending; the lake has nothing of this period from `marquee profile`"
    assert (code, " ".join(said.split())) == (0, expected)
    assert rows_of(mysql_mart, "select day from fact_viewership") == [(date(2026, 1, 5),)]
    code, answer = marquee("ask", "genre-hours", *mart, "--format", "csv")
    assert (code, answer.splitlines()[1]) == (0, "2026-01-05,KR,Korea (South),Unclassified,1,1.0,100.0,1.0,100.0")
    code, status = marquee("status", *mart, *q1, "--format", "csv")
    assert [line.split(",")[2] for line in status.splitlines() if line.startswith("mart_load")] == ["done", "done"]
    assert marquee("mart", "upgrade", *mart)[0] == 0
    assert marquee("mart-load", *mart)[0] == 78  # for all loaded periods


def test_a_mart_is_made_without_the_command_line(
    small: SmallLake, mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The module creates a mart from the settings alone and logs the result."""
    monkeypatch.setenv("MARQUEE_LAKE", small.store.url)
    monkeypatch.setenv("MARQUEE_LOG__FORMAT", "json")
    monkeypatch.setenv("MARQUEE_MART__URL", mysql_mart.url)
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", mysql_mart.password)
    assert admin.main() == 0
    first, *_ = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert first.endswith(f"is a mart of schema version {schema.VERSION}")
