"""profile from rolled-up hours to audiences, on a lake in a folder: right, restated, resumed, and the same however it is run."""

import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.common import lake as keys
from jobs.common.calendar import EVER, Grain, Period, day
from jobs.common.commit import Markers
from jobs.common.datasets import AUDIENCE, AUDIENCE_BASE, EPISODE_DAY, SITTING_PERIOD, VIEWER_PERIOD
from jobs.common.engine import EngineOptions, LocalEngine, SparkEngine, Unit
from jobs.common.stage import Report, run_stage
from jobs.common.store import LocalStore
from jobs.profile.__main__ import run
from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileOptions, ProfileSettings
from jobs.profile.stage import ProfileStage
from tests.oracle.audience import Catalogue, Oracle, Play, Thresholds
from tests.oracle.lake import capture, digests, read_rows, roll_up

FIRST, LAST = "2026-01-30T00", "2026-02-02T23"  # Friday to Monday: two weeks, two months, one quarter
DAYS = [day(f"2026-{name}") for name in ("01-30", "01-31", "02-01", "02-02")]
PERIODS = [*map(str, DAYS), "2026-W05", "2026-W06", "2026-01", "2026-02", "2026-Q1"]
MIN_CELL = 3
COUNTRIES, LANGUAGES = ("KR", "KR", "JP", "US"), ("ko", "ko", "en", "en-GB")


def make_catalogue(seed: int) -> Catalogue:
    """Return five shows with episodes of all sorts of runtimes, some unknown."""
    rng = random.Random(seed)
    return {episode: (rng.randrange(1, 6), rng.choice([None, 60, 60, 600, 2400])) for episode in range(100, 130)}


def make_plays(seed: int, viewers: int = 40) -> list[Play]:
    """Return the plays of four days: bursts of events at any time, changing episode, country and language now and then."""
    rng = random.Random(seed)
    start = DAYS[0].start.replace(tzinfo=None)
    end = DAYS[-1].end.replace(tzinfo=None)
    plays: list[Play] = []
    for viewer in range(viewers):
        for _ in range(rng.randrange(1, 6)):
            moment = start + timedelta(minutes=rng.randrange(4 * 1440))
            place = {
                "country": rng.choice(COUNTRIES),
                "language": rng.choice(LANGUAGES),
                "episode": rng.randrange(98, 131),
            }
            for _ in range(rng.randrange(1, 50)):
                seconds = rng.choice([60, 60, 60, 0, 600])
                plays.append(Play(viewer=viewer, received_at=moment, watched_seconds=seconds, **place))  # type: ignore[typeddict-item]
                moment += timedelta(seconds=rng.choice([60, 60, 60, 300, 1799, 1800]))
                if moment >= end:
                    break
                if rng.random() < 0.25:
                    place["episode"] = rng.randrange(98, 131)
                if rng.random() < 0.05:
                    place |= {"country": rng.choice(COUNTRIES), "language": rng.choice(LANGUAGES)}
    return plays


PLAYS, CATALOGUE = make_plays(1), make_catalogue(1)


class Watching(LocalEngine):
    """A local engine that keeps what it was given to do."""

    def __init__(self, workers: int = 2) -> None:
        super().__init__(EngineOptions(workers=workers, memory_mb=400))
        self.units: list[Unit] = []

    def map(self, kernel: str, units: Sequence[Unit]) -> list[Any]:
        """Run the kernel over the units, and keep them."""
        self.units += units
        return super().map(kernel, units)

    def merged(self, days: int) -> set[int]:
        """Return how many days the states had that periods of so many days were made from."""
        return {unit["merged"] for unit in self.units if len(unit.get("days", [])) == days}


