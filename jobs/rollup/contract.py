"""The event contract: which lines are play events, and the reason to reject any other line.

This is the reference parser. ``parse.sql`` accepts nearly all valid lines, much faster. Every other line is validated
here, and only this module rejects lines. A line is one JSON object:

    {"event_id": "5224603a-…", "received_at": "2026-01-05T13:02:11.123Z",
     "event": {"user_id": "u2218169", "episode_id": 2509799, "country": "KR", "utc_offset_minutes": 540,
               "language": "ko", "device": "tv", "watched_seconds": 60}}

``Fields`` maps other names and places of the fields. Further fields are ignored. If a name is repeated, the first one
counts.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

MAX_LINE_BYTES = 1 << 20
MAX_EPISODE_ID = 1 << 53
MAX_EVENT_ID_LENGTH = 64
MAX_USER_ID_LENGTH = 128
MAX_WATCHED_SECONDS = 3600
UTC_OFFSET_MINUTES = (-720, 840)

COUNTRY = re.compile(r"[A-Z]{2}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
DEVICE = re.compile(r"[a-z0-9_-]{1,32}")
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
INSTANT = re.compile(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}:[0-5]\d(\.\d{{1,9}})?(Z|[+-]{_CLOCK})", re.ASCII)
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can escape it, but UTF-8 cannot encode it."""
LONGEST_WHOLE = 20
"""Maximum characters of a whole number that is parsed; Python refuses very long ones."""


class Reason(StrEnum):
    """Reason to reject a line. If several apply, the first in this order is reported."""

    LINE_TOO_LONG = "line_too_long"
    NOT_UTF8 = "not_utf8"
    BLANK = "blank"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    EVENT_ID = "event_id"
    RECEIVED_AT = "received_at"
    OUTSIDE_HOUR = "outside_hour"
    USER_ID = "user_id"
    EPISODE_ID = "episode_id"
    COUNTRY = "country"
    UTC_OFFSET_MINUTES = "utc_offset_minutes"
    LANGUAGE = "language"
    DEVICE = "device"
    WATCHED_SECONDS = "watched_seconds"


@dataclass(frozen=True)
class Fields:
    """Place of each field in the producer's lines, as a dotted path of names."""

    event_id: str = "event_id"
    received_at: str = "received_at"
    user_id: str = "event.user_id"
    episode_id: str = "event.episode_id"
    country: str = "event.country"
    utc_offset_minutes: str = "event.utc_offset_minutes"
    language: str = "event.language"
    device: str = "event.device"
    watched_seconds: str = "event.watched_seconds"


@dataclass(frozen=True)
class Event:
    """A valid play event. ``received_at`` is in UTC, without a zone, as in the lake."""

    event_id: str
    received_at: datetime
    user_id: str
    episode_id: int
    country: str
    utc_offset_minutes: int
    language: str
    device: str
    watched_seconds: int


@dataclass(frozen=True)
class Window:
    """Valid range of ``received_at`` for an hour: the hour with some slack on both sides (UTC, without a zone)."""

    start: datetime
    end: datetime


def validate(line: bytes, fields: Fields, window: Window) -> Event | Reason:
    """Return the event in a line, or the reason to reject the line."""
    if len(line) > MAX_LINE_BYTES:
        return Reason.LINE_TOO_LONG
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    if not text.strip(" \t\r\n"):
        return Reason.BLANK
    try:
        value = json.loads(text, object_pairs_hook=_first_of_each, parse_int=_number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Reason.NOT_JSON
    if not isinstance(value, dict):
        return Reason.NOT_AN_OBJECT
    return _validate_fields({name: _at(value, path) for name, path in vars(fields).items()}, window)


def names_in(line: bytes) -> frozenset[str]:
    """Return the dotted paths of the fields in a line, never their values; empty if the line is not a JSON object.

    A name that contains a dot is quoted, to tell it from a path.
    """
    try:
        value = json.loads(line, object_pairs_hook=_first_of_each, parse_int=_number)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(_paths(value, ""))


def _paths(value: object, above: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            own = f'"{name}"' if "." in name else name
            yield from _paths(inner, f"{above}.{own}" if above else own)
    elif above:
        yield above


def _validate_fields(found: Mapping[str, Any], window: Window) -> Event | Reason:
    received_at = _instant(found["received_at"])
    for reason, holds in _RULES:
        if reason is Reason.OUTSIDE_HOUR:
            if received_at is None:
                return Reason.RECEIVED_AT
            if not window.start <= received_at < window.end:
                return reason
        elif not holds(found[reason.value]):
            return reason
    return Event(**{**found, "received_at": received_at})


def _text(longest: int) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, str) and 1 <= len(value) <= longest and min(value) >= " " and not SURROGATE.search(value)
    )


def _form(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _whole(least: int, most: int) -> Callable[[object], bool]:
    # A bool is an int in Python, but true is not a number in JSON.
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_RULES: tuple[tuple[Reason, Callable[[object], bool]], ...] = (
    (Reason.EVENT_ID, _text(MAX_EVENT_ID_LENGTH)),
    (Reason.OUTSIDE_HOUR, lambda _: True),
    (Reason.USER_ID, _text(MAX_USER_ID_LENGTH)),
    (Reason.EPISODE_ID, _whole(1, MAX_EPISODE_ID)),
    (Reason.COUNTRY, _form(COUNTRY)),
    (Reason.UTC_OFFSET_MINUTES, _whole(*UTC_OFFSET_MINUTES)),
    (Reason.LANGUAGE, _form(LANGUAGE)),
    (Reason.DEVICE, _form(DEVICE)),
    (Reason.WATCHED_SECONDS, _whole(0, MAX_WATCHED_SECONDS)),
)


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _at(value: dict[str, Any], path: str) -> object:
    found: object = value
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= LONGEST_WHOLE else math.inf


def _refuse(constant: str) -> object:
    message = f"{constant} is not JSON"
    raise ValueError(message)
