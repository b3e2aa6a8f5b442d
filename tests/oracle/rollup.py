"""A second implementation of the rollup, in dictionaries and loops over lines, to check its queries.

It uses no code of the project. It reads the contract of play events without patterns and without SQL, and deduplicates
the events of a user by the user's own id before the user gets a number.
"""

import gzip
import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

LOWER, UPPER, DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
KEPT = 65536


class Play(NamedTuple):
    """A valid event. Of several with the same id of one user the smallest counts: by time, then by content."""

    received_at: datetime
    episode: int
    country: str
    language: str
    device: str
    offset: int
    seconds: int
    user: str
    event_id: str


@dataclass
class Rolled:
    """The result of an hour: rows as tuples, in order."""

    viewership: list[tuple[Any, ...]] = field(default_factory=list)
    """(episode, country, local hour, device, plays, seconds)"""
    viewer_hour: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)
    """By bucket: (viewer, episode, country, language, plays, seconds, first, last)"""
    rejects: list[tuple[str, int, str, bytes]] = field(default_factory=list)
    """(key, line, reason, raw)"""
    counts: dict[str, Any] = field(default_factory=dict)


def roll_up(objects: Mapping[str, bytes], hour: datetime, secret: bytes, buckets: int) -> Rolled:
    """Roll up the hour that begins at ``hour`` (UTC without a zone) from its objects by key."""
    plays: list[Play] = []
    rolled = Rolled()
    lines = 0
    for key, data in objects.items():
        for number, line in enumerate(split(gzip.decompress(data) if key.endswith(".gz") else data), start=1):
            lines += 1
            play = read(line, hour - timedelta(minutes=15), hour + timedelta(minutes=75))
            if isinstance(play, Play):
                plays.append(play)
            else:
                rolled.rejects.append((key, number, play, line[:KEPT]))
    rolled.rejects.sort()
    once: dict[tuple[str, str], Play] = {}
    for play in plays:
        known = once.get((play.user, play.event_id), play)
        once[play.user, play.event_id] = min(known, play)
    _count(list(once.values()), rolled, secret, buckets)
    reasons = Counter(reason for _, _, reason, _ in rolled.rejects)
    rolled.counts = {
        "rows_in": lines,
        "rows_out": len(once),
        "duplicates": len(plays) - len(once),
        "rejects": dict(reasons),
    }
    return rolled


def split(data: bytes) -> list[bytes]:
    """Return the lines of a file without newlines and without a leading byte order mark."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def viewer_number(secret: bytes, user: str) -> int:
    """Return the number of a user in the lake."""
    return int(hmac.new(secret, user.encode(), hashlib.sha256).hexdigest()[:16], base=16)


def _count(plays: list[Play], rolled: Rolled, secret: bytes, buckets: int) -> None:
    watched: dict[tuple[Any, ...], list[Play]] = defaultdict(list)
    viewed: dict[tuple[Any, ...], list[Play]] = defaultdict(list)
    for play in plays:
        local = (play.received_at + timedelta(minutes=play.offset)).hour
        watched[play.episode, play.country, local, play.device].append(play)
        viewed[viewer_number(secret, play.user), play.episode, play.country, play.language].append(play)
    for group, of_group in sorted(watched.items()):
        rolled.viewership.append((*group, len(of_group), sum(play.seconds for play in of_group)))
    for group, of_group in sorted(viewed.items()):
        times = [play.received_at for play in of_group]
        row = (*group, len(of_group), sum(play.seconds for play in of_group), min(times), max(times))
        rolled.viewer_hour.setdefault(group[0] % buckets, []).append(row)


def read(line: bytes, start: datetime, end: datetime) -> Play | str:
    """Return the play of a line, or the reason for its rejection."""
    record = parse(line)
    if isinstance(record, str):
        return record
    event = record["event"] if isinstance(record.get("event"), dict) else {}
    if not is_text(record.get("event_id"), 64):
        return "event_id"
    received_at = to_instant(record.get("received_at"))
    if received_at is None:
        return "received_at"
    if received_at < start or received_at >= end:
        return "outside_hour"
    for name, holds in CHECKS.items():
        if not holds(event.get(name)):
            return name
    return Play(
        received_at,
        event["episode_id"],
        event["country"],
        event["language"],
        event["device"],
        event["utc_offset_minutes"],
        event["watched_seconds"],
        event["user_id"],
        record["event_id"],
    )


def parse(line: bytes) -> dict[str, Any] | str:
    """Return the object of a line, or the reason for its rejection."""
    if len(line) > 1024 * 1024:
        return "line_too_long"
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "not_utf8"
    if not text.replace(" ", "").replace("\t", "").replace("\r", ""):
        return "blank"
    try:
        record = json.loads(text, object_pairs_hook=_first_wins, parse_constant=_no_constant, parse_int=_any_length)
    except (json.JSONDecodeError, _NoConstantError):
        return "not_json"
    return record if isinstance(record, dict) else "not_an_object"


def is_text(value: object, longest: int) -> bool:
    """Return whether a value is a text of at most this length, with characters that can be written."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return False
    return all(ord(character) >= 32 and not 0xD800 <= ord(character) < 0xE000 for character in value)


