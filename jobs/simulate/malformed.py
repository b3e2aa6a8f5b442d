"""Makes valid lines malformed: each kind breaks the event contract in one way.

The contract: ``event_id`` a string of 1 to 64 characters; ``received_at`` RFC 3339 with an offset, in the folder's hour
give or take 15 minutes; ``user_id`` a string of 1 to 128; ``episode_id`` a whole number from 1 to 2^53; ``country`` two
capitals; ``utc_offset_minutes`` whole, -720 to 840; ``language`` a tag such as ``pt-BR``; ``device`` 1 to 32 of a-z,
0-9, _ and -; ``watched_seconds`` whole, 0 to 3600.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

Record = dict[str, Any]
Spoil = Callable[[Record], bytes]


def to_line(record: Record) -> bytes:
    """Write a record like the sink: as compact JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _with(name: str, value: object, record: Record) -> bytes:
    """Return the record with one field changed."""
    if name in record:
        return to_line(record | {name: value})
    return to_line(record | {"event": record["event"] | {name: value}})


def _without(name: str, record: Record) -> bytes:
    """Return the record without one field."""
    if name in record:
        return to_line({key: value for key, value in record.items() if key != name})
    return to_line(record | {"event": {key: value for key, value in record["event"].items() if key != name}})


def _instead(line: bytes, _: Record) -> bytes:
    return line


def _hours_off(hours: int, record: Record) -> bytes:
    received = datetime.fromisoformat(record["received_at"]) + timedelta(hours=hours)
    return _with("received_at", received.isoformat(timespec="milliseconds").replace("+00:00", "Z"), record)


def _cut(record: Record) -> bytes:
    line = to_line(record)
    return line[: len(line) * 2 // 3]


def _list_of(record: Record) -> bytes:
    return b"[" + to_line(record) + b"]"


WRONG_VALUES: dict[str, dict[str, object]] = {
    "event_id": {"empty": "", "long": "e" * 65, "number": 5224603, "null": None},
    "received_at": {
        "words": "yesterday", "no offset": "2026-01-05T13:02:11.123", "number": 1767618131123,
        "month 13": "2026-13-05T13:02:11Z",
    },
    "event": {"text": "{}", "null": None, "list": []},
    "user_id": {"empty": "", "long": "u" * 129, "number": 2218169, "null": None},
    "episode_id": {
        "text": "2509799", "zero": 0, "negative": -1, "fraction": 2509799.5, "huge": 2**53 + 1, "true": True,
    },
    "country": {"small": "kr", "three letters": "KOR", "null": None},
    "utc_offset_minutes": {"too far east": 841, "too far west": -721, "text": "540", "fraction": 540.5},
    "language": {"underscore": "ko_KR", "words": "Korean language", "null": None},
    "device": {"capitals": "TV", "space": "smart tv", "long": "d" * 33, "number": 1},
    "watched_seconds": {"negative": -60, "over an hour": 3601, "text": "60", "fraction": 59.5, "null": None},
}  # fmt: skip
NO_RECORDS = {
    "blank": b"",
    "not json": b"ERROR upstream timed out after 30000 ms",
    "null": b"null",
    "number": b"42",
    "text": b'"play"',
    "empty object": b"{}",
    "empty list": b"[]",
}

KINDS: dict[str, Spoil] = {
    **{name: partial(_instead, line) for name, line in NO_RECORDS.items()},
    "cut": _cut,
    "list of a record": _list_of,
    "three hours early": partial(_hours_off, -3),
    "a day late": partial(_hours_off, 24),
    **{f"{name}: missing": partial(_without, name) for name in WRONG_VALUES},
    **{
        f"{name}: {kind}": partial(_with, name, one)
        for name, wrong in WRONG_VALUES.items()
        for kind, one in wrong.items()
    },
}
"""Kinds of malformed lines, by name."""


def _not_utf8(record: Record) -> bytes:
    return to_line(record).replace(b'"user_id":"', b'"user_id":"\xfe\xff')


DAILY: dict[int, Spoil] = {5: _not_utf8, 11: partial(_with, "event_id", "e" * (1 << 20))}
"""By hour, one line a day: not UTF-8; longer than a MiB. Separate, because they break readers of whole text files."""
