"""A second implementation of the rollup, in dictionaries and loops over lines, to check its queries.

It uses no code of the project. It reads the contract of play events without patterns and without SQL, and deduplicates
the events of a user by the user's own id before the user gets a number.
"""

import gzip
import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
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
    viewer_bits: list[int] = field(default_factory=list)
    """The bits of viewers of each row of viewership"""
    viewer_hour: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)
    """By bucket: (viewer, episode, country, language, plays, seconds, first, last)"""
    rejects: list[tuple[str, int, str, bytes]] = field(default_factory=list)
    """(key, line, reason, raw)"""
    counts: dict[str, Any] = field(default_factory=dict)


def roll_up(objects: Mapping[str, bytes], hour: datetime, secret: bytes, buckets: int) -> Rolled:
    """Roll up the hour that begins at ``hour`` (UTC without a zone) from its objects by key."""
    plays: list[Play] = []
    rolled = Rolled()
    rejected: Counter[str] = Counter()
    lines = 0
    for key, data in objects.items():
        before: Play | str = ""
        number = 0
        for line in split(gzip.decompress(data) if key.endswith(".gz") else data):
            for piece in pieces_of(line):
                number += 1
                lines += 1
                play = read(piece, hour - timedelta(minutes=15), hour + timedelta(minutes=75))
                if isinstance(play, Play):
                    plays.append(play)
                else:
                    rejected[play] += 1
                    if play != "blank" or before != "blank":
                        rolled.rejects.append((key, number, play, piece[:KEPT]))
                before = play
    rolled.rejects.sort()
    once: dict[tuple[str, str], Play] = {}
    for play in plays:
        known = once.get((play.user, play.event_id), play)
        once[play.user, play.event_id] = min(known, play)
    _count(list(once.values()), rolled, secret, buckets)
    rolled.counts = {
        "rows_in": lines,
        "rows_out": len(once),
        "duplicates": len(plays) - len(once),
        "rejects": dict(sorted(rejected.items())),
    }
    return rolled


MARK = "\ufeff".encode()
SPACE = " \t\r\n"
JOINTS = "".join(map(chr, [*range(0x21), *range(0x7F, 0xA1), 0x2028, 0x2029, 0xFEFF])) + ",;|"
"""Characters that may be between two events on a line."""


def split(data: bytes) -> list[bytes]:
    """Return the lines of a file without newlines and without a leading byte order mark; each value is on one line."""
    lines = data.removeprefix(MARK).split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def pieces_of(line: bytes, depth: int = 3) -> list[bytes]:
    """Return the events of a line: one after another, in an array, or in the text of a JSON text."""
    try:
        text = line.decode().strip(SPACE + "\ufeff")
    except UnicodeDecodeError:
        return [line]
    plain = [line.removeprefix(MARK)]
    if text[:1] == '"' and depth:
        quoted = _quoted(text)
        if quoted is None:
            return plain
        inner = pieces_of(quoted.encode(errors="surrogatepass"), depth - 1)
        return inner if len(inner) > 1 else [inner[0].strip(b" \t\r\n").replace(b"\n", b" ").replace(b"\r", b" ")]
    if text[:1] != "[" and not (text[:1] == "{" and any(_is_after(text, place) for place in range(1, len(text)))):
        return plain
    found = list(_values(text))
    several = text[0] == "[" or len(found) > 1
    if not found or not several:
        return plain
    every: list[bytes] = []
    for piece in found:
        one = piece.encode(errors="surrogatepass")
        every += pieces_of(one, depth) if piece[0] == '"' else [one.replace(b"\n", b" ").replace(b"\r", b" ")]
    return every


def _values(text: str) -> Iterator[str]:
    at = 0
    while True:
        while at < len(text) and text[at] in "[]" + JOINTS:
            at += 1
        if at == len(text):
            return
        end = _end_of_value(text, at)
        if end is None:  # up to where an object ends and the next begins
            end = next((place for place in range(at + 1, len(text)) if _between(text, place)), len(text))
            yield text[at:end].rstrip(", \t\r\n\ufeff")
        else:
            yield text[at:end]
        at = end


