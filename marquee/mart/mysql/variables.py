"""Session variables: those that change what a statement returns or stores are set, or the server is refused by name.

Defaults of the server and ``init_connect`` may change any of them. tests/integration/test_mysql_variables.py lists the
session variables of each server, and knows for each whether it is here or has no effect.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from pymysql.err import MySQLError

from marquee.errors import ConfigError
from marquee.mart.ledger import Answer
from marquee.mart.settings import MartSettings

COLLATION = "utf8mb4_bin"
SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
IDLE_S = 120
"""Seconds without a statement after which the server drops a loader's connection and its locks."""
PACKET = "max_allowed_packet"
LEAST_PACKET = 1 << 20
"""Bytes that a packet may need: PyMySQL joins the rows of an insert up to 1,024,000 bytes."""
NO_LIMIT = 2**64 - 1

Value = str | int

FIXED: Mapping[str, Value] = {
    # Transactions.
    "autocommit": "OFF",
    "completion_type": "NO_CHAIN",
    **dict.fromkeys(("transaction_isolation", "tx_isolation"), "REPEATABLE-READ"),  # each server has one of them
    **dict.fromkeys(("transaction_read_only", "tx_read_only"), "OFF"),
    "innodb_snapshot_isolation": "OFF",
    "wsrep_dirty_reads": "OFF",
    # The number of rows that a statement returns or may touch.
    "sql_select_limit": NO_LIMIT,
    "max_join_size": NO_LIMIT,
    "sql_big_selects": "ON",  # after max_join_size, which turns it off
    "sql_safe_updates": "OFF",
    "max_execution_time": 0,
    "max_statement_time": 0,
    "max_error_count": 64,  # of LOAD DATA, a warning says which row is wrong
    "sql_notes": "ON",
    # The values that a statement returns.
    "sql_mode": SQL_MODE,
    "old_mode": "UTF8_IS_UTF8MB3",
    "time_zone": "+00:00",
    "sql_auto_is_null": "OFF",
    "div_precision_increment": 4,
    "windowing_use_high_precision": "ON",
    "group_concat_max_len": 1 << 20,
    "max_sort_length": 8192,  # bytes by which a text is sorted: names have up to 4,000
    "default_week_format": 0,
    "lc_time_names": "en_US",
    "lc_messages": "en_US",  # the names of columns and keys are read from messages
    **dict.fromkeys(("character_set_client", "character_set_connection", "character_set_results"), "utf8mb4"),
    "collation_connection": COLLATION,
    # What a statement stores, here and on replicas.
    **dict.fromkeys(("foreign_key_checks", "unique_checks", "check_constraint_checks"), "ON"),
    "sql_log_bin": "ON",
    "skip_replication": "OFF",
    "require_row_format": "OFF",
    "sql_if_exists": "OFF",
}
"""Values that are the same for every connection."""

OR_MORE = frozenset({"max_error_count", "group_concat_max_len", "max_sort_length"})
"""Variables whose values may be greater. MySQL lets only an administrator change some of them."""

REFUSED: Mapping[str, tuple[str, ...]] = {
    "binlog_format": ("ROW", "MIXED"),  # with STATEMENT, LOAD DATA is unsafe and replicas may differ
    "system_versioning_asof": ("DEFAULT",),  # tables with versions would show an earlier one
    "wsrep_load_data_splitting": ("OFF",),  # LOAD DATA would commit every 10,000 rows
}
"""Values that the server's own configuration may have."""


class Session(Protocol):
    """What is needed of a connection."""

    where: str

    def execute(self, sql: str, parameters: list[Value]) -> int: ...

    def query(self, sql: str, parameters: list[str]) -> Answer: ...


def values_of(settings: MartSettings) -> dict[str, Value]:
    """Return the values that the variables are set to, of the servers that have them."""
    return {
        **FIXED,
        **dict.fromkeys(("innodb_lock_wait_timeout", "lock_wait_timeout"), settings.lock_timeout_s),
        **dict.fromkeys(("wait_timeout", "idle_write_transaction_timeout"), IDLE_S),
    }


def set_variables(session: Session, settings: MartSettings) -> None:
    """Set the variables that differ, and verify them. ConfigError names the first that the server does not accept."""
    wanted = values_of(settings)
    # These limit the answer to SHOW, too.
    _accepts(session, {name: FIXED[name] for name in ("sql_select_limit", "max_join_size", "sql_big_selects")})
    found = _values(session, [*wanted, *REFUSED, PACKET])
    _check_configuration(session.where, found)
    differing = {name: value for name, value in wanted.items() if name in found and not _fits(name, found[name], value)}
    if not differing:
        return
    if not _accepts(session, differing):
        for name, value in differing.items():
            _accepts(session, {name: value})
    for name, value in _values(session, list(differing)).items():
        if not _fits(name, value, wanted[name]):
            message = (
                f"{session.where}: the server keeps {name} at {value!r}, expected {wanted[name]!r}. "
                "Allow this user to set it, or set it at the server"
            )
            raise ConfigError(message)


def _check_configuration(where: str, found: Mapping[str, str]) -> None:
    for name, allowed in REFUSED.items():
        if name in found and found[name].upper() not in allowed:
            message = f"{where}: {name} is {found[name]}. Set it to {' or '.join(allowed)} at the server"
            raise ConfigError(message)
    if (packet := int(found[PACKET])) < LEAST_PACKET:
        message = (
            f"{where}: {PACKET} is {packet}, too small for rows of a mart. Set it to {LEAST_PACKET} or more "
            "at the server"
        )
        raise ConfigError(message)


def _accepts(session: Session, values: Mapping[str, Value]) -> bool:
    """Set variables; return whether the server accepts them."""
    assignments = ", ".join(f"{name} = %s" for name in values)
    try:
        session.execute(f"set session {assignments}", list(values.values()))
    except MySQLError:
        return False
    except ConfigError as error:
        if not isinstance(error.__cause__, MySQLError):
            raise
        return False
    return True


def _values(session: Session, names: list[str]) -> dict[str, str]:
    show = f"show session variables where variable_name in ({', '.join(['%s'] * len(names))})"
    found: dict[str, str] = dict(session.query(show, names)[1])
    return {name: found[name] for name in names if name in found}


def _fits(name: str, found: str, wanted: Value) -> bool:
    if isinstance(wanted, int):
        return Decimal(found) == wanted or (name in OR_MORE and Decimal(found) > wanted)
    return {*found.upper().split(",")} == {*wanted.upper().split(",")}
