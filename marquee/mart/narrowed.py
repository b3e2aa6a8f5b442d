"""Restricts the view of a question to one period.

Common table expressions with the names of a table and of two views select the hours and the audience of the period,
and the views that read them follow as further expressions. So ``schema/views.sql`` is the only place with the SQL of a
question. The ledger keeps all rows: some questions compare the period with earlier ones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marquee.calendar import Grain, Period, Span
from marquee.errors import ConfigError
from marquee.mart import schema, viewing
from marquee.mart.ledger import naive

_HOURS = "loaded_hour"
_HOURS_OF = "select starts_at as hour from load_ledger where dataset = 'viewership' and starts_at >= ? and ends_at <= ?"
_REPORTED = "reported_period"
_WITHOUT_DAYS = re.compile(r"\bfact_(?:show_order|overlap|season_step|season_audience)\b")
"""Facts of sets of shows and of seasons, which days do not have."""
_Part = tuple[str, Sequence[str | datetime]]
"""The query of an expression, and its parameters."""
_REPORT = "select period from load_ledger where dataset = 'audience_base' and period = ?"


@dataclass(frozen=True)
class NarrowedView:
    """A view of one period: the expressions before a query, their parameters, and whether it is about audiences."""

    expressions: str
    parameters: tuple[str | datetime, ...]
    audience: bool


def narrow(view: str, period: str) -> NarrowedView:
    """Return a view of a period, or a span ``first/last``. ConfigError if the text is neither, or not of whole days."""
    start, end = bounds_of(period)
    if start.hour or end.hour:
        message = f"period={period!r}: answers are of whole days. Use a day, week, month or quarter, or first/last"
        raise ConfigError(message)
    read = read_by(view)
    own: dict[str, _Part] = {_HOURS: (_HOURS_OF, (start, end)), _REPORTED: (_REPORT, (period,))}
    views = [(one.name, *own.get(one.name, (one.query, ()))) for one in schema.relations() if one.name in read]
    parts = [(viewing.TABLE, *viewing.sums_between(start, end)), *views]
    listed = ", ".join(f"{name} as ({query})" for name, query, _ in parts)
    parameters = tuple(one for _, _, bound in parts for one in bound)
    return NarrowedView(f"with {listed} ", parameters, _REPORTED in read)


def is_of_audience(view: str) -> bool:
    """Return whether a view answers for an audience's period, and not for the loaded hours."""
    return _REPORTED in read_by(view)


def has(view: str, grain: Grain) -> bool:
    """Return whether a view has figures of a grain: sets of shows and seasons have none of days."""
    read = read_by(view)
    return grain is not Grain.DAY or not any(
        _WITHOUT_DAYS.search(one.query) for one in schema.relations() if one.name in read
    )


def lacks(view: str, period: str) -> bool:
    """Return whether a view has nothing of a period, or of a span ``first/last``, because of its grain."""
    return "/" not in period and not has(view, Period.parse(period).grain)


def bounds_of(period: str) -> tuple[datetime, datetime]:
    """Return the first instant of a period or span, and the first after it, in UTC without a zone."""
    try:
        span = Span.parse(period)
    except ValueError as error:
        message = f"period={period!r}: {error}"
        raise ConfigError(message) from error
    if span.start is None or span.end is None:  # Span.parse sets both
        raise AssertionError(period)
    return naive(span.start), naive(span.end)


def read_by(view: str) -> set[str]:
    """Return the names of a view and of all views that it reads, directly or indirectly."""
    read, text = {view}, ""
    for one in reversed([one for one in schema.relations() if one.kind == "view"]):
        if one.name in read or re.search(rf"\b{one.name}\b", text):
            read.add(one.name)
            text += one.query if one.name != _REPORTED else ""
    return read
