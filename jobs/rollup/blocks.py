"""Blocks: the form in which every reader returns what is in a raw object.

A line is one event, or what stands in the place of one. Its number counts from 1 through the object. A reader of
columns gives those that are plays for certain as a table, and only the others as lines; so does a pass (passes.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from jobs.rollup.contract import MAX_LINE_BYTES, Reason

BLOCK_BYTES = 16 << 20
LINES_A_BLOCK = 1 << 18
"""Maximum lines of a block. An event has 64 bytes and more, so only lines that are no events reach it."""
KEPT_BYTES = 64 << 10

Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

NONE: Numbers = np.empty(0, np.int64)


@dataclass(frozen=True)
class Unreadable:
    """A line that cannot be read as text, and its reject reason."""

    n: int
    reason: Reason
    raw: bytes


@dataclass(frozen=True)
class Block:
    """Lines of an object: readable ones in order, unreadable ones, and the numbers of the empty ones.

    ``lines`` has the columns ``n`` and ``text``. ``plays`` (columns.PLAYS) and ``events`` (events.EVENTS) are plays for
    certain, and stand in none of the others. A block is ``lasting`` if it is still valid when the next one is read.
    """

    lines: pa.Table
    unreadable: tuple[Unreadable, ...] = ()
    empty: Numbers = field(default_factory=lambda: NONE)
    lasting: bool = False
    plays: tuple[pa.Table, ...] = ()
    events: tuple[pa.Table, ...] = ()

    @property
    def count(self) -> int:
        """The number of lines, readable or not."""
        rows: int = self.lines.num_rows + sum(one.num_rows for one in (*self.plays, *self.events))
        return rows + len(self.unreadable) + len(self.empty)

    @property
    def nbytes(self) -> int:
        """The bytes of its lines, as far as they are kept."""
        size: int = self.lines.nbytes + sum(one.nbytes for one in self.plays)
        size += self.empty.nbytes + sum(one.get_total_buffer_size() for one in self.events)
        return size + sum(len(one.raw) for one in self.unreadable)


def to_table(numbers: Any, text: Any) -> pa.Table:  # noqa: ANN401 - lists or arrays
    """Return the lines of a block as a table."""
    return pa.table({"n": pa.array(numbers, pa.int64()), "text": pa.array(text, pa.string())})


Numbered: TypeAlias = tuple[int, str | tuple[Reason, str]]
"""A line and its number; it may be its reject reason and what to show."""


def in_blocks(found: Iterable[Numbered | pa.Table], *, keyed: bool = False) -> Iterator[Block]:
    """Collect numbered lines, and tables of plays, in blocks; ``keyed`` if the plays are events."""
    lines: list[tuple[int, str]] = []
    unreadable: list[Unreadable] = []
    plays: list[pa.Table] = []
    size = 0
    for one in found:
        if isinstance(one, pa.Table):
            plays.append(one)
            size += one.nbytes
        else:
            size += _add(one, lines, unreadable)
        if size >= BLOCK_BYTES or len(lines) + len(unreadable) >= LINES_A_BLOCK // 4:
            yield _collected(lines, unreadable, plays, keyed=keyed)
            lines, unreadable, plays, size = [], [], [], 0
    if lines or unreadable or plays:
        yield _collected(lines, unreadable, plays, keyed=keyed)


def _add(one: Numbered, lines: list[tuple[int, str]], unreadable: list[Unreadable]) -> int:
    """Add a line to those that can be read, or to those that cannot; return its bytes, roughly."""
    n, text = one
    if isinstance(text, str) and (len(text) <= MAX_LINE_BYTES // 4 or len(text.encode()) <= MAX_LINE_BYTES):
        lines.append((n, text))
        return len(text)
    reason, shown = (Reason.LINE_TOO_LONG, text) if isinstance(text, str) else text
    unreadable.append(Unreadable(n, reason, shown[:KEPT_BYTES].encode()[:KEPT_BYTES]))
    return len(unreadable[-1].raw)


def _collected(
    lines: list[tuple[int, str]], unreadable: list[Unreadable], plays: list[pa.Table], *, keyed: bool
) -> Block:
    numbers, texts = zip(*lines, strict=True) if lines else ((), ())
    block = Block(to_table(numbers, texts), tuple(unreadable), lasting=True)
    return replace(block, events=tuple(plays)) if keyed else replace(block, plays=tuple(plays))
