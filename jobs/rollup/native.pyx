# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Reads JSON lines of known shapes to the columns of events, in one pass over their bytes.

A shape (shapes.py) is a line of a producer: literal pieces, and between them the values of fields. ``LineReader`` takes
a line if its bytes are the pieces of a shape and each value is one that the reference parser (contract.py) accepts and
that needs no conversion but of digits. It never judges: any other line is left, as a range of bytes.

``UserTable`` knows the viewers (viewer.py) of users, and ``hash_texts`` hashes event ids as the reader does.

Every scan stops at a newline, and a newline stands at the end of each part of a buffer that is read. So no scan needs
to know the end. Loads of eight bytes may pass it, by less than PADDING.
"""

import sys

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

cdef extern from *:
    """
    #ifndef MARQUEE_SOURCE
    #define MARQUEE_SOURCE 0
    #endif
    """
    const uint32_t MARQUEE_SOURCE
    void __builtin_prefetch(const void* address) noexcept nogil

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <cpuid.h>
    #include <immintrin.h>

    /* Whether the processor has instructions for SHA-256 (and SSE 4.1, which all processors with them have). */
    static int marquee_has_sha256(void) {
        unsigned int a, b = 0, c = 0, d, none;
        return __get_cpuid(1, &a, &none, &c, &d) && (c & bit_SSE4_1) && __get_cpuid_count(7, 0, &a, &b, &none, &d)
            && (b & bit_SHA);
    }

    /* Add a block of 64 bytes to the state of a SHA-256. The instructions take the state as (abef) and (cdgh). */
    __attribute__((target("sha,sse4.1")))
    static void marquee_sha256_block(uint32_t *state, const uint8_t *block, const uint32_t *constants) {
        const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
        __m128i w[4], k, abef, cdgh, before[2];
        __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
        __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
        before[0] = abef = _mm_alignr_epi8(badc, hgfe, 8);
        before[1] = cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), big_endian);
        for (int i = 0; i < 16; i++) {
            k = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
            if (i < 12) {
                k = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                k = _mm_add_epi32(k, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(k, w[(i + 3) & 3]);
            }
        }
        abef = _mm_shuffle_epi32(_mm_add_epi32(abef, before[0]), 0x1b);
        cdgh = _mm_shuffle_epi32(_mm_add_epi32(cdgh, before[1]), 0xb1);
        _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(abef, cdgh, 0xf0));
        _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(cdgh, abef, 8));
    }
    #else
    static int marquee_has_sha256(void) { return 0; }
    static void marquee_sha256_block(uint32_t *state, const uint8_t *block, const uint32_t *constants) {
        (void)state, (void)block, (void)constants;
    }
    #endif
    """
    int marquee_has_sha256() noexcept nogil
    void marquee_sha256_block(uint32_t* state, const uint8_t* block, const uint32_t* constants) noexcept nogil

if sys.byteorder != "little":
    raise ImportError("words are compared as little-endian ones")

SOURCE = MARQUEE_SOURCE
"""Checksum of the source that this module was compiled from."""

PADDING = 64
"""Bytes that must be readable after the part of a buffer that is read."""

# Kinds of values.
END, SKIP, EVENT_ID, RECEIVED_AT, USER_ID, EPISODE_ID, COUNTRY, UTC_OFFSET_MINUTES, LANGUAGE, DEVICE, WATCHED_SECONDS = (
    range(11)
)

cdef enum Kind:
    IS_END = 0
    IS_SKIPPED = 1
    IS_EVENT_ID = 2
    IS_RECEIVED_AT = 3
    IS_USER_ID = 4
    IS_EPISODE_ID = 5
    IS_COUNTRY = 6
    IS_UTC_OFFSET_MINUTES = 7
    IS_LANGUAGE = 8
    IS_DEVICE = 9
    IS_WATCHED_SECONDS = 10

# Why LineReader.read stopped.
DONE, ROWS_FULL, OTHERS_FULL, NEW_TEXT, NEW_SHAPE, LONG_LINE = range(6)

cdef enum:
    MOST_NESTED = 64
    MOST_AWAITED = 32
    MOST_SHAPES = 8
    INLINE = 22  # bytes of a user id that stand in the slot itself
    IS_LONG = 255
    MOST_SLOTS = 1 << 20  # of 32 bytes
    LEAST_SLOTS = 1 << 10
    MOST_LONG_BYTES = 16 << 20
    MOST_TEXTS = 1024
    TEXT_SLOTS = 4096
    LONGEST_TEXT = 128
    MINUTE = 60_000_000
    TEXT_COLUMNS = 3
    DAYS_BEFORE_1970 = 719162  # from 0001-01-01

SHAPES = MOST_SHAPES
TEXTS = MOST_TEXTS


# ---- hashes

cdef inline uint64_t load(const uint8_t* p) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, p, 8)
    return word


cdef inline uint64_t rotate(uint64_t x, int n) noexcept nogil:
    return (x << n) | (x >> (64 - n))


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[0] = rotate(v[0], 32)
    v[2] += v[3]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] += v[3]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] += v[1]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[2] = rotate(v[2], 32)


