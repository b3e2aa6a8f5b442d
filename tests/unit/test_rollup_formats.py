"""Formats of raw objects: told by their first bytes, and what is not read is named."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from backports import zstd

from jobs.rollup.limits import Limits
from jobs.rollup.lines import read_blocks
from marquee.errors import BadInputError
from tests.helpers_rollup import lines_of, many, new_world
from tests.unit.test_rollup_lines import read


def lz4(data: bytes) -> bytes:
    """Return an lz4 frame."""
    return bytes(pa.Codec("lz4").compress(data, asbytes=True))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "bz2": bz2.compress,
    "lz4": lz4,
}
LINES = lines_of(*(b"line %d" % number for number in range(3)))


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a", "a.json.zst", "a.jsonl"])
def test_compression_is_told_by_the_first_bytes(tmp_path: Path, name: str, packed: str) -> None:
    """Text is decompressed by its first bytes, whatever the name of the object says."""
    assert read(tmp_path, name, PACKED[packed](LINES)) == [(1, "line 0"), (2, "line 1"), (3, "line 2")]


@pytest.mark.parametrize("packed", ["gzip", "zstd", "bz2", "lz4"])
def test_parts_one_after_another(tmp_path: Path, packed: str) -> None:
    """Compressed files that were joined are read to the end of the last one."""
    assert [text for _, text in read(tmp_path, "a", PACKED[packed](b"a\nb") + PACKED[packed](b"c\n"))] == ["a", "bc"]


@pytest.mark.parametrize("packed", ["gzip", "zstd", "bz2", "lz4"])
def test_compressed_file_cut_short(tmp_path: Path, packed: str) -> None:
    """A compressed file that is cut short is bad input, wherever it is cut."""
    data = PACKED[packed](LINES * 1000)
    for size in (1, 3, 5, len(data) // 2, len(data) - 1):
        with pytest.raises(BadInputError, match=r"^a\.json cannot be read to its end"):
            read(tmp_path, "a.json", data[:size])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"PK\x03\x04\x14\x00", "a zip archive", id="zip"),
        pytest.param(b"\xfd7zXZ\x00\x00", "xz", id="xz"),
        pytest.param(b"ORC\x11\x00", "ORC", id="orc"),
        pytest.param(b"\xff\x06\x00\x00sNaPpY", "framed snappy", id="snappy"),
        pytest.param('{"a": 1}'.encode("utf-16"), "UTF-16 text", id="UTF-16 with a mark"),
        pytest.param('{"a": 1}'.encode("utf-16-le"), "UTF-16 text", id="UTF-16 without a mark"),
        pytest.param('[{"a": 1}]'.encode("utf-16-be"), "UTF-16 text", id="UTF-16 of big endians"),
        pytest.param('{"a": 1}'.encode("utf-32"), "UTF-32 text", id="UTF-32"),
        pytest.param(b"PARE1234PARE", "encrypted Parquet", id="encrypted Parquet"),
        pytest.param(gzip.compress(gzip.compress(b"a")), "gzip inside another compression", id="gzip twice"),
        pytest.param(gzip.compress(b"Obj\x01"), "Avro inside another compression", id="Avro in gzip"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    """An object in a format that is not read fails, and the message says which format it is."""
    with pytest.raises(BadInputError, match=rf"^a\.json cannot be read to its end: it is {words}"):
        read(tmp_path, "a.json", data)


def test_gzip_under_json_has_its_plays(tmp_path: Path) -> None:
    """An hour whose only file is gzip with the name of plain lines has all its plays."""
    world = new_world(tmp_path)
    world.put_bytes("shipped.json", gzip.compress(lines_of(*many(2000))))
    world.run()
    assert world.rolled().counts == {"rows_in": 2000, "rows_out": 2000, "duplicates": 0, "rejects": {}}


def test_object_has_a_limit_after_decompression(tmp_path: Path) -> None:
    """An object that is larger than the limit after decompression fails, and the message names the setting."""
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(bytes(3 << 20)))
    assert sum(block.count for block in read_blocks(path, "a", limits=Limits(object_bytes=3 << 20))) == 1
    words = r"it has more than 2 MiB after decompression.+MARQUEE_ROLLUP__LIMITS__OBJECT_MB"
    with pytest.raises(BadInputError, match=words):
        list(read_blocks(path, "a", limits=Limits(object_bytes=2 << 20)))
