"""The attacker finds what protections that do not hold give away, and claims nothing that is wrong."""

from collections.abc import Callable

import pytest

from marquee.mart.protect import protect
from tests.attacker.attack import Attack, attack
from tests.attacker.exact import publish
from tests.attacker.findings import find_all
from tests.attacker.naive import few_told, withheld
from tests.attacker.nasty import COMBINATIONS, HEAVY, SUBTRACTIONS, Nasty, Secret
from tests.attacker.published import Knowledge, Method, Published
from tests.attacker.ratios import unexplained
from tests.attacker.seconds import Seconds, faults, recovered
from tests.attacker.truth import Truth, faults_of
from tests.attacker.worlds import World, everybody, random_world

MIN_CELL = 10
Protection = Callable[[Published, int], Published]


def attacked(world: World, protect: Protection, day_before: int | None = None) -> Attack:
    """Attack the mart of a world, and that of the day before if the attacker has it; every claim has to be right."""
    worlds = world.with_day_before(day_before)
    exact = [publish(one) for one in worlds]
    method = Method.WITHHELD if protect is withheld else Method.FEW_TOLD
    knowledge = Knowledge(MIN_CELL, method, one_country=world.one_country)
    found = attack([protect(one, MIN_CELL) for one in exact], knowledge)
    assert faults_of(found, *map(Truth, worlds, exact)) == []
    return found


def finds(found: Attack, secret: Secret) -> bool:
    """Return whether the attacker claims the secret."""
    return any(set(one.terms) == set(secret.terms) and one.low == one.high == secret.viewers for one in found.recovered)


@pytest.mark.parametrize("nasty", [one() for one in SUBTRACTIONS], ids=[one.__name__ for one in SUBTRACTIONS])
def test_withheld_rows_are_recovered_by_subtraction(nasty: Nasty) -> None:
    """Where only rows of few viewers are withheld, the attacker finds the secret of each world."""
    assert finds(attacked(nasty.world, withheld, nasty.day_before), nasty.secret)


@pytest.mark.parametrize("nasty", [one() for one in COMBINATIONS], ids=[one.__name__ for one in COMBINATIONS])
def test_rounded_counts_are_recovered_by_combination(nasty: Nasty) -> None:
    """Where counts are rounded to the nearest multiple, and few viewers are told from none, sums give them away."""
    assert finds(attacked(nasty.world, few_told), nasty.secret)


@pytest.mark.parametrize("protect", [withheld, few_told], ids=["withheld", "few-told"])
@pytest.mark.parametrize("seed", range(3))
def test_no_claim_about_a_random_world_is_wrong(protect: Protection, seed: int) -> None:
    """Every claim about a random world and the day before holds by a count in plain Python; most are of no use."""
    found = attacked(random_world(seed), protect, day_before=1)
    assert found.targets > 1000
    assert len(found.recovered) < found.targets / 3


@pytest.mark.parametrize("seed", range(3))
def test_exact_seconds_of_withheld_rows_are_recovered(seed: int) -> None:
    """Where seconds are exact, those of every row of few viewers are known; no claim about seconds is wrong."""
    world = random_world(seed)
    truth = Truth(world)
    solution = Seconds(withheld(publish(world), MIN_CELL), Knowledge(MIN_CELL, Method.WITHHELD)).solve()
    assert len(list(recovered(solution, [truth], MIN_CELL))) >= 10
    assert faults(solution, [truth]) == []


@pytest.mark.parametrize("nasty", [one() for one in HEAVY], ids=[one.__name__ for one in HEAVY])
def test_seconds_of_few_who_watch_day_and_night_are_recovered_from_rounded_ones(nasty: Nasty) -> None:
    """Seconds to the nearest ten hours do not hide a few viewers who watch hundreds of hours: a limit of rounding."""
    (_, row), *_ = nasty.secret.terms
    exact = publish(nasty.world)
    rounded = few_told(exact, MIN_CELL)
    solution = Seconds(rounded, Knowledge(MIN_CELL, Method.FEW_TOLD)).solve()
    assert row.key in [one.cell.key for one in recovered(solution, [Truth(nasty.world)], MIN_CELL)]


def test_ratios_tell_their_denominators() -> None:
    """Thirteen viewers came on 32 days: their average, 2.46 days, is a fraction of thirteen, and says so."""
    plays = [one for day in range(3) for one in everybody(range(13 - 7 * (day == 2)), 11, day)]
    told = {
        (one.column, one.denominator)
        for one in unexplained(few_told(publish(World(plays, [1])), MIN_CELL), MIN_CELL)
        if one.row == ("2026-W02", 1, "**")
    }
    assert ("return_days", 13) in told


WORLDS = {one.__name__: (one().world, one().day_before) for one in (*SUBTRACTIONS, *COMBINATIONS)}
WORLDS |= {f"random-{seed}": (random_world(seed), 1) for seed in range(8)}


@pytest.mark.parametrize(("world", "day_before"), WORLDS.values(), ids=WORLDS)
def test_published_tables_give_nothing_away(world: World, day_before: int | None) -> None:
    """From a mart, and that of the day before, as they are published, the attacker recovers nothing."""
    worlds = world.with_day_before(day_before)
    truths = [Truth(one, publish(one)) for one in worlds]
    marts = [publish(one, MIN_CELL, protect) for one in worlds]
    found = find_all(marts, Knowledge(MIN_CELL, one_country=world.one_country), truths)
    assert (found.recovered, found.wrong) == ([], [])


@pytest.mark.parametrize(
    ("min_cell", "countries", "viewers", "is_known"),
    [
        pytest.param(4, 2, 1, True, id="2 are told as 4"),
        pytest.param(12, 6, 5, True, id="30 are told as 36"),
        pytest.param(11, 10, 5, True, id="50 are told as 55"),
        pytest.param(10, 5, 4, False, id="20 are told as 20"),
        pytest.param(14, 7, 6, False, id="42 are told as 42"),
    ],
)
def test_countries_of_few_viewers_are_known_unless_half_the_least_number_is_odd(
    min_cell: int, countries: int, viewers: int, *, is_known: bool
) -> None:
    """Each country has the most viewers that are told as 0: if their sum rounds up, each must have as many."""
    plays = [
        one
        for number in range(countries)
        for one in everybody(range(number * viewers, (number + 1) * viewers), 11, 0, country=f"A{chr(65 + number)}")
    ]
    found = attack([publish(World(plays, [1]), min_cell, protect)], Knowledge(min_cell, one_country=True))
    assert any(one.low == one.high == viewers for one in found.recovered) == is_known
