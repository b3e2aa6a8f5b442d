"""Tables, JSON and CSV: tables fit the terminal, and JSON and CSV are exact and safe."""

import csv
import io
import json
from datetime import UTC, date, datetime

import pytest
from rich.cells import cell_len

from marquee.report.console import say, say_command
from marquee.report.tables import print_answer, print_rows, to_csv, to_json
from marquee.runs.stage import State

NARROW = 40


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the width of the terminal, which the environment of the test run may set."""
    monkeypatch.delenv("COLUMNS", raising=False)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the printed lines without trailing spaces."""
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_season_of_a_year_is_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The number of a season has no thousands separator, unlike a number of viewers."""
    print_rows(["season", "viewers"], [[2026, 2026], [None, 1]], "table")
    assert lines_of(capsys)[-2:] == ["  2026    2,026", "     –        1"]


def test_table_of_one_look(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are right-aligned with thousands separators and the decimals of their column; null is a dash."""
    columns = ["title", "share_percent", "hours_a_viewer", "reach", "binged"]
    rows = [["夜汽車", 92.5, 0.8, 1_234_567, True], ["Case", 100.0, 0.91, None, False]]
    print_rows(columns, rows, "table", "Shows")
    # Heads are folded to the width of their column; a Japanese character takes two places.
    assert lines_of(capsys) == [
        "Shows",
        f"{16 * ' '}hours",
        "        share       a",
        "title       %  viewer      reach  binged",
        "─" * 40,
        "夜汽車   92.5    0.80  1,234,567  yes",
        "Case    100.0    0.91          –  no",
    ]


def test_whole_numbers_have_no_decimals(capsys: pytest.CaptureFixture[str]) -> None:
    """Whole numbers have no decimals, also if the database returns fractions; an empty column is right-aligned."""
    print_rows(["index", "later"], [[2098.0, None], [7.0, None]], "table")
    assert lines_of(capsys)[-2:] == ["2,098      –", "    7      –"]


def test_times_are_told_to_the_second(capsys: pytest.CaptureFixture[str]) -> None:
    """Times are shown in UTC to the second."""
    print_rows(["at", "day"], [[datetime(2026, 1, 5, 13, 2, 11, 5, UTC), date(2026, 1, 5)]], "table")
    assert lines_of(capsys)[-1] == "2026-01-05 13:02:11  2026-01-05"


def test_no_rows_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty answer is shown as "(no rows)", not as an empty table."""
    print_rows(["title"], [], "table", "Shows")
    assert lines_of(capsys) == ["Shows", "(no rows)"]


def test_what_all_rows_share_stands_beside_the_title(capsys: pytest.CaptureFixture[str]) -> None:
    """Period, country and genre stand beside the title if all rows share them, and differing values are a column."""
    columns = ["period", "country", "country_name", "genre", "hours"]
    rows = [["2026-W02", "KR", None, "Romance", 2], ["2026-W02", "KR", None, "Drama", 1]]
    print_answer("Which?", columns, rows)
    assert lines_of(capsys) == [
        "Which?  2026-W02 · KR",
        "genre    hours",
        "──────────────",
        "Romance      2",
        "Drama        1",
    ]


def test_only_what_is_the_same_by_meaning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A measure that is equal in all rows stays a column."""
    print_answer("Which?", ["title", "place"], [["One", 1], ["Two", 1]])
    assert lines_of(capsys)[0] == "Which?"
    assert lines_of(capsys) == []


def test_table_folds_words_to_fit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than the terminal: text is folded, and numbers and names stay whole."""
    monkeypatch.setenv("COLUMNS", str(NARROW))
    print_rows(["title", "name", "seconds"], [["The Hollow Echoes of Thornbury", "schedule_fetch", 1_000_000]], "table")
    lines = lines_of(capsys)
    assert max(map(cell_len, lines)) == NARROW
    assert "schedule_fetch  1,000,000" in lines[-3]
    assert [line[:13].strip() for line in lines[-3:]] == ["The Hollow", "Echoes of", "Thornbury"]


def test_table_leaves_out_what_cannot_fit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns on the right that do not fit are left out with a note, because half a number would be wrong."""
    monkeypatch.setenv("COLUMNS", str(NARROW))
    columns = [f"column_{n}" for n in range(8)]
    print_rows(columns, [[1_000_000 + n for n in range(8)]], "table")
    lines = lines_of(capsys)
    assert lines[2] == "1,000,000  1,000,001  1,000,002"
    assert " ".join(lines[3:]) == "(5 more columns are left out. Widen the terminal, or use --format json)"


