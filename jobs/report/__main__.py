"""Write the reviews of the newest weeks, months and quarters into the lake's store, from the mart."""

import sys

from jobs.report.publish import publish
from jobs.report.settings import ReportSettings
from marquee.runs.command import stage_command

if __name__ == "__main__":
    sys.exit(stage_command("report", __doc__ or "", ReportSettings, publish))
