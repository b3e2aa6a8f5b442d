"""Roll up play events, hour by hour: viewership, viewer hours, rejects."""

import sys

from jobs.rollup.job import run
from jobs.rollup.settings import RollupSettings
from marquee.runs.command import stage_command

if __name__ == "__main__":
    sys.exit(stage_command("rollup", __doc__ or "", RollupSettings, run))
