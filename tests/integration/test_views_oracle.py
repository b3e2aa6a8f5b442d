"""Every question on nasty data equals loops in plain Python, in DuckDB and in MySQL: no viewers, ties, empty countries.

So the marts agree with each other, too: every value of every row is compared.
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from marquee.mart.questions import QUESTIONS, ask
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load
from tests.oracle.answers import ORACLES, WORLDWIDE, Content, hours_between

PERIOD = "2026-W02"
NAMES = {"KR": "Korea, Republic of", "JP": "Japan", "US": "United States", "FR": "France"}
OF_ISO = {"BR": "Brazil", "SE": "Sweden"}
"""Names of the countries that the schedule does not name."""
CODES = ("KR", "JP", "US", "BR", "SE")
GENRES = ("Crime", "Drama", "Music")
SHOWS = range(1, 41)
LOVED = 41
"""A small show whose viewers come back."""
COUNTS = ("loyal", "binge", "binge5", "sole", "near_sole", "new", "new_sole", "multilingual")

Content_of = Callable[[random.Random], Content]


def shows_and_plays(rng: random.Random, *, watched: bool) -> dict[str, Any]:
    """Return shows, of which a fifth ended, and plays around their ends: of seconds, or of none at all."""
    days = [datetime(2025, 11, 1), datetime(2026, 1, 5)] if watched else []  # noqa: DTZ001 - as the lake has them
    hours = [hour for first in days for hour in hours_between(first, 2)]
    ends = [date(2025, 11, 1), date(2025, 12, 24), date(2026, 1, 5), date(2026, 1, 6)]
    plays: dict[tuple[datetime, int, str, int], int] = {}
    for hour in rng.choices(hours, k=150) if watched else []:
        key = hour, rng.choice([*SHOWS, 99]), rng.choice(CODES), rng.randrange(24)
        plays[key] = rng.choice([0, 60, 60, 1800, 3600])
    titles = {show: f"Show {show}" for show in (*SHOWS, LOVED)}
    ended = {show: ends[show // 4 % len(ends)] for show in SHOWS if show % 4 == 0}
    return {
        "viewed": "2025-11-01/2026-01-06",
        "titles": titles,
        "ended": ended,
        "status": {show: rng.choice(["Ended", "Ended", "Running"]) if show in ended else "Running" for show in titles},
        "carriers": {show: rng.choice([("NBC", "network"), ("Netflix", "web")]) for show in SHOWS if show % 3},
        "genres": {show: rng.sample(GENRES, rng.randrange(len(GENRES) + 1)) for show in SHOWS},
        "episodes": {show: show for show in SHOWS},
        "countries": {**NAMES, **OF_ISO, WORLDWIDE: "worldwide"},
        "hours": hours,
        "plays": [(*key, seconds) for key, seconds in plays.items()],
    }


def row_of(rng: random.Random, show: int, country: str, reach: int | None) -> dict[str, Any]:
    """Return a row of audience with a reach, whose counts are often nobody, and often equal to others'."""
    seconds = rng.choice([0, 60, 3600, 36000, 360000])
    counted = {name: rng.choice([0, 0, reach // 2, reach]) if reach is not None else None for name in COUNTS}
    known = reach is not None and show > 0
    return {
        "show_id": show,
        "country": country,
        "reach": reach,
        "watched_seconds": seconds,
        "views": rng.choice([None, 2.5, 40.25]),
        "average_seconds": seconds / reach if reach else None,
        "loyalty": rng.choice([None, 0.25, 0.5, 0.75]) if reach else None,
        "return_days": rng.choice([1.0, 1.5, 2.0, 3.5]) if reach else None,
        "valued_seconds": rng.choice([None, seconds / 4]),
        **{f"{name}_viewers": count if known else None for name, count in counted.items()},
    }


def base_of(active: int | None, part: int | None) -> dict[str, Any]:
    """Return the base of a country, of which a part is multilingual and new."""
    return {"active_viewers": active, "watched_seconds": 7200, "multilingual_viewers": part, "new_viewers": part}


def usual(rng: random.Random) -> Content:
    """Shows of many and of few viewers; in Sweden nobody watched for two minutes, and in Brazil too few to publish."""
    audience = []
    for show in (0, *SHOWS):
        reach = rng.choice([None, 0, 10, 49, 50, 50, 60, 200, 200, 1000])
        audience.append(row_of(rng, show, WORLDWIDE, reach))
        for country in ("KR", "JP", "US"):
            here = rng.choice([None, 0, 10, 50, reach]) if reach else reach
            audience.append(row_of(rng, show, country, min(here, reach) if here and reach else here))
        audience += [row_of(rng, show, "SE", 0), row_of(rng, show, "BR", None)]
    loyal = {"loyalty": 0.75, "return_days": 3.5, "loyal_viewers": 50}
    audience.append(row_of(rng, LOVED, WORLDWIDE, 50) | loyal)
    base = {country: base_of(2000, rng.choice([0, 150])) for country in (WORLDWIDE, "KR", "JP", "US")}
    base |= {"SE": base_of(0, 0), "BR": base_of(None, None)}
    genres = {"Crime": 1500, "Drama": None, "Unclassified": 0}
    return Content(PERIOD, audience=audience, base=base, genre_reach=genres, **shows_and_plays(rng, watched=True))


def nobody(rng: random.Random) -> Content:
    """Nobody watched anything for two minutes."""
    audience = [row_of(rng, show, country, 0) for show in (0, *SHOWS) for country in (WORLDWIDE, "KR")]
    base = {country: base_of(0, 0) for country in (WORLDWIDE, "KR")}
    return Content(PERIOD, audience=audience, base=base, **shows_and_plays(rng, watched=False))


def too_few(rng: random.Random) -> Content:
    """Fewer viewers than may be published."""
    audience = [row_of(rng, show, country, None) for show in (0, *SHOWS) for country in (WORLDWIDE, "KR")]
    base = {country: base_of(None, None) for country in (WORLDWIDE, "KR")}
    return Content(PERIOD, audience=audience, base=base, **shows_and_plays(rng, watched=False))


def seconds_of(content: Content, genre: str) -> int:
    """Return the seconds of a genre worldwide."""
    rows = (row for row in content.audience if row["country"] == WORLDWIDE)
    return sum(row["watched_seconds"] for row in rows if genre in content.genres_of(row["show_id"]))


def publish(lake: LocalStore, content: Content) -> None:
    """Write a lake of the content. A show that ended and runs again is captured twice."""
    small = SmallLake(lake)
    runs_again = [show for show in content.ended if content.status[show] != "Ended"]
    ended: dict[int, dict[str, Any]] = {
        show: {"show_id": show, "status": "Ended", "ended": end, "updated": datetime(2026, 1, 1)}  # noqa: DTZ001
        for show, end in content.ended.items()
    }
    small.capture("2026-01-04", shows=[ended[show] for show in runs_again])
    carried = {"NBC": {"network_id": 1}, "Netflix": {"web_channel_id": 1}}
    shows = []
    for show, title in content.titles.items():
        carrier = carried[content.carriers[show][0]] if show in content.carriers else {}
        row = {"show_id": show, "name": title, "status": content.status[show], **carrier}
        row |= ended.get(show, {}) if show not in runs_again else {"updated": datetime(2026, 1, 2)}  # noqa: DTZ001
        shows.append(row)
    small.capture(
        "2026-01-05",
        shows=shows,
        episodes=[{"episode_id": one, "show_id": show} for one, show in content.episodes.items()],
        genres=[{"show_id": show, "genre": genre} for show, genres in content.genres.items() for genre in genres],
        networks=[
            {"kind": "network", "network_id": 1, "name": "NBC"},
            {"kind": "web", "network_id": 1, "name": "Netflix"},
        ],
        countries=[{"country": code, "name": name} for code, name in NAMES.items()],
    )
    for hour in content.hours:
        plays = [(*play[1:4], "tv", play[4]) for play in content.plays if play[0] == hour]
        small.hour(f"{hour:%Y-%m-%dT%H}", *plays)
    base = [{"country": one, **row} for one, row in content.base.items()]
    genres = [
        {"genre": genre, "country": WORLDWIDE, "reach": reach, "watched_seconds": seconds_of(content, genre)}
        for genre, reach in content.genre_reach.items()
    ]
    small.audience(PERIOD, content.audience, base, genres=genres)


@pytest.mark.parametrize(
    ("make", "seed"),
    [
        pytest.param(usual, 6, id="usual"),
        pytest.param(usual, 8, id="usual again"),
        pytest.param(nobody, 3, id="nobody"),
        pytest.param(too_few, 4, id="too few to publish"),
    ],
)
def test_views_agree_with_the_oracle(
    lake: LocalStore, new_kiosk: Callable[[], Kiosk], make: Content_of, seed: int
) -> None:
    """Every view has the rows of its oracle, each once, and no number that is infinite or not a number."""
    content, kiosk = make(random.Random(seed)), new_kiosk()  # noqa: S311 - for test data
    publish(lake, content)
    assert load(lake, kiosk).exit_code == 0
    for question in QUESTIONS:
        if question.name in ORACLES:
            _, rows = ask(kiosk_of(kiosk), question.name, 0)
            assert [row for row in rows if any(isinstance(one, float) and not math.isfinite(one) for one in row)] == []
            expected = ORACLES[question.name](content)
            assert set(rows) == expected, question.name
            assert len(rows) == len(expected), question.name
            assert rows or make is not usual, question.name


def test_generated_data_cover_the_cases() -> None:
    """The generated data have ties, a yes and a no of small but loyal, and shows compared and not after their end."""
    content = usual(random.Random(6))  # noqa: S311 - for test data
    found = {name: list(oracle(content)) for name, oracle in ORACLES.items()}
    places = Counter(row[4] for row in found["must-not-cancel"] if row[1] == WORLDWIDE)
    assert {places[place] > 1 for place in places} == {True, False}
    assert {row[2] for row in found["small-but-loyal"]} == {"yes", "no"}
    assert len({row[8] for row in found["after-the-end"]}) == 4
    assert {row[1] for row in found["engagement-by-country"]} == {WORLDWIDE, "KR", "JP", "US"}
