"""Make the mart of the settings, as `marquee mart init` does, with no more than the stage's image has."""

import logging
import sys

from jobs.mart_load.settings import MartLoadSettings
from marquee.mart.admin import init_mart
from marquee.runs.command import guarded
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names

log = logging.getLogger(__name__)


def main() -> int:
    """Make the mart of the settings, log what is there now, and return the exit code."""

    def command() -> int:
        check_names()
        for line in init_mart(load_settings(MartLoadSettings).mart):
            log.info("%s", line)
        return 0

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
