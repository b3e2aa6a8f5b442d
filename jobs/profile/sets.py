"""Sets of shows of a period, exact over all viewers: the order to remove or to keep shows, and overlaps of audiences.

The driver computes them from the pairs of show and viewer in show_viewer, which it reads bucket by bucket. A pair takes
4 bytes, and 4 more while the buckets are put together; a viewer takes 20. So a million viewers of ten shows each take
100 MB.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.profile.arrays import Groups, split, starts_of
from marquee.lake.captured_schedule import Catalogue
from marquee.lake.datasets import (
    AUDIENCE,
    KEEP,
    OVERLAP,
    REMOVE,
    SHOW_ORDER,
    SHOW_VIEWER,
    UNCLASSIFIED,
    UNKNOWN_SHOW,
    WORLDWIDE,
)
from marquee.lake.files import read_output, write_output
from marquee.lake.manifest import Output
from marquee.sql import Values
from marquee.storage.base import Store

REMOVED, KEPT, OVERLAPPING = 200, 100, 300
"""Steps of the orders to remove and to keep; number of shows, by reach, whose overlaps are counted."""
ROWS_AT_ONCE = 1 << 16
"""Rows of show_viewer, about, that are grouped at a time."""
VIEWERS_AT_ONCE = 1 << 20
"""Viewers, a multiple of 64, whose shows are compared at a time. It bounds the memory of overlaps to some 100 MB."""
COLUMNS = ("show_id", "viewer_number", "watched_seconds", "viewer_seconds")
"""The columns of show_viewer that sets come from."""
NEVER = 1 << 30
"""Number of shows left of a viewer who cannot be lost."""

Numbers = npt.NDArray[np.int64]
Viewers = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Show:
    """A show's figures worldwide."""

    show_id: int
    watched_seconds: int
    reach: int
    sole_viewers: int


def count_sets(
    store: Store, prefix: str, outputs: Sequence[Output], catalogue: Catalogue, values: Values
) -> list[Output]:
    """Write the orders and overlaps of a period's shows, from its audience and show_viewer in ``outputs``."""
    written = {dataset: [one for one in outputs if one.dataset == dataset.name] for dataset in (AUDIENCE, SHOW_VIEWER)}
    audience = pa.concat_tables(read_output(store, one) for one in written[AUDIENCE])
    worldwide = audience.filter(pc.equal(audience["country"], WORLDWIDE)).sort_by("show_id")
    shows = [
        Show(row["show_id"], row["watched_seconds"], row["reach"], row["sole_viewers"])
        for row in worldwide.select(["show_id", "watched_seconds", "reach", "sole_viewers"]).to_pylist()
        if row["show_id"] != UNKNOWN_SHOW
    ]
    genres: dict[int, list[str]] = {}
    for row in catalogue.genres.to_pylist():
        if row["genre"] != UNCLASSIFIED:
            genres.setdefault(row["show_id"], []).append(row["genre"])
    buckets = (read_output(store, one, COLUMNS) for one in written[SHOW_VIEWER])
    watchers = Watchers(shows, buckets, values["reach_seconds"])
    tables = {SHOW_ORDER: order_shows(watchers, values["order_reach"]), OVERLAP: overlaps(watchers, genres)}
    return [write_output(store, prefix, dataset, rows) for dataset, rows in tables.items()]


