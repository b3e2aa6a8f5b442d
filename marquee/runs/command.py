"""The command line of a stage: ``python -m jobs.<stage> [PERIOD] [--from PERIOD] [--to PERIOD] [--force]``.

At a terminal, a progress bar shows how many periods are finished; elsewhere only the log does. ``--config`` lists the
settings in force, also in an image, where the command ``marquee`` is missing.
"""

import atexit
import gc
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from pydantic_settings import SettingsConfigDict

from marquee.calendar import Span
from marquee.engine.choice import may_start_spark
from marquee.engine.scratch import check_scratch, sweep, temporary_files_in
from marquee.errors import (
    INTERNAL,
    INTERRUPTED,
    PIPE_CLOSED,
    ConfigError,
    MarqueeError,
    describe_foreign,
)
from marquee.lake.markers import Markers
from marquee.neutral import neutral
from marquee.runs.arguments import Parser, add_period_arguments, read_span
from marquee.runs.stage import Advance
from marquee.runs.supervisor import allow_restart, supervised
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.settings.sections import EngineSettings, StageSettings
from marquee.stopping import STOP_S, StoppedError, exit_code, stopped_by_signals
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
    spare_collections()
    alone = arguments is None
    if alone and not given.config:
        run_supervised()

    def command() -> int:
        if given.config:
            print_settings([kind])
            return 0
        outcome = run_over(kind, run, name, span, force=given.force)
        log.info("%s", summary_of(name, outcome))
        return outcome.exit_code

    return guarded(command, alone=alone)


def spare_collections() -> None:
    """Make the garbage collector run rarely: nearly all that a command creates lasts until its end, or has no cycles.

    marquee/__main__.py has switched it off for loading modules.
    """
    gc.freeze()  # otherwise loading the modules of a stage would collect all of those before
    gc.set_threshold(500_000, 20, 100)
    gc.enable()
    atexit.register(_leave_all)


def _leave_all() -> None:
    """Leave what was read to the operating system: Python's end would first look for garbage in it, and free it."""
    if "duckdb" not in sys.modules:  # its binding would warn of leaks
        gc.freeze()


def run_supervised(form: LogForm | None = None, *, for_a_person: bool = False) -> None:
    """Fork a child for a command that runs stages, and return in it. The parent ends here, with the child's exit code.

    Nothing large may be loaded yet.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that numpy would start, and that would spin

    def set_up() -> None:
        _set_up(form, for_a_person=for_a_person)

    def clean_up() -> None:
        scratch = _set_up(form, for_a_person=for_a_person).engine.scratch
        sweep(scratch or Path(tempfile.gettempdir()))

    supervised(set_up, clean_up)


def run_over(kind: type[S], run: Run[S], name: str, span: Span, *, force: bool, **overrides: object) -> Outcome:
    """Load a stage's settings, apply the overrides, and run it with metrics and, at a terminal, a progress bar."""
    check_names()
    settings = load_settings(kind, **overrides).patient()
    check_scratch(settings.engine.scratch)
    span, force = settings.asked(span, force=force)
    if survives_restart(settings):
        allow_restart()
    if not settings.metrics.published:
        with progress_bar(name) as show:
            return run(settings, Markers(settings.store, writes_index=True), span, force=force, advance=show)
    from marquee.telemetry.job_metrics import MetricsOptions, measured  # noqa: PLC0415 - slow

    options = MetricsOptions(settings.environment, **settings.metrics.model_dump())
    with measured(options, name.replace("-", "_")) as job, progress_bar(name) as show:

        def advance(done: int, every: int, last: str) -> None:
            job.advance(done, every, last)
            show(done, every, last)

        outcome = run(settings, Markers(settings.store, writes_index=True), span, force=force, advance=advance)
        job.end(outcome.exit_code)
        return outcome


def survives_restart(settings: StageSettings) -> bool:
    """Return whether the process may be started again when it dies: not a driver of Spark, whose Java serves one."""
    engine = settings.engine
    return not (isinstance(engine, EngineSettings) and may_start_spark(engine.kind, engine.spark))


def print_settings(kinds: Sequence[type[StageSettings]]) -> None:
    """Print the settings in force, one line each: variable, value, and source."""
    from marquee.settings.listing import list_settings  # noqa: PLC0415 - rarely needed

    check_names()
    for name, value, source in list_settings(kinds):
        sys.stdout.write(f"{name}={neutral(value)}  # {source}\n")


def summary_of(name: str, outcome: Outcome) -> str:
    """Return one line that summarises a run."""
    note = f"; {outcome.note}" if outcome.note else ""
    if outcome.changed or outcome.exit_code:
        failed = f", {outcome.failures} failed; see the log" if outcome.failures else ""
        return f"{name}: {outcome.changed} made{failed}{note}"
    return f"{name}: nothing was pending{note}"


def guarded(
    command: Callable[[], int],
    form: LogForm | None = None,
    *,
    for_a_person: bool = False,
    alone: bool = False,
    stop_s: float = STOP_S,
) -> int:
    """Run a command; log a MarqueeError as one line and return its exit code.

    Args:
        command: returns the exit code.
        form: the format of the log. Default: the format of the settings.
        for_a_person: whether ``auto`` in the settings means text through a pipe, too.
        alone: whether this process does nothing else, so that it may be ended if a signal does not end the command.
        stop_s: seconds from the signal to that end.
    """
    common = _set_up(form, for_a_person=for_a_person)
    with stopped_by_signals(ends=alone, stop_s=stop_s), temporary_files_in(common.engine.scratch):
        try:
            code = command()
            sys.stdout.flush()  # here, where a closed pipe can be handled
        except (KeyboardInterrupt, SystemExit, StoppedError) as error:
            if isinstance(error, SystemExit) and not alone:
                raise
            return _say_stopped(error)
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


def _say_stopped(error: BaseException) -> int:
    """Return the exit code of a command that a signal has ended. After Ctrl-C log that it was interrupted.

    SystemExit is not raised further: with its traceback it would keep queries alive until Python's own end.
    """
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    if isinstance(error, StoppedError) and exit_code() != INTERRUPTED:
        return exit_code()
    log.warning("interrupted: published periods are kept. Run the command again to continue")
    return INTERRUPTED


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
