"""The rejected lines of a unit of work: all are counted by reason, and the first ones are kept.

Of a run of blank lines, only the first is kept. The order in which units are read has no effect: an hour keeps the
first lines by key and number, up to KEPT_LINES lines and about KEPT_BYTES bytes.

An event in a line of several counts as a line, and shifts the numbers of the lines after it. So the number of an event
is its place among the events of its object.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.rollup import blocks
from jobs.rollup.blocks import Block, Numbers
from jobs.rollup.contract import Reason
from jobs.rollup.several import BOM
from marquee.errors import BadInputError, in_words
from marquee.lake.datasets import REJECTS

KEPT_LINES = 10_000
KEPT_BYTES = 16 << 20

MANY = 1000
MOST_SINGLE = 4 * KEPT_LINES

READS = pa.schema([("key", pa.string()), ("reason", pa.string()), ("lines", pa.int64())])
"""Lines of an object by reject reason; the reason ACCEPTED is none."""

ACCEPTED = ""

Batch = list[tuple[str, Block]]
"""Blocks of lines with the keys of their objects. One query parses a batch; ``row`` numbers its lines from 0."""


@dataclass
class Refused:
    """The lines of a batch that are no events: the rows of each reason, and single ones with their text.

    ``single`` has (row, place in the line of several events, reason, text); ``counted`` the number of further ones by
    reason and row; ``extra`` the number of events beyond one in the lines that have several, by row.
    """

    rows: list[tuple[Reason, Numbers]] = field(default_factory=list)
    single: list[tuple[int, int, Reason, bytes]] = field(default_factory=list)
    counted: Counter[tuple[Reason, int]] = field(default_factory=Counter)
    extra: dict[int, int] = field(default_factory=dict)

    def add(self, row: int, place: int, reason: Reason, text: str) -> None:
        """Add a single line."""
        raw = text[: blocks.KEPT_BYTES].removeprefix(BOM).rstrip("\n").encode()[: blocks.KEPT_BYTES]
        self.single.append((row, place, reason, raw))
        if len(self.single) > MOST_SINGLE:
            self.single.sort(key=lambda one: one[:2])
            self.counted.update((reason, row) for row, _, reason, _ in self.single[KEPT_LINES + MANY :])
            del self.single[KEPT_LINES + MANY :]

    @property
    def total(self) -> int:
        """The number of lines."""
        return len(self.single) + self.counted.total() + sum(len(rows) for _, rows in self.rows)

    def add_pieces(self, pieces: "Refused", places: Sequence[tuple[int, int, str]]) -> None:
        """Add the refused ones of events that were taken from lines: (row, place, text)."""
        for index, _, reason, _ in pieces.single:
            self.add(*places[index][:2], reason, places[index][2])
        for (reason, index), count in pieces.counted.items():
            self.counted[reason, places[index][0]] += count
        for reason, rows in pieces.rows:
            for index in rows[: KEPT_LINES + MANY].tolist():
                row, place, text = places[index]
                self.add(row, place, reason, text)
            self.counted.update((reason, places[index][0]) for index in rows[KEPT_LINES + MANY :].tolist())

    def counts(self, block: Block) -> Counter[str]:
        """Return the rejected lines of a block by reason, if these are the block's."""
        found = Counter(reason.value for _, _, reason, _ in self.single)
        found.update(one.reason.value for one in block.unreadable)
        for reason, rows in self.rows:
            found[reason.value] += len(rows)
        for (reason, _), count in self.counted.items():
            found[reason.value] += count
        if len(block.empty):
            found[Reason.BLANK.value] += len(block.empty)
        return found


NOTHING = Refused()