cdef inline uint64_t siphash(const uint64_t* key, const uint8_t* p, int64_t n) noexcept nogil:
    """SipHash-1-3 of n bytes."""
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef int64_t left = n
    v[0] = key[0] ^ <uint64_t>0x736F6D6570736575
    v[1] = key[1] ^ <uint64_t>0x646F72616E646F6D
    v[2] = key[0] ^ <uint64_t>0x6C7967656E657261
    v[3] = key[1] ^ <uint64_t>0x7465646279746573
    while left >= 8:
        word = load(p)
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        p += 8
        left -= 8
    word = <uint64_t>n << 56
    while left > 0:
        left -= 1
        word |= <uint64_t>p[left] << (8 * left)
    v[3] ^= word
    sip_round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cdef uint32_t ROUND[64]
ROUND[:] = [
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
]

cdef uint32_t START[8]
START[:] = [
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
]


cdef inline uint32_t turn(uint32_t x, int n) noexcept nogil:
    return (x >> n) | (x << (32 - n))


cdef bint uses_sha256 = marquee_has_sha256()


def use_sha256(bint wanted):
    """Use the processor's instructions for SHA-256, or not, which is for tests; return whether it has them."""
    global uses_sha256
    uses_sha256 = wanted and marquee_has_sha256()
    return bool(marquee_has_sha256())


cdef void sha256_block(uint32_t* state, const uint8_t* block) noexcept nogil:
    """Add a block of 64 bytes to the state of a SHA-256."""
    cdef uint32_t w[64]
    cdef uint32_t a, b, c, d, e, f, g, h, t, u
    cdef int i
    if uses_sha256:
        marquee_sha256_block(state, block, ROUND)
        return
    for i in range(16):
        w[i] = (
            <uint32_t>block[4 * i] << 24
            | <uint32_t>block[4 * i + 1] << 16
            | <uint32_t>block[4 * i + 2] << 8
            | <uint32_t>block[4 * i + 3]
        )
    for i in range(16, 64):
        t = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >> 3)
        u = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >> 10)
        w[i] = w[i - 16] + t + w[i - 7] + u
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for i in range(64):
        t = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]
        u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
        h = g
        g = f
        f = e
        e = d + t
        d = c
        c = b
        b = a
        a = t + u
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h


cdef void sha256_end(uint32_t* state, const uint8_t* p, int64_t n) noexcept nogil:
    """Add the last n bytes, and the padding, to a state that has one block already."""
    cdef uint8_t last[64]
    cdef uint64_t bits = <uint64_t>(64 + n) * 8
    cdef int i
    while n >= 64:
        sha256_block(state, p)
        p += 64
        n -= 64
    memset(last, 0, 64)
    memcpy(last, p, n)
    last[n] = 0x80
    if n >= 56:
        sha256_block(state, last)
        memset(last, 0, 64)
    for i in range(8):
        last[63 - i] = <uint8_t>(bits >> (8 * i))
    sha256_block(state, last)


cdef void write_digest(const uint32_t* state, uint8_t* digest) noexcept nogil:
    cdef int i
    for i in range(32):
        digest[i] = <uint8_t>(state[i >> 2] >> (24 - 8 * (i & 3)))


# ---- users

cdef enum:
    VIEWER_BYTES = 8


cdef packed struct User:
    uint64_t viewer
    uint8_t length  # 0: the slot is free
    uint8_t text[23]  # or, if IS_LONG: length (4 bytes) and offset (8 bytes) of the text elsewhere


cdef struct Awaited:
    const uint8_t* text
    int64_t length
    uint64_t hashed


