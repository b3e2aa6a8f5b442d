"""Mapping of the schedule service's fields to columns, and the readers of their values.

A reader returns the value in the column's type, or None if it has another type. The fields: https://www.tvmaze.com/api.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

LARGEST_ID = 1 << 53
LARGEST_WHOLE = 1 << 63
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_COUNTRY = re.compile(r"[A-Z]{2}")

Reader = Callable[[Any], Any]
Fields = Mapping[str, tuple[str, Reader]]
"""Field of the service, as a dotted path -> (column, reader)."""


def identity(value: object) -> int | None:
    """Read an id: a whole number from 1 to 2^53."""
    return value if type(value) is int and 0 < value <= LARGEST_ID else None


def whole(value: object) -> int | None:
    """Read a whole number."""
    return value if type(value) is int and -LARGEST_WHOLE <= value < LARGEST_WHOLE else None


def number(value: object) -> float | None:
    """Read a number."""
    if type(value) is int or type(value) is float:
        read = float(value) if abs(value) < LARGEST_WHOLE else math.inf
        return read if math.isfinite(read) else None
    return None


def text(value: object) -> str | None:
    """Read a text that UTF-8 can encode. JSON also allows half of a surrogate pair."""
    try:
        return value if isinstance(value, str) and value.encode() else None
    except UnicodeEncodeError:
        return None


def texts(value: object) -> list[str] | None:
    """Read a list of texts."""
    return value if isinstance(value, list) and all(text(one) for one in value) else None


def joined(value: object) -> str | None:
    """Read a list of texts as one text, separated by commas."""
    found = texts(value)
    return ",".join(found) if found is not None else None


def time_of_day(value: object) -> str | None:
    """Read a time, HH:MM."""
    return value if isinstance(value, str) and _TIME.fullmatch(value) else None


def country(value: object) -> str | None:
    """Read a country code, two capitals."""
    return value if isinstance(value, str) and _COUNTRY.fullmatch(value) else None


def day(value: object) -> date | None:
    """Read a date, YYYY-MM-DD."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
    except ValueError:
        return None


def instant(value: object) -> datetime | None:
    """Read an instant with its offset, as UTC without a zone."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
        return read.astimezone(UTC).replace(tzinfo=None) if read and read.tzinfo else None
    except (ValueError, OverflowError):
        return None


def unix_time(value: object) -> datetime | None:
    """Read seconds since 1970, as UTC without a zone."""
    try:
        return datetime.fromtimestamp(value, UTC).replace(tzinfo=None) if type(value) is int else None
    except (ValueError, OverflowError, OSError):
        return None


EPISODE: Fields = {
    "name": ("name", text),
    "season": ("season", whole),
    "number": ("number", whole),
    "type": ("type", text),
    "airdate": ("airdate", day),
    "airtime": ("airtime", time_of_day),
    "airstamp": ("airstamp", instant),
    "runtime": ("runtime_minutes", whole),
    "rating.average": ("rating", number),
    "image.original": ("image", text),
    "summary": ("summary", text),
    "url": ("url", text),
}

SHOW: Fields = {
    "name": ("name", text),
    "type": ("type", text),
    "language": ("language", text),
    "status": ("status", text),
    "runtime": ("runtime_minutes", whole),
    "averageRuntime": ("average_runtime_minutes", whole),
    "premiered": ("premiered", day),
    "ended": ("ended", day),
    "network.id": ("network_id", identity),
    "webChannel.id": ("web_channel_id", identity),
    "dvdCountry.code": ("dvd_country", country),
    "schedule.time": ("schedule_time", time_of_day),
    "schedule.days": ("schedule_days", joined),
    "rating.average": ("rating", number),
    "weight": ("weight", whole),
    "officialSite": ("official_site", text),
    "externals.imdb": ("imdb", text),
    "externals.thetvdb": ("thetvdb", whole),
    "externals.tvrage": ("tvrage", whole),
    "image.original": ("image", text),
    "summary": ("summary", text),
    "url": ("url", text),
    "updated": ("updated", unix_time),
}

GENRES = "genres"

CHANNEL: Fields = {
    "name": ("name", text),
    "country.code": ("country", country),
    "officialSite": ("official_site", text),
}

CHANNEL_PLACES = {"network": "network", "webChannel": "web"}
"""Field of a show that holds a channel -> its kind."""

COUNTRY: Fields = {
    "name": ("name", text),
    "timezone": ("timezone", text),
}

COUNTRY_PLACES = ("network.country", "webChannel.country", "dvdCountry")

# Known but not kept: links and the smaller image. The show below an episode and the ids are read by name.
KNOWN_OF_EPISODE = frozenset({*EPISODE, "id", "show", "_embedded", "_links", "image.medium"})
KNOWN_OF_SHOW = frozenset(
    {*SHOW, GENRES, "id", "_links", "image.medium"}
    | {f"{place}.{name}" for place in CHANNEL_PLACES for name in CHANNEL}
    | {f"{place}.{name}" for place in COUNTRY_PLACES for name in COUNTRY}
)
