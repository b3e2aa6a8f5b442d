"""Keys: each object of the lake has one key, and the key gives back what it belongs to."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from marquee.calendar import Period, day, hour
from marquee.lake import keys
from marquee.storage.local import LocalStore

HOUR = hour("2026-01-05T13")


def test_keys_are_these() -> None:
    """The layout of the lake has these keys."""
    assert keys.success_key("rollup", HOUR) == "markers/rollup/2026-01-05T13/_SUCCESS"
    assert keys.failed_key("rollup", HOUR) == "markers/rollup/2026-01-05T13/_FAILED"
    assert keys.run_prefix("rollup", HOUR, "r1") == "data/rollup/2026-01-05T13/run=r1/"
    assert keys.table_file("viewership") == "viewership.parquet"
    assert keys.bucket_file("viewer_hour", 7) == "viewer_hour/bucket=0007.parquet"
    assert keys.bucket_of("data/rollup/2026-01-05T13/run=r1/viewer_hour/bucket=0007.parquet") == 7


@pytest.mark.parametrize("name", ["2026-01-05T13", "2026-01-05", "2026-W02", "2026-01", "2026-Q1"])
def test_run_is_known_by_its_objects(name: str) -> None:
    """The key of a data object, and its prefix, give the stage, the period and the run."""
    period = Period.parse(name)
    prefix = keys.run_prefix("words", period, "r1")
    assert keys.run_of(prefix + keys.bucket_file("viewer_period", 0)) == ("words", period, "r1")
    assert keys.run_of(prefix) == ("words", period, "r1")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("markers/rollup/2026-01-05T13/_SUCCESS", id="marker"),
        pytest.param("data/rollup/2026-01-05T13/readme.txt", id="beside the runs"),
        pytest.param("data/rollup/someday/run=r1/x.parquet", id="no period"),
        pytest.param("data/rollup/2026-01-05/run=r1/x.parquet", id="a day of a stage of hours"),
        pytest.param("backup/data/rollup/2026-01-05T13/run=r1/x.parquet", id="elsewhere"),
    ],
)
def test_other_keys_belong_to_no_run(key: str) -> None:
    """A key that Marquee did not write belongs to no run."""
    assert keys.run_of(key) is None


def test_run_id_tells_when_the_run_began() -> None:
    """The id of a run has its start in UTC to the microsecond, is unique, and sorts by time."""
    begun = datetime(2026, 1, 5, 22, 2, 11, 123456, tzinfo=timezone(timedelta(hours=9)))
    first, second = keys.new_run_id(begun), keys.new_run_id(begun)
    assert first.startswith("20260105T130211123456-")
    assert first != second
    assert keys.run_started(first) == begun
    assert keys.run_started(first).tzinfo is UTC
    assert first < keys.new_run_id(begun + timedelta(microseconds=1))


def test_run_id_keeps_its_length_at_a_full_second() -> None:
    """The id of a run at a full second has the same length, so that ids sort by time."""
    assert keys.new_run_id(datetime(2026, 1, 5, tzinfo=UTC)).startswith("20260105T000000000000-")


def test_markers_are_listed_by_stage(lake: LocalStore) -> None:
    """The markers of a stage are listed in the order of keys, and other files are left out."""
    for key in (
        keys.success_key("profile", day("2026-01-06")),
        keys.success_key("profile", day("2026-01-05")),
        keys.failed_key("profile", day("2026-01-06")),
        keys.success_key("profile_x", day("2026-01-07")),
        "markers/profile/readme.txt",
        "markers/profile/someday/_SUCCESS",
        "markers/profile/2026-01-05/_SUCCESS.bak",
    ):
        lake.put(key, b"{}")
    found = keys.list_markers("profile", lake.list(keys.markers_prefix("profile")))
    listed = [(str(period), name) for period, name, _ in found]
    assert listed == [("2026-01-05", "_SUCCESS"), ("2026-01-06", "_FAILED"), ("2026-01-06", "_SUCCESS")]
