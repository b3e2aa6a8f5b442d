"""What reads an answer: its picture, its sentence, and what it says about decisions; and the common pieces of these.

An answer may have rows that are not ranked (their ``place`` is null), such as the one of all shows, and rows for
countries beside those for the world (country ``**``). ``ranked`` and ``worldwide`` choose.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from marquee.lake.datasets import WORLDWIDE
from marquee.report.review import svg
from marquee.report.review.answers import Answered
from marquee.report.review.words import (
    PERCENT,
    Name,
    Number,
    Record,
    Sentence,
    decimals_of,
    heading,
    is_number,
    sentence,
)

ROWS = 12
"""Rows in a picture."""
NAMED = 3
"""Shows that a finding names."""

Part = Literal["keep", "go", "changed"]


@dataclass(frozen=True)
class Finding:
    """A sentence for the first page: what to keep, what could go, or where something changed."""

    part: Part
    question: str
    text: Sentence


@dataclass(frozen=True)
class Reading:
    """How an answer is read. Each function gets an answer that has rows, and the columns of ``needs``."""

    needs: tuple[str, ...]
    picture: Callable[[Answered], str]
    answer: Callable[[Answered], Sentence]
    findings: Callable[[Answered], list[Finding]] = lambda _answer: []
    shown: Callable[[Answered, int], tuple[int, Sequence[Record]]] = lambda answer, rows: (0, answer.rows[:rows])
    """The rows of a table that has only so many, and the number of those before them."""


NOTHING: Sentence = ("There is nothing to show for this period.",)


def worldwide(answer: Answered) -> Answered:
    """Return the rows of the world, if the question is about the world and has rows for countries as well."""
    asked = answer.question.example.get("country") == WORLDWIDE
    return _some(answer, answer.where(country=WORLDWIDE)) if asked else answer


def ranked(answer: Answered) -> Answered:
    """Return the rows of the world that have a place, in the order of places."""
    rows = [row for row in worldwide(answer).rows if row.get("place") is not None]
    return replace(answer, rows=tuple(sorted(rows, key=lambda row: row["place"])))


def overall(answer: Answered) -> Record | None:
    """Return the row of everything together, which has no place; None if there is none."""
    return next((row for row in worldwide(answer).rows if "place" in row and row["place"] is None), None)


def of_example(answer: Answered) -> Answered:
    """Return the rows that the question's words ask for; all rows if there are none of them."""
    return _some(answer, answer.where(**answer.question.example))


def _some(answer: Answered, chosen: Answered) -> Answered:
    return chosen if chosen.rows else answer


def title_of(row: Record) -> Name:
    """Return the title of a row."""
    return Name(str(row["title"]))


def country_of(row: Record) -> Name:
    """Return the name of a row's country; its code if the name is unknown."""
    return Name(str(row.get("country_name") or row["country"]))


@dataclass(frozen=True)
class Bars:
    """A picture with a bar for each of the first rows that have a value.

    Attributes:
        label: columns of the label, separated by spaces.
        value: column of the bar.
        unit: unit of the value.
        beside: column that is written before the value.
        more: column that contains the value and more: the rest is drawn after it in another shade.
        mark: column of a mark, for comparison.
        average: whether the row of everything together is drawn as a line.
    """

    label: str
    value: str
    unit: str = ""
    beside: str = ""
    more: str = ""
    mark: str = ""
    average: bool = False

    def __call__(self, answer: Answered) -> str:
        chosen = ranked(answer) if "place" in answer.columns else answer
        shown = [row for row in chosen.rows if row[self.value] is not None][:ROWS]
        if not shown:
            return ""
        decimals = decimals_of([row[self.value] for row in shown])
        rows = [
            svg.Bar(
                label_of(row, self.label),
                self._parts(row),
                Number(row[self.value], decimals, self.unit),
                beside_of(row, self.beside),
                row[self.mark] if self.mark else None,
            )
            for row in shown
        ]
        legend = [heading(self.value), heading(self.more)] if self.more else []
        title = f"{answer.question.words} {heading(self.value)}, the first {len(rows)}."
        return svg.bars(title, rows, self._reference(answer), legend)

    def _parts(self, row: Record) -> tuple[float, ...]:
        value = max(row[self.value], 0)
        return (value, max((row[self.more] or 0) - value, 0)) if self.more else (value,)

    def _reference(self, answer: Answered) -> tuple[float, str] | None:
        row = overall(answer) if self.average else None
        return (
            None if row is None or row[self.value] is None else (row[self.value], f"all together: {row[self.value]:g}")
        )


def label_of(row: Record, columns: str) -> str:
    """Return the values of columns as a label."""
    values = (
        row.get("country_name") or row.get("country") if one == "country_name" else row[one] for one in columns.split()
    )
    return " · ".join(str(value) for value in values if value is not None)


def beside_of(row: Record, column: str) -> str:
    """Return the value of a column as a remark, such as ``60 %`` or ``133 reach``."""
    value = row.get(column) if column else None
    if value is None:
        return ""
    if column.endswith("_percent"):
        return f"{value:g}{PERCENT}"
    return f"{value:,g} {heading(column)}" if is_number(value) else str(value)


@dataclass(frozen=True)
class First:
    """A sentence about the first row: ``{name}`` is its name, other fields are columns.

    Attributes:
        template: the sentence.
        value: column that the row must have.
        name: column of the name.
    """

    template: str
    value: str
    name: str = "title"

    def __call__(self, answer: Answered) -> Sentence:
        rows = (ranked(answer) if "place" in answer.columns else answer).rows
        first = next((row for row in rows if row[self.value] is not None), None)
        if first is None:
            return ("There are too few viewers to show.",)
        name = country_of(first) if self.name == "country" else Name(str(first[self.name]))
        return sentence(self.template, **{**{key: part_of(key, value) for key, value in first.items()}, "name": name})


def part_of(column: str, value: Any) -> Number | Name:  # noqa: ANN401 - of any column
    """Return a value of a column for a sentence."""
    if is_number(value):
        least = 1 if "hours" in column else 0  # "1.0 hours", not "1 hours"
        return Number(value, max(least, decimals_of([value])), PERCENT if column.endswith("_percent") else "")
    return Name("unknown" if value is None else str(value))


# Any question


def _general_columns(answer: Answered) -> tuple[str, str]:
    """Return the columns of the label and of the value: the first text, and the first number that is no place."""
    texts = [one for one in answer.columns if one != "period" and any(isinstance(row[one], str) for row in answer.rows)]
    best = (
        [one for one in texts if one in {"title", "genre", "network", "country_name"}] or texts or list(answer.columns)
    )
    numbers = [one for one in answer.columns if "place" not in one and any(is_number(row[one]) for row in answer.rows)]
    return best[0], numbers[0] if numbers else ""


def _general_picture(answer: Answered) -> str:
    label, value = _general_columns(answer)
    return Bars(label, value, PERCENT if value.endswith("_percent") else "")(answer) if value else ""


def _general_answer(answer: Answered) -> Sentence:
    label, value = _general_columns(answer)
    rows = (ranked(answer) if "place" in answer.columns else answer).rows
    first = next((row for row in rows if value and row[value] is not None), None)
    if first is None:
        return NOTHING
    unit = "" if value.endswith("_percent") else f" {heading(value)}"
    return sentence(
        "First is {name}: {value}{unit}.", name=Name(str(first[label])), value=part_of(value, first[value]), unit=unit
    )


GENERAL = Reading((), _general_picture, _general_answer)
"""How a question without a reading of its own is read: its first text is the label, its first number the value."""