@dataclass
class RejectLog:
    """Counts the lines of a unit and those that are rejected; ``most`` is how many rejects a unit may have."""

    most: float
    counts: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    careful: bool = False
    """Whether the last batch had many lines that are not JSON."""
    _kept: int = 0
    _bytes: int = 0
    _shifted: tuple[str, int] = ("", 0)
    _blank: tuple[str, int] = ("", -1)

    def add(self, batch: Batch, lines: pa.Table, refused: Refused) -> tuple[pa.Table, pa.Table]:
        """Count a batch; return its rejected lines that are kept (REJECTS), and its counts (READS).

        Raises:
            BadInputError: there are so many rejects that the hour fails, whatever its other lines are.
        """
        parts = _by_block(batch, refused)
        read: dict[str, Counter[str]] = defaultdict(Counter)
        for index, (key, block) in enumerate(batch):
            part = parts.get(index, NOTHING)
            counts = part.counts(block)
            read[key] += counts
            read[key][ACCEPTED] += block.count + sum(part.extra.values()) - counts.total()
            self.counts += counts
        not_json = sum(one[Reason.NOT_JSON.value] + one[Reason.BLANK.value] for one in read.values())
        self.careful = not_json >= MANY
        self.lines += sum(one.total() for one in read.values())
        self.check()
        kept = pa.Table.from_pylist(list(self._keep(self._in_order(batch, lines, parts))), REJECTS.schema)
        rows = [(key, reason, n) for key, counts in read.items() for reason, n in counts.items()]
        return kept, pa.Table.from_pylist([dict(zip(READS.names, row, strict=True)) for row in rows], READS)

    def check(self, more: int = 0) -> None:
        """Raise BadInputError if there are too many rejects; ``more`` are those of the batch that is being read."""
        if self.counts.total() + more <= self.most:
            return
        also = f" and {more} after them" if more else ""
        message = (
            f"{self.counts.total()} of the first {self.lines} lines were rejected ({in_words(self.counts)}){also}. "
            "That is more than the hour may reject, whatever its other lines are, so they were not read. Nothing was "
            "published. Fix the producer or the sink, or raise MARQUEE_ROLLUP__REJECT_SHARE"
        )
        raise BadInputError(message)

    @property
    def _room(self) -> int:
        return 0 if self._bytes >= KEPT_BYTES else max(0, KEPT_LINES - self._kept)

    def _keep(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for one in rows:
            if self._room:
                self._kept += 1
                self._bytes += len(one["raw"])
                yield one

    def _in_order(self, batch: Batch, lines: pa.Table, parts: Mapping[int, Refused]) -> Iterator[dict[str, Any]]:
        """Yield the rejected lines of a batch that may be kept, in order."""
        first = 0
        for index, (key, block) in enumerate(batch):
            part = parts.get(index)
            if part or block.unreadable or len(block.empty):
                own = lines.slice(first, block.lines.num_rows)
                yield from self._of_block(key, block, own, part or Refused())
            first += block.lines.num_rows

    def _of_block(self, key: str, block: Block, lines: pa.Table, refused: Refused) -> Iterator[dict[str, Any]]:
        numbers = lines["n"].to_numpy()
        found = [(one.n, 0, one.reason, one.raw) for one in block.unreadable if self._room]
        of_blanks = [rows for reason, rows in refused.rows if reason is Reason.BLANK]
        of_blanks.append(np.array([row for row, _, reason, _ in refused.single if reason is Reason.BLANK], np.int64))
        blank = np.sort(np.concatenate([block.empty, *(numbers[rows] for rows in of_blanks)]))
        firsts = set(self._first_of_runs(key, blank)[: self._room].tolist())
        found += [(n, 0, Reason.BLANK, b"") for n in firsts.intersection(block.empty.tolist())]
        for reason, rows in refused.rows:
            some = rows[np.isin(numbers[rows], list(firsts))] if reason is Reason.BLANK else rows[: self._room]
            texts = lines["text"].take(pa.array(some)).to_pylist()
            found += [
                (int(numbers[row]), 0, reason, text.encode().rstrip(b"\n")[: blocks.KEPT_BYTES])
                for row, text in zip(some, texts, strict=True)
            ]
        found += [
            (int(numbers[row]), place, reason, raw)
            for row, place, reason, raw in refused.single
            if reason is not Reason.BLANK or int(numbers[row]) in firsts
        ]
        shift = self._shift(key, {int(numbers[row]): extra for row, extra in refused.extra.items()})
        for n, place, reason, raw in sorted(found):
            yield {"key": key, "line": n + place + shift(n), "reason": reason.value, "raw": raw}

    def _first_of_runs(self, key: str, blank: Numbers) -> Numbers:
        """Return the first of each run of blank lines; a run may have begun in the block before."""
        before = self._blank[1] if self._blank[0] == key else -1
        if len(blank):
            self._blank = key, int(blank[-1])
        firsts: Numbers = blank[np.diff(blank, prepend=before) != 1]
        return firsts

    def _shift(self, key: str, extra: dict[int, int]) -> Any:  # noqa: ANN401 - a function
        """Return by how much the number of a line shifts, because lines before it have several events."""
        base = self._shifted[1] if self._shifted[0] == key else 0
        at = np.array(sorted(extra), np.int64)
        sums = np.cumsum([base, *(extra[int(one)] for one in at)])
        self._shifted = key, int(sums[-1])
        return lambda n: int(sums[np.searchsorted(at, n, side="left")])


def _by_block(batch: Batch, refused: Refused) -> dict[int, Refused]:
    """Return the refused lines by block, with rows that count from the start of the block."""
    starts = np.cumsum([0, *(block.lines.num_rows for _, block in batch)])
    parts: dict[int, Refused] = defaultdict(Refused)
    for reason, rows in refused.rows:
        bounds = np.searchsorted(rows, starts)
        for index in np.flatnonzero(np.diff(bounds)):
            parts[int(index)].rows.append((reason, rows[bounds[index] : bounds[index + 1]] - starts[index]))
    for row, place, reason, raw in refused.single:
        at = int(np.searchsorted(starts, row, side="right")) - 1
        parts[at].single.append((row - int(starts[at]), place, reason, raw))
    for (reason, row), count in refused.counted.items():
        at = int(np.searchsorted(starts, row, side="right")) - 1
        parts[at].counted[reason, row - int(starts[at])] = count
    for row, extra in refused.extra.items():
        at = int(np.searchsorted(starts, row, side="right")) - 1
        parts[at].extra[row - int(starts[at])] = extra
    return parts


def keep_first(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the lines that an hour keeps of several tables, in order; the order of the tables has no effect."""
    kept = REJECTS.schema.empty_table()
    for table in tables:
        kept = pa.concat_tables([kept, table]).sort_by([(name, "ascending") for name in REJECTS.sort])
        sizes = [len(raw) for raw in kept["raw"].to_pylist()]
        before = np.cumsum([0, *sizes])[:-1]
        kept = kept.slice(0, min(KEPT_LINES, int(np.searchsorted(before, KEPT_BYTES)))).combine_chunks()
    return kept
