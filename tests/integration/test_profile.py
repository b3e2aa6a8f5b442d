"""The profile stage from rolled-up hours to audiences, on a lake in a folder: results, restatement, engines."""

import dataclasses
import logging
import random
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.job import run
from jobs.profile.settings import ProfileOptions, ProfileSettings
from jobs.profile.stage import ProfileStage
from jobs.profile.superseded import let_go_of_ended
from jobs.profile.units import AudienceUnit
from jobs.profile.what_if import what_if
from marquee.calendar import EVER, Grain, Period, Span, day
from marquee.engine.base import Engine, Kernel, U, V
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.engine.spark import SparkEngine
from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    EPISODE_DAY,
    OVERLAP,
    SEASON_AUDIENCE,
    SEASON_STEP,
    SHOW_ORDER,
    SHOW_VIEWER,
    SITTING_PERIOD,
    VIEWER_PERIOD,
    WORLDWIDE,
    Dataset,
)
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.base import S3Options
from marquee.storage.local import LocalStore
from marquee.storage.opening import StoreAddress
from tests.oracle.audience import Catalogue, Oracle, Play, Thresholds
from tests.oracle.lake import Places, capture, digests, read_rows, roll_up
from tests.oracle.seasons import Episode, Rules, Seasons, Watched
from tests.oracle.sets import Sets, watched_of

FIRST, LAST = "2026-01-30T00", "2026-02-02T23"  # Friday to Monday: two weeks, two months, one quarter
DAYS = [day(f"2026-{name}") for name in ("01-30", "01-31", "02-01", "02-02")]
PERIODS = [*map(str, DAYS), "2026-W05", "2026-W06", "2026-01", "2026-02", "2026-Q1"]
ORDER_REACH = 3
COUNTRIES, LANGUAGES = ("KR",) * 5 + ("JP", "JP", "US"), ("ko", "ko", "en", "en-GB")
NEWCOMER = 77  # a viewer with one play, on the third day
SPECIAL = 500  # an episode that is played only on the last day
LAST_DAY = Span.of(DAYS[-1], DAYS[-1])


def make_catalogue() -> Catalogue:
    """Return five shows with episodes of many runtimes, some of them unknown."""
    rng = random.Random(1)  # noqa: S311 - nothing to hide
    episodes = [*range(100, 130), SPECIAL]
    return {episode: (rng.randrange(1, 6), rng.choice([None, 60, 60, 600, 2400])) for episode in episodes}


def make_places() -> Places:
    """Return two seasons for each show, whose episodes air before and within the days."""
    return {one: (one % 2, one - 100, DAYS[max(one % 5 - 1, 0)].date) for one in range(100, 130)}


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


PLAYS, CATALOGUE, PLACES = make_plays(1, viewers=30), make_catalogue(), make_places()
GENRES = {1: ["Crime", "Drama"], 2: ["Crime"], 3: ["Anime"], 4: ["Drama"]}  # and show 5 without any
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
        units = [one for one in self.units if isinstance(one, AudienceUnit)]
        return {one.merged for one in units if one.merged + len(one.days) == days - 1}


def profile(
    lake: LocalStore,
    engine: Engine | None = None,
    span: Span = EVER,
    *,
    force: bool = False,
    now: datetime | None = None,
    **options: Any,
) -> list[Marker]:
    """Run both stages over a lake without a failure, and return what they made."""
    settings = ProfileSettings(lake=lake.url, profile=ProfileOptions(**{"order_reach": ORDER_REACH} | options))
    markers, engine = Markers(lake), engine or Watching()
    made: list[Marker] = []
    for stage in (ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine)):
        report = run_stage(stage, markers, span, force=force, clock=lambda: now or datetime.now(UTC))
        assert report.failed == ()
        made += report.made
    return made


