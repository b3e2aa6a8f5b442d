"""The attacker's rules on seconds of play, which are additive: over countries, days, shows, and cells of viewership.

A recovery is a set of 1 to min_cell - 1 viewers whose seconds the attacker knows within 5 % of the truth: how much they
watched is then as good as known, and so is whether a certain person was among them. What is less sure tells no more
than the number of viewers times what people usually watch. The attacker does not know how few the viewers of a set are,
but it is their seconds that he knows; so the sets are judged by the truth.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tests.attacker.counts import AUDIENCE, BASE, GENRE, TABLES
from tests.attacker.model import Cell, Model, Solution
from tests.attacker.published import MANY, WORLDWIDE, Key, Knowledge, Method, Published, Row, grouped
from tests.attacker.rules_of_time import days_since, only_grew, same_run
from tests.attacker.truth import Truth

WITHIN = 0.05
HOUR_S = 3600
SECONDS = "watched_seconds"


@dataclass(frozen=True)
class Known:
    """The seconds of a set of few viewers, which the attacker knows within 5 %."""

    cell: Cell
    low: float
    high: float
    seconds: int
    viewers: int


class Seconds:
    """The unknown seconds of a mart in a model. A cell of several countries or days has them joined by a plus.

    ``before`` is the mart of the day before, if the attacker kept it.
    """

    def __init__(self, published: Published, knowledge: Knowledge, before: Published | None = None) -> None:
        self.published, self.knowledge, self.model, self.mart = published, knowledge, Model(), 0
        self._state()
        if before is not None:
            today, self.published, self.mart = published, before, 1
            self._state()
            self.published, self.mart = today, 0
            self._to_date(before)

    def _state(self) -> None:
        """State what the definitions say about one mart."""
        for table in (AUDIENCE, BASE, GENRE):
            rows = TABLES[table].rows(self.published)
            self._countries(table, rows)
            self._periods(table, rows)
        self._shows()
        self._viewership()

    def solve(self) -> Solution:
        """Return the bounds of all seconds."""
        return self.model.solve(self.knowledge.min_cell, linear=False)

    def _of(self, table: str, key: Key, low: float = 0, high: float = MANY) -> int:
        return self.model.add(Cell(self.mart, table, SECONDS, key), low, high)

    def _printed(self, row: Row) -> tuple[float, float]:
        printed = row[SECONDS]
        if printed is None:
            return 0, MANY
        half = 0 if self.knowledge.method is Method.WITHHELD else self.knowledge.min_cell * HOUR_S / 2
        return max(0, printed - half), printed + half

    def _countries(self, table: str, rows: Mapping[Key, Row]) -> None:
        """State that countries add up to the world; without those withheld, which its figure may lack."""
        for group, keys in grouped(rows, -1).items():
            there = {key: self._of(table, key, *self._printed(rows[key])) for key in keys if key[-1] != WORLDWIDE}
            hidden = [one for key, one in there.items() if rows[key][SECONDS] is None]
            world = self._of(table, (*group, WORLDWIDE))
            self.model.equal("seconds of countries", "", [world], there.values())
            names = "+".join(sorted(str(key[-1]) for key in there if rows[key][SECONDS] is None))
            if len(hidden) > 1:
                self.model.equal("seconds of countries", "", [self._of(table, (*group, names))], hidden)
            if (row := rows.get((*group, WORLDWIDE))) is not None:
                low, high = self._printed(row)
                self.model.state("seconds of countries", "", [world], (), (low, MANY))
                self.model.state("seconds of countries", "", [world], hidden, (-MANY, high))

    def _periods(self, table: str, rows: Mapping[Key, Row]) -> None:
        """State that days, weeks or months add up to the longer periods that they make up."""
        spans = self.published.spans
        for (long, (start, end)), grain in product(spans.items(), ("day", "week", "month")):
            parts = [
                one
                for one, (begin, until) in spans.items()
                if start <= begin and until <= end and self.published.runs["audience_base", one]["grain"] == grain
            ]
            if long in parts or sum(map(self.published.hours, parts)) != self.published.hours(long):
                continue
            for key in [one for one in rows if one[0] == long]:
                own = [self._of(table, (part, *key[1:])) for part in parts if (part, *key[1:]) in rows]
                self.model.equal("seconds of periods", "", [self._of(table, key)], own)

    def _shows(self) -> None:
        """State that shows add up to their genre, and to everything."""
        sums: dict[tuple[str, Key], list[int]] = defaultdict(list)
        for cell in list(self.model.number):
            if cell.mart == self.mart and cell.table == AUDIENCE and "+" not in str(cell.key[-1]):
                period, show, country = cell.key
                own = self.published.counted_genres(int(show))
                for table, key in (
                    (BASE, (period, country)),
                    *((GENRE, (period, genre, country)) for genre in own),
                ):
                    sums[table, key].append(self.model.number[cell])
        for (table, key), parts in sums.items():
            self.model.equal("seconds of shows", "", [self._of(table, key)], parts)

    def _viewership(self) -> None:
        """State that the cells of viewership of a show and country are part of its seconds of the day."""
        show_of = {row["episode_id"]: row["show_id"] for row in self.published.of("dim_episode")}
        sums: dict[Key, int] = defaultdict(int)
        for row in self.published.of("fact_viewership"):
            day = str(row["day"]) if "day" in row else f"{row['hour']:%Y-%m-%d}"
            show = show_of.get(row["episode_id"])
            if show is not None and show >= 0:
                sums[day, show, row["country"]] += row[SECONDS]
                sums[day, show, WORLDWIDE] += row[SECONDS]
        for key, seconds in sums.items():
            if Cell(self.mart, AUDIENCE, SECONDS, key) in self.model.number:
                self._of(AUDIENCE, key, seconds)

    def _to_date(self, before: Published) -> None:
        """State that what grew since the day before grew by the days since; what is the same run has not grown."""
        for period in self.published.spans.keys() & before.spans.keys():
            same = same_run(self.published, before, period)
            if not same and not only_grew(self.published, before, period):
                continue
            days = sorted(days_since(self.published, before, period))
            for table in (AUDIENCE, BASE, GENRE):
                now, then = (TABLES[table].rows(one) for one in (self.published, before))
                for key in [one for one in now if one[0] == period]:
                    old = [self.model.add(Cell(1, table, SECONDS, key), 0, MANY)] if key in then else []
                    since = [] if same else [self._of(table, ("+".join(days), *key[1:]))]
                    self.model.equal("seconds to date", "", [self._of(table, key)], [*old, *since])
                    own = [self._of(table, (day, *key[1:])) for day in days if (day, *key[1:]) in now]
                    if since and set(days) <= self.published.spans.keys():
                        self.model.equal("seconds to date", "", since, own)


def recovered(solution: Solution, truths: Sequence[Truth], min_cell: int) -> Iterator[Known]:
    """Yield the sets of few viewers whose seconds are known. ``truths`` are those of the marts, today's first."""
    for cell, low, high in zip(solution.model.number, solution.low, solution.high, strict=True):
        own = _true(truths, cell)
        seconds, viewers = sum(own), len(own)
        if 0 < viewers < min_cell and high - low <= 2 * WITHIN * seconds:
            yield Known(cell, float(low), float(high), seconds, viewers)


def faults(solution: Solution, truths: Sequence[Truth]) -> list[str]:
    """Return the claims about seconds that are wrong."""
    return [
        f"{cell}: {low:g}..{high:g}, but {sum(_true(truths, cell))}"
        for cell, low, high in zip(solution.model.number, solution.low, solution.high, strict=True)
        if not low <= sum(_true(truths, cell)) <= high
    ]


def _true(truths: Sequence[Truth], cell: Cell) -> Sequence[int]:
    """Return the seconds of each viewer of a cell."""
    periods, *subject, countries = cell.key
    found: dict[int, int] = defaultdict(int)
    for period, country in product(str(periods).split("+"), str(countries).split("+")):
        there = truths[cell.mart].of(period)
        for viewer, seconds in there.seconds.get((subject[0] if subject else None, country), {}).items():
            found[viewer] += seconds
    return [one for one in found.values() if one]