cdef class UserTable:
    """Viewers of users under some keys. It remembers users, up to about 600,000, and then begins anew.

    ``blocks`` are the inner and the outer block of each key, oldest first. ``hash_key`` (16 bytes) is the key of its
    own hashes.
    """

    cdef uint32_t* states  # of each key: the inner state (8 words), then the outer one
    cdef int keys
    cdef uint64_t key[2]
    cdef User* slots
    cdef int64_t size
    cdef int64_t count
    cdef uint8_t* texts
    cdef int64_t texts_size
    cdef int64_t texts_used

    def __cinit__(self, blocks, bytes hash_key):
        cdef bytes block
        cdef int i
        parts = [one for pair in blocks for one in pair]
        if not parts or len(parts) % 2 or any(len(one) != 64 for one in parts) or len(hash_key) != 16:
            raise ValueError("each key has two blocks of 64 bytes, and the key of hashes 16")
        self.states = <uint32_t*>malloc(len(parts) * sizeof(START))
        if self.states == NULL:
            raise MemoryError
        self.keys = len(parts) // 2
        for i, block in enumerate(parts):
            memcpy(self.states + 8 * i, START, sizeof(START))
            sha256_block(self.states + 8 * i, <const uint8_t*>PyBytes_AsString(block))
        memcpy(self.key, PyBytes_AsString(hash_key), 16)
        self.size = LEAST_SLOTS
        self.slots = <User*>calloc(self.size + 1, sizeof(User))
        if self.slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.states)
        free(self.slots)
        free(self.texts)

    @property
    def users(self):
        """The number of users that it remembers."""
        return self.count

    def viewers(self, offsets, data, int64_t first, int64_t count, viewers, int64_t margin=0):
        """Write the viewer of each text of an Arrow array to ``viewers`` (uint64), without ``margin`` bytes at its ends.

        The array has ``offsets`` (int32) to ``data``, and begins at place ``first``.
        """
        cdef Py_buffer at, text, out
        cdef Awaited awaited[MOST_AWAITED]
        cdef int64_t begin, i, n
        cdef int64_t done = 0
        cdef bint failed = False
        cdef const int32_t* ends
        PyObject_GetBuffer(offsets, &at, PyBUF_SIMPLE)
        PyObject_GetBuffer(data, &text, PyBUF_SIMPLE)
        PyObject_GetBuffer(viewers, &out, PyBUF_WRITABLE)
        try:
            if at.len < 4 * (first + count + 1) or out.len < 8 * count:
                raise ValueError("too short a buffer")
            with nogil:
                ends = <const int32_t*>at.buf + first
                while done < count and not failed:
                    n = min(count - done, MOST_AWAITED)
                    for i in range(n):
                        begin = ends[done + i] + margin
                        awaited[i].text = <const uint8_t*>text.buf + begin
                        awaited[i].length = max(0, ends[done + i + 1] - margin - begin)
                        awaited[i].hashed = self.hash_ahead(awaited[i].text, awaited[i].length)
                    failed = not self.find_awaited(awaited, n, <uint64_t*>out.buf + done)
                    done += n
            if failed:
                raise MemoryError
        finally:
            PyBuffer_Release(&at)
            PyBuffer_Release(&text)
            PyBuffer_Release(&out)

    cdef uint64_t viewer_of(self, const uint8_t* text, int64_t n) noexcept nogil:
        cdef uint32_t state[8]
        cdef uint8_t digest[32]
        cdef int number
        for number in range(self.keys):
            memcpy(state, self.states + 16 * number, sizeof(state))
            sha256_end(state, text if number == 0 else digest, n if number == 0 else VIEWER_BYTES)
            write_digest(state, digest)
            memcpy(state, self.states + 16 * number + 8, sizeof(state))
            sha256_end(state, digest, 32)
            write_digest(state, digest)
        return <uint64_t>state[0] << 32 | state[1]

    cdef bint find_awaited(self, const Awaited* users, int64_t count, uint64_t* viewers) noexcept nogil:
        """Find the viewers of users that were hashed ahead; return whether there was memory."""
        cdef int64_t i
        for i in range(count):
            if not self.find_hashed(users[i].text, users[i].length, users[i].hashed, viewers + i):
                return False
        return True

    cdef inline uint64_t hash_ahead(self, const uint8_t* text, int64_t n) noexcept nogil:
        """Return the hash of a user, and begin to load where it is, which takes longer than all else about a line."""
        cdef uint64_t hashed = siphash(self.key, text, n)
        __builtin_prefetch(self.slots + (hashed & <uint64_t>(self.size - 1)))
        return hashed

    cdef bint find_hashed(self, const uint8_t* text, int64_t n, uint64_t hashed, uint64_t* viewer) noexcept nogil:
        cdef uint64_t at = hashed & <uint64_t>(self.size - 1)
        cdef User* slot
        while True:
            slot = self.slots + at
            if slot.length == 0:
                break
            if self.holds(slot, text, n):
                viewer[0] = slot.viewer
                return True
            at = (at + 1) & <uint64_t>(self.size - 1)
        viewer[0] = self.viewer_of(text, n)
        return self.put(slot, text, n, viewer[0])

    cdef inline bint holds(self, const User* slot, const uint8_t* text, int64_t n) noexcept nogil:
        cdef uint32_t length
        cdef int64_t offset
        if slot.length != IS_LONG:
            return slot.length == n and memcmp(slot.text, text, n) == 0
        memcpy(&length, slot.text, 4)
        memcpy(&offset, slot.text + 4, 8)
        return length == n and memcmp(self.texts + offset, text, n) == 0

    cdef bint put(self, User* slot, const uint8_t* text, int64_t n, uint64_t viewer) noexcept nogil:
        cdef uint32_t length = <uint32_t>n
        if n == 0 or n > MOST_LONG_BYTES:  # a length of 0 is that of a free slot; neither is a user of an event
            return True
        if n <= INLINE:
            slot.length = <uint8_t>n
            memcpy(slot.text, text, n)
        else:
            if self.texts_used + n > self.texts_size and not self.more_texts(n):
                return False
            slot.length = IS_LONG
            memcpy(slot.text, &length, 4)
            memcpy(slot.text + 4, &self.texts_used, 8)
            memcpy(self.texts + self.texts_used, text, n)
            self.texts_used += n
        slot.viewer = viewer
        self.count += 1
        if self.count * 8 > self.size * 5:
            return self.grow()
        if self.texts_used > MOST_LONG_BYTES:
            self.clear()
        return True

    cdef bint more_texts(self, int64_t n) noexcept nogil:
        cdef int64_t size = 2 * self.texts_size + n + 4096
        cdef uint8_t* texts = <uint8_t*>realloc(self.texts, size)
        if texts == NULL:
            return False
        self.texts = texts
        self.texts_size = size
        return True

    cdef void clear(self) noexcept nogil:
        memset(self.slots, 0, self.size * sizeof(User))
        self.count = 0
        self.texts_used = 0

    cdef bint grow(self) noexcept nogil:
        cdef int64_t size = 2 * self.size
        cdef int64_t i, offset
        cdef uint32_t length
        cdef uint64_t at
        cdef User* slots
        cdef User* slot
        if size > MOST_SLOTS:
            self.clear()
            return True
        slots = <User*>calloc(size + 1, sizeof(User))
        if slots == NULL:
            return False
        for i in range(self.size):
            slot = self.slots + i
            if slot.length == 0:
                continue
            if slot.length == IS_LONG:
                memcpy(&length, slot.text, 4)
                memcpy(&offset, slot.text + 4, 8)
                at = siphash(self.key, self.texts + offset, length)
            else:
                at = siphash(self.key, slot.text, slot.length)
            at &= <uint64_t>(size - 1)
            while slots[at].length:
                at = (at + 1) & <uint64_t>(size - 1)
            slots[at] = slot[0]
        free(self.slots)
        self.slots = slots
        self.size = size
        return True


