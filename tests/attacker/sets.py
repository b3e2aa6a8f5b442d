"""The attacker's rules on answers of what-if: sets of shows against sets, and against the figures of a mart.

He asks for sets that he chooses: each with its subsets and supersets, disjoint ones, and all shows but some. A set's
figures worldwide and in each country are unknowns of a model beside the counts of the mart. What is not printed in an
answer has no unknown. A recovery is as in ``attack``; for seconds, as in ``seconds``.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise

import pyarrow as pa

from jobs.profile.what_if import FIGURES, publish
from marquee.lake.datasets import AUDIENCE as AUDIENCE_DATASET
from marquee.mart.protect import round_figures, unit_of_set
from tests.attacker.counts import AUDIENCE, BASE, ORDER, Counts
from tests.attacker.model import Cell, Model, Solution
from tests.attacker.published import MANY, WORLDWIDE, Knowledge, Published, Row
from tests.attacker.seconds import HOUR_S, WITHIN
from tests.attacker.truth import REACH_S, Truth
from tests.oracle.sets import Sets, watched_of

SETS = "what_if"
PARTS = "reach", "lose_nearly_all", "left_with_nothing"
"""Numbers of viewers of a set, each a part of the one before."""
SINGLE = {"reach": "reach", "left_with_nothing": "sole_viewers", "lose_nearly_all": "near_sole_viewers"}
"""Columns of the mart that are the figures of a set of one show."""
HOURS = "watched_seconds", "at_risk_seconds"
OF_SHOWS = "one_by_one", "nearly_one_by_one", "watched_seconds"
"""Figures that are sums over the shows of a set."""

Shows = frozenset[int]
Exact = Mapping[str, Mapping[str, int]]
"""The exact figures of a set by country."""


@dataclass(frozen=True)
class Way:
    """A way to publish answers: the rows by country of a set, from exact figures; and the unit of a figure in them.

    A unit of 0 is of figures that are sums of published ones, which tell nothing new.
    """

    rows: Callable[[Exact, Published, str, Shows, int], Sequence[Row]]
    unit: Callable[[str, Shows, int], int]


def _protected(exact: Exact, mart: Published, period: str, shows: Shows, min_cell: int) -> Sequence[Row]:
    names = [one.name for one in AUDIENCE_DATASET.columns]
    own = [{name: row[name] for name in names} for row in mart.of(AUDIENCE) if row["period"] == period]
    counts = {country: {one.name: row[one.name] for one in FIGURES if one.figure} for country, row in exact.items()}
    return publish(counts, pa.Table.from_pylist(own, schema=AUDIENCE_DATASET.schema), shows, min_cell)


def _rounded(exact: Exact, _mart: Published, _period: str, _shows: Shows, min_cell: int) -> Sequence[Row]:
    """Round every figure to the nearest multiple, whatever the set; hours of fewer than twice as many are null."""
    rows = pa.Table.from_pylist([{**row, "country": country} for country, row in exact.items()])
    hours = {"watched_seconds": "reach", "at_risk_seconds": "lose_nearly_all"}
    shown: list[Row] = round_figures(FIGURES, rows.select([one.name for one in FIGURES]), min_cell).to_pylist()
    for row, (country, found) in zip(shown, exact.items(), strict=True):
        assert row["country"] == country
        for name in ("one_by_one", "nearly_one_by_one"):
            row[name] = (found[name] + min_cell // 2) // min_cell * min_cell
        unit = min_cell * HOUR_S
        told = row[hours["watched_seconds"]] >= 2 * min_cell
        row["watched_seconds"] = (found["watched_seconds"] + unit // 2) // unit * unit if told else None
    return shown


PROTECTED = Way(_protected, lambda name, shows, min_cell: 0 if name in OF_SHOWS else unit_of_set(len(shows), min_cell))
"""Answers as what-if publishes them."""
ROUNDED = Way(_rounded, lambda _name, _shows, min_cell: min_cell)
"""Answers that are rounded as single figures of a mart are."""


@dataclass(frozen=True)
class Asked:
    """The answers of a period: exact figures, and published rows, by set and country."""

    period: str
    exact: Mapping[Shows, Exact]
    rows: Mapping[Shows, Mapping[str, Row]]


def ask(truth: Truth, mart: Published, period: str, sets: Iterable[Collection[int]], min_cell: int, way: Way) -> Asked:
    """Answer for sets of shows, as counted in plain Python."""
    oracle = Sets(watched_of(truth.of(period).oracle), REACH_S, Fraction(9, 10))
    exact = {shows: oracle.losses(shows) for shows in dict.fromkeys(map(frozenset, sets))}
    rows = {
        shows: {row["country"]: row for row in way.rows(found, mart, period, shows, min_cell)}
        for shows, found in exact.items()
    }
    return Asked(period, exact, rows)


def subsets(shows: Collection[int]) -> list[Shows]:
    """Return all subsets of shows but the empty one."""
    return [frozenset(one) for size in range(1, len(shows) + 1) for one in combinations(sorted(shows), size)]


def attack_sets(mart: Published, asked: Asked, knowledge: Knowledge, way: Way) -> Solution:
    """Return the bounds of all numbers of viewers, of the mart's figures of the period and of the sets."""
    model = Model()
    only = Published({**mart.tables, **{name: _of_period(mart, name, asked.period) for name in (AUDIENCE, BASE, ORDER)},
                      **dict.fromkeys(_OTHERS, ())})  # fmt: skip
    counts = Counts(0, only, knowledge, model)
    sets = _Sets(counts, asked, way)
    for rule in (sets.parts, sets.countries, sets.single, sets.steps, sets.pairs):
        rule()
    return model.solve(knowledge.min_cell)


