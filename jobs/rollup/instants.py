"""Parses texts of instants, many at a time: exactly those that the event contract accepts, and as it reads them.

The form is ``YYYY-MM-DDThh:mm:ss``, then a fraction of 1 to 9 digits or none, then ``Z`` or an offset such as
``+01:00``. Digits of a fraction after the sixth are cut.
"""

from datetime import datetime
from typing import Any, TypeAlias

import numpy as np

Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC without a zone
HEAD = len("2026-01-05T13:02:11")
OFFSET = len("+01:00")
MICRO_DIGITS = 6
MOST_DIGITS = 9
SHORTEST, LONGEST = HEAD + 1, HEAD + 1 + MOST_DIGITS + OFFSET
SECOND = 1_000_000
DAY = 86_400
ZERO, POINT, ZULU, PLUS, MINUS = (ord(one) for one in "0.Z+-")


def in_micros(at: datetime) -> int:
    """Return the microseconds from 1970 to an instant in UTC, without a zone."""
    since = at - EPOCH
    return (since.days * DAY + since.seconds) * SECOND + since.microseconds


def parse(offsets: Numbers, data: Bytes) -> tuple[Numbers, Mask]:
    """Return the instants of texts in microseconds since 1970, and which texts are of the form.

    Each text is the bytes from one offset to the next; ``data`` begins at the first offset.
    """
    micros, right = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(offsets) - 1, bool)
    starts, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    counts = np.bincount(np.minimum(lengths, LONGEST + 1), minlength=LONGEST + 2)
    for length in range(SHORTEST, LONGEST + 1):
        if counts[length] == len(lengths):
            texts = data.reshape(len(lengths), length)
            micros, right = _of_length(texts)
        elif counts[length]:
            rows = np.flatnonzero(lengths == length)
            texts = data[starts[rows][:, None] + np.arange(length)]
            micros[rows], right[rows] = _of_length(texts)
    return micros, right


def _of_length(texts: Bytes) -> tuple[Numbers, Mask]:
    """Parse texts of one length."""
    columns = np.ascontiguousarray(texts.T)
    end = len(columns)
    seconds, right = _head(columns)
    micros = seconds * SECOND
    is_utc = columns[-1] == ZULU
    found = np.zeros(len(right), bool)
    if is_utc.any():
        fraction, is_fraction = _fraction(columns[HEAD : end - 1])
        found |= is_utc & is_fraction
        micros += np.where(is_utc, fraction, 0)
    if end >= HEAD + OFFSET and not is_utc.all():
        fraction, is_fraction = _fraction(columns[HEAD : end - OFFSET])
        offset, is_offset = _offset(columns[end - OFFSET :])
        found |= ~is_utc & is_fraction & is_offset
        micros += np.where(is_utc, 0, fraction - offset * SECOND)
    return micros, right & found


def _number(columns: Bytes) -> tuple[Numbers, Mask]:
    """Return the number that some columns of digits are."""
    value = np.zeros(columns.shape[1], np.int32)
    right = np.ones(columns.shape[1], bool)
    for column in columns:
        digit = column - np.uint8(ZERO)
        right &= digit <= 9  # noqa: PLR2004 - a digit
        value *= 10
        value += digit
    return value.astype(np.int64), right


def _is(columns: Bytes, places: dict[int, str]) -> Mask:
    right = np.ones(columns.shape[1], bool)
    for place, letter in places.items():
        right &= columns[place] == ord(letter)
    return right


def _head(columns: Bytes) -> tuple[Numbers, Mask]:
    """Return the seconds since 1970 of a date and a time."""
    right = _is(columns, {4: "-", 7: "-", 10: "T", 13: ":", 16: ":"})
    parts = []
    for first, end in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)):
        value, is_number = _number(columns[first:end])
        right &= is_number
        parts.append(value)
    year, month, day, hour, minute, second = parts
    right &= (year >= 1) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)  # noqa: PLR2004
    months = (np.where(right, year * 12 + month, 0) - 1970 * 12 - 1).astype("datetime64[M]")
    first_day, next_month = ((months + more).astype("datetime64[D]").astype(np.int64) for more in (0, 1))
    right &= (day >= 1) & (day <= next_month - first_day)
    return ((first_day + day - 1) * 24 + hour) * 3600 + minute * 60 + second, right


def _fraction(columns: Bytes) -> tuple[Numbers, Mask]:
    """Return the microseconds of a fraction: nothing, or a point and 1 to 9 digits."""
    nothing = np.zeros(columns.shape[1], np.int64)
    if len(columns) == 0:
        return nothing, np.ones(len(nothing), bool)
    if not 2 <= len(columns) <= 1 + MOST_DIGITS:  # noqa: PLR2004 - a point and a digit
        return nothing, np.zeros(len(nothing), bool)
    digits = columns[1 : 1 + MICRO_DIGITS]
    value, right = _number(digits)
    _, rest = _number(columns[1 + MICRO_DIGITS :])
    return value * 10 ** (MICRO_DIGITS - len(digits)), right & rest & (columns[0] == POINT)


def _offset(columns: Bytes) -> tuple[Numbers, Mask]:
    """Return the seconds of an offset from UTC."""
    hours, are_hours = _number(columns[1:3])
    minutes, are_minutes = _number(columns[4:])
    is_ahead = columns[0] == PLUS
    right = (is_ahead | (columns[0] == MINUS)) & (columns[3] == ord(":"))
    right &= are_hours & are_minutes & (hours < 24) & (minutes < 60)  # noqa: PLR2004
    seconds = hours * 3600 + minutes * 60
    return np.where(is_ahead, seconds, -seconds), right