def profile(lake: LocalStore, engine: LocalEngine | SparkEngine | None = None, *, force: bool = False) -> Report:
    """Run both stages over a lake; nothing may fail."""
    settings = ProfileSettings(lake=lake.url, profile=ProfileOptions(min_cell=MIN_CELL))
    markers, engine = Markers(lake), engine or Watching()
    made, unchanged = [], 0
    for stage in (ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine)):
        report = run_stage(stage, markers, force=force)
        assert report.failed == ()
        made += report.made
        unchanged += report.unchanged
    return Report(tuple(made), (), unchanged)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Return a lake of four days, profiled in one go; not to be changed."""
    store = LocalStore(tmp_path_factory.mktemp("profiled"))
    roll_up(store, PLAYS, FIRST, LAST)
    capture(store, "2026-02-01", CATALOGUE)
    profile(store)
    return store


def ask_oracle(plays: Sequence[Play], catalogue: Catalogue, name: str) -> Oracle:
    """Return the oracle of a period."""
    period = Period.parse(name)
    days = [one.date for one in DAYS if one in period]
    by_week = period.grain in {Grain.MONTH, Grain.QUARTER}
    return Oracle(plays, catalogue, days, Thresholds(min_cell=MIN_CELL), start=period.date, by_week=by_week)


def assert_right(
    store: LocalStore, plays: Sequence[Play], catalogue: Catalogue, periods: Sequence[str] = PERIODS
) -> None:
    """Compare every column of every row with the oracle's."""
    markers = Markers(store)
    for name in periods:
        oracle = ask_oracle(plays, catalogue, name)
        rows = read_rows(markers, keys.AUDIENCE, name, AUDIENCE)
        assert {(row.pop("show_id"), row.pop("country")): row for row in rows} == oracle.audience()
        base = read_rows(markers, keys.AUDIENCE, name, AUDIENCE_BASE)
        assert {row.pop("country"): row for row in base} == oracle.base()


def test_audiences_are_those_of_the_oracle(profiled: LocalStore) -> None:
    """Days, weeks, months and the quarter to date agree with loops over all plays, in every column."""
    assert sorted(map(str, Markers(profiled).of(keys.AUDIENCE))) == sorted(PERIODS)
    assert_right(profiled, PLAYS, CATALOGUE)
    # The data must be able to tell: some shows have every kind of viewer, some rows are too small to be told.
    rows = read_rows(Markers(profiled), keys.AUDIENCE, "2026-Q1", AUDIENCE)
    assert any(row["binge_viewers"] for row in rows)
    assert any(row["loyal_viewers"] != row["reach"] for row in rows)
    assert any(row["multilingual_viewers"] for row in rows)
    assert any(row["reach"] is None for row in rows)


def test_counts_stand_in_the_markers(profiled: LocalStore) -> None:
    """A marker tells rows, viewers, and the plays of episodes that the schedule does not know."""
    markers = Markers(profiled)
    quarter = markers.of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    orphans = [play for play in PLAYS if play["episode"] not in CATALOGUE]
    assert quarter.counts["viewers"] == len({play["viewer"] for play in PLAYS})
    assert quarter.counts["orphan_episodes"] == len({play["episode"] for play in orphans}) == 3
    assert quarter.counts["orphan_seconds"] == sum(play["watched_seconds"] for play in orphans)
    assert quarter.counts["days"] == 4
    last = markers.of(keys.PROFILE)[DAYS[-1]]
    by_day = {play["viewer"]: play["received_at"].date() for play in reversed(PLAYS)}
    first_seen = {viewer: min(p["received_at"].date() for p in PLAYS if p["viewer"] == viewer) for viewer in by_day}
    assert last.counts["new_viewers"] == list(first_seen.values()).count(DAYS[-1].date)
    assert last.counts["viewers"] == len({p["viewer"] for p in PLAYS if p["received_at"].date() == DAYS[-1].date})


def test_episodes_of_a_day_add_up(profiled: LocalStore) -> None:
    """episode_day has every episode's plays and seconds, whatever bucket their viewers are in."""
    rows = read_rows(Markers(profiled), keys.PROFILE, "2026-01-31", EPISODE_DAY)
    today = [play for play in PLAYS if play["received_at"].date() == DAYS[1].date]
    assert {row["episode_id"]: (row["plays"], row["watched_seconds"]) for row in rows} == {
        episode: (len(own), sum(play["watched_seconds"] for play in own))
        for episode in {play["episode"] for play in today}
        if (own := [play for play in today if play["episode"] == episode])
    }


