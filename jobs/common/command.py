"""A stage as a command: ``python -m jobs.<stage> [PERIOD] [--from PERIOD] [--to PERIOD] [--force]``.

At a terminal a progress bar shows how far the periods are; elsewhere the log alone tells.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from jobs.common.calendar import FORMS_HINT, Period, Span
from jobs.common.commit import Markers
from jobs.common.errors import INTERRUPTED, TERMINATED, MarqueeError
from jobs.common.logs import set_up_logs
from jobs.common.settings import StageSettings, check_names, load_settings
from jobs.common.stage import Advance
from jobs.settings import SETTINGS

log = logging.getLogger(__name__)


class Outcome(Protocol):
    """What a stage's run ends with."""

    @property
    def exit_code(self) -> int:
        """0, or the code that most needs a person."""

    @property
    def changed(self) -> int:
        """How many periods were made, or loaded."""


S = TypeVar("S", bound=StageSettings)
S_contra = TypeVar("S_contra", bound=StageSettings, contravariant=True)


class Run(Protocol[S_contra]):
    """Runs a stage over a span; with ``force`` also what is done."""

    def __call__(
        self, settings: S_contra, markers: Markers, span: Span, *, force: bool, advance: Advance
    ) -> Outcome: ...


def stage_command(
    name: str, description: str, kind: type[S], run: Run[S], arguments: Sequence[str] | None = None
) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(f"python -m jobs.{name}", description=description)
    add_period_arguments(parser)
    given = parser.parse_args(arguments)
    span = read_span(parser, given)
    return guarded(lambda: run_over(kind, run, name, span, force=given.force).exit_code)


def run_over(kind: type[S], run: Run[S], name: str, span: Span, *, force: bool) -> Outcome:
    """Load a stage's settings and run it, with a progress bar at a terminal."""
    check_names(SETTINGS)
    settings = load_settings(kind)
    set_up_logs(settings.log.level, settings.log.format)
    with progress_bar(name) as advance:
        return run(settings, Markers(settings.store), span, force=force, advance=advance)


def guarded(command: Callable[[], int]) -> int:
    """Run a command; an error made for a person is logged as one line, and its exit code returned."""
    set_up_logs("info", "auto")  # for an error in the settings, which are read later
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(TERMINATED)
    )  # so that scratch folders go, and no marker is written
    try:
        return command()
    except KeyboardInterrupt:
        log.warning("interrupted: what was published stands; run it again to go on")
        return INTERRUPTED
    except MarqueeError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says all; a traceback would hide it
        return error.exit_code


def add_period_arguments(parser: argparse.ArgumentParser, *, force: bool = True) -> None:
    """Add PERIOD, --from, --to and --force to a command."""
    parser.add_argument("period", nargs="?", type=_period, help=f"{FORMS_HINT}; without one: all that is pending")
    parser.add_argument("--from", dest="first", type=_period, metavar="PERIOD", help="from this period on")
    parser.add_argument("--to", dest="last", type=_period, metavar="PERIOD", help="up to and with this period")
    if force:
        parser.add_argument("--force", action="store_true", help="make again what is done, too")


def read_span(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Span:
    """Return the span that a command line names; ends the program with usage when it makes no sense."""
    if given.period and (given.first or given.last):
        parser.error("expected a PERIOD, or --from and --to, not both")
    try:
        return Span.of(given.period or given.first, given.period or given.last)
    except ValueError as error:
        parser.error(str(error))


@contextmanager
def progress_bar(label: str) -> Iterator[Advance]:
    """Show a bar at a terminal; yields what is told after each period."""
    if not sys.stderr.isatty():
        yield lambda _done, _all, _period: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and not in every image
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:<15}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=None, last="")
        yield lambda done, every, last: progress.update(task, completed=done, total=every, last=last)


def _period(text: str) -> Period:
    try:
        return Period.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
