"""Every statement sent to the server in the life of a mart is valid on MySQL 8.0, MySQL 8.4 and MariaDB 10.11."""

import pymysql

from marquee.lake.markers import Markers
from marquee.mart.admin import check_mart, init_mart, upgrade_mart
from marquee.mart.questions import QUESTIONS, ask
from marquee.mart.status import ledger_states
from marquee.storage.local import LocalStore
from tests.faults.mysql_proxy import LOGIN, mysql_proxy
from tests.helpers_mysql import load_mysql, restate, settings_of, small_lake, url_at
from tests.mariadb_server import MariaDB, MysqlDatabase
from tests.mysql_portability import MYSQL_ONLY, MYSQL_RESERVED, findings

WHERE_KNOWN = "idle_write_transaction_timeout"
"""A variable of MariaDB alone, which is set only if the server has it."""


def test_all_that_is_said_to_the_server_is_portable(lake: LocalStore, mysql_mart: MysqlDatabase) -> None:
    """All statements of creation, check, load, reload, upgrade, questions and status are portable."""
    small = small_lake(lake)
    with mysql_proxy(mysql_mart.server.port) as proxy:
        url = url_at(mysql_mart, proxy.port)
        users = {f"{role}_password": "made up" for role in ("loader", "analyst")}
        names = {role: f"{mysql_mart.name}_{role}" for role in ("loader", "analyst")}
        settings = settings_of(mysql_mart, url=url, **users, **names)
        init_mart(settings)
        check_mart(settings)
        assert load_mysql(lake, mysql_mart, url=url).exit_code == 0
        restate(small, 660)
        assert load_mysql(lake, mysql_mart, url=url).exit_code == 0
        assert load_mysql(lake, mysql_mart, url=url, force=True).exit_code == 0
        upgrade_mart(settings)
        for question in QUESTIONS:
            ask(settings, question.name, only=question.example)
        ledger_states(settings, Markers(lake))
    said = [statement for statement in dict.fromkeys(proxy.statements) if statement != LOGIN]
    assert len(said) > 100
    kinds = {statement.lower().split()[0] for statement in said}
    assert {"create", "insert", "delete", "update", "select", "load", "set", "grant", "commit"} <= kinds
    found = {statement: findings(statement) for statement in said if WHERE_KNOWN not in statement}
    assert {statement: why for statement, why in found.items() if why} == {}


def test_which_words_mariadb_does_not_reserve(mariadb: MariaDB) -> None:
    """MariaDB accepts as names exactly those MySQL keywords that are listed as reserved in MySQL alone."""
    taken = set()
    with mariadb.connect() as connection, connection.cursor() as cursor:
        for word in MYSQL_RESERVED:
            try:
                cursor.execute(f"create temporary table mysql.one ({word} int)")
                cursor.execute("drop temporary table mysql.one")
            except pymysql.ProgrammingError:
                continue
            taken.add(word)
    assert taken == MYSQL_ONLY
