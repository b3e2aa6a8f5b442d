"""What the exporter looks at: each stage with its own code, the mart's ledger, and the garbage.

The parts share the lake's markers. Before a part looks, the markers that it needs are brought up to date, once a round.
The states of a window alone are asked for: no part but ``garbage`` lists data of the lake.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.exporter.samples import dataset_samples, hour_samples, ledger_samples, stage_samples, window_of
from jobs.exporter.settings import ExporterOptions, ExporterSettings
from jobs.mart_load.settings import MartLoadSettings
from jobs.registry import PROFILE, ROLLUP, SCHEDULE_FETCH
from jobs.rollup.settings import RollupSettings
from marquee.calendar import Period, Span
from marquee.lake import keys
from marquee.lake.garbage import plan_garbage
from marquee.lake.markers import Markers
from marquee.mart.status import ledger_states
from marquee.runs.stage import Stage
from marquee.runs.status import PeriodStatus, read_states
from marquee.settings.loading import load_settings
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Sample, sample

Look = Callable[[datetime], Iterable[Sample]]


@dataclass(frozen=True)
class Part:
    """One thing to look at: the stages whose markers it needs, how often it is looked at, and what is found then."""

    name: str
    stages: tuple[str, ...]
    every: timedelta
    look: Look


@dataclass(frozen=True)
class _View:
    """What the parts have in common."""

    options: ExporterOptions
    markers: Markers
    clock: Callable[[], datetime]

    @property
    def every_round(self) -> timedelta:
        """How often a part is looked at that costs little."""
        return timedelta(seconds=self.options.interval_s)

    def window(self, now: datetime) -> Span:
        """Return the time of which every period's state is told."""
        return window_of(now, self.options.window_days)

    def samples(self, stage: Stage, periods: Iterable[Period]) -> Iterator[Sample]:
        """Yield what is told of a stage, with the states of these periods."""
        yield from self.samples_of(stage, list(read_states(stage, self.markers, periods)))

    def samples_of(self, stage: Stage, window: Sequence[PeriodStatus]) -> Iterator[Sample]:
        """Yield what is told of a stage whose periods have been looked at."""
        marked = self.markers.of(stage.name)
        yield from stage_samples(stage.name, marked, window)
        yield from dataset_samples(marked)


def make_parts(
    settings: ExporterSettings, markers: Markers, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[Part]:
    """Return the parts of the settings; ConfigError when those of a part's stage are wrong."""
    view = _View(settings.exporter, markers, clock)
    return [_MAKERS[name](view) for name in settings.exporter.parts]


def _schedule(view: _View) -> Part:
    (stage,) = SCHEDULE_FETCH.open_stages(load_settings(SCHEDULE_FETCH.settings), view.markers, view.clock)

    def look(now: datetime) -> Iterator[Sample]:
        yield from view.samples(stage, stage.known_periods(view.window(now)))

    return Part("schedule", (keys.SCHEDULE_FETCH,), view.every_round, look)


def _rollup(view: _View) -> Part:
    settings = load_settings(RollupSettings)
    (stage,) = ROLLUP.open_stages(settings, view.markers, view.clock)
    grace = timedelta(minutes=settings.rollup.grace_minutes)

    def look(now: datetime) -> Iterator[Sample]:
        window = list(read_states(stage, view.markers, stage.periods(view.window(now))))
        yield from view.samples_of(stage, window)
        yield from hour_samples(view.markers.of(stage.name), window, now, grace)

    return Part("rollup", (keys.ROLLUP,), view.every_round, look)


def _profile(view: _View) -> Part:
    stages = PROFILE.open_stages(load_settings(PROFILE.settings), view.markers, view.clock)

    def look(now: datetime) -> Iterator[Sample]:
        for stage in stages:
            yield from view.samples(stage, stage.periods(view.window(now)))

    needed = (keys.SCHEDULE_FETCH, keys.ROLLUP, keys.PROFILE, keys.AUDIENCE)
    return Part("profile", needed, view.every_round, look)


def _mart(view: _View) -> Part:
    settings = load_settings(MartLoadSettings)

    def look(now: datetime) -> Iterator[Sample]:
        yield from ledger_samples(ledger_states(settings.mart, view.markers), view.window(now))

    needed = (keys.SCHEDULE_FETCH, keys.ROLLUP, keys.AUDIENCE, keys.MART_LOAD)
    return Part("mart", needed, view.every_round, look)


def _garbage(view: _View) -> Part:
    def look(now: datetime) -> Iterator[Sample]:
        plan = plan_garbage(view.markers.store, view.markers, now)
        yield sample(metrics.GARBAGE_BYTES, sum(one.bytes for one in plan))
        yield sample(metrics.GARBAGE_OBJECTS, sum(one.objects for one in plan))

    return Part("garbage", keys.STAGES, timedelta(hours=view.options.garbage_every_h), look)


_MAKERS: Mapping[str, Callable[[_View], Part]] = {
    "schedule": _schedule,
    "rollup": _rollup,
    "profile": _profile,
    "mart": _mart,
    "garbage": _garbage,
}
