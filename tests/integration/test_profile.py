"""The profile stage from rolled-up hours to audiences, on a lake in a folder: results, restatement, engines."""

import logging
import random
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.job import run
from jobs.profile.settings import ProfileOptions, ProfileSettings
from jobs.profile.stage import ProfileStage
from jobs.profile.units import AudienceUnit
from marquee.calendar import EVER, Grain, Period, Span, day
from marquee.engine.base import Engine, Kernel, U, V
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.engine.spark import SparkEngine
from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    EPISODE_DAY,
    SITTING_PERIOD,
    VIEWER_PERIOD,
    Dataset,
)
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.local import LocalStore
from tests.oracle.audience import Catalogue, Oracle, Play, Thresholds
from tests.oracle.lake import capture, digests, read_rows, roll_up

FIRST, LAST = "2026-01-30T00", "2026-02-02T23"  # Friday to Monday: two weeks, two months, one quarter
DAYS = [day(f"2026-{name}") for name in ("01-30", "01-31", "02-01", "02-02")]
PERIODS = [*map(str, DAYS), "2026-W05", "2026-W06", "2026-01", "2026-02", "2026-Q1"]
MIN_CELL = 3
COUNTRIES, LANGUAGES = ("KR",) * 5 + ("JP", "JP", "US"), ("ko", "ko", "en", "en-GB")
NEWCOMER = 77  # a viewer with one play, on the third day
SPECIAL = 500  # an episode that is played only on the last day
LAST_DAY = Span.of(DAYS[-1], DAYS[-1])


def make_catalogue() -> Catalogue:
    """Return five shows with episodes of many runtimes, some of them unknown."""
    rng = random.Random(1)  # noqa: S311 - nothing to hide
    episodes = [*range(100, 130), SPECIAL]
    return {episode: (rng.randrange(1, 6), rng.choice([None, 60, 60, 600, 2400])) for episode in episodes}


def make_plays(seed: int, viewers: int) -> list[Play]:
    """Return the plays of four days: bursts at any time that sometimes change episode, country and language."""
    rng = random.Random(seed)  # noqa: S311 - nothing to hide
    start, end = DAYS[0].start.replace(tzinfo=None), DAYS[-1].end.replace(tzinfo=None)
    plays = [play(0, "2026-01-30T08:00"), play(NEWCOMER, "2026-02-01T10:00"), play(1, "2026-02-02T20:00", SPECIAL)]
    for viewer in range(viewers):
        for _ in range(rng.randrange(1, 6)):
            moment = start + timedelta(minutes=rng.randrange(4 * 1440))
            episode, country, language = rng.randrange(98, 131), rng.choice(COUNTRIES), rng.choice(LANGUAGES)
            for _ in range(rng.randrange(1, 50)):
                if moment >= end:
                    break
                plays.append(
                    Play(
                        viewer=viewer,
                        episode=episode,
                        country=country,
                        language=language,
                        received_at=moment,
                        watched_seconds=rng.choice([60, 60, 60, 0, 600]),
                    )
                )
                moment += timedelta(seconds=rng.choice([60, 60, 60, 300, 1799, 1800]))
                if rng.random() < 0.25:
                    episode = rng.randrange(98, 131)
                if rng.random() < 0.05:
                    country, language = rng.choice(COUNTRIES), rng.choice(LANGUAGES)
    return plays


def play(viewer: int, received_at: str, episode: int = 100, seconds: int = 600) -> Play:
    """Return one play, in Korea and in Korean."""
    return Play(
        viewer=viewer,
        episode=episode,
        country="KR",
        language="ko",
        received_at=datetime.fromisoformat(received_at),
        watched_seconds=seconds,
    )


PLAYS, CATALOGUE = make_plays(1, viewers=30), make_catalogue()
FEW = make_plays(2, viewers=10)


class Watching(LocalEngine):
    """A local engine that records its units."""

    def __init__(self, workers: int = 2) -> None:
        super().__init__(EngineOptions(workers=workers, memory_mb=400))
        self.units: list[object] = []

    def map(self, kernel: Kernel[U, V], units: Sequence[U]) -> list[V]:
        """Run the kernel over the units, and record them."""
        self.units += units
        return super().map(kernel, units)

    def merged(self, days: int) -> set[int]:
        """Return the numbers of days in the states that periods with a given number of days started from."""
        return {one.merged for one in self.units if isinstance(one, AudienceUnit) and len(one.days) == days}


def profile(
    lake: LocalStore, engine: Engine | None = None, span: Span = EVER, *, force: bool = False, **options: Any
) -> list[Marker]:
    """Run both stages over a lake without a failure, and return what they made."""
    settings = ProfileSettings(lake=lake.url, profile=ProfileOptions(**{"min_cell": MIN_CELL} | options))
    markers, engine = Markers(lake), engine or Watching()
    made: list[Marker] = []
    for stage in (ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine)):
        report = run_stage(stage, markers, span, force=force)
        assert report.failed == ()
        made += report.made
    return made


