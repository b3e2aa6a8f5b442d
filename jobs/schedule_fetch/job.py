"""Runs and opens the stage schedule_fetch."""

from collections.abc import Callable, Sequence
from datetime import datetime

from jobs.schedule_fetch.settings import ScheduleFetchSettings
from jobs.schedule_fetch.stage import ScheduleFetchStage
from marquee.calendar import Span
from marquee.lake.markers import Markers
from marquee.runs.stage import Advance, Report, Stage, run_stage


def run(settings: ScheduleFetchSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Capture the days of a span that are due."""
    from jobs.schedule_fetch.client import ScheduleClient  # noqa: PLC0415 - planning needs no HTTP client

    with ScheduleClient(settings.schedule_fetch) as client:
        stage = ScheduleFetchStage(markers, settings.schedule_fetch, client)
        return run_stage(stage, markers, span, force=force, advance=advance)


def open_stages(settings: ScheduleFetchSettings, markers: Markers, clock: Callable[[], datetime]) -> Sequence[Stage]:
    """Open the stage for planning, without an HTTP client."""
    return [ScheduleFetchStage(markers, settings.schedule_fetch, None, clock)]
