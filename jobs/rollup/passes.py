"""Takes events from lines of known shapes, in one pass over their bytes (native.pyx).

What it takes, the event contract accepts, and reads as the same event. It rejects nothing: lines that it does not take
are left to parse.sql and to the reference parser. A process keeps a pass, with its buffers and the viewers of the users
that it has seen, for the next unit of work.
"""

import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.rollup import contract, native
from jobs.rollup.blocks import BLOCK_BYTES, LINES_A_BLOCK, Bytes
from jobs.rollup.contract import Event, Fields, Window, validate
from jobs.rollup.events import EVENTS, TEXT, TEXTS
from jobs.rollup.pseudonyms import pads
from jobs.rollup.shapes import END, SKIPPED, Shape, as_kinds, shape_of
from jobs.rollup.viewer import Keys

KINDS: Mapping[str, int] = {
    END: native.END,
    SKIPPED: native.SKIP,
    "event_id": native.EVENT_ID,
    "received_at": native.RECEIVED_AT,
    "user_id": native.USER_ID,
    "episode_id": native.EPISODE_ID,
    "country": native.COUNTRY,
    "utc_offset_minutes": native.UTC_OFFSET_MINUTES,
    "language": native.LANGUAGE,
    "device": native.DEVICE,
    "watched_seconds": native.WATCHED_SECONDS,
}
RULES = (
    contract.MAX_EVENT_ID_LENGTH,
    contract.MAX_USER_ID_LENGTH,
    contract.MAX_EPISODE_ID,
    *contract.UTC_OFFSET_MINUTES,
    contract.MAX_WATCHED_SECONDS,
    contract.MAX_LINE_BYTES,
)
ATTEMPTS, MORE_ATTEMPTS = 32, 4
"""Maximum lines of an object from which a shape may be learnt: without one, and if one is known from the start."""
NEVER = 1 << 62
ROW_BYTES = 128
"""Bytes of a line, at least, unless the lines before it were shorter."""
OTHERS = LINES_A_BLOCK // 4
PROBE_LINES = 4096
"""After so many lines, a pass that takes less than a fifth of them is given up for the object."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as a window: in UTC, without a zone
_WIDTHS = [one.type.index_type if one.type == TEXT else one.type for one in EVENTS]


@dataclass(frozen=True)
class Passed:
    """What a pass found in a part of a buffer: events, and (begin, end, number) of each line that it left."""

    events: pa.Table
    others: npt.NDArray[np.int64]
    end: int
    """Where it stopped."""
    long_line_end: int | None
    """The end of the line there, if it is longer than a line may be."""


@dataclass
class _Column:
    """The codes of a text column."""

    check: Callable[[str], str | None]
    codes: dict[str, int] = field(default_factory=dict)
    full: bool = False
    _texts: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def code_of(self, text: str) -> int:
        """Return the code of a text as it is to be; -1 if it is not one of the contract."""
        checked = self.check(text)
        return -1 if checked is None else self.codes.setdefault(checked, len(self.codes))

    @property
    def texts(self) -> pa.Array:
        """The texts in the order of their codes; the same array as before if there are no new ones."""
        if len(self._texts) < len(self.codes):
            self._texts = pa.array(list(self.codes), pa.string())
        return self._texts


class Pass:
    """Takes events from lines. Only one thread may use it at a time."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.event_key = event_key_of(keys)
        self.buffer: Bytes = np.empty(BLOCK_BYTES + native.PADDING, np.uint8)
        self._others: npt.NDArray[np.int64] = np.empty((OTHERS, 3), np.int64)
        self._users = native.UserTable([pads(key) for key in reversed(keys)], secrets.token_bytes(16))
        self._reader = native.LineReader(self._users, self.event_key, RULES)
        self._columns = self._no_texts()
        self._shapes: list[Shape] = []
        self._used: set[int] = set()
        self._fields, self._window = Fields(), Window(_EPOCH, _EPOCH)
        self._attempts = self._lines = self._taken = 0
        self._row_bytes = ROW_BYTES

    def begin_unit(self, fields: Fields, window: Window) -> None:
        """Begin with objects of other fields or another hour."""
        if fields != self._fields:
            self._set_shapes([])
            self._used.clear()
        self._fields, self._window = fields, window
        start, end = ((one - _EPOCH) // (_EPOCH.resolution) for one in (window.start, window.end))
        self._reader.set_window(start, end)

    def begin_object(self) -> None:
        """Begin with another object. Shapes that the last one had are tried first."""
        if any(column.full for column in self._columns.values()):
            self._columns = self._no_texts()
            self._reader.forget_texts()
        self._note_used()
        self._set_shapes([self._shapes[place] for place in sorted(self._used)])
        self._used.clear()
        attempts = MORE_ATTEMPTS if self._shapes else ATTEMPTS
        self._attempts = attempts if len(self._shapes) < native.SHAPES else 0
        self._lines = self._taken = 0
        self._reader.line, self._reader.learn_from = 1, 1 if self._attempts else NEVER

    @property
    def pays(self) -> bool:
        """Whether it takes enough of the object's lines."""
        return self._lines < PROBE_LINES or 5 * self._taken >= self._lines

    @property
    def line(self) -> int:
        """Number of the next line."""
        return self._reader.line

    @line.setter
    def line(self, number: int) -> None:
        self._reader.line = number

    def read(self, begin: int, end: int) -> Passed:
        """Read the lines in a part of ``buffer``, which ends after a newline or at the end of the object."""
        first = self._reader.line
        size = min(LINES_A_BLOCK, (end - begin) // self._row_bytes + 64)
        # Not by Arrow, which would fill it with zeros.
        memory = tuple(np.empty(size * one.bit_width // 8, np.uint8) for one in _WIDTHS)
        self._reader.rows = self._reader.others = 0
        status = self._read(begin, end, memory)
        while status in (native.NEW_TEXT, native.NEW_SHAPE):
            if status == native.NEW_TEXT:
                self._learn_text()
            else:
                self._learn_shape()
            status = self._read(self._reader.at, end, memory)
        rows, at = self._reader.rows, self._reader.at
        if rows > PROBE_LINES:
            self._row_bytes = max(ROW_BYTES // 2, (at - begin) // rows * 9 // 10)
        self._lines += self._reader.line - first
        self._taken += rows
        others = self._others[: self._reader.others].copy()
        return Passed(self._events(memory), others, at, self._reader.stop if status == native.LONG_LINE else None)

    def viewers_of(self, users: pa.Array, margin: int = 0) -> pa.Array:
        """Return the viewers of users. ``margin`` is the number of bytes to leave out at both ends of each text."""
        return _computed(self._users.viewers, users, margin)

    def event_keys_of(self, event_ids: pa.Array, margin: int = 0) -> pa.Array:
        """Return the event keys of event ids."""
        return _computed(partial(native.hash_texts, self.event_key), event_ids, margin)

    def _read(self, begin: int, end: int, memory: tuple[Bytes, ...]) -> int:
        # At first it stops early if it leaves most lines, to see whether it pays.
        others = self._others if self._lines >= PROBE_LINES else self._others[:PROBE_LINES]
        return self._reader.read(self.buffer, begin, end, memory, others)

    def _learn_text(self) -> None:
        raw = self.buffer[self._reader.text_at : self._reader.stop].tobytes()
        name = list(self._columns)[self._reader.text_column]
        column = self._columns[name]
        column.full = not self._reader.add_text(self._reader.text_column, raw, column.code_of(raw.decode()))

    def _learn_shape(self) -> None:
        """Learn the shape of a line, if it is an event of a new one; in any case, do not ask again for this line."""
        self._attempts -= 1
        line = self.buffer[self._reader.at : self._reader.stop].tobytes()
        if isinstance(validate(line, self._fields, self._window), Event):
            shape = shape_of(line.decode(), self._fields)
            if shape is not None and shape not in self._shapes:
                self._note_used()
                self._set_shapes([*self._shapes, shape])
        more = self._attempts > 0 and len(self._shapes) < native.SHAPES
        self._reader.learn_from = self._reader.line + 1 if more else NEVER

    def _note_used(self) -> None:
        self._used.update(place for place, taken in enumerate(self._reader.taken) if taken)

    def _set_shapes(self, shapes: list[Shape]) -> None:
        self._reader.set_shapes([list(as_kinds(shape, KINDS)) for shape in shapes])
        self._shapes = shapes

    def _no_texts(self) -> dict[str, _Column]:
        return {name: _Column(check) for name, check in TEXTS.items()}

    def _events(self, memory: tuple[Bytes, ...]) -> pa.Table:
        rows = self._reader.rows
        arrays = [
            pa.Array.from_buffers(type_, rows, [None, pa.py_buffer(one)])
            for type_, one in zip(_WIDTHS, memory, strict=True)
        ]
        for name, column in self._columns.items():
            at = EVENTS.get_field_index(name)
            arrays[at] = pa.DictionaryArray.from_arrays(arrays[at], column.texts, safe=False)
        return pa.Table.from_arrays(arrays, schema=EVENTS)


def event_key_of(keys: Keys) -> bytes:
    """Return the key of the hashes of event ids, which is the same in all processes of a run."""
    return hmac.digest(keys[0], b"marquee event keys", "sha256")[:16]


def _computed(compute: Callable[..., None], texts: pa.Array, margin: int) -> pa.Array:
    """Return a number for each text."""
    numbers: npt.NDArray[np.uint64] = np.empty(len(texts), np.uint64)
    if len(texts):
        _, offsets, data = texts.buffers()
        compute(offsets, data or b"", texts.offset, len(texts), numbers, margin)
    return pa.array(numbers)


_idle: list[Pass] = []


@contextmanager
def borrowed_pass(keys: Keys, fields: Fields, window: Window) -> Iterator[Pass]:
    """Lend a pass of this process under viewer keys, for a unit of work."""
    try:
        one = _idle.pop()
    except IndexError:
        one = Pass(keys)
    if one.keys != keys:
        one = Pass(keys)
    one.begin_unit(fields, window)
    yield one
    _idle.append(one)