def fill(store: LocalStore, plays: Sequence[Play], last: str = LAST, buckets: int = 2) -> LocalStore:
    """Roll up plays until an hour, capture the schedule, and profile."""
    roll_up(store, plays, FIRST, last, buckets)
    capture(store, "2026-02-01", CATALOGUE)
    profile(store)
    return store


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Return a read-only lake of four days, profiled in one run."""
    return fill(LocalStore(tmp_path_factory.mktemp("profiled")), PLAYS)


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Return a read-only lake without the last of the four days."""
    return fill(LocalStore(tmp_path_factory.mktemp("three_days")), PLAYS, last="2026-02-01T23")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Return a read-only lake of few viewers in one bucket."""
    return fill(LocalStore(tmp_path_factory.mktemp("few")), FEW, buckets=1)


def copied(store: LocalStore, lake: LocalStore) -> LocalStore:
    """Copy a lake into another one, and return it."""
    shutil.copytree(store.root, lake.root)
    return lake


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
    """Audiences of days, weeks, months and the quarter to date equal the oracle's loops over all plays."""
    assert sorted(map(str, Markers(profiled).of(keys.AUDIENCE))) == sorted(PERIODS)
    assert_right(profiled, PLAYS, CATALOGUE)
    # The data cover the cases: some shows have every kind of viewer, some rows are too small to be published.
    rows = read_rows(Markers(profiled), keys.AUDIENCE, "2026-Q1", AUDIENCE)
    assert any(row["binge_viewers"] for row in rows)
    assert any(row["loyal_viewers"] != row["reach"] for row in rows)
    assert any(row["multilingual_viewers"] for row in rows)
    assert any(row["reach"] is None for row in read_rows(Markers(profiled), keys.AUDIENCE, "2026-01-30", AUDIENCE))


def test_counts_stand_in_the_markers(profiled: LocalStore) -> None:
    """A marker counts rows, viewers, and plays of episodes that are not in the schedule."""
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
    """Dataset episode_day has every episode's plays and seconds, whichever buckets its viewers are in."""
    rows = read_rows(Markers(profiled), keys.PROFILE, "2026-01-31", EPISODE_DAY)
    today = [play for play in PLAYS if play["received_at"].date() == DAYS[1].date]
    assert {row["episode_id"]: (row["plays"], row["watched_seconds"]) for row in rows} == {
        episode: (len(own), sum(play["watched_seconds"] for play in own))
        for episode in {play["episode"] for play in today}
        if (own := [play for play in today if play["episode"] == episode])
    }


def test_running_again_does_nothing(profiled: LocalStore) -> None:
    """A second run of the stage or of its command makes nothing."""
    settings = ProfileSettings(lake=profiled.url, profile=ProfileOptions(min_cell=MIN_CELL))
    report = run(settings, Markers(profiled), EVER, force=False, advance=lambda *_: None)
    assert (report.made, report.failed, report.unchanged) == ((), (), len(DAYS) + len(PERIODS))


def test_day_by_day_gives_what_one_go_gives(lake: LocalStore, three_days: LocalStore, profiled: LocalStore) -> None:
    """Merging each new day into the state, the last day in two parts, gives the bytes of a single run."""
    copied(three_days, lake)
    engine = Watching()
    for first, last in (("2026-02-02T00", "2026-02-02T12"), ("2026-02-02T13", LAST)):
        roll_up(lake, PLAYS, first, last)
        profile(lake, engine)
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert digests(lake, stage) == digests(profiled, stage)
    # For four days the quarter started from a state of two days, then of three: never from the last day.
    assert engine.merged(4) == {2, 3}


def test_number_of_buckets_and_workers_does_not_show(lake: LocalStore, profiled: LocalStore) -> None:
    """The number of buckets and workers changes no published result."""
    roll_up(lake, PLAYS, FIRST, LAST, buckets=1)
    capture(lake, "2026-02-01", CATALOGUE)
    profile(lake, Watching(workers=1))
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert without_buckets(digests(lake, stage)) == without_buckets(digests(profiled, stage))


def without_buckets(files: dict[str, str]) -> dict[str, str]:
    """Return the files that are not split by bucket."""
    return {name: digest for name, digest in files.items() if "/bucket=" not in name}


@pytest.mark.spark
def test_spark_gives_the_same_bytes(lake: LocalStore, tmp_path: Path, spark_engine: SparkEngine) -> None:
    """Spark and the local engine make the same bytes."""
    local = fill(LocalStore(tmp_path / "local"), FEW, last="2026-01-31T23")
    roll_up(lake, FEW, FIRST, "2026-01-31T23")
    capture(lake, "2026-02-01", CATALOGUE)
    profile(lake, spark_engine)
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert digests(lake, stage) == digests(local, stage)


def generations(store: LocalStore, stage: str) -> dict[str, int]:
    """Return the number of times each period was made."""
    return {str(period): marker.generation for period, marker in Markers(store).of(stage).items()}


