"""Load the kiosk: what the lake has and it has not."""

import sys

from jobs.common.command import stage_command
from jobs.mart_load.load import load_mart
from jobs.mart_load.settings import MartLoadSettings

if __name__ == "__main__":
    sys.exit(stage_command("mart_load", __doc__ or "", MartLoadSettings, load_mart))
