"""Check that a stage can run here, and log the findings.

In a cluster, run it like the stage itself: in the stage's image, with its settings and rights.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from jobs.cli.preflight.checks import STAGES, checks_of
from jobs.cli.preflight.findings import exit_code_of, run_checks
from marquee.runs.arguments import EXIT_CODES, HelpFormatter
from marquee.runs.command import guarded

log = logging.getLogger("jobs.cli.preflight")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks of one stage or of all, log the findings, and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m jobs.cli.preflight", description=__doc__, epilog=EXIT_CODES, formatter_class=HelpFormatter
    )
    parser.add_argument("stage", nargs="?", choices=STAGES, help="the stage to check (default: all stages)")
    parser.add_argument("--launcher", action="store_true", help="also check that the launcher can run it on Spark")
    given = parser.parse_args(arguments)
    if given.launcher and not given.stage:
        parser.error("--launcher needs a STAGE")

    def command() -> int:
        findings = run_checks(checks_of([given.stage] if given.stage else tuple(STAGES), launcher=given.launcher))
        for one in findings:
            log.log(one.verdict.level, "%s: %s", one.check, one.words, extra={"verdict": str(one.verdict)})
        return exit_code_of(findings)

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
