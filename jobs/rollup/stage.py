"""Rolls up an hour: its raw objects to viewership, viewer hours by bucket, and rejects.

An hour is made after its end and a grace period, from the objects listed at that time. A new or changed object makes it
stale. An hour without objects between other hours is made as an empty hour, because no traffic is a result.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jobs.rollup.checks import changes, check_settings, explain_no_events
from jobs.rollup.contract import Fields, Window
from jobs.rollup.inventory import list_hours
from jobs.rollup.settings import RollupSettings
from jobs.rollup.units import Destination, ParseUnit
from jobs.rollup.viewer import fingerprint
from marquee.calendar import EVER, HOUR, Period, Span
from marquee.engine.base import MIB, Engine
from marquee.errors import BadInputError, ConfigError, MarqueeError
from marquee.lake import keys
from marquee.lake.manifest import Input, Marker, Parameters, Result, digest_inputs
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Stage, Target
from marquee.storage.base import ObjectInfo

if TYPE_CHECKING:
    from jobs.rollup.kernel import Reduced

DEFINITION = "1"
"""Version of the definitions: change it when the same events and settings give other results."""


class RollupStage(Stage):
    """The stage rollup, whose periods are hours."""

    name = keys.ROLLUP
    definition_version = DEFINITION

    def __init__(
        self,
        settings: RollupSettings,
        markers: Markers,
        engine: Engine,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._options = settings.rollup
        self._markers = markers
        self._engine = engine
        self._clock = clock
        self._listed = EVER
        self._hours: dict[Period, list[ObjectInfo]] = {}

    @cached_property
    def parameters(self) -> Parameters:
        """Settings that decide an hour's content, as written to the marker."""
        options = self._options
        return {
            "buckets": options.buckets,
            "fields": options.fields.model_dump(),
            "slack_minutes": options.slack_minutes,
            "viewer_key_fingerprint": fingerprint(options.viewer_key.get_secret_value().encode()),
        }

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the hours of the span, without gaps between the first and the last that has objects or a marker."""
        # Limits the listing at both ends: listing the whole store would be slow.
        self._listed = Span(span.start or self._list_from(), span.end or self._clock() + HOUR)
        self._hours = list_hours(self._settings.open(self._settings.raw), self._options.layout, self._listed)
        known = [*self._hours, *self._markers.of(self.name)]
        if not known:
            return []
        return [hour for hour in min(known).until(max(known).end) if span.touches(hour)]

    def _list_from(self) -> datetime | None:
        """Return the start of the listing: lookback_days before the first hour that is not done; None for no limit."""
        markers, failures = self._markers.of(self.name), self._markers.failures(self.name)
        if self._options.lookback_days is None or not markers:
            return None
        hour = min(markers)
        while (marker := markers.get(hour)) and hour not in failures and self._is_current(marker):
            hour = hour.next()
        return hour.start - timedelta(days=self._options.lookback_days)

    def _is_current(self, marker: Marker) -> bool:
        return marker.inputs_digest == digest_inputs(marker.inputs, self.parameters, self.definition_version)

    def target(self, period: Period) -> Target | None:
        """Return the hour's objects; None before the hour's end and grace period."""
        if self._clock() < self._due_from(period):
            return None
        inputs = tuple(Input(info.key, info.etag, info.size) for info in self._hours.get(period, []))
        marker = self._markers.of(self.name).get(period)
        if marker is not None:
            # Retention deletes raw events. A deleted object does not make the hour stale.
            here = {one.name for one in inputs}
            inputs += tuple(one for one in marker.inputs if one.name not in here)
        return Target(period, inputs)

    def waits_for(self, period: Period) -> str:
        """Return when the hour can be made."""
        return f"not over yet: made from {self._due_from(period):%Y-%m-%d %H:%M} UTC on"

    def _due_from(self, hour: Period) -> datetime:
        return hour.end + timedelta(minutes=self._options.grace_minutes)

    def check(self, span: Span, *, force: bool) -> None:
        """Refuse a viewer key other than the lake's, and settings that make hours without raw events stale."""
        if not force:
            check_settings(self._settings, self.parameters, self._markers.of(self.name), span)

    def explain(self, span: Span) -> str:
        """Return why there is no hour to make; ConfigError if there are no events where the settings look for them."""
        if any(map(span.touches, self._markers.of(self.name))):
            return ""
        if not any(map(span.touches, self._hours)):
            return explain_no_events(self._settings, span, self._markers.of(self.name), self._clock())
        first = min(filter(span.touches, self._hours))
        return f"{first} is {self.waits_for(first)}"

    def make(self, target: Target, run: RunContext) -> Result:
        """Roll up the hour; BadInputError if more lines are rejected than the settings allow."""
        from jobs.rollup.kernel import finish_hour, parse_objects, reduce_key  # noqa: PLC0415 - planning needs none

        self._check_gone(target, run.previous)
        store, period = self._settings.store, target.period
        to = Destination(self._settings.address(store.url), run.prefix)
        reduced = self._engine.map_reduce(parse_objects, reduce_key, self._units(target), to)
        counts = _count(period, reduced)
        self._check_rejects(period, counts)
        outputs = finish_hour(store, run.prefix, period.start.replace(tzinfo=None), reduced)
        return Result(tuple(outputs), counts)

    def _check_gone(self, target: Target, previous: Marker | None) -> None:
        here = {info.key for info in self._hours.get(target.period, [])}
        gone = [one.name for one in target.inputs if one.name not in here]
        if gone and self._listed.touches(target.period) and previous and previous.parameters != self.parameters:
            message = (
                f"{target.period} cannot be made again with {changes(previous.parameters, self.parameters)}: "
                f"{len(gone)} of its {len(target.inputs)} raw objects are gone, such as {gone[0]!r}. "
                "The published hour is unchanged"
            )
            raise ConfigError(message)

    def _units(self, target: Target) -> list[ParseUnit]:
        options, period = self._options, target.period
        slack = timedelta(minutes=options.slack_minutes)
        return [
            ParseUnit(
                raw=self._settings.address(self._settings.raw),
                objects=group,
                window=Window((period.start - slack).replace(tzinfo=None), (period.end + slack).replace(tzinfo=None)),
                fields=Fields(**options.fields.model_dump()),
                buckets=options.buckets,
                viewer_key=options.viewer_key,
            )
            for group in _group(target.inputs, options.unit_mb * MIB)
        ]

    def _check_rejects(self, hour: Period, counts: dict[str, Any]) -> None:
        rejected, lines = sum(counts["rejects"].values()), counts["rows_in"]
        allowed = max(self._options.reject_lines, self._options.reject_share * lines)
        if rejected > allowed:
            message = (
                f"{hour}: {rejected} of {lines} lines were rejected ({counts['rejects']}), {allowed:.0f} are allowed. "
                "Nothing was published. Fix the producer or the sink, or raise MARQUEE_ROLLUP__REJECT_SHARE"
            )
            raise BadInputError(message)


def _group(inputs: Sequence[Input], unit_bytes: int) -> list[tuple[Input, ...]]:
    """Return the objects in groups of about ``unit_bytes``, in the order of keys."""
    groups: list[list[Input]] = []
    left = 0
    for one in sorted(inputs, key=lambda one: one.name):
        if one.size > left or not groups:
            groups.append([])
            left = unit_bytes
        groups[-1].append(one)
        left -= one.size
    return [tuple(group) for group in groups]


def _count(hour: Period, reduced: list["Reduced"]) -> dict[str, Any]:
    """Add up the counts; MarqueeError unless every line is a play, a duplicate or rejected."""
    lines = sum(one.lines for one in reduced)
    plays = sum(one.plays for one in reduced)
    duplicates = sum(one.duplicates for one in reduced)
    reasons = next((one.reasons for one in reduced if one.reasons), {})
    if lines != plays + duplicates + sum(reasons.values()):
        message = (
            f"{hour}: {lines} lines were read, but {plays} plays, {duplicates} duplicates and rejects {reasons} do not "
            "add up to them. This is a bug: report it"
        )
        raise MarqueeError(message)
    return {"rows_in": lines, "rows_out": plays, "duplicates": duplicates, "rejects": reasons}
