"""Attack many random worlds, and print what was recovered: ``python -m tests.attacker --worlds 200``.

Each world is attacked with the mart of the day before, as published by marquee/mart/protect.py. It ends with 1 if a set
of few viewers was recovered, a ratio tells a number of viewers, or a claim was wrong.
"""

import argparse
import sys
import time
from collections import Counter

from marquee.mart.protect import protect
from tests.attacker import nasty
from tests.attacker.exact import publish
from tests.attacker.findings import find_all
from tests.attacker.published import Knowledge
from tests.attacker.truth import Truth
from tests.attacker.worlds import World, random_world


def main() -> int:
    """Attack worlds, nasty ones first; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=50, help="number of random worlds")
    parser.add_argument("--first", type=int, default=0, help="seed of the first of them")
    parser.add_argument("--days", type=int, default=3, help="days of each")
    parser.add_argument("--min-cell", type=int, default=10, help="least number of viewers")
    given = parser.parse_args()
    worlds: dict[str, tuple[World, int | None]] = {
        one.__name__: (one().world, one().day_before) for one in (*nasty.SUBTRACTIONS, *nasty.COMBINATIONS)
    }
    for seed in range(given.first, given.first + given.worlds):
        worlds[f"random world {seed}"] = random_world(seed, given.days), given.days - 2
    figures: Counter[str] = Counter()
    for name, (world, day_before) in worlds.items():
        figures.update(_attack(name, world, day_before, given.min_cell))
    print(", ".join(f"{number} {what}" for what, number in figures.items()), f"{time.process_time():.0f} s of CPU")  # noqa: T201
    return int(figures["recovered"] + figures["wrong claims"] > 0)


def _attack(name: str, world: World, day_before: int | None, min_cell: int) -> dict[str, int]:
    worlds = world.with_day_before(day_before)
    marts = [publish(one, min_cell, protect) for one in worlds]
    truths = [Truth(one, publish(one)) for one in worlds]
    found = find_all(marts, Knowledge(min_cell, one_country=world.one_country), truths)
    for one in (*found.recovered, *found.wrong):
        print(f"{name}: {one}")  # noqa: T201
    return {
        "worlds": 1,
        "targets": found.targets,
        "recovered": len(found.recovered),
        "of two possible sizes": len(found.viewers.nearly),
        "left unsolved": found.viewers.solution.unsolved,
        "wrong claims": len(found.wrong),
    }


if __name__ == "__main__":
    sys.exit(main())