def hash_texts(bytes key, offsets, data, int64_t first, int64_t count, hashes, int64_t margin=0):
    """Write the SipHash-1-3 of each text of an Arrow array to ``hashes`` (uint64), without ``margin`` bytes at its ends.

    The array has ``offsets`` (int32) to ``data``, and begins at place ``first``. ``key`` has 16 bytes.
    """
    cdef Py_buffer at, text, out
    cdef int64_t i, begin, length
    cdef const int32_t* ends
    cdef uint64_t keys[2]
    if len(key) != 16:
        raise ValueError("a key has 16 bytes")
    memcpy(keys, PyBytes_AsString(key), 16)
    PyObject_GetBuffer(offsets, &at, PyBUF_SIMPLE)
    PyObject_GetBuffer(data, &text, PyBUF_SIMPLE)
    PyObject_GetBuffer(hashes, &out, PyBUF_WRITABLE)
    try:
        if at.len < 4 * (first + count + 1) or out.len < 8 * count:
            raise ValueError("too short a buffer")
        with nogil:
            ends = <const int32_t*>at.buf + first
            for i in range(count):
                begin = ends[i] + margin
                length = ends[i + 1] - margin - begin
                (<uint64_t*>out.buf)[i] = siphash(keys, <const uint8_t*>text.buf + begin, length if length > 0 else 0)
    finally:
        PyBuffer_Release(&at)
        PyBuffer_Release(&text)
        PyBuffer_Release(&out)


# ---- values. Each function returns the place after a value, or NULL if the reader must not take it.

cdef uint8_t SPECIAL[256]
"""Bytes at which the quick scan of a text stops: quotes, backslashes, control characters, and what is not ASCII."""
for _byte in range(256):
    SPECIAL[_byte] = _byte < 0x20 or _byte >= 0x80 or _byte in (0x22, 0x5C)


cdef inline bint is_digit(uint8_t c) noexcept nogil:
    return <uint8_t>(c - 48) <= 9


cdef inline bint is_tail(uint8_t c) noexcept nogil:
    return (c & 0xC0) == 0x80


cdef const uint8_t* after_character(const uint8_t* p) noexcept nogil:
    """Pass a character of two bytes or more in UTF-8."""
    cdef uint8_t c = p[0]
    if c < 0xC2:
        return NULL
    if c < 0xE0:
        return p + 2 if is_tail(p[1]) else NULL
    if c < 0xF0:
        if not is_tail(p[1]) or (c == 0xE0 and p[1] < 0xA0) or (c == 0xED and p[1] > 0x9F):
            return NULL
        return p + 3 if is_tail(p[2]) else NULL
    if c > 0xF4 or not is_tail(p[1]) or (c == 0xF0 and p[1] < 0x90) or (c == 0xF4 and p[1] > 0x8F):
        return NULL
    return p + 4 if is_tail(p[2]) and is_tail(p[3]) else NULL


cdef const uint8_t* after_text(const uint8_t* p, int64_t* characters) noexcept nogil:
    """Pass a text without escapes, from its opening quote."""
    cdef const uint8_t* begin = p + 1
    cdef int64_t more = 0
    cdef const uint8_t* following
    if p[0] != 34:
        return NULL
    p += 1
    while True:
        while not SPECIAL[p[0]]:
            p += 1
        if p[0] == 34:
            characters[0] = p - begin - more
            return p + 1
        following = after_character(p)
        if following == NULL:
            return NULL
        more += following - p - 1
        p = following


cdef inline bint is_hex(uint8_t c) noexcept nogil:
    return is_digit(c) or <uint8_t>((c | 32) - 97) <= 5


cdef const uint8_t* after_any_text(const uint8_t* p) noexcept nogil:
    """Pass a text that may have escapes, from its opening quote."""
    cdef uint8_t c
    if p[0] != 34:
        return NULL
    p += 1
    while True:
        while not SPECIAL[p[0]]:
            p += 1
        if p[0] == 34:
            return p + 1
        if p[0] == 92:
            c = p[1]
            if c == 117:  # u
                if not (is_hex(p[2]) and is_hex(p[3]) and is_hex(p[4]) and is_hex(p[5])):
                    return NULL
                p += 6
            elif c in (34, 92, 47, 98, 102, 110, 114, 116):  # "\/bfnrt
                p += 2
            else:
                return NULL
        else:
            p = after_character(p)
            if p == NULL:
                return NULL


