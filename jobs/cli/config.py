"""``marquee config``: lists the settings in force."""

import argparse

from jobs.registry import JOBS, LAUNCHER
from marquee.report.tables import print_rows
from marquee.settings.listing import list_settings
from marquee.settings.loading import source_of
from marquee.settings.names import check_names, read_file


def run(given: argparse.Namespace) -> int:
    """List the settings in force; those of the launcher only if one of them is set."""
    check_names()
    launched = source_of((LAUNCHER.name,), read_file()) != "default"
    kinds = [job.settings for job in JOBS if launched or job is not LAUNCHER]
    print_rows(["setting", "value", "from"], list_settings(kinds), given.format)
    return 0
