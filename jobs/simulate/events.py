"""Converts plays to the files of one hour, in the format of the Kafka Connect S3 sink.

A play has one event for each minute, received at the end of the minute. An event goes to the Kafka partition of its
viewer. Each partition has two files an hour, one for the records of each half. Some events have duplicates, in the same
file or the other one, and some lines are malformed. The random choices depend only on the seed and the hour.

Lines are built as Arrow columns, not Python strings: over half a million lines a second on one core, with compression.
"""

import itertools
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip, isal_zlib

from jobs.simulate.malformed import DAILY, KINDS, Record
from jobs.simulate.plays import Plays
from jobs.simulate.scratch import CHUNK, Array, Column, Scratch
from jobs.simulate.service import HOUR_MS, MINUTE_MS, Service
from jobs.simulate.viewers import DEVICES, LANGUAGES, Ints

DUPLICATES, MALFORMED = 0.002, 0.0005
"""Shares of lines."""
LONGEST_DELAY_MS = 2_000
"""Maximum delay from the end of a watched minute to the receipt of its event."""
RESENT_WITHIN_MS = 20 * MINUTE_MS
HALF_HOUR_MS = HOUR_MS // 2

HEAD = b'{"event_id":"00000000-0000-4000-8000-000000000000","received_at":"2026-01-05T13:02:11.123Z",'
ID_AT, HOUR_AT, MINUTE_AT, MILLI_AT = 13, 66, 80, 86
"""Offsets in the head of the event id, the date and hour, the minutes and seconds, and the milliseconds."""
ID_GROUPS = ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24))
"""Groups of an id's 32 hexadecimal digits: (from, to, offset in the id)."""
MINUTES = np.frombuffer(b"".join(b"%02d:%02d" % divmod(second, 60) for second in range(3600)), np.uint8).reshape(-1, 5)
MILLIS = np.frombuffer(b"".join(b"%03d" % milli for milli in range(1000)), np.uint8).reshape(-1, 3)
ENDS = pa.array([b"%d}}\n" % seconds for seconds in range(3601)], pa.binary())
"""Ends of lines, by the watched seconds."""


WHOLE = 1 << 25
"""Bytes of lines up to which a file is compressed as a whole."""
GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

ROW = np.dtype(
    [
        ("play", "i4"),
        ("id", "V16"),
        ("viewer", "i4"),
        ("episode", "i4"),
        ("language", "u1"),
        ("device", "u1"),
        ("received", "i4"),
        ("arrived", "i4"),
        ("seconds", "i2"),
    ]
)
"""A valid line on disk. Duplicates share their id. Times are milliseconds since the start of the hour.

``play`` is the number of the play in the hour. ``arrived`` is the time that gives the record's position in the
partition; it is later than ``received`` for a duplicate.
"""


@dataclass(frozen=True)
class Part:
    """One file of an hour: the records of one partition in one half of the hour."""

    partition: int
    half: int
    begin: int
    end: int
    """The file has the hour's rows from ``begin`` up to, not including, ``end``."""
    malformed: Ints
    """Rows of the hour that have a malformed line before them."""

    @property
    def lines(self) -> int:
        """Number of lines in the file, valid and malformed."""
        return self.end - self.begin + len(self.malformed)


def plays_in(plays: Plays, hour_start: int) -> Plays:
    """Return the plays that may have events in an hour."""
    over = plays.start + plays.seconds * 1000 + LONGEST_DELAY_MS
    return plays[(plays.start < hour_start + HOUR_MS) & (over >= hour_start)]


