# cython: boundscheck=False, wraparound=False, cdivision=True
"""Loops of arrays.py: each does in one pass over rows what takes several steps on whole arrays.

Callers give arrays for the results. Arrays of rows must be as long as each other, and keys and places within the bounds
that are said: nothing here checks them. Other threads run meanwhile.
"""

import sys

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from *:
    """
    #ifndef MARQUEE_SOURCE
    #define MARQUEE_SOURCE 0
    #endif
    """
    const uint32_t MARQUEE_SOURCE
    int lowest_bit "__builtin_ctzll"(uint64_t) noexcept nogil
    int zeros_above "__builtin_clzll"(uint64_t) noexcept nogil

if sys.byteorder != "little":
    raise ImportError("it is built and tested for little-endian machines only")

SOURCE = MARQUEE_SOURCE
"""Checksum of the source that this module was compiled from."""

cdef enum Operation:  # of reduce_runs, numbered as in arrays.py
    IS_SUM = 0
    IS_UNION = 1
    IS_LEAST = 2
    IS_GREATEST = 3

cdef enum:
    DIGIT = 12  # bits of a key that are sorted by at a time
    MOST_DIGITS = 6
    WORD = 64

ctypedef fused Number:
    int64_t
    uint8_t


def order_rows(
    const int64_t[::1] keys not None,
    int64_t[::1] order not None,
    int64_t[::1] starts not None,
    int64_t[::1] distinct not None,
):
    """Order rows by their keys, rows with one key as they are; return the number of rows and that of keys.

    ``order`` gets the rows, ``distinct`` each key once, and ``starts`` where in ``order`` its rows begin. Rows with a
    key below 0 are left out. Returns None, and does nothing, if a key and the number of a row have more than 64 bits.
    """
    cdef int64_t rows = keys.shape[0]
    cdef int64_t row, key
    cdef int64_t kept = 0, most = 0, groups = 0, before = -1
    cdef bint sorted_already = True
    cdef int key_bits, row_bits
    cdef uint64_t* packed
    cdef uint64_t* in_order
    with nogil:
        for row in range(rows):
            key = keys[row]
            if key < 0:
                continue
            sorted_already &= key >= before
            before = key
            if key > most:
                most = key
            kept += 1
        key_bits, row_bits = bits_of(<uint64_t>most), bits_of(<uint64_t>rows)
        if sorted_already:
            kept = 0
            before = -1
            for row in range(rows):
                key = keys[row]
                if key < 0:
                    continue
                order[kept] = row
                if key != before:
                    starts[groups], distinct[groups] = kept, key
                    groups += 1
                    before = key
                kept += 1
    if sorted_already:
        return kept, groups
    if key_bits <= DIGIT:
        return kept, order_few(keys, order, starts, distinct)
    if key_bits + row_bits > WORD:
        return None
    packed = <uint64_t*>malloc(2 * kept * sizeof(uint64_t))
    if not packed:
        raise MemoryError
    with nogil:
        in_order = sort_digits(keys, packed, kept, key_bits, row_bits)
        before = -1
        for row in range(kept):
            key = <int64_t>(in_order[row] >> row_bits)
            order[row] = <int64_t>(in_order[row] & ((<uint64_t>1 << row_bits) - 1))
            if key != before:
                starts[groups], distinct[groups] = row, key
                groups += 1
                before = key
        free(packed)
    return kept, groups


cdef int64_t order_few(
    const int64_t[::1] keys, int64_t[::1] order, int64_t[::1] starts, int64_t[::1] distinct
) noexcept:
    """Order rows as ``order_rows`` does, where keys are of one digit: they are only counted. Return their number."""
    cdef int64_t places[1 << DIGIT]
    cdef int64_t row, key, size
    cdef int64_t place = 0, groups = 0
    with nogil:
        memset(places, 0, sizeof(places))
        for row in range(keys.shape[0]):
            if keys[row] >= 0:
                places[keys[row]] += 1
        for key in range(1 << DIGIT):
            size = places[key]
            places[key] = place
            if size:
                starts[groups], distinct[groups] = place, key
                groups += 1
            place += size
        for row in range(keys.shape[0]):
            if keys[row] >= 0:
                order[places[keys[row]]] = row
                places[keys[row]] += 1
    return groups


