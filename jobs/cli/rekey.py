"""``marquee rekey``: brings the lake to the newest key of MARQUEE_ROLLUP__VIEWER_KEY."""

import argparse

from jobs.rekey.lake import run as rekey
from jobs.rekey.settings import RekeySettings
from marquee.calendar import EVER
from marquee.report.console import say
from marquee.runs.command import run_over, summary_of


def run(given: argparse.Namespace) -> int:
    """Run it, with the metrics of a stage."""
    del given
    outcome = run_over(RekeySettings, rekey, "rekey", EVER, force=False)
    say(summary_of("rekey", outcome))
    return outcome.exit_code
