"""The questions: the answer of each view on data that is small enough to calculate by hand."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from marquee.calendar import Grain, Period
from marquee.errors import ConfigError
from marquee.mart.questions import CREDIT, QUESTIONS, ask, find_question
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, change, kiosk_of, load, rows_of

HOUR = 3600
JAN, FEB = datetime(2026, 1, 1), datetime(2026, 2, 1)  # noqa: DTZ001 - as the lake has them


def answer(kiosk: Kiosk, question: str, *columns: str, only: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
    """Ask a question, and return columns of the answer."""
    names, rows = ask(kiosk_of(kiosk), question, 0, only)
    return [tuple(row[names.index(name)] for name in columns) for row in rows]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A kiosk with two hours of plays in Korea and the United States."""
    folder = tmp_path_factory.mktemp("watched")
    store = LocalStore(folder / "lake")
    small = SmallLake(store)
    small.capture(
        "2026-01-05",
        shows=[{"show_id": one, "name": name} for one, name in {1: "Cases", 2: "Songs", 3: "Plain"}.items()],
        episodes=[{"episode_id": one, "show_id": show} for one, show in {11: 1, 12: 1, 21: 2, 31: 3}.items()],
        genres=[{"show_id": 1, "genre": "Crime"}, {"show_id": 1, "genre": "Drama"}, {"show_id": 2, "genre": "Music"}],
        countries=[{"country": "KR", "name": "Korea, Republic of"}],
    )
    small.hour(
        "2026-01-05T00",
        (11, "KR", 9, "tv", 2 * HOUR),  # Cases in Korea: 2 + 1 = 3 hours
        (11, "US", 19, "tv", HOUR),  # Cases in the United States: 1 + 0.5 + 1.5 = 3 hours
        (21, "KR", 20, "tv", 5 * HOUR),
        (31, "KR", 23, "phone", HOUR),
    )
    small.hour(
        "2026-01-06T01",
        (11, "US", 6, "tv", HOUR // 2),
        (11, "US", 20, "phone", HOUR + HOUR // 2),
        (12, "KR", 10, "tv", HOUR),
        (99, "US", 12, "tv", HOUR),  # in no captured schedule
    )
    kiosk = new_kiosk()
    load(store, kiosk)
    return kiosk


def test_genre_hours(watched: Kiosk) -> None:
    """A show with two genres counts in full for each of them, and by halves in the fractional hours."""
    columns = ("period", "country", "country_name", "genre", "place")
    hours = ("hours", "share_percent", "fractional_hours", "fractional_percent")
    assert answer(watched, "genre-hours", *columns, *hours, only={"country": "KR"}) == [
        ("2026-01-05/2026-01-06", "KR", "Korea, Republic of", "Music", 1, 5.0, 55.6, 5.0, 55.6),
        ("2026-01-05/2026-01-06", "KR", "Korea, Republic of", "Crime", 2, 3.0, 33.3, 1.5, 16.7),
        ("2026-01-05/2026-01-06", "KR", "Korea, Republic of", "Drama", 2, 3.0, 33.3, 1.5, 16.7),
        ("2026-01-05/2026-01-06", "KR", "Korea, Republic of", "Unclassified", 4, 1.0, 11.1, 1.0, 11.1),
    ]
    assert answer(watched, "genre-hours", "country_name", *columns[3:], *hours, only={"country": "US"}) == [
        ("United States", "Crime", 1, 3.0, 75.0, 1.5, 37.5),
        ("United States", "Drama", 1, 3.0, 75.0, 1.5, 37.5),
        ("United States", "Unknown show", 3, 1.0, 25.0, 1.0, 25.0),
    ]


def test_shares_of_genres_descend_with_their_places(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Shares are of the same hours as the places: by thirds, Drama would have less than Music, which has fewer hours.

    Drama, Crime and Thriller have a show of 6 hours in full (54.5 %, by thirds 18.2 %), Music one of 5 hours (45.5 %).
    """
    small, kiosk = SmallLake(lake), new_kiosk()
    small.capture(
        "2026-01-05",
        shows=[{"show_id": 1, "name": "Three genres"}, {"show_id": 2, "name": "One genre"}],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 21, "show_id": 2}],
        genres=[{"show_id": 1, "genre": genre} for genre in ("Crime", "Drama", "Thriller")]
        + [{"show_id": 2, "genre": "Music"}],
    )
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 6 * HOUR), (21, "KR", 9, "tv", 5 * HOUR))
    load(lake, kiosk)
    assert answer(kiosk, "genre-hours", "genre", "place", "share_percent", "fractional_percent") == [
        ("Crime", 1, 54.5, 18.2),
        ("Drama", 1, 54.5, 18.2),
        ("Thriller", 1, 54.5, 18.2),
        ("Music", 4, 45.5, 45.5),
    ]


def test_viewing_of_no_seconds_has_no_place(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Plays of no seconds are in no genre and daypart: a country with them alone has no row, and nothing is divided."""
    small, kiosk = SmallLake(lake), new_kiosk()
    small.capture(
        "2026-01-05",
        shows=[{"show_id": 1, "name": "One"}, {"show_id": 2, "name": "Two"}],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 21, "show_id": 2}],
        genres=[{"show_id": 1, "genre": "Crime"}, {"show_id": 2, "genre": "Drama"}],
    )
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 0), (21, "KR", 9, "tv", HOUR), (11, "SE", 9, "tv", 0))
    load(lake, kiosk)
    assert answer(kiosk, "genre-hours", "country", "genre", "share_percent") == [("KR", "Drama", 100.0)]
    assert answer(kiosk, "genre-daypart", "country", "genre", "daypart_index") == [("KR", "Drama", 100.0)]