class Watchers:
    """The viewers of each show of a period. Shows and viewers have numbers from 0.

    Args:
        shows: all shows with a play, in the order of their numbers.
        buckets: rows of show_viewer, of one bucket each.
        reach_seconds: least seconds of a show of a viewer reached.
    """

    def __init__(self, shows: Sequence[Show], buckets: Iterable[pa.Table], reach_seconds: int) -> None:
        self.shows = shows
        ids = np.array([show.show_id for show in shows], np.int64)
        parts: list[tuple[Viewers, Numbers]] = []
        flags = [np.empty(0, np.bool_)]
        viewers = 0
        for bucket in buckets:
            columns = _columns(bucket)
            flags.append(_can_be_lost(columns, reach_seconds))
            parts.append(_by_group(columns, ids, reach_seconds, viewers))
            viewers += len(flags[-1])
        self.can_be_lost = np.concatenate(flags)
        """Whether a viewer has reach_seconds of everything, and nothing of unknown shows."""
        self._grouped, self._starts = _put_together(parts, 2 * len(ids))

    def of(self, show: int) -> Viewers:
        """Return the viewers with a play of a show."""
        return self._grouped[self._starts[2 * show] : self._starts[2 * show + 2]]

    def reached(self, show: int) -> Viewers:
        """Return the viewers with reach_seconds of a show, sorted."""
        return self._grouped[self._starts[2 * show] : self._starts[2 * show + 1]]


@dataclass(frozen=True)
class _Columns:
    shows: Numbers
    viewers: Numbers
    seconds: Numbers
    totals: Numbers


def _columns(bucket: pa.Table) -> _Columns:
    watched = pc.greater(bucket["watched_seconds"], 0)  # no time is no part of what a viewer watched
    bucket = bucket if pc.all(watched).as_py() else bucket.filter(watched)
    return _Columns(*(bucket[name].to_numpy().astype(np.int64, copy=False) for name in COLUMNS))


def _can_be_lost(bucket: _Columns, reach_seconds: int) -> Flags:
    found = np.zeros(int(bucket.viewers.max(initial=-1)) + 1, np.bool_)
    found[bucket.viewers] = bucket.totals >= reach_seconds
    found[bucket.viewers[bucket.shows == UNKNOWN_SHOW]] = False
    return found


def _by_group(bucket: _Columns, ids: Numbers, reach_seconds: int, first: int) -> tuple[Viewers, Numbers]:
    """Return a bucket's viewers by group, and the size of each group: those reached by a show, then its others.

    The rows are sorted by show.
    """
    viewers = int(bucket.viewers.max(initial=0)) + 1
    starts = starts_of(bucket.shows)
    ends = np.append(starts[1:], len(bucket.shows))
    found, sizes = [np.empty(0, np.uint32)], np.zeros(2 * len(ids), np.int64)
    run = 0
    while run < len(starts):  # some shows at a time, so that the arrays are small
        after = max(int(np.searchsorted(ends, starts[run] + ROWS_AT_ONCE, "right")), run + 1)
        rows = slice(starts[run], ends[after - 1])
        known = bucket.shows[starts[run:after]]
        places = np.where(known == UNKNOWN_SHOW, -1, np.searchsorted(ids, known)) * viewers  # -1: in no group
        pairs = np.repeat(places, (ends - starts)[run:after]) + bucket.viewers[rows]
        by_pair = Groups(pairs)  # a viewer has a row in each country
        shows, numbers = split(by_pair.keys, viewers)
        groups = 2 * shows + (by_pair.sum(bucket.seconds[rows]) < reach_seconds)
        found.append((numbers[Groups(groups).order] + first).astype(np.uint32))
        sizes += np.bincount(groups, minlength=2 * len(ids))
        run = after
    return np.concatenate(found), sizes


def _put_together(parts: list[tuple[Viewers, Numbers]], groups: int) -> tuple[Viewers, Numbers]:
    """Return the viewers of all parts by group, sorted in each, and the start of each group. Empties ``parts``."""
    starts = np.concatenate([[0], np.cumsum(sum((sizes for _, sizes in parts), np.zeros(groups, np.int64)))])
    together = np.empty(starts[-1], np.uint32)
    free = starts[:-1].copy()
    for viewers, sizes in iter(lambda: parts.pop(0) if parts else None, None):
        together[np.repeat(free - np.cumsum(sizes) + sizes, sizes) + np.arange(len(viewers))] = viewers
        free += sizes
    return together, starts


