"""Gaps and overlaps of Kafka offsets: what is provable, and what raises nothing."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.rollup.offsets import Break, Ranges, find_breaks, name_offsets, offsets_of, ranges_in
from marquee.calendar import Period, hour

Files = dict[int, dict[int, int]]
"""Records of a partition's files, by hour of the day and first offset."""


def hour_of(number: int) -> Period:
    """Return an hour of the day of the tests."""
    return hour(f"2026-01-05T{number:02}")


def key(first: int, log: str = "plays+0") -> str:
    """Return the key of a file."""
    return f"topics/plays/{log}+{first:010}.json.gz"


def counted(files: Files, log: str = "plays+0") -> dict[Period, Ranges]:
    """Return the ranges of hours, as they are in the markers."""
    hours = {hour_of(number): {key(first, log): n for first, n in own.items()} for number, own in files.items()}
    found = {period: ranges_in({"offsets": offsets_of(own)}) for period, own in hours.items()}
    return {period: ranges for period, ranges in found.items() if ranges}


def breaks(files: Files, *still_open: int) -> list[tuple[int, bool, int, int, int]]:
    """Return (hour, whether it is a gap, first offset, last offset, records) of each break."""
    left = {hour_of(number) for number in still_open}
    found = find_breaks(counted(files), left.__contains__)
    return [(one.hour.start.hour, one.gap, one.first, one.last, one.records) for one in found]


def steady(hours: range, records: int = 10, files: int = 2, skipped: int = 0) -> Files:
    """Return hours of equal files that follow each other, with ``skipped`` offsets after each file."""
    step = records + skipped
    return {h: {(h * files + n) * step: records for n in range(files)} for h in hours}


# Counting.


def test_offsets_of_an_hour_are_counted_by_partition() -> None:
    """An hour has first and last offset, records and ranges of each partition; blank and rejected lines count."""
    files = {
        key(100): 10,
        key(110): 5,
        key(120): 5,
        key(7, "plays+12"): 3,
        "topics/plays/plays+0+0000000125.snappy.parquet": 1,
    }
    assert offsets_of(files) == {
        "plays+0": {"first": 100, "last": 125, "records": 21, "ranges": [[100, 114, 2], [120, 125, 2]]},
        "plays+12": {"first": 7, "last": 9, "records": 3, "ranges": [[7, 9, 1]]},
    }


@pytest.mark.parametrize(
    "name",
    ["part-00000.json", "plays+0+7.json", "plays-0-0000000007.json", "plays+0000000007.json", "0000000007.json.gz"],
)
def test_other_names_have_no_offsets(name: str) -> None:
    """Names of other producers, and offsets of fewer than ten digits, are not read as offsets."""
    assert not name_offsets([f"topics/plays/{name}"])
    assert offsets_of({f"topics/plays/{name}": 5}) == {}


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"offsets": None},
        {"offsets": {"plays+0": {}}},
        {"offsets": {"a": {"ranges": [1]}}},
        {"offsets": {"a": {"ranges": [[0, 9, 0]]}}},
        {"offsets": {"a": {"ranges": [[9, 0, 1]]}}},
        {"offsets": {"a": {"ranges": [[-9, 0, 1]]}}},
    ],
)
def test_counts_of_another_form_are_none(counts: dict[str, object]) -> None:
    """Counts of a marker without offsets, or with offsets of another form, are none."""
    assert ranges_in(counts) is None


# Gaps.


def test_missing_file_within_an_hour_is_a_gap() -> None:
    """A file that is missing within an hour is a gap with its offsets and records."""
    assert breaks({13: {100: 10, 110: 10, 130: 10}}) == [(13, True, 120, 129, 10)]


def test_missing_file_across_hours_is_a_gap() -> None:
    """A last file of an hour that is missing is a gap before the next hour; so is a whole missing hour."""
    files = steady(range(10, 16))
    del files[11][230]
    del files[14]
    assert breaks(files) == [(12, True, 230, 239, 10), (15, True, 280, 299, 20)]


def test_gap_is_told_in_words() -> None:
    """A break names records, topic, partition and offsets."""
    words = [
        str(Break("plays+3", hour_of(13), gap, first, last, records))
        for gap, first, last, records in [(True, 120, 129, 10), (True, 120, 149, 10), (False, 7, 7, 1)]
    ]
    assert words == [
        "10 records of plays, partition 3, are missing: offsets 120 to 129",
        "10 records of plays, partition 3, are missing: among offsets 120 to 149",
        "1 record of plays, partition 3, is in two files: offset 7",
    ]