def is_whole(value: object, least: int, most: int) -> bool:
    """Return whether a value is a whole number in a range; 60.0 and true are not."""
    return type(value) is int and least <= value <= most


def is_country(value: object) -> bool:
    """Return whether a value is two capital letters."""
    return isinstance(value, str) and len(value) == 2 and all(letter in UPPER for letter in value)


def is_language(value: object) -> bool:
    """Return whether a value is a language tag: two or three small letters, then parts of 2 to 8 letters or digits."""
    if not isinstance(value, str):
        return False
    first, *others = value.split("-")
    return (
        2 <= len(first) <= 3
        and all(letter in LOWER for letter in first)
        and all(2 <= len(part) <= 8 and all(one in LOWER + UPPER + DIGITS for one in part) for part in others)
    )


def is_device(value: object) -> bool:
    """Return whether a value is a short name of a device."""
    return isinstance(value, str) and 1 <= len(value) <= 32 and all(one in LOWER + DIGITS + "_-" for one in value)


CHECKS: dict[str, Callable[[object], bool]] = {
    "user_id": lambda value: is_text(value, 128),
    "episode_id": lambda value: is_whole(value, 1, 2**53),
    "country": is_country,
    "utc_offset_minutes": lambda value: is_whole(value, -720, 840),
    "language": is_language,
    "device": is_device,
    "watched_seconds": lambda value: is_whole(value, 0, 3600),
}


def to_instant(value: object) -> datetime | None:
    """Return the instant of an RFC 3339 text in UTC without a zone, or None if it is invalid."""
    if not isinstance(value, str) or len(value) < 20 or value[10] != "T":
        return None
    clock = value[11:-1] if value[-1] == "Z" else value[11:-6]
    zone = "+00:00" if value[-1] == "Z" else value[-6:]
    seconds, point, fraction = clock.partition(".")
    date = [_number(part, width) for part, width in zip(value[:10].split("-"), (4, 2, 2), strict=False)]
    time = [_number(part, 2) for part in seconds.split(":")]
    ahead = [_number(part, 2) for part in zone[1:].split(":")]
    if [len(date), len(time), len(ahead)] != [3, 3, 2] or value[:10].count("-") != 2 or zone[0] not in "+-":
        return None
    if None in (*date, *time, *ahead) or (point and not 1 <= len(fraction) <= 9):
        return None
    if point and _number(fraction, len(fraction)) is None:
        return None
    return _make(date, time, fraction, ahead, zone[0])


def _make(date: list[Any], time: list[Any], fraction: str, ahead: list[Any], sign: str) -> datetime | None:
    if ahead[0] > 23 or ahead[1] > 59 or time[0] > 23:
        return None
    try:
        year, month, day = date
        hour, minute, second = time
        micros = int(fraction.ljust(6, "0")[:6])
        local = datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001 - UTC in the end
        offset = timedelta(hours=ahead[0], minutes=ahead[1])
        return local - offset if sign == "+" else local + offset
    except (ValueError, OverflowError):
        return None


def _number(text: str, width: int) -> int | None:
    return int(text) if len(text) == width and all(one in DIGITS for one in text) else None


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in pairs:
        record.setdefault(name, value)
    return record


class _NoConstantError(Exception):
    pass


def _no_constant(constant: str) -> object:
    raise _NoConstantError(constant)


def _any_length(digits: str) -> object:
    return int(digits) if len(digits) < 100 else digits
