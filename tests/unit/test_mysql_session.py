"""Session variables that a server does not let a user set are named."""

from typing import Any

import pytest

from marquee.errors import ConfigError
from marquee.mart.mysql.variables import PACKET, set_variables, values_of
from marquee.mart.settings import MartSettings

SETTINGS = MartSettings(url="mysql://me@localhost/kiosk")


class StubbornSession:
    """A session of a server that keeps one variable at its value."""

    where = "me@localhost:3306"

    def __init__(self, keeps: str, value: str) -> None:
        self.kept = keeps
        self.values = {name: str(value) for name, value in values_of(SETTINGS).items()} | {PACKET: "67108864"}
        self.values[keeps] = value
        self.said: list[str] = []

    def execute(self, sql: str, parameters: list[Any]) -> int:
        """Accept everything and change nothing."""
        self.said.append(sql)
        return len(parameters)

    def query(self, sql: str, parameters: list[str]) -> Any:
        """Answer SHOW."""
        assert sql.startswith("show session variables")
        return ["name", "value"], [(name, self.values[name]) for name in parameters if name in self.values]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("sql_select_limit", "100", "18446744073709551615"),
        ("sql_mode", "STRICT_ALL_TABLES,ANSI_QUOTES", "'STRICT_ALL_TABLES,NO_ZERO_IN_DATE"),
        ("sql_log_bin", "OFF", "'ON'"),
        ("max_sort_length", "64", "8192"),
        ("max_statement_time", "1.500000", "0"),
    ],
)
def test_a_value_that_the_server_keeps_is_named(name: str, value: str, expected: str) -> None:
    """The error has the variable, the value that it has and the one that is needed."""
    with pytest.raises(ConfigError, match=rf"^me@localhost:3306: the server keeps {name} at '{value}', .*{expected}"):
        set_variables(StubbornSession(name, value), SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"), [("group_concat_max_len", "4294967295"), ("max_error_count", "1024"), ("sql_mode", "")]
)
def test_what_fits_is_left_alone(name: str, value: str) -> None:
    """A greater limit, and modes in another order, are not set again."""
    session = StubbornSession(name, value or ",".join(reversed(str(values_of(SETTINGS)["sql_mode"]).split(","))))
    set_variables(session, SETTINGS)
    assert not any(name in sql for sql in session.said)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (PACKET, "65536", "max_allowed_packet is 65536, too small .* Set it to 1048576 or more at the server"),
        ("binlog_format", "STATEMENT", "binlog_format is STATEMENT. Set it to ROW or MIXED at the server"),
        ("wsrep_load_data_splitting", "ON", "wsrep_load_data_splitting is ON. Set it to OFF at the server"),
    ],
)
def test_a_configuration_that_does_not_do_is_named(name: str, value: str, message: str) -> None:
    """What a session cannot change is refused with the value to set at the server."""
    with pytest.raises(ConfigError, match=message):
        set_variables(StubbornSession(name, value), SETTINGS)
