"""Runs all stages from upstream to downstream, and reads the state of every period."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from jobs.registry import MART_LOAD, PIPELINE, ROLLUP, Job
from marquee.calendar import Span
from marquee.engine.scratch import check_scratch
from marquee.errors import ConfigError, MarqueeError, TryAgainError, worst
from marquee.lake import keys
from marquee.lake.ended import in_words
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import VIEWER_KEY
from marquee.runs.command import Outcome, survives_restart
from marquee.runs.stage import Advance, Stage
from marquee.runs.status import PeriodStatus, read_states
from marquee.runs.supervisor import allow_restart
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)

FRESH_S = 5.0
"""Seconds for which a listing of markers serves the next job, too: without work, a run lists each stage once."""

Bar = Callable[[str], AbstractContextManager[Advance]]


def run_pipeline(span: Span, bar: Bar) -> dict[str, Outcome]:
    """Run all stages until nothing is pending; return each stage's outcome. A failure does not stop other stages."""
    settings = {job.command: load_settings(job.settings).patient() for job in PIPELINE}
    check_scratch(settings[MART_LOAD.command].engine.scratch)
    shared: dict[str, Markers] = {}
    if all(map(survives_restart, settings.values())):
        allow_restart()
    done: dict[str, list[Outcome]] = {job.command: [] for job in PIPELINE}
    while True:
        for job in PIPELINE:
            with bar(job.command) as advance:
                own = settings[job.command]
                markers = _markers_of(shared, own, writes=True)
                for stage in keys.STAGES:  # all, so that a newer format of any stage ends the run before it writes
                    markers.refresh(stage, after_s=FRESH_S)
                done[job.command].append(job.run(own, markers, span, force=False, advance=advance))
        latest = [outcomes[-1] for outcomes in done.values()]
        # Another pass makes what has arrived since. After a failure there is none, because it would fail again.
        if not any(outcome.changed for outcome in latest) or any(outcome.exit_code for outcome in latest):
            return {command: _Total(tuple(outcomes)) for command, outcomes in done.items()}


@dataclass(frozen=True)
class _Total:
    outcomes: tuple[Outcome, ...]

    @property
    def exit_code(self) -> int:
        return worst([outcome.exit_code for outcome in self.outcomes])

    @property
    def changed(self) -> int:
        return sum(outcome.changed for outcome in self.outcomes)

    @property
    def failures(self) -> int:
        return sum(outcome.failures for outcome in self.outcomes)

    @property
    def note(self) -> str:
        return self.outcomes[-1].note


@dataclass
class Status:
    """The state of each period of each stage; raw objects by class, also in no hour's folder; remarks on them.

    ``ended`` is what retention has ended, in words.
    """

    periods: list[PeriodStatus] = field(default_factory=list)
    objects: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


def read_status(span: Span, given: Mapping[str, object] | None = None) -> Status:
    """Return the state of each period of each stage; ``given`` are settings of the mart that override all others.

    A stage whose state cannot be read, because its settings are missing or its store does not answer, is skipped with
    a warning. If no stage can be read, the first ConfigError or TryAgainError is raised.
    """
    found = Status()
    errors: list[MarqueeError] = []
    shared: dict[str, Markers] = {}
    readers = [
        partial(_mart_status, shared, given or {}) if job is MART_LOAD else partial(_status_of, shared, job, found)
        for job in PIPELINE
    ]
    for read in readers:
        try:
            found.periods += read(span)
        except (ConfigError, TryAgainError) as error:
            errors.append(error)
    if len(errors) == len(readers):
        raise errors[0]
    for one in errors:
        log.warning("%s", one)
    return found


def _markers_of(shared: dict[str, Markers], settings: StageSettings, *, writes: bool = False) -> Markers:
    """Return the markers of the lake of some settings; all jobs of one lake read them once."""
    return shared.setdefault(settings.lake, Markers(settings.store, writes_index=writes))


def _status_of(shared: dict[str, Markers], job: Job, found: Status, span: Span) -> list[PeriodStatus]:
    settings = load_settings(job.settings)
    markers = _markers_of(shared, settings)
    stages = job.open_stages(settings, markers)
    listed = [
        one
        for stage, main in zip(stages, job.main_datasets, strict=True)
        for one in read_states(stage, markers, stage.known_periods(span), main)
    ]
    for objects in (*(one.objects for one in listed), *(stage.objects(None) for stage in stages)):
        found.objects.update(objects)
    found.ended += (said for stage in stages for said in in_words(markers.ended(stage.name)))
    found.remarks += filter(None, (stage.remark() for stage in stages))
    if job is ROLLUP:
        found.remarks += _left_to_rekey(markers, stages)
    return listed


def _left_to_rekey(markers: Markers, stages: Sequence[Stage]) -> Iterator[str]:
    """Yield how many periods are under other viewer keys than those of the rollup's settings, if some are."""
    from jobs.profile.buckets import other_key_periods  # noqa: PLC0415 - only a status needs it

    (viewer_key,) = {str(one.parameters[VIEWER_KEY]) for one in stages}
    if left := {stage: number for stage, number in other_key_periods(markers, viewer_key).items() if number}:
        by_stage = ", ".join(f"{stage} {number}" for stage, number in left.items())
        yield (
            f"{sum(left.values())} periods have viewers under other keys than MARQUEE_ROLLUP__VIEWER_KEY ({by_stage}). "
            "If the keys of the lake are the end of its list, run marquee rekey"
        )


def _mart_status(shared: dict[str, Markers], given: Mapping[str, object], span: Span) -> list[PeriodStatus]:
    from jobs.mart_load.settings import MartLoadSettings  # noqa: PLC0415 - the mart is slow to import
    from marquee.mart.status import ledger_states  # noqa: PLC0415

    settings = load_settings(MartLoadSettings, **given)
    return [one for one in ledger_states(settings.mart, _markers_of(shared, settings)) if span.touches(one.period)]
