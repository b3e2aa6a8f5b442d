"""Counting of events on integers: the same as in plain loops, whatever the values and however events are split."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollup import counting
from jobs.rollup.buckets import Splitter, by_bucket, by_viewer_range
from jobs.rollup.counting import count, merge
from jobs.rollup.events import EVENTS

NOON = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - UTC without a zone
Row = tuple[Any, ...]
ODD = 0x9E3779B97F4A7C15


def event(viewer: int = 1, key: int = 1, second: int = 0, **changes: Any) -> dict[str, Any]:
    """Return an event of episode 7 at a second after noon, in Korea, with other values of some fields."""
    return {
        "viewer": viewer, "event_key": key, "received_at": NOON + timedelta(seconds=second), "episode_id": 7,
        "country": "KR", "language": "ko", "device": "tv", "utc_offset_minutes": 540, "watched_seconds": 60, **changes,
    }  # fmt: skip


def table(*events: dict[str, Any]) -> pa.Table:
    """Return events as a table."""
    return pa.Table.from_pylist(list(events), EVENTS)


def in_chunks(events: Sequence[dict[str, Any]], size: int) -> pa.Table:
    """Return events as a table in chunks, each with texts of its own."""
    return pa.concat_tables([table(*events[at : at + size]) for at in range(0, len(events), size)])


def rows(found: pa.Table) -> list[Row]:
    """Return the rows of a table in its order."""
    return [tuple(row.values()) for row in found.to_pylist()]


def in_loops(events: Sequence[dict[str, Any]]) -> tuple[list[Row], list[Row], int]:
    """Return viewer_hour, viewership and the number of plays, in plain loops."""
    known: dict[Row, Row] = {}
    for one in events:
        order = (one["received_at"], *(one[name] for name in counting.IN_ORDER))
        key = one["viewer"], one["event_key"]
        known[key] = min(known.get(key, order), order)
    watched: dict[Row, list[Row]] = defaultdict(list)
    seen: dict[Row, list[tuple[int, int]]] = defaultdict(list)
    for (viewer, _), (_, end, episode, country, language, device, offset, seconds) in known.items():
        watched[viewer, episode, country, language].append((seconds, end - timedelta(seconds=seconds), end))
        seen[episode, country, (end + timedelta(minutes=offset)).hour, device].append((seconds, viewer))
    viewer_hour = [
        (*key, len(of), sum(s for s, _, _ in of), min(b for _, b, _ in of), max(e for _, _, e in of))
        for key, of in sorted(watched.items())
    ]
    viewership = [
        (*key, len(of), sum(s for s, _ in of), sum(2**top for top in {viewer // 2**58 for _, viewer in of}))
        for key, of in sorted(seen.items())
    ]
    return viewer_hour, viewership, len(known)


EVENT = st.builds(
    event,
    viewer=st.sampled_from([0, 1, 2, 3, 1 << 58, 1 << 62, (1 << 62) + 1, 1 << 63, (1 << 63) + 1, (1 << 64) - 1]),
    key=st.integers(0, 5) | st.just((1 << 64) - 1),
    second=st.integers(-7200, 7200),
    episode_id=st.sampled_from([1, 2, 2509799, 1 << 53]),
    country=st.sampled_from(["KR", "US", "AA"]),
    language=st.sampled_from(["ko", "ko-KR", "en"]),
    device=st.sampled_from(["tv", "tv-2", "tv_2", "phone"]),
    utc_offset_minutes=st.sampled_from([-720, -30, 0, 330, 840]),
    watched_seconds=st.sampled_from([0, 1, 60, 3600]),
)


@given(st.lists(EVENT, min_size=1, max_size=60), st.integers(1, 20), st.sampled_from([1, 20, 1 << 40]))
def test_same_as_in_plain_loops(events: list[dict[str, Any]], size: int, most_codes: int) -> None:
    """Any events are counted as plain loops count them, in the same order, also where their codes need more bits."""
    with mock.patch.object(counting, "MOST_CODES", most_codes):
        counted = count(in_chunks(events, size))
    assert (rows(counted.viewer_hour), rows(counted.viewership), counted.plays) == in_loops(events)


@given(st.lists(EVENT, min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 8), st.integers(1, 5))
def test_parts_add_up(events: list[dict[str, Any]], size: int, most: int, buckets: int) -> None:
    """Events in buckets, and these in ranges of viewers, give the rows of all events together."""
    viewer_hour: list[Row] = []
    partials: list[pa.Table] = []
    for bucket, own in by_bucket(in_chunks(events, size), buckets):
        parts = [count(part) for part in by_viewer_range([own.slice(0, 1), own.slice(1)], most)]
        found = [row for part in parts for row in rows(part.viewer_hour)]
        assert found == sorted(found)
        assert {row[0] % buckets for row in found} == {bucket}
        viewer_hour += found
        partials += [part.viewership for part in parts]
    assert (sorted(viewer_hour), rows(merge(partials))) == in_loops(events)[:2]
    with mock.patch.object(counting, "MERGED_ROWS", most):
        assert rows(merge(iter(partials))) == in_loops(events)[1]


def test_viewers_that_differ_in_their_last_bits() -> None:
    """Viewers whose numbers follow each other are kept apart and in order, beside the numbers of all episodes."""
    events = [
        event(viewer, key=episode, episode_id=episode) for viewer in (5, 3, 4) for episode in (1 << 53, 1, 1 << 30)
    ]
    found = rows(count(table(*events)).viewer_hour)
    assert [row[:2] for row in found] == [(viewer, e) for viewer in (3, 4, 5) for e in (1, 1 << 30, 1 << 53)]


def test_events_that_only_seem_repeated() -> None:
    """Events with other ids and viewers are plays, also if the numbers that find repeated ones are the same."""
    other = 5 ^ (1 * ODD) % (1 << 64) ^ (2 * ODD) % (1 << 64)
    events = table(event(1, 5), event(2, other), event(1, other), event(2, 5))
    assert count(events).plays == 4


def test_first_of_repeated_events_counts() -> None:
    """Of events with one id the first received counts; at one instant, the one with the first values."""
    events = [
        event(second=3),
        event(second=2, device="tv"),
        event(second=2, device="phone"),
        event(second=2, device="tv"),
    ]
    for order in (events, events[::-1]):
        counted = count(table(*order))
        assert rows(counted.viewership) == [(7, "KR", 21, "phone", 1, 60, 1)]
        assert counted.plays == 1


def test_bits_tell_of_how_many_viewers_a_cell_is_at_least() -> None:
    """The upper six bits of each viewer who counts are a bit; those of a cell, or of several, merge by OR."""
    of_two = count(table(event(5 << 58), event((5 << 58) + 1), event(63 << 58, second=1), event(63 << 58, second=2)))
    of_one = count(table(event(6 << 58), event(9 << 58, key=2, device="phone")))
    # Two viewers share bit 5; the fourth event is a duplicate of the third.
    assert rows(of_two.viewership) == [(7, "KR", 21, "tv", 3, 180, 1 << 5 | 1 << 63)]
    assert rows(of_one.viewership) == [(7, "KR", 21, "phone", 1, 60, 1 << 9), (7, "KR", 21, "tv", 1, 60, 1 << 6)]
    assert rows(merge([of_two.viewership, of_one.viewership])) == [
        (7, "KR", 21, "phone", 1, 60, 1 << 9),
        (7, "KR", 21, "tv", 4, 240, 1 << 5 | 1 << 6 | 1 << 63),
    ]


def test_a_duplicate_leaves_no_bit() -> None:
    """An event that does not count sets no bit in the cell in which it would have counted."""
    viewer = 44 << 58
    counted = count(table(event(viewer, second=1), event(viewer, second=2, device="phone"), event(3 << 58, key=2)))
    assert rows(counted.viewership) == [(7, "KR", 21, "tv", 2, 120, 1 << 3 | 1 << 44)]


def test_one_table_for_each_bucket() -> None:
    """However many batches a task reads, it yields one table for each bucket, with the texts of its events."""
    splitter = Splitter(2, 1 << 20)
    batches = [table(*(event(viewer, second=n) for viewer in range(10))) for n in range(50)]
    assert not [pair for batch in batches for pair in splitter.add(batch)]
    found = list(splitter.rest())
    assert [(bucket, own.num_rows, own["country"].num_chunks) for bucket, own in found] == [(0, 250, 1), (1, 250, 1)]
    assert not list(splitter.rest())


def test_more_events_than_a_task_may_hold() -> None:
    """Beyond its bytes a task splits what it holds, and goes on."""
    batch = table(*(event(viewer) for viewer in range(100)))
    splitter = Splitter(4, 3 * batch.get_total_buffer_size())
    yielded = [len(list(splitter.add(batch))) for _ in range(9)]
    assert yielded == [0, 0, 0, 4, 0, 0, 0, 4, 0]
    assert sum(own.num_rows for _, own in splitter.rest()) == 100


def test_bucket_has_no_texts_of_others() -> None:
    """If there are more texts than events in a bucket, it gets its own alone: 1,000 languages take no room 10 times."""
    events = table(*(event(viewer, language=f"x-{viewer}") for viewer in range(1000)))
    found = [own["language"].chunk(0).dictionary for _, own in by_bucket(events, 10)]
    assert [len(texts) for texts in found] == [100] * 10
    assert found[3].to_pylist() == [f"x-{viewer}" for viewer in range(3, 1000, 10)]


@pytest.mark.parametrize(("most", "parts"), [(1000, 1), (999, 2), (500, 2), (300, 4)])
def test_ranges_of_viewers(most: int, parts: int) -> None:
    """A bucket with more events than fit is counted in a power of two of parts, by the upper bits of the viewer."""
    viewers = np.arange(1000, dtype=np.uint64) * np.uint64((1 << 64) // 1000 + 1)
    events = table(*(event(int(viewer)) for viewer in viewers))
    found = list(by_viewer_range([events], most))
    assert len(found) == parts
    assert [one["viewer"].to_pylist() for one in found] == [part.tolist() for part in np.split(viewers, parts)]
