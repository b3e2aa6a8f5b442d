"""Groups rows of columns by whole-number keys, for the counts of an audience period.

Sums are of whole numbers, so the order of rows has no effect. Sorting 64-bit keys takes a tenth of the time of a hash
table, and less where rows are in order already.

The loops are compiled (arrays_native.pyx). Without compiled modules numpy does the same in more steps over the arrays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marquee.compiled import why_not_compiled

if not why_not_compiled("jobs.profile.arrays_native"):
    from jobs.profile import arrays_native as native
else:  # it is optional, and may be one of another version
    native = None  # type: ignore[assignment] # the types are those of the compiled module

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint16]
V = TypeVar("V", np.int64, np.uint64)
Column = TypeVar("Column", Ints, Words, Flags)


_SPARSE, _SMALL = 4, 1024
"""Keys that are counted in place: as many for each row, and as many in any case."""
_SPAN = 32
"""Size of a table of numbers, for each row: with 5 bytes each, at most some 20 MB for a range of viewers."""
_COUNTED = 1 << 16
"""Keys up to this have 16 bits."""
_EXACT = 1 << 53
"""Whole numbers up to this are exact as fractions, which numpy counts in."""
_WORD = 64
_SUM, _UNION, _LEAST, _GREATEST = range(4)
_REDUCING = (np.add, np.bitwise_or, np.minimum, np.maximum)
"""What reduces the rows of a run, by the operations above, which are numbered as in arrays_native.pyx."""


def is_compiled() -> bool:
    """Return whether the loops are compiled."""
    found: bool = native is not None
    return found


class Groups:
    """Rows by key: ``keys`` has each key once, in order, and ``order`` the rows of each, as they were.

    Args:
        keys: the key of each row. A row whose key is below 0 is in no group.
    """

    def __init__(self, keys: Ints) -> None:
        self.order, self.starts, self.keys = _grouped(keys)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def sizes(self) -> Ints:
        """Return the number of rows of each group."""
        return np.diff(self.starts, append=len(self.order))

    def sum(self, column: Ints) -> Ints:
        """Return the sum of a column in each group."""
        return _reduced(_SUM, column, self.starts, self.order)

    def union(self, bits: Words) -> Words:
        """Return the bits that are set in a row of each group."""
        return _reduced(_UNION, bits, self.starts, self.order)

    def least(self, column: Ints) -> Ints:
        """Return the least value of each group."""
        return _reduced(_LEAST, column, self.starts, self.order)

    def greatest(self, column: Ints) -> Ints:
        """Return the greatest value of each group."""
        return _reduced(_GREATEST, column, self.starts, self.order)


class Sums:
    """Sums of rows by key, of keys from 0 up to a size: ``keys`` has each key of a row once, in order.

    Where keys are about as dense as rows, they are counted in place, which takes a fraction of the time of sorting.
    """

    def __init__(self, keys: Ints, size: int) -> None:
        self._rows = keys
        self._size = size

    @cached_property
    def _dense(self) -> bool:
        return is_dense(self._size, len(self._rows))

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self._rows)

    @cached_property
    def keys(self) -> Ints:
        """Return each key once, in order."""
        if not self._dense:
            return self._groups.keys
        present = np.zeros(self._size, np.bool_)
        present[self._rows] = True
        return np.flatnonzero(present)

    def sum(self, column: Ints) -> Ints:
        """Return the sum of a column for each key."""
        if not self._dense:
            return self._groups.sum(column)
        return add_by_key(self._rows, column, self._size)[self.keys]

    def count(self, flags: Bits, names: Sequence[str]) -> dict[str, Ints]:
        """Return the number of rows with each flag for each key; flag ``n`` of a row is bit ``n``."""
        if self._dense:
            counted = count_flags(self._rows, flags, len(names), self._size)
            return {name: one[self.keys] for name, one in zip(names, counted, strict=True)}
        return {name: self._groups.sum((flags >> bit & 1).astype(np.int64)) for bit, name in enumerate(names)}


def is_dense(keys: int, rows: int) -> bool:
    """Return whether rows are counted in place: there are few keys, or not many more than rows."""
    return keys <= _SPARSE * rows + _SMALL


def _grouped(keys: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the rows in the order of their keys, where in this order each key begins, and each key once."""
    if is_compiled():
        order, starts, distinct = (np.empty(len(keys), np.int64) for _ in range(3))
        found = native.order_rows(keys, order, starts, distinct)
        if found:
            rows, groups = found
            return order[:rows], starts[:groups], distinct[:groups]
    order = order_of(keys)
    in_order = keys[order]
    below = int(np.searchsorted(in_order, 0))
    order, in_order = order[below:], in_order[below:]
    starts = starts_of(in_order)
    return order, starts, in_order[starts]