cdef const uint8_t* after_number(const uint8_t* p) noexcept nogil:
    """Pass any number of JSON."""
    if p[0] == 45:
        p += 1
    if not is_digit(p[0]):
        return NULL
    if p[0] == 48:
        p += 1
    else:
        while is_digit(p[0]):
            p += 1
    if p[0] == 46:
        p += 1
        if not is_digit(p[0]):
            return NULL
        while is_digit(p[0]):
            p += 1
    if p[0] | 32 == 101:  # e
        p += 1
        if p[0] == 43 or p[0] == 45:
            p += 1
        if not is_digit(p[0]):
            return NULL
        while is_digit(p[0]):
            p += 1
    return p


cdef inline const uint8_t* after_space(const uint8_t* p) noexcept nogil:
    while p[0] == 32 or p[0] == 9 or p[0] == 13:
        p += 1
    return p


cdef inline const uint8_t* after_word(const uint8_t* p, const char* word) noexcept nogil:
    cdef int i = 0
    while word[i]:
        if p[i] != <uint8_t>word[i]:
            return NULL
        i += 1
    return p + i


cdef const uint8_t* after_value(const uint8_t* p, int depth) noexcept nogil:
    """Pass any value of JSON that is not nested too deep."""
    cdef uint8_t c = p[0]
    cdef uint8_t close
    if c == 34:
        return after_any_text(p)
    if c == 45 or is_digit(c):
        return after_number(p)
    if c == 116:
        return after_word(p, b"true")
    if c == 102:
        return after_word(p, b"false")
    if c == 110:
        return after_word(p, b"null")
    if (c != 123 and c != 91) or depth == MOST_NESTED:
        return NULL
    close = c + 2
    p = after_space(p + 1)
    if p[0] == close:
        return p + 1
    while True:
        if c == 123:
            p = after_any_text(p)
            if p == NULL:
                return NULL
            p = after_space(p)
            if p[0] != 58:
                return NULL
            p = after_space(p + 1)
        p = after_value(p, depth + 1)
        if p == NULL:
            return NULL
        p = after_space(p)
        if p[0] == close:
            return p + 1
        if p[0] != 44:
            return NULL
        p = after_space(p + 1)


cdef const uint8_t* after_whole(const uint8_t* p, int64_t* value) noexcept nogil:
    """Pass a whole number of up to 16 digits; what follows is for the next piece of the shape to say."""
    cdef bint negative = p[0] == 45
    cdef int64_t number = 0
    cdef const uint8_t* begin
    p += negative
    begin = p
    while is_digit(p[0]) and p - begin < 17:
        number = 10 * number + (p[0] - 48)
        p += 1
    if p == begin or p - begin > 16 or (begin[0] == 48 and (negative or p - begin > 1)):
        return NULL
    value[0] = -number if negative else number
    return p


cdef inline int two(const uint8_t* p) noexcept nogil:
    """Return a number of two digits, or one beyond all."""
    if not (is_digit(p[0]) and is_digit(p[1])):
        return 1000
    return 10 * (p[0] - 48) + (p[1] - 48)


cdef int64_t days(int year, int month, int day) noexcept nogil:
    """Return the days from 0001-01-01, in the Gregorian calendar; -1 if there is no such day."""
    cdef int months[12]
    cdef int before, i
    cdef bint leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if year < 1 or year > 9999 or month < 1 or month > 12 or day < 1:
        return -1
    months[:] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    months[1] += leap
    if day > months[month - 1]:
        return -1
    before = year - 1
    for i in range(month - 1):
        day += months[i]
    return 365 * before + before // 4 - before // 100 + before // 400 + day - 1


# ---- lines

cdef struct Step:
    int32_t literal  # where the piece before the value begins, in the pieces
    int32_t length
    int32_t kind


cdef struct Shape:
    Step* steps
    uint8_t* pieces
    int64_t taken


cdef struct Text:
    uint64_t head  # the first eight bytes
    int32_t offset  # in the texts
    int32_t length  # -1: the slot is free
    int32_t code


cdef struct Row:
    const uint8_t* event_id
    const uint8_t* user_id
    int64_t event_id_length
    int64_t user_id_length
    int64_t received_at
    int64_t episode_id
    int64_t offset
    int64_t seconds
    int32_t codes[3]


