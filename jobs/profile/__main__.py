"""Profile viewers day by day, and count the audience of days, weeks, months and quarters."""

import sys

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from marquee.calendar import Span
from marquee.lake.markers import Markers
from marquee.runs.command import stage_command
from marquee.runs.stage import Advance, Report, merge, run_stage


def run(settings: ProfileSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Profile the days of a span that are not done, then count the audience of the periods that touch it."""
    engine = settings.start_engine()
    stages = (ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine))
    return merge(run_stage(stage, markers, span, force=force, advance=advance) for stage in stages)


if __name__ == "__main__":
    sys.exit(stage_command("profile", __doc__ or "", ProfileSettings, run))
