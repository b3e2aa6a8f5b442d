# cython: boundscheck=False, wraparound=False, cdivision=True
"""Makes columns of records: decodes Avro, and codes texts of few distinct values.

It decodes only the fields that are asked for, and only what is beyond doubt. A decoder runs a program: a list of numbers, in which each node is an operation (below) and what it needs, and refers to
other nodes by their places in the list. The first node is that of a record. ``avro.py`` makes it from a schema. The decoder stops before the first record
that it cannot decode, whatever the reason: the reader in Python then reads that record, or says what is wrong.
"""

import sys

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

cdef extern from *:
    """
    #ifndef MARQUEE_SOURCE
    #define MARQUEE_SOURCE 0
    #endif
    """
    const uint32_t MARQUEE_SOURCE

if sys.byteorder != "little":
    raise ImportError("Arrow reads the columns as little-endian ones")

SOURCE = MARQUEE_SOURCE
"""Checksum of the source that this module was compiled from."""

# Operations: they are numbered as in avro.py.
cdef enum:
    SKIP_FIXED = 0  # bytes
    SKIP_NUMBER = 1
    SKIP_TEXT = 2
    RECORD = 3  # number of fields, then their nodes
    UNION = 4  # number of branches, then their nodes
    ITEMS = 5  # node of an item
    NUMBER = 6  # column
    SYMBOL = 7  # column, number of symbols
    TEXT = 8  # column
    ODD = 9  # node; the record is not for columns
    LEAST_BYTES = 4096
    SLOTS = 1024
    MOST_TEXTS = 256


cdef struct Text:
    uint8_t* data
    int64_t capacity
    int64_t* ends


cdef class Decoder:
    """Columns of up to ``rows`` records. Each column holds numbers or texts, as ``is_text`` says."""

    cdef int64_t* program
    cdef int64_t nodes
    cdef int64_t rows
    cdef int64_t count
    cdef int64_t columns
    cdef int64_t** numbers
    cdef Text* texts
    cdef int64_t* starts
    cdef uint8_t* odd
    cdef list is_text

    def __cinit__(self, program, is_text, int64_t rows):
        cdef int64_t at
        self.is_text = list(is_text)
        self.rows, self.count, self.nodes, self.columns = rows, 0, len(program), len(self.is_text)
        self.program = <int64_t*>malloc((self.nodes + 1) * sizeof(int64_t))
        self.starts = <int64_t*>malloc(rows * sizeof(int64_t))
        self.odd = <uint8_t*>malloc(rows)
        self.numbers = <int64_t**>calloc(self.columns + 1, sizeof(int64_t*))
        self.texts = <Text*>calloc(self.columns + 1, sizeof(Text))
        if not (self.program and self.starts and self.odd and self.numbers and self.texts):
            raise MemoryError
        for at in range(self.nodes):
            self.program[at] = program[at]
        for at in range(self.columns):
            if self.is_text[at]:
                self.texts[at].ends = <int64_t*>calloc(rows + 1, sizeof(int64_t))
            else:
                self.numbers[at] = <int64_t*>malloc(rows * sizeof(int64_t))
            if not self.texts[at].ends and not self.numbers[at]:
                raise MemoryError

    def __dealloc__(self):
        cdef int64_t at
        for at in range(self.columns):
            if self.numbers:
                free(self.numbers[at])
            if self.texts:
                free(self.texts[at].data)
                free(self.texts[at].ends)
        free(self.numbers)
        free(self.texts)
        free(self.program)
        free(self.starts)
        free(self.odd)

    def add(self, bytes block not None, int64_t at, int64_t count):
        """Decode at most ``count`` records from a place in a block; return how many, and the place after them."""
        cdef const uint8_t* data = block
        cdef int64_t size = len(block)
        cdef int64_t first = self.count
        cdef int64_t after
        with nogil:
            while self.count < self.rows and self.count - first < count:
                self.starts[self.count] = at
                self.odd[self.count] = 0
                self._clear()
                after = self._read(self.program, data, at, size)
                if after < 0:
                    break
                at = after
                self.count += 1
        return self.count - first, at

    def take(self):
        """Return the columns (numbers, or ends and bytes of texts), where records began, and which are odd."""
        cdef int64_t at
        cdef int64_t count = self.count
        found = []
        for at in range(self.columns):
            if self.is_text[at]:
                ends = (<char*>self.texts[at].ends)[: (count + 1) * sizeof(int64_t)]
                size = self.texts[at].ends[count]
                found.append((ends, (<char*>self.texts[at].data)[:size] if size else b""))
            else:
                found.append((<char*>self.numbers[at])[: count * sizeof(int64_t)])
        starts, odd = (<char*>self.starts)[: count * sizeof(int64_t)], (<char*>self.odd)[:count]
        self.count = 0
        return found, starts, odd

    @property
    def is_full(self):
        """Whether no further record fits."""
        return self.count == self.rows

    cdef void _clear(self) noexcept nogil:
        """Give the next record a value in each column."""
        cdef int64_t at
        for at in range(self.columns):
            if self.texts[at].ends:
                self.texts[at].ends[self.count + 1] = self.texts[at].ends[self.count]
            else:
                self.numbers[at][self.count] = 0

    cdef int64_t _read(self, const int64_t* node, const uint8_t* data, int64_t at, int64_t size) noexcept nogil:
        """Decode the value of a node; return the place after it, or -1 if that cannot be done."""
        cdef int64_t value, index
        if node[0] == RECORD:
            for index in range(node[1]):
                at = self._read(self.program + node[2 + index], data, at, size)
                if at < 0:
                    return -1
            return at
        if node[0] == ODD:
            self.odd[self.count] = 1
            return self._read(self.program + node[1], data, at, size)
        if node[0] == SKIP_FIXED:
            return at + node[1] if node[1] <= size - at else -1
        if node[0] == ITEMS:
            return self._skip_items(self.program + node[1], data, at, size)
        at = read_number(data, at, size, &value)
        if at < 0 or node[0] == SKIP_NUMBER:
            return at
        if node[0] == UNION:
            if value < 0 or value >= node[1]:
                return -1
            return self._read(self.program + node[2 + value], data, at, size)
        if node[0] == NUMBER:
            self.numbers[node[1]][self.count] = value
            return at
        if node[0] == SYMBOL:
            if value < 0 or value >= node[2]:
                return -1
            self.numbers[node[1]][self.count] = value
            return at
        if value < 0 or value > size - at:
            return -1
        if node[0] == TEXT and not self._keep(&self.texts[node[1]], data + at, value):
            return -1
        return at + value

    cdef bint _keep(self, Text* text, const uint8_t* data, int64_t size) noexcept nogil:
        """Append the bytes of a text to its column; return whether there is memory."""
        cdef int64_t at = text.ends[self.count]
        cdef uint8_t* grown
        if at + size > text.capacity:
            grown = <uint8_t*>realloc(text.data, 2 * (at + size) + LEAST_BYTES)
            if not grown:
                return False
            text.data, text.capacity = grown, 2 * (at + size) + LEAST_BYTES
        memcpy(text.data + at, data, size)
        text.ends[self.count + 1] = at + size
        return True

    cdef int64_t _skip_items(self, const int64_t* item, const uint8_t* data, int64_t at, int64_t size) noexcept nogil:
        """Go past an array or a map; return the place after it, or -1 if that cannot be done."""
        cdef int64_t count, index
        while True:
            at = read_number(data, at, size, &count)
            if at < 0 or count == 0:
                return at
            if count < 0:  # the size of the items in bytes follows
                at = read_number(data, at, size, &count)
                if at < 0 or count < 0 or count > size - at:
                    return -1
                at += count
                continue
            if count > size - at:
                return -1
            for index in range(count):
                at = self._read(item, data, at, size)
                if at < 0:
                    return -1


