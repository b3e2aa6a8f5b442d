"""``marquee run``, and the commands of the single stages."""

import argparse

from jobs.cli.pipeline import run_pipeline
from jobs.registry import Job
from marquee.errors import worst
from marquee.report.console import say
from marquee.report.tables import print_rows
from marquee.runs.arguments import mart_given
from marquee.runs.command import progress_bar, run_over, summary_of
from marquee.settings.names import check_names


def run_job(given: argparse.Namespace) -> int:
    """Run one stage."""
    job: Job = given.job
    outcome = run_over(job.settings, job.run, job.command, given.span, force=given.force, **mart_given(given))
    say(summary_of(job.command, outcome))
    return outcome.exit_code


def run_all(given: argparse.Namespace) -> int:
    """Run all stages."""
    check_names()
    done = run_pipeline(given.span, progress_bar)
    if given.format == "table":
        for name, outcome in done.items():
            say(summary_of(name, outcome))
    else:
        rows = [[name, outcome.changed, outcome.exit_code] for name, outcome in done.items()]
        print_rows(["stage", "made", "exit_code"], rows, given.format)
    return worst([outcome.exit_code for outcome in done.values()])
