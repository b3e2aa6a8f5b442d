"""Profiles a day: its viewer hours to viewer days, sittings, and the registry of viewers.

A day is made from its rolled-up hours. The lake's first and last day may have fewer than 24 hours; the last day is
restated as hours arrive. Any other day waits until all its hours are rolled up. Days are made in order, because each
day needs the registry of the day before.
"""

from collections.abc import Sequence
from operator import attrgetter

from jobs.profile.buckets import common, in_bucket, of_profile, of_rollup
from jobs.profile.settings import ProfileSettings
from jobs.profile.sittings import lasts_until, starts_before
from jobs.profile.units import DayUnit
from marquee.calendar import Grain, Period, Span
from marquee.engine.base import Engine
from marquee.lake import keys
from marquee.lake.datasets import VIEWER_DAY, VIEWER_HOUR, VIEWER_SEEN
from marquee.lake.manifest import Marker, Parameters, Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Stage, Target
from marquee.sql import Values

DEFINITION = "1"
"""Version of the definitions: change it when the same viewer hours and settings give other results."""


class ProfileStage(Stage):
    """The stage profile, whose periods are days."""

    name = keys.PROFILE
    definition_version = DEFINITION

    def __init__(self, settings: ProfileSettings, markers: Markers, engine: Engine) -> None:
        self._settings = settings
        self._options = settings.profile
        self._markers = markers
        self._engine = engine

    @property
    def parameters(self) -> Parameters:
        """Settings that decide a day's content, as written to the marker."""
        names = ("binge_episodes", "sitting_gap_seconds")
        return {name: getattr(self._options, name) for name in names}

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the days of the span, without gaps between the first and the last that has a rolled-up hour."""
        hours = self._markers.of(keys.ROLLUP)
        days = {Period.containing(hour.start, Grain.DAY) for hour in hours}
        if not days:
            return []
        return [day for day in min(days).until(max(days).end) if span.touches(day)]

    def target(self, period: Period) -> Target | None:
        """Return the day's viewer hours and the registry of the day before; None while one of them is missing."""
        hours, before = self._hours(period), self._before(period)
        if hours is None or (before is None and self._hours(period.previous()) != []):
            return None
        inputs = [hour.as_input(VIEWER_HOUR) for hour in hours]
        if before is not None:
            inputs.append(before.as_input(VIEWER_SEEN))
        return Target(period, tuple(inputs))

    def waits_for(self, period: Period) -> str:
        """Return what the day waits for: its first hour that is not rolled up, or the day before."""
        missing = [hour for hour in self._expected_hours(period) if hour not in self._markers.of(keys.ROLLUP)]
        return f"waits for {keys.ROLLUP} {missing[0]}" if missing else f"waits for {self.name} {period.previous()}"

    def explain(self, span: Span) -> str:
        """Return what is missing upstream."""
        hours = self._markers.of(keys.ROLLUP)
        if not hours:
            return "nothing is rolled up yet: run `marquee rollup` first"
        days = self.periods(span)
        if not days:
            return f"no hour of this period is rolled up; rolled-up hours are from {min(hours)} to {max(hours)}"
        waiting = [day for day in days if self.target(day) is None]
        return f"{waiting[0]} {self.waits_for(waiting[0])}" if waiting else ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Profile the day, bucket by bucket; BadInputError if its inputs differ in buckets or viewer key."""
        from jobs.profile.day import finish_day, profile_bucket  # noqa: PLC0415 - planning needs no kernel

        day = target.period
        hours, before = self._hours(day) or [], self._before(day)
        registry = [before] if before else []
        bucketing = common([(hour, of_rollup(hour)) for hour in hours] + [(one, of_profile(one)) for one in registry])
        values = self._query_values(day)
        units = [
            DayUnit(
                lake=self._settings.address(self._markers.store.url),
                prefix=run.prefix,
                bucket=bucket,
                values=values,
                hours=tuple(output for hour in hours for output in in_bucket(hour, VIEWER_HOUR, bucket)),
                registry=tuple(output for one in registry for output in in_bucket(one, VIEWER_SEEN, bucket)),
            )
            for bucket in range(bucketing.buckets)
        ]
        parts = self._engine.map(profile_bucket, units)
        outputs = finish_day(self._markers.store, run.prefix, parts)
        counts = {
            "rows_in": sum(hour.rows(VIEWER_HOUR) for hour in hours),
            "rows_out": sum(output.rows for output in outputs if output.dataset == VIEWER_DAY.name),
            "viewers": sum(part.viewers for part in parts),
            "new_viewers": sum(part.new_viewers for part in parts),
            "hours": len(hours),
            **bucketing._asdict(),
        }
        return Result(tuple(outputs), counts)

    def _query_values(self, day: Period) -> Values:
        gap = self._options.sitting_gap_seconds
        return {
            **self.parameters,
            "day": day.date,
            "starts_before": starts_before(day, gap),
            "lasts_until": lasts_until(day, gap),
        }

    def _before(self, day: Period) -> Marker | None:
        return self._markers.of(self.name).get(day.previous())

    def _hours(self, day: Period) -> list[Marker] | None:
        """Return the rollup's markers of the day's expected hours; None if one is missing."""
        marked = self._markers.of(keys.ROLLUP)
        hours = self._expected_hours(day)
        return [marked[hour] for hour in hours] if all(hour in marked for hour in hours) else None

    def _expected_hours(self, day: Period) -> list[Period]:
        """Return the hours of the day between the lake's first and last rolled-up hour."""
        marked = self._markers.of(keys.ROLLUP)
        start = attrgetter("start")
        first, last = min(marked, key=start), max(marked, key=start)
        return [hour for hour in day.parts(Grain.HOUR) if first <= hour <= last]
