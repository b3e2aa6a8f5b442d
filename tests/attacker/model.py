"""What the attacker knows: sizes of sets of viewers as unknown whole numbers, and statements about them.

An unknown is a published cell: its size lies between two bounds, which follow from what is printed. A statement is a
sum of unknowns (coefficients and cells) that is itself the size of a set ("reached anywhere, but not in Korea"), and so
at least 0, or within other bounds. Both are targets. ``Model.solve`` narrows the bounds of all targets: it passes
bounds along the statements until nothing changes, and then solves linear programs over the statements of each block.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.attacker.linear import CLOSE, Floats, narrow_block
from tests.attacker.published import MANY, Key

ROUNDS = 200
"""Most rounds of passing bounds along; more rounds would only find more."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A published count of viewers: the number of the mart (0: today's), table, column, and key of the row."""

    mart: int
    table: str
    column: str
    key: Key


Terms = tuple[tuple[int, int], ...]
"""Coefficients and numbers of unknowns."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A set: its size is the sum of the terms. ``block`` is the part of the linear program that it belongs to."""

    rule: str
    block: Hashable
    terms: Terms
    low: float
    high: float


@dataclass(frozen=True)
class Claim:
    """The attacker claims: between ``low`` and ``high`` viewers are in the set of size Σ coefficient × cell."""

    rule: str
    terms: tuple[tuple[int, Cell], ...]
    low: int
    high: int

    def __str__(self) -> str:
        parts = (f"{'-' if factor < 0 else '+'} {abs(factor) if abs(factor) > 1 else ''}{_named(cell)}"
                 for factor, cell in self.terms)  # fmt: skip
        return f"{self.rule}: {self.low}..{self.high} = {' '.join(parts).removeprefix('+ ')}"


def _named(cell: Cell) -> str:
    when = " (the day before)" if cell.mart else ""
    return f"{cell.table.removeprefix('fact_')}.{cell.column}[{', '.join(map(str, cell.key))}]{when}"


class ContradictionError(Exception):
    """No sizes fulfil all statements: a rule of the attacker is wrong, or the mart is."""


class Model:
    """Unknowns, statements, and what follows from them."""

    def __init__(self) -> None:
        self.number: dict[Cell, int] = {}
        self._low: list[float] = []
        self._high: list[float] = []
        self.statements: list[Statement] = []
        self._seen: set[tuple[Terms, float, float]] = set()

    def add(self, cell: Cell, low: float, high: float) -> int:
        """Add an unknown between two bounds, or narrow it; return its number."""
        if (number := self.number.get(cell)) is None:
            number = self.number[cell] = len(self._low)
            self._low.append(low)
            self._high.append(high)
        else:
            self._low[number] = max(self._low[number], low)
            self._high[number] = min(self._high[number], high)
        return number

    def bounds(self, number: int) -> tuple[float, float]:
        """Return the bounds of an unknown so far."""
        return self._low[number], self._high[number]

    def state(
        self,
        rule: str,
        block: Hashable,
        plus: Iterable[int | None],
        minus: Iterable[int | None] = (),
        bounds: tuple[float, float] = (0, MANY),
    ) -> None:
        """State that ``plus`` less ``minus`` is the size of a set, unless one of them is not published."""
        sums: dict[int, int] = {}
        for factor, numbers in ((1, plus), (-1, minus)):
            for number in numbers:
                if number is None:
                    return
                sums[number] = sums.get(number, 0) + factor
        terms = tuple((factor, number) for number, factor in sorted(sums.items()) if factor)
        if terms and (terms, *bounds) not in self._seen:
            self._seen.add((terms, *bounds))
            self.statements.append(Statement(rule, block, terms, *bounds))

    def equal(self, rule: str, block: Hashable, plus: Iterable[int | None], minus: Iterable[int | None]) -> None:
        """State that two sums are equal."""
        self.state(rule, block, plus, minus, (0, 0))

    def solve(self, min_cell: int, *, linear: bool = True) -> "Solution":
        """Return the bounds of all targets. ``linear``: by linear programming, too."""
        solution = Solution(self, np.array(self._low), np.array(self._high))
        solution.propagate()
        if linear and solution.narrow(min_cell):
            solution.propagate()
        return solution


