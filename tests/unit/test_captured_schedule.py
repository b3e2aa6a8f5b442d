"""The captured schedule: of several versions of a show or an episode, the latest counts."""

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest

from marquee.calendar import day
from marquee.lake.captured_schedule import ended_shows, latest_catalogue, read_captures
from marquee.lake.datasets import EPISODES, SHOWS
from marquee.lake.files import write_output
from marquee.lake.keys import SCHEDULE_FETCH, run_prefix
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers, publish
from marquee.storage.local import LocalStore

Row = dict[str, Any]


def capture(lake: LocalStore, requested: str, fetched: str, shows: list[Row], episodes: list[Row]) -> None:
    """Publish a captured day with these shows and episodes, fetched at this time of 10 January 2026."""
    prefix = run_prefix(SCHEDULE_FETCH, day(requested), "r1")
    outputs = tuple(
        write_output(lake, prefix, dataset, pa.Table.from_pylist(rows, schema=dataset.schema))
        for dataset, rows in ((SHOWS, shows), (EPISODES, episodes))
    )
    marker = Marker(
        stage=SCHEDULE_FETCH,
        period=requested,
        generation=1,
        run_id="r1",
        code_version="1",
        definition_version="1",
        parameters={},
        inputs=(),
        inputs_digest="d",
        outputs=outputs,
        counts={},
        started_at=f"2026-01-10T{fetched}:00.000+00:00",
        finished_at=f"2026-01-10T{fetched}:00.500+00:00",
    )
    publish(lake, marker, None)


def show(plan: int | None, updated: int | None, average: int | None = None) -> Row:
    """Return show 1 with its planned and average runtime, last changed at the service on this day of January."""
    changed = None if updated is None else datetime(2026, 1, updated)  # noqa: DTZ001 - columns are in UTC without saying so
    return {"show_id": 1, "runtime_minutes": plan, "average_runtime_minutes": average, "updated": changed}


def episode(runtime: int | None = None, show_id: int = 1) -> Row:
    """Return episode 10 with its own runtime."""
    return {"episode_id": 10, "show_id": show_id, "runtime_minutes": runtime}


def runtime(lake: LocalStore) -> int | None:
    """Return the runtime of episode 10 in minutes."""
    (row,) = latest_catalogue(Markers(lake)).episodes.to_pylist()
    assert row["episode_id"] == 10
    seconds: int | None = row["runtime_seconds"]
    return None if seconds is None else seconds // 60


def test_captured_rows_tell_where_they_are_from(lake: LocalStore) -> None:
    """Each captured row has the day that was requested and the time of the fetch."""
    capture(lake, "2026-01-05", "08:00", [show(30, 1)], [episode()])
    capture(lake, "2026-01-04", "09:00", [show(40, 1)], [])
    captured = read_captures(Markers(lake), SHOWS).select(["runtime_minutes", "requested_day", "fetched_at"])
    assert captured.to_pylist() == [
        {
            "runtime_minutes": 40,
            "requested_day": date(2026, 1, 4),
            "fetched_at": datetime(2026, 1, 10, 9, 0, 0, 500_000),  # noqa: DTZ001 - columns are in UTC without saying so
        },
        {
            "runtime_minutes": 30,
            "requested_day": date(2026, 1, 5),
            "fetched_at": datetime(2026, 1, 10, 8, 0, 0, 500_000),  # noqa: DTZ001 - as above
        },
    ]


def test_nothing_captured_is_an_empty_catalogue(lake: LocalStore) -> None:
    """A lake without a captured day has an empty catalogue, which is not an error."""
    assert read_captures(Markers(lake), EPISODES).num_rows == 0
    assert latest_catalogue(Markers(lake)).episodes.num_rows == 0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # (time of the fetch, planned runtime, day of the last change)
        pytest.param(("08:00", 30, 2), ("09:00", 40, 3), 40, id="changed later, fetched later"),
        pytest.param(("08:00", 30, 3), ("09:00", 40, 2), 30, id="changed later, fetched earlier"),
        pytest.param(("08:00", 30, 2), ("09:00", 40, 2), 40, id="unchanged: fetched later"),
        pytest.param(("09:00", 30, 2), ("08:00", 40, 2), 30, id="unchanged: the later day fetched earlier"),
        pytest.param(("08:00", 30, 2), ("09:00", 40, None), 30, id="change unknown"),
        pytest.param(("08:00", 30, 2), ("08:00", 40, 2), 40, id="all the same: the later day"),
    ],
)
@pytest.mark.parametrize("turned", [False, True], ids=["in order", "other order"])
def test_latest_version_of_a_show_counts(
    lake: LocalStore, first: tuple[str, int, int], second: tuple[str, int, int], expected: int, turned: bool
) -> None:
    """The version last changed at the service counts, then the one last fetched, then the later day, in any order."""
    days = [("2026-01-04", first), ("2026-01-05", second)]
    for requested, (fetched, plan, updated) in days[::-1] if turned else days:
        capture(lake, requested, fetched, [show(plan, updated)], [episode()])
    assert runtime(lake) == expected


