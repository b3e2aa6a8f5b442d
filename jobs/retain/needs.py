"""Why a part of the lake is still needed: what would have to be made from it, or is not yet made from it."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cached_property

from jobs.retain.plan import Context, Plan
from jobs.rollup.gone import ended_at
from marquee.calendar import DAY, Grain, Period
from marquee.lake import keys
from marquee.lake.datasets import LAUNCH_VIEWER, VIEWER_DAY, VIEWER_SEEN, Dataset
from marquee.lake.erasures import contents_before
from marquee.lake.layers import SEEN_AGAIN_DAYS, VIEWER_DAYS, VIEWER_HOURS
from marquee.lake.manifest import Input, Marker
from marquee.lake.markers import read_marker
from marquee.runs.stage import Stage, State, plan_period, state_of

LAUNCHES = "launch_since"
"""Count of an audience from which the launches of the next day go on."""


class Needs:
    """Answers what is still needed; it remembers the inputs of the periods that it has read."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._context, self._plan = context, plan
        self._markers = context.markers
        self._inputs: dict[tuple[str, Period], frozenset[Input]] = {}
        self._of_day: dict[Period, str] = {}
        self._open_hours: dict[Period, Period | None] = {}

    def why_hour(self, stage: Stage, hour: Period) -> str:
        """Return why the raw events of an hour are needed; empty if they are not.

        The hour is done, and its day, and the periods of the day, are made from this very run of the hour.
        """
        return self._why_open(stage, hour) or self._why_day(Period.containing(hour.start, Grain.DAY))

    def why_viewer_hours(self, day: Period) -> str:
        """Return why the viewer hours of a day are needed; empty if they are not."""
        why = self._why_open(self._profile, day)
        before = self._markers.of(keys.PROFILE).get(day.previous())
        if why or before is None or self._hours_ended(day.previous()):
            return why
        return f"{day.previous()} is not ended, and its registry of viewers is an input of this day"

    def why_viewer_day(self, day: Period) -> str:
        """Return why the viewer days of a day, and its registry of viewers, are needed; empty if they are not."""
        marker = self._markers.of(keys.PROFILE)[day]
        if why := self._why_open(self._profile, day):
            return why
        if why := next(filter(None, (self._why_reader(one, marker) for one in self._readers(day))), ""):
            return why
        after = self._markers.of(keys.PROFILE).get(day.next())
        if after is None or not self._is_made_from(keys.PROFILE, day.next(), marker, VIEWER_SEEN):
            return f"{day.next()} is not profiled from its registry of viewers"
        return self._why_launches(day)

    def why_state(self, period: Period) -> str:
        """Return why the viewer-level datasets of an audience period are needed; empty if they are not."""
        if period.end > self._context.today:
            return "the period is not over"
        ended = self._markers.ended(keys.PROFILE)
        ending = self._plan.ends(VIEWER_DAYS, keys.PROFILE)
        made = self._markers.of(keys.PROFILE)
        left = [
            day
            for day in period.parts(Grain.DAY)
            if day in made and day not in ending and not ended.end_of(VIEWER_DAYS.name, made[day])
        ]
        return f"viewer days of {left[0]} have not ended" if left else ""

    @cached_property
    def _profile(self) -> Stage:
        return self._context.profile

    def _why_open(self, stage: Stage, period: Period) -> str:
        """Return why a period is not done, or may be about to change."""
        name = f"{stage.name} {period}"
        if period in self._markers.failures(stage.name):
            return f"{name} has failed"
        if period in self._markers.begun(stage.name):
            return f"a run of {name} has begun"
        planned = plan_period(stage, period)
        if isinstance(planned, Exception):
            return f"{name} cannot be planned: the lake is damaged"
        state = state_of(stage, planned, self._markers)
        return "" if state is State.DONE else f"{name} is {state}"

    def _why_day(self, day: Period) -> str:
        if day not in self._of_day:
            self._of_day[day] = self._why_open(self._profile, day) or self._why_audiences(day)
        return self._of_day[day]

    def _why_audiences(self, day: Period) -> str:
        """Return which period of a day is not made from it."""
        marker = self._markers.of(keys.PROFILE)[day]
        for grain in keys.GRAINS[keys.AUDIENCE]:
            period = Period.containing(day.start, grain)
            audience = self._markers.of(keys.AUDIENCE).get(period)
            if audience is None:
                return f"audience {period} is not made"
            if self._markers.unclean(audience):
                return f"audience {period} may hold viewers to erase"
            if not self._is_made_from(keys.AUDIENCE, period, marker, VIEWER_DAY):
                return f"audience {period} is not made from this day"
        return ""

    def _readers(self, day: Period) -> Iterator[Period]:
        """Yield the periods that read a day: its own, those of the next day's launches, and later weeks."""
        yield from (Period.containing(day.start, grain) for grain in keys.GRAINS[keys.AUDIENCE])
        yield day.next()
        week = Period.containing(day.start, Grain.WEEK)
        yield from week.next().until(day.start + timedelta(days=SEEN_AGAIN_DAYS) + DAY)

    def _why_reader(self, period: Period, day: Marker) -> str:
        """Return why a period may still read a day: it may change, or is not made from the day."""
        return self._why_late(period) or self._why_not_made(period, day)

    def _why_late(self, period: Period) -> str:
        """Return why a late file may change a period."""
        sealed = period.end + timedelta(days=self._context.settings.retention.sealed_after or 0)
        if sealed > self._context.today:
            return f"{period} takes late files until {sealed:%Y-%m-%d}"
        if period not in self._open_hours:
            self._open_hours[period] = next(filter(self._takes_late_files, period.parts(Grain.HOUR)), None)
        takes = self._open_hours[period]
        if takes is None:
            return ""
        return f"{takes}, which is in {period}, takes late files: its raw events or viewer hours have not ended"

    def _why_not_made(self, period: Period, day: Marker) -> str:
        audience, stage = self._markers.of(keys.AUDIENCE).get(period), self._context.audience
        if period in self._markers.failures(keys.AUDIENCE):
            return f"audience {period} has failed"
        if audience is None:
            profiled = any(one in self._markers.of(keys.PROFILE) for one in period.parts(Grain.DAY))
            return f"audience {period} is not made" if profiled else ""
        if not audience.is_made_by(stage.parameters, stage.definition_version):
            return f"audience {period} was made by other settings or definitions"
        if self._markers.unclean(audience):
            return f"audience {period} may hold viewers to erase"
        if Period.parse(day.period) in period and not self._is_made_from(keys.AUDIENCE, period, day, VIEWER_DAY):
            return f"audience {period} is not made from this day"
        return "" if audience.started_at > day.finished_at else f"audience {period} is older than this day"

    def _why_launches(self, day: Period) -> str:
        audience = self._markers.of(keys.AUDIENCE)[day]
        if LAUNCHES not in audience.counts:
            return ""
        if self._is_made_from(keys.AUDIENCE, day.next(), audience, LAUNCH_VIEWER):
            return ""
        return f"audience {day.next()} does not go on from its launches"

    def _takes_late_files(self, hour: Period) -> bool:
        if ended_at(self._markers.ended(keys.ROLLUP), hour):
            return False
        return hour in self._markers.of(keys.ROLLUP) or hour in self._markers.pending(keys.ROLLUP)

    def _hours_ended(self, day: Period) -> bool:
        ended, ending = self._markers.ended(keys.ROLLUP), self._plan.ends(VIEWER_HOURS, keys.ROLLUP)
        made = self._markers.of(keys.ROLLUP)
        hours: Iterable[Period] = (hour for hour in day.parts(Grain.HOUR) if hour in made)
        return all(hour in ending or ended.end_of(VIEWER_HOURS.name, made[hour]) for hour in hours)

    def _is_made_from(self, stage: str, period: Period, upstream: Marker, dataset: Dataset) -> bool:
        """Return whether a period is made from a dataset of a run, or from its content before viewers were erased."""
        now, before = upstream.as_input(dataset), contents_before(upstream).get(dataset.name, ())
        return any(
            one == now or (one.name == now.name and one.etag in before) for one in self._inputs_of(stage, period)
        )

    def _inputs_of(self, stage: str, period: Period) -> frozenset[Input]:
        """Return the inputs of a published day or audience. The rest of its marker, which may be large, is let go."""
        if (stage, period) not in self._inputs:
            marker = read_marker(self._markers.store, stage, period)
            self._inputs[stage, period] = frozenset(marker.inputs if marker else ())
        return self._inputs[stage, period]
