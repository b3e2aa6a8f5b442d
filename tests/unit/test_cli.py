"""The command line in this process: help, and commands without a lake; tests/integration/test_cli.py has the rest."""

import argparse
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.cli.__main__ import main
from jobs.cli.ask import _limit, _only
from jobs.cli.parser import GRACE_DAYS, TRENDS, make_parser
from marquee.lake.superseded import GRACE
from marquee.mart import answers
from marquee.mart.questions import QUESTIONS, find_question
from tests.helpers_cli import error_of, out_of, usage_error

COMMANDS = [
    "demo",
    "run",
    "schedule-fetch",
    "rollup",
    "profile",
    "mart-load",
    "status",
    "ask",
    "report",
    "what-if",
    "mart",
    "config",
    "preflight",
    "verify",
    "gc",
    "erase",
    "rekey",
    "retain",
    "simulate",
    "completion",
    "help",
]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the width of the terminal, which the environment of the test run may set."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_what_it_does_and_the_exit_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The help of each command shows its usage and the exit codes within 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: marquee {command}" in shown
    assert "exit codes: 0 done, or nothing to do; 2 usage; 65 bad input" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The help lists every command with a one-line description, in the order in which a newcomer needs them."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("    ") and line[4] != " "]
    assert listed == COMMANDS
    assert "\n    schedule-fetch  capture the programme schedule, day by day\n" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_has_help(command: str) -> None:
    """Every argument of every command has a help text."""
    choices: Any = next(action.choices for action in make_parser()._actions if isinstance(action.choices, dict))
    parser: argparse.ArgumentParser = choices[command]
    assert [action.dest for action in parser._actions if not action.help] == []


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A command line without a command is a usage error."""
    assert usage_error(capsys) == "marquee: error: Missing COMMAND"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["statsu"], "marquee: error: Unknown command 'statsu'. Did you mean status?", id="command"),
        pytest.param(["mart", "inti"], "marquee mart: error: Unknown command 'inti'. Did you mean init?", id="action"),
        pytest.param(
            ["rollup", "--forse"], "marquee rollup: error: Unknown option '--forse'. Did you mean --force?", id="option"
        ),
        pytest.param(["gc", "now"], "marquee gc: error: Unexpected argument 'now'", id="argument"),
        pytest.param(["run", "--from"], "marquee run: error: --from needs a value", id="no value"),
    ],
)
def test_misspelt_command_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """A misspelt command line is a usage error that suggests the right word."""
    assert usage_error(capsys, *arguments) == message


def test_messages_are_text_through_a_pipe_unless_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are text, also through a pipe; `--log json` and the setting give JSON."""
    assert main(["gc"]) == 78
    assert re.match(r"\d\d:\d\d:\d\d ERROR   wrong settings:", capsys.readouterr().err)
    assert main(["gc", "--log", "json"]) == 78
    assert json.loads(capsys.readouterr().err)["level"] == "error"
    monkeypatch.setenv("MARQUEE_LOG__FORMAT", "json")
    assert main(["gc"]) == 78
    assert json.loads(capsys.readouterr().err)["level"] == "error"


