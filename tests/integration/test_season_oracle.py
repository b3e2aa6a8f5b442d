"""The queries of seasons against the oracle on generated plays and nasty schedules, in two buckets of viewers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from jobs.profile.audience import list_steps
from jobs.profile.audience_stage import query_values
from jobs.profile.day_bitmap import split_bitmap
from jobs.profile.queries import query
from jobs.profile.season_counts import Ladder, count_seasons, count_steps, find_steps
from jobs.profile.settings import ProfileOptions
from jobs.profile.watching import Watching
from marquee.calendar import Grain, Period
from marquee.engine.base import Task
from marquee.lake.captured_schedule import Catalogue
from marquee.lake.datasets import SEASON_AUDIENCE, SEASON_STEP, VIEWER_PERIOD
from tests.oracle.seasons import Episode, Row, Rules, Seasons, Watched

QUARTER = Period.parse("2026-Q1")
START = QUARTER.date
BUCKETS = 2
SEASONS = pa.schema(
    [
        ("episode_id", pa.int64()),
        ("show_id", pa.int64()),
        ("season", pa.int64()),
        ("number", pa.int64()),
        ("airdate", pa.date32()),
        ("runtime_seconds", pa.int64()),
        ("season_key", pa.int64()),
    ]
)
NO_EPISODES = pa.schema([("episode_id", pa.int64()), ("show_id", pa.int64()), ("runtime_seconds", pa.int64())])
NO_PREMIERES = pa.schema([("show_id", pa.int64()), ("premiered", pa.date32())]).empty_table()
NO_GENRES = pa.schema([("show_id", pa.int64()), ("genre", pa.string())])


def on(number: int) -> date:
    """Return a day of the quarter by its number, from 0; before it if negative."""
    return START + timedelta(days=number)


def weekly(number: int) -> Episode:
    """Return an episode of a weekly season that began on the quarter's first day."""
    return Episode(1, 1, number, on(7 * number - 7), 100)


EPISODES = {
    **{10 + number: weekly(number) for number in range(1, 7)},
    **{20 + number: Episode(2, 2026, number, on(-30), 100) for number in (3, 4, 7, 8)},  # at once, with gaps
    29: Episode(2, 2026, 7, on(3), 60),  # two parts by one number
    30: Episode(2, 2026, None, on(1), 100),  # a special
    31: Episode(2, 2026, 9, None, 100),
    32: Episode(2, 2026, 10, on(2), None),
    33: Episode(2, None, 1, on(2), 100),
    40: Episode(2, 3, 1, on(0), 100),  # another season of the show
    41: Episode(2, 3, 2, on(200), 100),  # airs after the period
    51: Episode(5, 1, 2, on(9), 100),  # the second airs before the first
    52: Episode(5, 1, 1, on(12), 100),
    53: Episode(5, 1, 3, on(12), 100),
}


def tables(
    plays: Sequence[Watched], days: Sequence[Period], whole: int, options: ProfileOptions
) -> dict[str, list[Row]]:
    """Return the rows of season_step and season_audience that the counts make of the plays, bucket by bucket."""
    values = query_values(options, QUARTER, days, whole=whole)
    catalogue = Catalogue(NO_EPISODES.empty_table(), NO_GENRES.empty_table(), listed(EPISODES, days), NO_PREMIERES)
    counts: dict[str, list[pa.Table]] = defaultdict(list)
    season_episode = list_steps(catalogue, values)
    ladder = Ladder(season_episode)
    for bucket in range(BUCKETS):
        rows = played([one for one in plays if one.viewer % BUCKETS == bucket], days)
        steps = find_steps(Watching(rows, catalogue.episodes, values), ladder, values)
        counts["step_counts"].append(count_steps(steps, ladder, values))
        counts["season_counts"].append(count_seasons(steps, ladder))
    with Task(Path("unused"), 200).database() as db:
        db.register("season_episode", season_episode)
        for name, parts in counts.items():
            db.register(name, pa.concat_tables(parts))
        return {
            one.name: query(one.name).select(db, values).cast(one.schema).to_pylist()
            for one in (SEASON_STEP, SEASON_AUDIENCE)
        }


def listed(episodes: Mapping[int, Episode], days: Sequence[Period]) -> pa.Table:
    """Return the catalogue's table of seasons, up to the last of the days."""
    rows = [
        (one, each.show, each.season, each.number, each.airdate, each.runtime, 0)
        for one, each in episodes.items()
        if each.is_listed and each.airdate is not None and each.airdate <= days[-1].date and len(days) > 1
    ]
    return pa.Table.from_pylist([dict(zip(SEASONS.names, row, strict=True)) for row in rows], schema=SEASONS)


def played(plays: Sequence[Watched], days: Sequence[Period]) -> pa.Table:
    """Return the plays as the state has them: the days before the last summed, and the last day's rows of their own."""
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for number, play in enumerate(plays):
        if play.day in [one.date for one in days]:
            country = ("KR", "JP")[number % 2]
            one = sums[play.viewer, play.episode, country, play.day == days[-1].date]
            one[0] += play.seconds
            one[1] |= 1 << (play.day - START).days
    rows = []
    for (viewer, episode, country, _), (seconds, bits) in sums.items():
        low, high = split_bitmap(bits)
        key = {"viewer": viewer, "episode_id": episode, "country": country, "language": "ko"}
        rows.append({**key, "plays": 1, "watched_seconds": seconds, "days_low": low, "days_high": high})
    return pa.Table.from_pylist(rows, schema=VIEWER_PERIOD.schema)


