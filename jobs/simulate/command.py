"""``marquee simulate``: writes simulated play events to a folder or bucket, or serves the simulated schedule."""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from jobs.simulate.options import OPTIONS
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import Summary, add_late_files, simulate, simulate_hour
from marquee.errors import ConfigError
from marquee.report.console import say
from marquee.runs.command import progress_bar, wait_for_signal
from marquee.runs.stage import Advance
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings
from marquee.storage.base import Store


class RawSettings(StageSettings):
    """Settings of simulate: the store to write to."""

    model_config = SettingsConfigDict(validate_default=False)
    lake: str = ""
    raw: str = Field("", description="URL of the raw events")


def run(given: argparse.Namespace) -> int:
    """Run ``marquee simulate``; return the exit code."""
    settings = settings_of(given, OPTIONS)
    if given.what == "serve":
        return _serve(settings, given.port)
    store = _raw_store(given.folder)
    started = time.monotonic()
    with progress_bar("simulate") as advance:
        count = counter(advance, given.events_per_day if given.hour else settings.days * settings.events_per_day)
        if given.hour:
            summary = simulate_hour(settings, store, given.hour, given.events_per_day, count)
        else:
            summary = (add_late_files if given.late else simulate)(settings, store, count)
    say(_describe(store.url, summary, time.monotonic() - started, late=given.late))
    return 0


def settings_of(given: argparse.Namespace, names: Iterable[str]) -> SimulateSettings:
    """Return the settings from the command line; ConfigError lists all wrong options."""
    try:
        return SimulateSettings.model_validate({name: getattr(given, name) for name in names})
    except ValidationError as error:
        wrong = "; ".join(f"{_option(str(one['loc'][0]))} {one['input']!r}: {one['msg']}" for one in error.errors())
        raise ConfigError(wrong) from None


def counter(advance: Advance, expected: int) -> Callable[[int], None]:
    """Return a function that adds numbers of events and advances a progress bar."""
    so_far = 0

    def count(events: int) -> None:
        nonlocal so_far
        so_far += events
        advance(so_far, max(so_far, expected), "events")

    return count


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _raw_store(folder: Path | None) -> Store:
    settings = load_settings(RawSettings)
    url = folder.resolve().as_uri() if folder else settings.raw
    if not url:
        message = "no store for the events. Use --folder, or set MARQUEE_RAW"
        raise ConfigError(message)
    return settings.open(url)


def _describe(url: str, summary: Summary, seconds: float, *, late: bool) -> str:
    if not summary.written:
        return f"{url} is already complete: nothing was written."
    if late:
        return f"{url}: late files: {summary.written:,}, {seconds:.1f} s."
    rest = f" Late-arriving files, which --late writes: {summary.late_files:,}." if summary.late_files else ""
    return (
        f"{url}: {summary.events:,} events, {summary.duplicates:,} duplicates, {summary.malformed:,} malformed lines "
        f"in {summary.files:,} files, {seconds:.1f} s.{rest}"
    )


def _serve(settings: SimulateSettings, port: int) -> int:
    with serve(settings, port) as url:
        say(f"{url}/schedule?country=KR&date={settings.start}")
        say(f"{url}/schedule/web?date={settings.start}")
        say("Press Ctrl-C to stop.")
        with contextlib.suppress(KeyboardInterrupt):
            wait_for_signal()
    return 0
