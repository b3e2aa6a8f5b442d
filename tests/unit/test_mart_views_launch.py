"""The question of launches: the answer of the view on data that is small enough to calculate by hand, and generated."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from marquee.lake import keys
from marquee.lake.datasets import AUDIENCE_BASE, LAUNCH
from marquee.mart.questions import ask
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load
from tests.oracle.launches import AGES, launch

HOUR = 3600
FIRST = date(2026, 1, 1)
BASE = [{"country": "**", "active_viewers": 1000, "watched_seconds": HOUR}]
Days = dict[date, list[dict[str, Any]]]


def row(show_id: int, premiered: date, age: int, reach: int | None, seconds: int) -> dict[str, Any]:
    """Return a row of launch."""
    return {"show_id": show_id, "premiered": premiered, "age": age, "reach": reach, "watched_seconds": seconds}


def load_days(small: SmallLake, kiosk: Kiosk, days: Days) -> None:
    """Publish the launches of days, and a quarter, which becomes the reported period; load all."""
    for day, rows in days.items():
        small.publish(keys.AUDIENCE, str(day), {AUDIENCE_BASE: BASE, LAUNCH: rows})
    small.publish(keys.AUDIENCE, "2026-Q1", {AUDIENCE_BASE: BASE})
    small.hour("2026-01-01T00")
    small.hour("2026-03-01T00")
    load(small.store, kiosk)


def test_launches_beside_the_median_of_their_genre(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Five crime shows have a median of their own, drama is compared with all; two launches have none."""
    small, kiosk = SmallLake(lake), new_kiosk()
    small.capture(
        "2026-01-05",
        shows=[{"show_id": one, "name": f"Show {one}"} for one in range(1, 8)],
        genres=[{"show_id": one, "genre": "Crime"} for one in range(1, 6)] + [{"show_id": 6, "genre": "Drama"}],
    )
    days: Days = {FIRST + timedelta(days=number): [] for number in range(4)}
    for show, reach in {1: 10, 2: 20, 3: 30, 4: 40, 5: None, 6: 100}.items():
        days[FIRST].append(row(show, FIRST, 1, reach, show * HOUR))
    days[FIRST + timedelta(days=2)] = [row(7, FIRST, 3, 12, 2 * HOUR), row(1, FIRST, 3, 15, 3 * HOUR)]
    load_days(small, kiosk, days)
    names, rows = ask(kiosk_of(kiosk), "launch", 0)
    assert names == [
        *("period", "title", "premiered", "age", "reach", "hours", "compared_with", "launches"),
        *("median_reach", "reach_index", "median_hours", "hours_index"),
    ]
    assert [tuple(one[1:2]) + tuple(one[3:]) for one in rows] == [
        ("Show 1", 1, 10, 1.0, "Crime", 5, 20.0, 50.0, 3.0, 33.0),
        ("Show 1", 3, 15, 3.0, "All launches", 2, None, None, None, None),
        ("Show 2", 1, 20, 2.0, "Crime", 5, 20.0, 100.0, 3.0, 67.0),
        ("Show 3", 1, 30, 3.0, "Crime", 5, 20.0, 150.0, 3.0, 100.0),
        ("Show 4", 1, 40, 4.0, "Crime", 5, 20.0, 200.0, 3.0, 133.0),
        ("Show 5", 1, None, 5.0, "Crime", 5, 20.0, None, 3.0, 167.0),
        ("Show 6", 1, 100, 6.0, "All launches", 7, 20.0, 500.0, 3.0, 200.0),
        ("Show 7", 1, 0, 0.0, "All launches", 7, 20.0, 0.0, 3.0, 0.0),
        ("Show 7", 3, 12, 2.0, "All launches", 2, None, None, None, None),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_view_of_launches_agrees_with_the_oracle(
    lake: LocalStore, new_kiosk: Callable[[], Kiosk], seed: int
) -> None:
    """On generated launches with ties, withheld and missing figures and days, each row is that of loops in Python."""
    rng = random.Random(seed)  # noqa: S311 - for test data
    small, kiosk = SmallLake(lake), new_kiosk()
    titles = {show: f"Show {show}" for show in range(1, 25)}
    genres = {show: rng.sample(["Anime", "Crime", "Drama"], rng.choice([0, 1, 2])) for show in titles}
    small.capture(
        "2026-01-05",
        shows=[{"show_id": one, "name": name} for one, name in titles.items()],
        genres=[{"show_id": show, "genre": genre} for show, those in genres.items() for genre in those],
    )
    end = date(2026, 4, 1)
    days: Days = {date(2025, 12, 25) + timedelta(days=number): [] for number in range(100)}
    days = {day: [] for day in days if rng.random() < 0.9}
    for show in titles:
        premiered = date(2025, 12, 25) + timedelta(days=rng.choice([0, 5, 6, 7, 8, 40, 90, 94]))
        reach, seconds = 0, 0
        for age in AGES[rng.choice([0, 0, 0, 1]) :]:
            reach, seconds = reach + rng.choice([0, 5, 10, 10, 60]), seconds + rng.choice([0, HOUR, 7200])
            day = premiered + timedelta(days=age - 1)
            if day in days:
                days[day].append(row(show, premiered, age, None if 0 < reach < 10 else reach, seconds))
    load_days(small, kiosk, days)
    _, rows = ask(kiosk_of(kiosk), "launch", 0)
    assert {tuple(one[1:]) for one in rows} == launch(days, genres, titles, end)
    assert len(rows) == len({tuple(one) for one in rows}) > 0
