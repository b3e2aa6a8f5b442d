"""The event contract in plain Python, for the few lines that the fast path of a plain script does not take.

``judge`` returns the fields of an event in the order of ``FIELDS``, or the reason why the line is rejected.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

TEXTS = {"event_id": r".{1,64}", "user_id": r".{1,128}", "country": r"[A-Z]{2}"} | {
    "language": r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*",
    "device": r"[a-z0-9_-]{1,32}",
}
NUMBERS = {"episode_id": (1, 1 << 53), "utc_offset_minutes": (-720, 840), "watched_seconds": (0, 3600)}
OF_EVENT = ("user_id", "episode_id", "country", "utc_offset_minutes", "language", "device", "watched_seconds")
FIELDS = ("event_id", "received_at", *OF_EVENT)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
EARLY, LATE = timedelta(minutes=15), timedelta(minutes=75)


def judge(line: str, hour: datetime) -> tuple[Any, ...] | str:
    """Return the fields of an event, or the reason why a line is none; times have no zone and are in UTC."""
    try:
        record = json.loads(line)
    except ValueError:
        return "not_json" if line.strip() else "blank"
    if isinstance(record, list) and len(record) == 1:  # an array with one event is this event
        (record,) = record
    if not isinstance(record, dict):
        return "not_an_object"
    event = record.get("event")
    values = record | event if isinstance(event, dict) else dict(record)
    values["received_at"] = _instant(record.get("received_at"))
    return _why_rejected(values, hour) or tuple(values[name] for name in FIELDS)


def _why_rejected(values: Mapping[str, Any], hour: datetime) -> str | None:
    for name in ("event_id", "received_at", "outside_hour", *OF_EVENT):
        value = values.get(name)
        if name == "outside_hour":
            fits = hour - EARLY <= values["received_at"] < hour + LATE
        elif name in TEXTS:
            fits = isinstance(value, str) and re.fullmatch(TEXTS[name], value, re.DOTALL) is not None
        elif name in NUMBERS:
            fits = type(value) is int and NUMBERS[name][0] <= value <= NUMBERS[name][1]
        else:
            fits = value is not None
        if not fits:
            return name
    return None


def _instant(text: object) -> datetime | None:
    if not isinstance(text, str) or not INSTANT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except ValueError:
        return None