def test_the_leading_genre_of_each_country_comes_first(watched: Kiosk) -> None:
    """The leading genres of the countries come first, ordered by their hours."""
    assert answer(watched, "genre-hours", "country", "genre")[:3] == [("KR", "Music"), ("US", "Crime"), ("US", "Drama")]


def test_genre_daypart(watched: Kiosk) -> None:
    """The hours of a genre are divided among the dayparts of the viewers' local time, beside those of all viewing.

    Of the 4 hours in the United States, 2.5 are in the evening (62.5 %) and 0.5 in the morning (12.5 %); of the 9 in
    Korea, 3 in the morning (33.3 %) and 1 at night (11.1 %). An evening has 5 hours, a morning 6, a night 7.
    """
    columns = ("daypart", "place", "hours", "hours_an_hour", "share_percent", "base_percent", "daypart_index")
    assert answer(watched, "genre-daypart", *columns, only={"country": "US", "genre": "Crime"}) == [
        ("evening", 1, 2.5, 0.5, 83.3, 62.5, 133.0),
        ("morning", 2, 0.5, 0.08, 16.7, 12.5, 133.0),
    ]
    assert answer(watched, "genre-daypart", *columns, only={"country": "KR", "genre": "Crime"}) == [
        ("morning", 1, 3.0, 0.5, 100.0, 33.3, 300.0)
    ]
    assert answer(watched, "genre-daypart", "genre", *columns, only={"country": "KR", "daypart": "night"}) == [
        ("Unclassified", "night", 1, 1.0, 0.14, 100.0, 11.1, 900.0)
    ]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A kiosk with whole days around the end of shows on 2026-01-05; the plays of a day are all in its first hour."""
    folder = tmp_path_factory.mktemp("ended")
    store = LocalStore(folder / "lake")
    small = SmallLake(store)
    end = {"status": "Ended", "ended": date(2026, 1, 5), "updated": JAN}
    names = {1: "Lost", 2: "Kept", 3: "Other", 4: "Never watched before", 5: "Ended too late", 6: "Elsewhere"}
    shows: dict[int, dict[str, Any]] = {one: {"show_id": one, "name": name, **end} for one, name in names.items()}
    shows[3] |= {"status": "Running", "ended": None}
    shows[5] |= {"ended": date(2026, 3, 10)}
    shows[6] |= {"ended": date(2025, 6, 1)}
    small.capture(
        "2026-01-05", shows=list(shows.values()), episodes=[{"episode_id": one, "show_id": one} for one in shows]
    )
    once = {"ended": date(2020, 1, 1), "updated": datetime(2020, 1, 1)}  # noqa: DTZ001 - as the lake has it
    small.capture("2026-01-04", shows=[shows[1] | once])  # it ended before, and the later end counts
    small.capture("2026-01-06", shows=[shows[2] | {"status": "Running", "ended": None, "updated": FEB}])
    days = {
        "2026-01-04": {1: 4, 2: 3, 3: 6},  # before: Lost 6, Kept 6, all 24 hours in 2 days
        "2026-01-05": {1: 2, 2: 3, 3: 6},
        "2026-01-06": {1: 1, 2: 3, 3: 4, 4: 1},  # after: Lost 1, Kept 3, all 9 hours in 1 day
        "2026-03-09": {3: 100},  # the 63rd day after: in no window
        "2026-03-10": {2: 6, 3: 5, 5: 1},  # later, the 64th: Lost 0, Kept 6, all 12 hours in 1 day
    }
    for day, hours in days.items():
        first, *others = Period.parse(day).parts(Grain.HOUR)
        small.hour(str(first), *((show, "US", 20, "tv", count * HOUR) for show, count in hours.items()))
        for hour in others:
            small.hour(str(hour))
    kiosk = new_kiosk()
    load(store, kiosk)
    return kiosk


def test_after_the_end(ended: Kiosk) -> None:
    """A show's hours a day after its end are compared with those before it and with the whole catalogue.

    The catalogue has 12, 9 and 12 hours a day before, after and later.
    Lost: (1 / 3) / (9 / 12) = 44.4 %, then 0. Kept: (3 / 3) / (9 / 12) = 133.3 %, then (6 / 3) / (12 / 12) = 200 %.
    Both would have 3 * 9 / 12 = 2.25 hours a day after, and 3 later, with the catalogue's ratio. So all shows have
    (1 + 3) / 4.5 = 88.9 %, then (0 + 6) / 6 = 100 %.
    """
    hours = ("before_hours_a_day", "after_hours_a_day", "later_hours_a_day")
    columns = ("title", "ended", "status", "shows", *hours, "after_percent", "later_percent")
    assert answer(ended, "after-the-end", *columns)[:3] == [
        ("All shows compared", None, None, 2, 6.0, 4.0, 6.0, 88.9, 100.0),
        ("Lost", date(2026, 1, 5), "Ended", 1, 3.0, 1.0, 0.0, 44.4, 0.0),
        ("Kept", date(2026, 1, 5), "Ended, then Running", 1, 3.0, 3.0, 6.0, 133.3, 200.0),
    ]


LITTLE_BEFORE = "less than a day of hours is loaded before the end"
LITTLE_AFTER = "less than a day of hours is loaded after the end"


def test_after_the_end_says_which_days_it_compares(ended: Kiosk) -> None:
    """Each row has the loaded days of its windows; a show that cannot be compared has a reason and no figures."""
    columns = ("title", "days_before", "days_after", "days_later", "reason")
    assert answer(ended, "after-the-end", *columns) == [
        ("All shows compared", 2.0, 1.0, 1.0, None),
        ("Lost", 2.0, 1.0, 1.0, None),
        ("Kept", 2.0, 1.0, 1.0, None),
        ("Ended too late", 2.0, 0.0, 0.0, LITTLE_AFTER),
        ("Never watched before", 2.0, 1.0, 1.0, "nobody watched it before the end"),
        ("Elsewhere", 0.0, 0.0, 0.0, LITTLE_BEFORE),
    ]
    hours = ("before_hours_a_day", "after_hours_a_day", "later_hours_a_day", "after_percent", "later_percent")
    assert {row[1:] for row in answer(ended, "after-the-end", "title", *hours)[3:]} == {(None,) * 5}


def test_after_the_end_needs_a_day_of_hours(ended: Kiosk) -> None:
    """No show is compared, and there is no row of all shows, while only 23 hours are loaded after the end."""
    change(ended, "update load_ledger set dataset = 'none' where period = '2026-01-06T23'")
    found = dict(answer(ended, "after-the-end", "title", "reason"))
    change(ended, "update load_ledger set dataset = 'viewership' where period = '2026-01-06T23'")
    assert found == dict.fromkeys(["Lost", "Kept", "Never watched before", "Ended too late"], LITTLE_AFTER) | {
        "Elsewhere": LITTLE_BEFORE
    }
    assert len(answer(ended, "after-the-end", "title")) == 6


def audience(show: int, country: str, reach: int | None, hours: int, **others: float | None) -> dict[str, Any]:
    """Return a row of audience."""
    return {"show_id": show, "country": country, "reach": reach, "watched_seconds": hours * HOUR, **others}


WORLD: list[dict[str, Any]] = [
    audience(
        1, "**", 1000, 1000, loyalty=0.2, multilingual_viewers=100, binge_viewers=100, binge5_viewers=10, views=400.04
    )
    | {
        "sole_viewers": 50,
        "near_sole_viewers": 60,
        "valued_seconds": 36000.0,
        "new_viewers": 200,
        "new_sole_viewers": 40,
    }
    | {"average_seconds": 3600.0},
    audience(
        2,
        "**",
        60,
        300,
        loyalty=0.8,
        multilingual_viewers=30,
        binge_viewers=0,
        binge5_viewers=0,
        average_seconds=18000.0,
    )
    | {"sole_viewers": 3, "loyal_viewers": 45, "return_days": 4.25},
    audience(3, "**", 200, 400, loyalty=0.5, binge_viewers=120, binge5_viewers=50, average_seconds=7200.0),
    audience(4, "**", 55, 200, loyalty=0.1, multilingual_viewers=0, average_seconds=13090.9)
    | {
        "sole_viewers": 33,
        "near_sole_viewers": 44,
        "valued_seconds": 360000.0,
        "new_viewers": 11,
        "new_sole_viewers": 11,
    },
    audience(5, "**", 20, 50, multilingual_viewers=20, binge_viewers=20, sole_viewers=20),
    audience(6, "**", None, 10),
    audience(
        7,
        "**",
        400,
        600,
        loyalty=0.3,
        multilingual_viewers=20,
        binge_viewers=40,
        binge5_viewers=0,
        average_seconds=5400.0,
    ),
    audience(8, "**", 0, 1, multilingual_viewers=0, binge_viewers=0, sole_viewers=0),
    audience(0, "**", 90, 40, multilingual_viewers=90, binge_viewers=90, sole_viewers=90),
    audience(0, "JP", 90, 40),
    audience(1, "JP", 30, 30, multilingual_viewers=6, sole_viewers=5),
    audience(2, "JP", 54, 270, multilingual_viewers=9, sole_viewers=2),
    audience(8, "JP", 0, 1, multilingual_viewers=0, sole_viewers=0),
    audience(1, "KR", 400, 400, multilingual_viewers=0, sole_viewers=0),
    audience(5, "KR", None, 5),
    audience(8, "SE", 0, 1, multilingual_viewers=0, sole_viewers=0),
]
BASE: list[dict[str, Any]] = [
    {"country": "**", "active_viewers": 2000, "watched_seconds": 2601 * HOUR, "multilingual_viewers": 200},
    {
        "country": "JP",
        "active_viewers": 300,
        "watched_seconds": 600 * HOUR,
        "multilingual_viewers": 30,
        "new_viewers": 15,
    },
    {"country": "KR", "active_viewers": 500, "watched_seconds": 500 * HOUR, "multilingual_viewers": 0},
    {"country": "SE", "active_viewers": 0, "watched_seconds": HOUR, "multilingual_viewers": 0, "new_viewers": 0},
    {"country": "US", "active_viewers": None, "watched_seconds": HOUR},
]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A kiosk with the audience of a week, and of one of its days, which must not be counted with it."""
    folder = tmp_path_factory.mktemp("counted")
    store = LocalStore(folder / "lake")
    small = SmallLake(store)
    names = {1: "Hit", 2: "Gem", 3: "Mid", 4: "Low", 5: "Tiny", 6: "Hidden", 7: "Big", 8: "Nobody"}
    carriers = {1: {"network_id": 1}, 2: {"web_channel_id": 1}, 3: {"network_id": 1, "web_channel_id": 1}}
    small.capture(
        "2026-01-05",
        shows=[{"show_id": one, "name": name, **carriers.get(one, {})} for one, name in names.items()],
        genres=[{"show_id": 1, "genre": "Crime"}, {"show_id": 2, "genre": "Crime"}, {"show_id": 2, "genre": "Drama"}],
        networks=[
            {"kind": "network", "network_id": 1, "name": "NBC"},
            {"kind": "web", "network_id": 1, "name": "Netflix"},
        ],
        countries=[{"country": "JP", "name": "Japan"}],
    )
    small.audience("2026-W02", WORLD, BASE)
    small.audience("2026-01-06", [audience(4, "**", 9999, 9999)], [BASE[0] | {"active_viewers": 9999}])
    small.hour("2026-01-05T00")
    small.hour("2026-01-06T00")
    kiosk = new_kiosk()
    load(store, kiosk)
    return kiosk