def fill(store: LocalStore, plays: Sequence[Play], last: str = LAST, buckets: int = 2) -> LocalStore:
    """Roll up plays until an hour, capture the schedule, and profile."""
    roll_up(store, plays, FIRST, last, buckets)
    capture(store, "2026-02-01", CATALOGUE, GENRES, PLACES)
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
    return Oracle(plays, catalogue, days, Thresholds(), start=period.date, by_week=by_week, genres=GENRES)


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
        genres = read_rows(markers, keys.AUDIENCE, name, AUDIENCE_GENRE)
        assert {(row.pop("genre"), row.pop("country")): row for row in genres} == oracle.genres()


def test_audiences_are_those_of_the_oracle(profiled: LocalStore) -> None:
    """Audiences of days, weeks, months and the quarter to date equal the oracle's loops over all plays."""
    assert sorted(map(str, Markers(profiled).of(keys.AUDIENCE))) == sorted(PERIODS)
    assert_right(profiled, PLAYS, CATALOGUE)
    # The data cover the cases: some shows have every kind of viewer, some rows few or none.
    rows = read_rows(Markers(profiled), keys.AUDIENCE, "2026-Q1", AUDIENCE)
    assert any(row["binge_viewers"] for row in rows)
    assert any(row["multilingual_viewers"] for row in rows)
    assert {row["loyal_viewers"] for row in rows} == {None}  # four days of a quarter
    week = read_rows(Markers(profiled), keys.AUDIENCE, "2026-W05", AUDIENCE)
    assert any(0 < row["loyal_viewers"] < row["reach"] for row in week if row["loyal_viewers"] is not None)
    day_rows = read_rows(Markers(profiled), keys.AUDIENCE, "2026-01-30", AUDIENCE)
    assert any(row["reach"] == 1 for row in day_rows)
    genres = read_rows(Markers(profiled), keys.AUDIENCE, "2026-01-30", AUDIENCE_GENRE)
    assert {row["genre"] for row in genres} == {"Anime", "Crime", "Drama", "Unclassified", "Unknown show"}
    assert any(row["reach"] == 1 for row in genres)
    assert any(row["sole_viewers"] for row in genres)


def sets_of(plays: Sequence[Play], catalogue: Catalogue, name: str) -> Sets:
    """Return the oracle of sets of shows of a period."""
    return Sets(watched_of(ask_oracle(plays, catalogue, name)), 120, Fraction(9, 10), ORDER_REACH)


def test_orders_and_overlaps_are_those_of_the_oracle(profiled: LocalStore) -> None:
    """Orders of shows and overlaps of periods longer than a day equal loops over all plays."""
    markers = Markers(profiled)
    for name in ("2026-W05", "2026-01", "2026-Q1"):
        oracle = sets_of(PLAYS, CATALOGUE, name)
        orders: dict[str, list[tuple[int, int, int]]] = {}
        for row in read_rows(markers, keys.AUDIENCE, name, SHOW_ORDER):
            steps = orders.setdefault(row["strategy"], [])
            steps.append((row["show_id"], row["viewers"], row["watched_seconds"]))
            assert len(steps) == row["step"]
        assert orders == oracle.orders()
        overlaps = {
            (row["show_id"], row["other_show_id"]): (row["viewers"], row["only_of_genre_viewers"])
            for row in read_rows(markers, keys.AUDIENCE, name, OVERLAP)
        }
        assert overlaps == oracle.overlaps(GENRES)
        assert len(overlaps) == 25  # five shows
        assert orders["remove"][-1][1] > 0
    for dataset in (SHOW_VIEWER, SHOW_ORDER, OVERLAP):
        assert markers.of(keys.AUDIENCE)[DAYS[0]].of(dataset) == []


def assert_lost(store: LocalStore, engine: Engine, plays: Sequence[Play], name: str, shows: Sequence[int]) -> None:
    """Compare every count of a set of shows with the oracle's."""
    marker = Markers(store).of(keys.AUDIENCE)[Period.parse(name)]
    found = what_if(StoreAddress(store.url, S3Options()), engine, marker, shows, min_cell=1)
    counted = {
        one.country: {
            name: value
            for name, value in dataclasses.asdict(one).items()
            if name not in {"country", "all_seconds", "active_viewers"}
        }
        for one in found
    }
    assert counted == sets_of(plays, CATALOGUE, name).losses(shows)
    assert found[0].country == WORLDWIDE