cdef int bits_of(uint64_t number) noexcept nogil:
    return WORD - zeros_above(number) if number else 1


cdef uint64_t* sort_digits(
    const int64_t[::1] keys, uint64_t* packed, int64_t kept, int key_bits, int row_bits
) noexcept nogil:
    """Sort keys by their digits, the lowest first; return the keys, each with the number of its row below it.

    ``packed`` has room for twice as many as are kept: those from 0 on.
    """
    cdef int64_t places[MOST_DIGITS][1 << DIGIT]
    cdef int64_t row, place, size
    cdef int done
    cdef uint64_t digit
    cdef int digits = (key_bits + DIGIT - 1) // DIGIT
    cdef int width = (key_bits + digits - 1) // digits
    cdef uint64_t mask = (<uint64_t>1 << width) - 1
    cdef uint64_t* here = packed
    cdef uint64_t* there = packed + kept
    memset(places, 0, digits * sizeof(places[0]))
    for row in range(keys.shape[0]):
        if keys[row] >= 0:
            for done in range(digits):
                places[done][(<uint64_t>keys[row] >> (done * width)) & mask] += 1
    for done in range(digits):
        place = 0
        for digit in range(mask + 1):
            size = places[done][digit]
            places[done][digit] = place
            place += size
    for row in range(keys.shape[0]):
        if keys[row] >= 0:
            digit = <uint64_t>keys[row] & mask
            here[places[0][digit]] = (<uint64_t>keys[row] << row_bits) | <uint64_t>row
            places[0][digit] += 1
    for done in range(1, digits):
        for row in range(kept):
            digit = (here[row] >> (row_bits + done * width)) & mask
            there[places[done][digit]] = here[row]
            places[done][digit] += 1
        here, there = there, here
    return here


def reduce_runs(
    int operation,
    const Number[::1] column not None,
    const int64_t[::1] order,
    const int64_t[::1] starts not None,
    Number[::1] found not None,
):
    """Reduce each run of a column, from each start up to the next, to one number.

    Args:
        operation: the number of an ``Operation``; a union is of bits.
        column: a number for each row.
        order: the rows that the starts are about, in order; None: all, as they are.
        starts: starts of the runs, none of which is empty.
        found: gets a number for each run.
    """
    cdef int64_t rows = column.shape[0] if order is None else order.shape[0]
    cdef int64_t runs = starts.shape[0]
    cdef int64_t run, row, end
    cdef const int64_t* places = NULL
    cdef Number value, other
    if not runs:
        return
    if order is not None:
        places = &order[0]
    with nogil:
        for run in range(runs):
            row = starts[run]
            end = starts[run + 1] if run + 1 < runs else rows
            value = column[places[row] if places else row]
            for row in range(row + 1, end):
                other = column[places[row] if places else row]
                if operation == IS_SUM:
                    value += other
                elif operation == IS_UNION:
                    value |= other
                elif operation == IS_LEAST:
                    value = other if other < value else value
                else:
                    value = other if other > value else value
            found[run] = value


def add_by_key(const int64_t[::1] keys not None, const int64_t[::1] column not None, int64_t[::1] sums not None):
    """Add each number of a column to the sum of its row's key."""
    cdef int64_t row
    with nogil:
        for row in range(keys.shape[0]):
            sums[keys[row]] += column[row]


def count_flags(
    const int64_t[::1] keys not None,
    const uint16_t[::1] flags not None,
    const int64_t[::1] times,
    int64_t[:, ::1] counts not None,
):
    """Add 1, or the row's ``times`` unless None, to ``counts[key, bit]`` for each bit of a row's flags."""
    cdef int64_t row
    cdef int64_t once = 1
    cdef uint16_t left
    cdef bint weighted = times is not None
    with nogil:
        for row in range(keys.shape[0]):
            left = flags[row]
            if weighted:
                once = times[row]
            while left:
                counts[keys[row], lowest_bit(left)] += once
                left &= left - 1


