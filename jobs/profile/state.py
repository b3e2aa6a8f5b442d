"""The state of a period: its days except the last, merged in steps.

The state is a list of blocks of consecutive days. A new day becomes a block of its own; once there are ``FEW`` blocks
of about one size, they are merged into one, up to some 16 days. So each day is written about three times in all, and a
period has a dozen blocks at most, however many days it has. Blocks that do not change are not written again: the marker
lists them in the prefixes of earlier runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FEW = 4
"""Blocks of about one size that are merged into one."""
LARGE = FEW * FEW
"""Days of a block that is not merged any more: so no day costs much more than others."""
STATE = "state"
"""Count of a marker: the blocks of its state in order, each as [run id, number of days]."""


@dataclass(frozen=True)
class Block:
    """Days of a period, from ``start`` up to ``stop`` of its profiled days, and the run that merged them."""

    run_id: str
    start: int
    stop: int


def blocks_of(counts: Mapping[str, object], run_id: str) -> list[Block]:
    """Return the blocks of a marker's state. Earlier versions had one, of all days except the last."""
    blocks: list[Block] = []
    for run, days in _listed(counts, run_id):
        start = blocks[-1].stop if blocks else 0
        blocks.append(Block(run, start, start + days))
    return blocks


def to_count(blocks: Sequence[Block]) -> list[list[object]]:
    """Return the blocks in the form of the marker."""
    return [[one.run_id, one.stop - one.start] for one in blocks]


def find_merged(blocks: Sequence[Block], days: int) -> int:
    """Return how many of the last blocks are merged with new days into one block."""
    sizes = [*(one.stop - one.start for one in blocks), days]
    while True:
        alike = 0
        while alike < len(sizes) and _tier(sizes[-1 - alike]) == _tier(sizes[-1]):
            alike += 1
        if alike < FEW or sizes[-1] >= LARGE:
            return len(blocks) + 1 - len(sizes)
        sizes[-alike:] = [sum(sizes[-alike:])]


def _listed(counts: Mapping[str, object], run_id: str) -> list[tuple[str, int]]:
    if STATE not in counts:
        days = counts.get("days")
        return [(run_id, days - 1)] if type(days) is int and days > 1 else []
    found = counts[STATE]
    if not isinstance(found, list):
        return []
    blocks = [tuple(one) for one in found if isinstance(one, list)]
    well_formed = all([type(part) for part in one] == [str, int] for one in blocks)
    return [(run, days) for run, days in blocks] if well_formed and len(blocks) == len(found) else []


def _tier(days: int) -> int:
    return sum(days >= bound for bound in (FEW, LARGE))