@pytest.mark.parametrize("shows", [[1], [2, 4], [1, 2, 3, 4], [1, 2, 3, 4, 5], [99]])
def test_what_a_set_loses_is_what_the_oracle_says(profiled: LocalStore, shows: list[int]) -> None:
    """Losses of sets of shows equal loops over all plays, worldwide and in each country."""
    for name in ("2026-W05", "2026-Q1"):
        assert_lost(profiled, Watching(), PLAYS, name, shows)


def test_set_of_one_show_is_its_audience(profiled: LocalStore) -> None:
    """A set of one show has the reach, the sole viewers and the near-sole viewers of its audience."""
    marker = Markers(profiled).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    rows = read_rows(Markers(profiled), keys.AUDIENCE, "2026-Q1", AUDIENCE)
    for show in (1, 2, 3, 4, 5):
        audience = {row["country"]: row for row in rows if row["show_id"] == show}
        found = what_if(StoreAddress(profiled.url, S3Options()), Watching(), marker, [show], min_cell=1)
        assert {one.country: (one.reach, one.left_with_nothing, one.lose_nearly_all) for one in found} == {
            country: (row["reach"], row["sole_viewers"], row["near_sole_viewers"]) for country, row in audience.items()
        }
        assert all(one.left_with_nothing == one.one_by_one for one in found)


@pytest.mark.spark
def test_spark_counts_the_losses_of_a_set_alike(few: LocalStore, spark_engine: SparkEngine) -> None:
    """Spark counts what a set loses as the oracle does."""
    assert_lost(few, spark_engine, FEW, "2026-Q1", [1, 2, 3])


def assert_seasons(store: LocalStore, plays: Sequence[Play], places: Places, hours: int = 24) -> None:
    """Compare the counts of all steps and seasons with the oracle's; the last day has this many hours."""
    watched = [
        Watched(play["viewer"], play["episode"], play["received_at"].date(), play["watched_seconds"]) for play in plays
    ]
    episodes = {
        one: Episode(CATALOGUE[one][0], *place, CATALOGUE[one][1]) for one, place in places.items() if one in CATALOGUE
    }
    markers = Markers(store)
    for name in PERIODS:
        days = [one.date for one in DAYS if one in Period.parse(name)]
        whole = days[: None if hours == 24 or days[-1] != DAYS[-1].date else -1]
        oracle = Seasons(watched, episodes, days, max(whole, default=None), Rules())
        steps, seasons = (read_rows(markers, keys.AUDIENCE, name, one) for one in (SEASON_STEP, SEASON_AUDIENCE))
        wanted = oracle.steps()
        assert {key: {one: row[one] for one in wanted[key]} for row in steps for key in [key_of(row)]} == wanted
        counts = oracle.seasons()
        assert {key: {one: row[one] for one in counts[key]} for row in seasons for key in [key_of(row)]} == counts


def key_of(row: dict[str, Any]) -> Any:
    """Return the key of a row of season_step or season_audience."""
    return tuple(row[one] for one in ("show_id", "season", "step") if one in row)


def test_seasons_are_those_of_the_oracle(profiled: LocalStore) -> None:
    """Steps and seasons of weeks, months and the quarter equal the oracle's; a period of one day has none."""
    assert_seasons(profiled, PLAYS, PLACES)
    steps = read_rows(Markers(profiled), keys.AUDIENCE, "2026-Q1", SEASON_STEP)
    assert any(row["reached"] for row in steps)
    assert any(row["reached"] != row["at_risk"] for row in steps)
    assert any(row["waiting"] for row in steps)
    assert read_rows(Markers(profiled), keys.AUDIENCE, "2026-01-31", SEASON_AUDIENCE) == []