def check(plays: Sequence[Watched], days: int, *, partial: bool, window: int) -> dict[str, list[Row]]:
    """Compare the queries with the oracle for a period to date of this many days; return the rows of the queries."""
    so_far = list(QUARTER.parts(Grain.DAY))[:days]
    whole = days - partial
    rows = tables(plays, so_far, whole, ProfileOptions(step_days=window))
    rules = Rules(window_days=window, recent_days=window)
    last_whole = so_far[whole - 1].date if whole else None
    oracle = Seasons(plays, EPISODES, [one.date for one in so_far], last_whole, rules)
    steps = {(row["show_id"], row["season"], row["step"]): row for row in rows["season_step"]}
    expected = oracle.steps()
    assert {key: {name: row[name] for name in expected[key]} for key, row in steps.items()} == expected
    counted = oracle.seasons()
    seasons = {(row["show_id"], row["season"]): row for row in rows["season_audience"]}
    assert {key: {name: row[name] for name in counted[key]} for key, row in seasons.items()} == counted
    return rows


@st.composite
def histories(draw: st.DrawFn) -> list[Watched]:
    """Generate one viewer's way through a season: in order or not, on or around the edges of windows and words."""
    viewer = draw(st.integers(1, 4))
    show = draw(st.sampled_from([1, 1, 2, 5]))
    own = [one for one, each in EPISODES.items() if each.show == show]
    today = draw(st.sampled_from([0, 0, 1, 12, 60, 62, 63, 64, 70]))
    plays = []
    for episode in draw(st.one_of(st.just(own), st.lists(st.sampled_from(own), min_size=1, max_size=8))):
        seconds = draw(st.sampled_from([100, 100, 70, 69, 35, 0]))
        plays.append(Watched(viewer, episode, on(min(today, 89)), seconds))
        today += draw(st.sampled_from([0, 0, 1, 2, 3, 4, 7, 8]))
    return plays[: draw(st.integers(1, len(plays)))]


@given(
    plays=st.lists(histories(), min_size=1, max_size=8).map(lambda many: [one for each in many for one in each]),
    days=st.sampled_from([1, 2, 3, 8, 15, 40, 70, 90]),
    partial=st.booleans(),
    window=st.sampled_from([1, 2, 3, 14]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@example(  # exactly 70 % on two days and in two countries; on the last day of the window, and a day later
    plays=[
        Watched(1, 11, on(0), 35), Watched(1, 11, on(9), 35), Watched(1, 12, on(10), 70), Watched(1, 13, on(18), 100),
    ],
    days=40, partial=False, window=3,
)  # fmt: skip
@example(  # the later episode first, then back to the first, and over a skipped one
    plays=[Watched(1, 14, on(2), 100), Watched(1, 11, on(20), 100), Watched(1, 16, on(36), 100)],
    days=90, partial=True, window=14,
)  # fmt: skip
@example(  # the third in time, and the second, which was skipped, long after
    plays=[Watched(1, 23, on(0), 100), Watched(1, 27, on(1), 100), Watched(1, 24, on(30), 100)],
    days=90, partial=False, window=3,
)  # fmt: skip
def test_steps_agree_with_the_oracle(
    plays: list[Watched],
    days: int,
    partial: bool,
    window: int,
) -> None:
    """Every count of every step and season equals that of following each viewer through each season."""
    rows = check(plays, days, partial=partial, window=window)
    event(f"reached: {any(row['reached'] for row in rows['season_step'])}")
    event(f"waiting: {any(row['waiting'] for row in rows['season_step'])}")


def test_a_weekly_season_and_one_at_once_are_measured_alike() -> None:
    """Ten viewers each, of whom half go on after the second episode: the same shares, whatever the release."""
    week = [
        Watched(viewer, 10 + number, on(7 * number - 7), 100)
        for viewer in range(10)
        for number in ((1, 2, 3, 4) if viewer < 5 else (1, 2))
    ]
    once = [
        Watched(100 + viewer, episode, on(0), 100)
        for viewer in range(10)
        for episode in ((23, 24, 27, 28) if viewer < 5 else (23, 24))
    ]
    # On day 35, the fifth weekly episode is out for a week, and nobody's window for it is over.
    rows = check([*week, *once], 36, partial=False, window=14)["season_step"]
    assert [(row["step"], row["at_risk"], row["reached"], row["waiting"]) for row in rows if row["show_id"] == 1] == [
        (1, None, None, None),
        (2, 10, 10, 0),
        (3, 10, 5, 0),
        (4, 5, 5, 0),
        (5, 0, 0, 5),
        (6, 0, 0, 0),
    ]
    kept: dict[int, list[float | None]] = {row["show_id"]: [] for row in rows}
    for row in rows:
        kept[row["show_id"]].append(row["kept"])
    assert kept[1] == [1.0, 1.0, 0.5, 0.5, None, None]
    assert kept[2] == pytest.approx([1.0, 1.0, 0.5, 0.5])


def test_what_kind_of_release_a_season_has() -> None:
    """The kind follows from the days on which the captured episodes aired."""
    rows = check([Watched(1, one, on(20), 100) for one in (11, 23, 51)], 60, partial=False, window=14)
    kinds = {row["show_id"]: (row["release_kind"], row["episodes"]) for row in rows["season_audience"]}
    assert kinds == {1: ("weekly", 6), 2: ("at once", 4), 5: ("several a week", 3)}
