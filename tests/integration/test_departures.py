"""Who was seen again after a show ended: the queries and the stage against the oracle."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.departures import count_viewers, finish_departures
from jobs.profile.settings import ProfileSettings
from marquee.calendar import Period, Span
from marquee.engine.base import Task
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.lake import keys
from marquee.lake.datasets import DEPARTURE, EPISODE_DAY, EPISODES, SHOWS, SITTING_DAY, VIEWER_DAY, VIEWER_SEEN
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.local import LocalStore
from tests.oracle.departures import Watched, find_departures
from tests.oracle.lake import publish_tables, read_rows

SHOW_OF = {10: 1, 11: 1, 20: 2, 30: 3, 40: 4, 50: 5, 60: 6}
LIMITS = {"reach_seconds": 120, "near_sole_share": Decimal("0.9"), "unknown_show": 0}
BUCKETS = 2

plays = st.builds(
    Watched,
    day=st.sampled_from([4, 5, 20, 31, 32, 33, 34, 59, 60, 61]),
    viewer=st.integers(1, 12),
    episode=st.sampled_from([10, 10, 11, 20, 30, 40, 50, 60, 99]),
    country=st.sampled_from(["KR", "KR", "JP"]),
    seconds=st.sampled_from([0, 1, 12, 13, 119, 120, 127, 128, 1080, 1200]),
)


def counted(
    watched: Sequence[Watched], ended: Mapping[int, int], show_of: Mapping[int, int] = SHOW_OF
) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the rows that the queries make, with viewers in two buckets."""
    names = {"show_id": pa.int64(), "ended": pa.date32(), "days_before": pa.int64(), "end_day": pa.int64()}
    shows = [
        {"show_id": show, "ended": date(2026, 1, 1), "days_before": 28, "end_day": end} for show, end in ended.items()
    ]
    table = pa.Table.from_pylist(shows, pa.schema(names))
    values = LIMITS
    parts = []
    for bucket in range(BUCKETS):
        with Task(Path("unused"), 200).database() as db:
            db.register("played", played_by([one for one in watched if one.viewer % BUCKETS == bucket]))
            db.register("catalogue", pa.table({"episode_id": list(show_of), "show_id": list(show_of.values())}))
            db.register("ended", table)
            parts.append(count_viewers(db, values))
    with Task(Path("unused"), 200).database() as db:
        finish_departures(db, parts, table, values)
        rows = db.table(DEPARTURE.name).to_arrow_table().cast(DEPARTURE.schema).to_pylist()
    return {
        (row.pop("show_id"), row.pop("kind")): {key: row[key] for key in row if key not in {"ended", "days_before"}}
        for row in rows
    }


def played_by(watched: Sequence[Watched]) -> pa.Table:
    """Return the relation ``played``; a viewer's rows of a day may have equal keys, as of two languages."""
    types = {"day": pa.int64(), "viewer": pa.uint64(), "episode_id": pa.int64(), "country": pa.string()}
    schema = pa.schema({**types, "watched_seconds": pa.int64()})
    rows = [dict(zip(schema.names, one, strict=True)) for one in watched]
    return pa.Table.from_pylist(rows, schema)


