"""Rounded losses in the order of removal tell what a step costs, unless the order ends where they repeat."""

import pytest

from marquee.mart import protect
from tests.attacker.attack import Attack, attack
from tests.attacker.exact import publish
from tests.attacker.nasty import shows_with_one_sole_viewer_each
from tests.attacker.published import Knowledge
from tests.attacker.truth import Truth, faults_of

MIN_CELL = 10


def found() -> Attack:
    """Attack the world of shows with one sole viewer each; every claim has to be right."""
    world = shows_with_one_sole_viewer_each().world
    mart = publish(world, MIN_CELL, protect.protect)
    attacked = attack([mart], Knowledge(MIN_CELL, one_country=True))
    assert faults_of(attacked, Truth(world, publish(world))) == []
    return attacked


def test_a_long_order_with_rounded_losses_tells_what_steps_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps cost no less than those before: ten steps from 5 to 14 viewers cost one each."""
    monkeypatch.setattr(protect, "_rises", lambda steps: [True] * steps.num_rows)
    assert len(found().recovered) >= 5


def test_an_order_that_ends_where_losses_repeat_tells_nothing() -> None:
    """The order of removal is published up to its first loss that repeats, and the attacker recovers nothing."""
    assert found().recovered == []
