"""The list of what retention has ended: its ranges, its conditional writes, and what a damaged one does."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from marquee.calendar import Period, hour
from marquee.errors import CorruptLakeError, NewerLakeError
from marquee.lake import keys
from marquee.lake.datasets import DATASETS
from marquee.lake.ended import NOTHING_ENDED, Deleted, Ended, in_words, read_ended, update_ended
from marquee.lake.layers import LAYERS, RAW, REJECTS, layer_of
from marquee.lake.manifest import Output
from marquee.lake.markers import Markers
from marquee.storage.base import Store

HOURS = list(hour("2026-01-05T13").until(hour("2026-01-05T19").start))
NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
KEY = keys.ended_key("rollup")


def ranges(ended: Ended) -> list[tuple[str, str, str, bool]]:
    """Return the entries in short."""
    return [(one.layer, str(one.first)[-2:], str(one.last)[-2:], one.done) for one in ended.ranges]


def test_periods_that_end_together_are_one_entry() -> None:
    """Consecutive periods are one entry; others, and those that ended at another time, are entries of their own."""
    ended = NOTHING_ENDED.with_periods("raw", [HOURS[0], HOURS[1], HOURS[3]], NOON, done=True)
    ended = ended.with_periods("raw", [HOURS[2]], LATER, done=True).with_periods("rejects", HOURS, NOON, done=True)
    assert ranges(ended) == [
        ("raw", "13", "14", True),
        ("raw", "15", "15", True),
        ("raw", "16", "16", True),
        ("rejects", "13", "18", True),
    ]
    assert [ended.at("raw", one) for one in HOURS] == [NOON, NOON, LATER, NOON, None, None]


def test_period_that_ends_again_replaces_its_entry() -> None:
    """An entry that is noted again, or done, takes the place of its periods in the entry before."""
    ended = NOTHING_ENDED.with_periods("raw", HOURS, NOON, done=False).with_periods("raw", HOURS[2:4], NOON, done=True)
    assert ranges(ended) == [("raw", "13", "14", False), ("raw", "15", "16", True), ("raw", "17", "18", False)]
    assert ranges(ended.with_periods("raw", HOURS, NOON, done=True)) == [("raw", "13", "18", True)]


def test_days_and_weeks_are_entries_of_their_own() -> None:
    """A day and the week that begins with it do not hide each other."""
    periods = [Period.parse(one) for one in ("2026-W02", "2026-01-05", "2026-01", "2026-Q1")]
    ended = NOTHING_ENDED.with_periods("viewer_day", periods, NOON, done=True)
    assert [ended.at("viewer_day", one) for one in periods] == [NOON] * 4
    assert ended.at("viewer_day", Period.parse("2026-01-06")) is None


@pytest.mark.parametrize(("run", "over"), [("20260120T115959000000-aa", True), ("20260120T120001000000-aa", False)])
def test_objects_of_a_later_run_have_not_ended(run: str, over: bool) -> None:
    """An object has ended if its run began before the entry: a period that is made again has its objects again."""
    ended = NOTHING_ENDED.with_periods(REJECTS.name, HOURS, NOON, done=True)
    key = f"data/rollup/{HOURS[0]}/run={run}/rejects.parquet"
    assert ended.has_output(Output("rejects", key, 1, "0" * 64, 1)) is over
    assert not ended.has_output(Output("viewership", key, 1, "0" * 64, 1))


def test_list_is_read_as_it_was_written(store: Store) -> None:
    """What is written is read back, also by the cache of markers, and adds up what was deleted."""
    for _ in range(2):
        update_ended(store, "rollup", lambda ended: ended.with_deleted("raw", Deleted(3, 100)))
    written = update_ended(store, "rollup", lambda ended: ended.with_periods("raw", HOURS, NOON, done=True))
    assert read_ended(store, "rollup") == written
    assert Markers(store).ended("rollup") == written
    assert written.deleted == {"raw": Deleted(6, 200)}
    assert read_ended(store, "profile") == Markers(store).ended("profile") == NOTHING_ENDED


def test_list_in_words() -> None:
    """The status says how many periods of each layer have ended, and up to when."""
    ended = NOTHING_ENDED.with_periods("raw", HOURS, NOON, done=True)
    ended = ended.with_periods("viewer_day", [Period.parse("2026-01-05")], NOON, done=True)
    assert in_words(ended) == ["raw of 6 hours up to 2026-01-05T18", "viewer_day of 1 day up to 2026-01-05"]


def test_cache_sees_a_new_list(store: Store) -> None:
    """A long-running process sees what another one has ended, after its next listing."""
    markers = Markers(store)
    assert not markers.ended("rollup")
    update_ended(store, "rollup", lambda ended: ended.with_periods("raw", HOURS, NOON, done=True))
    markers.refresh("rollup")
    assert markers.ended("rollup").at("raw", HOURS[0]) == NOON


def test_two_writers_lose_nothing(store: Store) -> None:
    """A writer whose list was changed by another one begins anew, from the other's list."""

    def change(ended: Ended) -> Ended:
        if not ended:
            update_ended(store, "rollup", lambda one: one.with_periods("raw", HOURS[:2], NOON, done=True))
        return ended.with_periods("rejects", HOURS[:1], NOON, done=True)

    assert ranges(update_ended(store, "rollup", change)) == [("raw", "13", "14", True), ("rejects", "13", "13", True)]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        [["raw", "2026-01-05T13", "2026-01-05", "2026-01-20T00:00:00+00:00", True]],
        [["raw", "2026-01-05T13", "2026-01-05T14", "2026-01-20", True]],
        [
            ["raw", "2026-01-05T13", "2026-01-05T15", "2026-01-20T00:00:00+00:00", True],
            ["raw", "2026-01-05T14", "2026-01-05T16", "2026-01-20T00:00:00+00:00", True],
        ],
    ],
)
def test_damaged_list_is_an_error(store: Store, text: bytes | list[object]) -> None:
    """Without the list nobody knows what was deleted on purpose, so that a damaged one is an error that names it."""
    known = {"format": 1, "deleted": {}, "ended": text}
    store.put(KEY, text if isinstance(text, bytes) else json.dumps(known).encode())
    with pytest.raises(CorruptLakeError, match="markers/rollup/_ENDED is not a list of what has ended"):
        read_ended(store, "rollup")


def test_list_of_a_later_version_is_an_error(store: Store) -> None:
    """A list of a later format is not damage: it needs a later version of Marquee."""
    store.put(KEY, b'{"format": 2}')
    with pytest.raises(NewerLakeError, match="has format 2; this version reads up to 1"):
        read_ended(store, "rollup")


def test_every_dataset_is_in_one_layer() -> None:
    """Each dataset of the lake is in exactly one layer, which says whether and when it ends."""
    named = [name for layer in LAYERS for name in layer.data]
    assert len(named) == len({*named})
    assert all(layer_of(one.name) for one in DATASETS)
    assert RAW in LAYERS
