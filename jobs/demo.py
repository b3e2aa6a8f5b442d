"""The demo: a simulated week, the whole pipeline on it, and the answers, all below one folder.

    <folder>/marquee.toml    the settings it runs with: MARQUEE_CONFIG=<folder>/marquee.toml marquee status
    <folder>/raw             play events, as Kafka Connect would lay them down
    <folder>/lake            what the stages make of them
    <folder>/kiosk.duckdb    the kiosk

Killed anywhere and run again it goes on; run again when done it finds nothing to do.
"""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from jobs.common.calendar import EVER
from jobs.common.command import progress_bar
from jobs.common.errors import ConfigError, worst
from jobs.common.settings import CONFIG, PREFIX, load_settings
from jobs.common.store import open_store
from jobs.mart_load.questions import CREDIT, QUESTIONS, Question, ask
from jobs.mart_load.settings import MartLoadSettings
from jobs.pipeline import STEPS, run_pipeline
from jobs.report import console, show_answer
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from jobs.simulate.planted import ANSWERS
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate

EVENTS_PER_DAY = 160_000
ROWS_SHOWN = 6

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


def run(folder: Path, events_per_day: int) -> int:
    """Run the demo in a folder; return the exit code."""
    started = time.monotonic()
    out = console()
    settings = SimulateSettings.model_validate({"events_per_day": events_per_day})
    _use_settings_of(folder, settings)
    with _served(settings, folder):
        events, late, changed, code = _run_all(settings, folder, out)
    if code:
        return code
    _print_answers(out)
    seconds = time.monotonic() - started
    out.print(
        f"{events:,} play events, {seconds:.0f} s. "
        + ("" if changed else "Nothing had changed: everything was there already, and nothing was made again. ")
        + f"{late} files came late; the hours, days and periods they touch were made again, no others."
    )
    out.print(
        f"Look around: export MARQUEE_CONFIG={escape(str(folder))}/marquee.toml; marquee status; marquee ask",
        style="bold",
    )
    out.print(CREDIT + " (this demo's are made up)", style="dim")
    return 0


def _run_all(settings: SimulateSettings, folder: Path, out: Console) -> tuple[int, int, bool, int]:
    raw = open_store((folder / "raw").as_uri())
    with progress_bar("simulate") as advance:
        so_far = 0

        def count(events: int) -> None:
            nonlocal so_far
            so_far += events
            advance(so_far, max(so_far, settings.days * settings.events_per_day), "events")

        summary = simulate(settings, raw, count)
    out.print(f"[bold]1.[/] {summary.events:,} play events in {summary.files:,} files below {escape(str(folder))}/raw")
    first = run_pipeline(EVER, progress_bar)
    out.print("[bold]2.[/] " + ", ".join(f"{step.command}: {first[step.command].changed} made" for step in STEPS))
    changed = any(outcome.changed for outcome in first.values())
    codes = [outcome.exit_code for outcome in first.values()]
    written = add_late_files(settings, raw).written
    if written:
        second = run_pipeline(EVER, progress_bar)
        out.print(
            f"[bold]3.[/] {written} files came late; made again: "
            + ", ".join(f"{step.command}: {second[step.command].changed}" for step in STEPS)
        )
        codes += [outcome.exit_code for outcome in second.values()]
    return summary.events, summary.late_files, changed or written > 0, worst(codes)


def _use_settings_of(folder: Path, settings: SimulateSettings) -> None:
    """Write the demo's settings unless they are there, and make them the only ones in force."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    file = folder / "marquee.toml"
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
        hidden.write_text(text)
        hidden.replace(file)
    os.environ[CONFIG] = str(file)


@contextlib.contextmanager
def _served(settings: SimulateSettings, folder: Path) -> Iterator[None]:
    """Serve the schedule at the address in the demo's settings: another would be another service, to fetch anew."""
    url = load_settings(ScheduleFetchSettings).schedule_fetch.url
    try:
        with serve(settings, int(url.rsplit(":", 1)[1])):
            yield
    except OSError as error:
        message = f"{url} cannot be served: {error}: end what uses the port, or delete {folder} to start afresh"
        raise ConfigError(message) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _print_answers(out: Console) -> None:
    mart = load_settings(MartLoadSettings).mart.url
    planted = {answer.question: answer for answer in ANSWERS}
    for question in QUESTIONS:
        columns, rows = ask(mart, question.name, ROWS_SHOWN, question.example)
        out.print()
        show_answer(question.words, columns, rows)
        claims = [answer.claim for answer in planted.values() if _is_of(question, answer.question)]
        for claim in claims:
            out.print(f"planted: {escape(claim)}", style="green")
    out.print()


def _is_of(question: Question, name: str) -> bool:
    return name == question.name
