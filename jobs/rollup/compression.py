"""Tells the format of a raw object by its first bytes, whatever its name says, and opens compressed text.

An object store or a shipper may have compressed an object, or decompressed it, without a change of its name.
"""

import io
from collections.abc import Callable
from enum import StrEnum
from typing import Any, BinaryIO

import pyarrow as pa
from isal import igzip


class Format(StrEnum):
    """Format of a raw object: compressed or plain text, Avro, or Parquet."""

    PLAIN = "text"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZ2 = "bz2"
    LZ4 = "lz4"
    AVRO = "Avro"
    PARQUET = "Parquet"


MAGIC = {
    b"\x1f\x8b": Format.GZIP,
    b"\x28\xb5\x2f\xfd": Format.ZSTD,
    b"BZh": Format.BZ2,
    b"\x04\x22\x4d\x18": Format.LZ4,
    b"Obj\x01": Format.AVRO,
    b"PAR1": Format.PARQUET,
}
NOT_READ = {
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x9d": "compressed by Unix compress",
    b"\x02\x21\x4c\x18": "lz4 in its legacy frame",
    b"\xff\x06\x00\x00sNaPpY": "framed snappy",
    b"ORC": "ORC",
    b"ARROW1": "an Arrow file",
    b"SEQ": "a Hadoop sequence file",
    b"PARE": "encrypted Parquet",
    b"SQLite format 3": "an SQLite database",
    b"\xff\xfe\x00\x00": "UTF-32 text",
    b"\x00\x00\xfe\xff": "UTF-32 text",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
UTF_16 = {b"{\x00", b"[\x00", b"\x00{", b"\x00["}
"""Starts of JSON in UTF-16 without a byte order mark."""
READ = "JSON lines (plain, gzip, zstd, bz2, lz4), Avro and Parquet are read"
ENDINGS = {".avro": Format.AVRO, ".parquet": Format.PARQUET}
SKIPPABLE = bytes(range(0x50, 0x60)), b"\x2a\x4d\x18"
"""Frame of zstd or lz4 without data, at the start of what pzstd writes."""
HEAD_BYTES = 16
_BEGINS = frozenset(magic[:1] for magic in (*MAGIC, *NOT_READ))
"""First bytes of what is not plain text: an hour may have 10,000 files, and most text begins with a bracket."""


def format_of(file: BinaryIO, key: str) -> Format:
    """Return the format of an object, opened at its start, by its first bytes.

    Raises:
        ValueError: the format is not read, or its name says a format that has no text and that it is not.
    """
    found = sniff(file.read(HEAD_BYTES), key)
    file.seek(0)
    return found


def sniff(head: bytes, key: str = "") -> Format:
    """Return the format that begins with some bytes; ValueError as ``format_of``."""
    begins = head[:1] in _BEGINS
    for magic, found in MAGIC.items() if begins else ():
        if head.startswith(magic) or (head and magic.startswith(head)):  # also if the file is cut short there
            return found
    if head[:1] in SKIPPABLE[0] and head[1:4] == SKIPPABLE[1] and head:
        return Format.ZSTD
    words = next((words for magic, words in NOT_READ.items() if head.startswith(magic)), None) if begins else None
    if words is None and head[:2] in UTF_16:
        words = "UTF-16 text"
    if words is not None:
        message = f"it is {words}, and {READ}"
        raise ValueError(message)
    named = next((named for ending, named in ENDINGS.items() if key.lower().endswith(ending)), None)
    if named is not None:
        message = f"it is not {named}, as its name says"
        raise ValueError(message)
    return Format.PLAIN


def open_text(file: BinaryIO, found: Format, limit: int) -> "Decompressed":
    """Open an object's text, which begins where the file stands; reading beyond ``limit`` bytes raises ValueError."""
    opened: dict[Format, Callable[[], Any]] = {
        Format.PLAIN: lambda: file,
        Format.GZIP: lambda: igzip.GzipFile(fileobj=file),  # type: ignore[no-untyped-call] # isal's stubs
    }
    return Decompressed(opened.get(found, lambda: pa.CompressedInputStream(file, str(found)))(), limit)


class Decompressed(io.RawIOBase):
    """A binary file that may be read up to a limit."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._left, self._limit = file, limit, limit

    def readinto(self, view: Any) -> int:  # noqa: ANN401 - a buffer
        """Read into a buffer; return how many bytes."""
        got: int = self._file.readinto(view)  # type: ignore[attr-defined] # binary files have it
        self._left -= got
        if self._left < 0:
            message = (
                f"it has more than {self._limit >> 20} MiB after decompression. If it is what a producer wrote, raise "
                "MARQUEE_ROLLUP__LIMITS__OBJECT_MB"
            )
            raise ValueError(message)
        return got

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
