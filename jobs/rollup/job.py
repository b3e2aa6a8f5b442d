"""Runs and opens the stage rollup."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from jobs.rollup.settings import RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import Span
from marquee.engine.base import NO_ENGINE
from marquee.lake.markers import Markers
from marquee.runs.load import engine_for
from marquee.runs.stage import Advance, Report, Stage, run_stage
from marquee.telemetry.in_use import instruments


def run(settings: RollupSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Report:
    """Roll up the hours of a span that are not done."""
    (plan,) = open_stages(settings, markers, lambda: datetime.now(UTC))
    engine = engine_for(settings.engine, plan, markers, span, force=force)
    stage = RollupStage(settings, markers, engine)
    try:
        return run_stage(stage, markers, span, force=force, advance=advance)
    finally:  # also if the run ends because of what it has found
        _count_objects(stage)


def _count_objects(stage: RollupStage) -> None:
    measures = instruments()
    if measures is None:
        return
    for kind, number in stage.totals().items():
        measures.RAW_OBJECTS.labels(kind.value).set(number)


def open_stages(settings: RollupSettings, markers: Markers, clock: Callable[[], datetime]) -> Sequence[Stage]:
    """Open the stage for planning, without an engine."""
    return [RollupStage(settings, markers, NO_ENGINE, clock)]