def test_latest_version_of_an_episode_is_that_of_its_show(lake: LocalStore) -> None:
    """An episode counts in the version of its show that changed last, even if another was fetched later."""
    capture(lake, "2026-01-04", "08:00", [show(30, 3)], [episode(21)])
    capture(lake, "2026-01-05", "09:00", [show(30, 2)], [episode(22)])
    assert runtime(lake) == 21


@pytest.mark.parametrize(
    ("own", "average", "plan", "expected"),
    [
        pytest.param(20, 30, 40, 20, id="its own"),
        pytest.param(None, 30, 40, 30, id="the show's average"),
        pytest.param(None, None, 40, 40, id="the show's plan"),
        pytest.param(0, 0, 40, 40, id="zero is none"),
        pytest.param(None, None, None, None, id="unknown"),
    ],
)
def test_runtime_falls_back(
    lake: LocalStore, own: int | None, average: int | None, plan: int | None, expected: int | None
) -> None:
    """The runtime is the first known of: the episode's own, the average of its show, the plan of its show."""
    capture(lake, "2026-01-05", "08:00", [show(plan, 1, average)], [episode(own)])
    assert runtime(lake) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(("Ended", 3, 9), ("Ended", 4, 8), 3, id="updated last"),
        pytest.param(("Ended", 3, None), ("Ended", 4, 1), 4, id="without a time it is older than any other"),
        pytest.param(("Ended", 3, 8), ("Ended", 4, 8), 4, id="of one time, fetched last"),
        pytest.param(("Ended", 3, 8), ("Running", None, 9), 3, id="reverted later"),
        pytest.param(("Ended", None, 8), (None, 4, 9), None, id="without a day, or a status"),
    ],
)
def test_last_end_of_a_show_counts(
    lake: LocalStore,
    first: tuple[str, int | None, int | None],
    second: tuple[str | None, int | None, int | None],
    expected: int | None,
) -> None:
    """Of the versions (status, day of the end, updated on) in two captures, the last one that says when it ended."""
    captures = ("2026-01-05", "08:00", first), ("2026-01-04", "09:00", second)
    for requested, fetched, (status, ended, updated) in captures:
        version = show(30, updated) | {"status": status, "ended": ended and date(2026, 1, ended)}
        capture(lake, requested, fetched, [version], [])
    assert ended_shows(Markers(lake)) == ([(1, date(2026, 1, expected))] if expected else [])


def test_episode_of_a_show_that_was_not_captured(lake: LocalStore) -> None:
    """An episode whose show was not captured keeps its show, and has its own runtime or none."""
    capture(lake, "2026-01-05", "08:00", [show(30, 1)], [episode(None, show_id=2)])
    assert latest_catalogue(Markers(lake)).episodes.to_pylist() == [
        {"episode_id": 10, "show_id": 2, "runtime_seconds": None}
    ]


def placed(number: int | None, airdate: date | None = date(2026, 1, 5), **rest: Any) -> Row:
    """Return an episode with this id and number in season 1 of show 1."""
    place = {"season": 1, "number": number, "airdate": airdate, "runtime_minutes": 30, "type": "regular"}
    return {"episode_id": number or 99, "show_id": 1, **place, **rest}


def test_only_regular_episodes_that_can_be_placed_are_in_a_season(lake: LocalStore) -> None:
    """Specials and episodes without season, number, air date or runtime are not in the order of a season."""
    episodes = [
        placed(1),
        placed(2, runtime_minutes=None),  # the show has none either
        placed(3, None),
        placed(4, season=None),
        placed(5, type="significant_special"),
        placed(6, type=None),
        placed(7, season=2026),
        placed(None),
    ]
    capture(lake, "2026-01-05", "08:00", [show(None, 1)], episodes)
    seasons = latest_catalogue(Markers(lake)).seasons
    assert seasons.drop(["season_key"]).to_pylist() == [
        {
            "episode_id": number,
            "show_id": 1,
            "season": season,
            "number": number,
            "airdate": date(2026, 1, 5),
            "runtime_seconds": 1800,
        }
        for number, season in ((1, 1), (6, 1), (7, 2026))
    ]
    first, second, third = seasons["season_key"].to_pylist()
    assert first == second != third