def test_multilingual(counted: Kiosk) -> None:
    """Hit has the most multilingual viewers; Gem's 50 % are an index of 500 against a base of 10 %.

    Equal numbers share a place, a share is given from a reach of 50 on, and a show without any has no place.
    """
    columns = ("period", "title", "place", "reach", "multilingual_viewers", "share_percent", "base_percent")
    assert answer(counted, "multilingual", *columns, "multilingual_index", only={"country": "**"}) == [
        ("2026-W02", "Hit", 1, 1000, 100, 10.0, 10.0, 100.0),
        ("2026-W02", "Gem", 2, 60, 30, 50.0, 10.0, 500.0),
        ("2026-W02", "Big", 3, 400, 20, 5.0, 10.0, 50.0),
        ("2026-W02", "Tiny", 3, 20, 20, None, 10.0, None),
        ("2026-W02", "Low", None, 55, 0, 0.0, 10.0, 0.0),
    ]


def test_multilingual_by_country(counted: Kiosk) -> None:
    """Each country has its own places and base; Korea has no multilingual viewer, so no place and no index."""
    columns = ("country", "country_name", "title", "place", "multilingual_viewers", "share_percent", "base_percent")
    rows = answer(counted, "multilingual", *columns, "multilingual_index")
    assert [row for row in rows if row[0] != "**"] == [
        ("JP", "Japan", "Gem", 1, 9, 16.7, 10.0, 167.0),
        ("JP", "Japan", "Hit", 2, 6, None, 10.0, None),
        ("KR", "Korea (South)", "Hit", None, 0, 0.0, 0.0, None),
    ]