def test_a_day_that_goes_on_ends_no_window(lake: LocalStore, three_days: LocalStore) -> None:
    """While hours of the newest day are missing, windows that end on it are not over."""
    copied(three_days, lake)
    roll_up(lake, PLAYS, "2026-02-02T00", "2026-02-02T21")
    profile(lake)
    so_far = [play for play in PLAYS if play["received_at"] < datetime.fromisoformat("2026-02-02T22:00")]
    assert_seasons(lake, so_far, PLACES, hours=22)


def test_an_aired_episode_that_nobody_played_is_a_step(lake: LocalStore, few: LocalStore) -> None:
    """A new episode of a season remakes the periods with plays of the season that end on its air date or later."""
    copied(few, lake)
    show = CATALOGUE[110][0]
    known = {**CATALOGUE, 9999: (show, 600)}
    later = {**PLACES, 9999: (110 % 2, 99, DAYS[-1].date + timedelta(days=1))}
    capture(lake, "2026-02-02", known, GENRES, later)
    assert profile(lake) == []
    capture(lake, "2026-02-02", known, GENRES, {**later, 9999: (110 % 2, 99, DAYS[1].date)})
    made = {marker.period for marker in profile(lake)}
    assert made == {"2026-W05", "2026-01", "2026-02", "2026-Q1"}
    steps = read_rows(Markers(lake), keys.AUDIENCE, "2026-Q1", SEASON_STEP)
    assert [(row["episode"], row["viewers"]) for row in steps if row["show_id"] == show and row["season"] == 0][-1] == (
        99,
        0,
    )


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
    settings = ProfileSettings(lake=profiled.url, profile=ProfileOptions(order_reach=ORDER_REACH))
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
    capture(lake, "2026-02-01", CATALOGUE, GENRES, PLACES)
    profile(lake, Watching(workers=1))
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert without_buckets(digests(lake, stage)) == without_buckets(digests(profiled, stage))


