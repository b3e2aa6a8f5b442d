"""Translates error codes of MySQL and MariaDB into Marquee's errors, which say what to do.

The codes are those of the servers' lists; codes below 1000 are PyMySQL's, codes from 2000 the client's. Messages
include the server's text, except where it may contain values of the data.
"""

import re
import ssl
from collections.abc import Mapping

from pymysql.err import MySQLError, OperationalError

from marquee.errors import BadInputError, ConfigError, CorruptLakeError, MarqueeError, TryAgainError
from marquee.mart.errors import LostConnectionError
from marquee.mart.mysql.infile import Infile

LOST = frozenset({0, 1053, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014, 2027, 2055, 4031})
"""Codes after which the last statement may or may not have run; 0 is PyMySQL's code for a closed connection."""
BUSY = frozenset({1040, 1047, 1203, 1226, 2002, 2003, 3032, 3168})
"""Codes of a server that cannot be reached, or accepts no connection now."""
_COLUMN = re.compile(r"column ['`](?:[^'`]*[.`])*(?P<name>\w+)['`]")
_NUMBER = re.compile(r"at row (?P<number>\d+)")
_ENTRY = re.compile(r"Duplicate entry '(?P<key>.*)' for key", re.DOTALL)

TLS = 2026
MISSING_PARENT = 1452
READ_ONLY = 1792
NO_SUCH_TABLE = 1146

_TLS_HINT = "set MARQUEE_MART__TLS_CA to the CA of a certificate that names the host of MARQUEE_MART__URL"
_LATER: Mapping[int, str] = {
    1205: "others hold the lock for longer than MARQUEE_MART__LOCK_TIMEOUT_S: wait until they end, and try again",
    1213: "deadlock with another transaction: try again",
    **dict.fromkeys((1021, 1030, 1041, 1114, 1135), "free disk space or memory of the server, and try again"),
    **dict.fromkeys((1792, 1836), "the server is read-only now: try again when it allows writes"),
    1290: "an option of the server, such as read_only, prevents the statement: try again when it is off",
    **dict.fromkeys((4081, 4082), "the server limits the memory of connections: raise the limit, or try again later"),
    **dict.fromkeys((1047, 3032, 3168), "the server accepts no statements now: try again later"),
    **dict.fromkeys((1206, 1637, 3100, 3101), "the server could not run the transaction: try again"),
    1020: "another transaction has changed the row: try again",
    **dict.fromkeys((1040, 1203, 1226), "the server has too many connections now: try again later"),
    **dict.fromkeys((1317, 1969, 3024), "the server, or its administrator, has ended the statement: try again"),
    **dict.fromkeys((2002, 2003), "the server cannot be reached: start it, or correct MARQUEE_MART__URL"),
}
_SETTINGS: Mapping[int, str] = {
    **dict.fromkeys(
        (1045, 1130, 1698),
        "correct MARQUEE_MART__URL and MARQUEE_MART__PASSWORD; if the user has to use TLS, set MARQUEE_MART__TLS_CA",
    ),
    **dict.fromkeys((1251, 1524, 2059), "give the user another authentication plugin, such as caching_sha2_password"),
    **dict.fromkeys((1153, 2020), "set max_allowed_packet to 16M or more at the server"),
    1104: "the server limits max_join_size: set it higher there",
    **dict.fromkeys((1071, 1118), "set innodb_page_size=16k and innodb_default_row_format=dynamic at the server"),
    **dict.fromkeys((1820, 1862), "the password has expired: ask the server's administrator to set one"),
    **dict.fromkeys((3118, 3955, 4150, 4151), "ask the server's administrator to unlock the account"),
    3159: f"the server requires TLS: {_TLS_HINT}",
    1129: "the server blocks this host after many failed connections: ask its administrator to run `flush hosts`",
    **dict.fromkeys(
        (1044, 1142, 1143, 1227, 1370, 1410),
        "the user lacks a privilege: grant it, or ask an administrator to run `marquee mart init`",
    ),
    1049: "create the database first: create database … character set utf8mb4 collate utf8mb4_bin",
    **dict.fromkeys((1148, 3948, 4166), "the server does not allow LOAD DATA LOCAL: set local_infile=1 there"),
    **dict.fromkeys((1115, 1193, 1231, 1273, 1286), "use MySQL 8.0 or later, or MariaDB 10.11 or later, with InnoDB"),
}
_DATA: Mapping[int, str] = {
    **dict.fromkeys((1048, 1263), "the value is null, but the column is not null"),
    1062: "the key is a duplicate, or differs from another only in trailing blanks",
    1264: "the value is out of range",
    **dict.fromkeys((1265, 1406), "the value is too long, or not of the column's type"),
    **dict.fromkeys((1292, 1366, 1411), "the value is not of the column's type"),
}


def ours(error: MySQLError, where: str) -> Exception:  # noqa: PLR0911 - a list of cases
    """Return the Marquee error for an error of PyMySQL; an unknown one does not change."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else -1
    text = f"{where}: {code} {error.args[1] if len(error.args) > 1 else ''}"
    if code == TLS or isinstance(getattr(error, "original_exception", None), ssl.SSLError):
        return ConfigError(f"{text}: {_TLS_HINT}")
    if code in LOST:
        return LostConnectionError(f"{text}: the connection was lost: try again")
    if code in _LATER:
        return TryAgainError(f"{text}: {_LATER[code]}")
    if code in _SETTINGS:
        return ConfigError(f"{text}: {_SETTINGS[code]}")
    if code == -1 and isinstance(error, OperationalError):  # PyMySQL's own: an unexpected packet
        return TryAgainError(f"{where}: {error}: make sure that it is your MySQL server")
    if code == MISSING_PARENT:
        return CorruptLakeError(f"{text}: a capture refers to a missing row: run schedule-fetch again with --force")
    unknown: Exception = error
    return unknown


def is_down(error: TryAgainError) -> bool:
    """Return whether an error while connecting is one of a server that may come back."""
    cause = error.__cause__
    code = cause.args[0] if isinstance(cause, MySQLError) and cause.args else None
    return isinstance(error, LostConnectionError) or code in BUSY


def refused(table: str, source: Infile, code: int, text: str) -> MarqueeError:
    """Return the error for a row that the server cannot store unchanged: table, column, key and reason."""
    column, number, entry = _COLUMN.search(text), _NUMBER.search(text), _ENTRY.search(text)
    place = f"{table}.{column['name']}" if column else table
    key = source.key_of(int(number["number"])) if number else {"key": entry["key"]} if entry else {}
    row = ", ".join(f"{name} {value!r}" for name, value in key.items())
    return BadInputError(
        f"{place}{f', row of {row}' if row else ''}: {_DATA.get(code, f'rejected with code {code}')}. Nothing of its "
        "period is loaded. Correct the row in its source"
    )
