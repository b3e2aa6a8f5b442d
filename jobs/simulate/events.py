"""Converts plays to the files of one hour, in the format of the Kafka Connect S3 sink.

A play has one event for each minute, received at the end of the minute. An event goes to the Kafka partition of its
viewer. Each partition has two files an hour, one for the records of each half. Some events have duplicates, in the same
file or the other one, and some lines are malformed. The random choices depend only on the seed and the hour.

Lines are built as Arrow columns, not Python strings: over half a million lines a second on one core, with compression.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip

from jobs.simulate.malformed import DAILY, KINDS, Record
from jobs.simulate.plays import Plays
from jobs.simulate.service import HOUR_MS, MINUTE_MS, Service
from jobs.simulate.viewers import DEVICES, LANGUAGES, Ints

DUPLICATES, MALFORMED = 0.002, 0.0005
"""Shares of lines."""
LONGEST_DELAY_MS = 2_000
"""Maximum delay from the end of a watched minute to the receipt of its event."""
RESENT_WITHIN_MS = 20 * MINUTE_MS
HALF_HOUR_MS = HOUR_MS // 2
STRIDE = 2 * HOUR_MS
"""Distance between the sort keys of adjacent partitions."""

HEAD = b'{"event_id":"00000000-0000-4000-8000-000000000000","received_at":"2026-01-05T13:02:11.123Z",'
ID_AT, HOUR_AT, MINUTE_AT, MILLI_AT = 13, 66, 80, 86
"""Offsets in the head of the event id, the date and hour, the minutes and seconds, and the milliseconds."""
ID_GROUPS = ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24))
"""Groups of an id's 32 hexadecimal digits: (from, to, offset in the id)."""
MINUTES = np.frombuffer(b"".join(b"%02d:%02d" % divmod(second, 60) for second in range(3600)), np.uint8).reshape(-1, 5)
MILLIS = np.frombuffer(b"".join(b"%03d" % milli for milli in range(1000)), np.uint8).reshape(-1, 3)
ENDS = pa.array([b"%d}}\n" % seconds for seconds in range(3601)], pa.binary())
"""Ends of lines, by the watched seconds."""


@dataclass(frozen=True)
class Rows:
    """Columns of equal length, with one row for each valid line. Times are milliseconds since the start of the hour."""

    play: Ints
    number: Ints
    """Number of the event in the hour; duplicates share it."""
    received: Ints
    arrived: Ints
    """Time that gives the record's position in the partition; later than ``received`` for a duplicate."""
    seconds: Ints

    def __getitem__(self, rows: slice | Ints) -> "Rows":
        return Rows(self.play[rows], self.number[rows], self.received[rows], self.arrived[rows], self.seconds[rows])


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


def make_rows(plays: Plays, hour_start: int) -> Rows:
    """Make the events of plays that are received in an hour, one row each, in the order of plays."""
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
    received = received[here]
    seconds = np.minimum(watched - minute * 60, 60)[here]
    return Rows(play[here], np.arange(len(received)), received, received, seconds)


