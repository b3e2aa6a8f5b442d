"""A pass beside the reference parser: what it takes, and what it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from jobs.rollup.contract import Event, Fields, Window, validate
from jobs.rollup.passes import Pass, event_key_of
from jobs.rollup.viewer import viewer_of

KEY = b"a key that only tests have"
WINDOW = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC without a zone
EVENT_KEY = event_key_of((KEY,))
STALE = 0x7D  # a bracket that closes an object


@dataclass(frozen=True)
class Taken:
    """The events that a pass took, by line number from 1, and the numbers of the lines that it left."""

    events: dict[int, dict[str, Any]]
    left: list[int]


def new_pass(fields: Fields | None = None, window: Window = WINDOW) -> Pass:
    """Return a pass that knows no shape."""
    one = Pass((KEY,))
    one.begin_unit(fields or Fields(), window)
    return one


def take(one: Pass, lines: Sequence[bytes], *, last_newline: bool = True) -> Taken:
    """Let a pass read lines as an object; fail if it takes a line as anything but the event that the line is."""
    data = b"\n".join(lines) + b"\n" * last_newline
    one.buffer[: len(data) + 1000] = STALE  # what an object before it left there
    one.buffer[: len(data)] = np.frombuffer(data, np.uint8)
    one.begin_object()
    at = 0
    others: list[list[int]] = []
    events: list[dict[str, Any]] = []
    while at < len(data):
        passed = one.read(at, len(data))
        at, others, events = passed.end, [*others, *passed.others.tolist()], [*events, *passed.events.to_pylist()]
    for begin, end, number in others:
        assert data[begin:end] == lines[number - 1]
    left = [number for _, _, number in others]
    numbers = sorted({*range(1, len(lines) + 1)}.difference(left))
    if not last_newline and not lines[-1]:
        numbers.remove(len(lines))  # there is no such line
    assert len(events) == len(numbers)
    for number, event in zip(numbers, events, strict=True):
        assert event == as_event(validate(lines[number - 1], one._fields, one._window)), lines[number - 1]
    return Taken(dict(zip(numbers, events, strict=True)), left)


def as_event(found: object) -> dict[str, Any]:
    """Return what the reference parser found as a row of EVENTS."""
    assert isinstance(found, Event), found
    row = {name: value for name, value in vars(found).items() if name not in ("event_id", "user_id")}
    return {
        **row,
        "viewer": viewer_of((KEY,), found.user_id),
        "event_key": siphash_1_3(EVENT_KEY, found.event_id.encode()),
    }


def siphash_1_3(key: bytes, message: bytes) -> int:
    """SipHash-1-3, word by word as its paper describes it."""
    mask = (1 << 64) - 1

    def turn(x: int, n: int) -> int:
        return ((x << n) | (x >> (64 - n))) & mask

    def mix(v: list[int]) -> None:
        v[0] = (v[0] + v[1]) & mask
        v[1] = turn(v[1], 13) ^ v[0]
        v[0] = turn(v[0], 32)
        v[2] = (v[2] + v[3]) & mask
        v[3] = turn(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & mask
        v[3] = turn(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & mask
        v[1] = turn(v[1], 17) ^ v[2]
        v[2] = turn(v[2], 32)

    low, high = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    start = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    v = [low ^ start[0], high ^ start[1], low ^ start[2], high ^ start[3]]
    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        mix(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        mix(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