def add_to_each(
    const int64_t[::1] keys not None,
    const int64_t[::1] column not None,
    const int64_t[::1] which not None,
    const int64_t[::1] starts not None,
    const int64_t[::1] members not None,
    int64_t[::1] sums not None,
    uint8_t[::1] present not None,
):
    """Add each number of a column to the sums of several keys, and mark them as present.

    The keys of a row are its own plus each member of list ``which``, from ``starts[which]`` up to the next start.
    """
    cdef int64_t row, member, key
    with nogil:
        for row in range(keys.shape[0]):
            for member in range(starts[which[row]], starts[which[row] + 1]):
                key = keys[row] + members[member]
                sums[key] += column[row]
                present[key] = 1


def count_spans(
    const uint64_t[::1] low not None, const uint64_t[::1] high not None, spans, int64_t[::1] counts not None
):
    """Add to each row's count the number of spans, pairs of words of bits, that have a bit of the row."""
    cdef int64_t row
    cdef uint64_t in_low, in_high
    for in_low, in_high in spans:
        with nogil:
            for row in range(low.shape[0]):
                counts[row] += (low[row] & in_low | high[row] & in_high) != 0


def first_bits(const uint64_t[::1] low not None, const uint64_t[::1] high not None, int64_t[::1] found not None):
    """Find the number of each row's lowest bit, of two words; one of them is not 0."""
    cdef int64_t row
    with nogil:
        for row in range(low.shape[0]):
            found[row] = lowest_bit(low[row]) if low[row] else WORD + lowest_bit(high[row] | <uint64_t>1 << (WORD - 1))


def least_from_here(const int64_t[::1] values not None, const int64_t[::1] group not None, int64_t[::1] found not None):
    """Find the least value from each row to the last row of its group; the groups are in order."""
    cdef int64_t row, next_row
    cdef int64_t rows = values.shape[0]
    with nogil:
        for row in range(rows - 1, -1, -1):
            found[row] = values[row]
            next_row = row + 1
            if next_row < rows and group[next_row] == group[row] and found[next_row] < found[row]:
                found[row] = found[next_row]


def number_values(
    const int64_t[::1] values not None,
    int32_t[::1] table not None,
    int64_t[::1] distinct not None,
    int64_t[::1] numbers not None,
):
    """Number the values in their order; return how many there are.

    ``distinct`` gets each once, ``numbers`` each row's number. ``table`` has a 0 for each value from 0 to the greatest.
    """
    cdef int64_t row, value
    cdef int32_t count = 0
    with nogil:
        for row in range(values.shape[0]):
            table[values[row]] = 1
        for value in range(table.shape[0]):
            if table[value]:
                distinct[count] = value
                table[value] = count
                count += 1
        for row in range(values.shape[0]):
            numbers[row] = table[values[row]]
    return count


def run_starts(const int64_t[::1] keys not None, int64_t[::1] starts not None):
    """Find the places at which another key begins; return how many there are."""
    cdef int64_t row
    cdef int64_t count = 0
    with nogil:
        for row in range(keys.shape[0]):
            starts[count] = row  # stands if the next line counts it
            count += row == 0 or keys[row] != keys[row - 1]
    return count


def greatest_so_far(const int64_t[::1] values not None, const int64_t[::1] group not None, int64_t[::1] found not None):
    """Find the greatest value from the first row of each row's group up to the row; the groups are in order."""
    cdef int64_t row
    with nogil:
        for row in range(values.shape[0]):
            found[row] = values[row]
            if row and group[row - 1] == group[row] and found[row - 1] > found[row]:
                found[row] = found[row - 1]


def choose(const uint8_t[::1] flags not None, const int64_t[::1] column not None, int64_t other, int64_t[::1] found):
    """Take a column where the flag is set, and the other number elsewhere."""
    cdef int64_t row
    with nogil:
        for row in range(flags.shape[0]):
            found[row] = other ^ ((column[row] ^ other) & -<int64_t>flags[row])


def scale(
    const int64_t[::1] part not None,
    const int64_t[::1] other not None,
    int64_t factor,
    const int64_t[::1] whole not None,
    int64_t[::1] found not None,
):
    """Find ``part × other × factor / whole``, rounded down, which has 63 bits; 0 where the whole is 0. None is below 0."""
    cdef int64_t row
    with nogil:
        for row in range(part.shape[0]):
            found[row] = part[row] * other[row] * factor // whole[row] if whole[row] else 0
