"""Captures the programme schedule, one requested day after another.

A day is made of one answer of the service for the web schedule and one for each configured country. It is kept twice:
as served, under ``payload/``, and as the tables shows, episodes, networks, countries and genres.

A captured day stays as it is, unless the countries or the service change, or it is one of the ``refetch_days`` latest
and its capture is older than ``refetch_after_h``.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from jobs.schedule_fetch.settings import WEB, ScheduleFetchOptions
from marquee.calendar import DAY, EVER, Grain, Period, Span
from marquee.errors import BadInputError
from marquee.lake import keys
from marquee.lake.manifest import Input, Marker, Parameters, Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Stage, Target

if TYPE_CHECKING:  # planning needs neither HTTP nor tables
    from jobs.schedule_fetch.client import ScheduleClient
    from jobs.schedule_fetch.normalise import Schedule

log = logging.getLogger(__name__)

PAYLOAD = "payload"
"""The answers as served: not a table, so not among ``marquee.lake.datasets``."""


class ScheduleFetchStage(Stage):
    """schedule_fetch, ready to run on a lake and a service; without a client it is only asked about days."""

    name = keys.SCHEDULE_FETCH
    definition_version = "1"
    gives_up_after = 3
    """By then it is the service that is down, not an answer that is missing."""

    def __init__(
        self,
        markers: Markers,
        options: ScheduleFetchOptions,
        client: "ScheduleClient | None",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._markers = markers
        self._options = options
        self._client = client
        self._clock = clock

    @property
    def parameters(self) -> Parameters:
        """What a day's content depends on, as it stands in the marker."""
        return {"url": self._options.url, "countries": list(self._options.countries)}

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the days of the span; where it is open, from the settings' first day and up to their last."""
        start, end = self._window
        return list(Period.containing(span.start or start, Grain.DAY).until(span.end or end))

    def known_periods(self, span: Span) -> Sequence[Period]:
        """Return the days of a span that a run without one captures, and those that are captured.

        The settings' first day moves on with time. A day before it is done if it is captured, and else not missing.
        """
        return sorted(filter(span.touches, {*self.periods(EVER), *self._markers.of(self.name)}))

    def settled(self, period: Period) -> bool:
        """Tell whether a day is captured, and none that a run without a span comes back to."""
        return period in self._markers.of(self.name) and not Span(*self._window).touches(period)

    def target(self, period: Period) -> Target:
        """Return the day. The service tells nothing of its state, so a day is stale only when it is due again."""
        standing = self._markers.of(self.name).get(period)
        if standing is None:
            return Target(period, ())
        if self._due_again(period, standing):
            return Target(period, (Input("refetch", f"of generation {standing.generation}", 0),))
        return Target(period, standing.inputs)

    def waits_for(self, period: Period) -> str:  # noqa: ARG002 - the service has every day
        """Return nothing: no day waits."""
        return ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Fetch a day from every source, and write its answers and its tables.

        Raises:
            TryAgainError, BadInputError, ConfigError: as ``ScheduleClient.fetch`` does.
            BadInputError: more episodes were rejected than the settings allow.
        """
        from jobs.schedule_fetch.normalise import normalise  # noqa: PLC0415 - as above
        from marquee.lake.files import write_bytes, write_output  # noqa: PLC0415

        if self._client is None:
            message = "a stage that was opened without a client cannot fetch"
            raise RuntimeError(message)
        sources = (*(f"country={code}" for code in self._options.countries), WEB)
        answers = [self._client.fetch(source, target.period.date) for source in sources]
        schedule = normalise({answer.source: answer.items for answer in answers})
        check_rejects(schedule, self._options, str(target.period))
        self._tell_drift(schedule, target.period)
        store = self._markers.store
        outputs = [
            write_bytes(store, f"{run.prefix}{PAYLOAD}/{one.source}.json", PAYLOAD, one.body, len(one.items))
            for one in answers
        ]
        outputs += [write_output(store, run.prefix, dataset, table) for dataset, table in schedule.tables.items()]
        asked = {"calls": sum(one.calls for one in answers), "bytes": sum(len(one.body) for one in answers)}
        return Result(tuple(outputs), asked | schedule.counts)

    @property
    def _window(self) -> tuple[datetime, datetime]:
        """From when and to when days are captured by a run without a span."""
        options, today = self._options, Period.containing(self._clock(), Grain.DAY)
        first = _start_of(options.first_day) or today.start - options.days_back * DAY
        last = _start_of(options.last_day) or today.start + options.days_ahead * DAY
        return first, last + DAY

    def _due_again(self, period: Period, standing: Marker) -> bool:
        now = self._clock()
        latest = now - self._options.refetch_days * DAY < period.start <= now
        fetched_at = datetime.fromisoformat(standing.finished_at)
        return latest and now - fetched_at > timedelta(hours=self._options.refetch_after_h)

    def _tell_drift(self, schedule: "Schedule", period: Period) -> None:
        drift = {name: schedule.counts[name] for name in ("rejects", "odd_values", "unknown_fields")}
        if any(drift.values()):
            log.warning("%s %s: the service's answers are not as known", self.name, period, extra=drift)


def _start_of(day: date | None) -> datetime | None:
    return datetime.combine(day, datetime.min.time(), UTC) if day else None


def check_rejects(schedule: "Schedule", options: ScheduleFetchOptions, day: str) -> None:
    """Refuse a day of which the service gave too much that is no episode."""
    counts = schedule.counts
    allowed = max(options.rejects_allowed, int(options.rejects_allowed_share * counts["episodes_in"]))
    if schedule.rejected > allowed:
        message = (
            f"{options.url} {day}: {schedule.rejected} of {counts['episodes_in']} episodes rejected, "
            f"at most {allowed} are allowed: {counts['rejects']}: see what the service answers"
        )
        raise BadInputError(message)