def test_small_but_loyal(counted: Kiosk) -> None:
    """A show is small but loyal below the median reach (130), and in the upper quarter of three measures.

    Only the figures of Gem are known for the days of return and for loyal viewers, so its own begin the quarter.
    """
    columns = ("title", "small_but_loyal", "reach", "median_reach", "loyalty_percent", "upper_quarter_percent")
    back = ("return_days", "upper_return_days", "loyal_viewers_percent", "upper_loyal_percent")
    assert answer(counted, "small-but-loyal", *columns, *back) == [
        ("Gem", "yes", 60, 130.0, 80.0, 50.0, 4.3, 4.3, 75.0, 75.0),
        ("Mid", "no", 200, 130.0, 50.0, 50.0, None, 4.3, None, 75.0),
        ("Big", "no", 400, 130.0, 30.0, 50.0, None, 4.3, None, 75.0),
        ("Hit", "no", 1000, 130.0, 20.0, 50.0, None, 4.3, None, 75.0),
        ("Low", "no", 55, 130.0, 10.0, 50.0, None, 4.3, None, 75.0),
    ]


def came_back(
    lake: LocalStore, kiosk: Kiosk, period: str, shows: Mapping[str, tuple[int, float, float, int | None]]
) -> dict[str, str | None]:
    """Return small_but_loyal of shows with reach, loyalty, return_days and loyal_viewers."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": one, "name": name} for one, name in enumerate(shows, start=1)])
    names = ("loyalty", "return_days", "loyal_viewers")
    rows = [
        audience(number, "**", reach, 1, **dict(zip(names, others, strict=True)))
        for number, (reach, *others) in enumerate(shows.values(), start=1)
    ]
    small.audience(period, rows, [{"country": "**", "active_viewers": 900, "watched_seconds": 9 * HOUR}])
    load(lake, kiosk)
    return dict(answer(kiosk, "small-but-loyal", "title", "small_but_loyal"))


def test_small_but_loyal_needs_viewers_who_come_back(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """A show whose viewers watch much of it on one day, or of which no viewer is loyal, is not small but loyal.

    The median reach is 600, and the upper quarters of the eight shows begin with the sixth: loyalty .9, 2.5 days, 0 %
    loyal viewers.
    """
    shows = {
        "Returns": (100, 0.9, 5.0, 80),
        "Watched at once": (100, 0.9, 1.0, 0),
        "Comes back, but nobody is loyal": (100, 0.9, 2.5, 0),
        "Comes back, and watches little": (100, 0.2, 5.0, 80),
        **{f"Large {number}": (600 + number, 0.1, 1.0, 0) for number in range(4)},
    }
    found = came_back(lake, new_kiosk(), "2026-Q1", shows)
    assert found == dict.fromkeys(shows, "no") | {"Returns": "yes"}


def test_small_but_loyal_without_loyal_viewers_yet(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """While loyal viewers are not known, a show needs two days of return."""
    shows: dict[str, tuple[int, float, float, int | None]] = {
        "Returns": (100, 0.9, 2.0, None),
        "Returns less": (100, 0.9, 1.9, None),
        **{f"Large {number}": (600 + number, 0.1, 1.0, None) for number in range(3)},
    }
    found = came_back(lake, new_kiosk(), "2026-Q1", shows)
    assert found == dict.fromkeys(shows, "no") | {"Returns": "yes"}


def test_small_but_loyal_is_not_known_of_a_day(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """On a single day nobody can come back, so the answer is null and not no."""
    shows: dict[str, tuple[int, float, float, int | None]] = {
        "Small": (100, 0.9, 1.0, None),
        "Large": (600, 0.1, 1.0, None),
    }
    assert came_back(lake, new_kiosk(), "2026-01-05", shows) == {"Small": None, "Large": None}


def test_binge(counted: Kiosk) -> None:
    """Shows are ranked by the share of binge viewers, equal shares share a place, and small shows are left out.

    A show without binge viewers has no place.
    """
    assert answer(counted, "binge", "title", "place", "binge_viewers", "binge_percent", "binge5_percent") == [
        ("Mid", 1, 120, 60.0, 25.0),
        ("Big", 2, 40, 10.0, 0.0),
        ("Hit", 2, 100, 10.0, 1.0),
        ("Gem", None, 0, 0.0, 0.0),
    ]


def test_must_not_cancel(counted: Kiosk) -> None:
    """Shows are ranked by the number of viewers who watch nothing else, and unknown figures are empty.

    Hit would lose 50 viewers (5 %), Low 33 (60 %). Tiny loses 20 of 20, a reach too small for a share.
    """
    columns = ("sole_viewers", "sole_percent", "near_sole_viewers", "near_sole_percent", "valued_hours", "hours")
    new = ("new_viewers", "new_sole_viewers")
    assert answer(counted, "must-not-cancel", "title", "place", *columns, *new, only={"country": "**"}) == [
        ("Hit", 1, 50, 5.0, 60, 6.0, 10.0, 1000.0, 200, 40),
        ("Low", 2, 33, 60.0, 44, 80.0, 100.0, 200.0, 11, 11),
        ("Tiny", 3, 20, None, None, None, None, 50.0, None, None),
        ("Gem", 4, 3, 5.0, None, None, None, 300.0, None, None),
    ]


def test_must_not_cancel_by_country(counted: Kiosk) -> None:
    """Each country has its own places; Hit leads in Japan too, and no show has a place in Korea, where nobody leaves.

    The show that reached nobody, in Japan, in Sweden and worldwide, has no row.
    """
    columns = ("country", "country_name", "title", "place", "sole_viewers", "sole_percent")
    assert [row for row in answer(counted, "must-not-cancel", *columns) if row[0] != "**"] == [
        ("JP", "Japan", "Hit", 1, 5, None),
        ("JP", "Japan", "Gem", 2, 2, 3.7),
        ("KR", "Korea (South)", "Hit", None, 0, 0.0),
    ]


@pytest.mark.parametrize("name", ["must-not-cancel", "multilingual"])
def test_answers_by_country_are_worldwide_by_default(name: str) -> None:
    """The command asks these questions for all countries together, unless the user names a country."""
    assert find_question(name).example == {"country": "**"}


def test_a_set_of_shows_loses_more_than_the_sum() -> None:
    """The words under must-not-cancel say that its numbers cannot be added, and what counts a set."""
    assert "more viewers than the sum" in find_question("must-not-cancel").reckoning
    assert "marquee what-if" in find_question("must-not-cancel").reckoning


def test_big_in_one_country(counted: Kiosk) -> None:
    """Gem is first in Japan (54 of 300, 18 %) and fourth worldwide (60 of 2000, 3 %), so its index is 600.

    Hit reached 30 in Japan, too few to be compared. Nobody, a show that reached nobody, has no place.
    """
    columns = (
        "country_place",
        "world_place",
        "places_lost",
        "reach",
        "country_percent",
        "world_percent",
        "reach_index",
    )
    assert answer(counted, "big-in-one-country", "country_name", "title", *columns) == [
        ("Japan", "Gem", 1, 4, 3, 54, 18.0, 3.0, 600.0),
        ("Korea (South)", "Hit", 1, 1, 0, 400, 80.0, 50.0, 160.0),
        ("Japan", "Hit", 2, 1, None, 30, None, 50.0, None),
    ]


def test_big_in_one_country_does_not_lead_with_a_tiny_reach(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """A show that reached 49 in a small country comes after one that reached 50 in another, however low it ranks.

    Hermit is first in Iceland and third worldwide, Local is first in Japan and second worldwide.
    """
    small, kiosk = SmallLake(lake), new_kiosk()
    small.capture(
        "2026-01-05", shows=[{"show_id": one, "name": name} for one, name in enumerate(("Hit", "Local", "Hermit"), 1)]
    )
    rows = [
        *(audience(show, "**", reach, 1) for show, reach in ((1, 900), (2, 60), (3, 49))),
        audience(2, "JP", 50, 1),
        audience(3, "IS", 49, 1),
    ]
    reached = {"**": 1000, "JP": 200, "IS": 60}
    base = [{"country": one, "active_viewers": count, "watched_seconds": HOUR} for one, count in reached.items()]
    small.audience("2026-01-05", rows, base)
    load(lake, kiosk)
    assert answer(kiosk, "big-in-one-country", "title", "country", "country_place", "world_place", "places_lost") == [
        ("Local", "JP", 1, 2, 1),
        ("Hermit", "IS", 1, 3, None),
    ]


def test_big_in_one_country_tells_the_first_ten(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Only the first ten shows of a country are listed."""
    kiosk = new_kiosk()
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": one, "name": f"Show {one}"} for one in range(1, 12)])
    reached = [audience(show, country, 100 - show, 1) for country in ("**", "JP") for show in range(1, 12)]
    base = [{"country": country, "active_viewers": 100, "watched_seconds": HOUR} for country in ("**", "JP")]
    small.audience("2026-01-05", reached, base)
    load(lake, kiosk)
    places = answer(kiosk, "big-in-one-country", "title", "country_place")
    assert places == [(f"Show {one}", one) for one in range(1, 11)]


