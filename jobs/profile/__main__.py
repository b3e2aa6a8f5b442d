"""Profile viewers day by day, and count the audience of days, weeks, months and quarters."""

import sys

from jobs.profile.job import run
from jobs.profile.settings import ProfileSettings
from marquee.runs.command import stage_command

if __name__ == "__main__":
    sys.exit(stage_command("profile", __doc__ or "", ProfileSettings, run))
