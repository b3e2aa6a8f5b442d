"""The review as a workbook: a sheet for the catalogue, one for each question with all of its rows, and definitions.

Columns have types: dates, whole numbers, decimals, shares as percent. Texts are written as texts, so none is a formula.
The same answers give the same bytes.
"""

import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import xlsxwriter

from marquee.neutral import neutral
from marquee.report.formats import NUMBERED
from marquee.report.review.answers import CATALOGUE, Answered, Review
from marquee.report.review.readings import answer_of
from marquee.report.review.verdicts import verdicts
from marquee.report.review.words import Record, decimals_of, heading, is_number, plain
from marquee.version import __version__

CREATED = datetime(2000, 1, 1)  # noqa: DTZ001 - the file's property has no zone; fixed, for the same bytes every time
SHEET = 31
"""Maximum length of a sheet's name, which is Excel's."""
LONGEST = 32_767
"""Maximum length of a text, which is Excel's; a longer one is cut."""
ROWS = 1_048_575
"""Maximum number of rows below the heading, which is Excel's; the rest is left out, and the definitions say so."""
WIDTH = 48
"""Maximum width of a column in characters."""
CREDIT = "Shows and episodes: TVmaze (https://www.tvmaze.com), CC BY-SA 4.0"


def review_workbook(review: Review) -> bytes:
    """Return the workbook of a review."""
    out = _Book()
    judged = verdicts(review)
    about = [["period", review.period], ["credit", CREDIT], ["made by", f"Marquee {__version__}"]]
    out.text("about", ["", ""], about)
    if catalogue := review.answers.get(CATALOGUE):
        rows = [{**show, "verdict": one.kind, "because": plain(one.because)} for show, one in judged]
        columns = [*catalogue.columns, "set_effect", "removal_step", "trend", "verdict", "because"]
        out.table(CATALOGUE, columns, rows)
    others = [one for name, one in review.answers.items() if name != CATALOGUE]
    for one in others:
        out.table(one.question.name, one.columns, one.rows)
    out.text(
        "definitions",
        ["sheet", "question", "answer", "definition", "caveat"],
        [_definition(one) for one in review.answers.values()],
    )
    return out.close()


def answer_workbook(
    name: str, columns: Sequence[str], rows: Sequence[Record], about: Sequence[Sequence[str]] = ()
) -> bytes:
    """Return one answer as a workbook; ``about`` are rows of a second sheet, with its definition and credit."""
    out = _Book()
    out.table(name, columns, rows)
    out.text("definitions", ["", ""], about)
    return out.close()


def _definition(one: Answered) -> list[str]:
    left_out = [f"{len(one.rows) - ROWS:,} rows do not fit"] if len(one.rows) > ROWS else []
    caveat = "; ".join([one.trust.text(), *left_out])
    return [one.question.name, one.question.words, plain(answer_of(one)), one.question.reckoning, caveat]


class _Book:
    """A workbook in memory."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._book = xlsxwriter.Workbook(self._file, {"in_memory": True})
        self._book.set_properties({"title": "Catalogue review", "author": "Marquee", "created": CREATED})
        self._head = self._book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
        self._wrapped = self._book.add_format({"text_wrap": True, "valign": "top"})
        self._formats: dict[str, Any] = {}

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Record]) -> None:
        """Add a sheet with typed columns, a frozen heading and a filter."""
        sheet = self._sheet(name, columns)
        for at, column in enumerate(columns):
            values = [row[column] for row in rows[:ROWS]]
            kind = self._format(_number_format(column, values))
            longest = max((len(str(value)) for value in values if value is not None), default=0)
            sheet.set_column(at, at, min(max(longest, len(column) // 2, 8) + 2, WIDTH))
            for number, value in enumerate(values, start=1):
                _write(sheet, number, at, value / 100 if _is_share(column, value) else value, kind)
        if columns:
            sheet.autofilter(0, 0, len(rows[:ROWS]), len(columns) - 1)
            sheet.freeze_panes(1, 1 + (columns[0] == "period"))

    def text(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a sheet of texts."""
        sheet = self._sheet(name, columns)
        sheet.set_column(0, 0, 24)
        sheet.set_column(1, len(columns) - 1, WIDTH + 12)
        for number, row in enumerate(rows, start=1):
            for at, value in enumerate(row):
                _write(sheet, number, at, value, self._wrapped)
        sheet.freeze_panes(1, 0)

    def close(self) -> bytes:
        self._book.close()
        return self._file.getvalue()

    def _sheet(self, name: str, columns: Sequence[str]) -> Any:  # noqa: ANN401 - the library has no types
        sheet = self._book.add_worksheet(name[:SHEET])
        for at, column in enumerate(columns):
            sheet.write_string(0, at, heading(column), self._head)
        return sheet

    def _format(self, number_format: str) -> Any:  # noqa: ANN401 - as above
        if number_format not in self._formats:
            self._formats[number_format] = self._book.add_format({"num_format": number_format})
        return self._formats[number_format]


def _is_share(column: str, value: object) -> bool:
    return column.endswith("_percent") and is_number(value)


def _number_format(column: str, values: Sequence[Any]) -> str:
    places = decimals_of(values)
    decimals = "." + "0" * places if places else ""
    if column.endswith("_percent"):
        return f"0{decimals}%"
    if column in NUMBERED:
        return "0"
    if any(isinstance(value, datetime) for value in values):
        return "yyyy-mm-dd hh:mm:ss"
    if any(isinstance(value, date) for value in values):
        return "yyyy-mm-dd"
    return f"#,##0{decimals}" if any(map(is_number, values)) else "General"


def _write(sheet: Any, row: int, column: int, value: Any, kind: Any) -> None:  # noqa: ANN401 - the library has no types
    if value is None:
        return
    if is_number(value):
        sheet.write_number(row, column, value, kind)
    elif isinstance(value, date):
        sheet.write_datetime(row, column, value, kind)
    else:
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else neutral(str(value))
        sheet.write_string(row, column, text[:LONGEST], kind)
