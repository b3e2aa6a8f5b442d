"""The stages in the order in which they feed each other: to run them all, and to tell where each period stands."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from jobs.exporter.samples import Health, look_over
from jobs.mart_load.load import load_mart
from jobs.mart_load.settings import MartLoadSettings
from jobs.profile.__main__ import run as run_profile
from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from jobs.rollup.__main__ import run as run_rollup
from jobs.rollup.settings import RollupSettings
from jobs.rollup.stage import RollupStage
from jobs.schedule_fetch.__main__ import run as run_schedule_fetch
from jobs.schedule_fetch.client import ScheduleClient
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from jobs.schedule_fetch.stage import ScheduleFetchStage
from marquee.calendar import Span
from marquee.engine.local import IDLE
from marquee.errors import ConfigError, MarqueeError, TryAgainError, worst
from marquee.lake import keys
from marquee.lake.datasets import AUDIENCE, EPISODES, VIEWER_DAY, VIEWERSHIP, Dataset
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.mart.status import ledger_states
from marquee.runs.command import Outcome, Run
from marquee.runs.stage import Advance, Stage, State
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One stage as a command: its name there, its settings, and how it runs."""

    command: str
    kind: type[StageSettings]
    run: Run[Any]
    summary: str


STEPS = (
    Step("schedule-fetch", ScheduleFetchSettings, run_schedule_fetch, "capture the programme schedule, day by day"),
    Step("rollup", RollupSettings, run_rollup, "roll up raw play events, hour by hour"),
    Step(
        "profile", ProfileSettings, run_profile, "profile viewers by day; count audiences by day, week, month, quarter"
    ),
    Step("mart-load", MartLoadSettings, load_mart, "load the mart with what the lake has and it has not"),
)

Bar = Callable[[str], AbstractContextManager[Advance]]


def run_pipeline(span: Span, bar: Bar) -> dict[str, Outcome]:
    """Run all stages until nothing is pending; return what each did. A failure in one does not stop the others."""
    settings = {step.command: load_settings(step.kind) for step in STEPS}
    done: dict[str, list[Outcome]] = {step.command: [] for step in STEPS}
    while True:
        for step in STEPS:
            with bar(step.command) as advance:
                own = settings[step.command]
                done[step.command].append(step.run(own, Markers(own.store), span, force=False, advance=advance))
        latest = [outcomes[-1] for outcomes in done.values()]
        # Another pass takes up what came in meanwhile; what failed would only fail again.
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


@dataclass(frozen=True)
class PeriodStatus:
    """Where one period of a stage stands. ``rows`` are of the stage's main dataset."""

    stage: str
    period: str
    state: State
    rows: int = 0
    rejects: int = 0
    generation: int | None = None
    made_at: datetime | None = None
    reason: str = ""


MAIN: dict[str, Dataset] = {
    keys.SCHEDULE_FETCH: EPISODES,
    keys.ROLLUP: VIEWERSHIP,
    keys.PROFILE: VIEWER_DAY,
    keys.AUDIENCE: AUDIENCE,
}


def read_status(span: Span, given: Mapping[str, object] | None = None) -> list[PeriodStatus]:
    """Return where each period of each stage stands; ``given`` are settings of the mart that win over all others.

    A stage that cannot tell now, because its settings are missing or its store does not answer, is passed over with a
    warning; when none can, the first one's ConfigError or TryAgainError is raised.
    """
    found: list[PeriodStatus] = []
    errors: list[MarqueeError] = []
    parts = (_schedule_status, _rollup_status, _profile_status, partial(_mart_status, given=given or {}))
    for part in parts:
        try:
            found += list(part(span))
        except (ConfigError, TryAgainError) as error:
            errors.append(error)
    if len(errors) == len(parts):
        raise errors[0]
    for one in errors:
        log.warning("%s", one)
    return found


def _status_of(stage: Stage, markers: Markers, span: Span) -> Iterator[PeriodStatus]:
    for one in look_over(stage, markers, stage.periods(span)):
        yield _describe(stage.name, one, markers.of(stage.name).get(one.period))


def _describe(stage: str, health: Health, marker: Marker | None) -> PeriodStatus:
    if marker is None:
        return PeriodStatus(stage, str(health.period), health.state, reason=health.reason)
    return PeriodStatus(
        stage,
        str(health.period),
        health.state,
        rows=marker.rows(MAIN[stage]),
        rejects=sum(marker.counts.get("rejects", {}).values()),
        generation=marker.generation,
        made_at=datetime.fromisoformat(marker.finished_at),
        reason=health.reason,
    )


def _schedule_status(span: Span) -> Iterator[PeriodStatus]:
    settings = load_settings(ScheduleFetchSettings)
    markers = Markers(settings.store)
    with ScheduleClient(settings.schedule_fetch) as client:  # which is asked for nothing
        yield from _status_of(ScheduleFetchStage(markers, settings.schedule_fetch, client), markers, span)


def _rollup_status(span: Span) -> Iterator[PeriodStatus]:
    settings = load_settings(RollupSettings)
    markers = Markers(settings.store)
    yield from _status_of(RollupStage(settings, markers, IDLE), markers, span)


def _profile_status(span: Span) -> Iterator[PeriodStatus]:
    settings = load_settings(ProfileSettings)
    markers = Markers(settings.store)
    for stage in (ProfileStage(settings, markers, IDLE), AudienceStage(settings, markers, IDLE)):
        yield from _status_of(stage, markers, span)


def _mart_status(span: Span, given: Mapping[str, object]) -> Iterator[PeriodStatus]:
    settings = load_settings(MartLoadSettings, **given)
    for one in ledger_states(settings.mart, Markers(settings.store)):
        if span.touches(one.period):
            yield PeriodStatus(
                stage=f"{keys.MART_LOAD} {one.stage}",
                period=str(one.period),
                state=one.state,
                rows=one.rows,
                made_at=one.loaded_at,
                reason=one.reason,
            )