def attack_seconds(asked: Asked, knowledge: Knowledge, way: Way) -> Solution:
    """Return the bounds of the seconds of sets: of all their viewers, and of those who lose nearly all."""
    model = Model()
    number: dict[tuple[str, Shows, str], int] = {}
    for (shows, rows), name in ((one, name) for one in asked.rows.items() for name in HOURS):
        for country, row in rows.items():
            unit = way.unit(name, shows, knowledge.min_cell) * HOUR_S
            if unit:
                low, high = (0, MANY) if row[name] is None else (max(0, row[name] - unit / 2), row[name] + unit / 2)
                number[name, shows, country] = model.add(_cell(asked, name, shows, country), low, high)
    for one, other in combinations(asked.rows, 2):
        for name, country in ((name, country) for name in HOURS for country in asked.rows[one]):
            smaller, larger = (number.get((name, shows, country)) for shows in sorted((one, other), key=len))
            if one < other or other < one:
                model.state("sets", "", [larger], [smaller])
            both = number.get((name, one | other, country))
            if not one & other:
                model.state("sets", "", [both], [smaller, larger])
            if not one & other and name == "watched_seconds":
                model.equal("sets", "", [both], [smaller, larger])
    return model.solve(knowledge.min_cell, linear=False)


def true_sizes(solution: Solution, asked: Asked, truth: Truth) -> dict[Cell, int]:
    """Return the true number of each unknown."""
    return {
        cell: asked.exact[_shows(cell)].get(str(cell.key[2]), {}).get(cell.column, 0)
        if cell.table == SETS
        else truth.size(cell)
        for cell in solution.model.number
    }


def known_seconds(solution: Solution, asked: Asked, min_cell: int) -> Sequence[Cell]:
    """Return the figures of 1 to min_cell - 1 viewers whose seconds are known within 5 %."""
    found = []
    viewers = {"watched_seconds": "reach", "at_risk_seconds": "lose_nearly_all"}
    for cell, low, high in zip(solution.model.number, solution.low, solution.high, strict=True):
        figures = asked.exact[_shows(cell)][str(cell.key[2])]
        few = 0 < figures[viewers[cell.column]] < min_cell
        if few and high - low <= 2 * WITHIN * figures[cell.column]:
            found.append(cell)
    return found