def test_top_shows(counted: Kiosk) -> None:
    """Shows are ranked by hours, also those whose reach is not published; unknown shows count in all shows alone."""
    assert answer(counted, "top-shows", "title", "place", "hours", "views", "reach") == [
        ("All shows", None, 2601.0, None, 2000),
        ("Hit", 1, 1000.0, 400.0, 1000),
        ("Big", 2, 600.0, None, 400),
        ("Mid", 3, 400.0, None, 200),
        ("Gem", 4, 300.0, None, 60),
        ("Low", 5, 200.0, None, 55),
        ("Tiny", 6, 50.0, None, 20),
        ("Hidden", 7, 10.0, None, None),
        ("Nobody", 8, 1.0, None, 0),
    ]


def test_engagement_by_show(counted: Kiosk) -> None:
    """Gem's viewers watched 5 hours each, and it reached 60 of 2000 viewers, which are 3 %.

    All 2000 watched 2601 hours.
    """
    assert answer(counted, "engagement-by-show", "title", "place", "hours_a_viewer", "reach_percent") == [
        ("All shows", None, 1.3, 100.0),
        ("Gem", 1, 5.0, 3.0),
        ("Low", 2, 3.6, 2.8),
        ("Mid", 3, 2.0, 10.0),
        ("Big", 4, 1.5, 20.0),
        ("Hit", 5, 1.0, 50.0),
    ]


