"""Roll up play events, hour by hour: viewership, viewer hours, rejects."""

import sys

from jobs.rollup.settings import RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import Span
from marquee.lake.markers import Markers
from marquee.runs.command import stage_command
from marquee.runs.stage import Advance, Report, run_stage


def run(settings: RollupSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Roll up the hours of a span that are not done."""
    stage = RollupStage(settings, markers, settings.start_engine())
    return run_stage(stage, markers, span, force=force, advance=advance)


if __name__ == "__main__":
    sys.exit(stage_command("rollup", __doc__ or "", RollupSettings, run))
