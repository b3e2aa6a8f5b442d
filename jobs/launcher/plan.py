"""What a Spark stage has to do, and the part of it that one application is given: a batch, the oldest first.

Plans with the stages' own code. What failed is tried again once the others fit into one batch: it must not hold them
up for ever.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.registry import Job
from marquee.calendar import HOUR, Grain, Period, Span
from marquee.lake.markers import Markers
from marquee.runs.stage import Stage, plan_stage
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Due:
    """A period to be made; has its last run failed?"""

    period: Period
    failed: bool = False


@dataclass(frozen=True)
class Work:
    """What a stage could make now, in order of time; and its chain.

    The chain are the periods from the first due one on that take up each the one before: as one is made, the next may
    become due. The note says why there is nothing to make.
    """

    due: Sequence[Due] = ()
    chain: Sequence[Period] = ()
    note: str = ""


@dataclass(frozen=True)
class Batch:
    """What one application is given: a span, and how many due periods are in it and left for another."""

    span: Span
    due: int
    left: int


def plan(job: Job, settings: StageSettings, asked: Span, *, force: bool, most: int) -> Batch | None:
    """Return the next batch of a job, None when there is nothing to do; what is forced is all in one."""
    work = find_work(job, settings, asked, force=force)
    if not work.due:
        log.info("%s: nothing is pending%s", job.name, work.note and f"; {work.note}")
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


def find_work(job: Job, settings: StageSettings, span: Span, *, force: bool) -> Work:
    """Return what the job's stages could make now.

    The periods of a first stage of several form a chain: each takes up the one before.
    """
    markers = Markers(settings.store)
    stages = job.open_stages(settings, markers)
    due = _due(stages[0], markers, span, force=force)
    if len(stages) == 1:
        return Work(due, note="" if due else stages[0].explain(span))
    chain = [period for period in stages[0].periods(span) if due and period >= due[0].period]
    for stage in stages[1:]:
        due += _due(stage, markers, span, force=force)
    due = sorted(due, key=lambda one: (one.period.end, one.period.start))
    return Work(due, chain, note="" if due else stages[0].explain(span))


def _due(stage: Stage, markers: Markers, span: Span, *, force: bool) -> list[Due]:
    failed = markers.failures(stage.name)
    return [Due(period, period in failed) for period in plan_stage(stage, markers, span, force=force)]
