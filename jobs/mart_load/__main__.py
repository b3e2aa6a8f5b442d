"""Load new and changed periods from the lake into the mart."""

import sys

from jobs.mart_load.job import run
from jobs.mart_load.settings import MartLoadSettings
from marquee.runs.command import stage_command

if __name__ == "__main__":
    sys.exit(stage_command("mart_load", __doc__ or "", MartLoadSettings, run))
