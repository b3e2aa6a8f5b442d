"""Launches, day by day: against the oracle, with premieres that are learned late, and days that come late."""

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from jobs.profile.audience_stage import AudienceStage, query_values
from jobs.profile.queries import query
from jobs.profile.settings import ProfileOptions, ProfileSettings
from jobs.profile.stage import ProfileStage
from marquee.calendar import EVER, Period, day
from marquee.engine.base import Task
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.lake import keys
from marquee.lake.datasets import LAUNCH, LAUNCH_VIEWER, VIEWER_DAY
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.local import LocalStore
from tests.oracle.audience import Play
from tests.oracle.lake import capture, digests, read_rows, roll_up
from tests.oracle.launches import launches
from tests.oracle.seasons import Row, Watched

START = date(2026, 1, 5)
SHOW_OF = {10: 1, 11: 1, 20: 2, 30: 3, 40: 4}  # and 90 of no show
CATALOGUE = {episode: (show, 600) for episode, show in SHOW_OF.items()}
OPTIONS = ProfileOptions()


def on(number: int) -> date:
    """Return a day by its number, from 0."""
    return START + timedelta(days=number)


def chain(plays: Sequence[Watched], premieres: Mapping[int, date], days: int) -> dict[date, list[Row]]:
    """Return the rows of launch of each day that the queries make, each day from the table of the day before."""
    before, made = LAUNCH_VIEWER.schema.empty_table(), {}
    catalogue = pa.table({"episode_id": list(SHOW_OF), "show_id": list(SHOW_OF.values())})
    launched = pa.table({"show_id": list(premieres), "premiered": pa.array(premieres.values(), pa.date32())})
    with Task(Path("unused"), 200).database() as db:
        db.register("catalogue", catalogue)
        db.register("premiere", launched)
        for number in range(days):
            today = Period.parse(str(on(number)))
            values = query_values(OPTIONS, today, [today], launch_since=START)
            rows = [one for one in plays if one.day == today.date]
            db.register("launch_before", before)
            db.register(
                "played",
                pa.table(
                    {
                        "viewer": pa.array([one.viewer for one in rows], pa.uint64()),
                        "episode_id": pa.array([one.episode for one in rows], pa.int64()),
                        "watched_seconds": pa.array([one.seconds for one in rows], pa.int64()),
                    }
                ),
            )
            query("launch_viewer").create_table(db, "launch_viewer", values)
            db.register("launch_counts", query("launch_counts").select(db, values))
            made[today.date] = query("launch").select(db, values).cast(LAUNCH.schema).to_pylist()
            before = db.table("launch_viewer").to_arrow_table().cast(LAUNCH_VIEWER.schema)
            db.unregister("launch_counts")
    return made


