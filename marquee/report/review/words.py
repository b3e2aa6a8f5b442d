"""Sentences of a review: text in which numbers and titles stay values, so that each output formats and escapes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from string import Formatter
from typing import Any

DECIMALS = 3
"""Maximum number of decimals that is shown."""
NONE = "–"
PERCENT = "\N{NO-BREAK SPACE}%"
"""The unit of a share."""


@dataclass(frozen=True)
class Number:
    """A number, with its decimals and the unit that follows it directly."""

    value: float
    decimals: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Name:
    """Somebody else's words: the title of a show, a country, a genre."""

    text: str


Part = str | Number | Name
Sentence = tuple[Part, ...]


def sentence(template: str, **values: Part | Sentence | float) -> Sentence:
    """Fill a template such as ``{title} reaches {viewers} viewers``; whole numbers need not be wrapped."""
    parts: list[Part] = []
    for text, name, _, _ in Formatter().parse(template):
        if text:
            parts.append(text)
        if name:
            value = values[name]
            if isinstance(value, int | float):
                parts.append(number_of(value))
            else:
                parts.extend(value if isinstance(value, tuple) else (value,))
    return tuple(parts)


def number_of(value: float, unit: str = "") -> Number:
    """Return a number with the decimals that it has."""
    return Number(value, decimals_of([value]), unit)


def several(number: float, one: str, more: str) -> Sentence:
    """Return a number with its noun: ``1 viewer``, ``2 viewers``."""
    return (number_of(number), f" {one if number == 1 else more}")


def listed(parts: Sequence[Part | Sentence]) -> Sentence:
    """Return parts as a list in a sentence: ``A, B and C``."""
    joined: list[Part] = []
    for place, part in enumerate(parts):
        if place:
            joined.append(" and " if place == len(parts) - 1 else ", ")
        joined.extend(part if isinstance(part, tuple) else (part,))
    return tuple(joined)


def named(parts: Sequence[Part], every: int = 0) -> Sentence:
    """Return a sentence with the first names of a list of ``every``, such as ``First are A and B``, or all of them."""
    start = "These" if every == len(parts) else "First"
    if every == len(parts) == 1:
        return sentence(" It is {names}.", names=listed(parts))
    return sentence(
        " {start} {verb} {names}.", start=start, verb="is" if len(parts) == 1 else "are", names=listed(parts)
    )


def plain(parts: Sentence) -> str:
    """Return a sentence as text, with numbers as English writes them."""
    return "".join(
        part if isinstance(part, str) else part.text if isinstance(part, Name) else number_text(part) for part in parts
    )


def number_text(number: Number) -> str:
    """Return a number as English writes it: ``1,234.5``."""
    return f"{number.value:,.{number.decimals}f}{number.unit}"


def decimals_of(values: Sequence[Any]) -> int:
    """Return the decimals that show all numbers of a column, at most ``DECIMALS``."""
    return max(
        (
            len(f"{value:.{DECIMALS}f}".rstrip("0").partition(".")[2])
            for value in values
            if isinstance(value, float) and not isinstance(value, bool)
        ),
        default=0,
    )


HEADINGS = {
    "set_effect": "left with nothing if removed in order",
    "near_sole_viewers": "near sole viewers (only this, or nearly)",
    "near_sole_percent": "near sole % (only this, or nearly)",
    "sole_viewers": "sole viewers (only this)",
    "sole_percent": "sole % (only this)",
    "affinity_index": "affinity (100: average)",
    "top_country": "country of most viewers",
}
"""Names of columns that are no words of a reader's."""


def heading(column: str) -> str:
    """Return the name of a column in words: ``share_percent`` is ``share %``."""
    return HEADINGS.get(column) or column.replace("_percent", " %").replace("_", " ").strip()


def cell_text(value: object) -> str:
    """Return a value that is no number as text."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat(" ", "seconds") if isinstance(value, datetime) else _day(value)


def _day(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def is_number(value: object) -> bool:
    """Return whether a value is a number, which a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


Record = Mapping[str, Any]
"""A row by column."""
