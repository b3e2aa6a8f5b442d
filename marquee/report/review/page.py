"""The review as one self-contained HTML page: no network, no script to read it, the same bytes for the same mart.

A tiny script writes numbers as the reader's browser does and sorts the catalogue. The page's own security policy names
it by its hash and forbids everything else.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from marquee.calendar import Grain, Period, Span
from marquee.mart.narrowed import is_of_audience
from marquee.neutral import neutral
from marquee.report.formats import NUMBERED
from marquee.report.review.answers import CATALOGUE, Answered, Review
from marquee.report.review.changes import FEW
from marquee.report.review.reading import Finding
from marquee.report.review.readings import answer_of, findings_of, picture_of, reading_of
from marquee.report.review.seasons import FEWEST
from marquee.report.review.verdicts import IN_WORDS, Verdict, going, verdicts
from marquee.report.review.words import (
    Number,
    Sentence,
    cell_text,
    decimals_of,
    heading,
    is_number,
    number_of,
    sentence,
    several,
)
from marquee.version import __version__

PACKAGE = "marquee.report.review"
ROWS = 40
"""Maximum number of rows in the table behind a picture; the workbook has all of them."""
FINDINGS = 6
"""Maximum number of findings of a part."""
FULL = "; a workbook of the review has all"
"""What is said of a table that is cut."""
ONCE = ("period",)
"""Columns that are left out of tables, because the page says them once."""
NAMES = ("title", "network", "country_name", "genre")
"""Columns that name a row, the first of them that a table has."""
CATALOGUE_COLUMNS = (
    *("title", "hours", "reach", "sole_viewers", "near_sole_viewers", "set_effect", "removal_step", "loyal_viewers"),
    *("top_country", "trend", "status"),
)
"""Columns of the catalogue; those without a value are left out."""
DECISIONS = (
    *("must-not-cancel", "removal-order", "keep-order", "overlap", "nobody-watches", "small-but-loyal", "multilingual"),
    *("big-in-one-country", "trend", "after-the-end", "lost-viewers", "where-they-stop", "launch"),
)
"""Questions that decide what stays and what goes, in the order of the page. The others follow."""


_COLUMN = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    heading: str
    numeric: bool


@dataclass(frozen=True)
class Cell:
    """A cell: a number with its decimals, or a text."""

    value: Any
    numeric: bool
    decimals: int = 0
    text: str = ""


@dataclass(frozen=True)
class Shown:
    """A table: its heads, its rows, and which column names a row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    name: int = -1


@dataclass(frozen=True)
class Section:
    """A question on the page."""

    name: str
    words: str
    reckoning: str
    answer: Sentence
    picture: str
    caption: str
    table: Shown
    extent: str
    trust: str
    doubtful: bool
    note: str


@dataclass(frozen=True)
class Part:
    """A part of the first page, and its text without findings."""

    kind: str
    title: str
    findings: tuple[Finding, ...]
    otherwise: str


def in_order(answers: Sequence[Answered]) -> list[Answered]:
    """Return the answers with those first that decide what stays and what goes, the others in their own order."""
    places = {name: place for place, name in enumerate(DECISIONS)}
    return sorted(answers, key=lambda one: places.get(one.question.name, len(places)))


def review_page(review: Review) -> str:
    """Return the page."""
    script, style = _file("page.js"), _file("page.css")
    answers = in_order([one for name, one in review.answers.items() if name != CATALOGUE])
    judged = verdicts(review)
    catalogue = review.answers.get(CATALOGUE)
    shows = judged_rows(judged)
    table = shown_of(shows, [one for one in CATALOGUE_COLUMNS if any(show[one] is not None for show in shows)])
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            review=review,
            when=_when(review.period),
            version=__version__,
            style=style,
            script=script,
            script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
            figures=_figures(review),
            parts=_parts([*_going(review, judged), *findings_of(answers)]),
            trust=_trust(review, answers),
            rounding=next((one.trust.rounding for one in answers if one.trust.rounding), ""),
            questions=[_section(one) for one in answers],
            catalogue={
                "columns": table.columns,
                "rows": list(zip(table.rows, (one for _, one in judged), strict=True)),
            },
            rules=IN_WORDS,
            catalogue_reckoning=catalogue.question.reckoning if catalogue else "",
            verdict_summary=_summary(review, judged),
        )
    )
    return f"{text.strip()}\n"