@given(
    plays=st.lists(
        st.builds(
            Watched,
            viewer=st.integers(1, 3),
            episode=st.sampled_from([*SHOW_OF, 90]),
            day=st.sampled_from([0, 1, 2, 3, 7, 8, 27, 28, 30, 90, 91, 93]).map(on),
            seconds=st.sampled_from([0, 1, 60, 119, 120, 600]),
        ),
        max_size=12,
    ),
    first=st.sampled_from([-1, 0, 1, 2]),
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_launches_agree_with_the_oracle(plays: list[Watched], first: int) -> None:
    """Reach and seconds at 1, 3, 7, 28 and 91 days equal loops over all plays since the premiere."""
    premieres = {1: on(first), 2: on(0), 3: on(3)}  # and show 4 without a premiere
    days = chain(plays, premieres, 95)
    event(f"91 days: {any(row['age'] == 91 for rows in days.values() for row in rows)}")
    for today, rows in days.items():
        assert {row.pop("show_id"): row for row in rows} == launches(plays, SHOW_OF, premieres, today, START)


def make_plays() -> list[Play]:
    """Return plays of six viewers over nine days."""
    rng = random.Random(1)  # noqa: S311 - nothing to hide
    return [
        Play(
            viewer=viewer,
            episode=rng.choice([*SHOW_OF, 90]),
            country="KR",
            language="ko",
            received_at=datetime(2026, 1, 5 + day, hour, 30),  # noqa: DTZ001 - in UTC
            watched_seconds=rng.choice([30, 60, 600]),
        )
        for day in range(9)
        for viewer in range(6)
        for hour in rng.sample(range(24), 2)
    ]


PLAYS = make_plays()
PREMIERES = {1: on(0), 2: on(2), 3: on(-1)}


def profile(lake: LocalStore) -> list[str]:
    """Run both stages over the lake; return the periods of the audience that were made."""
    chosen = ProfileSettings(lake=lake.url, profile=OPTIONS)
    markers, engine = Markers(lake), LocalEngine(EngineOptions(workers=1, memory_mb=300))
    made = [run_stage(one(chosen, markers, engine), markers, EVER) for one in (ProfileStage, AudienceStage)]
    assert [one.failed for one in made] == [(), ()]
    return [one.period for one in made[1].made]


def assert_right(lake: LocalStore, premieres: Mapping[int, date], since: date = START) -> None:
    """Compare the launches of each day with the oracle."""
    plays = [Watched(one["viewer"], one["episode"], one["received_at"].date(), one["watched_seconds"]) for one in PLAYS]
    for number in range(9):
        rows = read_rows(Markers(lake), keys.AUDIENCE, str(on(number)), LAUNCH)
        expected = launches(plays, SHOW_OF, premieres, on(number), since)
        assert {row.pop("show_id"): row for row in rows} == expected


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Return a read-only lake of nine days, made in one run."""
    store = LocalStore(tmp_path_factory.mktemp("launched"))
    roll_up(store, PLAYS, "2026-01-05T00", "2026-01-13T23")
    capture(store, "2026-01-05", CATALOGUE, premieres=PREMIERES)
    profile(store)
    return store


def test_days_build_on_each_other(launched: LocalStore) -> None:
    """Each day has the launches of its age, and a show that premiered before the lake's first day has none."""
    assert_right(launched, PREMIERES)
    assert read_rows(Markers(launched), keys.AUDIENCE, "2026-W02", LAUNCH) == []


def test_day_by_day_and_a_premiere_learned_late_give_the_same_bytes(launched: LocalStore, lake: LocalStore) -> None:
    """A premiere that a later capture tells remakes the days since, in order; all is as if known before."""
    capture(lake, "2026-01-05", CATALOGUE, premieres={1: on(0), 3: on(-1)})
    for last in ("2026-01-09T10", "2026-01-13T23"):
        roll_up(lake, PLAYS, "2026-01-05T00", last)
        profile(lake)
    assert_right(lake, {1: on(0)})
    capture(lake, "2026-01-05", CATALOGUE, premieres=PREMIERES)
    assert profile(lake) == [str(on(number)) for number in range(2, 9)]
    assert digests(lake, keys.AUDIENCE) == digests(launched, keys.AUDIENCE)


def test_a_lake_that_begins_within_a_day_knows_premieres_from_the_next(lake: LocalStore) -> None:
    """A premiere on a day whose first hours are missing is not measured; when they come, it is."""
    roll_up(lake, PLAYS, "2026-01-05T09", "2026-01-13T23")
    capture(lake, "2026-01-05", CATALOGUE, premieres=PREMIERES)
    profile(lake)
    assert_right(lake, PREMIERES, on(1))
    roll_up(lake, PLAYS, "2026-01-05T00", "2026-01-05T08")
    profile(lake)
    assert_right(lake, PREMIERES)


def test_days_after_a_failed_day_go_on_and_are_made_again_once_it_is(launched: LocalStore, lake: LocalStore) -> None:
    """Without the 7th, launches begin anew on the 8th; once the 7th is made, all is as if it had never failed."""
    roll_up(lake, PLAYS, "2026-01-05T00", "2026-01-13T23")
    capture(lake, "2026-01-05", CATALOGUE, premieres=PREMIERES)
    markers = Markers(lake)
    chosen, engine = ProfileSettings(lake=lake.url, profile=OPTIONS), LocalEngine(EngineOptions(1, 300))
    stages = [one(chosen, markers, engine) for one in (ProfileStage, AudienceStage)]
    run_stage(stages[0], markers, EVER)
    lost = next(one.key for one in markers.of(keys.PROFILE)[day("2026-01-07")].of(VIEWER_DAY) if one.rows)
    kept = lake.get(lost)
    lake.delete(lost)
    report = run_stage(stages[1], markers, EVER)
    assert [str(period) for period, _ in report.failed] == ["2026-01-07", "2026-W02", "2026-01", "2026-Q1"]
    rows = [row for number in range(3, 9) for row in read_rows(markers, keys.AUDIENCE, str(on(number)), LAUNCH)]
    assert rows == []  # all premieres are before the 8th
    lake.put(lost, kept)
    remade = ["2026-01-07", "2026-01-08", "2026-01-09", "2026-01-10", "2026-01-11", "2026-W02"]
    assert profile(lake) == [*remade, "2026-01-12", "2026-01-13", "2026-01", "2026-Q1"]
    assert profile(lake) == []
    assert_right(lake, PREMIERES)
    assert digests(lake, keys.AUDIENCE) == digests(launched, keys.AUDIENCE)