def test_partitions_and_topics_are_compared_apart() -> None:
    """Only the partition of a topic that lacks a file has a gap."""
    whole, broken = (
        counted(steady(range(10, 13)), "plays+1"),
        counted({10: {0: 5, 5: 5}, 11: {20: 5, 25: 5}}, "views+1"),
    )
    hours = {period: {**whole[period], **broken.get(period, {})} for period in whole}
    (found,) = find_breaks(hours, lambda _: False)
    assert (found.log, found.first, found.last) == ("views+1", 10, 19)


def test_records_of_adjacent_hours_may_interleave() -> None:
    """Where two hours are open at once, a file's records are not one range of offsets, and nothing is missing.

    Offsets 20 to 39 alternate between the files of hour 10 (from 20) and hour 11 (from 21).
    """
    assert breaks({10: {0: 10, 10: 10, 20: 10}, 11: {21: 10, 40: 10, 50: 10}}) == []


def test_gap_where_hours_interleave_is_told_with_its_bounds() -> None:
    """Where hours interleave, the number of missing records is exact, and their offsets are a range around them.

    Of the offsets 20 to 39, which alternate, hour 11 has six of ten, and 40 to 49 are missing. The missing records are
    after 10, the start of the range that interleaves with other files.
    """
    files = {9: {0: 10}, 10: {10: 10, 20: 10}, 11: {21: 6, 50: 10, 60: 10}}
    assert breaks(files) == [(11, True, 11, 49, 14)]


def test_gap_shows_once_the_hours_around_it_are_done() -> None:
    """A gap may close while an hour between its files, or next to them, is not done; its records may be there."""
    files = steady(range(10, 16))
    del files[12]
    for number in range(9, 17):
        assert breaks(files, number) == ([] if 10 <= number <= 14 else [(13, True, 240, 259, 20)])


# What raises nothing.


def test_files_that_follow_each_other_raise_nothing() -> None:
    """Neither the first file of the lake nor its last one is a gap."""
    assert breaks(steady(range(5, 15))) == []


def test_transactions_raise_nothing() -> None:
    """A control record after each transaction leaves a hole at most files, however small the files are."""
    for records in (1, 2, 10, 1000):
        assert breaks(steady(range(24), records, skipped=1)) == []
        assert breaks(steady(range(24), records, skipped=2)) == []


def test_transactions_with_a_missing_file_raise_nothing() -> None:
    """In a topic with transactions, even a missing file proves nothing: it may have been an aborted transaction."""
    files = steady(range(24), skipped=1)
    del files[12][24 * 11]
    assert breaks(files) == []


def test_tombstones_raise_nothing() -> None:
    """Some records without a value, which the sink does not write, are no lost file."""
    files = steady(range(24))
    files[3][60], files[12][250], files[12][240] = 9, 7, 8
    assert breaks(files) == []


def test_one_record_raises_nothing() -> None:
    """One missing record is never provable, even between files of one record: it may be a control record."""
    files = steady(range(24), records=1)
    del files[12][24]
    assert breaks(files) == []


def test_compacted_topic_raises_nothing() -> None:
    """In a compacted topic every file has holes, small and large."""
    holes = [3, 0, 17, 5, 9, 40, 1, 12, 7, 30, 2, 8]
    first, files = 0, {}
    for number, hole in enumerate(holes):
        files[number] = {first: 10}
        first += 10 + hole
    assert breaks(files) == []


def test_stretch_that_was_compacted_raises_nothing() -> None:
    """A stretch that the sink read late, after compaction, raises nothing between hours that are whole."""
    files = steady(range(10))
    first = 200
    for number, hole in enumerate([6, 9, 20, 15, 3, 11, 30, 8], 10):
        files[number] = {first: 10}
        first += 10 + hole
    assert breaks(files) == []


def test_topic_created_again_raises_nothing() -> None:
    """Offsets that begin again at 0 are neither gaps nor overlaps; later gaps are found again."""
    files = steady(range(10, 13), files=10)
    again = {13: {1290: 5, 0: 5}, 14: {5: 10, 15: 10}, 15: {25: 10, 35: 10}}
    assert breaks(files | again) == []
    del again[14][15]
    again[16] = {45: 10}
    assert breaks(files | again) == [(15, True, 15, 24, 10)]


def test_producer_that_begins_each_hour_at_0_raises_nothing() -> None:
    """Another producer with such names, whose numbers begin again each hour, raises nothing."""
    assert breaks({number: {0: 10, 20: 10, 21: 3} for number in range(24)}) == []


