"""The attack: all rules on one mart, or on two of successive days, and what they determine.

The attacker is an analyst: he reads the tables of marts, and knows the definitions, the schedule, ``min_cell`` and the
method of protection. He has no secret, and no figure of his own. He may know that nobody travels (``one_country``).

A *recovery* is a set of 1 to min_cell - 1 viewers whose number the attacker determines: no other size is possible. The
set is a published cell, or what lies between published cells by their definitions. That there are some viewers, or
none, is no recovery, and neither is a guess. Every claim, of use or not, must be right (``truth``).

docs/privacy.md lists the rules by the names of their functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.attacker.counts import Counts
from tests.attacker.model import Claim, Model, Solution
from tests.attacker.published import Knowledge, Published
from tests.attacker.rules import RULES
from tests.attacker.rules_of_time import departures_to_date, periods, to_date


@dataclass(frozen=True)
class Attack:
    """What the attacker found out about viewers: the bounds of all targets, and the claims that recover a cell."""

    solution: Solution
    recovered: Sequence[Claim]
    nearly: Sequence[Claim]
    """Sets of which only two sizes are possible."""

    @property
    def targets(self) -> int:
        """Number of sets whose size the attacker bounds."""
        return len(self.solution.low) + len(self.solution.least)


def attack(published: Sequence[Published], knowledge: Knowledge, *, linear: bool = True) -> Attack:
    """Attack today's mart, and that of the day before if the attacker kept it."""
    model = Model()
    marts = [Counts(number, one, knowledge, model) for number, one in enumerate(published)]
    for counts in marts:
        for rule in (*RULES, periods):
            rule(counts)
    if len(marts) > 1:
        to_date(*marts)
        if knowledge.only_late:
            departures_to_date(*marts)
    solution = model.solve(knowledge.min_cell, linear=linear)
    recovered = list(solution.recoveries(knowledge.min_cell))
    nearly = [one for one in solution.recoveries(knowledge.min_cell, width=1) if one.low < one.high]
    return Attack(solution, recovered, nearly)
