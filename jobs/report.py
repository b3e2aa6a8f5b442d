"""Tables for a person at a terminal, and the same as JSON or CSV for a machine."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Format = Literal["table", "json", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv")
FORMULA = ("=", "+", "-", "@", "\t", "\r")

ONCE = frozenset({"period", "country", "country_name", "genre"})
"""Columns that are told once, above a table, when all its rows agree on them."""

Rows = Sequence[Sequence[Any]]


def console() -> Console:
    """Return standard output as a console; where it is no terminal, lines are as long as they need be."""
    return Console() if sys.stdout.isatty() else Console(width=160, highlight=False)


def show(columns: Sequence[str], rows: Rows, form: Format, title: str | None = None) -> None:
    """Print rows in a format."""
    if form == "json":
        sys.stdout.write(
            json.dumps(
                [dict(zip(columns, row, strict=True)) for row in rows], default=str, ensure_ascii=False, indent=1
            )
        )
    elif form == "csv":
        sys.stdout.write(to_csv(columns, rows))
    else:
        console().print(to_table(columns, rows, title))


def show_answer(title: str, columns: Sequence[str], rows: Rows) -> None:
    """Print rows as a table whose columns of one value only, such as the period, stand in the title."""
    same = [
        name
        for number, name in enumerate(columns)
        if name in ONCE and rows and all(row[number] == rows[0][number] for row in rows)
    ]
    once = [str(rows[0][columns.index(name)]) for name in same]
    kept = [number for number, name in enumerate(columns) if name not in same]
    console().print(
        to_table(
            [columns[number] for number in kept],
            [[row[number] for number in kept] for row in rows],
            f"{title}  [dim]{escape(' · '.join(once))}[/]" if once else title,
        )
    )


def to_csv(columns: Sequence[str], rows: Rows) -> str:
    """Return rows as CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell for cell in row])
    return text.getvalue()


def to_table(columns: Sequence[str], rows: Rows, title: str | None = None) -> Table:
    """Return rows as a table: numbers to the right, thousands apart."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for number, name in enumerate(columns):
        numeric = any(isinstance(row[number], int | float) and not isinstance(row[number], bool) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return escape(str(value))
