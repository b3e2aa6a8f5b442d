"""Runs and opens the stages profile and audience."""

from collections.abc import Callable, Sequence
from datetime import datetime

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from marquee.calendar import Span
from marquee.engine.base import NO_ENGINE, Engine
from marquee.engine.starting import start_engine
from marquee.lake.markers import Markers
from marquee.runs.stage import Advance, Report, Stage, merge, run_stage


def run(settings: ProfileSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Profile the days of a span that are not done, then count the audience of the periods that touch it."""
    stages = _stages(settings, markers, start_engine(settings.engine))
    return merge(run_stage(stage, markers, span, force=force, advance=advance) for stage in stages)


def open_stages(settings: ProfileSettings, markers: Markers, _: Callable[[], datetime]) -> Sequence[Stage]:
    """Open both stages for planning. They depend on the lake alone, so they need no clock."""
    return _stages(settings, markers, NO_ENGINE)


def _stages(settings: ProfileSettings, markers: Markers, engine: Engine) -> Sequence[Stage]:
    return [ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine)]