def order_shows(watchers: Watchers, order_reach: int) -> pa.Table:
    """Return the rows of show_order. Shows that reached fewer than ``order_reach`` viewers have none.

    They lose next to nobody, so hundreds of them would fill an order.
    """
    shows = watchers.shows
    large = [number for number, show in enumerate(shows) if show.reach >= order_reach]
    fewest_hours = sorted(large, key=lambda one: (shows[one].watched_seconds, shows[one].show_id))
    most_hours = sorted(large, key=lambda one: (-shows[one].watched_seconds, shows[one].show_id))
    ways = {
        REMOVE: _remove_cheapest(watchers, fewest_hours),
        "remove_by_hours": _remove(watchers, fewest_hours),
        "remove_by_reach": _remove(watchers, sorted(fewest_hours, key=lambda one: shows[one].reach)),
        "remove_by_sole": _remove(watchers, sorted(fewest_hours, key=lambda one: shows[one].sole_viewers)),
        KEEP: _keep_best(watchers, most_hours),
        "keep_by_reach": _keep(watchers, sorted(most_hours, key=lambda one: -shows[one].reach)),
        "keep_by_hours": _keep(watchers, most_hours),
    }
    rows = [
        (way, step, shows[number].show_id, viewers, seconds)
        for way in sorted(ways)
        for step, (number, viewers, seconds) in enumerate(_running(ways[way], shows), start=1)
    ]
    names = SHOW_ORDER.schema.names
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=SHOW_ORDER.schema)


def _running(steps: Iterable[tuple[int, int]], shows: Sequence[Show]) -> Iterator[tuple[int, int, int]]:
    """Yield (number, viewers so far, seconds so far) for steps of (number, viewers)."""
    viewers = seconds = 0
    for number, more in steps:
        viewers, seconds = viewers + more, seconds + shows[number].watched_seconds
        yield number, viewers, seconds


def _shows_left(watchers: Watchers) -> npt.NDArray[np.int32]:
    """Return the number of shows that each viewer has, ``NEVER`` or more for one who cannot be lost."""
    left = np.where(watchers.can_be_lost, 0, NEVER).astype(np.int32)
    for number in range(len(watchers.shows)):
        left[watchers.of(number)] += 1
    return left


