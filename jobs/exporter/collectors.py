"""The exporter's collectors: one for each stage, which runs the stage's own code, one for the mart, one for garbage.

The collectors share the lake's markers. The markers that a collector needs are refreshed before it reads them, once in
each round. The collectors read only the states within a window, and only ``garbage`` lists data of the lake.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.exporter.samples import (
    dataset_samples,
    erasure_samples,
    held_samples,
    hour_samples,
    key_samples,
    ledger_samples,
    offset_samples,
    retention_samples,
    stage_samples,
    window_of,
)
from jobs.exporter.settings import ExporterOptions, ExporterSettings
from jobs.mart_load.settings import MartLoadSettings
from jobs.profile.buckets import other_key_periods
from jobs.registry import PROFILE, SCHEDULE_FETCH
from jobs.retain.settings import RetentionSettings
from jobs.retain.watch import STAGES as RETENTION_STAGES
from jobs.retain.watch import deleted, overdue
from jobs.rollup.settings import RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import Period, Span
from marquee.engine.base import NO_ENGINE
from marquee.lake import keys
from marquee.lake.erasure_progress import open_requests
from marquee.lake.erasures import STAGES as OF_VIEWERS
from marquee.lake.garbage import plan_garbage
from marquee.lake.markers import Markers
from marquee.mart.status import ledger_states
from marquee.runs.stage import Stage
from marquee.runs.status import PeriodStatus, read_states
from marquee.settings.loading import load_settings
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Sample, sample

Read = Callable[[datetime], Iterable[Sample]]
"""Returns the samples as of the given time."""


@dataclass(frozen=True)
class StateCollector:
    """A collector: the stages whose markers it needs, its refresh interval, and the function that reads its samples."""

    name: str
    stages: tuple[str, ...]
    every: timedelta
    read: Read


@dataclass(frozen=True)
class _Context:
    """Shared context of the collectors."""

    options: ExporterOptions
    markers: Markers
    clock: Callable[[], datetime]
    erasure_days: int

    @property
    def interval(self) -> timedelta:
        """Refresh interval of a cheap collector."""
        return timedelta(seconds=self.options.interval_s)

    def window(self, now: datetime) -> Span:
        """Return the span whose periods' states are published."""
        return window_of(now, self.options.window_days)

    def samples(self, stage: Stage, periods: Iterable[Period]) -> Iterator[Sample]:
        """Yield the samples of a stage, with the states of these periods."""
        yield from self.samples_of(stage, list(read_states(stage, self.markers, periods)))

    def samples_of(self, stage: Stage, window: Sequence[PeriodStatus]) -> Iterator[Sample]:
        """Yield the samples of a stage from the known states of its periods."""
        marked = self.markers.of(stage.name)
        yield from stage_samples(stage.name, marked, window)
        yield from dataset_samples(marked, self.markers.ended(stage.name))


def make_collectors(
    settings: ExporterSettings, markers: Markers, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[StateCollector]:
    """Return the configured collectors; ConfigError if the settings of a collector's stage are wrong."""
    context = _Context(settings.exporter, markers, clock, settings.erasure.days)
    return [_MAKERS[name](context) for name in settings.exporter.parts]


def _schedule(context: _Context) -> StateCollector:
    (stage,) = SCHEDULE_FETCH.open_stages(load_settings(SCHEDULE_FETCH.settings), context.markers, context.clock)

    def read(now: datetime) -> Iterator[Sample]:
        yield from context.samples(stage, stage.known_periods(context.window(now)))

    return StateCollector("schedule", (keys.SCHEDULE_FETCH,), context.interval, read)


def _rollup(context: _Context) -> StateCollector:
    settings = load_settings(RollupSettings)
    stage = RollupStage(settings, context.markers, NO_ENGINE, context.clock)
    grace = timedelta(minutes=settings.rollup.grace_minutes)

    def read(now: datetime) -> Iterator[Sample]:
        window = list(read_states(stage, context.markers, stage.periods(context.window(now))))
        yield from context.samples_of(stage, window)
        yield from hour_samples(context.markers.of(stage.name), window, now, grace)
        yield from held_samples({one.period: len(stage.left(one.period).held) for one in window})
        yield from key_samples(other_key_periods(context.markers, stage.viewer_key))
        yield from offset_samples({log for ranges in stage.offsets.values() for log in ranges}, stage.breaks)

    return StateCollector("rollup", OF_VIEWERS, context.interval, read)


def _profile(context: _Context) -> StateCollector:
    stages = PROFILE.open_stages(load_settings(PROFILE.settings), context.markers, context.clock)

    def read(now: datetime) -> Iterator[Sample]:
        for stage in stages:
            yield from context.samples(stage, stage.periods(context.window(now)))
        yield from erasure_samples(open_requests(context.markers), context.erasure_days)

    needed = (keys.SCHEDULE_FETCH, keys.ROLLUP, keys.PROFILE, keys.AUDIENCE)
    return StateCollector("profile", needed, context.interval, read)


def _mart(context: _Context) -> StateCollector:
    settings = load_settings(MartLoadSettings)

    def read(now: datetime) -> Iterator[Sample]:
        yield from ledger_samples(ledger_states(settings.mart, context.markers), context.window(now))

    needed = (keys.SCHEDULE_FETCH, keys.ROLLUP, keys.AUDIENCE, keys.MART_LOAD)
    return StateCollector("mart", needed, context.interval, read)


def _retention(context: _Context) -> StateCollector:
    options = load_settings(RetentionSettings).retention

    def read(now: datetime) -> Iterator[Sample]:
        yield from retention_samples(deleted(context.markers), overdue(context.markers, options, now))

    return StateCollector("retention", RETENTION_STAGES, context.interval, read)


def _garbage(context: _Context) -> StateCollector:
    def read(now: datetime) -> Iterator[Sample]:
        plan = plan_garbage(context.markers.store, context.markers, now)
        yield sample(metrics.GARBAGE_BYTES, sum(one.bytes for one in plan))
        yield sample(metrics.GARBAGE_OBJECTS, sum(one.objects for one in plan))

    return StateCollector("garbage", keys.STAGES, timedelta(hours=context.options.garbage_every_h), read)


_MAKERS: Mapping[str, Callable[[_Context], StateCollector]] = {
    "schedule": _schedule,
    "rollup": _rollup,
    "profile": _profile,
    "mart": _mart,
    "retention": _retention,
    "garbage": _garbage,
}
