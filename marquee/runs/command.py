"""The command line of a stage: ``python -m jobs.<stage> [PERIOD] [--from PERIOD] [--to PERIOD] [--force]``.

At a terminal, a progress bar shows how many periods are finished; elsewhere only the log does. ``--config`` lists the
settings in force, also in an image, where the command ``marquee`` is missing.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NoReturn, Protocol, TypeVar

from pydantic_settings import SettingsConfigDict

from marquee.calendar import Span
from marquee.engine.scratch import check_scratch, temporary_files_in
from marquee.errors import (
    INTERNAL,
    INTERRUPTED,
    PIPE_CLOSED,
    TERMINATED,
    ConfigError,
    MarqueeError,
    describe_foreign,
)
from marquee.lake.markers import Markers
from marquee.runs.arguments import Parser, add_period_arguments, read_span
from marquee.runs.stage import Advance
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.settings.sections import StageSettings
from marquee.system_errors import explain
from marquee.telemetry.logs import LogForm, set_up_logs
from marquee.version import __version__

log = logging.getLogger(__name__)


class Outcome(Protocol):
    """The result of a stage's run."""

    @property
    def exit_code(self) -> int:
        """0, or the code that most needs attention."""

    @property
    def changed(self) -> int:
        """The number of periods that were made, or loaded."""

    @property
    def failures(self) -> int:
        """How many periods failed."""

    @property
    def note(self) -> str:
        """Additional information for the user, such as why there was nothing to make; may be empty."""


S = TypeVar("S", bound=StageSettings)
S_contra = TypeVar("S_contra", bound=StageSettings, contravariant=True)


class Run(Protocol[S_contra]):
    """Runs a stage over a span; ``force`` includes periods that are done."""

    def __call__(
        self, settings: S_contra, markers: Markers, span: Span, *, force: bool, advance: Advance
    ) -> Outcome: ...


def stage_command(
    name: str, description: str, kind: type[S], run: Run[S], arguments: Sequence[str] | None = None
) -> int:
    """Run a stage's command line; return the exit code."""
    parser = Parser(f"python -m jobs.{name}", description)
    add_period_arguments(parser)
    parser.add_argument("--config", action="store_true", help="list the settings in force, secrets masked, and exit")
    parser.add_argument("--version", action="version", version=f"marquee {__version__}")
    given = parser.parse_args(arguments)
    span = read_span(parser, given)

    def command() -> int:
        if given.config:
            print_settings([kind])
            return 0
        outcome = run_over(kind, run, name, span, force=given.force)
        log.info("%s", summary_of(name, outcome))
        return outcome.exit_code

    return guarded(command)


def run_over(kind: type[S], run: Run[S], name: str, span: Span, *, force: bool, **overrides: object) -> Outcome:
    """Load a stage's settings, apply the overrides, and run it with metrics and, at a terminal, a progress bar."""
    from marquee.telemetry.job_metrics import MetricsOptions, measured  # noqa: PLC0415 - commands that only read need no metrics

    check_names()
    settings = load_settings(kind, **overrides)
    check_scratch(settings.engine.scratch)
    span, force = settings.asked(span, force=force)
    options = MetricsOptions(settings.environment, **settings.metrics.model_dump())
    with measured(options, name.replace("-", "_")) as job, progress_bar(name) as show:

        def advance(done: int, every: int, last: str) -> None:
            job.advance(done, every, last)
            show(done, every, last)

        outcome = run(settings, Markers(settings.store), span, force=force, advance=advance)
        job.end(outcome.exit_code)
        return outcome


def print_settings(kinds: Sequence[type[StageSettings]]) -> None:
    """Print the settings in force, one line each: variable, value, and source."""
    from marquee.settings.listing import list_settings  # noqa: PLC0415 - rarely needed

    check_names()
    for name, value, source in list_settings(kinds):
        sys.stdout.write(f"{name}={value}  # {source}\n")


def summary_of(name: str, outcome: Outcome) -> str:
    """Return one line that summarises a run."""
    note = f"; {outcome.note}" if outcome.note else ""
    if outcome.changed or outcome.exit_code:
        failed = f", {outcome.failures} failed; see the log" if outcome.failures else ""
        return f"{name}: {outcome.changed} made{failed}{note}"
    return f"{name}: nothing was pending{note}"


def guarded(command: Callable[[], int], form: LogForm | None = None, *, for_a_person: bool = False) -> int:
    """Run a command; log a MarqueeError as one line and return its exit code.

    Args:
        command: returns the exit code.
        form: the format of the log. Default: the format of the settings.
        for_a_person: whether ``auto`` in the settings means text through a pipe, too.
    """
    common = _set_up(form, for_a_person=for_a_person)
    with _ended_by_signal(), temporary_files_in(common.engine.scratch):
        try:
            code = command()
            sys.stdout.flush()  # here, where a closed pipe can be handled
        except KeyboardInterrupt:
            log.warning("interrupted: published periods are kept. Run the command again to continue")
            return INTERRUPTED
        except BrokenPipeError:  # `marquee status | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python can flush at its end
            return PIPE_CLOSED
        except MarqueeError as error:
            log.error("%s", error)  # noqa: TRY400 - the message is complete; a traceback would hide it
            return error.exit_code
        except Exception as error:  # the edge of the program: a scheduler always gets a documented exit code
            if known := explain(error):
                log.error("%s", known)  # noqa: TRY400 - as above
                return known.exit_code
            # The text of a system error names files and addresses, which the user may be able to fix.
            text = f"{error}: " if isinstance(error, OSError) else ""
            log.error("%s%s", text, describe_foreign(error))  # noqa: TRY400 - the traceback is for debugging
            log.debug("traceback", exc_info=error)
            return INTERNAL
        else:
            return code


class _Common(StageSettings):
    """Settings of every command, also of those that need no lake."""

    model_config = SettingsConfigDict(validate_default=False)
    lake: str = ""


def _set_up(form: LogForm | None, *, for_a_person: bool) -> _Common:
    """Set up logging; return the settings that every command reads."""
    try:
        settings = load_settings(_Common)
    except ConfigError:  # the command reads its settings, too, and reports the error
        settings = _Common.model_construct()
    automatic: LogForm = "text" if for_a_person else "auto"
    set_up_logs(settings.log.level, form or (automatic if settings.log.format == "auto" else settings.log.format))
    return settings


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that scratch folders are deleted and no marker is written."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_for_signal() -> NoReturn:
    """Wait until a signal handler raises the exception that ends the program."""
    while True:
        # Short waits: if another thread receives the signal, a waiting main thread does not wake up.
        time.sleep(1)


@contextmanager
def progress_bar(label: str) -> Iterator[Advance]:
    """Show a progress bar at a terminal if rich is installed; yield the function that advances it."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda _done, _all, _period: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and not in the images
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:<15}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None, last="")
        yield lambda done, every, last: progress.update(task, completed=done, total=every, last=last)
