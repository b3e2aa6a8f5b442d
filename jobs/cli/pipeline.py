"""Runs all stages from upstream to downstream, and reads the state of every period."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from jobs.registry import MART_LOAD, PIPELINE, Job
from marquee.calendar import Span
from marquee.engine.scratch import check_scratch
from marquee.errors import ConfigError, MarqueeError, TryAgainError, worst
from marquee.lake.markers import Markers
from marquee.runs.command import Outcome
from marquee.runs.stage import Advance
from marquee.runs.status import PeriodStatus, read_states
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)

Bar = Callable[[str], AbstractContextManager[Advance]]


def run_pipeline(span: Span, bar: Bar) -> dict[str, Outcome]:
    """Run all stages until nothing is pending; return each stage's outcome. A failure does not stop other stages."""
    settings = {job.command: load_settings(job.settings) for job in PIPELINE}
    check_scratch(settings[MART_LOAD.command].engine.scratch)
    done: dict[str, list[Outcome]] = {job.command: [] for job in PIPELINE}
    while True:
        for job in PIPELINE:
            with bar(job.command) as advance:
                own = settings[job.command]
                done[job.command].append(job.run(own, Markers(own.store), span, force=False, advance=advance))
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


def read_status(span: Span, given: Mapping[str, object] | None = None) -> list[PeriodStatus]:
    """Return the state of each period of each stage; ``given`` are settings of the mart that override all others.

    A stage whose state cannot be read, because its settings are missing or its store does not answer, is skipped with
    a warning. If no stage can be read, the first ConfigError or TryAgainError is raised.
    """
    found: list[PeriodStatus] = []
    errors: list[MarqueeError] = []
    shared: dict[str, Markers] = {}
    readers = [
        partial(_mart_status, shared, given or {}) if job is MART_LOAD else partial(_status_of, shared, job)
        for job in PIPELINE
    ]
    for read in readers:
        try:
            found += read(span)
        except (ConfigError, TryAgainError) as error:
            errors.append(error)
    if len(errors) == len(readers):
        raise errors[0]
    for one in errors:
        log.warning("%s", one)
    return found


def _markers_of(shared: dict[str, Markers], settings: StageSettings) -> Markers:
    """Return the markers of the lake of some settings; all jobs of one lake read them once."""
    return shared.setdefault(settings.lake, Markers(settings.store))


def _status_of(shared: dict[str, Markers], job: Job, span: Span) -> list[PeriodStatus]:
    settings = load_settings(job.settings)
    markers = _markers_of(shared, settings)
    stages = job.open_stages(settings, markers)
    return [
        one
        for stage, main in zip(stages, job.main_datasets, strict=True)
        for one in read_states(stage, markers, stage.known_periods(span), main)
    ]


def _mart_status(shared: dict[str, Markers], given: Mapping[str, object], span: Span) -> list[PeriodStatus]:
    from jobs.mart_load.settings import MartLoadSettings  # noqa: PLC0415 - the mart is slow to import
    from marquee.mart.status import ledger_states  # noqa: PLC0415

    settings = load_settings(MartLoadSettings, **given)
    return [one for one in ledger_states(settings.mart, _markers_of(shared, settings)) if span.touches(one.period)]