cdef class LineReader:
    """Reads lines of known shapes.

    ``rules`` are the contract's: maximum characters of an event id and of a user id, maximum episode id, minimum and
    maximum offset, maximum seconds, maximum bytes of a line. ``hash_key`` (16 bytes) is the key of event keys.
    """

    cdef readonly int64_t at
    """Where reading goes on."""
    cdef readonly int64_t stop
    """Where the line at ``at`` ends, or the new text."""
    cdef readonly int64_t text_at
    cdef readonly int text_column
    cdef public int64_t line
    """Number of the line at ``at``."""
    cdef public int64_t learn_from
    """Number of the first line of another shape at which ``read`` stops."""
    cdef public int64_t rows
    cdef public int64_t others
    cdef UserTable users
    cdef Awaited awaited[MOST_AWAITED]  # users of the last rows, whose viewers are not found yet
    cdef int awaiting
    cdef uint64_t key[2]
    cdef int64_t rules[7]
    cdef int64_t window[2]
    cdef Shape shapes[MOST_SHAPES]
    cdef int shape_count
    cdef int last_shape
    cdef Text* texts  # TEXT_SLOTS of each column
    cdef int text_counts[3]
    cdef uint8_t* text_bytes
    cdef int64_t text_bytes_used
    cdef uint8_t hour[16]  # the text of an hour, YYYY-MM-DDTHH:
    cdef int64_t hour_at

    def __cinit__(self, UserTable users, bytes hash_key, tuple rules):
        cdef int i
        self.texts = <Text*>calloc(TEXT_COLUMNS * TEXT_SLOTS, sizeof(Text))
        self.text_bytes = <uint8_t*>calloc(TEXT_COLUMNS * MOST_TEXTS * 4 * LONGEST_TEXT + PADDING, 1)
        if self.texts == NULL or self.text_bytes == NULL:
            raise MemoryError
        self.users = users
        if len(hash_key) != 16 or len(rules) != 7:
            raise ValueError("a key has 16 bytes, and there are seven rules")
        memcpy(self.key, PyBytes_AsString(hash_key), 16)
        for i in range(7):
            self.rules[i] = rules[i]
        memset(self.hour, 10, sizeof(self.hour))  # no instant has a newline
        self.forget_texts()

    def __dealloc__(self):
        self.forget_shapes()
        free(self.texts)
        free(self.text_bytes)

    cpdef forget_texts(self):
        """Forget all texts and their codes."""
        cdef int i
        for i in range(TEXT_COLUMNS * TEXT_SLOTS):
            self.texts[i].length = -1
        memset(self.text_counts, 0, sizeof(self.text_counts))
        self.text_bytes_used = 0

    cdef void forget_shapes(self) noexcept:
        cdef int i
        for i in range(self.shape_count):
            free(self.shapes[i].steps)
            free(self.shapes[i].pieces)
        self.shape_count = 0
        self.last_shape = 0

    @property
    def taken(self):
        """The number of lines taken by each shape since the shapes were set."""
        return [self.shapes[i].taken for i in range(self.shape_count)]

    def set_window(self, int64_t start, int64_t end):
        """Set the range of ``received_at``, in microseconds since 1970."""
        self.window[0] = start
        self.window[1] = end

    def set_shapes(self, list shapes):
        """Set the shapes: each a list of (piece, kind of the value after it), with the last kind END."""
        cdef Shape* one
        cdef int64_t length, used
        cdef int i
        if len(shapes) > MOST_SHAPES:
            raise ValueError("too many shapes")
        self.forget_shapes()
        for shape in shapes:
            if not shape or [kind for _, kind in shape].index(END) != len(shape) - 1:
                raise ValueError("a shape ends with END")
            if {kind for _, kind in shape} < {*range(END, WATCHED_SECONDS + 1)} - {SKIP}:
                raise ValueError("a shape has all fields")
            length = sum(len(piece) for piece, _ in shape)
            one = &self.shapes[self.shape_count]
            one.taken = 0
            one.steps = <Step*>malloc(len(shape) * sizeof(Step))
            one.pieces = <uint8_t*>calloc(length + PADDING, 1)
            self.shape_count += 1
            if one.steps == NULL or one.pieces == NULL:
                raise MemoryError
            used = 0
            for i, (piece, kind) in enumerate(shape):
                if b"\n" in piece:
                    raise ValueError("a line has no newline inside")
                one.steps[i].literal = used
                one.steps[i].length = len(piece)
                one.steps[i].kind = kind
                memcpy(one.pieces + used, PyBytes_AsString(piece), len(piece))
                used += len(piece)

    def add_text(self, int column, bytes text, int32_t code):
        """Set the code of a text of a column (0: country, 1: language, 2: device); -1 if it is not one of the contract.

        Return whether there is room for more texts.
        """
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AsString(text)
        cdef int64_t n = len(text)
        cdef Text* slot
        cdef uint8_t* copy = self.text_bytes + self.text_bytes_used
        if not 0 <= column < TEXT_COLUMNS or self.text_counts[column] >= MOST_TEXTS or n > 4 * LONGEST_TEXT:
            raise ValueError("no such column, too many texts, or too long a text")
        memcpy(copy, p, n)
        memset(copy + n, 0, 8)
        slot = self.slot_of(column, copy, n)
        if slot.length < 0:
            slot.head = head(copy, n)
            slot.offset = <int32_t>self.text_bytes_used
            slot.length = <int32_t>n
            self.text_bytes_used += n
            self.text_counts[column] += 1
        slot.code = code
        return self.text_counts[column] < MOST_TEXTS

    def read(self, buffer, int64_t begin, int64_t end, tuple columns, others):
        """Read the lines of a part of a buffer; return why it stopped. ``at`` says where it goes on.

        At the end of the part is a newline: as its last byte, or after it, where the buffer may be changed for it.
        Rows go to ``columns``, in the order of EVENTS: viewer, event key (uint64), instant, episode (int64), codes of
        country, language and device (int32), offset, seconds (int16). Lines that are left go to ``others``: begin, end
        and number (int64) of each. ``rows`` and ``others`` are the places at which writing begins.
        """
        cdef Py_buffer views[11]
        cdef int64_t capacity = 1 << 40
        cdef int64_t room
        cdef int opened = 0
        cdef int status
        cdef int64_t sizes[9]
        cdef uint8_t* data
        sizes[:] = [8, 8, 8, 8, 4, 4, 4, 2, 2]
        if len(columns) != 9:
            raise ValueError("events have nine columns")
        try:
            for one in (*columns, others, buffer):
                PyObject_GetBuffer(one, &views[opened], PyBUF_WRITABLE)
                opened += 1
            for i in range(9):
                capacity = min(capacity, views[i].len // sizes[i])
            room = views[9].len // 24
            data = <uint8_t*>views[10].buf
            if not 0 <= begin <= end <= views[10].len - PADDING:
                raise ValueError("not a part of the buffer, with its padding")
            if self.rows < 0 or self.others < 0:
                raise ValueError("no such place")
            self.awaiting = 0
            with nogil:
                if end > begin and data[end - 1] != 10:
                    data[end] = 10
                status = self.run(data, begin, end, views, capacity, <int64_t*>views[9].buf, room)
                if not self.find_awaited(<uint64_t*>views[0].buf):
                    status = -1
            if status < 0:
                raise MemoryError
            return status
        finally:
            while opened:
                opened -= 1
                PyBuffer_Release(&views[opened])

    cdef int run(
        self, const uint8_t* data, int64_t begin, int64_t end, Py_buffer* views, int64_t capacity, int64_t* others,
        int64_t room,
    ) noexcept nogil:
        cdef const uint8_t* p = data + begin
        cdef const uint8_t* stop = data + end
        cdef const uint8_t* after
        cdef Row row
        cdef int tried, shape
        cdef int64_t n
        cdef Awaited* user
        while p < stop:
            self.at = p - data
            if self.rows >= capacity:
                return 1  # ROWS_FULL
            after = NULL
            shape = self.last_shape
            for tried in range(self.shape_count):
                self.text_column = -1
                after = self.take(p, &self.shapes[shape], &row)
                if after != NULL:
                    break
                if self.text_column >= 0:
                    self.text_at -= <int64_t>data
                    self.stop -= <int64_t>data
                    return 3  # NEW_TEXT
                shape = shape + 1 if shape + 1 < self.shape_count else 0
            if after != NULL and after - p <= self.rules[6]:
                if self.awaiting == MOST_AWAITED and not self.find_awaited(<uint64_t*>views[0].buf):
                    return -1
                user = &self.awaited[self.awaiting]
                user.text, user.length = row.user_id, row.user_id_length
                user.hashed = self.users.hash_ahead(row.user_id, row.user_id_length)
                self.awaiting += 1
                n = self.rows
                (<uint64_t*>views[1].buf)[n] = siphash(self.key, row.event_id, row.event_id_length)
                (<int64_t*>views[2].buf)[n] = row.received_at
                (<int64_t*>views[3].buf)[n] = row.episode_id
                (<int32_t*>views[4].buf)[n] = row.codes[0]
                (<int32_t*>views[5].buf)[n] = row.codes[1]
                (<int32_t*>views[6].buf)[n] = row.codes[2]
                (<int16_t*>views[7].buf)[n] = <int16_t>row.offset
                (<int16_t*>views[8].buf)[n] = <int16_t>row.seconds
                self.rows = n + 1
                self.last_shape = shape
                self.shapes[shape].taken += 1
                self.line += 1
                p = after + 1
                continue
            after = <const uint8_t*>memchr(p, 10, stop - p)
            if after == NULL:
                after = stop
            self.stop = after - data
            if after - p > self.rules[6]:
                return 5  # LONG_LINE
            if self.line >= self.learn_from:
                return 4  # NEW_SHAPE
            if self.others >= room:
                return 2  # OTHERS_FULL
            n = 3 * self.others
            others[n] = p - data
            others[n + 1] = after - data
            others[n + 2] = self.line
            self.others += 1
            self.line += 1
            p = after + 1
        self.at = end
        return 0  # DONE

    cdef bint find_awaited(self, uint64_t* viewers) noexcept nogil:
        """Find the viewers of the last rows; return whether there was memory."""
        cdef int64_t first = self.rows - self.awaiting
        if not self.users.find_awaited(self.awaited, self.awaiting, viewers + first):
            return False
        self.awaiting = 0
        return True

    cdef const uint8_t* take(self, const uint8_t* p, const Shape* shape, Row* row) noexcept nogil:
        """Return the end of a line if it has a shape, or NULL. If ``text_column`` is not -1, a text has no code yet."""
        cdef const Step* step = shape.steps
        cdef int64_t n
        cdef const uint8_t* q
        while True:
            if not same(p, shape.pieces + step.literal, step.length):
                return NULL
            p += step.length
            if step.kind == IS_END:
                return p if p[0] == 10 else NULL
            if step.kind == IS_SKIPPED:
                p = after_value(p, 0)
            elif step.kind == IS_EVENT_ID:
                q = after_text(p, &n)
                if q == NULL or n < 1 or n > self.rules[0]:
                    return NULL
                row.event_id = p + 1
                row.event_id_length = q - p - 2
                p = q
            elif step.kind == IS_RECEIVED_AT:
                p = self.after_instant(p, &row.received_at)
            elif step.kind == IS_USER_ID:
                q = after_text(p, &n)
                if q == NULL or n < 1 or n > self.rules[1]:
                    return NULL
                row.user_id = p + 1
                row.user_id_length = q - p - 2
                p = q
            elif step.kind == IS_EPISODE_ID:
                p = after_whole(p, &row.episode_id)
                if p == NULL or row.episode_id < 1 or row.episode_id > self.rules[2]:
                    return NULL
            elif step.kind == IS_COUNTRY:
                p = self.after_code(p, 0, row.codes)
            elif step.kind == IS_UTC_OFFSET_MINUTES:
                p = after_whole(p, &row.offset)
                if p == NULL or row.offset < self.rules[3] or row.offset > self.rules[4]:
                    return NULL
            elif step.kind == IS_LANGUAGE:
                p = self.after_code(p, 1, row.codes)
            elif step.kind == IS_DEVICE:
                p = self.after_code(p, 2, row.codes)
            else:
                p = after_whole(p, &row.seconds)
                if p == NULL or row.seconds < 0 or row.seconds > self.rules[5]:
                    return NULL
            if p == NULL:
                return NULL
            step += 1

    cdef inline Text* slot_of(self, int column, const uint8_t* p, int64_t n) noexcept nogil:
        cdef uint64_t first = head(p, n)
        # Multiplied by an odd number that nobody knows, few texts share a slot, whoever chose them.
        cdef uint64_t number = first if n <= 8 else siphash(self.key, p, n)
        cdef uint64_t at = ((number ^ <uint64_t>n) * (self.key[1] | 1)) >> 52
        cdef Text* slot
        while True:
            slot = self.texts + column * TEXT_SLOTS + at
            if slot.length < 0 or (
                slot.length == n
                and slot.head == first
                and (n <= 8 or memcmp(self.text_bytes + slot.offset, p, n) == 0)
            ):
                return slot
            at = (at + 1) & (TEXT_SLOTS - 1)

    cdef inline const uint8_t* after_code(self, const uint8_t* p, int column, int32_t* codes) noexcept nogil:
        """Pass a text that has a code."""
        cdef int64_t n
        cdef const Text* slot
        cdef const uint8_t* q = after_text(p, &n)
        if q == NULL or n > LONGEST_TEXT:
            return NULL
        slot = self.slot_of(column, p + 1, q - p - 2)
        if slot.length < 0:
            if self.text_counts[column] < MOST_TEXTS:
                self.text_column = column
                self.text_at = <int64_t>(p + 1)
                self.stop = <int64_t>(q - 1)
            return NULL
        codes[column] = slot.code
        return q if slot.code >= 0 else NULL

    cdef inline const uint8_t* after_instant(self, const uint8_t* p, int64_t* instant) noexcept nogil:
        """Pass an instant of the window, from its opening quote."""
        cdef int64_t at
        cdef int minute, second, digits, sign
        if p[0] != 34:
            return NULL
        p += 1
        if not (load(p) == load(self.hour) and load(p + 6) == load(self.hour + 6)) and not self.learn_hour(p):
            return NULL
        minute, second = two(p + 14), two(p + 17)
        if minute > 59 or second > 59 or p[16] != 58:
            return NULL
        at = self.hour_at + minute * <int64_t>MINUTE + second * 1_000_000
        p += 19
        if p[0] == 46:
            p += 1
            minute, digits = 0, 0
            while digits < 9 and is_digit(p[digits]):
                if digits < 6:
                    minute = 10 * minute + (p[digits] - 48)
                digits += 1
            if digits == 0:
                return NULL
            p += digits
            while digits < 6:
                minute *= 10
                digits += 1
            at += minute
        if p[0] == 90:
            p += 1
        else:
            sign = 44 - p[0]  # + and -: 43 and 45
            if sign != 1 and sign != -1:
                return NULL
            minute = two(p + 1)
            if minute > 23 or p[3] != 58:
                return NULL
            second = two(p + 4)
            if second > 59:
                return NULL
            at -= sign * (60 * minute + second) * <int64_t>MINUTE
            p += 6
        if p[0] != 34 or at < self.window[0] or at >= self.window[1]:
            return NULL
        instant[0] = at
        return p + 1

    cdef bint learn_hour(self, const uint8_t* p) noexcept nogil:
        """Remember the hour of an instant, from YYYY-MM-DDTHH: on; return whether there is such an hour."""
        cdef int century = two(p)
        cdef int year = two(p + 2)
        cdef int month, day, hour
        cdef int64_t number
        if century > 99 or year > 99 or p[4] != 45:
            return False
        month = two(p + 5)
        if month > 12 or p[7] != 45:
            return False
        day = two(p + 8)
        if day > 31 or p[10] != 84:
            return False
        hour = two(p + 11)
        if hour > 23 or p[13] != 58:
            return False
        number = days(100 * century + year, month, day)
        if number < 0:
            return False
        self.hour_at = (24 * (number - DAYS_BEFORE_1970) + hour) * 60 * <int64_t>MINUTE
        memcpy(self.hour, p, 14)
        return True


cdef inline uint64_t head(const uint8_t* p, int64_t n) noexcept nogil:
    """Return up to eight bytes of a text, with zeros after it."""
    cdef uint64_t word = load(p)
    return word if n >= 8 else word & ((<uint64_t>1 << (8 * n)) - 1)


cdef inline bint same(const uint8_t* p, const uint8_t* piece, int64_t n) noexcept nogil:
    while n >= 8:
        if load(p) != load(piece):
            return False
        p += 8
        piece += 8
        n -= 8
    return n == 0 or (load(p) ^ load(piece)) << (64 - 8 * n) == 0