class HourOfEvents:
    """The files of one hour. The layout and line counts are computed at once, the lines on demand."""

    def __init__(
        self, service: Service, plays: Plays, rows: Rows, hour_start: int, *, daily_lines: bool = True
    ) -> None:
        self.service = service
        self.plays = plays
        self.start = datetime.fromtimestamp(hour_start / 1000, UTC)
        rng = np.random.default_rng([service.settings.seed, 4, hour_start // HOUR_MS])
        self.events = len(rows.play)
        self.daily_line = DAILY.get(self.start.hour) if daily_lines else None
        rows = _with_duplicates(rows, rng)
        self.duplicates = len(rows.play) - self.events
        at = service.viewers.partition[plays.viewer[rows.play]] * STRIDE + rows.arrived
        order = np.argsort(at, kind="stable")
        self.rows = rows[order]
        self.malformed = self._malformed(rng)
        self.parts = self._parts(at[order])

    def _malformed(self, rng: np.random.Generator) -> Ints:
        """Draw the rows that get a malformed line before them."""
        rows = len(self.rows.play)
        # At least one an hour, so that each kind occurs in a week even in a small service.
        lines = max(int(rng.binomial(rows, MALFORMED)), 1) + (self.daily_line is not None)
        return np.sort(rng.integers(0, rows, lines if rows else 0))

    def _parts(self, at: Ints) -> list[Part]:
        parts = []
        for partition in range(self.service.settings.partitions):
            edges = partition * STRIDE + np.array([0, HALF_HOUR_MS, HOUR_MS])
            begin, middle, end = np.searchsorted(at, edges).tolist()
            for half, (low, high) in enumerate(((begin, middle), (middle, end))):
                malformed = self.malformed[(self.malformed >= low) & (self.malformed < high)]
                if high > low:
                    parts.append(Part(partition, half, low, high, malformed))
        return parts

    def file(self, part: Part) -> bytes:
        """Return the bytes of a file: its compressed lines, always the same bytes."""
        compressed: bytes = igzip.compress(self.lines(part), 1, mtime=0)
        return compressed

    def lines(self, part: Part) -> bytes:
        """Return the lines of a file."""
        rows = self.rows[part.begin : part.end]
        heads = self._heads(rows)
        bodies = self._bodies.take(pa.array(rows.play))
        lines = pc.binary_join_element_wise(
            heads, bodies, ENDS.take(pa.array(rows.seconds)), pa.scalar(b"", pa.binary())
        )
        _, offsets, data = lines.buffers()
        edges = np.frombuffer(offsets, np.int32)[: len(rows.play) + 1]
        return self._with_malformed(data.to_pybytes()[: edges[-1]], edges, part)

    def _with_malformed(self, data: bytes, edges: npt.NDArray[np.int32], part: Part) -> bytes:
        first = int(np.searchsorted(self.malformed, part.begin))
        pieces, done = [], 0
        for number, row in enumerate((part.malformed - part.begin).tolist(), first):
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

    def _heads(self, rows: Rows) -> pa.Array:
        heads = np.empty((len(rows.play), len(HEAD)), np.uint8)
        heads[:] = np.frombuffer(HEAD, np.uint8)
        digits = self._ids[rows.number]
        for low, high, place in ID_GROUPS:
            heads[:, ID_AT + place : ID_AT + place + high - low] = digits[:, low:high]
        hour = f"{self.start:%Y-%m-%dT%H:}".encode()
        heads[:, HOUR_AT : HOUR_AT + len(hour)] = np.frombuffer(hour, np.uint8)
        heads[:, MINUTE_AT : MINUTE_AT + 5] = MINUTES[rows.received // 1000]
        heads[:, MILLI_AT : MILLI_AT + 3] = MILLIS[rows.received % 1000]
        edges = np.arange(len(heads) + 1, dtype=np.int32) * len(HEAD)
        return pa.Array.from_buffers(pa.binary(), len(heads), [None, pa.py_buffer(edges), pa.py_buffer(heads)])

    @cached_property
    def _ids(self) -> npt.NDArray[np.uint8]:
        """Random UUIDs (version 4) of the hour's events, in rows of 32 hexadecimal digits."""
        rng = np.random.default_rng([self.service.settings.seed, 5, int(self.start.timestamp()) // 3600])
        digits = np.frombuffer(rng.bytes(16 * self.events).hex().encode(), np.uint8).reshape(-1, 32).copy()
        digits[:, 12] = ord("4")
        digits[:, 16] = np.frombuffer(b"89ab", np.uint8)[digits[:, 16] % 4]
        return digits

    @cached_property
    def _bodies(self) -> pa.Array:
        """Middle of the lines, by play: the whole event except the watched seconds."""
        plays, viewers = self.plays, self.service.viewers
        hour = self.service.hour_number(np.array([int(self.start.timestamp()) * 1000]))
        columns = zip(
            plays.viewer.tolist(),
            self.service.catalogue.episode_ids[plays.episode].tolist(),
            viewers.country[plays.viewer].tolist(),
            self.service.offsets[viewers.zone[plays.viewer], hour].tolist(),
            plays.language.tolist(),
            plays.device.tolist(),
            strict=True,
        )
        users, countries, devices = viewers.user_ids, viewers.countries, list(DEVICES)
        return pa.array(
            [
                f'"event":{{"user_id":"{users[viewer]}","episode_id":{episode},"country":"{countries[country]}"'
                f',"utc_offset_minutes":{offset},"language":"{LANGUAGES[language]}","device":"{devices[device]}"'
                f',"watched_seconds":'
                for viewer, episode, country, offset, language, device in columns
            ],
            pa.binary(),
        )


def _with_duplicates(rows: Rows, rng: np.random.Generator) -> Rows:
    """Add duplicates: half of them the same line, half with a later ``received_at``."""
    count = len(rows.play)
    again = rows[np.sort(rng.integers(0, max(count, 1), int(rng.binomial(count, DUPLICATES))))]
    arrived = again.received + rng.integers(1000, RESENT_WITHIN_MS, len(again.play))
    arrived = np.where(arrived < HOUR_MS, arrived, again.received)
    received = np.where(rng.random(len(arrived)) < 0.5, arrived, again.received)  # noqa: PLR2004 - half
    return Rows(
        np.concatenate([rows.play, again.play]),
        np.concatenate([rows.number, again.number]),
        np.concatenate([rows.received, received]),
        np.concatenate([rows.arrived, arrived]),
        np.concatenate([rows.seconds, again.seconds]),
    )
