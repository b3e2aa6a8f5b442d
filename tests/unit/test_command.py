"""A stage as a command: its arguments, its exit code, and its last message."""

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.rollup.settings import RollupSettings
from marquee.calendar import EVER, Span
from marquee.errors import BadInputError, ConfigError, CorruptLakeError, LostRaceError, MarqueeError, TryAgainError
from marquee.lake.markers import Markers
from marquee.runs.arguments import add_period_arguments, read_span
from marquee.runs.command import (
    guarded,
    progress_bar,
    stage_command,
    summary_of,
    wait_for_signal,
)
from marquee.runs.stage import Advance
from marquee.settings.sections import StageSettings
from marquee.version import __version__

SECRET = "canary-77c0"


@dataclass(frozen=True)
class Ended:
    """The outcome of a run."""

    exit_code: int = 0
    changed: int = 0
    note: str = ""
    failures: int = 0


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the logged lines, which are JSON because standard error is not a terminal."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def instant(text: str) -> datetime:
    """Return an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Periods on the command line.


@pytest.mark.parametrize(
    ("arguments", "start", "end"),
    [
        pytest.param([], None, None, id="nothing: all that is pending"),
        pytest.param(["2026-01-05T13"], "2026-01-05T13", "2026-01-05T14", id="hour"),
        pytest.param(["2026-01-05"], "2026-01-05", "2026-01-06", id="day"),
        pytest.param(["2026-W02"], "2026-01-05", "2026-01-12", id="week"),
        pytest.param(["2026-01"], "2026-01-01", "2026-02-01", id="month"),
        pytest.param(["2026-Q1"], "2026-01-01", "2026-04-01", id="quarter"),
        pytest.param(["--from", "2026-01-05"], "2026-01-05", None, id="from"),
        pytest.param(["--to", "2026-01-05T13"], None, "2026-01-05T14", id="to"),
        pytest.param(["--from", "2026-Q1", "--to", "2026-01-05"], "2026-01-01", "2026-01-06", id="from and to"),
    ],
)
def test_period_arguments(arguments: list[str], start: str | None, end: str | None) -> None:
    """The arguments give a period, or a first and a last period, both included; an edge that is left out is open."""
    parser = argparse.ArgumentParser()
    add_period_arguments(parser)
    span = read_span(parser, parser.parse_args(arguments))
    assert span == Span(instant(start) if start else None, instant(end) if end else None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["2026-13"], "Invalid month '2026-13': month must be in 1..12", id="no such month"),
        pytest.param(["yesterday"], "Invalid period 'yesterday'. Use 2026-01-05T13 (hour), ", id="no period"),
        pytest.param(["--from", "05.01.2026"], "Invalid period '05.01.2026'. Use", id="another order"),
        pytest.param(
            ["--from", "2026-02", "--to", "2026-01"], "--from 2026-02 is after --to 2026-01", id="from after to"
        ),
        pytest.param(
            ["2026-01", "--to", "2026-02"], "Use a PERIOD, or --from and --to, not both", id="both ways at once"
        ),
    ],
)
def test_wrong_periods_are_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Wrong periods are usage errors with code 2 and a message, and no run starts."""
    with pytest.raises(SystemExit) as caught:
        stage_command("rollup", "", StageSettings, run_never, arguments)
    assert caught.value.code == 2
    assert f"python -m jobs.rollup: error: {message}" in capsys.readouterr().err


def run_never(*_: object, **__: object) -> Ended:
    """Fail the test, because no run may start."""
    raise AssertionError


# A stage as a command.


