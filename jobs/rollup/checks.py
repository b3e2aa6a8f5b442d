"""Checks the settings against the lake and the raw events before a rollup starts.

A rollup refuses settings in three cases: the viewer key differs from the lake's, because hours of two keys cannot be
counted together; a changed setting makes hours stale whose raw events are gone, because they cannot be made again; or
there are no raw events where the settings look for them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from jobs.rollup.inventory import Inventory, nothing_there, take_inventory
from jobs.rollup.looks import listed_prefixes
from jobs.rollup.settings import RollupSettings
from jobs.rollup.viewer import newer_keys
from marquee.calendar import EVER, HOUR, Period, Span
from marquee.errors import ConfigError
from marquee.lake.manifest import Input, Marker, Parameters, digest_inputs
from marquee.lake.rekeyed import VIEWER_KEY
from marquee.settings.names import env_name, walk

BUCKETS = "buckets"
RANGES_SHOWN = 5

Marked = Mapping[Period, Marker]


def inventory_of(
    settings: RollupSettings, span: Span, plausible: Span = EVER, skipped: Collection[datetime] = ()
) -> Inventory:
    """List the raw objects of a span as the settings say, without some days, which are given by their starts.

    ``plausible`` is as in ``take_inventory``.
    """
    options, store = settings.rollup, settings.open(settings.raw)
    prefixes = listed_prefixes(store, options.layout, skipped) if skipped else None
    return take_inventory(store, options.layout, span, options.ignore, plausible, prefixes)


def check_settings(settings: RollupSettings, parameters: Parameters, marked: Marked, span: Span) -> None:
    """Refuse settings that would mix incompatible hours in the lake.

    Raises:
        ConfigError: hours of the lake have another viewer key; or hours of the span have other settings, and the raw
            events of some of them are gone.
    """
    kinds = {id(one.parameters): one for one in marked.values()}  # markers of an index share their settings
    other = {kind for kind, one in kinds.items() if not same_settings(one, parameters)}
    changed = {hour: one for hour, one in sorted(marked.items()) if id(one.parameters) in other} if other else {}
    other_key = [hour for hour, one in changed.items() if one.parameters.get(VIEWER_KEY) != parameters[VIEWER_KEY]]
    if other_key and all(
        newer_keys(settings.rollup.viewer_keys, str(marked[one].parameters[VIEWER_KEY])) for one in other_key
    ):
        message = (
            f"{_hours(other_key)} of this lake have viewers under the older keys of MARQUEE_ROLLUP__VIEWER_KEY alone. "
            "Nothing was made, because each viewer would count twice. Run marquee rekey, which brings the lake to the "
            "newer key"
        )
        raise ConfigError(message)
    if other_key:
        message = (
            f"MARQUEE_ROLLUP__VIEWER_KEY differs from the key of {_hours(other_key)} of this lake. Hours of two keys "
            "cannot be counted together, because each viewer would count twice. Set the key back; or, if the raw "
            "events of all hours still exist, make all hours again under the new key with --force"
        )
        raise ConfigError(message)
    asked = {hour: one for hour, one in changed.items() if span.touches(hour)}
    gone = list(_hours_without_events(settings, asked))
    if gone:
        message = (
            f"{changes(asked[gone[0]].parameters, parameters)}: this change makes {_hours(list(asked))} stale, but raw "
            f"events of {_hours(gone)} are gone, so these cannot be made again. Set it back; or make the other hours "
            "again with --force"
        )
        raise ConfigError(message)


def _hours_without_events(settings: RollupSettings, marked: Marked) -> Iterator[Period]:
    """Yield the hours with at least one deleted raw object."""
    if not marked:
        return
    span = Span(min(marked).start, max(marked).end)
    there = inventory_of(settings, span).hours
    for hour, marker in marked.items():
        if not {one.name for one in marker.inputs} <= {info.key for info in there.get(hour, [])}:
            yield hour


def same_settings(marker: Marker, now: Parameters) -> bool:
    """Return whether an hour has these settings. One that its marker lacks is newer than the marker, not changed."""
    return all(marker.parameters[name] == value for name, value in now.items() if name in marker.parameters)


def is_of(marker: Marker, inputs: Sequence[Input], now: Parameters, definition: str) -> bool:
    """Return whether an hour was made from these inputs, with these settings, by this definition.

    Its number of buckets may be another. Markers of earlier versions have it among their parameters.
    """
    buckets = {BUCKETS: marker.parameters[BUCKETS]} if BUCKETS in marker.parameters else {}
    return marker.inputs_digest == digest_inputs(inputs, {**now, **buckets}, definition)


def changes(before: Parameters, now: Parameters) -> str:
    """Return the settings that differ, such as ``MARQUEE_ROLLUP__SLACK_MINUTES=20 (before: 15)``."""
    old, new = dict(walk({name: before[name] for name in before if name in now})), dict(walk(now))
    return ", ".join(
        f"{_variable(path)}={new.get(path)} (before: {old.get(path)})"
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    )


def _variable(path: tuple[str, ...]) -> str:
    return "fingerprint of MARQUEE_ROLLUP__VIEWER_KEY" if path == (VIEWER_KEY,) else env_name(("rollup", *path))


def explain_no_events(settings: RollupSettings, span: Span, marked: Collection[Period], now: datetime) -> str:
    """Return why a span without a published hour has no events.

    Raises:
        ConfigError: there are no events where the settings look for them, or the span is over and has none.
    """
    store, layout = settings.open(settings.raw), settings.rollup.layout
    if span.start is not None and span.start + HOUR > now:
        return "this period is not over yet"
    hours = sorted({*inventory_of(settings, EVER).known, *marked})
    if not hours:
        raise nothing_there(store, layout)
    known = f"events are from {hours[0]} to {hours[-1]}"
    if span.end is None or span.end + timedelta(minutes=settings.rollup.grace_minutes) > now:
        return f"there are no events of this period yet; {known}"
    message = f"there are no events of this period; {known}"
    raise ConfigError(message)


def _hours(hours: Sequence[Period]) -> str:
    """Describe hours, such as ``3 hours (2026-01-05T13 to 2026-01-05T14, 2026-01-05T20)``."""
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
