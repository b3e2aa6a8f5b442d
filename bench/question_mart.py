"""Creates the lake for the benchmark of the questions: a schedule, a quarter of viewership, and its audiences.

Shows, countries and devices are watched as in a real catalogue: few of them much, most of them little, and most of all
in the evening. Seconds of the audiences are those of the viewership; viewers and other figures are invented. The same
number of rows always gives the same lake.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.days import HOURS, publish_tables
from marquee.calendar import Grain, Period
from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    COUNTRIES,
    DEPARTURE,
    EPISODES,
    GENRES,
    LAUNCH,
    NETWORKS,
    OVERLAP,
    SEASON_AUDIENCE,
    SEASON_STEP,
    SHOW_ORDER,
    SHOWS,
    VIEWERSHIP,
    WORLDWIDE,
    Dataset,
)
from marquee.storage.local import LocalStore

QUARTER = Period.parse("2026-Q1")
DAYS = QUARTER.hours // HOURS
SHOWS_LISTED = 1_000
ON_THE_SHELF = 200
"""The last of them, which nobody watches."""
EPISODES_A_SHOW = 12
UNKNOWN = 100
"""Watched episodes in no captured schedule."""
_FIRST = {"US": -5, "GB": 0, "DE": 1, "JP": 9, "KR": 9, "FR": 1, "BR": -3, "IN": 5, "MX": -6, "CA": -5, "ES": 1}
_FEWER = {"IT": 1, "AU": 10, "NL": 1, "SE": 1, "PL": 1, "TR": 3, "AR": -3, "ZA": 2, "TH": 7, "PH": 8, "ID": 7, "NZ": 12}
OFFSETS = _FIRST | _FEWER
"""Countries by the viewing in them, with their offset from UTC in hours."""
DEVICES = ("tv", "phone", "tablet", "desktop")
GENRES_LISTED = (
    *("Drama", "Comedy", "Crime", "Action", "Romance", "Thriller", "Family", "Music", "Sports", "History"),
    *("Horror", "Fantasy", "Mystery", "Adventure", "Children", "Food", "Travel", "Nature"),
)
NETWORKS_LISTED = 40
OVERLAPPING = 300
ORDERS = ("remove", "remove_by_hours", "remove_by_reach", "remove_by_sole", "keep", "keep_by_hours", "keep_by_reach")
_EPISODES = SHOWS_LISTED * EPISODES_A_SHOW + UNKNOWN
_KINDS = (_EPISODES, len(OFFSETS), len(DEVICES))
_DAILY = np.array([2, 1, 1, 1, 1, 1, 3, 4, 4, 3, 3, 4, 6, 6, 5, 5, 6, 8, 11, 14, 15, 13, 8, 4]) / 10
"""Viewing by the viewer's local hour."""

Columns = Mapping[str, Any]
Numbers = NDArray[Any]


@dataclass(frozen=True)
class Watched:
    """Seconds of the quarter by day, show (0: unknown) and country."""

    seconds: Numbers

    def within(self, period: Period) -> Numbers:
        """Return the seconds of a period by show and country; worldwide is last."""
        first, last = ((one - QUARTER.start).days for one in (period.start, period.end))
        by_country = self.seconds[max(first, 0) : last].sum(axis=0)
        return np.concatenate([by_country, by_country.sum(axis=1, keepdims=True)], axis=1)


