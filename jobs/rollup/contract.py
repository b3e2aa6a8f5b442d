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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from jobs.rollup import languages

MAX_LINE_BYTES = 1 << 20
MAX_EPISODE_ID = 1 << 53
MAX_EVENT_ID_LENGTH = 64
MAX_USER_ID_LENGTH = 128
MAX_WATCHED_SECONDS = 3600
UTC_OFFSET_MINUTES = (-720, 840)

COUNTRY = re.compile(r"[A-Z]{2}")
DEVICE = re.compile(r"[a-z0-9_-]{1,32}")
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
INSTANT = re.compile(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}:[0-5]\d(\.\d{{1,9}})?(Z|[+-]{_CLOCK})", re.ASCII)
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can escape it, but UTF-8 cannot encode it."""
_LONE_TILDE = re.compile("~(?![01]).?", re.DOTALL)
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


def steps(text: str) -> tuple[str, ...]:
    """Return the names on the way to a field, from a dotted path or a JSON pointer (RFC 6901, begins with ``/``).

    ``event.user_id`` is ``user_id`` in ``event``; ``/event.user_id`` is one name with a dot in it. In a pointer, ``~1``
    stands for ``/`` and ``~0`` for ``~``. A position in an array cannot be given.

    Raises:
        ValueError: the text is neither.
    """
    names = tuple(text[1:].split("/")) if text.startswith("/") else tuple(text.split("."))
    if SURROGATE.search(text):
        message = f"{text!r} is not text in UTF-8, which JSON is"
        raise ValueError(message)
    if not text.startswith("/"):
        if not all(names):
            message = f"{text!r} has an empty name: write NAME or NAME.NAME, or {pointer(names)!r} if the name is empty"
            raise ValueError(message)
        return names
    if wrong := _LONE_TILDE.search(text):
        message = f"{text!r} has {wrong[0]!r}: a JSON pointer has '~0' for '~' and '~1' for '/', and no other '~'"
        raise ValueError(message)
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)


def pointer(names: Iterable[str]) -> str:
    """Return the JSON pointer (RFC 6901) of a field."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def path_of(names: Sequence[str]) -> str:
    """Return the shortest text for which ``steps`` gives these names: a dotted path if it can be one."""
    dotted = all(names) and not any("." in name for name in names) and not names[0].startswith("/")
    return ".".join(names) if dotted else pointer(names)


@dataclass(frozen=True)
class Fields:
    """Place of each field in the producer's lines: a dotted path of names, or a JSON pointer (``steps``)."""

    event_id: str = "event_id"
    received_at: str = "received_at"
    user_id: str = "event.user_id"
    episode_id: str = "event.episode_id"
    country: str = "event.country"
    utc_offset_minutes: str = "event.utc_offset_minutes"
    language: str = "event.language"
    device: str = "event.device"
    watched_seconds: str = "event.watched_seconds"

    @cached_property
    def paths(self) -> Mapping[str, tuple[str, ...]]:
        """The names on the way to each field."""
        return {one.name: steps(getattr(self, one.name)) for one in dataclass_fields(self)}


@dataclass(frozen=True)
class Event:
    """A valid play event. ``received_at`` is in UTC, without a zone, and ``language`` normalised, as in the lake."""

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
    return _validate_fields({name: _at(value, path) for name, path in fields.paths.items()}, window)


def holds(field: Reason, value: object) -> bool:
    """Return whether a value of a field is one of the contract."""
    return dict(_RULES)[field](value)


def names_in(line: bytes) -> frozenset[str]:
    """Return the paths of the fields in a line, never their values; empty if the line is not a JSON object.

    Each path can be mapped as it is: a dotted path, or a JSON pointer if a name contains a dot.
    """
    try:
        value = json.loads(line, object_pairs_hook=_first_of_each, parse_int=_number)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(path_of(names) for names in _leaves(value, ()) if not any(map(SURROGATE.search, names)))


def _leaves(value: object, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*above, name))
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
    return Event(**{**found, "received_at": received_at, "language": languages.normalise(found["language"])})


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
    (Reason.LANGUAGE, lambda value: isinstance(value, str) and languages.normalise(value) is not None),
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


def _at(value: dict[str, Any], path: Sequence[str]) -> object:
    found: object = value
    for name in path:
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
