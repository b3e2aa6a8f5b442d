"""Capture the programme schedule, day by day."""

import sys

from jobs.schedule_fetch.job import run
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from marquee.runs.command import stage_command

if __name__ == "__main__":
    sys.exit(stage_command("schedule_fetch", __doc__ or "", ScheduleFetchSettings, run))
