"""The rollup of an hour: from its raw objects to viewership, viewer hours by bucket, and rejects.

An hour is made when it is over and a grace has passed, from the objects listed then; another object, or a changed one,
makes it stale. An hour without objects between others is made too, empty: no traffic is a result.
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
"""Changes when the same events and settings give other results."""


class RollupStage(Stage):
    """The rollup, hour by hour."""

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
        """Settings that decide the result."""
        options = self._options
        return {
            "buckets": options.buckets,
            "fields": options.fields.model_dump(),
            "slack_minutes": options.slack_minutes,
            "viewer_key_fingerprint": fingerprint(options.viewer_key.get_secret_value().encode()),
        }

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the span's part of the hours from the first with objects, or marked, to the last, without holes."""
        # Both ends save listing everything there ever was.
        self._listed = Span(span.start or self._looked_at_from(), span.end or self._clock() + HOUR)
        self._hours = list_hours(self._settings.open(self._settings.raw), self._options.layout, self._listed)
        known = [*self._hours, *self._markers.of(self.name)]
        if not known:
            return []
        return [hour for hour in min(known).until(max(known).end) if span.touches(hour)]

    def _looked_at_from(self) -> datetime | None:
        """Return from when on files may have come: a while before the first hour that is not done; None for ever."""
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
        """Return the hour's objects; None while it is open."""
        if self._clock() < self._due_from(period):
            return None
        inputs = tuple(Input(info.key, info.etag, info.size) for info in self._hours.get(period, []))
        marker = self._markers.of(self.name).get(period)
        if marker is not None:
            # Raw events are deleted in time. An object that is gone is no reason to make the hour again without it.
            here = {one.name for one in inputs}
            inputs += tuple(one for one in marker.inputs if one.name not in here)
        return Target(period, inputs)

    def waits_for(self, period: Period) -> str:
        """Return from when on the hour can be made."""
        return f"not over yet: made from {self._due_from(period):%Y-%m-%d %H:%M} UTC on"

    def _due_from(self, hour: Period) -> datetime:
        return hour.end + timedelta(minutes=self._options.grace_minutes)

    def check(self, span: Span, *, force: bool) -> None:
        """Refuse a viewer key that is not the lake's, and settings that make hours stale whose raw events are gone."""
        if not force:
            check_settings(self._settings, self.parameters, self._markers.of(self.name), span)

    def explain(self, span: Span) -> str:
        """Say why there is no hour to make; ConfigError when there are no events where the settings look for them."""
        if any(map(span.touches, self._markers.of(self.name))):
            return ""
        if not any(map(span.touches, self._hours)):
            return explain_no_events(self._settings, span, self._markers.of(self.name), self._clock())
        first = min(filter(span.touches, self._hours))
        return f"{first} is {self.waits_for(first)}"

    def make(self, target: Target, run: RunContext) -> Result:
        """Roll up the hour; BadInputError above the threshold of rejected lines."""
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
                f"{len(gone)} of its {len(target.inputs)} raw objects are gone, such as {gone[0]!r}; what stands stays"
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
                f"{hour}: {rejected} of {lines} lines were rejected ({counts['rejects']}), {allowed:.0f} are allowed: "
                f"mend the producer or the sink, or raise MARQUEE_ROLLUP__REJECT_SHARE; nothing was published"
            )
            raise BadInputError(message)


def _group(inputs: Sequence[Input], unit_bytes: int) -> list[tuple[Input, ...]]:
    """Return the objects in groups of about so many bytes, in the order of keys."""
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
    """Add up the counts; MarqueeError if a line that was read is neither a play, a duplicate nor rejected."""
    lines = sum(one.lines for one in reduced)
    plays = sum(one.plays for one in reduced)
    duplicates = sum(one.duplicates for one in reduced)
    reasons = next((one.reasons for one in reduced if one.reasons), {})
    if lines != plays + duplicates + sum(reasons.values()):
        message = (
            f"{hour}: {lines} lines were read, but {plays} plays, {duplicates} duplicates and {reasons} came of them"
        )
        raise MarqueeError(message)
    return {"rows_in": lines, "rows_out": plays, "duplicates": duplicates, "rejects": reasons}
