"""Erases viewers from published hours: finds hours that hold some, and writes these again from the lake alone.

Viewer hours lose the viewers' rows. Rejects lose the lines that contain a user id of theirs. As user ids are not
stored, a line is taken apart: a user id is found if it is a text of JSON, or stands between blanks, quotes and
punctuation. A request that was made with user ids also lists the lines that contain one of them anywhere.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.rollup.key import keys_of
from jobs.rollup.viewer import Keys, viewer_of_bytes
from marquee.engine.base import Task
from marquee.errors import CorruptLakeError
from marquee.lake.datasets import REJECTS, VIEWER_HOUR
from marquee.lake.erased_rows import (
    Pseudonyms,
    are_among,
    erased_lines,
    erased_viewers,
    held_in,
    rewrite,
)
from marquee.lake.files import read_output, write_output
from marquee.lake.manifest import Output
from marquee.storage.base import Store
from marquee.storage.opening import StoreAddress

_TEXT = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SPLITS = (re.compile(rb"[\s\"',:{}\[\]]+"), re.compile(rb"[^A-Za-z0-9_.@-]+"), re.compile(rb"[^A-Za-z0-9_-]+"))
"""What user ids may stand between, from coarse to fine."""

LINE = b"rejected line\n"
"""Begins what is hashed of a whole line, so that it is no user id."""


@dataclass(frozen=True)
class Erased:
    """Requests whose viewers must not be in an hour, and the fingerprint of the keys of pseudonyms (``key.py``)."""

    requests: tuple[str, ...] = ()
    viewer_key: str = ""

    def viewers(self, lake: Store) -> Pseudonyms:
        """Return the viewers."""
        return erased_viewers(lake, self.requests, self.viewer_key)

    def left(self, lake: Store, rejects: pa.Table) -> pa.Table:
        """Return the rejected lines without those that contain an erased user id."""
        if not self.requests or not rejects.num_rows:
            return rejects
        holds = self.found(lake, rejects["raw"].to_pylist())
        return rejects.filter(pa.array(~holds)) if holds.any() else rejects

    def found(self, lake: Store, lines: Sequence[bytes]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return of each rejected line whether it contains an erased user id."""
        keys_of_viewers = keys_of(self.viewer_key)
        viewers, listed = self.viewers(lake), erased_lines(lake, self.requests, self.viewer_key)
        holds = are_among(np.array([line_of(keys_of_viewers, one) for one in lines], np.uint64), listed)
        for number, one in enumerate(lines):
            if not holds[number]:
                ids = np.array([viewer_of_bytes(keys_of_viewers, text) for text in candidates(one)], np.uint64)
                holds[number] = are_among(ids, viewers).any()
        return holds


NOT_ERASED = Erased()


def line_of(keys: Keys, line: bytes) -> int:
    """Return the pseudonym of a rejected line."""
    return viewer_of_bytes(keys, LINE + line)


def candidates(line: bytes) -> set[bytes]:
    """Return the parts of a line that may be user ids."""
    found = {part for split in _SPLITS for part in split.split(line)}
    for text in _TEXT.findall(line):
        found.add(text[1:-1])
        if b"\\" in text:
            found.update(_decoded(text))
    found.discard(b"")
    return found


def _decoded(text: bytes) -> Iterator[bytes]:
    try:
        yield json.loads(text).encode()
    except ValueError:
        return


def lines_with(users: Iterable[str], lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines that contain a user id anywhere, as it is or as JSON writes it."""
    wanted = {one for user in users for one in (user.encode(), json.dumps(user)[1:-1].encode()) if one}
    lengths = sorted({len(one) for one in wanted})
    return [one for one in lines if _holds(one, wanted, lengths)]


def _holds(line: bytes, wanted: set[bytes], lengths: Sequence[int]) -> bool:
    # The number of user ids does not matter, only how many lengths they have.
    return any(line[at : at + length] in wanted for length in lengths for at in range(len(line) - length + 1))


@dataclass(frozen=True)
class SearchUnit:
    """Objects of some hours to search: of each hour its number of buckets and its outputs."""

    lake: StoreAddress
    hours: tuple[tuple[int, tuple[Output, ...]], ...]
    erased: Erased


def search(unit: SearchUnit, task: Task) -> list[bool]:  # noqa: ARG001 - as all kernels
    """Return of each hour whether it holds an erased viewer, or cannot be read."""
    lake = unit.lake.open()
    return [any(_holds_erased(lake, one, buckets, unit.erased) for one in outputs) for buckets, outputs in unit.hours]


def _holds_erased(lake: Store, output: Output, buckets: int, erased: Erased) -> bool:
    try:
        if output.dataset == REJECTS.name:
            return bool(erased.found(lake, read_output(lake, output, ["raw"])["raw"].to_pylist()).any())
        return output.dataset == VIEWER_HOUR.name and len(held_in(lake, output, buckets, erased.viewers(lake))) > 0
    except CorruptLakeError:  # the run of the hour says so
        return True


@dataclass(frozen=True)
class RewriteUnit:
    """An object of an hour to write again without erased viewers, under the prefix of a run."""

    lake: StoreAddress
    prefix: str
    output: Output
    buckets: int
    erased: Erased


@dataclass(frozen=True)
class Rewritten:
    """What an hour lists in place of an object, and the number of viewers and of rejected lines that it lost."""

    output: Output | None
    viewers: int = 0
    lines: int = 0


def rewrite_object(unit: RewriteUnit, task: Task) -> Rewritten:  # noqa: ARG001 - as all kernels
    """Write an object again without erased viewers; objects without viewers stay as they are."""
    lake = unit.lake.open()
    if unit.output.dataset == VIEWER_HOUR.name:
        viewers = unit.erased.viewers(lake)
        output, removed = rewrite(lake, unit.prefix, VIEWER_HOUR, unit.output, unit.buckets, viewers)
        return Rewritten(output, viewers=len(removed["viewer"].unique()))
    if unit.output.dataset != REJECTS.name:
        return Rewritten(unit.output)
    rows = read_output(lake, unit.output)
    left = unit.erased.left(lake, rows)
    lost = rows.num_rows - left.num_rows
    if not lost:
        return Rewritten(unit.output)
    return Rewritten(write_output(lake, unit.prefix, REJECTS, left) if left.num_rows else None, lines=lost)
