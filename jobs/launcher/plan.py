"""What a Spark stage has to do, and the part of it that one application is given: a batch, the oldest first.

Plans with the stages' own code. What failed is tried again once the others fit into one batch: it must not hold them
up for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.profile.settings import ProfileSettings
from jobs.rollup.settings import RollupSettings
from marquee.calendar import HOUR, Grain, Period, Span
from marquee.engine.local import IDLE
from marquee.lake.markers import Markers
from marquee.runs.stage import Stage, plan_stage
from marquee.settings.sections import StageSettings


@dataclass(frozen=True)
class Due:
    """A period to be made; has its last run failed?"""

    period: Period
    failed: bool = False


@dataclass(frozen=True)
class Work:
    """What a stage could make now, in order of time; and its chain.

    The chain are the periods from the first due one on that take up each the one before: as one is made, the next may
    become due.
    """

    due: Sequence[Due] = ()
    chain: Sequence[Period] = ()


@dataclass(frozen=True)
class Batch:
    """What one application is given: a span, and how many due periods are in it and left for another."""

    span: Span
    due: int
    left: int


def plan(stage: str, settings: StageSettings, asked: Span, *, force: bool, most: int) -> Batch | None:
    """Return the next batch of a stage, None when there is nothing to do; what is forced is all in one."""
    work = STAGES[stage].find_work(settings, asked, force)
    if force and work.due:  # what was not in it, nobody would make: once the force is gone it is done
        return Batch(asked, len(work.due), 0)
    return choose(work, asked, most)


def choose(work: Work, asked: Span, most: int) -> Batch | None:
    """Return the oldest periods of what is due, up to ``most`` that have not failed, within the span asked for."""
    if not work.due:
        return None
    fresh = [one.period for one in work.due if not one.failed]
    chosen = fresh[:most] if len(fresh) > most else [one.period for one in work.due]
    start, end = min(one.start for one in chosen), max(one.end for one in chosen)
    if work.chain and Span(start, end).touches(work.chain[0]):
        end = max(end, *(one.end for one in work.chain[:most]))
    span = Span(max(start, asked.start or start), min(end, asked.end or end))
    inside = sum(span.touches(one.period) for one in work.due)
    return Batch(span, inside, len(work.due) - inside)


def to_arguments(span: Span, *, force: bool) -> list[str]:
    """Return the arguments by which a stage's command runs over a span: days where it can be, else hours."""
    arguments: list[str] = []
    if span.start:
        first = Period.containing(span.start, Grain.HOUR if span.start.hour else Grain.DAY)
        arguments += ["--from", str(first)]
    if span.end:
        last = Period.containing(span.end - HOUR, Grain.HOUR if span.end.hour else Grain.DAY)
        arguments += ["--to", str(last)]
    return [*arguments, "--force"] if force else arguments


def _rollup(settings: RollupSettings, span: Span, force: bool) -> Work:  # noqa: FBT001 - as the table calls it
    from jobs.rollup.stage import RollupStage  # noqa: PLC0415 - profile's image has not what it needs

    markers = Markers(settings.store)
    return Work(_due(RollupStage(settings, markers, IDLE), markers, span, force=force))


def _profile(settings: ProfileSettings, span: Span, force: bool) -> Work:  # noqa: FBT001 - as the table calls it
    from jobs.profile.audience_stage import AudienceStage  # noqa: PLC0415 - as above, the other way round
    from jobs.profile.stage import ProfileStage  # noqa: PLC0415

    markers = Markers(settings.store)
    days, audience = ProfileStage(settings, markers, IDLE), AudienceStage(settings, markers, IDLE)
    due = _due(days, markers, span, force=force)
    chain = [day for day in days.periods(span) if due and day >= due[0].period]
    due += _due(audience, markers, span, force=force)
    return Work(sorted(due, key=lambda one: (one.period.end, one.period.start)), chain)


def _due(stage: Stage, markers: Markers, span: Span, *, force: bool) -> list[Due]:
    failed = markers.failures(stage.name)
    return [Due(period, period in failed) for period in plan_stage(stage, markers, span, force=force)]


@dataclass(frozen=True)
class SparkStage:
    """A stage that can be launched: its settings, and how its work is found."""

    kind: type[StageSettings]
    find_work: Callable[[Any, Span, bool], Work]


STAGES = {
    "rollup": SparkStage(RollupSettings, _rollup),
    "profile": SparkStage(ProfileSettings, _profile),
}
