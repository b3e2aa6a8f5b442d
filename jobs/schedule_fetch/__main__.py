"""Capture the programme schedule, day by day."""

import sys

from jobs.schedule_fetch.client import ScheduleClient
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from jobs.schedule_fetch.stage import ScheduleFetchStage
from marquee.calendar import Span
from marquee.lake.markers import Markers
from marquee.runs.command import stage_command
from marquee.runs.stage import Advance, Report, run_stage


def run(settings: ScheduleFetchSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Capture the days of a span that are due."""
    with ScheduleClient(settings.schedule_fetch) as client:
        stage = ScheduleFetchStage(markers, settings.schedule_fetch, client)
        return run_stage(stage, markers, span, force=force, advance=advance)


if __name__ == "__main__":
    sys.exit(stage_command("schedule_fetch", __doc__ or "", ScheduleFetchSettings, run))
