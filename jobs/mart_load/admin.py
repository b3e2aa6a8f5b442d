"""Creates the mart and its users, or upgrades its schema, for charts, with only the packages of the stage's image."""

import logging
import sys

from jobs.mart_load.settings import MartLoadSettings
from marquee.mart.admin import prepare_mart
from marquee.runs.command import guarded
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names

log = logging.getLogger(__name__)


def main() -> int:
    """Prepare the mart that the settings name, log what was done, and return the exit code."""

    def command() -> int:
        check_names()
        for line in prepare_mart(load_settings(MartLoadSettings).mart):
            log.info("%s", line)
        return 0

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