def _is_after(text: str, place: int) -> bool:
    """Return whether an object ends at a place, and another begins after it."""
    return text[place - 1] == "}" and text[place:].lstrip(JOINTS)[:1] == "{"


def _between(text: str, place: int) -> bool:
    after = text[place:].lstrip(JOINTS)
    return _is_after(text, place) and after[1:].lstrip(SPACE)[:1] == '"'


def _quoted(text: str) -> str | None:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, str) and value.strip(SPACE + "\ufeff")[:1] in ("{", "[", '"') else None


def _end_of_value(text: str, start: int) -> int | None:
    try:
        return json.JSONDecoder(parse_int=len).raw_decode(text, start)[1]
    except (json.JSONDecodeError, RecursionError):
        return None


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
        numbers = {viewer_number(secret, play.user) // 2**58 for play in of_group}
        rolled.viewer_bits.append(sum(2**number for number in numbers))
    for group, of_group in sorted(viewed.items()):
        starts = [play.received_at - timedelta(seconds=play.seconds) for play in of_group]
        ends = [play.received_at for play in of_group]
        row = (*group, len(of_group), sum(play.seconds for play in of_group), min(starts), max(ends))
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
        to_language(event["language"]),
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


IRREGULAR = (
    "en-gb-oed", "i-ami", "i-bnn", "i-default", "i-enochian", "i-hak", "i-klingon", "i-lux", "i-mingo", "i-navajo",
    "i-pwn", "i-tao", "i-tay", "i-tsu", "sgn-be-fr", "sgn-be-nl", "sgn-ch-de",
)  # fmt: skip
"""Old tags that the grammar of RFC 5646 does not have."""


def is_language(value: object) -> bool:
    """Return whether a value is a language tag, by the grammar of RFC 5646, in any case."""
    if not isinstance(value, str) or len(value) > 128 or any(one not in LOWER + UPPER + DIGITS + "-" for one in value):
        return False
    parts = value.lower().split("-")
    if value.lower() in IRREGULAR:
        return True
    if not all(1 <= len(part) <= 8 for part in parts):
        return False
    if parts[0] == "x":
        return len(parts) > 1
    before, private = (parts[: parts.index("x")], parts[parts.index("x") + 1 :]) if "x" in parts else (parts, ["-"])
    return bool(before) and bool(private) and is_langtag(before)


def is_langtag(parts: list[str]) -> bool:
    """Return whether small parts without private use are language, script, region, variants and extensions."""
    language, *rest = parts
    if not is_letters(language) or len(language) == 1:
        return False
    if len(language) <= 3:
        rest = without(rest, 3, lambda part: len(part) == 3 and is_letters(part))
    rest = without(rest, 1, lambda part: len(part) == 4 and is_letters(part))
    rest = without(rest, 1, lambda part: is_letters(part) if len(part) == 2 else len(part) == 3 and part.isdigit())
    rest = without(rest, 99, lambda part: len(part) >= 5 or (len(part) == 4 and part[0] in DIGITS))
    while rest:
        after = without(rest[1:], 99, lambda part: len(part) >= 2)
        if len(rest[0]) != 1 or len(after) == len(rest) - 1:
            return False
        rest = after
    return True


def is_letters(part: str) -> bool:
    """Return whether a part has letters only."""
    return all(letter in LOWER for letter in part)


def without(parts: list[str], most: int, fits: Callable[[str], bool]) -> list[str]:
    """Return the parts without the first ones that fit, of which there may be so many."""
    taken = 0
    while taken < min(most, len(parts)) and fits(parts[taken]):
        taken += 1
    return parts[taken:]


def to_language(value: str) -> str:
    """Spell a tag as RFC 5646 recommends: regions in capitals, scripts with one, all else small."""
    parts = value.lower().split("-")
    for at in range(1, len(parts)):
        part = parts[at]
        if all(len(one) > 1 for one in parts[:at]):
            parts[at] = (
                part.upper() if len(part) == 2 else part.title() if is_letters(part) and len(part) == 4 else part
            )
    return "-".join(parts)


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
