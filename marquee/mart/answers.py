"""Answers whole: rows under a heading that follows the filter, with the line of trust, of one period or of a trend."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from marquee.calendar import Grain, Period
from marquee.errors import ConfigError
from marquee.mart.absence import nothing_loaded, why_empty
from marquee.mart.base import Mart
from marquee.mart.narrowed import has, is_of_audience
from marquee.mart.questions import Question, query_of
from marquee.mart.trust import Trust, trust_of, trust_of_all

if TYPE_CHECKING:
    import pyarrow as pa

TRENDS = (Grain.DAY, Grain.WEEK, Grain.MONTH, Grain.QUARTER)
"""The grains of periods that a trend compares."""
ROWS_OF_A_TREND = 3
"""Rows of each period that a table of a trend shows."""
_PERIOD = "period"


@dataclass(frozen=True)
class Answered:
    """An answer for people or programs.

    Attributes:
        question: the question.
        heading: its words, for the filter.
        columns: names of the columns.
        rows: the rows, in the question's order; of a trend in the order of its periods.
        total: number of rows without a limit.
        trust: what is known of the data.
        empty: if there are no rows, why, and what there is instead.
    """

    question: Question
    heading: str
    columns: list[str]
    rows: list[tuple[Any, ...]]
    total: int
    trust: Trust
    empty: str = ""

    @property
    def cut(self) -> str:
        """A note such as ``20 of 258 rows (--all-rows shows all)``; empty if no row is left out."""
        left_out = len(self.rows) < self.total
        return f"{len(self.rows):,} of {self.total:,} rows (--all-rows shows all)" if left_out else ""


def answer(
    mart: Mart,
    question: Question,
    *,
    limit: int = 0,
    only: Mapping[str, str] | None = None,
    period: str | None = None,
    trend: str | None = None,
) -> Answered:
    """Return the answer to a question.

    Args:
        mart: the mart.
        question: the question.
        limit: maximum number of rows, of a trend for each of its periods; all when 0.
        only: values that columns of the answer must have, such as ``{"country": "KR"}``.
        period: the period, or span ``first/last``, of the answer; the view's own choice when None.
        trend: grain of the loaded periods to answer for, such as ``week``, with the period as first column.

    Raises:
        ConfigError: the answer has no such column, or nothing of the period is loaded.
    """
    only = only or {}
    columns: list[str] = []
    shown: list[tuple[Any, ...]] = []
    total = 0
    asked = asked_periods(mart, question, period, trend)
    for one in asked:
        columns, rows = mart.query(*query_of(mart, question, 0, only, one))
        if trend and one:
            columns, rows = _under_period(columns, rows, one)
        total += len(rows)
        shown += rows[:limit] if limit else rows
    heading = question.heading(only, _country(mart, columns, shown, only)) + (f" By {trend}" if trend else "")
    trust = _trust(mart, question, asked, only)
    empty = "" if shown else why_empty(mart, question, only, asked[-1], trust)
    return Answered(question, heading, columns, shown, total, trust, empty)


def table(
    mart: Mart,
    question: Question,
    *,
    limit: int = 0,
    only: Mapping[str, str] | None = None,
    period: str | None = None,
    trend: str | None = None,
) -> "pa.Table":
    """Return the answer to a question as an Arrow table; arguments as of ``answer``.

    The metadata of its schema have ``trust`` (the line), ``trust_fields`` (the same as JSON), ``missing`` if hours are
    missing, and ``empty``, the reason, if there are no rows.
    """
    import pyarrow as pa  # noqa: PLC0415 - the list of questions needs no Arrow

    only = only or {}
    asked = asked_periods(mart, question, period, trend)
    tables = []
    for one in asked:
        found = mart.table(*query_of(mart, question, limit, only, one))
        if trend and one:
            others = [name for name in found.column_names if name != _PERIOD]
            names = pa.array([one] * found.num_rows, pa.string())
            found = found.select(others).add_column(0, _PERIOD, names)
        tables.append(found)
    trust = _trust(mart, question, asked, only)
    whole = pa.concat_tables(tables)
    known = {
        "trust": trust.text(),
        "trust_fields": json.dumps(trust.fields()),
        "missing": trust.missing,
        "empty": "" if whole.num_rows else why_empty(mart, question, only, asked[-1], trust),
    }
    return whole.replace_schema_metadata({name: text for name, text in known.items() if text})


def asked_periods(mart: Mart, question: Question, period: str | None, trend: str | None) -> list[str | None]:
    """Return the periods to ask for: all loaded ones of a trend's grain, otherwise the one given.

    ConfigError if both are given, or nothing of the grain is loaded.
    """
    if trend is None:
        return [period]
    if period is not None:
        message = f"A trend is of all loaded periods: leave out the period {period!r}, or the trend"
        raise ConfigError(message)
    trends = [one for one in TRENDS if has(question.view, one)]
    if trend not in trends:
        message = f"Invalid trend {trend!r} of {question.name}. Use one of: {', '.join(trends)}"
        raise ConfigError(message)
    found = _loaded(mart, question, Grain(trend))
    if not found:
        others = [str(one) for one in trends if _loaded(mart, question, one)]
        there = f"Use one of: {', '.join(others)}" if others else nothing_loaded(question)
        message = f"{question.name}: no {trend} is loaded. {there}"
        raise ConfigError(message)
    return list(found)


def _loaded(mart: Mart, question: Question, grain: Grain) -> list[str]:
    ledger = "from load_ledger where dataset = ?"
    if is_of_audience(question.view):
        query = f"select period {ledger} and grain = ? order by starts_at"
        return [period for (period,) in mart.query(query, ["audience_base", str(grain)])[1]]
    _, hours = mart.query(f"select starts_at {ledger} order by starts_at", ["viewership"])
    return list(dict.fromkeys(str(Period.containing(start.replace(tzinfo=UTC), grain)) for (start,) in hours))


def _under_period(
    columns: list[str], rows: list[tuple[Any, ...]], period: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return an answer with the period as first column, by its name also where the view says first/last."""
    kept = [number for number, name in enumerate(columns) if name != _PERIOD]
    return [_PERIOD, *(columns[number] for number in kept)], [
        (period, *(row[number] for number in kept)) for row in rows
    ]


def _trust(mart: Mart, question: Question, periods: list[str | None], only: Mapping[str, str]) -> Trust:
    each = [trust_of(mart, question, one, only) for one in periods]
    return each[0] if len(each) == 1 else trust_of_all(each)


def _country(mart: Mart, columns: list[str], rows: list[tuple[Any, ...]], only: Mapping[str, str]) -> str | None:
    """Return the name of the country that the answer is limited to; None without a limit or a name."""
    if "country" not in only:
        return None
    if rows and "country_name" in columns:
        name: str | None = rows[0][columns.index("country_name")]
        return name
    _, found = mart.query("select name from dim_country where country = ?", [only["country"]])
    return found[0][0] if found else None
