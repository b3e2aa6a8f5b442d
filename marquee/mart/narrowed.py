"""Restricts the view of a question to one period.

Common table expressions with the names of the mart's tables select the rows of the period, and the views that read
these tables follow as further expressions. So ``schema/views.sql`` is the only place with the SQL of a question.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from marquee.calendar import Span
from marquee.errors import ConfigError
from marquee.mart import schema
from marquee.mart.ledger import naive

_PARTS = {
    "load_ledger": "select * from load_ledger where starts_at >= ? and ends_at <= ?",
    "fact_viewership": "select * from fact_viewership where hour >= ? and hour < ?",
}
"""Tables with times, and the query for their rows in a time interval."""
_REPORTED = "reported_period"
_REPORT = "select period from load_ledger where dataset = 'audience_base' and period = ?"


@dataclass(frozen=True)
class NarrowedView:
    """A view of one period: the expressions before a query, their parameters, and whether it is about audiences."""

    expressions: str
    parameters: tuple[str | datetime, ...]
    audience: bool


def narrow(view: str, period: str) -> NarrowedView:
    """Return a view of a period, or of a span ``first/last``. ConfigError if the text is neither."""
    start, end = bounds_of(period)
    read = _read_by(view)
    parts = [(name, query, (start, end)) for name, query in _PARTS.items()]
    views = [
        (one.name, _REPORT, (period,)) if one.name == _REPORTED else (one.name, one.query, ())
        for one in schema.relations()
        if one.name in read
    ]
    listed = ", ".join(f"{name} as ({query})" for name, query, _ in (*parts, *views))
    parameters = tuple(one for _, _, own in (*parts, *views) for one in own)
    return NarrowedView(f"with {listed} ", parameters, _REPORTED in read)


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


def _read_by(view: str) -> set[str]:
    """Return the names of a view and of all views that it reads, directly or indirectly."""
    read, text = {view}, ""
    for one in reversed([one for one in schema.relations() if one.kind == "view"]):
        if one.name in read or re.search(rf"\b{one.name}\b", text):
            read.add(one.name)
            text += one.query if one.name != _REPORTED else ""
    return read