def test_running_again_does_nothing(profiled: LocalStore) -> None:
    """What is done stays done, through the stage's own command, too."""
    settings = ProfileSettings(lake=profiled.url, profile=ProfileOptions(min_cell=MIN_CELL))
    report = run(settings, Markers(profiled), EVER, force=False, advance=lambda *_: None)
    assert (report.made, report.failed, report.unchanged) == ((), (), len(DAYS) + len(PERIODS))


def test_day_by_day_gives_what_one_go_gives(lake: LocalStore, profiled: LocalStore) -> None:
    """Merging each new day into the state, the last one hour by hour, ends in the same bytes."""
    capture(lake, "2026-02-01", CATALOGUE)
    engine = Watching()
    for upto in ("2026-01-30T23", "2026-01-31T12", "2026-01-31T23", "2026-02-01T23", LAST):
        seen = [play for play in PLAYS if play["received_at"] < datetime.fromisoformat(upto) + timedelta(hours=1)]
        roll_up(lake, seen, FIRST, upto)
        profile(lake, engine)
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert digests(lake, stage) == digests(profiled, stage)
    # A period of three days was made from a state of one day, of four days from one of two: the last is never in it.
    assert (engine.merged(3), engine.merged(4)) == ({1}, {2})


def test_any_number_of_buckets_and_workers_gives_the_same(lake: LocalStore, profiled: LocalStore) -> None:
    """How viewers are spread over files, and these over workers, shows in no result."""
    roll_up(lake, PLAYS, FIRST, LAST, buckets=5)
    capture(lake, "2026-02-01", CATALOGUE)
    profile(lake, Watching(workers=3))
    assert without_buckets(digests(lake, keys.AUDIENCE)) == without_buckets(digests(profiled, keys.AUDIENCE))
    assert without_buckets(digests(lake, keys.PROFILE)) == without_buckets(digests(profiled, keys.PROFILE))


def without_buckets(files: dict[str, str]) -> dict[str, str]:
    """Return the files that are not by bucket."""
    return {name: digest for name, digest in files.items() if "/bucket=" not in name}


@pytest.mark.spark
def test_spark_gives_the_same_bytes(lake: LocalStore, profiled: LocalStore, spark_engine: SparkEngine) -> None:
    """Both engines run the same kernels to the same files."""
    roll_up(lake, PLAYS, FIRST, LAST)
    capture(lake, "2026-02-01", CATALOGUE)
    profile(lake, spark_engine)
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert digests(lake, stage) == digests(profiled, stage)


@pytest.fixture
def small(lake: LocalStore) -> list[Play]:
    """Fill a lake with few plays over all days, and profile it; return the plays."""
    plays = make_plays(2, viewers=12)
    roll_up(lake, plays, FIRST, LAST)
    capture(lake, "2026-02-01", CATALOGUE)
    profile(lake)
    return plays


def generations(store: LocalStore, stage: str) -> dict[str, int]:
    """Return how often each period was made."""
    return {str(period): marker.generation for period, marker in Markers(store).of(stage).items()}


def test_restated_hour_is_followed_where_it_counts(lake: LocalStore, small: list[Play]) -> None:
    """A late play remakes its day and the periods with it; of known viewers, nothing else."""
    late = Play(small[0] | {"received_at": datetime(2026, 2, 1, 12, 30), "watched_seconds": 3600})  # noqa: DTZ001
    known = min(play["received_at"] for play in small if play["viewer"] == late["viewer"])
    assert known < late["received_at"]
    roll_up(lake, [*small, late], FIRST, LAST)
    profile(lake)
    assert_right(lake, [*small, late], CATALOGUE)
    assert generations(lake, keys.PROFILE) == {"2026-01-30": 1, "2026-01-31": 1, "2026-02-01": 2, "2026-02-02": 1}
    again = {"2026-02-01", "2026-W05", "2026-02", "2026-Q1"}
    assert generations(lake, keys.AUDIENCE) == {name: 2 if name in again else 1 for name in PERIODS}


def test_late_newcomer_changes_who_is_new_later(lake: LocalStore, small: list[Play]) -> None:
    """A viewer who turns out to have been seen before is new no more, on any later day."""
    late = [
        Play(play | {"viewer": 7_000, "received_at": datetime(2026, 1, number, 9), "watched_seconds": 900})  # noqa: DTZ001
        for number, play in ((31, small[0]), (30, small[1]))
    ]
    for plays in ([*small, late[0]], [*small, *late]):
        roll_up(lake, plays, FIRST, LAST)
        profile(lake)
        assert_right(lake, plays, CATALOGUE, ["2026-01-31", "2026-W05", "2026-02"])


