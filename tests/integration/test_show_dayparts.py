"""The sums of viewership by day, show, country and daypart stay those of the viewership, whatever a load changes."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import date

import pytest

from marquee.errors import ConfigError
from marquee.mart.base import read_mart
from marquee.mart.questions import ask, find_question, query_of
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, Play, SmallLake, kiosk_of, load, rows_of

SUMS = "select day, show_id, country, daypart, watched_seconds from fact_show_daypart order by 1, 2, 3, 4"
FIRST, SECOND = date(2026, 1, 5), date(2026, 1, 6)


@pytest.fixture
def small(lake: LocalStore) -> SmallLake:
    """A lake with two shows, of two episodes and of one, and plays in two days."""
    small = SmallLake(lake)
    small.capture(
        "2026-01-05",
        shows=[{"show_id": 1, "name": "Cases"}, {"show_id": 2, "name": "Songs"}],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 12, "show_id": 1}, {"episode_id": 21, "show_id": 2}],
        genres=[{"show_id": 1, "genre": "Crime"}],
    )
    small.hour(
        "2026-01-05T00",
        (11, "KR", 9, "tv", 600),  # Cases in Korea in the morning: 600 + 60 + 30
        (11, "KR", 9, "phone", 60),
        (12, "KR", 11, "tv", 30),
        (12, "KR", 12, "tv", 7),  # daytime
        (21, "US", 19, "tv", 0),  # nobody watched a second of it
    )
    small.hour("2026-01-05T23", (12, "KR", 8, "tv", 10), (99, "US", 23, "tv", 90))
    small.hour("2026-01-06T00", (21, "US", 4, "tv", 300))
    return small


@pytest.fixture
def kiosk(new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """The location of a mart that does not exist yet, in DuckDB or MySQL."""
    return new_kiosk()


def counted(kiosk: Kiosk) -> list[tuple[date, int, str, str, int]]:
    """Return the sums by a loop over the viewership and the episodes in a mart."""
    shows = dict(rows_of(kiosk, "select episode_id, show_id from dim_episode"))
    sums: Counter[tuple[date, int, str, str]] = Counter()
    for day, episode, country, daypart, seconds in rows_of(
        kiosk, "select day, episode_id, country, daypart, watched_seconds from fact_viewership"
    ):
        sums[day, shows[episode], country, daypart] += seconds
    return sorted((*key, seconds) for key, seconds in sums.items() if seconds)


def test_a_load_sums_devices_hours_and_episodes(small: SmallLake, kiosk: Kiosk) -> None:
    """A first load sums each day by show, country and daypart, and leaves out what nobody watched for a second."""
    load(small.store, kiosk)
    assert rows_of(kiosk, SUMS) == [
        (FIRST, 0, "US", "night", 90),
        (FIRST, 1, "KR", "daytime", 7),
        (FIRST, 1, "KR", "morning", 700),
        (SECOND, 2, "US", "night", 300),
    ]


def test_a_restated_hour_changes_the_sums_of_its_day(small: SmallLake, kiosk: Kiosk) -> None:
    """A restated hour replaces its part of the sums; the other hours of the day stay in them."""
    load(small.store, kiosk)
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 5), (21, "US", 22, "tv", 1))
    load(small.store, kiosk)
    assert rows_of(kiosk, SUMS) == [
        (FIRST, 0, "US", "night", 90),
        (FIRST, 1, "KR", "morning", 15),
        (FIRST, 2, "US", "evening", 1),
        (SECOND, 2, "US", "night", 300),
    ]
    small.hour("2026-01-05T23")
    small.hour("2026-01-06T00")
    load(small.store, kiosk)
    assert rows_of(kiosk, SUMS) == [(FIRST, 1, "KR", "morning", 5), (FIRST, 2, "US", "evening", 1)]


def test_a_late_schedule_moves_the_sums_of_its_episodes(small: SmallLake, kiosk: Kiosk) -> None:
    """An unknown episode's sums move to its show with the capture that lists it, and back when it is in none."""
    load(small.store, kiosk)
    late = small.capture(
        "2026-01-07", shows=[{"show_id": 3, "name": "Late"}], episodes=[{"episode_id": 99, "show_id": 3}]
    )
    load(small.store, kiosk)
    assert rows_of(kiosk, SUMS)[-2:] == [(FIRST, 3, "US", "night", 90), (SECOND, 2, "US", "night", 300)]
    small.capture(late.period)
    load(small.store, kiosk)
    assert rows_of(kiosk, SUMS)[0] == (FIRST, 0, "US", "night", 90)
    assert rows_of(kiosk, SUMS) == counted(kiosk)


