"""Metrics of a job: scraped while it runs, pushed when it ends, and never a reason to fail."""

import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from marquee.calendar import Span
from marquee.errors import ConfigError, TryAgainError
from marquee.lake.markers import Markers
from marquee.runs.command import stage_command
from marquee.runs.stage import Advance
from marquee.settings.sections import StageSettings
from tests.ports import free_port
from tests.pushgateway import Pushgateway, pushgateway

GROUP = r"/metrics/job/marquee/environment/dev/stage/rollup"
LABELS = 'environment="dev",stage="rollup"'
PUSHED = {
    f"marquee_job_{name}{{{LABELS}}}"
    for name in ("start_timestamp_seconds", "duration_seconds", "last_completion_timestamp_seconds", "exit_code")
} | {f'marquee_job_periods{{{LABELS},state="{state}"}}' for state in ("done", "left", "failed")}
SUCCESS = f"marquee_job_last_success_timestamp_seconds{{{LABELS}}}"


@dataclass(frozen=True)
class Ended:
    """The outcome of a run."""

    exit_code: int = 0
    changed: int = 0
    note: str = ""
    failures: int = 0


Do = Callable[[Advance], Ended]


def run_job(do: Do, name: str = "rollup") -> int:
    """Run a function as the command of a stage."""

    def run(settings: StageSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Ended:
        del settings, markers, span, force
        return do(advance)

    return stage_command(name, "", StageSettings, run, [])


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of a lake, in the environment dev."""
    monkeypatch.setenv("MARQUEE_LAKE", tmp_path.as_uri())
    monkeypatch.setenv("MARQUEE_ENVIRONMENT", "dev")
    monkeypatch.setenv("MARQUEE_LOG__FORMAT", "text")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pushgateway]:
    """A Pushgateway, which the settings name."""
    with pushgateway() as server:
        monkeypatch.setenv("MARQUEE_METRICS__PUSHGATEWAY_URL", server.url)
        yield server


def scrape(port: int) -> str:
    """Return the metrics that a job serves."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


# Pushed metrics


def test_success_is_pushed(gateway: Pushgateway) -> None:
    """One POST to the group of stage and environment has the outcome, the times of the run, and the last success."""

    def do(advance: Advance) -> Ended:
        advance(1, 3, "2026-01-05T13")
        advance(3, 3, "2026-01-05T15")
        return Ended()

    before = time.time()
    assert run_job(do) == 0
    ((method, path, _),) = gateway.pushed
    assert (method, sorted(path.split("/"))) == ("POST", sorted(GROUP.split("/")))
    found = gateway.metrics()
    assert set(found) == PUSHED | {SUCCESS}
    assert before <= found[f"marquee_job_start_timestamp_seconds{{{LABELS}}}"] <= found[SUCCESS] <= time.time()
    assert found[SUCCESS] == found[f"marquee_job_last_completion_timestamp_seconds{{{LABELS}}}"]
    assert 0 <= found[f"marquee_job_duration_seconds{{{LABELS}}}"] < 60
    assert found[f"marquee_job_exit_code{{{LABELS}}}"] == 0
    assert [found[f'marquee_job_periods{{{LABELS},state="{state}"}}'] for state in ("done", "left")] == [3, 0]


def test_failure_leaves_the_time_of_the_last_success(gateway: Pushgateway) -> None:
    """A failure does not push the time of the last success, and a POST replaces only metrics that it contains."""
    assert run_job(lambda _: Ended(65)) == 65
    assert set(gateway.metrics()) == PUSHED
    assert gateway.metrics()[f"marquee_job_exit_code{{{LABELS}}}"] == 65


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(TryAgainError("it is down"), 75, id="one of ours"),
        pytest.param(ConfigError("it is wrong"), 78, id="settings"),
        pytest.param(ValueError("secret"), 70, id="any other"),
        pytest.param(KeyboardInterrupt(), 130, id="Ctrl-C"),
    ],
)
def test_run_that_breaks_off_is_pushed(gateway: Pushgateway, error: BaseException, code: int) -> None:
    """A run that raises an error pushes the exit code of the process and nothing of the error's text."""

    def do(_: Advance) -> Ended:
        raise error

    assert run_job(do) == code
    assert gateway.metrics()[f"marquee_job_exit_code{{{LABELS}}}"] == code
    assert "secret" not in str(gateway.pushed)


def test_two_stages_of_one_job_are_added_up(gateway: Pushgateway) -> None:
    """The periods of two stages in one job add up: two periods of profile, then one of four of audience."""

    def do(advance: Advance) -> Ended:
        for done, every in ((0, 2), (1, 2), (2, 2), (0, 4), (1, 4)):
            advance(done, every, "")
        return Ended(75)

    run_job(do)
    found = gateway.metrics()
    assert [found[f'marquee_job_periods{{{LABELS},state="{state}"}}'] for state in ("done", "left")] == [3, 3]


def test_push_that_is_refused_fails_no_run(gateway: Pushgateway, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused push is logged with the answer of the Pushgateway, and does not change the outcome of the run."""
    gateway.status = 400
    assert run_job(lambda _: Ended()) == 0
    assert f"cannot push metrics to {gateway.url}: HTTPError: HTTP Error 400" in capsys.readouterr().err


def test_pushgateway_that_is_not_there_fails_no_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unreachable Pushgateway fails no run and does not hide the outcome of the run."""
    monkeypatch.setenv("MARQUEE_METRICS__PUSHGATEWAY_URL", f"http://127.0.0.1:{free_port()}")
    assert run_job(lambda _: Ended(65)) == 65
    assert "cannot push metrics" in capsys.readouterr().err


# Scraped metrics


def test_job_is_scraped_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running job serves progress and start but no outcome, and its port is closed at the end of the run."""
    port = free_port()
    monkeypatch.setenv("MARQUEE_METRICS__PORT", str(port))
    monkeypatch.setenv("MARQUEE_METRICS__ADDRESS", "127.0.0.1")
    seen: list[str] = []

    def do(advance: Advance) -> Ended:
        advance(2, 5, "")
        seen.append(scrape(port))
        return Ended()

    assert run_job(do) == 0
    lines = seen[0].splitlines()
    assert f'marquee_job_periods{{{LABELS},state="done"}} 2.0' in lines
    assert f'marquee_job_periods{{{LABELS},state="left"}} 3.0' in lines
    assert any(line.startswith(f"marquee_job_start_timestamp_seconds{{{LABELS}}}") for line in lines)
    assert not re.search(r"^marquee_job_(exit_code|duration|last)", seen[0], re.MULTILINE)
    assert [line for line in lines if not line.startswith("#") and LABELS.split(",", maxsplit=1)[0] not in line] == []
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_port_that_is_taken_fails_no_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose metrics port is in use continues without metrics and logs a warning."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("MARQUEE_METRICS__PORT", str(port))
        monkeypatch.setenv("MARQUEE_METRICS__ADDRESS", "127.0.0.1")
        assert run_job(lambda _: Ended()) == 0
    assert f"cannot serve metrics at 127.0.0.1:{port}" in capsys.readouterr().err