def shown_of(rows: Sequence[Any], columns: Sequence[str]) -> Shown:
    """Return columns of rows as a table."""
    kinds = {one: one not in NUMBERED and any(is_number(row[one]) for row in rows) for one in columns}
    decimals = {one: decimals_of([row[one] for row in rows]) for one in columns}
    name = next((columns.index(one) for one in NAMES if one in columns), -1)
    return Shown(
        tuple(Column(heading(one), kinds[one]) for one in columns),
        tuple(
            tuple(
                Cell(row[one], numeric=True, decimals=decimals[one])
                if kinds[one] and is_number(row[one])
                else Cell(row[one], numeric=False, text=cell_text(row[one]))
                for one in columns
            )
            for row in rows
        ),
        name,
    )


def judged_rows(judged: Sequence[tuple[Any, Verdict]]) -> list[Any]:
    """Return the shows of the catalogue, with the names of their countries, where they are known."""
    return [{**show, "top_country": show["top_country_name"] or show["top_country"]} for show, _ in judged]


def _section(one: Answered) -> Section:
    before, shown = reading_of(one).shown(one, ROWS)
    columns = [name for name in one.columns if name not in ONCE]
    every, some = len(one.rows), len(shown)
    extent = f"{every:,} {'row' if every == 1 else 'rows'}" if every == some else f"{some:,} of {every:,} rows{FULL}"
    if before:
        extent = f"rows {before + 1:,} to {before + some:,} of {every:,}{FULL}"
    return Section(
        one.question.name,
        one.question.words,
        one.question.reckoning,
        answer_of(one),
        picture_of(one),
        f"marquee ask {one.question.name}",
        shown_of(shown, columns),
        extent,
        replace(one.trust, min_cell=1, newest_hour=None, loaded_at=None, definitions=()).text(),
        one.trust.doubtful,
        one.note,
    )


def _parts(findings: Sequence[Finding]) -> list[Part]:
    titles = {
        "keep": ("What to keep", "No answer speaks for a show more than for another."),
        "go": ("What could go", "No show could go without loss."),
        "changed": ("What changed", "Nothing changed beyond what the whole catalogue did."),
    }
    return [
        Part(kind, title, tuple(one for one in findings if one.part == kind)[:FINDINGS], otherwise)
        for kind, (title, otherwise) in titles.items()
    ]


def _going(review: Review, judged: Sequence[tuple[Any, Verdict]]) -> list[Finding]:
    """Say which shows could go together; if their order is unknown, how many nobody depends on, one at a time."""
    if together := going(review, judged):
        return [Finding("go", "removal-order", together)]
    go = [show for show, verdict in judged if verdict.kind == "could go"]
    if not go:
        return []
    text = sentence(
        "{shows}, {hours} hours together, have no viewer who watches nothing else, or almost nothing else. This judges "
        "each show alone: removed together, they can cost more.",
        shows=several(len(go), "show", "shows"),
        hours=number_of(round(sum(show["hours"] or 0 for show in go), 1)),
    )
    return [Finding("go", CATALOGUE, text)]


def _summary(review: Review, judged: Sequence[tuple[Any, Verdict]]) -> Sentence:
    count = Counter(verdict.kind for _, verdict in judged)
    none = [row for row in _rows_of(review, "nobody-watches") if row["viewing"] == "none"]
    text = sentence(
        "{shows}: {keep} to keep, {go} could go, {watch} to watch, and {weigh} to weigh up.",
        shows=several(len(judged), "show", "shows"),
        keep=count["keep"],
        go=count["could go"],
        watch=count["watch"],
        weigh=count["weigh up"],
    )
    if not none:
        return text
    return text + sentence(
        " {shows} not in it, without a verdict.",
        shows=several(len(none), "show that nobody watched is", "shows that nobody watched are"),
    )