def test_engagement_by_genre(counted: Kiosk) -> None:
    """Crime has all hours of Hit and Gem and half of Gem in fractional hours, which sum to the total of 2601."""
    rows = answer(counted, "engagement-by-genre", "genre", "place", "hours", "fractional_hours", "hours_a_viewer")
    assert rows == [
        ("All genres", None, 2601.0, 2601.0, 1.3),
        ("Crime", 1, 1300.0, 1150.0, 0.65),
        ("Unclassified", 2, 1261.0, 1261.0, 0.63),
        ("Drama", 3, 300.0, 150.0, 0.15),
        ("Unknown show", 4, 40.0, 40.0, 0.02),
    ]


def test_engagement_by_network(counted: Kiosk) -> None:
    """A show on a network and a web channel counts for the network, and ids of the two kinds are separate."""
    rows = answer(counted, "engagement-by-network", "network", "kind", "place", "shows", "hours", "hours_a_viewer")
    assert rows == [
        ("All networks", None, None, 8, 2601.0, 1.3),
        ("NBC", "network", 1, 2, 1400.0, 0.7),
        ("Unknown", "", 2, 5, 901.0, 0.45),
        ("Netflix", "web", 3, 1, 300.0, 0.15),
    ]


def test_engagement_by_country(counted: Kiosk) -> None:
    """Japan has 600 hours of 300 viewers; countries with too few viewers to publish, or without any, are left out."""
    columns = ("country", "country_name", "place", "hours_a_viewer", "hours", "active_viewers")
    assert answer(counted, "engagement-by-country", *columns, "multilingual_percent", "new_percent") == [
        ("**", "worldwide", None, 1.3, 2601.0, 2000, 10.0, None),
        ("JP", "Japan", 1, 2.0, 600.0, 300, 10.0, 5.0),
        ("KR", "Korea (South)", 2, 1.0, 500.0, 500, 0.0, None),
    ]