def order_of(keys: Ints) -> Ints:
    """Return the order of keys, of rows with one key as they are.

    Keys of 16 bits are counted, and not compared: a fifth of the time or less.
    """
    if keys.min(initial=0) >= 0 and keys.max(initial=0) < _COUNTED:
        return np.argsort(keys.astype(np.uint16), kind="stable")
    return np.argsort(keys, kind="stable")


def numbered(values: npt.NDArray[V]) -> tuple[npt.NDArray[V], Ints]:
    """Return each value once, in order, and the number of each row's value, as ``np.unique`` does, without its sort.

    Numbers that lie close together are looked up in a table. Of others, only the first of each run of equal rows is
    sorted: rows of viewers come in such runs.
    """
    if not len(values):
        return values, np.empty(0, np.int64)
    least = values.min()
    span = int(values.max()) - int(least) + 1
    if span <= _SPAN * len(values):
        places = (values - least).astype(np.int64, copy=False)
        distinct, numbers_of = _numbered_in_place(places, span)
        return distinct.astype(values.dtype) + least, numbers_of
    starts = starts_of(values)
    firsts, of_run = np.unique(values[starts], return_inverse=True)
    return firsts, np.repeat(of_run, np.diff(starts, append=len(values)))


def _numbered_in_place(places: Ints, span: int) -> tuple[Ints, Ints]:
    """Return what ``numbered`` does of values from 0 up to a span."""
    if is_compiled():
        distinct, numbers_of = np.empty(min(span, len(places)), np.int64), np.empty(len(places), np.int64)
        return distinct[: native.number_values(places, np.zeros(span, np.int32), distinct, numbers_of)], numbers_of
    here = np.zeros(span, np.bool_)
    here[places] = True
    found = np.flatnonzero(here)
    numbers_of_all = np.empty(span, np.int32)
    numbers_of_all[found] = np.arange(len(found))
    return found, numbers_of_all[places].astype(np.int64)


def starts_of(keys: Ints | Words) -> Ints:
    """Return the places at which another key begins, of keys in order."""
    if is_compiled():
        starts = np.empty(len(keys), np.int64)
        return starts[: native.run_starts(keys.view(np.int64), starts)]
    changes = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return np.flatnonzero(changes)


def first_of_runs(column: Ints, starts: Ints) -> Ints:
    """Return the first value of each run of a column, from each start up to the next."""
    return column if len(starts) == len(column) else column[starts]


def add_runs(column: Ints, starts: Ints) -> Ints:
    """Return the sum of each run of a column, from each start up to the next."""
    return _reduced(_SUM, column, starts)


def unite_runs(bits: Words, starts: Ints) -> Words:
    """Return the bits that are set in a row of each run."""
    return _reduced(_UNION, bits, starts)


def any_of_runs(flags: Flags, starts: Ints) -> Flags:
    """Return whether a row of each run has the flag."""
    return _reduced(_GREATEST, flags, starts)


def least_of_runs(column: Ints, starts: Ints) -> Ints:
    """Return the least value of each run."""
    return _reduced(_LEAST, column, starts)


def greatest_of_runs(column: Ints, starts: Ints) -> Ints:
    """Return the greatest value of each run."""
    return _reduced(_GREATEST, column, starts)


