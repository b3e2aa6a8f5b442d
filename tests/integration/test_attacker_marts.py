"""Marts as they are loaded are the tables that the attacker solves, and give nothing away."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from marquee.mart.protect import protect
from tests.attacker.counts import TABLES
from tests.attacker.exact import publish
from tests.attacker.findings import find_all
from tests.attacker.published import Knowledge, Published
from tests.attacker.truth import Truth
from tests.attacker.worlds import Seen, make, random_world

MIN_CELL = 10


KEY = "day", "episode_id", "country", "daypart", "device"


def places(play: Seen) -> Iterator[tuple[date, int, str, str, str]]:
    """Yield the cells of viewership that a play may be in, the finest first; viewers are in UTC."""
    hour, show = play.at.hour, play.episode // 10
    daypart = "night" if hour in {23, *range(6)} else "morning" if hour < 12 else "daytime" if hour < 18 else "evening"
    day = play.at.date()
    yield day, play.episode, play.country, daypart, play.device
    yield day, play.episode, play.country, daypart, "(other)"
    yield day, -1 - show, play.country, daypart, "(other)"
    yield day, -1 - show, play.country, "(other)", "(other)"
    yield day, -1 - show, "..", "(other)", "(other)"
    yield day, 0, "..", "(other)", "(other)"


def figures(published: Published) -> dict[str, dict[str, object]]:
    """Return the rows of all audiences of a mart by table and key."""
    return {
        table.name: {
            repr([row[name] for name in table.key]): {
                name: one for name, one in row.items() if name not in {"window_days", "aired", "release_kind"}
            }
            for row in published.of(table.name)
        }
        for table in TABLES.values()
    }


@pytest.mark.parametrize("seed", [3, 11])
def test_loaded_marts_give_nothing_away(seed: int, tmp_path: Path) -> None:
    """A mart that all stages made has the tables that unit tests attack; with the day before, it tells nothing."""
    world = random_world(seed)
    worlds = world.with_day_before(1)
    marts = [make(tmp_path, one).mart(MIN_CELL) for one in reversed(worlds)][::-1]
    assert figures(marts[0]) == figures(publish(world, MIN_CELL, protect))
    truths = [Truth(one, publish(one)) for one in worlds]
    found = find_all(marts, Knowledge(MIN_CELL, one_country=world.one_country), truths)
    assert (found.recovered, found.wrong) == ([], [])


@pytest.mark.parametrize("seed", [3, 11])
def test_every_cell_of_viewership_has_enough_viewers(seed: int, tmp_path: Path) -> None:
    """Cells of several devices, dayparts, countries or shows hold what no other cell of the day does; all are large."""
    world = random_world(seed)
    mart = make(tmp_path, world).mart(MIN_CELL)
    cells = {tuple(row[name] for name in KEY): row["watched_seconds"] for row in mart.of("fact_viewership")}
    viewers: dict[object, set[int]] = defaultdict(set)
    seconds: dict[object, int] = defaultdict(int)
    for play in world.plays:
        place = next(one for one in places(play) if one in cells)
        viewers[place].add(play.viewer)
        seconds[place] += play.seconds
    assert cells == seconds
    assert min(map(len, viewers.values())) >= MIN_CELL