def test_records_of_several_lines_raise_nothing() -> None:
    """Files with more lines than offsets overlap everywhere, which proves nothing."""
    files = {number: {number * 20: 15, number * 20 + 10: 15} for number in range(24)}
    assert breaks(files) == []


def test_record_that_arrives_late_in_an_old_hour_raises_nothing() -> None:
    """A late record is in the folder of its old hour, between the offsets of a newer one."""
    assert breaks({10: {0: 10, 10: 10, 45: 1}, 11: {20: 10, 30: 10}, 12: {40: 5, 46: 10, 56: 10}}) == []


# Overlaps.


def test_records_in_two_files_of_an_hour_overlap() -> None:
    """A file that begins before the end of the one before it in its hour overlaps with it."""
    files = steady(range(10, 16))
    files[12][245] = 10
    del files[12][250]
    files[12][255] = 5
    assert breaks(files) == [(12, False, 245, 249, 5)]


def test_overlap_hides_no_later_gap() -> None:
    """The records that an overlap counts twice do not make up for records that are missing later."""
    files = steady(range(10, 20))
    files[12] = {240: 10, 245: 15}
    del files[15]
    assert breaks(files) == [(12, False, 245, 249, 5), (16, True, 300, 319, 20)]


def test_overlap_across_hours_shows() -> None:
    """Records that are in files of two hours show, at once or where another file of the second hour follows."""
    assert breaks({10: {200: 10, 210: 10}, 11: {215: 10, 225: 10}, 12: {235: 10}}) == [(11, False, 215, 219, 5)]
    assert breaks({10: {200: 10, 210: 10}, 11: {215: 20}, 12: {235: 10, 245: 10}}) == [(11, False, 215, 219, 5)]


# A model of the sink.


def sink(hours: list[int | None], flush: int) -> Files:
    """Return the files of a sink: the hour of the record at each offset (None: no record), a flush size for all files.

    A file of each hour is open at a time, and all of them are closed when they have ``flush`` records together.
    """
    files: Files = {}
    still_open: dict[int, int] = {}
    records = 0
    for offset, number in enumerate(hours):
        if number is None:
            continue
        first = still_open.setdefault(number, offset)
        files.setdefault(number, {}).setdefault(first, 0)
        files[number][first] += 1
        records += 1
        if records == flush:
            still_open, records = {}, 0
    return files


def random_files(seed: int, flush: int, late: int, skipped: float = 0.0) -> Files:
    """Return the files of 300 records in five hours, up to ``late`` records out of order, some of them no events."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    hours = [max(offset + rng.randint(-late, late), 0) // 60 for offset in range(300)]
    return sink([None if rng.random() < skipped else number for number in hours], flush)


def random_place(files: Files, seed: int) -> tuple[int, int]:
    """Return hour and first offset of a file."""
    places = [(hour, first) for hour, own in files.items() for first in own]
    return random.Random(seed).choice(places)  # noqa: S311 - no secret


SEEDS, LATE = st.integers(0, 1 << 32), st.sampled_from([0, 3, 30, 60])


@given(SEEDS, st.integers(1, 40), LATE)
def test_no_order_of_records_in_a_dense_topic_raises_anything(seed: int, flush: int, late: int) -> None:
    """Whatever the order of records at the edges of hours and the flush size, complete files raise nothing."""
    assert breaks(random_files(seed, flush, late)) == []


@given(SEEDS, st.integers(2, 40), LATE)
def test_a_gap_has_only_missing_records(seed: int, flush: int, late: int) -> None:
    """If one file is missing, the reported gaps have at most its records, and begin before its end."""
    files = random_files(seed, flush, late)
    number, place = random_place(files, seed)
    deleted = files[number].pop(place)
    found = breaks({hour: own for hour, own in files.items() if own})
    assert all(is_gap and place <= last and records <= last - first + 1 for _, is_gap, first, last, records in found)
    assert sum(records for *_, records in found) <= deleted


@given(SEEDS, st.integers(10, 40), LATE, st.sampled_from([0.003, 0.01, 0.1, 0.3]))
@example(2302, 29, 60, 0.003)
@example(2755403444, 35, 60, 0.003)
@example(2073725854, 20, 3, 0.003)
def test_records_that_a_sink_skips_raise_nothing(seed: int, flush: int, late: int, skipped: float) -> None:
    """Single records that are no events, as many as there are, raise nothing."""
    assert breaks(random_files(seed, flush, late, skipped)) == []
