"""Narrows the targets of a block of statements by linear and integer programming (HiGHS).

Most targets have room: solutions of the linear program for random objectives show them with different sizes. Only the
others, which may be determined, are minimized and maximized one by one, in whole numbers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from tests.attacker.model import Solution

GLANCES = 3
"""Random objectives, each of them in both directions, that may show no target with another size before."""
TARGETS = 60
"""Most targets of a block that are solved for one by one."""
SECONDS = 2.0
CLOSE = 1e-6
ROOM = 1.0 + CLOSE

Floats = npt.NDArray[np.float64]


def narrow_block(solution: "Solution", places: Sequence[int], min_cell: int) -> tuple[bool, int]:
    """Narrow the targets of some statements.

    Returns:
        Whether a bound of an unknown changed, and the number of targets that were left out.
    """
    block = _Block(solution, places)
    targets = _Targets(block, min_cell)
    rng = np.random.default_rng(len(places))
    wasted = 0
    while targets.open.any() and wasted < GLANCES:
        before = np.count_nonzero(targets.open)
        weights = rng.uniform(0.5, 1.5, len(targets.open)) * rng.choice([-1, 1], len(targets.open)) * targets.open
        for sign in (1, -1):
            if (point := block.solve(sign * targets.objective(weights))) is not None:
                targets.see(point)
        wasted = 0 if np.count_nonzero(targets.open) < before else wasted + 1
    suspects = np.flatnonzero(targets.open)
    changed = False
    for one in suspects[:TARGETS]:
        changed |= targets.settle(int(one))
    return changed, max(0, len(suspects) - TARGETS)


class _Block:
    """The linear program of some statements."""

    def __init__(self, solution: "Solution", places: Sequence[int]) -> None:
        self.solution, self.places = solution, np.array(places)
        sizes = solution.starts[self.places + 1] - solution.starts[self.places]
        rows = np.repeat(np.arange(len(self.places)), sizes)
        chosen = np.arange(sizes.sum()) + np.repeat(solution.starts[self.places] - np.cumsum(sizes) + sizes, sizes)
        self.unknowns, columns = np.unique(solution.column[chosen], return_inverse=True)
        shape = (len(self.places), len(self.unknowns))
        self.sums = csr_array((solution.factor[chosen], (rows, columns)), shape)

    def solve(self, objective: Floats, *, whole: bool = False) -> Floats | None:
        """Return the sizes that minimize an objective; None if they were not found in time."""
        found = milp(
            objective,
            integrality=np.full(len(self.unknowns), int(whole)),
            bounds=Bounds(self.solution.low[self.unknowns], self.solution.high[self.unknowns]),
            constraints=LinearConstraint(self.sums, self.solution.least[self.places], self.solution.most[self.places]),
            options={"time_limit": SECONDS},
        )
        point: Floats | None = found.x if found.status == 0 else None
        return point


class _Targets:
    """The targets of a block, unknowns first: which of them may still be a known small number."""

    def __init__(self, block: _Block, min_cell: int) -> None:
        self.block, self.min_cell = block, min_cell
        solution = block.solution
        self.low = np.concatenate([solution.low[block.unknowns], solution.least[block.places]])
        self.high = np.concatenate([solution.high[block.unknowns], solution.most[block.places]])
        self.seen_low, self.seen_high = np.full(len(self.low), np.inf), np.full(len(self.low), -np.inf)
        self.open = (self.high > self.low + CLOSE) & (self.low < min_cell - 1 + CLOSE)

    def see(self, point: Floats) -> None:
        """Note a solution."""
        sizes = np.concatenate([point, self.block.sums @ point])
        self.seen_low, self.seen_high = np.minimum(self.seen_low, sizes), np.maximum(self.seen_high, sizes)
        self.open &= self.seen_high - self.seen_low < ROOM
        self.open &= (self.seen_low > CLOSE) & (self.seen_high < self.min_cell - CLOSE)  # neither none nor many

    def objective(self, weights: Floats) -> Floats:
        """Return the coefficients of a weighted sum of targets."""
        unknowns = len(self.block.unknowns)
        found: Floats = weights[:unknowns] + weights[unknowns:] @ self.block.sums
        return found

    def settle(self, target: int) -> bool:
        """Find the bounds of a target; return whether they changed those of an unknown."""
        if not self.open[target]:
            return False
        unknowns, solution = len(self.block.unknowns), self.block.solution
        objective = self.objective(np.arange(len(self.open)) == target)
        bounds = [self.low[target], self.high[target]]
        for side, sign in enumerate((1, -1)):
            if (point := self.block.solve(sign * objective, whole=True)) is not None:
                bounds[side] = float(np.round(objective @ point))
                self.see(point)
        self.open[target] = False
        low, high = (solution.low, solution.high) if target < unknowns else (solution.least, solution.most)
        place = self.block.unknowns[target] if target < unknowns else self.block.places[target - unknowns]
        changed = bool(bounds[0] > low[place] + CLOSE or bounds[1] < high[place] - CLOSE)
        low[place], high[place] = max(low[place], bounds[0]), min(high[place], bounds[1])
        return changed