@given(
    watched=st.lists(plays, min_size=5, max_size=60),
    ended=st.dictionaries(st.sampled_from([1, 1, 2, 7]), st.sampled_from([32, 33]), min_size=1),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_queries_agree_with_the_oracle(watched: list[Watched], ended: dict[int, int]) -> None:
    """Every row equals the result of loops over all plays: windows, kinds, strata, and who is compared."""
    found = counted(watched, ended)
    expected = find_departures(watched, SHOW_OF, ended, 120, Fraction(9, 10))
    event(f"compared: {any(row['compared'] for row in expected.values())}")
    about = ("expected_seen", "expected_variance")
    assert {key: row | {name: pytest.approx(row[name]) for name in about} for key, row in expected.items()} == found


def test_by_hand() -> None:
    """Of two sole viewers one is seen again, and of three viewers alike two: 2 x 2/3 are expected.

    Viewer 6 is in another country, 7 watched more than twice as much, and 8 a second show: they are not alike. Viewer 9
    watched the show too, and is one of its other viewers. Viewer 2 is seen on the 28th day, viewer 5 on the 29th.
    """
    watched = [
        *(Watched(20, viewer, 10, "KR", 600) for viewer in (1, 2)),
        Watched(60, 2, 20, "KR", 60),
        *(Watched(20, viewer, 20, "KR", 600) for viewer in (3, 4, 5)),
        *(Watched(40, viewer, 20, "KR", 60) for viewer in (3, 4)),
        Watched(61, 5, 20, "KR", 60),
        Watched(20, 6, 20, "JP", 600),
        Watched(20, 7, 20, "KR", 6000),
        *(Watched(20, 8, episode, "KR", 300) for episode in (20, 30)),
        *(Watched(20, 9, episode, "KR", 300) for episode in (10, 20)),
    ]
    found = counted(watched, {1: 32})
    assert found[1, "sole"] == {
        "viewers": 2,
        "seen_again": 1,
        "compared": 2,
        "compared_seen": 1,
        "expected_seen": pytest.approx(4 / 3),
        "expected_variance": pytest.approx(4 * (3 / 5) * (2 / 5) / 3),
    }
    assert found[1, "other"] == {
        "viewers": 1,
        "seen_again": 0,
        "compared": 1,  # with viewer 8
        "compared_seen": 0,
        "expected_seen": 0.0,
        "expected_variance": pytest.approx((1 / 3) * (2 / 3)),
    }


START = date(2026, 1, 5)
LAST = 62
"""Number of the last day of the last week, Sunday, 8 March."""
EVERYBODY_SEEN: list[dict[str, Any]] = [{"viewer": viewer, "first_day": START} for viewer in range(1, 400)]
LAST_WEEK = Period.parse("2026-W10")
END_DAY = 30
"""Number of the day of the end, 28 days before Wednesday, 4 March."""


def make_lake(
    lake: LocalStore,
    watched: Sequence[Watched],
    viewer_key: str = "k",
    as_viewer: Callable[[int], int] = lambda number: number,
) -> None:
    """Publish profiled days, and a schedule in which show 1 ended on day 30 and show 2 much earlier.

    ``as_viewer`` returns the pseudonym of a viewer under the keys with the fingerprint ``viewer_key``.
    """
    watched = [one._replace(viewer=as_viewer(one.viewer)) for one in watched]
    seen = [{"viewer": as_viewer(one["viewer"]), "first_day": START} for one in EVERYBODY_SEEN]
    ended = {1: START + timedelta(days=END_DAY), 2: date(2025, 1, 1)}
    updated = datetime(2026, 1, 1)  # noqa: DTZ001 - as the lake has it
    shows = [
        {
            "show_id": show,
            "status": "Ended" if show in ended else "Running",
            "ended": ended.get(show),
            "updated": updated,
        }
        for show in range(1, 7)
    ]
    episodes = [{"episode_id": episode, "show_id": show} for episode, show in SHOW_OF.items()]
    publish_tables(lake, keys.SCHEDULE_FETCH, Period.parse(str(START)), [(SHOWS, shows), (EPISODES, episodes)], None)
    for number in range(LAST + 1):
        publish_day(lake, [one for one in watched if one.day == number], number, 24, viewer_key, seen)


def publish_day(
    lake: LocalStore,
    watched: Sequence[Watched],
    number: int,
    hours: int = 24,
    viewer_key: str = "k",
    seen: Sequence[dict[str, Any]] = EVERYBODY_SEEN,
) -> None:
    """Publish a profiled day, from the plays of this day."""
    keys_of = {(one.viewer, one.episode, one.country) for one in watched}
    rows = [
        {"viewer": key[0], "episode_id": key[1], "country": key[2], "language": "ko", "plays": 1}
        | {"watched_seconds": sum(one.seconds for one in watched if one[1:4] == key)}
        for key in sorted(keys_of)
    ]
    played = [{"episode_id": one, "plays": 1, "watched_seconds": 1} for one in sorted({one.episode for one in watched})]
    period = Period.parse(str(START + timedelta(days=number)))
    counts = {"buckets": BUCKETS, "viewer_key": viewer_key, "hours": hours, "hours_expected": 24}
    by_viewer = [(VIEWER_DAY, rows), (SITTING_DAY, []), (VIEWER_SEEN, sorted(seen, key=itemgetter("viewer")))]
    publish_tables(lake, keys.PROFILE, period, by_viewer, BUCKETS, counts=counts, whole=[(EPISODE_DAY, played)])


def run(lake: LocalStore) -> list[dict[str, Any]]:
    """Count the audience of the last week, and return its rows of departure."""
    profile = ProfileSettings(lake=lake.url)
    markers = Markers(lake)
    stage = AudienceStage(profile, markers, LocalEngine(EngineOptions(workers=1, memory_mb=300)))
    report = run_stage(stage, markers, Span.of(LAST_WEEK, LAST_WEEK))
    assert report.failed == ()
    return read_rows(Markers(lake), keys.AUDIENCE, str(LAST_WEEK), DEPARTURE)


SEEN = [
    *(Watched(END_DAY - viewer % 28, viewer, 10, "KR", 600) for viewer in range(1, 61)),  # 60 sole viewers
    *(Watched(END_DAY + 28, viewer, 20, "KR", 60) for viewer in range(1, 16)),  # 15 of them are seen again
    *(Watched(10, viewer, 20, "KR", 600) for viewer in range(101, 301)),  # 200 alike
    *(Watched(40, viewer, 30, "KR", 60) for viewer in range(101, 251)),  # 150 of them are seen again
    Watched(END_DAY - 28, 301, 10, "KR", 600),  # too early
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """A lake with all days, which tests copy."""
    lake = LocalStore(tmp_path_factory.mktemp("made") / "lake", durable=False)
    make_lake(lake, SEEN)
    return lake


@pytest.fixture
def lake(tmp_path: Path, made: LocalStore) -> LocalStore:
    """A copy of the lake with all days."""
    shutil.copytree(made.root, tmp_path / "lake")
    return LocalStore(tmp_path / "lake")


def forget(lake: LocalStore, *numbers: int) -> None:
    """Delete the markers of days."""
    for number in numbers:
        lake.delete(keys.success_key(keys.PROFILE, Period.parse(str(START + timedelta(days=number)))))


def test_week_counts_the_show_whose_28_days_are_over(lake: LocalStore) -> None:
    """In the week of the 28th day, a quarter of the sole viewers was seen again, of viewers alike three quarters."""
    assert run(lake) == [
        {
            "show_id": 1,
            "kind": "sole",
            "ended": START + timedelta(days=END_DAY),
            "days_before": 28,
            "viewers": 60,
            "seen_again": 15,
            "compared": 60,
            "compared_seen": 15,
            "expected_seen": 45.0,
            "expected_variance": pytest.approx(60**2 * (151 / 202) * (51 / 202) / 200),
        }
    ]


def test_restated_day_of_the_windows_restates_the_week(lake: LocalStore) -> None:
    """A late play in the windows makes the week stale, though its day is in no other input of the week."""
    run(lake)
    publish_day(lake, [*(one for one in SEEN if one.day == 40), Watched(40, 60, 30, "KR", 60)], 40)
    (row,) = run(lake)
    assert row["seen_again"] == 16


def test_week_to_date_counts_nothing(lake: LocalStore) -> None:
    """While a day or an hour of the week is missing, nothing is counted."""
    forget(lake, LAST)
    assert run(lake) == []
    publish_day(lake, [], LAST, hours=23)
    assert run(lake) == []
    publish_day(lake, [], LAST)
    assert len(run(lake)) == 1


@pytest.mark.parametrize(
    ("first", "days"), [(10, 21), (30, 1), (31, 0)], ids=["21 days", "only the end", "after the end"]
)
def test_lake_that_begins_later(lake: LocalStore, first: int, days: int) -> None:
    """A lake that begins within the windows says how many days it has; it counts nothing without the day of the end."""
    forget(lake, *range(first))
    assert {row["days_before"] for row in run(lake)} == ({days} if days else set())
