"""The compiled module: hashes and viewers are those of Python's library."""

import hashlib
import hmac
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollup import native
from jobs.rollup.viewer import viewer_of
from tests.helpers_passes import siphash_1_3

KEY = b"sixteen bytes at least"
HASH_KEY = bytes(range(16))


def table(*keys: bytes) -> native.UserTable:
    """Return a table of users under keys, oldest first."""
    hashed = (hashlib.sha256(one).digest() if len(one) > 64 else one for one in keys or (KEY,))
    blocks = [one.ljust(64, b"\0") for one in hashed]
    pads = [(bytes(byte ^ 0x36 for byte in one), bytes(byte ^ 0x5C for byte in one)) for one in blocks]
    return native.UserTable(pads, HASH_KEY)


def viewers(users: native.UserTable, texts: pa.StringArray) -> list[int]:
    """Look up texts."""
    found: npt.NDArray[np.uint64] = np.zeros(len(texts), np.uint64)
    _, offsets, data = texts.buffers()
    users.viewers(offsets, data or b"", texts.offset, len(texts), found)
    return [int(one) for one in found]


@pytest.mark.parametrize("instructions", [True, False])
@given(key=st.binary(min_size=16, max_size=80), names=st.lists(st.text(max_size=150), min_size=1))
def test_viewers_are_hmacs(key: bytes, names: list[str], *, instructions: bool) -> None:
    """The viewer of any user under any key is the HMAC of Python's library, when it is new and when it is known.

    So it is with the processor's instructions for SHA-256, if it has them, and without.
    """
    try:
        texts = pa.array(names, pa.string())
    except UnicodeEncodeError:
        return
    expected = [viewer_of((key,), name) for name in names]
    native.use_sha256(wanted=instructions)
    try:
        users = table(key)
        assert viewers(users, texts) == expected
        assert viewers(users, texts) == expected
    finally:
        native.use_sha256(wanted=True)


@given(st.lists(st.binary(min_size=16, max_size=80), min_size=2, max_size=4), st.lists(st.text("aé", max_size=99)))
def test_newer_keys_hash_the_viewer_under_older_ones(keys: list[bytes], names: list[str]) -> None:
    """Under several keys, each hashes the eight bytes that the key before has given."""
    expected = []
    for name in names:
        found = name.encode()
        for key in keys:
            found = hmac.digest(key, found, "sha256")[:8]
        expected.append(int.from_bytes(found))
    users = table(*keys)
    assert viewers(users, pa.array(names, pa.string())) == expected
    assert viewers(users, pa.array(names, pa.string())) == expected


@pytest.mark.parametrize("length", [1, 22, 23, 54, 55, 56, 63, 64, 65, 119, 120, 128, 512])
def test_users_of_each_length(length: int) -> None:
    """Users around the block sizes of SHA-256, and of a slot of the table, have their own viewers."""
    names = ["é" * (length // 2) + "a" * (length % 2), "b" * length]
    assert viewers(table(), pa.array(names)) == [viewer_of((KEY,), name) for name in names]


def test_many_users_are_known() -> None:
    """A table grows with its users, and finds each one again."""
    names = [f"user-{n}" if n % 3 else f"a user with a long name, {n}" for n in range(5000)]
    users = table()
    expected = [int.from_bytes(hmac.digest(KEY, name.encode(), "sha256")[:8]) for name in names]
    assert viewers(users, pa.array(names)) == expected
    assert users.users == 5000
    assert viewers(users, pa.array(names).slice(4000)) == expected[4000:]
    assert users.users == 5000


def test_table_begins_anew_when_it_is_full() -> None:
    """A table forgets its users rather than growing without bound; viewers stay right."""
    names = pa.array([f"{n}" for n in range(700_000)])
    users = table()
    found = viewers(users, names)
    assert users.users < 100_000
    assert found[:3] + found[-3:] == [viewer_of((KEY,), str(n)) for n in (0, 1, 2, 699_997, 699_998, 699_999)]


def test_hash_is_siphash() -> None:
    """The hash of texts is SipHash-1-3, by the vectors of its reference implementation's generalization.

    Python's own hash of bytes is the same function, but its key is random. So the expected values are those of the
    vectors for the key 00 01 … 0f and the messages of length 0, 1, 8, 15, each 00 01 02 ….
    """
    messages = [bytes(range(n)) for n in (0, 1, 8, 15)]
    offsets = np.cumsum([0, *map(len, messages)], dtype=np.int32)
    hashes: npt.NDArray[np.uint64] = np.zeros(4, np.uint64)
    native.hash_texts(HASH_KEY, offsets, b"".join(messages), 0, 4, hashes)
    assert [int(one) for one in hashes] == [siphash_1_3(HASH_KEY, one) for one in messages]
    assert int(hashes[0]) == 0xABAC0158050FC4DC


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_hashed(messages: list[bytes]) -> None:
    """The compiled hash agrees with the plain one; with a margin, it leaves out the quotes."""
    quoted = [b'"' + one + b'"' for one in messages]
    offsets = np.cumsum([0, *map(len, quoted)], dtype=np.int32)
    hashes: npt.NDArray[np.uint64] = np.zeros(len(messages), np.uint64)
    native.hash_texts(HASH_KEY, offsets, b"".join(quoted), 0, len(messages), hashes, 1)
    assert [int(one) for one in hashes] == [siphash_1_3(HASH_KEY, one) for one in messages]


def test_module_is_of_its_source() -> None:
    """The module knows the checksum of the source that it was compiled from."""
    source = Path(native.__file__).with_name("native.pyx")
    assert zlib.crc32(source.read_bytes()) == native.SOURCE