@pytest.mark.parametrize("command", ["status", "config", "run", "verify", "gc"])
def test_nothing_configured(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A command without any settings says which setting to begin with."""
    assert "MARQUEE_LAKE: is not set" in error_of(capsys, command, code=78)


def test_ask_lists_the_questions(capsys: pytest.CaptureFixture[str]) -> None:
    """`ask` lists the questions without any settings; as JSON it also gives how each one is calculated."""
    shown = out_of(capsys, "ask")
    assert [line.split()[0] for line in shown.splitlines()[3:]] == [one.name for one in QUESTIONS]
    listed = json.loads(out_of(capsys, "ask", "--format", "json"))
    assert listed[0] == {
        "name": QUESTIONS[0].name,
        "question": QUESTIONS[0].words,
        "reckoning": QUESTIONS[0].reckoning,
        "also": ", ".join(QUESTIONS[0].also),
    }


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        pytest.param([], 20, id="a table: the question's"),
        pytest.param(["--format", "json"], 0, id="JSON: all"),
        pytest.param(["--format", "csv"], 0, id="CSV: all"),
        pytest.param(["--format", "csv", "--limit", "7"], 7, id="CSV with a limit"),
        pytest.param(["--all-rows"], 0, id="a whole table"),
        pytest.param(["--trend", "week"], 3, id="a trend: three of each period"),
    ],
)
def test_only_a_table_is_cut_unless_asked_for(arguments: list[str], limit: int) -> None:
    """A table has the question's number of rows; JSON and CSV are whole unless there is a limit."""
    given = make_parser("ask").parse_args(["ask", "binge", *arguments])
    assert _limit(given, find_question("binge")) == limit


@pytest.mark.parametrize(
    ("arguments", "only"),
    [
        ([], {"kind": "all"}),
        (["--title", "Cases"], {"title": "Cases"}),
        (["--only", "title=Cases"], {"title": "Cases"}),
        (["--title", "Crime", "--only", "kind=genre"], {"title": "Crime", "kind": "genre"}),
    ],
)
def test_a_title_is_of_any_kind(arguments: list[str], only: dict[str, str]) -> None:
    """A title replaces the kind that a question names: the row of everything has another title."""
    given = make_parser("ask").parse_args(["ask", "trend-by-week", *arguments])
    assert _only(given, find_question("trend-by-week")) == only


def test_trends_of_the_parser_are_those_of_answers() -> None:
    """The help has its own copy of the grains of a trend, because importing the real one is slow; both are equal."""
    assert TRENDS == answers.TRENDS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--only", "KR"], "Invalid condition 'KR'. Use COLUMN=VALUE, such as country=KR", id="no assignment"
        ),
        pytest.param(["--limit", "-1"], "Invalid number '-1'. Use a whole number of 0 or more", id="limit below zero"),
        pytest.param(["--format", "xml"], "Invalid FORMAT 'xml'. Use one of: table, json, csv", id="format"),
    ],
)
def test_ask_used_wrongly(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Wrong options of `ask` are usage errors that say which values are valid."""
    assert message in usage_error(capsys, "ask", "binge", *arguments)


@pytest.mark.parametrize("hours", ["-1", "nan", "inf", "1e300", "week"])
def test_gc_with_no_number_of_hours(capsys: pytest.CaptureFixture[str], hours: str) -> None:
    """`gc` refuses a grace that is not a number of hours, so that nothing is deleted by mistake."""
    assert usage_error(capsys, "gc", f"--grace-hours={hours}").endswith(
        f"Invalid hours '{hours}'. Use a number of 0 or more"
    )


def test_simulate_says_what_it_wrote(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`simulate` reports the events and the late files that it wrote, and writes nothing the second time."""
    base = ["simulate", "--folder", str(tmp_path / "raw"), "--days", "1", "--events-per-day", "1000"]
    first = out_of(capsys, *base)
    assert first.startswith(f"{(tmp_path / 'raw').as_uri()}: ")
    assert first.endswith(" Late-arriving files, which --late writes: 1.\n")
    files = len(list(tmp_path.rglob("*.json.gz")))
    assert f"in {files + 1:,} files" in first
    assert out_of(capsys, *base).endswith("is already complete: nothing was written.\n")
    assert "late files: 1, " in out_of(capsys, *base, "--late")
    assert len(list(tmp_path.rglob("*.json.gz"))) == files + 1
    assert out_of(capsys, *base, "--late").endswith("is already complete: nothing was written.\n")


def test_simulate_one_busy_hour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`simulate --hour` writes the requested number of events of one hour into the folder that MARQUEE_RAW names."""
    monkeypatch.setenv("MARQUEE_RAW", tmp_path.as_uri())
    shown = out_of(capsys, "simulate", "--hour", "2026-01-05T13", "--events-per-day", "1000", "--partitions", "1")
    assert shown.startswith(f"{tmp_path.as_uri()}: 1,000 events, ")
    (folder,) = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json.gz")}
    assert folder == "topics/plays/year=2026/month=01/day=05/hour=13"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--hour", "2026-01-05"], "Invalid hour '2026-01-05': it is a day", id="a day"),
        pytest.param(["--hour", "noon"], "Invalid period 'noon'. Use 2026-01-05T13 (hour)", id="no period"),
        pytest.param(["--hour", "2026-01-05T10", "--late"], "not allowed with argument", id="hour and late"),
        pytest.param(["--days", "week"], "Invalid number 'week'. Use a whole number of 0 or more", id="no number"),
    ],
)
def test_simulate_used_wrongly(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Wrong options of `simulate` are usage errors that say which values are valid."""
    assert message in usage_error(capsys, "simulate", *arguments)


def test_demo_told_wrongly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The demo with a wrong option ends with code 78 and creates no folder."""
    folder = tmp_path / "demo"
    message = error_of(capsys, "demo", "--folder", str(folder), "--events-per-day", "10", code=78)
    assert message == "--events-per-day 10: Input should be greater than or equal to 1000"
    assert not folder.exists()


def test_help_of_gc_states_the_grace_in_force() -> None:
    """The help has its own copy of the default grace, because importing the real one is slow; both are equal."""
    assert timedelta(days=GRACE_DAYS) == GRACE