def _reduced(operation: int, column: Column, starts: Ints, order: Ints | None = None) -> Column:
    """Return one value for each run of a column, whose rows are taken in an order."""
    if order is None and len(starts) == len(column):  # each row is a run
        return column
    if is_compiled():
        found = np.empty(len(starts), column.dtype)
        as_numbers = np.uint8 if column.dtype == np.bool_ else np.int64
        native.reduce_runs(operation, column.view(as_numbers), order, starts, found.view(as_numbers))
        return found
    column = column if order is None else column[order]
    return _REDUCING[operation].reduceat(column, starts, dtype=column.dtype) if len(starts) else column[:0]


def add_by_key(keys: Ints, column: Ints, size: int) -> Ints:
    """Return the sum of a column for each key from 0 up to a size."""
    if is_compiled():
        sums = np.zeros(size, np.int64)
        native.add_by_key(keys, column, sums)
        return sums
    if int(np.abs(column).max(initial=0)) * len(column) > _EXACT:
        groups = Groups(keys)
        sums = np.zeros(size, np.int64)
        sums[groups.keys] = groups.sum(column)
        return sums
    return np.bincount(keys, column, size).astype(np.int64)


def count_flags(keys: Ints, flags: Bits, bits: int, size: int, times: Ints | None = None) -> Sequence[Ints]:
    """Return by bit, for each key from 0 up to a size, the number of rows whose flags have the bit.

    With ``times``, a row counts as so many.
    """
    if is_compiled():
        counts = np.zeros((size, bits), np.int64)
        native.count_flags(keys, flags, times, counts)
        return [*counts.T]
    which = [np.flatnonzero(flags >> bit & 1) for bit in range(bits)]
    return [np.bincount(keys[one], None if times is None else times[one], size).astype(np.int64) for one in which]


def packed(flags: Iterable[Flags]) -> Bits:
    """Return flags of rows as bits of one number: those that are given first are bit 0."""
    first, *others = flags
    found: Bits = first.astype(np.uint16)
    for bit, one in enumerate(others, start=1):
        found |= one.astype(np.uint16) << np.uint16(bit)
    return found


def sum_each(keys: Ints, column: Ints, which: Ints, lists: tuple[Ints, Ints], size: int) -> tuple[Ints, Ints]:
    """Return keys, each once and in order, and the sums of a column for them: a row counts for several keys.

    Args:
        keys: a number for each row.
        column: what is added.
        which: the number of each row's list: it counts for its own number plus each of the list's.
        lists: where each list begins and where the last ends, and the numbers in all lists.
        size: all keys are below.
    """
    starts, members = lists
    sizes = np.diff(starts)
    many = sizes[which]
    if is_compiled() and is_dense(size, int(many.sum())):
        sums, present = np.zeros(size, np.int64), np.zeros(size, np.bool_)
        native.add_to_each(keys, column, which, starts, members, sums, present.view(np.uint8))
        found = np.flatnonzero(present)
        return found, sums[found]
    groups = Sums(np.repeat(keys, many) + members[np.repeat(starts[which], many) + count_up(many)], size)
    return groups.keys, groups.sum(np.repeat(column, many))


def _filled(rows: int, loop: Callable[..., None], *arguments: object) -> Ints:
    """Return what a compiled loop puts, for each row, into its last argument."""
    found = np.empty(rows, np.int64)
    loop(*arguments, found)
    return found


def count_spans(low: Words, high: Words, spans: Sequence[Mapping[str, int]]) -> Ints:
    """Return the number of spans, bitmaps of days, that each row's bitmap has a day of."""
    counts = np.zeros(len(low), np.int64)
    if is_compiled():
        native.count_spans(low, high, [(span["low"], span["high"]) for span in spans], counts)
        return counts
    for span in spans:
        counts += ((low & np.uint64(span["low"])) | (high & np.uint64(span["high"]))) != 0
    return counts


def first_day(low: Words, high: Words) -> Ints:
    """Return the number of the first day of each row's bitmap, none of which is empty."""
    if is_compiled():
        return _filled(len(low), native.first_bits, low, high)
    word = np.where(low > 0, low, high)
    # x xor (x - 1) has the lowest bit and all below it.
    number = np.bitwise_count(word ^ (word - (word > 0).astype(np.uint64))).astype(np.int64) - 1
    day: Ints = np.where(low > 0, number, number + _WORD)
    return day


