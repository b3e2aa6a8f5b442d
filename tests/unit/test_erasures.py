"""Requests to erase viewers: which a run has honoured, and which parts of a rejected line may be a user id."""

import zlib

import numpy as np
import pytest

from jobs.rollup.erasing import candidates, lines_with
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.erased_rows import are_among, erased_viewers
from marquee.lake.erasures import (
    HONOURED,
    Clean,
    Request,
    Requests,
    list_requests,
    read_clean,
    read_request,
    told,
    write_request,
)
from marquee.storage.base import PreconditionError, Store

ONE, TWO, THREE = (f"20260105T13000{number}000000-0000000{number}" for number in (1, 2, 3))


def honoured(*ids: str) -> dict[str, object]:
    """Return the counts of a run that has honoured requests."""
    return {HONOURED: Requests(ids).honoured()}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, (ONE, TWO, THREE)),
        (honoured(), (ONE, TWO, THREE)),
        (honoured(ONE), (TWO, THREE)),
        (honoured(ONE, TWO, THREE), ()),
        (honoured(ONE, THREE), (ONE, TWO, THREE)),
        ({HONOURED: {"requests": 9, "digest": "0"}}, (ONE, TWO, THREE)),
        ({HONOURED: "damaged"}, (ONE, TWO, THREE)),
    ],
    ids=["none", "an empty list", "the first", "all", "without one between", "more than there are", "damaged"],
)
def test_run_has_honoured_the_requests_that_its_marker_counts(
    counts: dict[str, object], expected: tuple[str, ...]
) -> None:
    """A marker's number and digest are of the first requests; if they are not, the run has honoured none."""
    assert Requests((ONE, TWO, THREE)).since(counts) == expected


def test_run_honours_the_requests_before_the_first_that_an_input_has_not() -> None:
    """Of three requests, of which an input has not honoured the second, a run honours the first alone."""
    assert Requests((ONE, TWO, THREE)).up_to({TWO}) == Requests((ONE,))
    assert Requests((ONE, TWO, THREE)).up_to(()) == Requests((ONE, TWO, THREE))


def test_requests_are_objects_of_their_own_and_never_change(store: Store) -> None:
    """Requests are listed in the order of time, with those that are done; writing one again fails."""
    for one, viewers in ((TWO, (2**64 - 1, 5)), (ONE, (7,))):
        write_request(store, Request(viewers, (3,)), one)
    store.put(keys.erased_key(ONE), b"{}")
    assert list_requests(store) == Requests((ONE, TWO))
    assert list_requests(store).done == {ONE}
    assert read_request(store, TWO) == Request((5, 2**64 - 1), (3,))
    assert erased_viewers(store, (ONE, TWO), "any").tolist() == [5, 7, 2**64 - 1]
    with pytest.raises(PreconditionError):
        write_request(store, Request((1,)), ONE)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"viewers": ["1"], "lines": []}', b'{"viewers": []}'])
def test_damaged_request_is_an_error(store: Store, data: bytes) -> None:
    """A request that cannot be read is an error that says what to do, never an empty list."""
    store.put(keys.erasure_key(ONE), data)
    with pytest.raises(CorruptLakeError, match="Restore it from a backup"):
        read_request(store, ONE)


def test_repr_of_a_request_shows_no_pseudonym() -> None:
    """A request that ends in a log by mistake shows nothing."""
    assert repr(Request((17,), (18,))) == "Request()"


def test_small_number_of_viewers_is_not_told() -> None:
    """Nine viewers are told as fewer than ten."""
    assert [told(9), told(10)] == ["fewer than 10 viewers", "10 viewers"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": {"user_id": "a.b@c-d", "episode_id": -1}}',
        b'{"event": {"user_id": "a.b@c-d"',
        b"user=a.b@c-d&country=KR",
        rb'{"user": "\u0061.b@c-d"}',
        rb'"{\"user\": \"a.b@c-d\"}"',
        b"\xff a.b@c-d \xfe",
    ],
    ids=["JSON", "torn JSON", "a query", "an escape", "JSON in a text", "not UTF-8"],
)
def test_user_id_in_a_rejected_line_is_found(line: bytes) -> None:
    """A user id that stands by itself is among the parts of a line."""
    assert b"a.b@c-d" in candidates(line)


def test_user_ids_are_found_anywhere_in_a_line() -> None:
    """Given the user ids, a line with one inside of another word is found, and one with JSON's escapes."""
    lines = [b"xann7", b"bob", b'"\\u00e9ve"', "éve".encode(), b""]
    assert lines_with(["ann", "éve"], lines) == [b"xann7", b'"\\u00e9ve"', "éve".encode()]


def test_values_are_among_sorted_ones() -> None:
    """Values are compared as whole 64-bit numbers, the largest included; nobody is among none."""
    values = np.array([2**64 - 1, 1, 2**63], np.uint64)
    assert are_among(values, np.array([1, 2**64 - 1], np.uint64)).tolist() == [True, True, False]
    assert are_among(values, np.empty(0, np.uint64)).tolist() == [False] * 3


@pytest.mark.parametrize("data", [b"", b"{}", b"\x78\x9c", zlib.compress(b'{"runs": 1, "requests": 2}')])
def test_damaged_note_of_clean_runs_is_an_empty_one(store: Store, data: bytes) -> None:
    """The note is a cache: without it, runs are searched again."""
    store.put(keys.clean_key(keys.ROLLUP), data)
    assert read_clean(store, keys.ROLLUP) == Clean()


def test_note_of_clean_runs_is_read_as_it_was_written(store: Store) -> None:
    """Requests and runs come back."""
    note = Clean(frozenset({ONE}), frozenset({TWO, THREE}))
    store.put(keys.clean_key(keys.ROLLUP), note.to_bytes())
    assert read_clean(store, keys.ROLLUP) == note
