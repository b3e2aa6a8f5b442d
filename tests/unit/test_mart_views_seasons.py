"""The questions about seasons: the answer of each view on data that is small enough to calculate by hand."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from marquee.lake import keys
from marquee.lake.datasets import AUDIENCE_BASE, SEASON_AUDIENCE, SEASON_STEP
from marquee.mart.questions import ask
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load
from tests.oracle.seasons import season_steps, where_they_stop

FIRST = date(2026, 1, 5)
BASE = [{"country": "**", "active_viewers": 1000, "watched_seconds": 3600}]


def answer(kiosk: Kiosk, question: str, *columns: str, only: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
    """Ask a question, and return columns of the answer."""
    names, rows = ask(kiosk_of(kiosk), question, 0, only)
    return [tuple(row[names.index(name)] for name in columns) for row in rows]


def steps(
    show_id: int, moves: Sequence[tuple[int | None, int | None]], season: int = 1, first: int = 1
) -> list[dict[str, Any]]:
    """Return the rows of a season's steps from the viewers at risk and those who reached each step after the first."""
    kept: float | None = 1.0
    rows: list[dict[str, Any]] = []
    for number, (at_risk, reached) in enumerate([(None, None), *moves]):
        if number:
            kept = kept * reached / at_risk if kept is not None and at_risk and reached is not None else None
        rows.append(
            {
                "show_id": show_id,
                "season": season,
                "step": number + 1,
                "episode": first + number,
                "aired": FIRST + timedelta(days=7 * number),
                "viewers": 100,
                "at_risk": at_risk,
                "reached": reached,
                "waiting": None if number == 0 else 12,
                "kept": kept,
            }
        )
    return rows


