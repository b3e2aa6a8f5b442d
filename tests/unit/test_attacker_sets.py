"""Who chooses sets of shows for what-if compares their answers, and learns nothing that is not in the mart."""

from collections.abc import Callable, Collection

import pytest

from marquee.mart.protect import protect, unit_of_set
from tests.attacker.exact import publish
from tests.attacker.nasty import (
    WEEK,
    five_shows_with_one_sole_viewer_each,
    heavy_viewers_beside_a_large_show,
    ten_shows_that_each_lose_one_more,
)
from tests.attacker.published import Knowledge
from tests.attacker.sets import (
    PROTECTED,
    ROUNDED,
    Way,
    ask,
    attack_seconds,
    attack_sets,
    known_seconds,
    subsets,
    true_sizes,
)
from tests.attacker.truth import Truth
from tests.attacker.worlds import World, random_world

MIN_CELL = 10
Asking = tuple[World, Collection[Collection[int]]]


def recovered(asking: Asking, way: Way) -> list[str]:
    """Ask for sets of shows of a world, and attack the answers beside its mart; every claim has to be right."""
    world, sets = asking
    mart, truth = publish(world, MIN_CELL, protect), Truth(world, publish(world))
    asked = ask(truth, mart, WEEK, sets, MIN_CELL, way)
    knowledge = Knowledge(MIN_CELL, one_country=world.one_country)
    solution = attack_sets(mart, asked, knowledge, way)
    assert list(solution.faults(true_sizes(solution, asked, truth))) == []
    seconds = attack_seconds(asked, knowledge, way)
    assert list(seconds.faults(true_sizes(seconds, asked, truth))) == []
    known = known_seconds(seconds, asked, MIN_CELL)
    return [*map(str, solution.recoveries(MIN_CELL)), *(f"seconds of {one.key[1]} in {one.key[2]}" for one in known)]


@pytest.mark.parametrize(
    ("nasty", "secret"),
    [
        (five_shows_with_one_sole_viewer_each, "cell: 1..1 = audience.sole_viewers[2026-W02, 1, **]"),
        (ten_shows_that_each_lose_one_more, "cell: 4..4 = audience.sole_viewers[2026-W02, 1, **]"),
        (heavy_viewers_beside_a_large_show, "seconds of 2 in **"),
    ],
)
def test_sets_rounded_as_single_shows_give_viewers_away(nasty: Callable[[], Asking], secret: str) -> None:
    """The sets of each world recover its few viewers if all are rounded alike, and nothing as what-if rounds them."""
    assert secret in recovered(nasty(), ROUNDED)
    assert recovered(nasty(), PROTECTED) == []


@pytest.mark.parametrize("seed", range(6))
def test_all_sets_of_a_random_world_give_nothing_away(seed: int) -> None:
    """All subsets of the shows of a random world, worldwide and by country, beside the mart and its orders."""
    world = random_world(seed)
    assert recovered((world, subsets(world.shows)), PROTECTED) == []


@pytest.mark.parametrize(
    ("shows", "unit"), [(0, 10), (1, 10), (2, 30), (9, 30), (10, 90), (81, 90), (82, 270), (729, 270), (730, 810)]
)
def test_unit_of_a_set(shows: int, unit: int) -> None:
    """The unit is the least number of viewers, times three for each nine times as many shows."""
    assert unit_of_set(shows, 10) == unit
    assert unit_of_set(shows, 1) == 1


def test_a_set_with_shows_that_nobody_watches_tells_nothing_new() -> None:
    """All numbers that round alike to ten do so to thirty and to ninety."""
    for small, large in ((10, 30), (30, 90)):
        rounded = [((one + small // 2) // small, (one + large // 2) // large) for one in range(1000)]
        assert len(set(rounded)) == len({one for one, _ in rounded})
