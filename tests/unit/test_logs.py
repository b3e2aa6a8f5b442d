"""Logs: JSON lines for a machine and readable lines for a person, on standard error."""

import json
import logging
from datetime import UTC, datetime
from typing import Literal

import pytest
from pydantic import SecretStr

from marquee.errors import ConfigError
from marquee.settings.loading import WrongSettingsError
from marquee.telemetry.logs import JsonFormatter, TextFormatter, set_up_logs, set_up_logs_of_worker

NOON = datetime(2026, 1, 5, 12, 0, 1, 250_000, tzinfo=UTC)


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    """Return a record of noon with these extras, as logging makes it."""
    made = logging.getLogger("jobs.test").makeRecord(
        "jobs.test", logging.INFO, "file.py", 1, message, arguments, None, extra=extra
    )
    made.created = NOON.timestamp()
    return made


def test_json_line_has_time_level_message_and_extras() -> None:
    """A JSON line is one object on one line, with the time in UTC and the text unescaped."""
    line = JsonFormatter().format(record("%s\nmade", "Pokémon", stage="rollup", rows=3, key=SecretStr("canary")))
    assert "\n" not in line
    assert "Pokémon" in line
    assert json.loads(line) == {
        "time": "2026-01-05T12:00:01.250+00:00",
        "level": "info",
        "logger": "jobs.test",
        "message": "Pokémon\nmade",
        "stage": "rollup",
        "rows": 3,
        "key": "**********",
    }


def test_text_line_is_short() -> None:
    """A text line has the time of day, level, message, and the extras that the message does not contain."""
    line = TextFormatter().format(record("rollup 2026-01-05T13 made", stage="rollup", run_id="r1", rows=3, rejects=0))
    assert line == "12:00:01 INFO    rollup 2026-01-05T13 made  rows=3 rejects=0"
    assert TextFormatter().format(record("nothing to do")) == "12:00:01 INFO    nothing to do"


HOSTILE = "k\x1b]0;title\x07\n12:00:01 ERROR   forged\u202e\u2028\x9b2J"
"""An object's key that would set the title of a terminal, forge a line of the log, and turn the direction."""


def test_words_from_outside_forge_no_line() -> None:
    """In a text log, control characters and line breaks of a message and its extras are replaced."""
    line = TextFormatter().format(record("cannot read %s", HOSTILE, key=HOSTILE))
    plain = "k\ufffd]0;title\ufffd\ufffd12:00:01 ERROR   forged\ufffd\ufffd\ufffd2J"
    assert line == f"12:00:01 INFO    cannot read {plain}  key={plain}"
    line = JsonFormatter().format(record("cannot read %s", HOSTILE))
    assert line.isprintable()
    assert json.loads(line)["message"] == f"cannot read {HOSTILE}"


def test_words_from_outside_forge_no_line_in_a_traceback() -> None:
    """The lines of a traceback stay, without control characters."""
    made = record("failed")
    error = ValueError("\x1b[2J")
    made.exc_info = (ValueError, error, error.__traceback__)
    assert TextFormatter().format(made).splitlines()[1:] == ["ValueError: \ufffd[2J"]


def test_only_an_error_of_ours_has_several_lines() -> None:
    """Wrong settings are listed one on each line; a line break of another error's text is replaced."""
    wrong = WrongSettingsError(["A: is not set", "B='x\n': wrong"])
    assert TextFormatter().format(record("%s", wrong)).splitlines() == [
        "12:00:01 INFO    wrong settings:",
        "  A: is not set",
        "  B='x\ufffd': wrong",
    ]
    assert "\n" not in TextFormatter().format(record("%s", ConfigError("one\ntwo")))


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["json", "text"])
def test_traceback_is_shown_where_it_is_given(formatter: logging.Formatter) -> None:
    """A traceback is shown with the class and the text of the error."""
    made = record("failed")
    error = ValueError("wrong")
    made.exc_info = (ValueError, error, error.__traceback__)
    assert "ValueError: wrong" in formatter.format(made)


@pytest.mark.parametrize(
    ("form", "is_json"),
    [
        pytest.param("json", True, id="json"),
        pytest.param("auto", True, id="no terminal"),
        pytest.param("text", False, id="text"),
    ],
)
def test_logs_go_to_standard_error(
    capsys: pytest.CaptureFixture[str], form: Literal["auto", "json", "text"], is_json: bool
) -> None:
    """Logs above the level go to standard error, and standard output stays free for results."""
    set_up_logs("warning", form)
    logging.getLogger("jobs.test").info("unheard")
    logging.getLogger("jobs.test").warning("heard")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "unheard" not in captured.err
    (line,) = captured.err.splitlines()
    assert "heard" in line
    assert line.startswith("{") == is_json


def test_debug_is_for_our_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Debug messages come from Marquee only; libraries log warnings only, because their requests may contain data."""
    set_up_logs("debug", "json")
    logging.getLogger("botocore.auth").debug("canary")
    logging.getLogger("urllib3.connectionpool").info("canary")
    logging.getLogger("jobs.test").debug("ours")
    logged = capsys.readouterr().err
    assert "canary" not in logged
    assert "ours" in logged


def test_worker_of_spark_logs_as_its_driver(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process without a handler, level info goes to standard error, once however often a task sets it up."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    for _ in range(2):
        set_up_logs_of_worker()
    logging.getLogger("marquee.outages").info("S3 answers again after %.0f s", 120.4)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "S3 answers again after 120 s"


def test_worker_in_a_process_that_logs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tasks run in somebody's process, as Sail's may, its handlers stay as they are."""
    handlers = [logging.NullHandler()]
    monkeypatch.setattr(logging.getLogger(), "handlers", handlers)
    set_up_logs_of_worker()
    assert logging.getLogger().handlers is handlers
