"""The list of pending hours: what a run writes before its work and after it, and what other processes read."""

import pytest

from marquee.calendar import Period, hour
from marquee.lake.keys import pending_key
from marquee.lake.markers import Markers, publish
from marquee.storage.base import Store
from tests.helpers_mart import marker_of

ONE, TWO, THREE = (hour(f"2026-01-05T{number}") for number in (10, 11, 12))


def make(store: Store, period: Period) -> None:
    """Publish an hour."""
    publish(store, marker_of("rollup", str(period), 1, "20260105T130000000000-00000000"), None)


def keys_of(store: Store) -> list[str]:
    """Return the keys of the lists of pending hours in a lake."""
    return [info.key for info in store.list("markers/") if info.key.endswith("_PENDING")]


def test_pending_hours_are_those_without_a_success(store: Store) -> None:
    """Another process reads the hours that were announced, without those that have been made since."""
    Markers(store).announce("rollup", {ONE, TWO}, tidy=False)
    assert Markers(store).pending("rollup") == {ONE, TWO}
    make(store, ONE)
    assert Markers(store).pending("rollup") == {TWO}
    assert Markers(store).pending("profile") == frozenset()


def test_run_drops_the_hours_that_it_has_made(store: Store) -> None:
    """The end of a run drops the hours with a success, and deletes the list once it is empty."""
    markers = Markers(store)
    markers.announce("rollup", {ONE, TWO}, tidy=False)
    make(store, ONE)
    markers.forget("rollup")
    markers.announce("rollup", {TWO}, tidy=True)
    assert b"T10" not in store.get(pending_key("rollup"))
    make(store, TWO)
    markers.forget("rollup")
    markers.announce("rollup", set(), tidy=True)
    assert keys_of(store) == []


def test_hours_of_another_run_stay(store: Store) -> None:
    """A run adds its own pending hours to those of other runs."""
    Markers(store).announce("rollup", {ONE}, tidy=True)
    Markers(store).announce("rollup", {THREE}, tidy=True)
    assert Markers(store).pending("rollup") == {ONE, THREE}


@pytest.mark.parametrize("tidy", [False, True])
def test_nothing_is_written_without_a_change(store: Store, tidy: bool) -> None:
    """A run that announces what the lake lists, or nothing in a lake without a list, writes no object."""
    Markers(store).announce("rollup", set(), tidy=tidy)
    assert keys_of(store) == []
    Markers(store).announce("rollup", {ONE, TWO}, tidy=False)
    (before,) = store.list(pending_key("rollup"))
    Markers(store).announce("rollup", {ONE}, tidy=tidy)
    assert list(store.list(pending_key("rollup"))) == [before]


def test_refresh_reads_a_list_that_has_changed(store: Store) -> None:
    """A long-running process sees the list of a later run once it refreshes, and that the list is gone."""
    markers = Markers(store)
    assert markers.pending("rollup") == frozenset()
    Markers(store).announce("rollup", {ONE}, tidy=False)
    assert markers.pending("rollup") == frozenset()
    markers.refresh("rollup")
    assert markers.pending("rollup") == {ONE}
    store.delete(pending_key("rollup"))
    markers.refresh("rollup")
    assert markers.pending("rollup") == frozenset()


@pytest.mark.parametrize("body", [b"", b"{nonsense", b'{"periods": ["2026-01-05T25"]}', b"[" * 100_000, b"\xff"])
@pytest.mark.parametrize("tidy", [False, True])
def test_damaged_list_is_replaced(store: Store, body: bytes, tidy: bool) -> None:
    """A damaged list counts as none, and the next run writes it again, or deletes it if nothing is pending."""
    store.put(pending_key("rollup"), body)
    assert Markers(store).pending("rollup") == frozenset()
    Markers(store).announce("rollup", {ONE}, tidy=tidy)
    assert Markers(store).pending("rollup") == {ONE}
    store.put(pending_key("rollup"), body)
    Markers(store).announce("rollup", set(), tidy=tidy)
    assert keys_of(store) == []