def test_stage_is_run_with_its_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stage runs over the span on the markers of its lake, with `--force` if given, and its exit code is returned."""
    monkeypatch.setenv("MARQUEE_LAKE", tmp_path.as_uri())
    seen: list[object] = []

    def run(settings: StageSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Ended:
        seen.extend([settings.lake, markers.store.url, span, force])
        advance(1, 2, "2026-01-05")
        return Ended(65, 3, failures=1)

    assert stage_command("rollup", "", StageSettings, run, ["--force"]) == 65
    assert seen == [tmp_path.as_uri(), tmp_path.as_uri(), EVER, True]
    assert [line["message"] for line in logged(capsys)] == ["rollup: 3 made, 1 failed; see the log"]


@pytest.mark.parametrize(
    ("period", "force", "arguments", "expected"),
    [
        pytest.param("2026-01-05T13", None, [], ("2026-01-05T13", "2026-01-05T14", False), id="an hour"),
        pytest.param("2026-01-05/2026-W03", None, [], ("2026-01-05", "2026-01-19", False), id="first and last"),
        pytest.param("2026-01-05", "true", [], ("2026-01-05", "2026-01-06", True), id="by force"),
        pytest.param("2026-01-05", None, ["--force"], ("2026-01-05", "2026-01-06", True), id="forced by argument"),
        pytest.param("2026-01-05", None, ["2026-01-07"], ("2026-01-07", "2026-01-08", False), id="an argument wins"),
        pytest.param("2026-01-05", None, ["--to", "2026-01-07"], (None, "2026-01-08", False), id="so does an end"),
        pytest.param(None, "true", ["2026-01-07"], ("2026-01-07", "2026-01-08", True), id="argument, by force"),
    ],
)
def test_period_and_force_may_be_settings(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    period: str | None,
    force: str | None,
    arguments: list[str],
    expected: tuple[str | None, str, bool],
) -> None:
    """A period and force may be settings, for schedulers that set variables only; the command line wins."""
    monkeypatch.setenv("MARQUEE_LAKE", tmp_path.as_uri())
    for name, value in (("MARQUEE_PERIOD", period), ("MARQUEE_FORCE", force)):
        if value is not None:
            monkeypatch.setenv(name, value)
    seen: list[object] = []

    def run(settings: StageSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Ended:  # noqa: ARG001
        seen.extend([span, force])
        return Ended()

    assert stage_command("rollup", "", StageSettings, run, arguments) == 0
    start, end, forced = expected
    assert seen == [Span(instant(start) if start else None, instant(end)), forced]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param(
            "PERIOD", "yesterday", "MARQUEE_PERIOD='yesterday': Value error, Invalid period 'yesterday'", id="no period"
        ),
        pytest.param("PERIOD", "", "MARQUEE_PERIOD='': Value error, Invalid period ''", id="empty"),
        pytest.param("PERIOD", "2026-01-05/", "Value error, Invalid period ''. Use", id="no last one"),
        pytest.param("PERIOD", "2026-02/2026-01", "2026-02 is after --to 2026-01", id="first after last"),
        pytest.param("FORCE", "perhaps", "MARQUEE_FORCE='perhaps': Input should be a valid boolean", id="no boolean"),
        pytest.param("FORCE", "true", "Set MARQUEE_PERIOD, too: 2026-01-05T13 (hour)", id="everything, every time"),
    ],
)
def test_wrong_period_and_force_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    message: str,
) -> None:
    """A wrong period or force ends the stage with code 78, so that a scheduler does not try again."""
    monkeypatch.setenv("MARQUEE_LAKE", tmp_path.as_uri())
    monkeypatch.setenv(f"MARQUEE_{name}", value)
    assert stage_command("rollup", "", StageSettings, run_never, []) == 78
    assert message in logged(capsys)[-1]["message"]


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        pytest.param(Ended(0, 0), "rollup: nothing was pending", id="nothing to do"),
        pytest.param(Ended(0, 3), "rollup: 3 made", id="made"),
        pytest.param(Ended(76, 0, failures=1), "rollup: 0 made, 1 failed; see the log", id="all failed"),
        pytest.param(Ended(0, 0, "no hour is over"), "rollup: nothing was pending; no hour is over", id="why nothing"),
        pytest.param(
            Ended(75, 1, "2 days were not tried", failures=2),
            "rollup: 1 made, 2 failed; see the log; 2 days were not tried",
            id="given up",
        ),
    ],
)
def test_summary_is_one_line(outcome: Ended, line: str) -> None:
    """The summary is one line, and it separates "nothing was pending" from "nothing was made"."""
    assert summary_of("rollup", outcome) == line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("MARQUEE_LAKE", "MARQUEE_LAKE: is not set", id="missing"),
        pytest.param(
            "MARQUEE_ROLUP__BUCKETS", "Did you mean MARQUEE_ROLLUP__BUCKETS?", id="misspelt, of another stage"
        ),
    ],
)
def test_wrong_settings_end_it_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    """A wrong setting ends the stage with code 78 and one line that names the setting, before any work."""
    monkeypatch.setenv("MARQUEE_LAKE", tmp_path.as_uri())
    if name == "MARQUEE_LAKE":
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, "4")
    assert stage_command("profile", "", StageSettings, run_never, []) == 78
    (line,) = logged(capsys)
    assert line["level"] == "error"
    assert message in line["message"]


def test_config_lists_the_settings_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--config` prints one line for each setting with value and source, masks secrets, and needs no lake."""
    monkeypatch.setenv("MARQUEE_LAKE", "s3://lake/marquee")
    monkeypatch.setenv("MARQUEE_RAW", "s3://raw")
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", SECRET * 2)
    assert stage_command("rollup", "", RollupSettings, run_never, ["--config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "MARQUEE_LAKE=s3://lake/marquee  # MARQUEE_LAKE" in lines
    assert "MARQUEE_ENGINE__KIND=local  # default" in lines
    assert "MARQUEE_ROLLUP__VIEWER_KEY=**********  # MARQUEE_ROLLUP__VIEWER_KEY" in lines
    assert not any(line.startswith("MARQUEE_MART") for line in lines)


def test_config_refuses_what_the_stage_would_refuse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--config` refuses wrong settings, so that it shows beforehand whether a stage will start."""
    monkeypatch.setenv("MARQUEE_LAKE", "s3://lake/marquee")
    monkeypatch.setenv("MARQUEE_LOG__LEVL", "info")
    assert stage_command("profile", "", StageSettings, run_never, ["--config"]) == 78
    assert "Unknown setting MARQUEE_LOG__LEVL. Did you mean MARQUEE_LOG__LEVEL?" in logged(capsys)[0]["message"]


def test_version_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version of the code, which markers also record."""
    with pytest.raises(SystemExit) as caught:
        stage_command("rollup", "", StageSettings, run_never, ["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"marquee {__version__}\n"


# How a command ends.


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(BadInputError("3 lines"), 65, id="bad input"),
        pytest.param(MarqueeError("odd"), 70, id="internal"),
        pytest.param(CorruptLakeError("odd"), 70, id="corrupt lake"),
        pytest.param(TryAgainError("no network"), 75, id="try again"),
        pytest.param(LostRaceError("run r2"), 76, id="lost to another run"),
        pytest.param(ConfigError("no lake"), 78, id="configuration"),
    ],
)
def test_our_errors_are_one_line_and_a_code(capsys: pytest.CaptureFixture[str], error: MarqueeError, code: int) -> None:
    """An error of Marquee is logged as its message alone, without a traceback, and has its own exit code."""
    assert guarded(raising(error)) == code
    (line,) = logged(capsys)
    assert (line["level"], line["message"]) == ("error", str(error))


def raising(error: BaseException) -> Any:
    """Return a command that raises."""

    def command() -> int:
        raise error

    return command


def test_other_errors_are_internal_and_tell_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    """Any other error has code 70 and is logged as its kind and place, because its text may contain data."""
    assert guarded(raising(KeyError(SECRET))) == 70
    (line,) = logged(capsys)
    assert SECRET not in str(line)
    assert re.fullmatch(
        r"builtins.KeyError at command.py:\d+ in \w+\. Set \S+=debug for the traceback", line["message"]
    )


def test_errors_of_the_system_tell_what_they_met(capsys: pytest.CaptureFixture[str]) -> None:
    """Missing rights end with code 78, a full disk with 75, and other system errors with 70 and their text."""
    assert guarded(raising(PermissionError(13, "Permission denied", "/lake"))) == 78
    assert logged(capsys)[0]["message"].startswith("cannot use /lake (Permission denied): user ")
    assert guarded(raising(OSError(28, "No space left on device", "/lake"))) == 75
    assert logged(capsys)[0]["message"].startswith("cannot use /lake (No space left on device): the disk is full")
    assert guarded(raising(OSError(24, "Too many open files", "/lake"))) == 70
    assert logged(capsys)[0]["message"].startswith("[Errno 24] Too many open files: '/lake': builtins.OSError at ")


def test_traceback_is_there_for_who_asks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback is logged at level debug, which the message names."""
    monkeypatch.setenv("MARQUEE_LOG__LEVEL", "debug")
    assert guarded(raising(KeyError("key"))) == 70
    told, traceback = logged(capsys)
    assert "traceback" not in told
    assert "KeyError: 'key'" in traceback["traceback"]


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command with code 130 and a message that says how to resume."""
    assert guarded(raising(KeyboardInterrupt())) == 130
    assert logged(capsys)[0]["message"] == "interrupted: published periods are kept. Run the command again to continue"


def test_sigterm_ends_it_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """SIGTERM ends a command with code 143 by an exception that runs clean-up and that no stage catches."""
    cleaned = []

    def command() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:  # noqa: BLE001 - what a stage does around a period
            return 1
        finally:
            cleaned.append(True)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        guarded(command)
    assert caught.value.code == 143
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err == ""


def test_no_progress_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """No progress bar is drawn where standard error is not a terminal."""
    with progress_bar("rollup") as advance:
        advance(1, 2, "2026-01-05")
    assert capsys.readouterr() == ("", "")


def test_no_progress_bar_without_rich(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No progress bar is drawn without rich, as in an image that runs at a terminal (`docker run -t`)."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich", None)
    with progress_bar("rollup") as advance:
        advance(1, 2, "2026-01-05")
    assert capsys.readouterr() == ("", "")


def test_progress_bar_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A progress bar shows the state of the run at a terminal, and is erased at the end."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("rollup") as advance:
        advance(1, 2, "2026-01-05T13")
    shown = capsys.readouterr().err
    assert "1/2" in shown
    assert "2026-01-05T13" in shown
    assert shown.endswith("\x1b[2K")  # the line is erased


def test_what_waits_for_a_signal_ends_whichever_thread_gets_it() -> None:
    """A waiting command ends whichever thread receives the signal, although only the main thread runs handlers."""

    def send(seconds: float, thread: threading.Thread) -> threading.Timer:
        timer = threading.Timer(seconds, lambda: signal.pthread_kill(thread.ident or 0, signal.SIGTERM))
        timer.daemon = True
        timer.start()
        return timer

    began = time.monotonic()
    rescue = send(20, threading.main_thread())
    to = threading.Thread(target=rescue.join, daemon=True)
    to.start()
    send(0.1, to)  # when the main thread waits
    with pytest.raises(SystemExit) as ended:
        guarded(wait_for_signal)
    rescue.cancel()
    assert ended.value.code == 143
    assert time.monotonic() - began < 10
