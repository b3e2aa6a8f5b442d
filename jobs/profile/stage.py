"""Profiles a day: its viewer hours to viewer days, sittings, and the registry of viewers.

A day is made from its rolled-up hours. It waits while an hour of it has failed, has raw events and was not made, or is
missing between other hours. Only the lake's first and last day may have fewer than 24 hours; the last day is restated
as hours arrive. Days are made in order, because each day needs the registry of the day before.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter

from jobs.profile.buckets import bucketing_of, common, in_bucket
from jobs.profile.ended import check_ended, note_ended
from jobs.profile.settings import ProfileSettings
from jobs.profile.sittings import lasts_until, starts_before
from jobs.profile.superseded import supersede
from jobs.profile.units import DayUnit
from marquee.calendar import EVER, Grain, Period, Span
from marquee.engine.base import Engine
from marquee.lake import keys
from marquee.lake.datasets import EPISODE_DAY, SITTING_DAY, VIEWER_DAY, VIEWER_HOUR, VIEWER_SEEN
from marquee.lake.erasures import contents_after
from marquee.lake.layers import VIEWER_DAYS, VIEWER_HOURS
from marquee.lake.manifest import Marker, Output, Parameters, Result
from marquee.lake.markers import Markers
from marquee.runs.erasing import counts_of_run
from marquee.runs.stage import RunContext, Stage, Target
from marquee.sql import Values

DEFINITION = "2"
"""Version of the definitions: change it when the same viewer hours and settings give other results."""

BY_BUCKET = (VIEWER_DAY, SITTING_DAY, VIEWER_SEEN)
"""The datasets of a day with rows of viewers."""


class ProfileStage(Stage):
    """The stage profile, whose periods are days."""

    name = keys.PROFILE
    definition_version = DEFINITION

    def __init__(self, settings: ProfileSettings, markers: Markers, engine: Engine) -> None:
        self._settings = settings
        self._options = settings.profile
        self._markers = markers
        self._engine = engine
        self._forced = False
        self._known: tuple[Mapping[Period, Marker], int, Span] = ({}, 0, EVER)

    @property
    def parameters(self) -> Parameters:
        """Settings that decide a day's content, as written to the marker."""
        names = ("binge_episodes", "sitting_gap_seconds")
        return {name: getattr(self._options, name) for name in names}

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the days of the span: from the first to the last with a rolled-up hour, and those that wait for one.

        The latter have no hours but failed or pending ones.
        """
        pending, failed = self._markers.pending(keys.ROLLUP), self._markers.failures(keys.ROLLUP)
        made = self._markers.of(keys.ROLLUP)
        days = {_day_of(hour) for hour in (*pending, *failed)}
        if made:
            start = attrgetter("start")
            days.update(_day_of(min(made, key=start)).until(max(made, key=start).end))
        return sorted(filter(span.touches, days))

    def target(self, period: Period) -> Target | None:
        """Return the day's viewer hours and the registry of the day before; None while one of them is missing."""
        hours, before = self._hours(period), self._before(period)
        if not hours or self._waits(period, hours):
            return None
        inputs = [hour.as_input(VIEWER_HOUR) for hour in hours]
        if before is not None:
            inputs.append(before.as_input(VIEWER_SEEN))
        return Target(period, tuple(inputs))

    def waits_for(self, period: Period) -> str:
        """Return what the day waits for: its first hour that is not rolled up, with the reason, or the day before."""
        missing = self._missing_hours(period)
        if not missing:
            return self._markers.why_missing(self.name, period.previous())
        if missing[0] in self._markers.damaged(keys.ROLLUP):
            return self._markers.why_missing(keys.ROLLUP, missing[0])
        failure = self._markers.failures(keys.ROLLUP).get(missing[0])
        if failure is not None:
            why = f", which failed with exit code {failure.exit_code}"
        else:
            why = ", which has raw events" if missing[0] in self._markers.pending(keys.ROLLUP) else ""
        more = f" ({len(missing)} hours of the day are missing)" if len(missing) > 1 else ""
        return f"waits for {keys.ROLLUP} {missing[0]}{why}{more}"

    def stands(self, target: Target) -> bool:
        """Return whether retention has ended viewer hours of a published day, so that it cannot be made again."""
        return target.period in self._markers.of(self.name) and self._ended_at(target.period) is not None

    def note(self, period: Period) -> str:
        """Return why a day stands although its inputs have changed; usually an empty text."""
        return note_ended(self, self._markers, period, self._ended_at(period), VIEWER_HOUR.name)

    def _ended_at(self, day: Period) -> datetime | None:
        """Return when retention ended viewer hours of a day, or the registry of the day before; None if it has not."""
        ended, made = self._markers.ended(keys.ROLLUP), self._markers.of(keys.ROLLUP)
        hours = [made[hour] for hour in day.parts(Grain.HOUR) if hour in made] if ended else []
        ends = [ended.end_of(VIEWER_HOURS.name, one) for one in hours]
        if (registry := self._markers.ended(self.name)) and (before := self._before(day)):
            ends.append(registry.end_of(VIEWER_DAYS.name, before))
        return max(filter(None, ends), default=None)

    def explain(self, span: Span) -> str:
        """Return what is missing upstream."""
        hours, days = self._markers.of(keys.ROLLUP), self.periods(span)
        if not days and not hours:
            return "nothing is rolled up yet: run `marquee rollup` first"
        if not days:
            return f"no hour of this period is rolled up; rolled-up hours are from {min(hours)} to {max(hours)}"
        waiting = next((day for day in days if self._waits(day, self._hours(day))), None)
        return f"{waiting} {self.waits_for(waiting)}" if waiting else ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Profile the day, bucket by bucket; BadInputError if its inputs differ in their viewer key."""
        from jobs.profile.day import finish_day, profile_bucket  # noqa: PLC0415 - planning needs no kernel

        if previous := self._to_be_corrected(target, run.previous):
            return self._erase(target, run, previous)
        day = target.period
        check_ended(day, self._ended_at(day), VIEWER_HOUR.name)
        hours, before = self._hours(day) or [], self._before(day)
        registry = [before] if before else []
        bucketing = common([*hours, *registry])
        values = self._query_values(day)
        units = [
            DayUnit(
                lake=self._settings.address(self._markers.store.url),
                prefix=run.prefix,
                bucket=bucket,
                values=values,
                hours=tuple(
                    output for hour in hours for output in in_bucket(hour, VIEWER_HOUR, bucket, bucketing.buckets)
                ),
                registry=tuple(
                    output for one in registry for output in in_bucket(one, VIEWER_SEEN, bucket, bucketing.buckets)
                ),
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
            "hours_expected": day.hours,
            **bucketing._asdict(),
            **supersede(self._markers.store, run, outputs),
            **counts_of_run(run, self._markers.honoured_by([*hours, *registry]), self._markers),
        }
        return Result(tuple(outputs), counts)

    def check(self, span: Span, *, force: bool) -> None:  # noqa: ARG002 - any span
        """Remember whether days are made again although nothing has changed."""
        self._forced = force

    def hold_erased(self, runs: Sequence[Marker], engine: Engine | None = None) -> Sequence[bool]:
        """Search the objects of the buckets of erased viewers."""
        from jobs.profile.erasing import hold_erased  # noqa: PLC0415 - planning needs no kernel

        address = self._settings.address(self._markers.store.url)
        return hold_erased(address, engine or self._engine, runs, self._markers)

    def _to_be_corrected(self, target: Target, previous: Marker | None) -> Marker | None:
        """Return the previous run of the day if the day differs from it by erased viewers only."""
        if previous is None or self._forced or not self._markers.erasures.ids:
            return None
        same = previous.is_made_by(self.parameters, self.definition_version)
        return previous if same and self._markers.differ_by_erasure(previous.inputs, target.inputs) else None

    def _erase(self, target: Target, run: RunContext, previous: Marker) -> Result:
        """Write the day again without erased viewers: only the objects of their buckets."""
        from jobs.profile.erasing import ErasedDayUnit, erase_bucket, subtract_plays  # noqa: PLC0415 - as above

        store, requests = self._markers.store, self._markers.erasures
        bucketing, address = bucketing_of(previous), self._settings.address(self._markers.store.url)
        of_bucket: dict[int, list[Output]] = {}
        ended = self._markers.ended(self.name)
        for output in (one for dataset in BY_BUCKET for one in ended.left(previous.of(dataset))):
            of_bucket.setdefault(keys.bucket_of(output.key), []).append(output)
        units = [
            ErasedDayUnit(address, run.prefix, bucketing, tuple(outputs), requests.ids)
            for _, outputs in sorted(of_bucket.items())
        ]
        parts = self._engine.map(erase_bucket, units)
        outputs = [output for part in parts for output in part.outputs]
        outputs += filter(ended.has_output, previous.outputs)
        lost = [part.plays for part in parts if part.plays.num_rows]
        sums = previous.of(EPISODE_DAY)
        outputs += [subtract_plays(store, run.prefix, one, lost) for one in sums] if lost else sums
        day = target.period
        new = sum(first == day.date for part in parts for first in part.first_days.to_pylist())
        counts = {
            **previous.counts,
            "rows_in": sum(hour.rows(VIEWER_HOUR) for hour in self._hours(day) or []),
            "rows_out": sum(output.rows for output in outputs if output.dataset == VIEWER_DAY.name),
            "viewers": previous.counts["viewers"] - sum(part.viewers for part in parts),
            "new_viewers": previous.counts["new_viewers"] - new,
            **supersede(store, run, outputs),
            **counts_of_run(run, requests, self._markers),
            **contents_after(previous, BY_BUCKET),
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

    def _waits(self, day: Period, hours: Sequence[Marker] | None) -> bool:
        """Return whether a day with these hours, or None, waits for an hour of it or for the day before."""
        return not hours or (self._before(day) is None and self._hours(day.previous()) != [])

    def _before(self, day: Period) -> Marker | None:
        return self._markers.of(self.name).get(day.previous())

    def _hours(self, day: Period) -> list[Marker] | None:
        """Return the rollup's markers of the day's hours; None if one is missing."""
        made = self._markers.of(keys.ROLLUP)
        here = [made[hour] for hour in day.parts(Grain.HOUR) if hour in made]
        # Most days have all hours, and no hour has failed: then none is missing.
        whole = len(here) == day.hours and not self._markers.failures(keys.ROLLUP)
        return None if not whole and self._missing_hours(day) else here

    def _missing_hours(self, day: Period) -> list[Period]:
        """Return the hours for which the day waits.

        An hour that no run could see yet, before the first or after the last of the lake, is not one of them.
        """
        pending, failed = self._markers.pending(keys.ROLLUP), self._markers.failures(keys.ROLLUP)
        made = self._markers.of(keys.ROLLUP)
        edges = self._edges(made)
        return [
            hour
            for hour in day.parts(Grain.HOUR)
            # A done hour fails if a late file of it cannot be read: the day lacks the plays of that file.
            if hour in failed or (hour not in made and (hour in pending or (made and edges.touches(hour))))
        ]

    def _edges(self, made: Mapping[Period, Marker]) -> Span:
        """Return the span from the first to the last rolled-up hour. It is kept, because each day asks for it."""
        before, number, edges = self._known
        if before is not made or number != len(made):
            start, known = attrgetter("start"), {*made, *self._markers.damaged(keys.ROLLUP)}
            edges = Span.of(min(known, key=start), max(known, key=start)) if made else EVER
            self._known = made, len(made), edges
        return edges


def _day_of(hour: Period) -> Period:
    return Period.containing(hour.start, Grain.DAY)
