"""All that the attacker recovers from marts: numbers of viewers, their seconds, and ratios; judged by the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.attacker.attack import Attack, attack
from tests.attacker.model import Claim
from tests.attacker.published import Knowledge, Published
from tests.attacker.ratios import Ratio, unexplained
from tests.attacker.seconds import Known, Seconds, faults, recovered
from tests.attacker.truth import Truth, faults_of


@dataclass(frozen=True)
class Findings:
    """What the attacker recovered, and which of his claims are wrong."""

    viewers: Attack
    targets: int
    """Number of sets of viewers, and of sums of seconds, whose size the attacker bounds."""
    recovered: Sequence[Claim | Known | Ratio]
    wrong: Sequence[str]


def find_all(published: Sequence[Published], knowledge: Knowledge, truths: Sequence[Truth]) -> Findings:
    """Attack today's mart, and that of the day before if the attacker kept it. ``truths`` are those of these marts."""
    today, min_cell = published[0], knowledge.min_cell
    viewers, seconds = attack(published, knowledge), Seconds(today, knowledge, *published[1:]).solve()
    known = recovered(seconds, truths, min_cell)
    return Findings(
        viewers,
        viewers.targets + len(seconds.low),
        [*viewers.recovered, *known, *unexplained(today, min_cell)],
        faults_of(viewers, *truths) + faults(seconds, truths),
    )