def test_ranges_of_viewers_do_not_show(
    lake: LocalStore, three_days: LocalStore, profiled: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Viewers counted a few at a time, with spooled state, give the bytes of one go."""
    monkeypatch.setattr("jobs.profile.ranges.ROWS", 40)
    monkeypatch.setattr("jobs.profile.ranges.LEAST", 8)
    monkeypatch.setattr("jobs.profile.files.SPOOLED", 30)
    copied(three_days, lake)
    roll_up(lake, PLAYS, "2026-02-02T00", LAST)
    profile(lake)
    assert digests(lake, keys.AUDIENCE) == digests(profiled, keys.AUDIENCE)
    state = [read_rows(Markers(one), keys.AUDIENCE, "2026-Q1", VIEWER_PERIOD) for one in (lake, profiled)]
    assert len(state[0]) > 80  # rows of several ranges
    assert sum(row["watched_seconds"] for row in state[0]) == sum(row["watched_seconds"] for row in state[1])


def test_number_of_buckets_may_change_from_hour_to_hour(lake: LocalStore, profiled: LocalStore) -> None:
    """Hours in any numbers of buckets, profiled as they come, give the same results, and no day is made again."""
    capture(lake, "2026-02-01", CATALOGUE, GENRES, PLACES)
    numbers = cycle([1, 1, 2, 1])
    for name, more in (("2026-01-30", 1), ("2026-01-31", 2), ("2026-02-01", 6), ("2026-02-02", 1)):
        for period in Period.parse(name).parts(Grain.HOUR):
            if FIRST <= str(period) <= LAST:
                roll_up(lake, PLAYS, str(period), str(period), buckets=more * next(numbers))
        profile(lake)
    made = Markers(lake).of(keys.PROFILE)
    assert [marker.counts["buckets"] for _, marker in sorted(made.items())] == [2, 4, 12, 12]
    assert set(generations(lake, keys.PROFILE).values()) == {1}
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
    capture(lake, "2026-02-01", CATALOGUE, GENRES, PLACES)
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
    capture(lake, "2026-02-01", catalogue, GENRES, PLACES)
    profile(lake)
    assert_right(lake, FEW, catalogue)
    assert set(generations(lake, keys.PROFILE).values()) == {1}
    again = {"2026-02-02", "2026-W06", "2026-02", "2026-Q1"}
    assert generations(lake, keys.AUDIENCE) == {name: 2 if name in again else 1 for name in PERIODS}


def test_another_genre_remakes_the_periods_of_its_show(lake: LocalStore, few: LocalStore) -> None:
    """A new genre of a show without viewing restates nothing, and one of a show that was watched does."""
    copied(few, lake)
    capture(lake, "2026-02-01", {**CATALOGUE, 9999: (77, 60)}, {**GENRES, 77: ["Horror"]}, PLACES)
    assert profile(lake) == []
    capture(lake, "2026-02-01", CATALOGUE, {**GENRES, 5: ["Horror"]}, PLACES)
    profile(lake)
    rows = read_rows(Markers(lake), keys.AUDIENCE, "2026-Q1", AUDIENCE_GENRE)
    assert {row["genre"] for row in rows} == {"Anime", "Crime", "Drama", "Horror", "Unknown show"}


def test_orphans_are_resolved_when_the_schedule_knows_them(lake: LocalStore, few: LocalStore) -> None:
    """Plays of unknown episodes move to their show when a later capture lists the episodes."""
    copied(few, lake)
    before = Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    assert before.counts["orphan_episodes"] > 0
    catalogue = {**CATALOGUE, 98: (1, 600), 99: (8, None), 130: (8, 60)}
    capture(lake, "2026-02-02", catalogue, GENRES, PLACES)
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


LONG = [day(f"2026-01-{number:02}") for number in range(5, 26)]
"""Three weeks."""


def make_long_plays() -> list[Play]:
    """Return plays of six viewers on every day, some of them across midnight."""
    rng = random.Random(3)  # noqa: S311 - nothing to hide
    return [
        play(viewer, f"{one}T{hour:02}:{minute:02}", rng.choice([100, 101, 102, 200, 300]), rng.choice([60, 600, 1500]))
        for one in LONG
        for viewer in range(6)
        for hour, minute in ((rng.randrange(24), 30), (23, 50), (0, 10))
        if rng.random() < 0.6
    ]


@pytest.fixture(scope="module")
def long_lake(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Make a lake of three weeks in one run."""
    store = LocalStore(tmp_path_factory.mktemp("long"))
    roll_up(store, make_long_plays(), "2026-01-05T00", "2026-01-25T23")
    capture(store, "2026-02-01", CATALOGUE, GENRES, PLACES)
    profile(store)
    return store


def state_of(lake: LocalStore, period: str = "2026-Q1") -> list[int]:
    """Return the numbers of days of the blocks of a period's state."""
    return [days for _, days in Markers(lake).of(keys.AUDIENCE)[Period.parse(period)].counts["state"]]


def test_weeks_day_by_day_give_what_one_go_gives(lake: LocalStore, long_lake: LocalStore) -> None:
    """Blocks of days are merged in steps, and each day writes little; all results have the bytes of a single run.

    The quarter is published each morning: it keeps its blocks, and for a week what later runs have replaced.
    """
    capture(lake, "2026-02-01", CATALOGUE, GENRES, PLACES)
    written = []
    for one in LONG:
        roll_up(lake, make_long_plays(), f"{one}T00", f"{one}T23")
        profile(lake, now=one.end + timedelta(hours=6))
        marker = Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
        written += [days for run, days in marker.counts["state"] if run == marker.run_id]
    assert sum(written) == 15 * 1 + 4 * 4 + 16  # where all days before each new one would be 210
    assert state_of(lake) == [16, 4]
    assert state_of(long_lake) == [20]
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert digests(lake, stage) == digests(long_lake, stage)
    published = Markers(lake).of(keys.AUDIENCE)[Period.parse("2026-Q1")]
    assert all(lake.head(output.key) for output in published.outputs)
    results = [info.key for info in lake.list("data/audience/2026-Q1/") if info.key.endswith("/audience.parquet")]
    assert len(results) == 1 + 8 + 1  # and that of the 14th, whose block was merged on the 22nd


def test_late_play_makes_the_blocks_from_its_day_on_again(
    lake: LocalStore, long_lake: LocalStore, tmp_path: Path
) -> None:
    """A restated day leaves the blocks before it as they are, and the result is that of all days."""
    plays = [*make_long_plays(), play(3, "2026-01-22T12:00", 102)]
    capture(lake, "2026-02-01", CATALOGUE, GENRES, PLACES)
    for first, last in (("05", "15"), ("16", "20"), ("21", "25")):
        roll_up(lake, make_long_plays(), f"2026-01-{first}T00", f"2026-01-{last}T23")
        profile(lake)
    assert state_of(lake) == [10, 5, 5]
    roll_up(lake, plays, "2026-01-22T12", "2026-01-22T12")
    engine = Watching()
    profile(lake, engine)
    assert state_of(lake) == [10, 5, 5]
    assert engine.merged(21) == {15}
    anew = copied(long_lake, LocalStore(tmp_path / "anew"))
    roll_up(anew, plays, "2026-01-22T12", "2026-01-22T12")
    profile(anew, force=True)
    assert digests(lake, keys.AUDIENCE) == digests(anew, keys.AUDIENCE)


def test_days_with_late_plays_and_another_schedule_give_what_one_go_gives(
    lake: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine days arrive one by one, counted a few viewers at a time. The bytes are those of all days from nothing.

    With the sixth come plays of the third, of a known and of a new viewer. With the eighth the schedule moves an
    episode to another show, corrects a runtime, and lists an unknown episode. The last day goes on after a first half.
    """
    days, plays = LONG[:9], [one for one in make_long_plays() if one["received_at"].date() <= LONG[8].date]
    late = [play(0, f"{days[2]}T12:00", 101), play(NEWCOMER, f"{days[2]}T12:30", 300)]
    changed = {**CATALOGUE, 101: (4, 7200), 102: (CATALOGUE[102][0], 60), 200: (2, 600)}
    capture(lake, "2026-02-01", CATALOGUE, GENRES, PLACES)
    with monkeypatch.context() as patch:
        patch.setattr("jobs.profile.ranges.ROWS", 40)
        patch.setattr("jobs.profile.ranges.LEAST", 8)
        for number, one in enumerate(days, start=1):
            if number == 6:
                roll_up(lake, [*plays, *late], f"{days[2]}T12", f"{days[2]}T12")
            if number == 8:
                capture(lake, "2026-02-02", changed, GENRES, PLACES)
            for first, last in [("00", "23")] if number < 9 else [("00", "11"), ("12", "23")]:
                roll_up(lake, [*plays, *late] if number >= 6 else plays, f"{one}T{first}", f"{one}T{last}")
                profile(lake)
    anew = LocalStore(tmp_path / "anew")
    for requested, catalogue in (("2026-02-01", CATALOGUE), ("2026-02-02", changed)):
        capture(anew, requested, catalogue, GENRES, PLACES)
    roll_up(anew, [*plays, *late], f"{days[0]}T00", f"{days[-1]}T23")
    profile(anew)
    for stage in (keys.PROFILE, keys.AUDIENCE):
        assert digests(lake, stage) == digests(anew, stage)


def test_runs_of_ended_periods_are_let_go(lake: LocalStore) -> None:
    """What replaced runs have left of a period that ended a week ago is deleted, and not before."""
    for last in ("2026-01-05T11", "2026-01-05T23"):
        roll_up(lake, make_long_plays(), "2026-01-05T00", last)
        profile(lake, now=Period.parse(last).end)

    def runs() -> int:
        return len({info.key.split("/")[3] for info in lake.list("data/audience/2026-01-05/")})

    ended = LONG[0].end
    for days, expected in ((0, 2), (6, 2), (8, 1)):
        let_go_of_ended(Markers(lake), ended + timedelta(days=days))
        assert runs() == expected
