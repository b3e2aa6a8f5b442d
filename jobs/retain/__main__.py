"""End data by the settings of retention, without a dry run: whatever the plan of today says."""

import sys

from jobs.retain.command import run_today
from jobs.retain.settings import RetainSettings
from marquee.runs.command import stage_command

if __name__ == "__main__":
    sys.exit(stage_command("retain", __doc__ or "", RetainSettings, run_today))
