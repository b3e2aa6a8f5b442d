"""Who kept the mart from before a day was restated learns nothing about the viewers who came or went."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.attacker.nasty import a_late_file_of_one_viewer, an_erased_viewer, nine_who_watched_all_day
from tests.attacker.restated import DAY, Change, changes, is_known, true_changes, viewership
from tests.attacker.worlds import World, random_world

MIN_CELL = 10


def recovered(before: World, after: World, *, restated: bool) -> Sequence[Change]:
    """Attack the marts before and after a day is restated; return recoveries. Every claim has to be right."""
    rows = viewership(before, MIN_CELL), viewership(after, MIN_CELL, restated=restated)
    truth = true_changes(before, after)
    claims = list(changes(*rows, MIN_CELL, restated=restated))
    assert [one for one in claims if not one.low <= sum(truth.get(one.place, ())) <= one.high] == []
    return [one for one in claims if is_known(one, truth.get(one.place, ()), MIN_CELL)]


@pytest.mark.parametrize(
    ("world", "seconds"),
    [(a_late_file_of_one_viewer(), 3000), (an_erased_viewer(), -3000), (nine_who_watched_all_day(), 9 * 5 * 3600)],
    ids=["late-file", "erasure", "nine-who-watched-all-day"],
)
def test_a_restated_day_tells_who_came(world: tuple[World, World], seconds: int) -> None:
    """Exact cells of two versions of a day differ by the seconds of the viewers between; rounded ones hide them."""
    found = recovered(*world, restated=False)
    assert {(one.place, one.low, one.high) for one in found} == {
        (DAY, seconds, seconds),
        ((11, "KR", "daytime", "tv"), seconds, seconds),
    }
    assert recovered(*world, restated=True) == []


@pytest.mark.parametrize("seed", range(6))
def test_nobody_who_leaves_a_random_day_is_found(seed: int) -> None:
    """The seconds of each viewer who is erased from a random day are known from exact cells, and never from rounded."""
    world = random_world(seed, days=1)
    world = replace(world, plays=[one for one in world.plays if one.viewer < 64])
    assert len({one.viewer for one in world.plays}) > MIN_CELL
    erased = min(one.viewer for one in world.plays)
    without = replace(world, plays=[one for one in world.plays if one.viewer != erased])
    assert DAY in {one.place for one in recovered(world, without, restated=False)}
    assert recovered(world, without, restated=True) == []
    assert recovered(without, world, restated=True) == []
