"""Completeness by Kafka offsets: which records of a topic are lost, as far as the names of the sink's files prove it.

The sink names a file ``<topic>+<Kafka partition>+<offset of its first record>.<ending>``, with at least ten digits for
the offset. ``offsets_of`` counts the records of an hour's files by topic and partition, for the hour's marker:

    {"plays+0": {"first": 1000, "last": 1999, "records": 1000, "ranges": [[1000, 1999, 4]]}}

A range is [first offset, last offset, files] of files that follow each other exactly. ``last`` assumes that a file has
no holes. ``find_breaks`` puts the ranges of many hours in the order of their offsets, and compares numbers of records.
A file has no record below its first offset. So the files that begin before an offset have at least as many records as
there are offsets before it, also where the files of adjacent hours interleave. If they have fewer, records are missing:
a *gap*. Two files of one hour and partition are never open at the same time, and the sink closes all files of a
partition together. So the files up to the first of them have at most as many records as there are offsets before the
second. If they have more, records are double: an *overlap*.

Not every missing offset is a lost record. The sink writes no tombstones; transactions put control records between the
events; compaction removes records anywhere; a dead letter queue takes single records. All of these make holes *within*
files, and in many of them, whereas a raw store loses *whole files*. So a gap is reported only

* if more than one record is missing, and at least three quarters (``FILE``) of what a file beside the gap has; of the
  larger file beside it where files interleave, or fewer than ``FEW`` records are missing;
* if the offsets of this partition otherwise follow each other. Of ``NEAR`` ranges in each direction, at least one file
  follows another exactly, at least as many do as there are gaps of this size and overlaps, and ``RAGGED`` times as many
  as there are smaller holes. Of the ``NEXT`` ranges on each side, no fewer do than there are such gaps;
* if the records can be in no other hour: between the hours of the two files, and one hour around them, none is failed,
  stale, pending, without counted offsets, or has held files.

An overlap is reported under the second condition. In an hour whose offsets begin again at or below those of an earlier
hour, the topic was created again, or another producer uses such names: the hours on both sides are not compared.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from marquee.calendar import Period

NAME = re.compile(r"(?P<log>[A-Za-z0-9._-]{1,249}\+\d{1,9})\+(?P<offset>\d{10,18})\.[^/]*", re.ASCII)
NEAR, NEXT = 20, 3
RAGGED = 20
FILE = 0.75
FEW = 10

Ranges = Mapping[str, Sequence[tuple[int, int, int]]]
"""The ranges of an hour by topic and partition: (first offset, last offset, files), in order."""


def name_offsets(keys: Iterable[str]) -> bool:
    """Return whether the name of a file carries an offset."""
    return any(NAME.fullmatch(key.rpartition("/")[2]) for key in keys)


def offsets_of(lines: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return the offsets of an hour by topic and partition, in the form of the marker; ``lines`` are records by key."""
    files: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for key, records in lines.items():
        if match := NAME.fullmatch(key.rpartition("/")[2]):
            files[match["log"]].append((int(match["offset"]), records))
    return {log: _summarise(sorted(own)) for log, own in sorted(files.items())}


def _summarise(files: Sequence[tuple[int, int]]) -> dict[str, Any]:
    ranges: list[list[int]] = []
    for first, records in files:
        if ranges and ranges[-1][1] + 1 == first:
            ranges[-1][1] += records
            ranges[-1][2] += 1
        else:
            ranges.append([first, first + records - 1, 1])
    return {
        "first": files[0][0],
        "last": max(last for _, last, _ in ranges),
        "records": sum(records for _, records in files),
        "ranges": ranges,
    }


def split_log(log: str) -> tuple[str, str]:
    """Return the topic and the Kafka partition of ``plays+0``."""
    topic, _, partition = log.rpartition("+")
    return topic, partition


