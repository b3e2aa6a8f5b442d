"""Fuzzes the compiled pass: spoilt lines, which it may take only as the event that the reference parser makes of them.

    python -m tests.fuzz_pass --seconds 3600 [--seed N] [--keep tests/fuzzed_lines.txt]

Objects of some valid lines and some spoilt ones go through passes that have learnt other shapes before. A line for
which pass and reference parser differ ends it, with the line and the seed. ``--keep`` writes one line for each kind of
outcome (what was done to the line, and what became of it), which a unit test reads again.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jobs.rollup.contract import Event, Fields, validate
from jobs.rollup.passes import Pass
from tests.helpers_passes import WINDOW, new_pass, take
from tests.helpers_rollup import play, to_line

Change = Callable[[random.Random, bytes], bytes]

TOKENS = (
    *(b'"', b"\\", b"\\u0041", b"\\ud800", b"\\/", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"NaN", b"-"),
    *(b"0", b"00", b"-0", b"1e3", b"1.0", b"9" * 16, b"9007199254740993", b".", b"Z", b"T24", b"+01:00", b"23:59:60"),
    *(b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xc3", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf"),
    *(b" ", b"\t", b"\r", b"2026-02-29", b"0000-01-01", b'"event_id":"x",', b'"event":{},', b'"user_id":1,', b"/*"),
)
VALUES = {
    "event_id": ("", "x", "é" * 64, "x" * 65, "a\\b", 7, None),
    "user_id": ("u", "\U0001f600" * 128, "x" * 129, "", " u", 7),
    "received_at": ("2026-01-05T13:00:00Z", "2026-01-05T12:45:00.000Z", "2026-01-05T14:15:00.0Z", "2026-01-05 13:00Z"),
    "episode_id": (1, 2**53, 2**53 + 1, 0, -1, "1", 1.0, True),
    "country": ("US", "us", "USA", "", None),
    "utc_offset_minutes": (-720, 840, 841, -721, 0, "0"),
    "language": ("en", "PT-br", "zh-hant-tw", "x-a", "e", "en-", None),
    "device": ("tv", "smart_tv-2", "TV", "d" * 33, ""),
    "watched_seconds": (0, 3600, 3601, -1, 60.0),
}  # fmt: skip


def _at(draw: random.Random, line: bytes) -> int:
    return draw.randrange(len(line) + 1)


def _flip(draw: random.Random, line: bytes) -> bytes:
    at = draw.randrange(len(line))
    return line[:at] + bytes([line[at] ^ (1 << draw.randrange(8))]) + line[at + 1 :]


def _insert(draw: random.Random, line: bytes) -> bytes:
    at = _at(draw, line)
    return line[:at] + draw.choice(TOKENS) + line[at:]


def _replace(draw: random.Random, line: bytes) -> bytes:
    at = _at(draw, line)
    return line[:at] + draw.choice(TOKENS) + line[at + draw.randrange(1, 6) :]


def _cut(draw: random.Random, line: bytes) -> bytes:
    first, second = sorted((_at(draw, line), _at(draw, line)))
    return line[:first] + line[second:]


def _repeat(draw: random.Random, line: bytes) -> bytes:
    first, second = sorted((_at(draw, line), _at(draw, line)))
    return line[:second] + line[first:second] + line[second:]


def _move(draw: random.Random, line: bytes) -> bytes:
    first, second, third = sorted(_at(draw, line) for _ in range(3))
    return line[:first] + line[second:third] + line[first:second] + line[third:]


CHANGES: tuple[Change, ...] = (_flip, _insert, _replace, _cut, _repeat, _move)


def _record(draw: random.Random) -> bytes:
    """Return a line whose fields have usual or odd values, in one of some spellings."""
    changed = {name: draw.choice(VALUES[name]) for name in draw.sample(list(VALUES), draw.choice((0, 0, 1, 2)))}
    record = play(**changed)
    if draw.random() < 0.3:
        record["event"] = dict(draw.sample(list(record["event"].items()), len(record["event"])))
    if draw.random() < 0.3:
        record = {"more": draw.choice(([], {}, "é", -1.5e3, None)), **record}
    return json.dumps(record, ensure_ascii=False).encode() if draw.random() < 0.3 else to_line(record)


def _spoilt(draw: random.Random, line: bytes) -> tuple[str, bytes]:
    kinds = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        change = draw.choice(CHANGES)
        kinds.append(change.__name__)
        line = change(draw, line or b" ")
    return " ".join(kinds), line.replace(b"\n", b" ")


def fuzz(seed: int, one: Pass) -> dict[str, bytes]:
    """Let a pass read an object of spoilt lines; return a line for each kind of outcome.

    Raises:
        AssertionError: pass and reference parser differ.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    # An object has one shape or few, as a producer's have.
    shapes = [_record(draw) for _ in range(draw.randrange(1, 4))]
    drawn = [("none", draw.choice(shapes))]
    for _ in range(draw.randrange(40)):
        line = draw.choice(shapes)
        drawn.append(_spoilt(draw, line) if draw.random() < 0.7 else ("none", line))
    lines = [line for _, line in drawn]
    taken = take(one, lines, last_newline=bool(lines[-1]) and draw.random() < 0.9)
    outcomes = {}
    for number, (kind, line) in enumerate(drawn, 1):
        found = validate(line, Fields(), WINDOW)
        became = "play" if isinstance(found, Event) else str(found)
        outcomes[f"{kind}: {became}, {'taken' if number in taken.events else 'left'}"] = line
    return outcomes


def main() -> int:
    """Fuzz for some time; return 1 if pass and reference parser differ."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    known: dict[str, bytes] = {}
    ends, objects, one = time.monotonic() + given.seconds, 0, new_pass()
    while time.monotonic() < ends:
        if objects % 200 == 0:
            one = new_pass()
        seed = given.seed + objects
        try:
            known = fuzz(seed, one) | known
        except AssertionError as error:
            print(f"seed {seed}: pass and reference parser differ: {error}", file=sys.stderr)  # noqa: T201
            return 1
        objects += 1
    print(f"{objects:,} objects, {len(known):,} kinds of outcome, seeds from {given.seed}")  # noqa: T201
    if given.keep:
        single = {kind: line for kind, line in sorted(known.items()) if " " not in kind.partition(":")[0]}
        given.keep.write_text("".join(f"{json.dumps(line.decode('latin-1'))}\n" for line in single.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
