"""Reads the parts of Parquet's metadata that tell how large a file is to read, before a library reads it.

Only the compact protocol of Thrift: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Iterator

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
DEEPEST = 16
"""Maximum nesting of structures; Parquet's metadata has six."""
LONG_LIST = 15
MORE = 128
"""Bit of a byte of a number that has further bytes."""
LONGEST_SHIFT = 70
MOST_ITEMS = 2_000_000
"""Maximum items of all lists. In the library's memory, an item of a byte may take a hundred."""


class Reader:
    """A position in some bytes. IndexError is raised at their end, ValueError for what is not Thrift."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at
        self._items = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield (number, type) of a structure's fields; the caller reads or skips each value."""
        number = 0
        while kind := self._byte():
            delta, kind = kind >> 4, kind & 15
            number = number + delta if delta else self.integer()
            yield number, kind

    def integer(self) -> int:
        """Read a whole number."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def text(self) -> str:
        """Read a text."""
        size = self._varint()
        self._pass(size)
        return self._data[self.at - size : self.at].decode(errors="replace")

    def list_size(self) -> tuple[int, int]:
        """Read the start of a list; return its length and the type of its items."""
        head = self._byte()
        size = self._varint() if head >> 4 == LONG_LIST else head >> 4
        self._items += size
        if self._items > MOST_ITEMS:
            message = f"its metadata has lists of more than {MOST_ITEMS} items"
            raise ValueError(message)
        return size, head & 15

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value."""
        if depth > DEEPEST:
            message = "its metadata is nested too deep"
            raise ValueError(message)
        if kind in (TRUE, FALSE):
            return
        if kind == BYTE:
            self._pass(1)
        elif kind in (I16, I32, I64):
            self._varint()
        elif kind == DOUBLE:
            self._pass(8)
        elif kind == BINARY:
            self._pass(self._varint())
        elif kind in (LIST, SET):
            self._skip_items(depth)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        else:
            message = f"its metadata has a value of the unknown type {kind}"
            raise ValueError(message)

    def _skip_items(self, depth: int) -> None:
        size, kind = self.list_size()
        for _ in range(size):
            if kind in (TRUE, FALSE):  # in a list, a truth value has a byte of its own
                self._pass(1)
            else:
                self.skip(kind, depth + 1)

    def _pass(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < MORE:
                return value
            shift += 7
            if shift > LONGEST_SHIFT:
                message = "its metadata has a number of more than ten bytes"
                raise ValueError(message)
