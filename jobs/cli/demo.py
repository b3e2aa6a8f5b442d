"""The demo: a simulated week, the whole pipeline on it, and the answers, all below one folder.

    <folder>/marquee.toml    the settings it runs with: MARQUEE_CONFIG=<folder>/marquee.toml marquee status
    <folder>/raw             play events, as Kafka Connect would lay them down
    <folder>/lake            what the stages make of them
    <folder>/kiosk.duckdb    the kiosk

Killed anywhere and run again it goes on; run again when done it finds nothing to do.
"""

import argparse
import contextlib
import os
import secrets
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from jobs.cli.pipeline import run_pipeline
from jobs.mart_load.settings import MartLoadSettings
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from jobs.simulate.command import counter, settings_of
from jobs.simulate.planted import ANSWERS
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate
from marquee.calendar import EVER
from marquee.errors import ConfigError, worst
from marquee.mart.questions import CREDIT, QUESTIONS, ask
from marquee.report.console import say, say_command
from marquee.report.tables import print_answer
from marquee.runs.command import Outcome, progress_bar
from marquee.settings.loading import load_settings
from marquee.settings.names import CONFIG, PREFIX
from marquee.storage.opening import open_store
from marquee.telemetry.logs import set_up_logs

FILE = "marquee.toml"
NAME = "marquee"
ROWS_SHOWN = 6
WIDTH = 80
"""Characters of a line of an answer."""

SETTINGS = """\
# The demo's settings. Look around with them: MARQUEE_CONFIG={file} marquee status
lake = "{folder}/lake"
raw = "{folder}/raw"

[log]
level = "warning"

[schedule_fetch]
url = "http://127.0.0.1:{port}"
countries = [{countries}]
first_day = {first_day}
last_day = {last_day}
calls_per_window = 100000  # the service is our own, on this machine

[rollup]
viewer_key = "{key}"
buckets = 2

[mart]
url = "{mart}"
"""


def command(given: argparse.Namespace) -> int:
    """Do what the command line says."""
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
    _print_answers()
    seconds = f"{time.monotonic() - started:.0f} s"
    if changed:
        say(f"Done in {seconds}. Run it again: it finds nothing to do.")
    else:
        say(f"Nothing had changed: everything was there already, and nothing was made again ({seconds}).")
    say("Look around:")
    say_command(f"  export MARQUEE_CONFIG={shlex.quote(str(folder / FILE))}")
    say_command("  {0} status; {0} ask; {0} ask binge --limit 3 --format json".format(_command()))
    say(f"{CREDIT} (this demo's are made up)", "dim")
    return 0


def _command() -> str:
    """Return how to call ``marquee``: by its path, from here, where a shell would not find it by name."""
    if shutil.which(NAME):
        return NAME
    return shlex.quote(os.path.relpath(Path(sys.executable).with_name(NAME)))


def _run_all(settings: SimulateSettings, folder: Path) -> tuple[bool, int]:
    """Simulate, run all stages, and again once the late files are there; tell if anything was made, and the code."""
    raw = open_store((folder / "raw").as_uri())
    expected = settings.days * settings.events_per_day
    with progress_bar("simulate") as advance:
        summary = simulate(settings, raw, counter(advance, expected))
    there = "" if summary.written else ", there already"
    say(f"1. {summary.events:,} play events in {summary.files - summary.late_files:,} files below {raw.url}{there}")
    first = run_pipeline(EVER, progress_bar)
    say(f"2. {_made(first)}")
    with progress_bar("late files") as advance:
        late = add_late_files(settings, raw, counter(advance, expected)).written
    come = {0: "the late files are there already", 1: "1 file comes late"}
    say(f"3. {come.get(late, f'{late} files come late')}")
    second = run_pipeline(EVER, progress_bar) if late else {}
    if late:
        say(f"4. {_made(second)}: the hours of the late files,")
        say("   and what counts them. A day takes up the viewers seen before it, so days")
        say("   after a late file are made again too.")
    outcomes = [*first.values(), *second.values()]
    return any(one.changed for one in outcomes), worst([one.exit_code for one in outcomes])


def _made(done: Mapping[str, Outcome]) -> str:
    """Return what the stages made, such as ``made: rollup 4, profile 17``."""
    made = [f"{name} {outcome.changed}" for name, outcome in done.items() if outcome.changed]
    return f"made: {', '.join(made)}" if made else "nothing was pending"


def _use_settings_of(folder: Path, settings: SimulateSettings) -> None:
    """Write the demo's settings unless they are there, and make them the only ones in force."""
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
            key=secrets.token_hex(32),
            mart=(folder / "kiosk.duckdb").as_uri().replace("file://", "duckdb://"),
        )
        hidden = file.with_suffix(".new")
        hidden.touch(mode=0o600)
        hidden.write_text(text, encoding="utf-8")
        hidden.replace(file)
    os.environ[CONFIG] = str(file)


@contextlib.contextmanager
def _served(settings: SimulateSettings, folder: Path) -> Iterator[None]:
    """Serve the schedule at the address in the demo's settings: another would be another service, to fetch anew."""
    port = urlsplit(load_settings(ScheduleFetchSettings).schedule_fetch.url).port or 0
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(serve(settings, port))
        except ConfigError as error:
            message = f"{error}: delete {folder} to start afresh on another"
            raise ConfigError(message) from error
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _print_answers() -> None:
    mart = load_settings(MartLoadSettings).mart
    claims = {answer.question: answer.claim for answer in ANSWERS}
    for question in QUESTIONS:
        columns, rows = ask(mart, question.name, ROWS_SHOWN, question.example)
        say("")
        print_answer(question.words, columns, rows, WIDTH)
        if question.name in claims:
            say(f"planted: {claims[question.name]}", "green")
    say("")
