"""Checks before a rollup: do the settings fit the lake and the raw events? If not, it stops before any work.

Hours of two viewer keys cannot be counted together, and hours whose raw events are gone cannot be made again; so a
setting that asks for either is refused. Raw events that are not where the settings look for them are refused as well.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from jobs.rollup.inventory import list_hours, nothing_there
from jobs.rollup.settings import RollupSettings
from marquee.calendar import EVER, HOUR, Period, Span
from marquee.errors import ConfigError
from marquee.lake.manifest import Marker, Parameters
from marquee.settings.names import env_name, walk

KEY = "viewer_key_fingerprint"
RANGES_SHOWN = 5

Marked = Mapping[Period, Marker]


def check_settings(settings: RollupSettings, parameters: Parameters, marked: Marked, span: Span) -> None:
    """Refuse settings that would leave hours of two kinds in the lake.

    Raises:
        ConfigError: hours of the lake have another viewer key; or hours of the span have other settings, and raw events
            of some are gone.
    """
    changed = {hour: one for hour, one in sorted(marked.items()) if one.parameters != parameters}
    other_key = [hour for hour, one in changed.items() if one.parameters.get(KEY) != parameters[KEY]]
    if other_key:
        message = (
            f"MARQUEE_ROLLUP__VIEWER_KEY is another key than that of {_hours(other_key)} of this lake. Hours of two "
            "keys cannot be counted together: each viewer would count twice. Set the key back; or make all hours again "
            "under the new key with --force, if all their raw events are still there"
        )
        raise ConfigError(message)
    asked = {hour: one for hour, one in changed.items() if span.touches(hour)}
    gone = list(_hours_without_events(settings, asked))
    if gone:
        message = (
            f"{changes(asked[gone[0]].parameters, parameters)}: this setting makes {_hours(list(asked))} stale, but "
            f"raw events of {_hours(gone)} are gone, so these cannot be made again. Set it back; or make again those "
            "that can be made, with --force"
        )
        raise ConfigError(message)


def _hours_without_events(settings: RollupSettings, marked: Marked) -> Iterator[Period]:
    """Yield the hours of which at least one raw object is gone."""
    if not marked:
        return
    span = Span(min(marked).start, max(marked).end)
    there = list_hours(settings.open(settings.raw), settings.rollup.layout, span)
    for hour, marker in marked.items():
        if not {one.name for one in marker.inputs} <= {info.key for info in there.get(hour, [])}:
            yield hour


def changes(before: Parameters, now: Parameters) -> str:
    """Name the settings that differ, such as ``MARQUEE_ROLLUP__BUCKETS=32 (before: 16)``."""
    old, new = dict(walk(before)), dict(walk(now))
    return ", ".join(
        f"{_variable(path)}={new.get(path)} (before: {old.get(path)})"
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    )


def _variable(path: tuple[str, ...]) -> str:
    return "fingerprint of MARQUEE_ROLLUP__VIEWER_KEY" if path == (KEY,) else env_name(("rollup", *path))


def explain_no_events(settings: RollupSettings, span: Span, marked: Collection[Period], now: datetime) -> str:
    """Say why there are no events in a span of which no hour is made.

    Raises:
        ConfigError: there are none where the settings look for them, or the span is over and has none.
    """
    store, layout = settings.open(settings.raw), settings.rollup.layout
    if span.start is not None and span.start + HOUR > now:
        return "this period is not over yet"
    hours = sorted({*list_hours(store, layout, EVER), *marked})
    if not hours:
        raise nothing_there(store, layout)
    known = f"events are from {hours[0]} to {hours[-1]}"
    if span.end is None or span.end + timedelta(minutes=settings.rollup.grace_minutes) > now:
        return f"there are no events of this period yet; {known}"
    message = f"there are no events of this period; {known}"
    raise ConfigError(message)


def _hours(hours: Sequence[Period]) -> str:
    """Return how many and which, such as ``3 hours (2026-01-05T13 to 2026-01-05T14, 2026-01-05T20)``."""
    ranges = list(_ranges(hours))
    named = [str(first) if first == last else f"{first} to {last}" for first, last in ranges[:RANGES_SHOWN]]
    more = ", …" if len(ranges) > RANGES_SHOWN else ""
    return f"{len(hours)} hour{'s' * (len(hours) > 1)} ({', '.join(named)}{more})"


def _ranges(hours: Sequence[Period]) -> Iterator[tuple[Period, Period]]:
    first = previous = hours[0]
    for hour in hours[1:]:
        if hour != previous.next():
            yield first, previous
            first = hour
        previous = hour
    yield first, previous