def make_rows(plays: Plays, hour_start: int) -> Array:
    """Make the events of plays that are received in an hour, one row each, in the order of plays; without ids."""
    first = np.clip((hour_start - plays.start - LONGEST_DELAY_MS) // MINUTE_MS - 1, 0, plays.events)
    last = np.clip((hour_start + HOUR_MS - plays.start) // MINUTE_MS + 1, 0, plays.events)
    counts = last - first
    play = np.repeat(np.arange(len(plays)), counts)
    minute = np.arange(len(play)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    start, watched = plays.start[play], plays.seconds[play]
    # A function of the play and the minute, not random: an event must be in the same hour whichever hour is being made.
    delay = 40 + (start + minute * 7919) % (LONGEST_DELAY_MS - 100)
    received = start - hour_start + np.minimum((minute + 1) * MINUTE_MS, watched * 1000) + delay
    here = (received >= 0) & (received < HOUR_MS)
    play = play[here]
    rows = np.zeros(len(play), ROW)
    rows["play"] = play
    rows["received"] = rows["arrived"] = received[here]
    rows["seconds"] = np.minimum(watched - minute * 60, 60)[here]
    for name in ("viewer", "episode", "language", "device"):
        rows[name] = getattr(plays, name)[play]
    return rows


class HourOfEvents:
    """The files of one hour. The layout and line counts are computed at once, the lines on demand.

    Its rows are in ``scratch``, by file and a slice of the file's time, so that only a slice is in memory. A busy hour
    has at most ``most`` events, and no daily lines.
    """

    def __init__(
        self,
        service: Service,
        plays: Iterable[Plays],
        hour_start: int,
        scratch: Scratch,
        *,
        most: int | None = None,
        spread: bool = False,
    ) -> None:
        self.service = service
        self.start = datetime.fromtimestamp(hour_start / 1000, UTC)
        self._seed = [service.settings.seed, hour_start // HOUR_MS]
        rng = self._rng(4)
        self.daily_line = DAILY.get(self.start.hour) if most is None else None
        rows = scratch.column(self._rows(plays, hour_start, most))
        self.events = rows.rows
        duplicates = _duplicates(rows, rng)
        self.duplicates = len(duplicates)
        self._slices = 1 + self.events // (CHUNK * service.settings.partitions)
        """Number of slices of each file."""
        self._edges = self._sort(itertools.chain(rows, [duplicates]), scratch, self._rng(6) if spread else None)
        self.malformed = self._malformed(rng)
        self.parts = self._parts()

    def _rng(self, purpose: int) -> np.random.Generator:
        seed, hour = self._seed
        return np.random.default_rng([seed, purpose, hour])

    def _rows(self, plays: Iterable[Plays], hour_start: int, most: int | None) -> Iterator[Array]:
        """Yield the rows of all plays, with ids, at most ``most``."""
        rng = self._rng(5)
        before = done = 0
        for some in plays:
            rows = make_rows(some, hour_start)
            rows = rows if most is None else rows[: most - done]
            rows["play"] += before
            before, done = before + len(some), done + len(rows)
            if len(rows):  # even no bytes would use up some randomness
                rows["id"] = np.frombuffer(rng.bytes(16 * len(rows)), "V16")
                yield rows

    def _sort(self, chunks: Iterable[Array], scratch: Scratch, spread: np.random.Generator | None) -> Ints:
        """Put rows into the columns of their slices; return the edges of the slices among all rows."""
        partitions, slices = self.service.settings.partitions, 2 * self._slices
        self._columns = [scratch.column() for _ in range(partitions * slices)]
        for rows in chunks:
            partition = self.service.viewers.partition[rows["viewer"]].astype(np.int64)
            if spread:
                partition = spread.integers(0, partitions, len(rows))
            place = partition * slices + rows["arrived"].astype(np.int64) * slices // HOUR_MS
            order = np.argsort(place, kind="stable")
            present, begins = np.unique(place[order], return_index=True)
            sorted_rows = rows[order]
            for number, begin, end in zip(
                present.tolist(), begins, [*begins[1:], len(rows)][: len(begins)], strict=True
            ):
                self._columns[number].append(sorted_rows[begin:end])
        return np.cumsum([0, *(column.rows for column in self._columns)])

    def _malformed(self, rng: np.random.Generator) -> Ints:
        """Draw the rows that get a malformed line before them."""
        rows = self.events + self.duplicates
        # At least one an hour, so that each kind occurs in a week even in a small service.
        lines = max(int(rng.binomial(rows, MALFORMED)), 1) + (self.daily_line is not None)
        return np.sort(rng.integers(0, rows, lines if rows else 0))

    def _parts(self) -> list[Part]:
        parts = []
        for number in range(2 * self.service.settings.partitions):
            low, high = self._edges[[number * self._slices, (number + 1) * self._slices]].tolist()
            if high > low:
                parts.append(Part(*divmod(number, 2), low, high, self._malformed_in(low, high)))
        return parts

    def _malformed_in(self, begin: int, end: int) -> Ints:
        return self.malformed[(self.malformed >= begin) & (self.malformed < end)]

    def file(self, part: Part) -> Iterator[bytes]:
        """Yield the bytes of a file: its compressed lines, always the same bytes; a small file at once."""
        return compressed(self.lines(part))

    def lines(self, part: Part) -> Iterator[bytes]:
        """Yield the lines of a file, many at a time."""
        first = (2 * part.partition + part.half) * self._slices
        for number in range(first, first + self._slices):
            rows = self._columns[number].whole()
            if len(rows):
                yield self._lines(rows[np.argsort(rows["arrived"], kind="stable")], int(self._edges[number]))

    def _lines(self, rows: Array, begin: int) -> bytes:
        _, one, play = np.unique(rows["play"], return_index=True, return_inverse=True)
        bodies = self._bodies(rows[one]).take(pa.array(play))
        ends = ENDS.take(pa.array(rows["seconds"]))
        lines = pc.binary_join_element_wise(self._heads(rows), bodies, ends, pa.scalar(b"", pa.binary()))
        _, offsets, data = lines.buffers()
        edges = np.frombuffer(offsets, np.int32)[: len(rows) + 1]
        return self._with_malformed(data.to_pybytes()[: edges[-1]], edges, begin)

    def _with_malformed(self, data: bytes, edges: npt.NDArray[np.int32], begin_row: int) -> bytes:
        first = int(np.searchsorted(self.malformed, begin_row))
        malformed = self._malformed_in(begin_row, begin_row + len(edges) - 1)
        pieces, done = [], 0
        for number, row in enumerate((malformed - begin_row).tolist(), first):
            begin, end = int(edges[row]), int(edges[row + 1])
            pieces += [data[done:begin], self._spoil(json.loads(data[begin:end]), number), b"\n"]
            done = begin
        return b"".join([*pieces, data[done:]]) if pieces else data

    def _spoil(self, record: Record, number: int) -> bytes:
        """Make a line malformed. The lines of an hour take the kinds in turn; the next hour starts one kind later."""
        if self.daily_line and number == 0:
            return self.daily_line(record)
        hours = int(self.start.timestamp()) // 3600
        ways = list(KINDS.values())
        return ways[(hours + number) % len(ways)](record)

    def _heads(self, rows: Array) -> pa.Array:
        heads = np.empty((len(rows), len(HEAD)), np.uint8)
        heads[:] = np.frombuffer(HEAD, np.uint8)
        digits = _ids(rows)
        for low, high, place in ID_GROUPS:
            heads[:, ID_AT + place : ID_AT + place + high - low] = digits[:, low:high]
        hour = f"{self.start:%Y-%m-%dT%H:}".encode()
        heads[:, HOUR_AT : HOUR_AT + len(hour)] = np.frombuffer(hour, np.uint8)
        heads[:, MINUTE_AT : MINUTE_AT + 5] = MINUTES[rows["received"] // 1000]
        heads[:, MILLI_AT : MILLI_AT + 3] = MILLIS[rows["received"] % 1000]
        edges = np.arange(len(heads) + 1, dtype=np.int32) * len(HEAD)
        return pa.Array.from_buffers(pa.binary(), len(heads), [None, pa.py_buffer(edges), pa.py_buffer(heads)])

    def _bodies(self, rows: Array) -> pa.Array:
        """Return the middle of lines: the whole event except the watched seconds."""
        viewers = self.service.viewers
        hour = self.service.hour_number(np.array([int(self.start.timestamp()) * 1000]))
        columns = zip(
            viewers.users[rows["viewer"]].tolist(),
            self.service.catalogue.episode_ids[rows["episode"]].tolist(),
            viewers.country[rows["viewer"]].tolist(),
            self.service.offsets[viewers.zone[rows["viewer"]], hour].tolist(),
            rows["language"].tolist(),
            rows["device"].tolist(),
            strict=True,
        )
        countries, devices = viewers.countries, list(DEVICES)
        return pa.array(
            [
                f'"event":{{"user_id":"u{user}","episode_id":{episode},"country":"{countries[country]}"'
                f',"utc_offset_minutes":{offset},"language":"{LANGUAGES[language]}","device":"{devices[device]}"'
                f',"watched_seconds":'
                for user, episode, country, offset, language, device in columns
            ],
            pa.binary(),
        )


def _ids(rows: Array) -> npt.NDArray[np.uint8]:
    """Return the ids of rows as UUIDs (version 4), in rows of 32 hexadecimal digits."""
    digits = np.frombuffer(np.ascontiguousarray(rows["id"]).tobytes().hex().encode(), np.uint8).reshape(-1, 32).copy()
    digits[:, 12] = ord("4")
    digits[:, 16] = np.frombuffer(b"89ab", np.uint8)[digits[:, 16] % 4]
    return digits


def _duplicates(rows: Column, rng: np.random.Generator) -> Array:
    """Draw duplicates: half of them the same line, half with a later ``received_at``."""
    numbers = np.sort(rng.integers(0, max(rows.rows, 1), int(rng.binomial(rows.rows, DUPLICATES))))
    chosen, begin = [np.empty(0, ROW)], 0
    for chunk in rows:
        low, high = np.searchsorted(numbers, [begin, begin + len(chunk)])
        chosen.append(chunk[numbers[low:high] - begin])
        begin += len(chunk)
    again = np.concatenate(chosen)
    arrived = again["received"] + rng.integers(1000, RESENT_WITHIN_MS, len(again))
    arrived = np.where(arrived < HOUR_MS, arrived, again["received"])
    again["received"] = np.where(rng.random(len(again)) < 0.5, arrived, again["received"])  # noqa: PLR2004 - half
    again["arrived"] = arrived
    return again


def compressed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Compress lines: a small file as a whole, a large one in the pieces in which its lines come."""
    lines, held, size = iter(lines), list[bytes](), 0
    for some in lines:
        held.append(some)
        size += len(some)
        if size > WHOLE:
            break
    else:
        yield igzip.compress(b"".join(held), 1, mtime=0)
        return
    stream = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    crc, size = 0, 0
    yield GZIP_HEAD
    for piece in itertools.chain(held, lines):
        crc, size = isal_zlib.crc32(piece, crc), size + len(piece)
        yield stream.compress(piece)
    yield stream.flush()
    yield struct.pack("<II", crc, size & 0xFFFFFFFF)
