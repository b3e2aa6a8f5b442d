"""``marquee demo``: simulates a week, runs the whole pipeline on it, prints the answers, and writes them as a page.

All of it is in one folder:

    <folder>/marquee.toml    the demo's settings: MARQUEE_CONFIG=<folder>/marquee.toml marquee status
    <folder>/raw             play events, in the layout of Kafka Connect
    <folder>/lake            the outputs of the stages
    <folder>/kiosk.duckdb    the mart
    <folder>/review.html     the review of the week, with the planted answers

The demo is idempotent: after an interruption another run completes it, and after that another run changes nothing.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from jobs.cli.ask import print_with_trust
from jobs.cli.pipeline import run_pipeline
from jobs.mart_load.settings import MartLoadSettings
from jobs.report.command import page_of
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from jobs.simulate.command import counter, settings_of
from jobs.simulate.planted import ANSWERS
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate
from marquee.calendar import EVER
from marquee.errors import ConfigError, worst
from marquee.mart.answers import answer
from marquee.mart.base import read_mart
from marquee.mart.questions import CREDIT, QUESTIONS
from marquee.report.console import say, say_command
from marquee.report.files import write_file
from marquee.report.review.answers import read_review
from marquee.runs.command import Outcome, progress_bar
from marquee.settings.loading import load_settings
from marquee.settings.names import CONFIG, PREFIX
from marquee.storage.opening import open_store
from marquee.telemetry.logs import set_up_logs

FILE = "marquee.toml"
REVIEW = "review.html"
NAME = "marquee"
ROWS_SHOWN = 6
WIDTH = 80
"""Maximum width of an answer, in characters."""

SETTINGS = """\
# The demo's settings. To use them: MARQUEE_CONFIG={file} marquee status
lake = "{folder}/lake"
raw = "{folder}/raw"

[log]
level = "warning"

[schedule_fetch]
url = "http://127.0.0.1:{port}"
countries = [{countries}]
first_day = {first_day}
last_day = {last_day}
calls_per_window = 100000  # the made-up service on this machine needs no rate limit

[rollup]
# Known to all, because the viewers are made up: every demo has the same answers. For real viewers, set a secret key.
viewer_key = "made-up-viewers-need-no-secret"
buckets = 2

[mart]
url = "{mart}"
"""


def command(given: argparse.Namespace) -> int:
    """Run the demo with the command line's options; return the exit code."""
    return run(given.folder.resolve(), settings_of(given, ("days", "events_per_day")))


def run(folder: Path, settings: SimulateSettings) -> int:
    """Run the demo in a folder; return the exit code."""
    started = time.monotonic()
    _use_settings_of(folder, settings)
    set_up_logs("warning", "text")
    with _served(settings, folder):
        changed, code = _run_all(settings, folder)
    if code:
        return code
    _print_answers(settings.days)
    page = _write_review(folder, settings.days)
    seconds = f"{time.monotonic() - started:.0f} s"
    if changed:
        say(f"Done in {seconds}. Another run has nothing to do.")
    else:
        say(f"Everything was up to date; nothing was made again ({seconds}).")
    say("The same in one page, with pictures and definitions:")
    say_command(f"  {page}")
    say("To look around:")
    say_command(f"  export MARQUEE_CONFIG={shlex.quote(str(folder / FILE))}")
    say_command("  {0} status; {0} ask; {0} ask binge --limit 3 --format json".format(_command()))
    say(f"{CREDIT} (the demo's data are made up)", "dim")
    return 0


def _command() -> str:
    """Return the command ``marquee`` by name, or by its relative path if it is not in PATH."""
    if shutil.which(NAME):
        return NAME
    return shlex.quote(os.path.relpath(Path(sys.executable).with_name(NAME)))


def _run_all(settings: SimulateSettings, folder: Path) -> tuple[bool, int]:
    """Simulate, run all stages, add the late files and run again; return whether anything changed, and the code."""
    raw = open_store((folder / "raw").as_uri())
    expected = settings.days * settings.events_per_day
    with progress_bar("simulate") as advance:
        summary = simulate(settings, raw, counter(advance, expected))
    there = "" if summary.written else " (already there)"
    say(f"1. {summary.events:,} play events in {summary.files - summary.late_files:,} files in {raw.url}{there}")
    first = run_pipeline(EVER, progress_bar)
    say(f"2. {_made(first)}")
    with progress_bar("late files") as advance:
        late = add_late_files(settings, raw, counter(advance, expected)).written
    arrived = {0: "the late files had already arrived", 1: "1 file arrives late"}
    say(f"3. {arrived.get(late, f'{late} files arrive late')}")
    second = run_pipeline(EVER, progress_bar) if late else {}
    if late:
        say(f"4. {_made(second)}: the hours of the late files")
        say("   and everything downstream. A day builds on the viewers of earlier days, so")
        say("   the days after a late file are made again too.")
    outcomes = [*first.values(), *second.values()]
    return any(one.changed for one in outcomes), worst([one.exit_code for one in outcomes])


def _made(done: Mapping[str, Outcome]) -> str:
    """Describe what the stages made, such as ``made: rollup 4, profile 17``."""
    made = [f"{name} {outcome.changed}" for name, outcome in done.items() if outcome.changed]
    return f"made: {', '.join(made)}" if made else "nothing was pending"


def _use_settings_of(folder: Path, settings: SimulateSettings) -> None:
    """Write the demo's settings unless the file exists, and make them the only settings in force."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    file = folder / FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = SETTINGS.format(
            file=file,
            folder=folder.as_uri(),
            port=_free_port(),
            countries=", ".join(f'"{code}"' for code in settings.countries),
            first_day=settings.schedule_from,
            last_day=settings.last_day,
            mart=(folder / "kiosk.duckdb").as_uri().replace("file://", "duckdb://"),
        )
        hidden = file.with_suffix(".new")
        hidden.write_text(text, encoding="utf-8")
        hidden.replace(file)
    os.environ[CONFIG] = str(file)


@contextlib.contextmanager
def _served(settings: SimulateSettings, folder: Path) -> Iterator[None]:
    """Serve the schedule at the URL in the demo's settings; another URL would make all captured days stale."""
    port = urlsplit(load_settings(ScheduleFetchSettings).schedule_fetch.url).port or 0
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(serve(settings, port))
        except ConfigError as error:
            message = f"{error}. To use another port, delete {folder} and run the demo again"
            raise ConfigError(message) from error
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write_review(folder: Path, days: int) -> Path:
    """Write the review of the week as a page, and return its file."""
    file = folder / REVIEW
    notes = {question: f"The demo made this up: {claim}" for question, claim in _claims(days).items()}
    write_file(file, page_of(read_review(load_settings(MartLoadSettings).mart, notes=notes)))
    return file


def _claims(days: int) -> Mapping[str, str]:
    """Return what is planted in a service of some days, by question."""
    return {planted.question: planted.claim for planted in ANSWERS if planted.days <= days}


def _print_answers(days: int) -> None:
    claims = _claims(days)
    with read_mart(load_settings(MartLoadSettings).mart) as mart:
        for question in QUESTIONS:
            answered = answer(mart, question, limit=ROWS_SHOWN, only=question.example)
            say("")
            print_with_trust(answered, WIDTH)
            if question.name in claims:
                say(f"planted: {claims[question.name]}", "green")
    say("")