def test_an_episode_that_changes_its_show_takes_its_sums_along(small: SmallLake, kiosk: Kiosk) -> None:
    """The sums of an episode that a capture moves to another show leave the one and join the other, on every day."""
    small.hour("2026-01-06T01", (12, "KR", 12, "tv", 2), (21, "KR", 13, "tv", 3))
    load(small.store, kiosk)
    small.capture("2026-01-07", shows=[{"show_id": 2, "name": "Songs"}], episodes=[{"episode_id": 12, "show_id": 2}])
    load(small.store, kiosk)
    assert rows_of(kiosk, SUMS) == [
        (FIRST, 0, "US", "night", 90),
        (FIRST, 1, "KR", "morning", 660),
        (FIRST, 2, "KR", "daytime", 7),
        (FIRST, 2, "KR", "morning", 40),
        (SECOND, 2, "KR", "daytime", 5),
        (SECOND, 2, "US", "night", 300),
    ]


def test_a_changed_genre_changes_the_answer_alone(small: SmallLake, kiosk: Kiosk) -> None:
    """The sums have no genres, so a show whose genre changes keeps its sums, and the answer has the new genre."""
    load(small.store, kiosk)
    before = rows_of(kiosk, SUMS)
    small.capture("2026-01-07", shows=[{"show_id": 1, "name": "Cases"}], genres=[{"show_id": 1, "genre": "Drama"}])
    load(small.store, kiosk)
    assert rows_of(kiosk, SUMS) == before
    names, rows = ask(kiosk_of(kiosk), "genre-hours", 0, {"country": "KR"})
    assert [row[names.index("genre")] for row in rows] == ["Drama"]


@pytest.mark.parametrize("seed", range(2))
def test_sums_are_those_of_the_viewership_after_any_loads(lake: LocalStore, kiosk: Kiosk, seed: int) -> None:
    """After each of many loads of random hours and captures, the sums equal a loop over the viewership."""
    rng = random.Random(seed)  # noqa: S311 - test data
    small = SmallLake(lake)
    for _ in range(8):
        for _ in range(rng.randrange(1, 4)):
            if rng.random() < 0.4:
                episodes = rng.sample(range(1, 9), rng.randrange(9))
                small.capture(
                    f"2026-01-0{rng.randrange(1, 4)}",
                    shows=[{"show_id": show, "name": f"Show {show}"} for show in (1, 2, 3)],
                    episodes=[{"episode_id": one, "show_id": rng.randrange(1, 4)} for one in episodes],
                )
            else:
                plays: set[tuple[int, str, int, str]] = {
                    (rng.randrange(1, 9), rng.choice(["KR", "US"]), rng.choice([5, 6, 12]), rng.choice(["tv", "phone"]))
                    for _ in range(rng.randrange(9))
                }
                rows: list[Play] = [(*one, rng.choice([0, 1, 60])) for one in sorted(plays)]
                small.hour(f"2026-01-0{rng.randrange(1, 4)}T0{rng.randrange(3)}", *rows)
        load(small.store, kiosk)
        assert sorted(rows_of(kiosk, SUMS)) == counted(kiosk)


@pytest.mark.parametrize(
    ("period", "hours"), [("2026-01-05", 797), ("2026-01-05/2026-01-06", 1097), ("2026-W02", 1097)]
)
def test_a_period_is_counted_from_the_sums_of_its_days(small: SmallLake, kiosk: Kiosk, period: str, hours: int) -> None:
    """A period of whole days is answered from the sums of these days."""
    load(small.store, kiosk)
    with read_mart(kiosk_of(kiosk)) as mart:
        sql, values = query_of(mart, find_question("genre-daypart"), 0, {}, period)
        columns, rows = mart.query(sql, values)
        narrowed, _, _ = sql.partition("select * from q_genre_daypart")
        summed = f"{narrowed} select sum(watched_seconds) from fact_show_daypart"  # noqa: S608 - our own names
        _, ((seconds,),) = mart.query(summed, values)
    assert int(seconds) == hours
    assert {row[columns.index("genre")] for row in rows} <= {"Crime", "Unclassified", "Unknown show"}


@pytest.mark.parametrize("period", ["2026-01-05T00", "2026-01-05T23/2026-01-06T00"])
def test_a_period_within_a_day_has_no_answer(small: SmallLake, kiosk: Kiosk, period: str) -> None:
    """A period that begins or ends within a day is refused, because a mart has whole days."""
    load(small.store, kiosk)
    with (
        read_mart(kiosk_of(kiosk)) as mart,
        pytest.raises(ConfigError, match=r"period='2026-01-05T.*answers are of whole days"),
    ):
        query_of(mart, find_question("genre-daypart"), 0, {}, period)
