"""Prints rows as a table for people, or as JSON or CSV for programs."""

import csv
import io
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from marquee.lake.datasets import WORLDWIDE
from marquee.neutral import neutral, neutral_cell, neutral_json
from marquee.report.console import console
from marquee.report.formats import NUMBERED, Format

ONCE = frozenset({"period", "country", "country_name", "genre"})
"""Columns that are printed once, beside the title, when all rows have the same value."""
GAP = 2
"""Spaces between columns."""
FOLDED = 12
"""Minimum width in characters of a text column, whose cells are folded over several lines."""
DECIMALS = 3
NONE = "–"

Rows = Sequence[Sequence[Any]]


def print_rows(columns: Sequence[str], rows: Rows, form: Format, title: str = "") -> None:
    """Print rows in a format."""
    if form == "json":
        sys.stdout.write(to_json(columns, rows))
    elif form == "csv":
        sys.stdout.write(to_csv(columns, rows))
    else:
        _print_table(columns, rows, title)


def print_answer(title: str, columns: Sequence[str], rows: Rows, width: int | None = None) -> None:
    """Print rows as a table. A column with a single value, such as the period, is printed beside the title instead.

    ``width`` is the maximum width in characters. Default: the width of the terminal.
    """
    once = {
        number: _cell(rows[0][number], DECIMALS)
        for number, name in enumerate(columns)
        if name in ONCE and rows and all(row[number] == rows[0][number] for row in rows)
    }
    kept = [number for number in range(len(columns)) if number not in once]
    _print_table(
        [columns[number] for number in kept],
        [[row[number] for number in kept] for row in rows],
        title,
        " · ".join(value for value in once.values() if value not in {NONE, WORLDWIDE}),
        width,
    )


def to_json(columns: Sequence[str], rows: Rows) -> str:
    """Return rows as a JSON list of objects, with exact values."""
    listed = [dict(zip(columns, row, strict=True)) for row in rows]
    return neutral_json(json.dumps(listed, default=_plain, ensure_ascii=False, indent=1)) + "\n"


def to_csv(columns: Sequence[str], rows: Rows) -> str:
    """Return rows as CSV, in which no text is a formula or a command to a terminal."""
    text = io.StringIO()
    for row in (columns, *rows):
        plain = [_plain(cell) if isinstance(cell, date) else cell for cell in row]
        safe = [neutral_cell(cell) if isinstance(cell, str) else cell for cell in plain]
        # Readers take a carriage return for the end of a row; Python's writer does not quote it.
        returns = any(isinstance(cell, str) and "\r" in cell for cell in safe)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL).writerow(safe)
    return text.getvalue()


def to_table(columns: Sequence[str], rows: Rows, width: int) -> tuple[Table, int]:
    """Return rows as a table of at most ``width`` characters, and the number of columns that do not fit."""
    shaped = [_shape(name, [row[number] for row in rows]) for number, name in enumerate(columns)]
    while len(shaped) > 1 and sum(one.least + GAP for one in shaped) - GAP > width:
        shaped.pop()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")
    table.padding = (0, GAP // 2)
    for one, fitted in zip(shaped, _fit(shaped, width), strict=True):
        table.add_column(one.head, justify="right" if one.numeric else "left", width=fitted, overflow="fold")
    for cells in zip(*(one.cells for one in shaped), strict=True):
        table.add_row(*map(Text, cells))
    return table, len(columns) - len(shaped)


@dataclass(frozen=True)
class _Column:
    """A column as text: its head, folded to the width of its cells, its width and its minimum width."""

    head: Text
    cells: list[str]
    numeric: bool
    width: int
    least: int


def _fit(columns: Sequence[_Column], width: int) -> list[int]:
    """Return the columns' widths for a table of ``width``: text is narrowed first, then names, from the right."""
    widths = [one.width for one in columns]
    has_words = [any(" " in cell for cell in one.cells) for one in columns]
    for number in sorted(range(len(columns)), key=lambda number: (not has_words[number], -number)):
        excess = sum(widths) + GAP * (len(widths) - 1) - width
        widths[number] = max(columns[number].least, widths[number] - max(excess, 0))
    return widths


def _print_table(columns: Sequence[str], rows: Rows, title: str, beside: str = "", width: int | None = None) -> None:
    out = console()
    if title:
        apart = "\n" if cell_len(f"{title}  {beside}") > (width or out.width) else "  "
        out.print(Text(title, "bold").append(f"{apart}{beside}" if beside else "", "not bold dim"))
    if not rows:
        out.print("(no rows)", style="dim")
        return
    table, left_out = to_table(columns, rows, min(width or out.width, out.width))
    out.print(table)
    if left_out:
        what = "column is" if left_out == 1 else "columns are"
        out.print(f"({left_out} more {what} left out. Widen the terminal, or use --format json)", style="dim")


def _shape(name: str, values: Sequence[Any]) -> _Column:
    numeric = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    decimals = max((_decimals(value) for value in values if isinstance(value, float)), default=0)
    cells = [_plain(value) if name in NUMBERED and value is not None else _cell(value, decimals) for value in values]
    longest = max(map(cell_len, cells), default=0)
    words = neutral(name).replace("_percent", "_%").replace("_", " ").split(" ")
    narrow = max(longest, *map(len, words))
    head = Text(textwrap.fill(" ".join(words), narrow, break_on_hyphens=False))
    return _Column(head, cells, numeric, narrow, narrow if numeric else min(narrow, FOLDED))


def _decimals(value: float) -> int:
    """Return the number of decimals of a number, at most ``DECIMALS``."""
    return len(f"{value:.{DECIMALS}f}".rstrip("0").partition(".")[2])


def _cell(value: object, decimals: int) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.{decimals}f}"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return neutral(_plain(value))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