def test_where_there_is_no_terminal_nothing_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, no line is folded."""
    print_rows(["title"], [["word " * 100]], "table")
    assert len(lines_of(capsys)) == 3
    say("word " * 100)
    assert len(lines_of(capsys)) == 1


def test_text_folds_between_words_and_commands_do_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text is folded between words, commands stay on one line, and markup is printed as text."""
    monkeypatch.setenv("COLUMNS", "20")
    say("three [bold]words here")
    say_command("export CONFIG=/a/long/path/[1]/marquee.toml")
    assert lines_of(capsys) == ["three [bold]words", "here", "export CONFIG=/a/long/path/[1]/marquee.toml"]


def test_name_from_elsewhere_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences, line breaks and direction marks in a name are replaced and cannot control the terminal."""
    print_rows(["title"], [["\x1b[2Jgone\r\n\u202eback\u200e\u200f\u061c\u2028\u2029"]], "table")
    assert lines_of(capsys)[-1] == "�[2Jgone���back�����"
    say("made \x1b[2J\u2028")
    assert lines_of(capsys) == ["made �[2J�"]


def test_markup_in_a_name_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in a name are text, not markup."""
    print_rows(["title"], [["[REC] [/]"]], "table", "[title]")
    assert lines_of(capsys) == ["[title]", "title", "─────────", "[REC] [/]"]


def test_json_is_exact() -> None:
    """JSON keeps numbers, nulls and text as they are, has times in ISO 8601, and ends with a line break."""
    columns = ["title", "hours", "reach", "at", "state"]
    row = ["夜", 0.25, None, datetime(2026, 1, 5, 13, tzinfo=UTC), State.STALE]
    text = to_json(columns, [row])
    assert text.endswith("]\n")
    assert "夜" in text
    assert json.loads(text) == [
        {"title": "夜", "hours": 0.25, "reach": None, "at": "2026-01-05T13:00:00+00:00", "state": "stale"}
    ]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        pytest.param("=HYPERLINK(1)", "'=HYPERLINK(1)", id="equals"),
        pytest.param("+1", "'+1", id="plus"),
        pytest.param("-1", "'-1", id="minus"),
        pytest.param("@sum", "'@sum", id="at"),
        pytest.param("\tx", "'\tx", id="tab"),
        pytest.param("\rx", "'\rx", id="carriage return"),
        pytest.param("\nx", "'\nx", id="line feed"),
        pytest.param("  =1", "'  =1", id="blanks"),
        pytest.param("\uff1d1", "'\uff1d1", id="full width"),
        pytest.param("\x1b[2J", "\ufffd[2J", id="escape"),
        pytest.param("a=b", "a=b", id="inside"),
        pytest.param('say "hi", you', 'say "hi", you', id="quotes and comma"),
        pytest.param(-1.5, "-1.5", id="number below zero"),
        pytest.param(None, "", id="nothing"),
        pytest.param(date(2026, 1, 5), "2026-01-05", id="day"),
        pytest.param(datetime(2026, 1, 5, 13, tzinfo=UTC), "2026-01-05T13:00:00+00:00", id="time"),
    ],
)
def test_csv_is_no_spreadsheet_program(cell: object, written: str) -> None:
    """A text that a spreadsheet would run gets an apostrophe in CSV, and all other values are unchanged."""
    (head, row) = csv.reader(io.StringIO(to_csv(["title", "x"], [[cell, 1]]), newline=""))
    assert head == ["title", "x"]
    assert row == [written, "1"]


def test_formats_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON and CSV are printed to standard output without a title."""
    print_rows(["a"], [[1]], "json", "Title")
    print_rows(["a"], [[1]], "csv", "Title")
    assert capsys.readouterr().out == '[\n {\n  "a": 1\n }\n]\na\n1\n'
