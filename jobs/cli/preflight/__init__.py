"""``marquee preflight``: checks that the stages can run here, with the settings in force.

Each check yields findings: ``ok``; ``weak``, which works with a drawback; or ``failed``, with the exit code that the
stage would return. A check deletes what it writes.
"""

import argparse

from jobs.cli.preflight.checks import checks_of
from jobs.cli.preflight.findings import exit_code_of, run_checks, summary_of


def run(given: argparse.Namespace) -> int:
    """Run all checks, print the findings, and return the exit code."""
    from marquee.report.console import say  # noqa: PLC0415 - the images do not have rich
    from marquee.report.tables import print_rows  # noqa: PLC0415

    findings = run_checks(checks_of())
    print_rows(["check", "verdict", "finding"], [[one.check, one.verdict, one.words] for one in findings], given.format)
    if given.format == "table":
        say(f"\n{summary_of(findings)}")
    return exit_code_of(findings)