def test_another_capture_remakes_the_periods_it_touches(lake: LocalStore, small: list[Play]) -> None:
    """A corrected runtime counts where the episode was played, new episodes nobody played nowhere."""
    only_last = {play["episode"] for play in small if play["received_at"].date() == DAYS[-1].date} - {
        play["episode"] for play in small if play["received_at"].date() < DAYS[-1].date
    }
    (changed, *_) = sorted(only_last & CATALOGUE.keys())
    catalogue: Catalogue = {**CATALOGUE, changed: (CATALOGUE[changed][0], 7_200), 9_999: (77, 60)}
    capture(lake, "2026-02-01", catalogue)
    profile(lake)
    assert_right(lake, small, catalogue)
    assert set(generations(lake, keys.PROFILE).values()) == {1}
    again = {"2026-02-02", "2026-W06", "2026-02", "2026-Q1"}
    assert generations(lake, keys.AUDIENCE) == {name: 2 if name in again else 1 for name in PERIODS}


def test_orphans_are_resolved_when_the_schedule_knows_them(lake: LocalStore, small: list[Play]) -> None:
    """Plays of episodes that turn up in a later capture move to their show."""
    catalogue = {**CATALOGUE, 98: (1, 600), 99: (8, None), 130: (8, 60)}
    assert {98, 99, 130} & {play["episode"] for play in small}
    capture(lake, "2026-02-02", catalogue)
    profile(lake)
    assert_right(lake, small, catalogue)
    quarter = Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    assert (quarter.counts["orphan_episodes"], quarter.counts["orphan_seconds"]) == (0, 0)


@pytest.mark.parametrize("dataset", [VIEWER_PERIOD, SITTING_PERIOD], ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_state_that_cannot_be_read_is_made_anew(
    dataset: Any, harm: str, lake: LocalStore, profiled: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the state is lost, all days of the period are read again: the same bytes, and a warning."""
    before = [play for play in PLAYS if play["received_at"] < DAYS[-1].start.replace(tzinfo=None)]
    roll_up(lake, before, FIRST, "2026-02-01T23")
    capture(lake, "2026-02-01", CATALOGUE)
    profile(lake)
    quarter = Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    for output in quarter.of(dataset):
        lake.delete(output.key)
        if harm == "damaged":
            lake.put(output.key, b"not what it was")
    roll_up(lake, PLAYS, FIRST, LAST)
    with caplog.at_level(logging.WARNING):
        profile(lake)
    assert digests(lake, keys.AUDIENCE) == digests(profiled, keys.AUDIENCE)
    assert "is made from all days of the period" in caplog.text


def test_forced_run_starts_from_the_days(lake: LocalStore, small: list[Play]) -> None:
    """With --force nothing of an earlier run is taken up, and the same bytes come out."""
    assert small
    before = digests(lake, keys.AUDIENCE)
    engine = Watching()
    profile(lake, engine, force=True)
    assert digests(lake, keys.AUDIENCE) == before
    assert engine.merged(4) == {0}


def test_other_thresholds_are_another_state(lake: LocalStore, small: list[Play]) -> None:
    """A changed gap makes days and audiences stale, and no state by the old rule is merged with days by the new."""
    assert small
    settings = ProfileSettings(lake=lake.url, profile=ProfileOptions(min_cell=MIN_CELL, sitting_gap_seconds=600))
    markers, engine = Markers(lake), Watching()
    stages = (ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine))
    made = [len(run_stage(stage, markers).made) for stage in stages]
    assert made == [len(DAYS), len(PERIODS)]
    assert engine.merged(4) == {0}


def test_lake_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    """Blanks, quotes, brackets and stars in a path are part of a name, not patterns."""
    store = LocalStore(tmp_path / "it's [a] lake*")
    plays = make_plays(3, viewers=3)
    roll_up(store, plays, FIRST, LAST)
    profile(store)
    assert_right(store, plays, {}, ["2026-Q1"])