class _Sets:
    """The unknowns of sets, and what the definitions say about them."""

    def __init__(self, counts: Counts, asked: Asked, way: Way) -> None:
        self.counts, self.asked, self.model = counts, asked, counts.model
        self.number: dict[tuple[str, Shows, str], int] = {}
        for shows, rows in asked.rows.items():
            for country, row in rows.items():
                for name in (*PARTS, "one_by_one", "nearly_one_by_one"):
                    if unit := way.unit(name, shows, counts.knowledge.min_cell):
                        low, high = max(0, row[name] - unit // 2), row[name] + unit // 2 - 1
                        cell = _cell(asked, name, shows, country)
                        self.number[name, shows, country] = self.model.add(cell, low, high)

    def of(self, name: str, shows: Shows, country: str) -> int | None:
        """Return an unknown; None if it is not printed."""
        return self.number.get((name, shows, country))

    def base(self, country: str) -> int | None:
        """Return the active viewers."""
        return self.counts.of(BASE, "active_viewers", self.asked.period, country)

    def places(self) -> Iterable[tuple[Shows, str]]:
        """Yield each set and country with an answer."""
        return ((shows, country) for shows, rows in self.asked.rows.items() for country in rows)

    def parts(self) -> None:
        """State that who is left with nothing loses nearly all, and who does so is reached, and active."""
        for shows, country in self.places():
            whole = [self.base(country), *(self.of(name, shows, country) for name in PARTS)]
            for one, other in pairwise(whole):
                self.model.state("sets", "", [one], [other])

    def countries(self) -> None:
        """State that a country is part of the world, and that countries add up to it if nobody travels."""
        for shows, rows in self.asked.rows.items():
            for name in PARTS:
                world = self.of(name, shows, WORLDWIDE)
                here = [self.of(name, shows, one) for one in rows if one != WORLDWIDE]
                for one in here:
                    self.model.state("sets", "", [world], [one])
                if self.counts.knowledge.one_country:
                    self.model.equal("sets", "", [world], here)

    def single(self) -> None:
        """State that a set of one show has the figures of the mart, and the sums over shows those of its shows."""
        for shows, country in self.places():
            for name, column in SINGLE.items():
                own = [self.counts.of(AUDIENCE, column, self.asked.period, one, country) for one in sorted(shows)]
                own = [one for one in own if one is not None]
                if len(shows) == 1:
                    self.model.equal("sets", "", [self.of(name, shows, country)], own)
                for one in own:
                    self.model.state("sets", "", [self.of(name, shows, country)], [one])
                if name != "reach":
                    summed = {"left_with_nothing": "one_by_one", "lose_nearly_all": "nearly_one_by_one"}[name]
                    self.model.state("sets", "", [self.of(name, shows, country)], own)
                    self.model.equal("sets", "", [self.of(summed, shows, country)], own)

    def steps(self) -> None:
        """State that the first shows of an order lose as a set what its step says."""
        for way in ("remove", "remove_by_hours", "remove_by_reach", "remove_by_sole"):
            gone: Shows = frozenset()
            for step in range(1, 100):
                row = self.counts.rows[ORDER].get((self.asked.period, way, step))
                if row is None:
                    break
                gone |= {row["show_id"]}
                self.model.equal("sets", "", [self.counts.of(ORDER, "viewers", self.asked.period, way, step)],
                                 [self.of("left_with_nothing", gone, WORLDWIDE)])  # fmt: skip

    def pairs(self) -> None:
        """State what two sets say of each other.

        A set has the viewers of its parts. Who is left with nothing by two sets, is so by what they have in common, and
        by both together. Who is left with nothing by a set, watches nothing of another that has none of its shows.
        """
        for (one, here), (other, there) in combinations(self.asked.rows.items(), 2):
            for country in here.keys() & there.keys():
                if one < other or other < one:
                    small, large = sorted((one, other), key=len)
                    for name in PARTS:
                        whole, part = self.of(name, large, country), self.of(name, small, country)
                        self.model.state("sets", "", [whole], [part])
                    continue
                self._apart(one, other, country)

    def _apart(self, one: Shows, other: Shows, country: str) -> None:
        left = [self.of("left_with_nothing", shows, country) for shows in (one, other)]
        both = self.of("left_with_nothing", one | other, country)
        common = one & other
        if common:
            self.model.state("sets", "", [both, self.of("left_with_nothing", common, country)], left)
            return
        self.model.state("sets", "", [both], left)
        near = [self.of("lose_nearly_all", shows, country) for shows in (one, other)]
        self.model.state("sets", "", [self.of("lose_nearly_all", one | other, country)], near)
        active = self.base(country)
        self.model.state("sets", "", [active], left)
        for lost, watched in ((one, other), (other, one)):
            self.model.state("sets", "", [active], [self.of("left_with_nothing", lost, country),
                                                    self.of("reach", watched, country)])  # fmt: skip


_OTHERS = (
    "fact_audience_genre",
    "fact_overlap",
    "fact_season_step",
    "fact_season_audience",
    "fact_launch",
    "fact_departure",
)


def _of_period(mart: Published, table: str, period: str) -> Sequence[Row]:
    return [row for row in mart.of(table) if row["period"] == period]


def _cell(asked: Asked, name: str, shows: Shows, country: str) -> Cell:
    return Cell(0, SETS, name, (asked.period, "+".join(map(str, sorted(shows))), country))


def _shows(cell: Cell) -> Shows:
    return frozenset(map(int, str(cell.key[1]).split("+")))
