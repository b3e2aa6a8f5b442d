"""Reads the items of a response one by one, so that memory is bounded by an item, not by the response.

A response is a JSON array. The depth and the memory of an item, and the length of texts and numbers are limited.
"""

import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import IO, Any

import ijson

from marquee.errors import BadInputError
from marquee.neutral import neutral

PIECE = 1 << 16
EXCERPT = 300
LONGEST_TEXT = 1 << 20
"""Maximum bytes of a text, and of what is between two texts."""
LONGEST_NUMBER = 1000
LARGEST_ITEM = 2 << 20
"""Maximum bytes of memory of an item: its names and values, and ``PLACE`` for each value."""
PLACE = 100
"""Bytes that a value takes in an object or a list, at most."""
DEEPEST = 32
"""Maximum depth of an item."""

_DIGITS = re.compile(rb"[0-9]{%d}" % LONGEST_NUMBER)
_BOM = b"\xef\xbb\xbf"

_Events = Iterator[tuple[str, Any]]


class TextGuard:
    """Refuses long texts and numbers in the bytes of a response, because a JSON parser keeps each in memory."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since_quote: int | None = None
        self._tail = b""

    def check(self, piece: bytes) -> None:
        """Check the next piece; BadInputError if a text or a number is too long."""
        # A quote after a backslash does not end a text.
        plain = (self._tail[-1:] + piece).replace(b'\\"', b"xx")[len(self._tail[-1:]) :]
        first, last = plain.find(b'"'), plain.rfind(b'"')
        if self._since_quote is not None and self._since_quote + (len(piece) if first < 0 else first) > LONGEST_TEXT:
            message = (
                f"GET {self._url}: a text in the response, or a gap between two, is longer than {LONGEST_TEXT} bytes"
            )
            raise BadInputError(message)
        if last >= 0:
            self._since_quote = len(piece) - last
        elif self._since_quote is not None:
            self._since_quote += len(piece)
        if _DIGITS.search(self._tail + piece):
            message = f"GET {self._url}: a number in the response has {LONGEST_NUMBER} digits or more"
            raise BadInputError(message)
        self._tail = (self._tail + piece)[-LONGEST_NUMBER:]


def read_items(url: str, file: IO[bytes], most: int) -> Iterator[Any]:
    """Yield the items of a JSON array.

    Raises:
        BadInputError: the file is anything else, has more than ``most`` items, or an item beyond the limits.
    """
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    events: _Events = ijson.basic_parse(file, buf_size=PIECE)
    try:
        kind, _ = next(events)
        if kind != "start_array":
            message = f"GET {url}: expected a JSON array of episodes, found other JSON: {_start(file)}"
            raise BadInputError(message)
        for number, item in enumerate(_Reader(url, events), start=1):
            if number > most:
                message = (
                    f"GET {url}: the response has more than max_episodes = {most} episodes. "
                    "Raise MARQUEE_SCHEDULE_FETCH__MAX_EPISODES if that is right"
                )
                raise BadInputError(message)
            yield item
    except (ijson.JSONError, ValueError) as error:
        file.seek(0, 2)
        found = f"{file.tell()} bytes that are not JSON ({_first_line(error)}): {_start(file)}"
        message = f"GET {url}: {found}. The response was cut off, or this is not the schedule service"
        raise BadInputError(message) from error


class _Reader:
    """The items of an array whose start was read."""

    def __init__(self, url: str, events: _Events) -> None:
        self._url = url
        self._events = events
        self._left = LARGEST_ITEM

    def __iter__(self) -> Iterator[Any]:
        for kind, value in self._events:
            if kind == "end_array":
                break
            self._left = LARGEST_ITEM
            yield self._value(kind, value, 0)
        for _ in self._events:  # raises if anything follows the array
            pass

    def _value(self, kind: str, value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
        self._count(value, depth)
        if kind == "start_map":
            names = iter(self._inside("end_map"))
            return {self._name(name, depth): self._value(*next(self._events), depth + 1) for _, name in names}
        if kind == "start_array":
            return [self._value(*event, depth + 1) for event in self._inside("end_array")]
        return float(value) if isinstance(value, Decimal) else value

    def _name(self, name: str, depth: int) -> str:
        self._count(name, depth)
        return sys.intern(name)

    def _count(self, value: Any, depth: int) -> None:  # noqa: ANN401 - any JSON value
        self._left -= sys.getsizeof(value) + PLACE
        if depth > DEEPEST or self._left < 0:
            message = (
                f"GET {self._url}: an item of the response is nested deeper than {DEEPEST}, or takes more than "
                f"{LARGEST_ITEM >> 20} MiB of memory. Check that this is the schedule service"
            )
            raise BadInputError(message)

    def _inside(self, end: str) -> Iterator[tuple[str, Any]]:
        for event in self._events:
            if event[0] == end:
                return
            yield event


def excerpt(start: bytes) -> str:
    """Return the beginning of a response for a message, without line ends and control characters."""
    return repr(start[:EXCERPT].decode(errors="replace"))


def beginning(text: str) -> str:
    """Return the beginning of a text from outside for a message, on one line."""
    return neutral(text[:EXCERPT])


def _start(file: IO[bytes]) -> str:
    file.seek(0)
    return excerpt(file.read(EXCERPT))


def _first_line(error: Exception) -> str:
    """Return what a JSON error says, without the part of the response that it quotes."""
    text = str(error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error)
    return beginning(next(islice(text.splitlines(), 1), "").removeprefix("b'"))
