"""Why an answer has no rows, and what there is instead."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from marquee.mart import schema
from marquee.mart.base import Mart
from marquee.mart.narrowed import is_of_audience, lacks, narrow, read_by
from marquee.mart.questions import Question
from marquee.mart.trust import Trust

_LISTED = 12
"""Values of a column that are listed whole."""
_SUGGESTED = 3
"""Maximum number of values that are suggested."""
_ALIKE = 0.6
"""Likeness, of 1, above which a value is suggested."""
_REPORTED = "reported_show"
_FLOOR = re.compile(r"\bwhere (?:\w+\.)?reach >= (\d+)")


def why_empty(mart: Mart, question: Question, only: Mapping[str, str], period: str | None, trust: Trust) -> str:
    """Return why an answer has no rows: a value that is not there and those like it, or too few viewers."""
    withheld = trust.withheld
    rows = "row is" if withheld == 1 else "rows are"
    hidden = f"{withheld:,} {rows} withheld, because the viewers are too few" if withheld else ""
    if not _is_loaded(mart, question):
        return nothing_loaded(question)
    if trust.periods and lacks(question.view, trust.periods[0]):
        return f"{trust.periods[0]} is a day; {question.name} is counted for weeks, months and quarters. Use --period"
    for name, value in only.items():
        found = _values(mart, question.view, name, period)
        if value not in found:
            below = _floor(mart, question, period, only.get("title")) or (
                hidden if name in {"country", "title"} else ""
            )
            if not found and not below and question.nothing:  # no value has a row: the value is not the reason
                return question.nothing
            return below or _no_such(
                mart, name, value, found, _titles(mart, question, period) if name == "title" else ()
            )
    if len(only) > 1:
        return f"Each of these values has rows, but no row has all of them: {_conditions(only)}"
    return (
        _floor(mart, question, period, None)
        or hidden
        or question.nothing
        or f"The mart has nothing for {question.name}"
    )


def nothing_loaded(question: Question) -> str:
    """Return what a mart lacks that can answer nothing of a question."""
    return "No audience is loaded" if is_of_audience(question.view) else "No hour is loaded"


def _is_loaded(mart: Mart, question: Question) -> bool:
    dataset = "audience_base" if is_of_audience(question.view) else "viewership"
    return bool(mart.query("select 1 from load_ledger where dataset = ? limit 1", [dataset])[1])


def _values(mart: Mart, view: str, column: str, period: str | None) -> list[str]:
    rows = _query(mart, view, period, f"select distinct cast({column} as char) from {view}")  # noqa: S608 - checked
    return sorted(value for (value,) in rows if value is not None)


def _query(mart: Mart, view: str, period: str | None, sql: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    if period is None:
        return mart.query(sql, values)[1]
    narrowed = narrow(view, period)
    return mart.query(narrowed.expressions + sql, [*narrowed.parameters, *values])[1]


def _titles(mart: Mart, question: Question, period: str | None) -> list[str]:
    """Return the titles of all shows watched, also of those with too few viewers for the answer."""
    if _REPORTED not in read_by(question.view):
        return []
    return [str(title) for (title,) in _query(mart, question.view, period, f"select title from {_REPORTED}")]  # noqa: S608


def _no_such(mart: Mart, column: str, value: str, found: Sequence[str], others: Sequence[str] = ()) -> str:
    near = _like(value, found) or _like(value, others)
    if column == "country" and not near:
        _, named = mart.query("select name, country from dim_country where name is not null")
        codes: dict[str, str] = dict(named)
        near = [codes[name] for name in _like(value, list(codes)) if codes[name] in found]
    text = f"No row has {column}={value!r}"
    if near:
        return f"{text}. Did you mean {' or '.join(map(repr, near))}?"
    if not found:
        return f"{text}: the answer has no rows at all"
    if len(found) <= _LISTED:
        return f"{text}. Use one of: {', '.join(found)}"
    return f"{text}. It has {len(found):,} values, such as {', '.join(found[:_SUGGESTED])}"


def _like(value: str, found: Sequence[str]) -> list[str]:
    """Return the values that differ only in case; otherwise those that contain the text; otherwise those like it."""
    folded = value.casefold().strip()
    same = [one for one in found if one.casefold() == folded]
    holding = [one for one in found if folded and folded in one.casefold()]
    if same or holding:
        return (same or holding)[:_SUGGESTED]
    names = {one.casefold(): one for one in found}
    return [names[one] for one in difflib.get_close_matches(folded, names, _SUGGESTED, _ALIKE)]


def _floor(mart: Mart, question: Question, period: str | None, title: str | None) -> str:
    """Return what keeps a show, or every show, below the least number of viewers; empty if that is not the reason."""
    least = _least_reach(question.view)
    if least is None or _REPORTED not in read_by(question.view):
        return ""
    where, values = ("title = ?", [title]) if title else ("1 = 1", [])
    order = "case when reach is null then 1 else reach end desc"  # who is withheld has viewers
    largest = f"select title, reach from {_REPORTED} where {where} order by {order}, title limit 1"  # noqa: S608
    rows = _query(mart, question.view, period, largest, values)
    name, reach = rows[0] if rows else ("", least)
    if reach is None:
        if title:
            return (
                f"{name!r} has too few viewers to be published; {question.name} has shows that reached at least {least}"
            )
        return f"No show reached {least} viewers; those watched have too few viewers to be published"
    if not isinstance(reach, int) or reach >= least:
        return ""
    if title:
        return f"{name!r} reached {reach:,} viewers; {question.name} has shows that reached at least {least}"
    return f"No show reached {least} viewers; the largest, {name!r}, reached {reach:,}"


def _least_reach(view: str) -> int | None:
    """Return the least reach of the shows in a view; None if it has all."""
    read = read_by(view)
    found = [match for one in schema.relations() if one.name in read for match in _FLOOR.findall(one.query)]
    return max(map(int, found), default=None)


def _conditions(only: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in only.items())
