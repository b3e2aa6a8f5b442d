"""The exact tables of a world, counted by the oracles in plain Python: as a mart has them that protects nothing.

It takes milliseconds where a run of all stages takes seconds, so that many worlds can be attacked. Real marts of worlds
are made in ``worlds``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import combinations
from typing import Any

import pyarrow as pa

from jobs.profile.settings import ProfileOptions
from marquee.calendar import Grain, Period
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    DEPARTURE,
    LAUNCH,
    OVERLAP,
    SEASON_AUDIENCE,
    SEASON_STEP,
    SHOW_ORDER,
    Dataset,
)
from tests.attacker.published import WORLDWIDE, Published, Row
from tests.attacker.truth import PeriodTruth, Truth
from tests.attacker.worlds import RUNTIME_S, START, World

Tables = Mapping[str, pa.Table]
Protect = Callable[[Tables, int], Mapping[str, pa.Table]]

LAUNCH_AGES = 1, 3, 7, 28
ORDER_REACH = ProfileOptions().order_reach


def as_it_is(tables: Tables, _min_cell: int) -> Tables:
    """Protect nothing."""
    return tables


def publish(world: World, min_cell: int = 1, protect: Protect = as_it_is) -> Published:
    """Return the mart of a world as far as viewers go: all tables of audiences, the ledger, and the dimensions."""
    truth = Truth(world)
    tables: dict[str, list[Row]] = {"load_ledger": []}
    for period in _periods(truth.until):
        exact = {one.name: _table(one, rows) for one, rows in _rows(truth, period)}
        for name, rows in protect(exact, min_cell).items():
            tables.setdefault(f"fact_{name}", []).extend({**row, "period": str(period)} for row in rows.to_pylist())
        tables["load_ledger"] += _ledger(truth, period)
    tables["dim_show_genre"] = [
        {"show_id": show, "genre": genre} for show, names in world.genres.items() for genre in names
    ]
    tables["dim_episode"] = [
        {"episode_id": episode, "show_id": show, "runtime_minutes": RUNTIME_S // 60}
        for episode, show in world.show_of.items()
    ]
    return Published(tables)


def _periods(until: date) -> Iterator[Period]:
    days = list(Period.parse(str(START)).until(Period.parse(str(until)).end))
    yield from days
    for grain in (Grain.WEEK, Grain.MONTH, Grain.QUARTER):
        yield from sorted({Period.containing(one.start, grain) for one in days})


def _ledger(truth: Truth, period: Period) -> list[Row]:
    days = truth.of(str(period)).days
    row = {
        "dataset": "audience_base",
        "period": str(period),
        "grain": period.grain.value,
        "starts_at": period.start.replace(tzinfo=None),
        "ends_at": period.end.replace(tzinfo=None),
        "run_id": f"{period} up to {days[-1]}",
        "hours": 24 * len(days),
    }
    if period.grain is not Grain.DAY:
        return [row]
    start = datetime.combine(period.date, datetime.min.time())
    rolled_up = [
        {**row, "dataset": "viewership", "grain": "hour", "period": f"{period}T{hour:02}", "run_id": f"run {hour}",
         "starts_at": start + timedelta(hours=hour), "ends_at": start + timedelta(hours=hour + 1), "hours": None}
        for hour in range(24)
    ]  # fmt: skip
    return [row, *rolled_up]


def _rows(truth: Truth, period: Period) -> Iterator[tuple[Dataset, Sequence[Row]]]:
    there = truth.of(str(period))
    audience = there.oracle.audience()
    yield AUDIENCE, [dict(zip(("show_id", "country"), key, strict=True)) | row for key, row in audience.items()]
    yield AUDIENCE_BASE, [{"country": country} | row for country, row in there.oracle.base().items()]
    yield (
        AUDIENCE_GENRE,
        [dict(zip(("genre", "country"), key, strict=True)) | row for key, row in there.oracle.genres().items()],
    )
    yield DEPARTURE, []
    if period.grain is Grain.DAY:
        yield LAUNCH, list(_launches(truth, period))
        return
    shows = sorted(show for show, country in audience if country == WORLDWIDE and show)
    large = [show for show in shows if len(there.reached(show)) >= ORDER_REACH]
    yield SHOW_ORDER, list(_orders(there, large, {show: audience[show, WORLDWIDE] for show in large}))
    yield OVERLAP, list(_overlaps(there, [show for show in shows if there.reached(show)]))
    yield from _seasons(there)


def _launches(truth: Truth, period: Period) -> Iterator[Row]:
    age = (period.date - START).days + 1
    for show in truth.world.shows:
        played = [one for one in truth.world.plays if truth.world.show_of.get(one.episode) == show]
        seconds = sum(one.seconds for one in played if one.at.date() <= period.date)
        if age in LAUNCH_AGES and seconds:
            reach = len(truth.launch(show, period.date))
            yield {"show_id": show, "premiered": START, "age": age, "reach": reach, "watched_seconds": seconds}


def _orders(there: PeriodTruth, shows: Sequence[int], figures: Mapping[int, Row]) -> Iterator[Row]:
    def hours(show: int) -> int:
        return int(figures[show]["watched_seconds"])

    def greedy(gain: Callable[[list[int]], int], sign: int) -> list[int]:
        done: list[int] = []
        while left := [show for show in shows if show not in done]:
            done.append(min(left, key=lambda show: (sign * gain([*done, show]), sign * hours(show), show)))
        return done

    def lost(chosen: list[int]) -> int:
        return len(there.lost(chosen))

    def covered(chosen: list[int]) -> int:
        return len(frozenset().union(*(there.reached(show) for show in chosen)))

    ways: dict[str, tuple[list[int], Callable[[list[int]], int]]] = {
        "remove": (greedy(lost, 1), lost),
        "remove_by_hours": (sorted(shows, key=lambda one: (hours(one), one)), lost),
        "keep": (greedy(covered, -1), covered),
        "keep_by_hours": (sorted(shows, key=lambda one: (-hours(one), one)), covered),
    }
    for name, column in (("reach", "reach"), ("sole", "sole_viewers")):
        ways[f"remove_by_{name}"] = sorted(shows, key=lambda one: (figures[one][column], hours(one), one)), lost
    ways["keep_by_reach"] = sorted(shows, key=lambda one: (-figures[one]["reach"], -hours(one), one)), covered
    for way, (order, count) in ways.items():
        for step, show in enumerate(order, start=1):
            seconds = sum(map(hours, order[:step]))
            row = {"strategy": way, "step": step, "show_id": show}
            yield {**row, "viewers": count(order[:step]), "watched_seconds": seconds}


def _overlaps(there: PeriodTruth, shows: Sequence[int]) -> Iterator[Row]:
    for one in shows:
        alone = len(there.only_of_genre(one)) if there.world.genres.get(one) else None
        yield {"show_id": one, "other_show_id": one, "viewers": len(there.reached(one)), "only_of_genre_viewers": alone}
    for one, other in combinations(shows, 2):
        both = len(there.reached(one) & there.reached(other))
        for first, second in ((one, other), (other, one)):
            row = {"show_id": first, "other_show_id": second, "viewers": both}
            yield {**row, "only_of_genre_viewers": None}


def _seasons(there: PeriodTruth) -> Iterator[tuple[Dataset, Sequence[Row]]]:
    episode = {"season": 1, "aired": START}
    yield (
        SEASON_STEP,
        [
            {**episode, "show_id": key[0], "step": key[2], "episode": key[2], **row}
            for key, row in there.seasons.items()
            if len(key) == 3
        ],
    )
    fixed = {"episodes": there.world.episodes, "first_episode": 1, "last_episode": there.world.episodes}
    fixed |= {"first_aired": START, "last_aired": START, "release_kind": "at once", "window_days": 1}  # type: ignore[dict-item]
    yield (
        SEASON_AUDIENCE,
        [{**fixed, "show_id": key[0], "season": 1, **row} for key, row in there.seasons.items() if len(key) == 2],
    )


def _table(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: [row[name] for name in dataset.sort])
    return pa.Table.from_pylist([dict(row) for row in ordered], schema=dataset.schema)
