"""audience: counts viewers by show and country, for each day, week, month and quarter to date.

Its inputs are the profiled days of the period, and the captured schedule of the episodes played in it. A new capture
makes only those periods stale whose played episodes it changes.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from jobs.profile.buckets import Bucketing, common, in_bucket, of_profile
from jobs.profile.day_bitmap import day_number, find_spans
from jobs.profile.settings import BINGE5_EPISODES, ProfileOptions, ProfileSettings
from jobs.profile.sittings import lasts_until
from jobs.profile.units import STATE, AudienceUnit, DayFiles
from marquee.calendar import Grain, Period, Span
from marquee.engine.base import Engine
from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    SITTING_DAY,
    UNKNOWN_SHOW,
    VIEWER_DAY,
    VIEWER_SEEN,
    WORLDWIDE,
)
from marquee.lake.manifest import Input, Marker, Parameters, Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Stage, Target
from marquee.sql import Values

if TYPE_CHECKING:
    from jobs.profile.played import PlayedEpisodes

DEFINITION = "1"
"""Version of the definitions: change it when the same days, schedule and settings give other results."""

GRAINS = (Grain.DAY, Grain.WEEK, Grain.MONTH, Grain.QUARTER)
BY_DAY = (VIEWER_DAY, SITTING_DAY)


class AudienceStage(Stage):
    """The stage audience, whose periods are days, weeks, months and quarters."""

    name = keys.AUDIENCE
    definition_version = DEFINITION

    def __init__(self, settings: ProfileSettings, markers: Markers, engine: Engine) -> None:
        self._settings = settings
        self._options = settings.profile
        self._markers = markers
        self._engine = engine

    @cached_property
    def _played(self) -> "PlayedEpisodes":
        from jobs.profile.played import PlayedEpisodes  # noqa: PLC0415 - reads with pyarrow and DuckDB

        return PlayedEpisodes(self._markers)

    @property
    def parameters(self) -> Parameters:
        """Settings that decide a period's content, as written to the marker: all thresholds."""
        return {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in self._options.model_dump().items()
        }

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the days, weeks, months and quarters that contain a profiled day, in the order of their ends."""
        days = self._markers.of(keys.PROFILE)
        periods = {Period.containing(day.start, grain) for day in days for grain in GRAINS}
        return sorted(filter(span.touches, periods), key=lambda one: (one.end, GRAINS.index(one.grain)))

    def target(self, period: Period) -> Target | None:
        """Return the period's profiled days, the registry of the last day, and the schedule of the episodes played."""
        days = list(self._days(period).values())
        inputs = [day.as_input(dataset) for day in days for dataset in BY_DAY]
        inputs.append(days[-1].as_input(VIEWER_SEEN))
        inputs.append(Input("catalogue", self._played.digest(days), 0))
        return Target(period, tuple(inputs))

    def waits_for(self, period: Period) -> str:  # noqa: ARG002 - any profiled day is enough
        """Return an empty text: a period to date waits for nothing."""
        return ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Count the period, bucket by bucket; BadInputError if its days differ in buckets or viewer key."""
        from jobs.profile.audience import count_bucket, finish_period  # noqa: PLC0415 - planning needs no kernel

        days = self._days(target.period)
        bucketing = common((marker, of_profile(marker)) for marker in days.values())
        catalogue = self._played.known(list(days.values()))
        values = query_values(self._options, target.period, list(days))
        merged = self._count_merged(target, run.previous, bucketing)
        state = run.previous if merged else None
        units = [
            AudienceUnit(
                lake=self._settings.address(self._markers.store.url),
                prefix=run.prefix,
                bucket=bucket,
                values=values,
                days=_day_files(target.period, days, bucket),
                state=tuple(output for dataset in STATE if state for output in in_bucket(state, dataset, bucket)),
                merged=merged,
                seen=in_bucket(list(days.values())[-1], VIEWER_SEEN, bucket),
                catalogue=catalogue,
            )
            for bucket in range(bucketing.buckets)
        ]
        parts = self._engine.map(count_bucket, units)
        outputs, orphan_seconds = finish_period(self._markers.store, run.prefix, parts, catalogue, values)
        counts = {
            "rows_in": sum(marker.rows(VIEWER_DAY) for marker in days.values()),
            "rows_out": sum(output.rows for output in outputs if output.dataset == AUDIENCE.name),
            "days": len(days),
            "viewers": sum(part.viewers for part in parts),
            "orphan_episodes": len(self._played.ids(list(days.values()))) - catalogue.num_rows,
            "orphan_seconds": orphan_seconds,
            **bucketing._asdict(),
        }
        return Result(tuple(outputs), counts)

    def _days(self, period: Period) -> dict[Period, Marker]:
        """Return the markers of the period's profiled days, in order."""
        markers = self._markers.of(keys.PROFILE)
        return {day: markers[day] for day in period.parts(Grain.DAY) if day in markers}

    def _count_merged(self, target: Target, previous: Marker | None, bucketing: Bucketing) -> int:
        """Return the number of days to take from the state of the previous run; 0 if the state cannot be used."""
        if previous is None or previous.inputs == target.inputs:
            return 0  # a run without a change (--force) rebuilds everything
        same_rules = (previous.definition_version, previous.parameters) == (self.definition_version, self.parameters)
        then, now = _day_inputs(previous.inputs), _day_inputs(target.inputs)
        merged = len(then) - len(BY_DAY)  # all days except the last
        unchanged = merged < len(now) and now[:merged] == then[:merged]
        return merged // len(BY_DAY) if same_rules and unchanged and of_profile(previous) == bucketing else 0


def query_values(options: ProfileOptions, period: Period, days: Sequence[Period]) -> Values:
    """Return the parameters of all queries of a period whose ``days`` are profiled."""
    return {
        **options.model_dump(),
        "binge5_episodes": BINGE5_EPISODES,
        "first_day": period.date,
        "spans": find_spans(period, days),
        "starts_before": None,
        "lasts_until": lasts_until(days[-2], options.sitting_gap_seconds) if len(days) > 1 else None,
        "unknown_show": UNKNOWN_SHOW,
        "worldwide": WORLDWIDE,
    }


def _day_files(period: Period, days: dict[Period, Marker], bucket: int) -> tuple[DayFiles, ...]:
    return tuple(
        DayFiles(day_number(period, day), *(in_bucket(marker, dataset, bucket) for dataset in BY_DAY))
        for day, marker in days.items()
    )


def _day_inputs(inputs: Iterable[Input]) -> list[Input]:
    names = tuple(f"/{dataset.name}" for dataset in BY_DAY)
    return [one for one in inputs if one.name.endswith(names)]