cdef inline int64_t read_number(const uint8_t* data, int64_t at, int64_t size, int64_t* found) noexcept nogil:
    """Read a number; return the place after it, or -1 if it does not end, or has more than 63 bits."""
    cdef uint64_t value = 0
    cdef int shift = 0
    while at < size and shift < 63:
        value |= <uint64_t>(data[at] & 127) << shift
        if data[at] < 128:
            found[0] = <int64_t>(value >> 1) ^ -<int64_t>(value & 1)
            return at + 1
        at += 1
        shift += 7
    return -1


def code_texts(const int64_t[::1] ends not None, const uint8_t[::1] data not None, int32_t[::1] codes not None):
    """Give each text the place of its value among the distinct ones; return a row of each, or None if there are many.

    The bytes of text ``n`` are those of ``data`` from ``ends[n]`` to ``ends[n + 1]``.
    """
    cdef int64_t rows = codes.shape[0]
    cdef int64_t row, begin, size, other, index
    cdef int32_t known = 0
    cdef int32_t slots[SLOTS]
    cdef int64_t firsts[MOST_TEXTS]
    cdef uint64_t words[MOST_TEXTS]
    cdef uint64_t slot, word
    if ends.shape[0] != rows + 1:
        raise ValueError("not an end for each text")
    memset(slots, -1, sizeof(slots))
    with nogil:
        for row in range(rows):
            begin = ends[row]
            size = ends[row + 1] - begin
            if begin < 0 or size < 0 or begin + size > data.shape[0]:
                known = -1
                break
            word = 0
            if begin + 8 <= data.shape[0]:
                memcpy(&word, &data[begin], 8)
                if size < 8:
                    word &= (<uint64_t>1 << (8 * size)) - 1
            elif size:
                memcpy(&word, &data[begin], size if size < 8 else 8)
            slot = (word ^ <uint64_t>size) * <uint64_t>0x100000001B3
            slot = (slot ^ (slot >> 20) ^ (slot >> 41)) & (SLOTS - 1)
            while slots[slot] >= 0:
                other = ends[firsts[slots[slot]]]
                if words[slots[slot]] == word and ends[firsts[slots[slot]] + 1] - other == size and (
                    size <= 8 or memcmp(&data[other], &data[begin], size) == 0
                ):
                    break
                slot = (slot + 1) & (SLOTS - 1)
            else:
                if known == MOST_TEXTS:
                    known = -1
                    break
                slots[slot] = known
                firsts[known], words[known] = row, word
                known += 1
            codes[row] = slots[slot]
    return None if known < 0 else [firsts[index] for index in range(known)]


def longest_text(const uint8_t[::1] data not None):
    """Return the most bytes of a text in a dictionary page of Parquet: texts, each after its length; -1 if not so."""
    cdef int64_t at = 0
    cdef int64_t size = data.shape[0]
    cdef uint32_t length
    cdef int64_t longest = 0
    while at < size:
        if size - at < 4:
            return -1
        memcpy(&length, &data[at], 4)
        at += 4 + <int64_t>length
        longest = max(longest, <int64_t>length)
    return longest if at == size else -1