def ranges_in(counts: Mapping[str, Any]) -> Ranges | None:
    """Return the ranges in a marker's counts; None if it has none, or not in this form."""
    try:
        found = {
            str(log): [(int(first), int(last), int(files)) for first, last, files in one["ranges"]]
            for log, one in counts["offsets"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    ordered = all(0 <= first <= last + 1 and files > 0 for one in found.values() for first, last, files in one)
    return found if ordered else None


@dataclass(frozen=True)
class Break:
    """A gap or an overlap before a file of an hour.

    Attributes:
        log: topic and partition, as in ``plays+0``.
        hour: the hour of the file after it.
        gap: whether records are missing; otherwise they are double.
        first: first offset of these records.
        last: their last offset. Where files interleave, some records between the two are in place.
        records: the number of missing or double records.
    """

    log: str
    hour: Period
    gap: bool
    first: int
    last: int
    records: int

    def __str__(self) -> str:
        topic, partition = split_log(self.log)
        noun, verb = ("record", "is") if self.records == 1 else ("records", "are")
        what = "missing" if self.gap else "in two files"
        return f"{self.records} {noun} of {topic}, partition {partition}, {verb} {what}: {self._where}"

    @property
    def _where(self) -> str:
        if self.first == self.last:
            return f"offset {self.first}"
        within = "" if self.last - self.first + 1 == self.records else "among "
        return f"{within}offsets {self.first} to {self.last}"


@dataclass(frozen=True)
class _Range:
    hour: Period
    first: int
    records: int
    files: int


@dataclass(frozen=True)
class _Joint:
    """The place between two ranges in the order of offsets: records missing (above 0), double (below 0), or neither.

    ``at`` is the range with the double records, or the one after the missing records; ``first`` their first offset.
    """

    before: _Range
    after: _Range
    at: _Range
    first: int
    missing: int = 0
    exact: bool = False

    @property
    def is_large(self) -> bool:
        """Whether a file may be missing here."""
        sizes = [one.records / one.files for one in (self.before, self.after)]
        # Where files interleave, small holes of several files add up; and a few records may be no events in a row.
        interleaved = self.first + self.missing < self.after.first
        size = max(sizes) if interleaved or self.missing < FEW else min(sizes)
        return self.missing > 1 and self.missing >= size * FILE

    @property
    def is_ragged(self) -> bool:
        """Whether a smaller hole is here."""
        return self.missing > 0 and not self.is_large


def find_breaks(hours: Mapping[Period, Ranges], is_open: Callable[[Period], bool]) -> list[Break]:
    """Return the provable gaps and overlaps between the files of published hours, by partition and offset.

    ``is_open`` returns whether missing records may still be found in an hour.
    """
    logs = sorted({log for ranges in hours.values() for log in ranges})
    return [
        found
        for log in logs
        for ranges in _split({hour: one[log] for hour, one in sorted(hours.items()) if one.get(log)})
        for found in _breaks(log, ranges, is_open)
    ]


def _split(hours: Mapping[Period, Sequence[tuple[int, int, int]]]) -> Iterator[list[_Range]]:
    """Yield the ranges of consecutive hours, split at hours whose offsets begin again; these are left out."""
    found: list[_Range] = []
    lowest = -1
    for hour, ranges in hours.items():
        if ranges[0][0] <= lowest:
            yield found
            found = []
        else:
            found += [_Range(hour, first, last - first + 1, files) for first, last, files in ranges]
        lowest = ranges[0][0]
    yield found


def _breaks(log: str, ranges: Iterable[_Range], is_open: Callable[[Period], bool]) -> Iterator[Break]:
    joints = list(_joints(sorted(ranges, key=lambda one: (one.first, one.hour))))
    for number, one in enumerate(joints):
        if not one.missing or one.is_ragged or not _is_dense(joints, number):
            continue
        records = abs(one.missing)
        if one.missing < 0:
            yield Break(log, one.at.hour, gap=False, first=one.first, last=one.first + records - 1, records=records)
        elif not _may_be_elsewhere(one, is_open):
            yield Break(log, one.at.hour, gap=True, first=one.first, last=one.after.first - 1, records=records)


def _joints(ranges: Sequence[_Range]) -> Iterator[_Joint]:
    """Yield the joints of a partition's ranges, which are in the order of offsets."""
    if not ranges:
        return
    reached = ranges[0].first + ranges[0].records  # the offset after all records so far, if they have no holes
    double = 0
    ends = {ranges[0].hour: reached}  # ``reached + double`` after the last range of each hour
    ahead: tuple[int, _Range] | None = None  # since when there are more records than offsets: where files interleave
    for before, after in pairwise(ranges):
        committed = ends.get(after.hour, 0) - double if after.files == 1 else reached
        if (overlap := committed - after.first) > 0:
            _, at = ahead or (0, after)
            yield _Joint(before, after, at, at.first, missing=-overlap)
            double, reached, ahead = double + overlap, reached - overlap, None
        elif reached < after.first:
            yield _Joint(before, after, after, ahead[0] if ahead else reached, missing=after.first - reached)
            reached, ahead = after.first, None
        else:
            exact = reached == after.first
            yield _Joint(before, after, after, after.first, exact=exact)
            ahead = None if exact else ahead or (before.first + 1, after)
        reached += after.records
        ends[after.hour] = reached + double


def _is_dense(joints: Sequence[_Joint], number: int) -> bool:
    """Return whether offsets follow each other around a joint, as in a topic without holes."""
    exact, broken, ragged = _count(joints, number - NEAR, number + NEAR + 1)
    sides = (_count(joints, number - NEXT, number), _count(joints, number + 1, number + 1 + NEXT))
    return exact >= broken and exact >= ragged * RAGGED and all(side[0] >= side[1] for side in sides)


def _count(joints: Sequence[_Joint], first: int, end: int) -> tuple[int, int, int]:
    """Return how many files of some joints follow another exactly, and the numbers of breaks and of smaller holes."""
    near = joints[max(first, 0) : end]
    within = [near[0].before, *(one.after for one in near)] if near else []
    exact = sum(one.exact for one in near) + sum(min(one.files - 1, NEAR) for one in within)
    return exact, sum(one.is_large or one.missing < 0 for one in near), sum(one.is_ragged for one in near)


def _may_be_elsewhere(joint: _Joint, is_open: Callable[[Period], bool]) -> bool:
    first, last = sorted((joint.before.hour, joint.after.hour))
    return any(map(is_open, first.previous().until(last.next().end)))