@pytest.mark.parametrize(
    ("kiosk_period", "hours", "expected"),
    [
        ("", ["2026-01-05T00", "2026-01-11T23"], "2026-W02"),
        ("", ["2026-01-06T00", "2026-01-06T01"], "2026-01-06"),
        ("", ["2026-01-05T00", "2026-02-01T00"], "2026-Q1"),
        ("", ["2026-01-05T00", "2026-01-31T00"], "2026-01"),
        ("", [], "2026-01-06"),
        ("2026-W02", ["2026-01-06T00"], "2026-W02"),
        ("2026-01", ["2026-01-06T00"], "2026-01"),
        ("2026-01-01/2026-01-20", ["2026-01-05T00", "2026-01-06T00"], "2026-W02"),
    ],
    ids=[
        "a week of hours: the week, before the month and the quarter that have no more",
        "a day of hours: the day",
        "hours in two months: the quarter",
        "hours in two weeks: the month",
        "no hours: the shortest",
        "the kiosk's own, a week",
        "the kiosk's own, a month",
        "a span has no audience of its own",
    ],
)
def test_the_reported_period(
    lake: LocalStore, new_kiosk: Callable[[], Kiosk], kiosk_period: str, hours: list[str], expected: str
) -> None:
    """The reported period is the kiosk's own, or the one that covers most hours, and of equal ones the shortest."""
    kiosk = new_kiosk()
    load(lake, kiosk, kiosk_period)
    periods = ("2026-01-06", "2026-W02", "2026-01", "2026-Q1")
    for name in (*hours, *periods):
        period = Period.parse(name)
        dataset = "audience_base" if name in periods else "viewership"
        times = f"'{period.start:%Y-%m-%d %H:00:00}', '{period.end:%Y-%m-%d %H:00:00}'"
        row = f"'{dataset}', '{name}', '{period.grain}', {times}, 1, '', '', 0, '2026-01-01'" + 6 * ", null"
        change(kiosk, f"insert into load_ledger values ({row})")  # noqa: S608 - made above
    assert rows_of(kiosk, "select period from reported_period") == [(expected,)]


