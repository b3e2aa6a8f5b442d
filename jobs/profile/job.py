"""Runs and opens the stages profile and audience."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from jobs.profile.superseded import let_go_of_ended
from marquee.calendar import Span
from marquee.engine.base import NO_ENGINE, Engine
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.runs.load import engine_for
from marquee.runs.stage import Advance, Report, Stage, run_stages


def run(settings: ProfileSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Profile the days of a span that are not done, then count the audience of the periods that touch it."""
    for stage in (keys.PROFILE, keys.AUDIENCE):
        markers.of(stage)  # a marker of a newer format ends the run before it writes
    plan = ProfileStage(settings, markers, NO_ENGINE)
    stages = _stages(settings, markers, engine_for(settings.engine, plan, markers, span, force=force))
    report = run_stages(stages, markers, span, force=force, advance=advance)
    if report.made:
        let_go_of_ended(markers, datetime.now(UTC))
    return report


def open_stages(settings: ProfileSettings, markers: Markers, _: Callable[[], datetime]) -> Sequence[Stage]:
    """Open both stages for planning. They depend on the lake alone, so they need no clock."""
    return _stages(settings, markers, NO_ENGINE)


def _stages(settings: ProfileSettings, markers: Markers, engine: Engine) -> Sequence[Stage]:
    return [ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine)]