def season(show_id: int, episodes: int, starters: int | None, mid_season: int | None, **rest: Any) -> dict[str, Any]:
    """Return the row of a season that airs weekly."""
    return {
        "show_id": show_id,
        "season": 1,
        "episodes": episodes,
        "first_episode": 1,
        "last_episode": episodes,
        "first_aired": FIRST,
        "last_aired": FIRST + timedelta(days=7 * episodes - 7),
        "release_kind": "weekly",
        "window_days": 14,
        "starters": starters,
        "finishers": 0,
        "mid_season": mid_season,
        **rest,
    }


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A kiosk with the seasons of a quarter, and of a month that has other figures."""
    small = SmallLake(LocalStore(tmp_path_factory.mktemp("stopped") / "lake"))
    names = {1: "Weekly", 2: "Once", 3: "Dropped", 4: "Begun before", 5: "Unseen", 6: "Withheld", 7: "All stay"}
    small.capture("2026-01-05", shows=[{"show_id": one, "name": name} for one, name in names.items()])
    tables = {
        AUDIENCE_BASE: BASE,
        SEASON_STEP: [
            *steps(1, [(100, 80), (80, 60), (29, 20)]),  # the same loss twice; then 29 stand for 29 / 0.6, which is 48
            *steps(2, [(200, 190), (190, 160), (160, 160)], season=2026, first=4),
            *steps(3, [(100, 20), (10, 5)]),  # ten stand for 50
            *steps(4, [(0, 0), (60, 30)]),
            *steps(6, [(None, None)]),
            *steps(7, [(60, 60)]),
        ],
        SEASON_AUDIENCE: [
            season(1, 4, 140, 30),
            season(2, 4, 200, 0, season=2026, release_kind="at once"),
            season(3, 3, 100, None),
            season(4, 3, 0, 55),
            season(5, 3, 0, 0),
            season(6, 2, None, None),
            season(7, 2, 60, 10),
        ],
    }
    small.publish(keys.AUDIENCE, "2026-Q1", tables)
    other = {AUDIENCE_BASE: BASE, SEASON_STEP: steps(1, [(50, 10)]), SEASON_AUDIENCE: [season(1, 2, 50, 0)]}
    small.publish(keys.AUDIENCE, "2026-02", other)
    small.hour("2026-01-05T00")
    kiosk = new_kiosk()
    load(small.store, kiosk)
    return kiosk


def test_where_they_stop(stopped: Kiosk) -> None:
    """Each season has its greatest loss, the earlier of equals, as far as viewers stand for 50 of the first episode."""
    columns = ("period", "title", "season", "release_kind", "place", "starters", "stop_after", "stop_percent")
    assert answer(stopped, "where-they-stop", *columns) == [
        ("2026-Q1", "Dropped", 1, "weekly", 1, 100, 1, 80.0),
        ("2026-Q1", "Weekly", 1, "weekly", 2, 140, 1, 20.0),
        ("2026-Q1", "Once", 2026, "at once", 3, 200, 5, 15.0),
        ("2026-Q1", "All stay", 1, "weekly", 4, 60, None, 0.0),
        ("2026-Q1", "Begun before", 1, "weekly", None, 0, None, None),
    ]
    shares = ("title", "second_percent", "third_percent", "last_episode", "last_percent", "episodes", "mid_season")
    assert answer(stopped, "where-they-stop", *shares) == [
        ("Dropped", 20.0, 10.0, 3, 10.0, 3, None),
        ("Weekly", 80.0, 60.0, 3, 60.0, 4, 30),
        ("Once", 95.0, 80.0, 7, 80.0, 4, 0),
        ("All stay", 100.0, None, 2, 100.0, 2, 10),
        ("Begun before", None, None, None, None, 3, 55),
    ]


def test_rounded_viewers_at_risk_count_as_the_fewest(
    tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]
) -> None:
    """50 published viewers may be 45, too few for a share; 60 are at least 55."""
    small = SmallLake(LocalStore(tmp_path_factory.mktemp("rounded") / "lake"))
    small.capture("2026-01-05", shows=[{"show_id": one, "name": str(one)} for one in (1, 2)])
    tables = {
        AUDIENCE_BASE: BASE,
        SEASON_STEP: [*steps(1, [(50, 0)]), *steps(2, [(60, 30)])],
        SEASON_AUDIENCE: [season(1, 2, 70, 0), season(2, 2, 70, 0)],
    }
    small.publish(keys.AUDIENCE, "2026-Q1", tables)
    small.hour("2026-01-05T00")
    for min_cell, expected in ((10, [("2", 50.0), ("1", None)]), (1, [("1", 100.0), ("2", 50.0)])):
        kiosk = new_kiosk()
        load(small.store, kiosk, min_cell=min_cell)
        assert answer(kiosk, "where-they-stop", "title", "stop_percent") == expected


def test_the_hooked_episode_needs_the_whole_season(stopped: Kiosk) -> None:
    """Four of five who saw the first of Once reach its last, more than 70 %; of Weekly, the last one is not known."""
    assert answer(stopped, "where-they-stop", "title", "hooked_episode") == [
        ("Dropped", None),
        ("Weekly", None),
        ("Once", 4),
        ("All stay", 1),
        ("Begun before", None),
    ]


def test_season_steps(stopped: Kiosk) -> None:
    """The step's share, the product so far, and the loss; a step of too few viewers has its counts only."""
    columns = ("episode", "aired", "at_risk", "reached", "waiting", "step_percent", "kept_percent", "lost_percent")
    assert answer(stopped, "season-steps", *columns, only={"title": "Weekly"}) == [
        (1, FIRST, None, None, None, None, 100.0, None),
        (2, FIRST + timedelta(days=7), 100, 80, 12, 80.0, 80.0, 20.0),
        (3, FIRST + timedelta(days=14), 80, 60, 12, 75.0, 60.0, 20.0),
        (4, FIRST + timedelta(days=21), 29, 20, 12, None, None, None),
    ]
    assert answer(stopped, "season-steps", "episode", "kept_percent", only={"title": "Begun before"}) == [
        (1, 100.0),
        (2, None),
        (3, None),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_the_views_agree_with_the_oracle(
    tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk], seed: int
) -> None:
    """On generated seasons with ties, zeros, withheld counts and lone episodes, each row is that of loops in Python."""
    rng = random.Random(seed)  # noqa: S311 - for test data
    titles = {show: f"Show {show}" for show in range(1, 13)}
    ladders, seasons = [], []
    for show in titles:
        for number in (1, 2026)[: rng.choice([1, 2])]:
            moves: list[tuple[int | None, int | None]] = []
            for _ in range(rng.choice([0, 1, 3, 5])):
                at_risk = rng.choice([None, 0, 10, 24, 25, 49, 50, 100, 100, 100, 1000])
                moves.append((at_risk, None if at_risk is None else rng.choice([at_risk, at_risk // 2, 0])))
            ladders += steps(show, moves, season=number, first=rng.choice([1, 7]))
            counts = (rng.choice([None, 0, 10, 1000]) for _ in range(2))
            seasons.append(season(show, len(moves) + 1, *counts, season=number))
    small = SmallLake(LocalStore(tmp_path_factory.mktemp("generated") / "lake"))
    small.capture("2026-01-05", shows=[{"show_id": one, "name": name} for one, name in titles.items()])
    small.publish(keys.AUDIENCE, "2026-Q1", {AUDIENCE_BASE: BASE, SEASON_STEP: ladders, SEASON_AUDIENCE: seasons})
    kiosk = new_kiosk()
    load(small.store, kiosk)
    for name, oracle in (("where-they-stop", where_they_stop), ("season-steps", season_steps)):
        _, rows = ask(kiosk_of(kiosk), name, 0)
        assert {tuple(row[1:]) for row in rows} == oracle(ladders, seasons, titles)
        assert len(rows) == len({tuple(row) for row in rows}) > 0