def test_restated_hour_is_followed_where_it_counts(lake: LocalStore, few: LocalStore) -> None:
    """A late play of a known viewer restates its day and the periods with that day, and nothing else."""
    copied(few, lake)
    plays = [*FEW, play(0, "2026-02-01T12:30", seconds=3600)]
    roll_up(lake, plays, "2026-02-01T12", "2026-02-01T12", buckets=1)
    profile(lake)
    assert_right(lake, plays, CATALOGUE)
    assert generations(lake, keys.PROFILE) == {"2026-01-30": 1, "2026-01-31": 1, "2026-02-01": 2, "2026-02-02": 1}
    again = {"2026-02-01", "2026-W05", "2026-02", "2026-Q1"}
    assert generations(lake, keys.AUDIENCE) == {name: 2 if name in again else 1 for name in PERIODS}


def test_viewer_who_was_seen_before_is_new_no_more(lake: LocalStore, few: LocalStore) -> None:
    """A late play on the first day restates later days too, because its viewer is no longer new there."""
    copied(few, lake)
    plays = [*FEW, play(NEWCOMER, "2026-01-30T09:00")]
    roll_up(lake, plays, "2026-01-30T09", "2026-01-30T09", buckets=1)
    profile(lake)
    assert_right(lake, plays, CATALOGUE)
    before, after = (Markers(store).of(keys.PROFILE)[DAYS[2]].counts["new_viewers"] for store in (few, lake))
    assert after == before - 1


def test_another_capture_remakes_the_periods_it_touches(lake: LocalStore, few: LocalStore) -> None:
    """A corrected runtime restates the periods with plays of its episode; a new episode without plays, none."""
    copied(few, lake)
    catalogue = {**CATALOGUE, SPECIAL: (CATALOGUE[SPECIAL][0], 7200), 9999: (77, 60)}
    capture(lake, "2026-02-01", catalogue)
    profile(lake)
    assert_right(lake, FEW, catalogue)
    assert set(generations(lake, keys.PROFILE).values()) == {1}
    again = {"2026-02-02", "2026-W06", "2026-02", "2026-Q1"}
    assert generations(lake, keys.AUDIENCE) == {name: 2 if name in again else 1 for name in PERIODS}


def test_orphans_are_resolved_when_the_schedule_knows_them(lake: LocalStore, few: LocalStore) -> None:
    """Plays of unknown episodes move to their show when a later capture lists the episodes."""
    copied(few, lake)
    before = Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    assert before.counts["orphan_episodes"] > 0
    catalogue = {**CATALOGUE, 98: (1, 600), 99: (8, None), 130: (8, 60)}
    capture(lake, "2026-02-02", catalogue)
    profile(lake, span=LAST_DAY)
    assert_right(lake, FEW, catalogue, ["2026-W06", "2026-Q1"])
    after = Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    assert (after.counts["orphan_episodes"], after.counts["orphan_seconds"]) == (0, 0)


@pytest.mark.parametrize(
    ("dataset", "damage"),
    [
        pytest.param(VIEWER_PERIOD, b"not what it was", id="damaged viewer_period"),
        pytest.param(SITTING_PERIOD, None, id="sitting_period is gone"),
    ],
)
def test_state_that_cannot_be_read_is_made_anew(
    dataset: Dataset,
    damage: bytes | None,
    lake: LocalStore,
    three_days: LocalStore,
    profiled: LocalStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When the state is lost, all days of the period are read again with a warning, and the bytes are the same."""
    copied(three_days, lake)
    for output in Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")].of(dataset):
        lake.delete(output.key)
        if damage:
            lake.put(output.key, damage)
    roll_up(lake, PLAYS, "2026-02-02T00", LAST)
    with caplog.at_level(logging.WARNING):
        profile(lake)
    assert digests(lake, keys.AUDIENCE) == digests(profiled, keys.AUDIENCE)
    assert "is rebuilt from all days of the period" in caplog.text


def test_forced_run_starts_from_the_days(lake: LocalStore, few: LocalStore) -> None:
    """A run with --force starts from the days, not from an earlier state, and gives the same bytes."""
    copied(few, lake)
    engine = Watching()
    made = [marker.period for marker in profile(lake, engine, LAST_DAY, force=True)]
    assert made == ["2026-02-02", "2026-02-02", "2026-W06", "2026-02", "2026-Q1"]
    assert digests(lake, keys.AUDIENCE) == digests(few, keys.AUDIENCE)
    assert engine.merged(4) == {0}


def test_other_thresholds_are_another_state(lake: LocalStore, few: LocalStore) -> None:
    """A changed threshold makes days and periods stale, and states with the old threshold are not reused."""
    copied(few, lake)
    engine = Watching()
    assert len(profile(lake, engine, LAST_DAY, sitting_gap_seconds=600)) == 5
    assert engine.merged(4) == {0}


def test_lake_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    """Blanks, quotes, brackets and stars in the path of a lake are part of its name, not patterns."""
    store = LocalStore(tmp_path / "it's [a] lake*")
    roll_up(store, [play(1, "2026-02-01T10:00")], "2026-02-01T10", "2026-02-01T10")
    profile(store)
    assert read_rows(Markers(store), keys.AUDIENCE, "2026-W05", AUDIENCE)[0]["watched_seconds"] == 600
