"""Runs and opens the stage rollup."""

from collections.abc import Callable, Sequence
from datetime import datetime

from jobs.rollup.settings import RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import Span
from marquee.engine.base import NO_ENGINE
from marquee.engine.starting import start_engine
from marquee.lake.markers import Markers
from marquee.runs.stage import Advance, Report, Stage, run_stage


def run(settings: RollupSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Roll up the hours of a span that are not done."""
    stage = RollupStage(settings, markers, start_engine(settings.engine))
    return run_stage(stage, markers, span, force=force, advance=advance)


def open_stages(settings: RollupSettings, markers: Markers, clock: Callable[[], datetime]) -> Sequence[Stage]:
    """Open the stage for planning, without an engine."""
    return [RollupStage(settings, markers, NO_ENGINE, clock)]
