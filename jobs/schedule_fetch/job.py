"""Runs and opens the stage schedule_fetch."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.schedule_fetch.settings import ScheduleFetchOptions, ScheduleFetchSettings
from jobs.schedule_fetch.stage import ScheduleFetchStage
from marquee.calendar import Span
from marquee.lake.markers import Markers
from marquee.runs.stage import Advance, Report, Stage, run_stage

if TYPE_CHECKING:
    from jobs.schedule_fetch.client import Answer, ScheduleClient


def run(settings: ScheduleFetchSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Capture the days of a span that are due."""
    with ExitStack() as stack:
        stage = ScheduleFetchStage(markers, settings.schedule_fetch, _Client(settings.schedule_fetch, stack))
        return run_stage(stage, markers, span, force=force, advance=advance)


class _Client:
    """Opens the client with the first call: a run without one needs no HTTP library."""

    def __init__(self, options: ScheduleFetchOptions, stack: ExitStack) -> None:
        self._options, self._stack = options, stack

    @cached_property
    def _opened(self) -> "ScheduleClient":
        from jobs.schedule_fetch.client import ScheduleClient  # noqa: PLC0415

        return self._stack.enter_context(ScheduleClient(self._options))

    def fetch(self, source: str, day: date, folder: Path) -> "Answer":
        return self._opened.fetch(source, day, folder)


def open_stages(settings: ScheduleFetchSettings, markers: Markers, clock: Callable[[], datetime]) -> Sequence[Stage]:
    """Open the stage for planning, without an HTTP client."""
    return [ScheduleFetchStage(markers, settings.schedule_fetch, None, clock)]
