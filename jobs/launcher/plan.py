"""Plans the batch of due periods of a Spark stage that one application makes, the oldest first.

It plans with the stages' own code. Failed periods are retried once the other due periods fit in one batch, so that they
do not block the others.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jobs.registry import Job
from marquee.calendar import HOUR, Grain, Period, Span
from marquee.engine.choice import Load
from marquee.lake.markers import Markers
from marquee.runs.load import cpu_s_per_byte, size_of
from marquee.runs.stage import Stage, Target, plan_period, plan_stage, search_erased
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)

NO_LOAD = Load(0)

SEARCHES, SEARCH_MB = 2, 128
"""Searches for erased viewers at a time, and MiB for each."""


@dataclass(frozen=True)
class Due:
    """A due period, whether its last run failed, and how large its inputs are."""

    period: Period
    failed: bool = False
    size: int = 0
    """Bytes of its inputs."""


@dataclass(frozen=True)
class Work:
    """The due periods of a stage, in order of time, and its chain.

    The chain holds the periods from the first due one on, each of which needs the one before: when one is made, the
    next may become due. The load is that of all. The note says why nothing is due.
    """

    due: Sequence[Due] = ()
    chain: Sequence[Period] = ()
    note: str = ""
    load: Load = NO_LOAD


@dataclass(frozen=True)
class Batch:
    """Work of one application: a span, the number of due periods in it and of those left for later, and its load."""

    span: Span
    due: int
    left: int
    load: Load = field(default=NO_LOAD, compare=False)


def plan(job: Job, settings: StageSettings, asked: Span, *, force: bool, most: int) -> Batch | None:
    """Return the next batch of a job, None if nothing is due. With ``force`` one batch holds all periods."""
    work = find_work(job, settings, asked, force=force)
    if not work.due:
        log.info("%s: nothing is pending%s", job.name, work.note and f"; {work.note}")
    if force and work.due:  # a later run without force would not make the rest, because it is done
        return Batch(asked, len(work.due), 0, work.load)
    return choose(work, asked, most)


def choose(work: Work, asked: Span, most: int) -> Batch | None:
    """Return the batch of the oldest due periods in the span, up to ``most``, failed ones only if all fit."""
    if not work.due:
        return None
    fresh = [one.period for one in work.due if not one.failed]
    chosen = fresh[:most] if len(fresh) > most else [one.period for one in work.due]
    start, end = min(one.start for one in chosen), max(one.end for one in chosen)
    if work.chain and Span(start, end).touches(work.chain[0]):
        end = max(end, *(one.end for one in work.chain[:most]))
    span = Span(max(start, asked.start or start), min(end, asked.end or end))
    inside = [one for one in work.due if span.touches(one.period)]
    # A day of the chain that is not due yet is about as large as one that is.
    follow = sum(span.touches(one) for one in work.chain) - sum(one.period in work.chain for one in inside)
    size = sum(one.size for one in inside) + max(follow, 0) * max((one.size for one in inside), default=0)
    return Batch(span, len(inside), len(work.due) - len(inside), replace(work.load, size=size))


def to_arguments(span: Span, *, force: bool) -> list[str]:
    """Return the arguments of a stage's command for a span: days if possible, else hours."""
    arguments: list[str] = []
    if span.start:
        first = Period.containing(span.start, Grain.HOUR if span.start.hour else Grain.DAY)
        arguments += ["--from", str(first)]
    if span.end:
        last = Period.containing(span.end - HOUR, Grain.HOUR if span.end.hour else Grain.DAY)
        arguments += ["--to", str(last)]
    return [*arguments, "--force"] if force else arguments


def find_work(job: Job, settings: StageSettings, span: Span, *, force: bool) -> Work:
    """Return the due work of the job's stages.

    If the job has several stages, the periods of the first form a chain: each needs the one before.
    """
    markers = Markers(settings.store)
    stages = job.open_stages(settings, markers)
    if not force and markers.erasures.ids:
        _search_erased(stages, settings, markers, span)
    due = _due(stages[0], markers, span, force=force)
    stages[0].announce(ended=False)  # an application lists only its own batch
    took = cpu_s_per_byte(markers.of(stages[0].name).values()) if due else None
    load = Load(sum(one.size for one in due), took)
    if len(stages) == 1:
        return Work(due, note="" if due else stages[0].explain(span), load=load)
    chain = [period for period in stages[0].periods(span) if due and period >= due[0].period]
    for stage in stages[1:]:
        due += _due(stage, markers, span, force=force)
    due = sorted(due, key=lambda one: (one.period.end, one.period.start))
    return Work(due, chain, note="" if due else stages[0].explain(span), load=load)


def _search_erased(stages: Sequence[Stage], settings: StageSettings, markers: Markers, span: Span) -> None:
    """Search for erased viewers in this process: after a request, every period is due until it was searched."""
    from marquee.engine.local import EngineOptions, LocalEngine  # noqa: PLC0415 - slow to import

    engine = LocalEngine(EngineOptions(SEARCHES, SEARCHES * SEARCH_MB, settings.engine.scratch))
    for stage in stages:
        search_erased(stage, markers, stage.periods(span), engine)


def _due(stage: Stage, markers: Markers, span: Span, *, force: bool) -> list[Due]:
    failed = markers.failures(stage.name)
    return [
        Due(period, period in failed, _size(stage, period)) for period in plan_stage(stage, markers, span, force=force)
    ]


def _size(stage: Stage, period: Period) -> int:
    target = plan_period(stage, period)
    return size_of(target.inputs) if isinstance(target, Target) else 0