def least_from_here(values: Ints, group: Ints, most: int) -> Ints:
    """Return the least value from each row to the last row of its group.

    Args:
        values: from 0 up to ``most``.
        group: the group of each row, in order.
        most: see above.
    """
    if is_compiled():
        return _filled(len(values), native.least_from_here, values, group)
    number = np.cumsum(np.diff(group, prepend=group[:1]) != 0)
    # Values of an earlier group are less than those of a later one, so the minimum begins anew with each group.
    shifted = (values + number * (2 * most))[::-1]
    least: Ints = np.minimum.accumulate(shifted)[::-1] - number * (2 * most)
    return least


def greatest_so_far(values: Ints, group: Ints) -> Ints:
    """Return the greatest value from the first row of each row's group up to the row; the groups are in order."""
    if is_compiled():
        return _filled(len(values), native.greatest_so_far, values, group)
    rows = len(values)
    distinct, rank = np.unique(values, return_inverse=True)
    number = np.cumsum(np.diff(group, prepend=group[:1]) != 0)
    # Ranks of an earlier group are less than those of a later one, so the maximum begins anew with each group.
    greatest: Ints = distinct[np.maximum.accumulate(rank + number * rows) - number * rows]
    return greatest


def choose(flags: Flags, column: Ints, other: int) -> Ints:
    """Return a column where the flag is set, and the other number elsewhere: as ``np.where``, which has branches."""
    if is_compiled():
        return _filled(len(column), native.choose, flags.view(np.uint8), column, other)
    return np.where(flags, column, other)


def split(keys: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the two numbers of each key, of which the second is below ``size``: faster than ``np.divmod``."""
    first = keys // size
    return first, keys - first * size


def run_of_each(starts: Ints, rows: int) -> Ints:
    """Return the number of the run of each row."""
    return np.repeat(np.arange(len(starts)), np.diff(starts, append=rows))


def count_up(sizes: Ints) -> Ints:
    """Return 0, 1, … for each size, in one array."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def at_least(part: Ints, share: Decimal, whole: Ints | int) -> Flags:
    """Return whether each part is at least a share of the whole. Shares are decimals, so the comparison is exact."""
    parts, of = share.as_integer_ratio()
    enough: Flags = part * of >= whole * np.int64(parts)
    return enough


def scaled(part: Ints, other: Ints, factor: int, whole: Ints) -> Ints:
    """Return ``part × other × factor / whole``, rounded down, exactly; 0 where the whole is 0."""
    fits = float(part.max(initial=0)) * float(other.max(initial=0)) * factor < np.iinfo(np.int64).max / 2
    if fits and is_compiled():
        return _filled(len(part), native.scale, part, other, factor, whole)
    divisor = np.where(whole == 0, 1, whole)
    if fits:
        found = part * other * factor // divisor
    else:  # Python's numbers have no bounds
        found = (part.astype(object) * other.astype(object) * factor // divisor.astype(object)).astype(np.int64)
    exact: Ints = np.where(whole == 0, 0, found)
    return exact


def find(sorted_values: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> Ints:
    """Return the place of each wanted value in sorted values, -1 if it is not there."""
    places = np.searchsorted(sorted_values, wanted)
    places[places == len(sorted_values)] = 0
    found = sorted_values[places] == wanted if len(sorted_values) else np.zeros(len(wanted), np.bool_)
    where: Ints = np.where(found, places, -1)
    return where


def numbers(column: pa.ChunkedArray) -> Ints:
    """Return a column of whole numbers, or of times, which are in microseconds."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
    found: Ints = column.to_numpy().astype(np.int64, copy=False)
    return found


def words(column: pa.ChunkedArray) -> Words:
    """Return a column of unsigned numbers."""
    found: Words = column.to_numpy()
    return found


def texts(column: pa.ChunkedArray) -> tuple[Ints, Sequence[str]]:
    """Return the number of each row's text, and the texts by their numbers, in order."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    values = whole.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    places = np.empty(len(values), np.int64)
    places[order] = np.arange(len(values))
    return places[whole.indices.to_numpy()], [values[one] for one in order]
