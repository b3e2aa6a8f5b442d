"""Reads all answers of a period from a mart, in one connection.

Review     the period, its figures of all viewers, and the answer to each question
Answered   one answer: every row, and what to know before trusting it
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from marquee.errors import ConfigError
from marquee.mart.base import Mart, read_mart
from marquee.mart.questions import QUESTIONS, Question, audience_periods, query_of
from marquee.mart.settings import MartSettings
from marquee.mart.trust import Trust, trust_of
from marquee.report.review.words import Record

CATALOGUE = "catalogue"
"""The question whose answer is the table of all shows."""


@dataclass(frozen=True)
class Answered:
    """The answer to a question: all rows in the order of the question.

    Attributes:
        question: the question.
        columns: names of the columns.
        rows: values by column. Whole numbers are int, others float, days date.
        trust: what the mart knows of the answer's data.
        note: a remark on the answer, such as what a simulation planted.
    """

    question: Question
    columns: tuple[str, ...]
    rows: tuple[Record, ...]
    trust: Trust = field(default_factory=Trust)
    note: str = ""

    def where(self, **values: object) -> "Answered":
        """Return the answer with the rows that have these values."""
        kept = (row for row in self.rows if all(row.get(name) == value for name, value in values.items()))
        return replace(self, rows=tuple(kept))

    def has(self, *columns: str) -> bool:
        """Return whether the answer has rows, and these columns."""
        return bool(self.rows) and set(columns) <= set(self.columns)


@dataclass(frozen=True)
class Base:
    """Figures of all viewers worldwide; viewers are None if there are too few to show."""

    active_viewers: int | None
    hours: float
    multilingual_viewers: int | None
    new_viewers: int | None


@dataclass(frozen=True)
class Review:
    """All answers of one period, by the name of their question, in the order of the questions."""

    period: str
    base: Base
    answers: Mapping[str, Answered] = field(default_factory=dict)

    @property
    def shows(self) -> tuple[Record, ...]:
        """The rows of the catalogue."""
        return self.answers[CATALOGUE].rows if CATALOGUE in self.answers else ()


def read_review(settings: MartSettings, period: str | None = None, notes: Mapping[str, str] | None = None) -> Review:
    """Answer every question for a period, with all rows.

    Args:
        settings: the mart.
        period: a period with an audience in the mart; the one that ``ask`` reports when None.
        notes: remarks on answers, by question.

    Raises:
        ConfigError: there is no mart, or it has no audience of the period.
        TryAgainError: the mart is being loaded, or cannot be reached.
    """
    with read_mart(settings) as mart:
        chosen = _period_of(mart, period)
        answers = {one.name: _answer(mart, one, chosen, (notes or {}).get(one.name, "")) for one in QUESTIONS}
        return Review(chosen, _base(mart, chosen), {name: one for name, one in answers.items() if one})


def _period_of(mart: Mart, period: str | None) -> str:
    loaded = audience_periods(mart)
    if not loaded:
        message = "The mart has no audience of any period. Run `marquee run`, or `marquee profile` and `mart-load`"
        raise ConfigError(message)
    if period is None:
        _, ((period,),) = mart.query("select period from reported_period")
    if period not in loaded:
        message = f"The mart has no audience of {period!r}. Use one of: {', '.join(loaded)}"
        raise ConfigError(message)
    return str(period)


def _answer(mart: Mart, question: Question, period: str, note: str) -> Answered | None:
    columns, _ = mart.query(f"select * from {question.view} where 1 = 0")  # noqa: S608 - our own names
    total = replace(question, order=", ".join([question.order, *columns]))  # the same order from any database
    try:
        table = mart.table(*query_of(mart, total, 0, {}, period))
    except ConfigError:  # no hour of the period is loaded, only its audience
        return None
    rows: list[Record] = table.to_pylist()
    return Answered(question, tuple(table.column_names), tuple(rows), trust_of(mart, question, period), note)


def _base(mart: Mart, period: str) -> Base:
    found = _rows(
        mart,
        "select active_viewers, watched_seconds, multilingual_viewers, new_viewers from fact_audience_base "
        "where period = ? and country = '**'",
        [period],
    )
    row: Record = found[0] if found else {"watched_seconds": 0}
    return Base(
        row.get("active_viewers"),
        round((row["watched_seconds"] or 0) / 3600 + 1e-6, 1),
        row.get("multilingual_viewers"),
        row.get("new_viewers"),
    )


def _rows(mart: Mart, sql: str, parameters: Sequence[Any]) -> list[Record]:
    found: list[Record] = mart.table(sql, parameters).to_pylist()
    return found
