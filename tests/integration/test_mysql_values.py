"""Values read from MySQL equal the loaded ones or are refused with their row, whatever the server's settings."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marquee.errors import BadInputError, ConfigError
from marquee.mart.mysql.connection import MysqlSession, mysql_session
from marquee.mart.mysql.infile import Infile
from marquee.storage.local import LocalStore
from tests.helpers_mysql import all_rows, load_mysql, settings_of, small_lake
from tests.mariadb_server import Installed, MysqlDatabase, SqlServer, mysql_database

SCHEMA = pa.schema(
    {
        "i": pa.int64(),
        "c": pa.string(),
        "n": pa.int64(),
        "x": pa.float64(),
        "at": pa.timestamp("us"),
        "day": pa.date32(),
    }
)
TABLE = """
    create table t (
        i bigint not null, c longtext, n bigint, x double, at datetime(6), day date, primary key (i)
    ) engine = InnoDB default character set = utf8mb4 collate = utf8mb4_bin
"""
ODD = st.sampled_from(
    ["\\N", "\\", "\t", "\n", "\r", "\0", "\\t", "'", '"', "\x1a", "NULL", "", " ", "😀", "é", "e\u0301"]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.lists(ODD, max_size=6).map("".join)
LONG = 2**63
ROW = st.tuples(
    st.none() | TEXT,
    st.none() | st.integers(-LONG, LONG - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),  # noqa: DTZ001 - as MySQL has them
    st.none() | st.dates(datetime(1000, 1, 1).date()),  # noqa: DTZ001
)


@pytest.fixture(scope="module")
def session(sql_server: SqlServer) -> Iterator[MysqlSession]:
    """A connection with the loader's options, and a table with columns of every type."""
    with mysql_database(sql_server) as database:
        database.ask(TABLE)
        with mysql_session(settings_of(database)) as session:
            yield session


@settings(max_examples=60)
@given(rows=st.lists(ROW, max_size=20))
def test_all_values_come_back(session: MysqlSession, rows: Sequence[tuple[Any, ...]]) -> None:
    """Texts, integers, floats, times and days come back exactly, and null differs from every text."""
    numbered = [(number, *row) for number, row in enumerate(rows)]
    columns = (
        dict(zip(SCHEMA.names, zip(*numbered, strict=True), strict=True)) if rows else dict.fromkeys(SCHEMA.names, ())
    )
    session.execute("delete from t")
    with Infile(SCHEMA.names, 1) as source:
        source.add(pa.table(columns, SCHEMA))
        session.load("t", source)
    _, found = session.query("select i, c, n, x, at, day from t order by i")
    assert found == numbered
    session.rollback()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(session: MysqlSession, number: float) -> None:
    """NaN and infinity are refused, because MySQL would store other values."""
    with Infile(["i", "x"], 1) as source:
        source.add(pa.table({"i": [6, 7], "x": [1.0, number]}))
        with pytest.raises(BadInputError, match=r"t\.x, row of i '7'"):
            session.load("t", source)
    session.rollback()


ODD_SERVER = (
    "--sql-mode=",
    "--character-set-server=utf8mb3",
    "--collation-server=utf8mb3_general_ci",
    "--default-storage-engine=MyISAM",
    "--default-tmp-storage-engine=MEMORY",
    "--transaction-isolation=READ-UNCOMMITTED",
    "--default-time-zone=+05:00",
    "--completion-type=CHAIN",
    "--max-allowed-packet=1M",
    "--local-infile=0",
)


@pytest.fixture(scope="module")
def odd_server(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    """A server whose settings differ from those that a mart needs."""
    with installed.server(tmp_path_factory.mktemp("odd"), *ODD_SERVER) as server:
        yield server


def test_a_server_set_up_otherwise(odd_server: SqlServer, lake: LocalStore, mysql_mart: MysqlDatabase) -> None:
    """A server without LOAD DATA LOCAL is refused by name, and all other options are set by connection or table."""
    small = small_lake(lake)
    small.capture("2026-01-06", shows=[{"show_id": 2, "name": "Pokémon 😀"}, {"show_id": 3, "name": "pokemon 😎"}])
    small.hour("2026-01-05T02", *[(number, "KR", 9, "x" * 32, 60) for number in range(15_000)])  # more than a packet
    with mysql_database(odd_server, "utf8mb3") as mart:
        with pytest.raises(ConfigError, match="local_infile"):
            load_mysql(lake, mart)
        odd_server.ask("set global local_infile = 1")
        assert load_mysql(lake, mart).exit_code == 0
        assert load_mysql(lake, mysql_mart).exit_code == 0
        assert all_rows(mart) == all_rows(mysql_mart)