def _remove(watchers: Watchers, order: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (show, viewers that its removal loses) in an order."""
    left = _shows_left(watchers)
    for number in order[:REMOVED]:
        viewers = watchers.of(number)
        left[viewers] -= 1
        yield number, int(np.count_nonzero(left[viewers] == 0))


def _remove_cheapest(watchers: Watchers, order: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (show, viewers that its removal loses): each time the show that loses the fewest, of equals the first.

    For each viewer it keeps the number of shows left and the sum of their numbers: when one is left, the sum is its
    number. So all steps together read each pair at most once.
    """
    shows = len(watchers.shows)
    left = _shows_left(watchers)
    sums = np.zeros(len(left), np.uint32)  # modulo 2**32, which is exact when one show is left
    for number in range(shows):
        sums[watchers.of(number)] += np.uint32(number)
    losses = np.bincount(sums[left == 1], minlength=shows)
    remaining = list(order)
    for _ in range(min(REMOVED, len(order))):
        number = remaining.pop(int(np.argmin(losses[remaining])))
        yield number, int(losses[number])
        viewers = watchers.of(number)
        left[viewers] -= 1
        sums[viewers] -= np.uint32(number)
        losses += np.bincount(sums[viewers[left[viewers] == 1]], minlength=shows)


def _keep(watchers: Watchers, order: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (show, viewers reached by it and by none before) in an order."""
    covered = np.zeros(len(watchers.can_be_lost), np.bool_)
    for number in order[:KEPT]:
        viewers = watchers.reached(number)
        yield number, int(np.count_nonzero(~covered[viewers]))
        covered[viewers] = True


def _keep_best(watchers: Watchers, order: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (show, viewers reached by it and by none before): the show that adds the most, of equals the first.

    A show never adds more than when it was counted last, so only shows that may be the best are counted again.
    """
    covered = np.zeros(len(watchers.can_be_lost), np.bool_)
    bounds = [(-len(watchers.reached(number)), place, number) for place, number in enumerate(order)]
    heapq.heapify(bounds)
    for _ in range(min(KEPT, len(order))):
        while True:
            _, place, number = bounds[0]
            viewers = watchers.reached(number)
            added = int(np.count_nonzero(~covered[viewers]))
            best = (-added, place, number)
            heapq.heapreplace(bounds, best)
            if bounds[0] == best:
                break
        heapq.heappop(bounds)
        yield number, added
        covered[viewers] = True


def overlaps(watchers: Watchers, genres: Mapping[int, Sequence[str]]) -> pa.Table:
    """Return the rows of overlap; ``genres`` are those of each show by its id."""
    shows = watchers.shows
    by_reach = sorted(
        (number for number, show in enumerate(shows) if show.reach),
        key=lambda one: (-shows[one].reach, -shows[one].watched_seconds, shows[one].show_id),
    )
    chosen = sorted(by_reach[:OVERLAPPING])  # shows are in the order of their ids
    counts = _count_pairs([watchers.reached(number) for number in chosen], len(watchers.can_be_lost))
    one, other = (numbers.ravel() for numbers in np.indices(counts.shape))
    viewers = counts[one, other]
    ids = np.array([shows[number].show_id for number in chosen], np.int64)
    alone = _only_of_genre(watchers, chosen, genres)
    of_genre = [alone.get(chosen[row]) if row == column else None for row, column in zip(one, other, strict=True)]
    columns = [ids[one], ids[other], viewers, pa.array(of_genre, pa.int64())]
    return pa.table(columns, schema=OVERLAP.schema)


def _count_pairs(sets: Sequence[Viewers], viewers: int) -> Numbers:
    """Return the number of viewers in both of any two sets, each sorted. Rows and columns are the sets."""
    counts = np.zeros((len(sets), len(sets)), np.int64)
    at_once = min(VIEWERS_AT_ONCE, -(-viewers // 64) * 64)
    for first in range(0, viewers, VIEWERS_AT_ONCE):
        bits = np.zeros((len(sets), at_once // 64), np.uint64)
        for row, members in enumerate(sets):
            low, high = np.searchsorted(members, (first, first + at_once))
            flags = np.zeros(at_once, np.bool_)
            flags[members[low:high] - np.uint32(first)] = True
            bits[row] = np.packbits(flags).view(np.uint64)
        for row in range(len(sets)):
            counts[row, row:] += np.bitwise_count(bits[row:] & bits[row]).sum(axis=1, dtype=np.int64)
    return np.triu(counts) + np.triu(counts, 1).T


def _only_of_genre(watchers: Watchers, chosen: Sequence[int], genres: Mapping[int, Sequence[str]]) -> dict[int, int]:
    """Return by number, for shows with genres, how many of their viewers reached watched no other show of a genre."""
    of_genre: dict[str, list[int]] = {}
    for number, show in enumerate(watchers.shows):
        for genre in genres.get(show.show_id, ()):
            of_genre.setdefault(genre, []).append(number)
    alone = {
        one: np.ones(len(watchers.reached(one)), np.bool_) for one in chosen if genres.get(watchers.shows[one].show_id)
    }
    for numbers in of_genre.values():
        watched = np.zeros(len(watchers.can_be_lost), np.uint32)
        for number in numbers:
            watched[watchers.of(number)] += 1
        for number in set(numbers) & set(alone):
            alone[number] &= watched[watchers.reached(number)] == 1
    return {number: int(np.count_nonzero(flags)) for number, flags in alone.items()}
