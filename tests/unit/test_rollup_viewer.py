"""Viewers: HMAC-SHA256 as other implementations compute it, in both ways in which it is computed here."""

import hashlib
import hmac
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollup.pseudonyms import Viewers
from jobs.rollup.viewer import fingerprint, newer_keys, parse_keys, viewer_of
from marquee.engine.duckdb import open_database

# RFC 4231, test cases 1, 2 and 6: the first 8 of the 32 bytes.
PUBLISHED = [
    pytest.param(b"\x0b" * 20, "Hi There", 0xB0344C61D8DB3853, id="a short key"),
    pytest.param(b"Jefe", "what do ya want for nothing?", 0x5BDCC146BF60754E, id="a very short key"),
    pytest.param(
        b"\xaa" * 131, "Test Using Larger Than Block-Size Key - Hash Key First", 0x60E431591EE0B67F, id="a long key"
    ),
]
USERS = st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1, max_size=128)


def query(key: bytes, *users: str) -> list[int]:
    """Return the viewers that the rollup computes in one query."""
    with open_database() as db:
        return [int(viewer) for viewer in Viewers((key,)).of(db, users)]


@pytest.mark.parametrize(("key", "user", "viewer"), PUBLISHED)
def test_published_values(key: bytes, user: str, viewer: int) -> None:
    """A viewer is the first 64 bits of the results in the RFC, in big-endian order."""
    assert viewer_of((key,), user) == viewer
    assert query(key, user) == [viewer]


@given(st.binary(min_size=1, max_size=200), st.lists(USERS, max_size=20))
def test_query_gives_what_the_library_gives(key: bytes, users: list[str]) -> None:
    """The query gives the same viewers as the standard library, for any key and any list of users."""
    expected = [int.from_bytes(hmac.new(key, user.encode(), hashlib.sha256).digest()[:8]) for user in users]
    assert query(key, *users) == expected
    assert [viewer_of((key,), user) for user in users] == expected


@pytest.mark.parametrize("size", [63, 64, 65])
def test_keys_around_the_hash_block(size: int) -> None:
    """A key of up to 64 bytes is used as it is, and a longer key is hashed first."""
    key = b"k" * size
    assert query(key, "u1") == [int.from_bytes(hmac.new(key, b"u1", hashlib.sha256).digest()[:8])]


def test_many_users_keep_their_order() -> None:
    """The viewers of many users are in the order of the users, across the vectors of the database."""
    users = [f"u{n}" for n in range(5000)]
    assert query(b"k" * 16, *users) == [viewer_of((b"k" * 16,), user) for user in users]


def test_viewers_use_all_64_bits() -> None:
    """Viewers use all 64 bits, so that buckets are about equally full."""
    viewers = np.array(query(b"k" * 16, *(f"u{n}" for n in range(4096))), np.uint64)
    assert int(viewers.max()) > 2**63
    assert np.bincount((viewers % np.uint64(16)).astype(int), minlength=16).min() > 180


def test_fingerprint_tells_keys_apart_and_nothing_else() -> None:
    """The fingerprint of a key is 16 hexadecimal digits that depend on the key and reveal nothing of it."""
    key = b"a key of 20 bytes.."
    published = fingerprint((key,))
    assert fingerprint((key,)) == published != fingerprint((key + b"!",))
    assert re.fullmatch("[0-9a-f]{16}", published)
    assert published not in {key.hex()[:16], hashlib.sha256(key).hexdigest()[:16]}


def chain(user: str, *oldest_first: bytes) -> int:
    """Return a viewer under several keys, as the standard library computes it step by step."""
    found = user.encode()
    for key in oldest_first:
        found = hmac.new(key, found, hashlib.sha256).digest()[:8]
    return int.from_bytes(found)


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=4), st.lists(USERS, max_size=20))
def test_a_newer_key_hashes_the_viewer_under_the_older_ones(keys: list[bytes], users: list[str]) -> None:
    """Under a list, newest first, each key hashes the eight bytes of the viewer under the keys after it."""
    expected = [chain(user, *keys) for user in users]
    newest_first = tuple(reversed(keys))
    assert [viewer_of(newest_first, user) for user in users] == expected
    with open_database() as db:
        assert Viewers(newest_first).of(db, users).tolist() == expected
        older = np.array([chain(user, keys[0]) for user in users], np.uint64)
        if len(keys) > 1:
            assert Viewers(newest_first[:-1]).after(db, older).tolist() == expected


def test_fingerprint_of_a_list_is_of_all_its_keys_in_their_order() -> None:
    """A list of one has the fingerprint of its key; other lists of the same keys have others."""
    one, two = b"a key of 20 bytes...", b"another one of these"
    found = {fingerprint(keys) for keys in ((one,), (two,), (one, two), (two, one), (one, two, one))}
    assert len(found) == 5
    assert (
        fingerprint((one,)) == hashlib.sha256(hmac.digest(one, b"marquee key fingerprint", "sha256")).hexdigest()[:16]
    )


def test_newer_keys_lead_from_an_older_list_to_the_whole_one() -> None:
    """Of three keys, two are newer than the oldest alone, one is newer than the two oldest, and none than all three."""
    keys = (b"newest", b"newer", b"oldest")
    assert newer_keys(keys, fingerprint((b"oldest",))) == (b"newest", b"newer")
    assert newer_keys(keys, fingerprint((b"newer", b"oldest"))) == (b"newest",)
    assert newer_keys(keys, fingerprint(keys)) == ()
    assert newer_keys(keys, fingerprint((b"newer",))) is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("one key", (b"one key",)),
        ('["new", "old"]', (b"new", b"old")),
        ("1234567890123456", (b"1234567890123456",)),
        ("[half a list", (b"[half a list",)),
    ],
)
def test_a_setting_is_one_key_or_a_list_in_json(text: str, keys: tuple[bytes, ...]) -> None:
    """A text is one key, also of digits alone; only what begins and ends as a list is one."""
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["[]", "[1]", "[old, new]", '[["old"]]'])
def test_a_list_that_is_none_is_refused_without_its_content(text: str) -> None:
    """A damaged list is no key: otherwise a lake would begin under it. The message shows none of it."""
    with pytest.raises(ValueError, match="expected a key, or a list of keys in JSON"):
        parse_keys(text)
