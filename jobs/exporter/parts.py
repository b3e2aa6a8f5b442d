"""What the exporter looks at: each stage with its own code, the mart's ledger, and the garbage.

The parts share the lake's markers. Before a part looks, the markers that it needs are brought up to date, once a round.
The states of a window alone are asked for: no part but ``garbage`` lists data of the lake.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.common import lake, metrics
from jobs.common.calendar import EVER, Period
from jobs.common.commit import Markers
from jobs.common.engine import IDLE
from jobs.common.gc import plan_garbage
from jobs.common.health import Health, dataset_samples, hour_samples, look_over, stage_samples, window_of
from jobs.common.metrics import Sample, sample
from jobs.common.settings import load_settings
from jobs.common.stage import Stage
from jobs.exporter.settings import ExporterOptions, ExporterSettings
from jobs.mart_load.settings import MartLoadSettings
from jobs.mart_load.states import ledger_samples, ledger_states
from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from jobs.rollup.settings import RollupSettings
from jobs.rollup.stage import RollupStage
from jobs.schedule_fetch.client import ScheduleClient
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from jobs.schedule_fetch.stage import ScheduleFetchStage

Look = Callable[[datetime], Iterable[Sample]]


@dataclass(frozen=True)
class Part:
    """One thing to look at: the stages whose markers it needs, how often it is looked at, and what is found then."""

    name: str
    stages: tuple[str, ...]
    every: timedelta
    look: Look


def make_parts(
    settings: ExporterSettings, markers: Markers, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[Part]:
    """Return the parts of the settings; ConfigError when those of a part's stage are wrong."""
    return [_MAKERS[name](settings.exporter, markers, clock) for name in settings.exporter.parts]


def _schedule(options: ExporterOptions, markers: Markers, clock: Callable[[], datetime]) -> Part:
    own = load_settings(ScheduleFetchSettings).schedule_fetch
    stage = ScheduleFetchStage(markers, own, ScheduleClient(own), clock)  # the client is asked for nothing

    def look(now: datetime) -> Iterator[Sample]:
        # The stage's first day moves on with time: what was captured before it counts, and what was not is not open.
        days = sorted({*stage.periods(EVER), *markers.of(stage.name)})
        yield from _look_at(stage, markers, filter(window_of(now, options.window_days).touches, days))

    return Part("schedule", (lake.SCHEDULE_FETCH,), _each_round(options), look)


def _rollup(options: ExporterOptions, markers: Markers, clock: Callable[[], datetime]) -> Part:
    settings = load_settings(RollupSettings)
    stage = RollupStage(settings, markers, IDLE, clock)
    grace = timedelta(minutes=settings.rollup.grace_minutes)

    def look(now: datetime) -> Iterator[Sample]:
        hours = stage.periods(window_of(now, options.window_days))
        window = list(look_over(stage, markers, hours))
        yield from _samples(stage, markers, window)
        yield from hour_samples(markers.of(stage.name), window, now, grace)

    return Part("rollup", (lake.ROLLUP,), _each_round(options), look)


def _profile(options: ExporterOptions, markers: Markers, clock: Callable[[], datetime]) -> Part:
    del clock  # its stages ask the markers alone
    settings = load_settings(ProfileSettings)
    stages = ProfileStage(settings, markers, IDLE), AudienceStage(settings, markers, IDLE)

    def look(now: datetime) -> Iterator[Sample]:
        for stage in stages:
            yield from _look_at(stage, markers, stage.periods(window_of(now, options.window_days)))

    needed = (lake.SCHEDULE_FETCH, lake.ROLLUP, lake.PROFILE, lake.AUDIENCE)
    return Part("profile", needed, _each_round(options), look)


def _mart(options: ExporterOptions, markers: Markers, clock: Callable[[], datetime]) -> Part:
    del clock  # the ledger has no time of its own
    settings = load_settings(MartLoadSettings)

    def look(now: datetime) -> Iterator[Sample]:
        yield from ledger_samples(ledger_states(settings, markers), window_of(now, options.window_days))

    needed = (lake.SCHEDULE_FETCH, lake.ROLLUP, lake.AUDIENCE, lake.MART_LOAD)
    return Part("mart", needed, _each_round(options), look)


def _garbage(options: ExporterOptions, markers: Markers, clock: Callable[[], datetime]) -> Part:
    del clock  # its grace is reckoned from the instant of the look

    def look(now: datetime) -> Iterator[Sample]:
        plan = plan_garbage(markers.store, markers, now)
        yield sample(metrics.GARBAGE_BYTES, sum(one.bytes for one in plan))
        yield sample(metrics.GARBAGE_OBJECTS, sum(one.objects for one in plan))

    return Part("garbage", lake.STAGES, timedelta(hours=options.garbage_every_h), look)


Maker = Callable[[ExporterOptions, Markers, Callable[[], datetime]], Part]
_MAKERS: Mapping[str, Maker] = {
    "schedule": _schedule,
    "rollup": _rollup,
    "profile": _profile,
    "mart": _mart,
    "garbage": _garbage,
}


def _each_round(options: ExporterOptions) -> timedelta:
    return timedelta(seconds=options.interval_s)


def _look_at(stage: Stage, markers: Markers, periods: Iterable[Period]) -> Iterator[Sample]:
    yield from _samples(stage, markers, list(look_over(stage, markers, periods)))


def _samples(stage: Stage, markers: Markers, window: Sequence[Health]) -> Iterator[Sample]:
    marked = markers.of(stage.name)
    yield from stage_samples(stage.name, marked, window)
    yield from dataset_samples(marked)
