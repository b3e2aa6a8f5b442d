"""Captures the programme schedule, one requested day at a time.

A day has one response for the web schedule and one for each configured country. Each is stored twice: as served, under
``payload/``, and as the tables shows, episodes, networks, countries and genres.

A captured day becomes stale in two cases: the countries or the service change, or the day is one of the
``refetch_days`` latest and its capture is older than ``refetch_after_h``.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from jobs.schedule_fetch.settings import WEB, ScheduleFetchOptions
from marquee.calendar import DAY, EVER, Grain, Period, Span
from marquee.engine.scratch import own_scratch
from marquee.errors import BadInputError, in_words
from marquee.lake import keys
from marquee.lake.manifest import Input, Marker, Parameters, Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Stage, Target

if TYPE_CHECKING:  # planning needs neither HTTP nor tables
    from jobs.schedule_fetch.client import Answer
    from jobs.schedule_fetch.normalise import Schedule

log = logging.getLogger(__name__)

PAYLOAD = "payload"
"""The responses as served. They are not a table, so ``marquee.lake.datasets`` does not list them."""


class Fetches(Protocol):
    """What the stage needs of a client."""

    def fetch(self, source: str, day: date, folder: Path) -> "Answer":
        """Return the answer of a source for a day, in a file in the folder."""


class ScheduleFetchStage(Stage):
    """The stage schedule_fetch on a lake and a service; without a client it can only plan."""

    name = keys.SCHEDULE_FETCH
    definition_version = "1"
    gives_up_after = 3
    """After so many failures in a row the service is down, and the rest is not tried."""

    def __init__(
        self,
        markers: Markers,
        options: ScheduleFetchOptions,
        client: "Fetches | None",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._markers = markers
        self._options = options
        self._client = client
        self._clock = clock

    @property
    def parameters(self) -> Parameters:
        """Settings that decide a day's content, as written to the marker."""
        return {"url": self._options.url, "countries": list(self._options.countries)}

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the days of the span; an open end of the span is the first or last day of the settings.

        A day whose marker is damaged is also listed outside of the settings' days, because downstream waits for it.
        """
        start, end = self._window
        days = set(Period.containing(span.start or start, Grain.DAY).until(span.end or end))
        return sorted(days | set(filter(span.touches, self._markers.damaged(self.name))))

    def known_periods(self, span: Span) -> Sequence[Period]:
        """Return the days of the span that are due or captured.

        The settings' first day moves with time. A day before it is done if it is captured, and otherwise not due.
        """
        return sorted(filter(span.touches, {*self.periods(EVER), *self._markers.of(self.name)}))

    def settled(self, period: Period) -> bool:
        """Return whether a day is captured and outside the window of a run without a span."""
        return period in self._markers.of(self.name) and not Span(*self._window).touches(period)

    def target(self, period: Period) -> Target:
        """Return the day. The service does not publish changes, so a day becomes stale only when a refetch is due."""
        published = self._markers.of(self.name).get(period)
        if published is None:
            return Target(period, ())
        if self._due_again(period, published):
            return Target(period, (Input("refetch", f"of generation {published.generation}", 0),))
        return Target(period, published)

    def waits_for(self, period: Period) -> str:  # noqa: ARG002 - the service has every day
        """Return an empty text: no day waits."""
        return ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Fetch a day from every source, and write its responses and tables.

        Raises:
            TryAgainError, BadInputError, ConfigError: from ``ScheduleClient.fetch``.
            BadInputError: the number of rejected episodes exceeds the settings' limit.
        """
        if self._client is None:
            message = "a stage that was opened without a client cannot fetch"
            raise RuntimeError(message)
        with TemporaryDirectory(prefix="marquee-schedule-", dir=own_scratch()) as folder:
            return self._capture(self._client, target.period, run.prefix, Path(folder))

    def _capture(self, client: "Fetches", day: Period, prefix: str, folder: Path) -> Result:
        """Fetch a day by way of files in a folder, because its responses may be larger than the memory."""
        from jobs.schedule_fetch.normalise import normalise  # noqa: PLC0415 - as above
        from marquee.lake.files import write_file  # noqa: PLC0415

        sources = (*(f"country={code}" for code in self._options.countries), WEB)
        answers = [client.fetch(source, day.date, folder) for source in sources]
        schedule = normalise({answer.source: answer.items() for answer in answers}, folder)
        check_rejects(schedule, self._options, str(day))
        self._log_drift(schedule, day)
        asked = {"calls": sum(one.calls for one in answers), "bytes": sum(one.size for one in answers)}
        store = self._markers.store
        outputs = [
            write_file(store, f"{prefix}{PAYLOAD}/{one.source}.json", PAYLOAD, one.file, one.rows) for one in answers
        ]
        outputs += [
            write_file(store, prefix + keys.table_file(dataset.name), dataset.name, file, schedule.counts[dataset.name])
            for dataset, file in schedule.tables.items()
        ]
        return Result(tuple(outputs), asked | schedule.counts)

    @property
    def _window(self) -> tuple[datetime, datetime]:
        """Start and end of the days that a run without a span captures."""
        options, today = self._options, Period.containing(self._clock(), Grain.DAY)
        first = _start_of(options.first_day) or today.start - options.days_back * DAY
        last = _start_of(options.last_day) or today.start + options.days_ahead * DAY
        return first, last + DAY

    def _due_again(self, period: Period, published: Marker) -> bool:
        now = self._clock()
        latest = now - self._options.refetch_days * DAY < period.start <= now
        fetched_at = datetime.fromisoformat(published.finished_at)
        return latest and now - fetched_at > timedelta(hours=self._options.refetch_after_h)

    def _log_drift(self, schedule: "Schedule", period: Period) -> None:
        drift = {name: schedule.counts[name] for name in ("rejects", "odd_values", "unknown_fields")}
        if any(drift.values()):
            log.warning("%s %s: the service's responses have unknown fields or values", self.name, period, extra=drift)


def _start_of(day: date | None) -> datetime | None:
    return datetime.combine(day, datetime.min.time(), UTC) if day else None


def check_rejects(schedule: "Schedule", options: ScheduleFetchOptions, day: str) -> None:
    """Refuse a day with more rejected episodes than the settings allow, or with no other episodes (BadInputError)."""
    counts = schedule.counts
    rejected, found = schedule.rejected, counts["episodes_in"]
    allowed = max(options.rejects_allowed, int(options.rejects_allowed_share * found))
    if rejected and rejected == found:
        allowed = 0
    if rejected > allowed:
        limit = f"at most {allowed} are allowed" if allowed else "and none is left"
        message = (
            f"{options.url} {day}: {rejected} of {found} episodes were rejected ({in_words(counts['rejects'])}), "
            f"{limit}. Check the service's response"
        )
        raise BadInputError(message)