def test_questions_are_listed_without_a_kiosk() -> None:
    """Without a kiosk the questions are listed with name, words and calculation."""
    columns, rows = ask(kiosk_of(Path("/nowhere/kiosk.duckdb")))
    assert columns == ["name", "question", "reckoning"]
    assert [row[0] for row in rows] == [one.name for one in QUESTIONS]
    assert "TVmaze" in CREDIT


def test_an_empty_kiosk_has_empty_answers(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Every question has an empty answer in an empty kiosk, without an error."""
    kiosk = new_kiosk()
    load(lake, kiosk)
    assert [answer(kiosk, one.name, "period") for one in QUESTIONS] == [[]] * len(QUESTIONS)


def test_an_answer_is_cut_to_the_limit(counted: Kiosk) -> None:
    """An answer is cut to the limit of the question, to another limit, or not at all."""
    assert [len(ask(kiosk_of(counted), "top-shows", limit)[1]) for limit in (None, 2, 0)] == [9, 2, 9]


@pytest.mark.parametrize(
    ("question", "only", "message"),
    [
        ("top-show", {}, r"Unknown question 'top-show'\. Did you mean top-shows\?"),
        ("weather", {}, r"Unknown question 'weather'\. Use one of: genre-hours, "),
        ("binge", {"genre": "Crime"}, r"binge has no column 'genre'\. Use one of: period, title, "),
        ("binge", {"1 = 1; drop table dim_show; --": "x"}, r"binge has no column"),
    ],
    ids=["a slip", "no such question", "no such column", "no SQL"],
)
def test_what_cannot_be_asked(counted: Kiosk, question: str, only: dict[str, str], message: str) -> None:
    """An invalid question or column is an error that lists the valid ones."""
    with pytest.raises(ConfigError, match=message):
        ask(kiosk_of(counted), question, None, only)


def test_there_must_be_a_kiosk(new_kiosk: Callable[[], Kiosk]) -> None:
    """A question to a kiosk that does not exist is an error and does not create the kiosk."""
    kiosk = new_kiosk()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"There is no mart (at|in) .*\. Load one first"):
            ask(kiosk_of(kiosk), "binge")