def _rows_of(review: Review, question: str) -> Sequence[Any]:
    return review.answers[question].rows if question in review.answers else ()


def _figures(review: Review) -> list[tuple[str, Number | None]]:
    base = review.base
    viewers = base.active_viewers
    return [
        ("active viewers", number_of(viewers) if viewers is not None else None),
        ("hours watched", Number(base.hours, 0)),
        ("hours a viewer", Number(round(base.hours / viewers, 1), 1) if viewers else None),
        ("shows watched", number_of(len(review.shows))),
        (
            "multilingual viewers",
            number_of(base.multilingual_viewers) if base.multilingual_viewers is not None else None,
        ),
    ]


def _trust(review: Review, answers: Sequence[Answered]) -> list[str]:
    """Return what is known of the data: for audiences, for viewing hours, and what they do not suffice for."""
    found = {is_of_audience(one.question.view): replace(one.trust, withheld=0, definitions=()) for one in answers}
    names = {True: "Viewers", False: "Viewing hours"}
    lines = [f"{names[kind]}: {found[kind].text()}" for kind in (True, False) if kind in found]
    complete = bool(found) and not any(one.doubtful for one in found.values())
    return lines + (["Enough to say who watched what in this period."] if complete else []) + _not_enough(review)


def _not_enough(review: Review) -> list[str]:
    """Say what the data do not suffice for."""
    base, lines = review.base, []
    if base.active_viewers and base.new_viewers == base.active_viewers:
        lines.append(
            "All viewers count as new: no earlier viewing is known. Not enough to tell new viewers from others."
        )
    trends = [row["trend"] for row in _rows_of(review, "trend")]
    if trends and all(one in FEW for one in trends):
        lines.append(
            f"{_weeks(review)} Not enough for trends, which compare four weeks with the four before, nor for a "
            "comparison with an earlier period."
        )
    launches = _rows_of(review, "launch")
    if launches and all(row["launches"] < FEWEST for row in launches):
        lines.append(f"Not enough to compare launches, which takes {FEWEST} of the same age.")
    return lines


def _weeks(review: Review) -> str:
    weeks = {row["week"] for row in _rows_of(review, "trend-by-week") if row["complete"] == "yes"}
    return "One complete week of data." if len(weeks) == 1 else f"{len(weeks)} complete weeks of data."


def _when(period: str) -> str:
    span = Span.parse(period)
    if span.start is None or span.end is None:  # Span.parse sets both
        raise AssertionError(period)
    name = _spoken(period)
    last = span.end - timedelta(days=1)
    return f"{name}{_day(span.start)} to {_day(last)} (UTC)" if last > span.start else f"{_day(span.start)} (UTC)"


def _spoken(period: str) -> str:
    if "/" in period:
        return ""
    one = Period.parse(period)
    if one.grain is Grain.QUARTER:
        return f"Quarter {period[-1]} of {period[:4]}: "
    return f"Week {int(period[-2:])} of {period[:4]}: " if one.grain is Grain.WEEK else ""


def _day(instant: datetime) -> str:
    return f"{instant.day} {instant:%B %Y}"


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader(PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        auto_reload=False,
    )
    found.filters |= {
        "neutral": neutral,
        "exact": exact,
        "ticked": ticked,
        "grouped": lambda value, decimals: f"{value:,.{decimals}f}",
    }
    return found


def ticked(text: str) -> Markup:
    """Return a text of our own in which backticks mark code, and columns have the names that tables show."""
    parts = (
        f"<code>{escape(one)}</code>" if at % 2 else escape(_COLUMN.sub(lambda found: heading(found[0]), one))
        for at, one in enumerate(text.split("`"))
    )
    return Markup("".join(parts))  # noqa: S704 - escaped


def exact(value: float) -> str:
    """Return a number as programs read it, with every digit."""
    return repr(value)


def _file(name: str) -> str:
    return (files(PACKAGE) / name).read_text(encoding="utf-8")
