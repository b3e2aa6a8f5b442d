"""Turns the values of Avro and Parquet records into lines of JSON, with only the fields that are read.

Each field is a *literal*: its JSON as text. ``BAD`` stands for a text that is not UTF-8. Instants become the text of
the contract, in UTC: with three decimals, or six. Nanoseconds are rounded down to microseconds. An instant outside of
the years 1 to 9999 remains a number, which the contract rejects.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from jobs.rollup.blocks import KEPT_BYTES, Numbered
from jobs.rollup.contract import MAX_LINE_BYTES, Reason, Window
from jobs.rollup.limits import Limits
from jobs.rollup.several import Piece

if TYPE_CHECKING:
    from jobs.rollup.passes import Pass

Literal: TypeAlias = str
Path: TypeAlias = tuple[str, ...]

Record: TypeAlias = Numbered | pa.Table
"""A record as a line, with its number; or many records that are plays for certain (columns.PLAYS or EVENTS)."""


@dataclass(frozen=True)
class Asked:
    """What is to be read of a file: the fields by their names, or all without a list; within which limits.

    Without a window, or without fields, no record is judged: all become lines. With a pass, plays are keyed by it.
    """

    fields: Mapping[str, Path] | None
    limits: Limits
    window: Window | None = None
    passing: "Pass | None" = None


NULL: Literal = "null"
NO_TEXT: Literal = "{}"
"""Stands for a list, a map or a record where the contract expects a text or a number."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS_A_DAY = 86_400_000_000


class _Bad(str):
    """A literal for a text that is not UTF-8: the text as far as it can be shown."""

    __slots__ = ()


def text(value: bytes) -> Literal:
    """Return the literal of a text in UTF-8, which may be any bytes."""
    try:
        return encode_basestring(value.decode())
    except UnicodeDecodeError:
        return _Bad(encode_basestring(value[:KEPT_BYTES].decode(errors="backslashreplace")))


def line_of(value: bytes) -> Piece:
    """Return the line of a record that is a text itself."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Reason.NOT_UTF8, value[:KEPT_BYTES].decode(errors="backslashreplace")


def number(value: float) -> Literal:
    """Return the literal of a number; null if it is not finite."""
    return repr(value) if isinstance(value, int) or math.isfinite(value) else NULL


def truth(value: object) -> Literal:
    """Return the literal of a truth value."""
    return "true" if value else "false"


def decimal(value: Decimal) -> Literal:
    """Return the literal of a decimal: a number if its type has no fraction, else a text."""
    return str(int(value)) if value.as_tuple().exponent == 0 else f'"{value}"'


def instant(micros: int) -> Literal:
    """Return the literal of an instant, in microseconds since 1970."""
    try:
        at = (EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds")
    except OverflowError:
        return str(micros)
    return f'"{at[:26]}Z"' if micros % 1000 else f'"{at[:23]}Z"'


def day(days: int) -> Literal:
    """Return the literal of a day, in days since 1970."""
    try:
        return f'"{date(1970, 1, 1) + timedelta(days)}"'
    except OverflowError:
        return str(days)


def time_of_day(micros: int) -> Literal:
    """Return the literal of a time of day in microseconds."""
    if not 0 <= micros < MICROS_A_DAY:
        return str(micros)
    return f'"{(EPOCH + timedelta(microseconds=micros)).time()}"'


def to_lines(paths: Sequence[Path], rows: Iterable[Sequence[Literal]]) -> Iterator[Piece]:
    """Yield a line of JSON for each row, which has a literal for each path."""
    template = _template(paths)
    longest = MAX_LINE_BYTES - len(template)
    for row in rows:
        if sum(map(len, row)) > longest:
            yield Reason.LINE_TOO_LONG, template % tuple(one[:KEPT_BYTES] for one in row)
        elif any(type(one) is _Bad for one in row):
            yield Reason.NOT_UTF8, template % tuple(row)
        else:
            yield template % tuple(row)


def are_short(paths: Sequence[Path]) -> bool:
    """Return whether lines with these paths are short enough if their values are those of a play."""
    return len(_template(paths).encode()) <= MAX_LINE_BYTES // 2


def _template(paths: Sequence[Path]) -> str:
    """Return the format of a line, such as ``{"event_id":%s,"event":{"user_id":%s}}``."""
    nested: dict[str, Any] = {}
    for *above, last in paths:
        inner = nested
        for name in above:
            inner = inner.setdefault(name, {})
        inner[last] = None
    return _written(nested)


def _written(nested: Mapping[str, Any]) -> str:
    fields = (
        encode_basestring(name).replace("%", "%%") + ":" + ("%s" if inner is None else _written(inner))
        for name, inner in nested.items()
    )
    return "{" + ",".join(fields) + "}"


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Return the paths in the order in which the line has them, each once."""
    firsts: dict[str, list[Path]] = {}
    for path in dict.fromkeys(paths):
        firsts.setdefault(path[0], []).append(path)
    return [
        (first, *rest)
        for first, below in firsts.items()
        for rest in (in_order([path[1:] for path in below]) if all(len(path) > 1 for path in below) else [below[0][1:]])
    ]