def make_quarter(store: LocalStore, rows: int, advance: Callable[[str], None]) -> int:
    """Make the lake with about this number of rows of viewership; return their exact number."""
    make_schedule(store)
    made, seconds = 0, np.zeros((DAYS, SHOWS_LISTED + 1, len(OFFSETS)), np.int64)
    hourly = max(1, round(rows / QUARTER.hours))
    for number, hour in enumerate(_hours()):
        table = _make_hour(hour, hourly, seconds[number // HOURS])
        publish_tables(store, keys.ROLLUP, f"{hour:%Y-%m-%dT%H}", {VIEWERSHIP: table})
        made += table.num_rows
        if number % HOURS == HOURS - 1:
            advance(f"{hour:%Y-%m-%d}")
    watched = Watched(seconds)
    for period in _periods():
        counts = {"hours": period.hours, "hours_expected": period.hours}
        publish_tables(store, keys.AUDIENCE, str(period), _audience(period, watched), counts)
    return made


def make_schedule(store: LocalStore) -> None:
    """Capture a schedule: a tenth of the shows ended in the quarter, a tenth premiered in it."""
    rows = {
        SHOWS: [_show(number) for number in range(1, SHOWS_LISTED + 1)],
        EPISODES: [_episode(number) for number in range(1, SHOWS_LISTED * EPISODES_A_SHOW + 1)],
        NETWORKS: [
            {"kind": kind, "network_id": number, "name": f"{kind} {number}"}
            for kind in ("network", "web")
            for number in range(1, NETWORKS_LISTED + 1)
        ],
        COUNTRIES: [{"country": code, "name": f"Country {code}"} for code in OFFSETS],
        GENRES: [
            {"show_id": number, "genre": genre} for number in range(1, SHOWS_LISTED + 1) for genre in genres_of(number)
        ],
    }
    tables = {dataset: pa.Table.from_pylist(one, dataset.schema) for dataset, one in rows.items()}
    publish_tables(store, keys.SCHEDULE_FETCH, _day(0).isoformat(), tables)


def genres_of(show: int) -> Sequence[str]:
    """Return up to three genres of a show; each tenth show has none."""
    return sorted({GENRES_LISTED[(show * step) % len(GENRES_LISTED)] for step in range(1, 1 + (show % 10 + 2) // 3)})


def _show(number: int) -> Columns:
    kind, carrier = ("network_id", "web_channel_id")[number % 2], 1 + number % NETWORKS_LISTED
    ended = _ended(number)
    return {
        "show_id": number,
        "name": f"Show {number}",
        "language": "English",
        "status": "Ended" if ended else "Running",
        "premiered": _premiered(number),
        "ended": ended,
        kind: carrier,
        "updated": datetime(2026, 1, 1),  # noqa: DTZ001 - the lake's times have no zone
    }


def _ended(show: int) -> date | None:
    return _day(show % DAYS) if show % 10 == 1 else None


def _premiered(show: int) -> date:
    return _day(show % DAYS) if show % 10 == 2 else date(2020, 1, 1)  # noqa: PLR2004 - the tenth that premiered


def _episode(number: int) -> Columns:
    show, step = 1 + (number - 1) // EPISODES_A_SHOW, 1 + (number - 1) % EPISODES_A_SHOW
    aired = _premiered(show) + timedelta(days=7 * (step - 1))
    return {"episode_id": number, "show_id": show, "season": 1, "number": step, "airdate": aired, "runtime_minutes": 45}


def _hours() -> Iterator[datetime]:
    start = QUARTER.start.replace(tzinfo=None)
    return (start + timedelta(hours=number) for number in range(QUARTER.hours))


def _day(number: int) -> date:
    return (QUARTER.start + timedelta(days=number)).date()


def _weights() -> Numbers:
    """Return how much each kind of row (episode, country, device) is watched: by Zipf's law, each."""
    show = np.repeat(1 / np.arange(1, SHOWS_LISTED + 1), EPISODES_A_SHOW)
    show[-ON_THE_SHELF * EPISODES_A_SHOW :] = 0
    episode = np.concatenate(
        [show * np.tile(1 / np.arange(1, EPISODES_A_SHOW + 1), SHOWS_LISTED), np.full(UNKNOWN, 1e-3)]
    )
    country, device = (1 / np.arange(1, size + 1) for size in _KINDS[1:])
    return episode[:, None, None] * country[:, None] * device


_WEIGHTS = _weights()


def _make_hour(hour: datetime, rows: int, seconds: Numbers) -> pa.Table:
    """Return the viewership of an hour, sorted by its key, and add its seconds to those of its day."""
    random = np.random.default_rng(int((hour - datetime(2026, 1, 1)).total_seconds()))  # noqa: DTZ001 - a seed
    local = (hour.hour + np.array(list(OFFSETS.values()))) % HOURS
    # The rows with the least exponential times: as drawn one by one by weight, without replacement.
    with np.errstate(divide="ignore"):
        times = random.standard_exponential(_KINDS, np.float32) / (_WEIGHTS * _DAILY[local][:, None])
    chosen = np.sort(np.argpartition(times, min(rows, times.size - 1), axis=None)[:rows])
    episode, country, device = np.unravel_index(chosen, _KINDS)
    plays = random.geometric(0.05, chosen.size)
    watched = plays * 60 - random.integers(0, 60, chosen.size)
    show = np.where(episode < SHOWS_LISTED * EPISODES_A_SHOW, 1 + episode // EPISODES_A_SHOW, 0)
    np.add.at(seconds, (show, country), watched)
    columns = {
        "hour": pa.array([hour] * chosen.size, VIEWERSHIP.schema.field("hour").type),
        "episode_id": episode + 1,
        "country": np.array(list(OFFSETS))[country],
        "local_hour": local[country],
        "device": np.array(DEVICES)[device],
        "plays": plays,
        "watched_seconds": watched,
        "viewer_bits": random.integers(1, 1 << 64, chosen.size, np.uint64),
    }
    table = pa.table(columns).select(VIEWERSHIP.schema.names).cast(VIEWERSHIP.schema)
    return table.sort_by([(name, "ascending") for name in VIEWERSHIP.sort])


def _periods() -> list[Period]:
    """Return the days, weeks, months and the quarter that end in the quarter."""
    days = [Period.parse(_day(number).isoformat()) for number in range(DAYS)]
    longer = [Period.containing(day.start, grain) for grain in (Grain.WEEK, Grain.MONTH) for day in days]
    return [*days, *(one for one in dict.fromkeys(longer) if one.end <= QUARTER.end), QUARTER]


def _audience(period: Period, watched: Watched) -> dict[Dataset, pa.Table]:
    random = np.random.default_rng(int(period.start.timestamp()) + period.hours)
    seconds = watched.within(period)
    reach = seconds // 3600
    show, country = np.nonzero(seconds)
    rows = [
        AUDIENCE,
        AUDIENCE_BASE,
        AUDIENCE_GENRE,
        DEPARTURE,
        SHOW_ORDER,
        OVERLAP,
        SEASON_STEP,
        SEASON_AUDIENCE,
        LAUNCH,
    ]
    found: dict[Dataset, Columns] = {
        AUDIENCE: _shows_watched(random, show, country, seconds[show, country]),
        AUDIENCE_BASE: _everybody(seconds.sum(axis=0)),
        AUDIENCE_GENRE: _genres(seconds),
    }
    if period.grain is Grain.DAY:
        found[LAUNCH] = _launches(period, reach[:, -1])
    else:
        found |= {SHOW_ORDER: _orders(seconds[:, -1]), OVERLAP: _overlaps(reach[:, -1]), **_seasons(reach[:, -1])}
    if period.grain is Grain.WEEK:
        found[DEPARTURE] = _departures(period)
    return {one: _table(one, found.get(one, {})) for one in rows}


def _table(dataset: Dataset, columns: Columns) -> pa.Table:
    size = len(next(iter(columns.values()), ()))
    whole = {name: columns[name] if name in columns else pa.nulls(size) for name in dataset.schema.names}
    return pa.table(whole).cast(dataset.schema)


def _shows_watched(random: np.random.Generator, show: Numbers, country: Numbers, seconds: Numbers) -> Columns:
    reach = 1 + seconds // 3600
    share = {name: random.random(show.size) for name in ("loyal", "binge", "sole", "near", "new", "many")}
    part = {name: (one * reach / 2).astype(int) for name, one in share.items()}
    return {
        "show_id": show,
        "country": _places(country),
        "reach": reach,
        "watched_seconds": seconds,
        "runtime_seconds": np.full(show.size, EPISODES_A_SHOW * 45 * 60),
        "views": seconds / (EPISODES_A_SHOW * 45 * 60),
        "average_seconds": seconds / reach,
        "loyalty": share["loyal"],
        "return_days": 1 + 5 * share["many"],
        "loyal_viewers": part["loyal"],
        "binge_viewers": part["binge"],
        "binge5_viewers": part["binge"] // 2,
        "sole_viewers": part["sole"],
        "near_sole_viewers": part["near"],
        "new_viewers": part["new"],
        "new_sole_viewers": part["new"] // 3,
        "multilingual_viewers": part["many"],
        "valued_seconds": seconds * share["sole"],
    }


def _places(country: Numbers) -> Numbers:
    return np.array([*OFFSETS, WORLDWIDE])[country]


def _everybody(seconds: Numbers) -> Columns:
    (country,) = np.nonzero(seconds)
    active = 1 + seconds[country] // 18_000
    return {
        "country": _places(country),
        "active_viewers": active,
        "watched_seconds": seconds[country],
        "multilingual_viewers": active // 5,
        "new_viewers": active // 9,
    }


def _genres(seconds: Numbers) -> Columns:
    belongs = np.array([[genre in genres_of(show) for show in range(SHOWS_LISTED + 1)] for genre in GENRES_LISTED])
    by_genre = belongs.astype(np.int64) @ seconds
    genre, country = np.nonzero(by_genre)
    watched = by_genre[genre, country]
    return {
        "genre": np.array(GENRES_LISTED)[genre],
        "country": _places(country),
        "reach": 1 + watched // 7200,
        "watched_seconds": watched,
        "sole_viewers": watched // 36_000,
    }


def _launches(day: Period, reach: Numbers) -> Columns:
    ages = {show: (day.start.date() - _premiered(show)).days + 1 for show in range(1, SHOWS_LISTED + 1)}
    shows = [show for show, age in ages.items() if age in {1, 3, 7, 28, 91}]
    return {
        "show_id": shows,
        "premiered": [_premiered(show) for show in shows],
        "age": [ages[show] for show in shows],
        "reach": reach[shows],
        "watched_seconds": reach[shows] * 3600,
    }


def _departures(week: Period) -> Columns:
    day = week.start.date() - timedelta(days=28)
    shows = [show for show in range(1, SHOWS_LISTED + 1) if (end := _ended(show)) and 0 <= (end - day).days < 7]  # noqa: PLR2004
    kinds = ("sole", "near_sole", "other")
    rows = [(show, kind) for show in shows for kind in kinds]
    size = len(rows)
    return {
        "show_id": [show for show, _ in rows],
        "kind": [kind for _, kind in rows],
        "ended": [_ended(show) for show, _ in rows],
        "days_before": np.full(size, 28),
        "viewers": np.full(size, 120),
        "seen_again": np.full(size, 90),
        "compared": np.full(size, 100),
        "compared_seen": np.full(size, 75),
        "expected_seen": np.full(size, 80.0),
        "expected_variance": np.full(size, 4.0),
    }


def _orders(seconds: Numbers) -> Columns:
    shows = 1 + np.argsort(-seconds[1:], kind="stable")
    return {
        "strategy": np.repeat(ORDERS, shows.size),
        "step": np.tile(np.arange(1, shows.size + 1), len(ORDERS)),
        "show_id": np.tile(shows, len(ORDERS)),
        "viewers": np.tile(np.cumsum(seconds[shows] // 7200), len(ORDERS)),
        "watched_seconds": np.tile(np.cumsum(seconds[shows]), len(ORDERS)),
    }


def _overlaps(reach: Numbers) -> Columns:
    most = 1 + np.argsort(-reach[1:], kind="stable")[:OVERLAPPING]
    show, other = (one.ravel() for one in np.meshgrid(most, most, indexing="ij"))
    viewers = np.where(show == other, reach[show], np.minimum(reach[show], reach[other]) // 3) + 1
    return {
        "show_id": show,
        "other_show_id": other,
        "viewers": viewers,
        "only_of_genre_viewers": np.where(show == other, viewers // 4, 0),
    }


def _seasons(reach: Numbers) -> dict[Dataset, Columns]:
    shows = np.arange(1, SHOWS_LISTED + 1, 3)
    show, step = np.repeat(shows, EPISODES_A_SHOW), np.tile(np.arange(1, EPISODES_A_SHOW + 1), shows.size)
    kept = 0.9 ** (step - 1)
    viewers = (reach[show] * kept).astype(int)
    aired = [_premiered(int(one)) for one in shows]
    once = np.ones(shows.size, int)
    steps = {
        "show_id": show,
        "season": np.ones(show.size, int),
        "step": step,
        "episode": step,
        "aired": [_premiered(int(one)) for one in show],
        "viewers": viewers,
        "at_risk": viewers,
        "reached": (viewers * 0.9).astype(int),
        "waiting": viewers // 20,
        "kept": kept,
    }
    seasons = {
        "show_id": shows,
        "season": once,
        "episodes": EPISODES_A_SHOW * once,
        "first_episode": once,
        "last_episode": EPISODES_A_SHOW * once,
        "first_aired": aired,
        "last_aired": aired,
        "release_kind": ["at once"] * shows.size,
        "window_days": 14 * once,
        "starters": reach[shows],
        "finishers": reach[shows] // 3,
        "mid_season": reach[shows] // 9,
    }
    return {SEASON_STEP: steps, SEASON_AUDIENCE: seasons}