class Solution:
    """The bounds of all unknowns (``low``, ``high``) and statements (``least``, ``most``), in their order."""

    def __init__(self, model: Model, low: Floats, high: Floats) -> None:
        self.model, self.low, self.high = model, low, high
        self.cells: Sequence[Cell] = list(model.number)
        statements = model.statements
        sizes = np.array([len(one.terms) for one in statements], np.int64)
        self.row = np.repeat(np.arange(len(statements)), sizes)
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.factor = np.array([factor for one in statements for factor, _ in one.terms], np.float64)
        self.column = np.array([number for one in statements for _, number in one.terms], np.int64)
        self.least = np.array([one.low for one in statements], np.float64)
        self.most = np.array([one.high for one in statements], np.float64)
        self.unsolved = 0
        """Targets that linear programming might narrow, but that were left because there were too many."""

    def propagate(self) -> None:
        """Pass bounds along the statements until nothing changes: in each round, those with an unknown that changed."""
        due = np.ones(len(self.least), np.bool_)
        for _ in range(ROUNDS):
            changed = self._pass_along(np.flatnonzero(due[self.row]))
            self._check()
            if not changed.any():
                return
            due[:] = False
            due[self.row[changed[self.column]]] = True

    def _pass_along(self, terms: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Pass bounds along the statements of these terms, all terms of each; return which unknowns changed."""
        factor, column, row = self.factor[terms], self.column[terms], self.row[terms]
        up = factor > 0
        own_least = factor * np.where(up, self.low[column], self.high[column])
        own_most = factor * np.where(up, self.high[column], self.low[column])
        least, most = (np.bincount(row, one, len(self.least)) for one in (own_least, own_most))
        rows = np.unique(row)
        self.least[rows] = np.maximum(self.least[rows], least[rows])
        self.most[rows] = np.minimum(self.most[rows], most[rows])
        greatest = (self.most[row] - least[row] + own_least) / factor
        smallest = (self.least[row] - most[row] + own_most) / factor
        low, high = self.low.copy(), self.high.copy()
        np.minimum.at(self.high, column, np.floor(np.where(up, greatest, smallest) + CLOSE))
        np.maximum.at(self.low, column, np.ceil(np.where(up, smallest, greatest) - CLOSE))
        changed: npt.NDArray[np.bool_] = (self.low != low) | (self.high != high)
        return changed

    def _check(self) -> None:
        for low, high, what in ((self.low, self.high, "unknown"), (self.least, self.most, "statement")):
            if (wrong := np.flatnonzero(low > high + CLOSE)).size:
                where = int(wrong[0])
                terms = ((1, where),) if what == "unknown" else self.model.statements[where].terms
                rule = "cell" if what == "unknown" else self.model.statements[where].rule
                found = Claim(rule, self._terms(terms), int(low[where]), int(high[where]))
                message = f"{len(wrong)} {what}s are impossible, first {found}"
                raise ContradictionError(message)

    def narrow(self, min_cell: int) -> bool:
        """Narrow targets by linear programming, block by block; return whether a bound of an unknown changed."""
        blocks: dict[Hashable, list[int]] = {}
        for place, one in enumerate(self.model.statements):
            blocks.setdefault(one.block, []).append(place)
        changed = False
        for places in blocks.values():
            found, unsolved = narrow_block(self, places, min_cell)
            changed |= found
            self.unsolved += unsolved
        return changed

    def _terms(self, terms: Terms) -> tuple[tuple[int, Cell], ...]:
        return tuple((factor, self.cells[number]) for factor, number in terms)

    def recoveries(self, min_cell: int, width: int = 0) -> Iterator[Claim]:
        """Yield the claims about sets of 1 to min_cell - 1 viewers whose bounds differ by ``width`` at most."""
        for low, high, of in ((self.low, self.high, None), (self.least, self.most, self.model.statements)):
            found = (high - low <= width + CLOSE) & (low >= 1 - CLOSE) & (high < min_cell - CLOSE)
            for place in map(int, np.flatnonzero(found)):
                rule = "cell" if of is None else of[place].rule
                terms = ((1, place),) if of is None else of[place].terms
                yield Claim(rule, self._terms(terms), round(low[place]), round(high[place]))

    def faults(self, truth: dict[Cell, int]) -> Iterator[tuple[Claim, int]]:
        """Yield the claims that are wrong, with the true sizes. Cells without a truth are left out."""
        sizes = np.array([truth.get(cell, -1) for cell in self.cells], np.float64)
        sums = np.bincount(self.row, self.factor * sizes[self.column], len(self.least))
        unknown = np.bincount(self.row, sizes[self.column] < 0, len(self.least)) > 0
        wrong = (sizes >= 0) & ((sizes < self.low - CLOSE) | (sizes > self.high + CLOSE))
        for place in map(int, np.flatnonzero(wrong)):
            terms = self._terms(((1, place),))
            yield Claim("cell", terms, int(self.low[place]), int(self.high[place])), int(sizes[place])
        wrong = ~unknown & ((sums < self.least - CLOSE) | (sums > self.most + CLOSE))
        for place in map(int, np.flatnonzero(wrong)):
            one = self.model.statements[place]
            yield (
                Claim(one.rule, self._terms(one.terms), int(self.least[place]), int(self.most[place])),
                int(sums[place]),
            )
