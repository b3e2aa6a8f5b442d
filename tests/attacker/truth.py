"""The true sizes of the sets that a mart counts: from the plays, in sets and loops of plain Python."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import cache, cached_property
from typing import Any

from marquee.calendar import Grain, Period
from tests.attacker.attack import Attack
from tests.attacker.model import Cell
from tests.attacker.published import WORLDWIDE, Published, Row
from tests.attacker.worlds import RUNTIME_S, START, World
from tests.oracle.audience import Oracle, Thresholds
from tests.oracle.seasons import Episode, Rules, Seasons, Watched

REACH_S = 120
Viewers = frozenset[int]


class PeriodTruth:
    """The viewers of a period to date, whose last day is ``until``."""

    def __init__(self, world: World, period: Period, until: date) -> None:
        self.world, self.period = world, period
        self.limits = Thresholds()
        self.days = [one.date for one in period.parts(Grain.DAY) if START <= one.date <= until] or [period.date]
        catalogue = {episode: (show, RUNTIME_S) for episode, show in world.show_of.items()}
        plays: Any = [
            {
                "viewer": one.viewer,
                "episode": one.episode,
                "country": one.country,
                "language": one.language,
                "received_at": one.at,
                "watched_seconds": one.seconds,
            }
            for one in world.plays
        ]
        by_week = period.grain in {Grain.MONTH, Grain.QUARTER}
        self.oracle = Oracle(
            plays, catalogue, self.days, self.limits, start=period.date, by_week=by_week, genres=world.genres
        )
        self.multilingual = {viewer for viewer in self.oracle.own if self.oracle.is_multilingual(viewer)}
        self.seconds: dict[tuple[Any, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        """Seconds by viewer, of a show, a genre or everything (None), in a country or worldwide."""
        for play in self.oracle.plays:
            show = self.oracle.show(play)
            for subject in (None, show, *self.oracle.genres_of_play(play)):
                for country in (play["country"], WORLDWIDE):
                    self.seconds[subject, country][play["viewer"]] += play["watched_seconds"]

    @cache  # noqa: B019 - it lives as long as a test
    def reached(self, subject: int | str | None, country: str = WORLDWIDE) -> Viewers:
        """Return the viewers with the seconds of reach of a show, a genre or everything (None)."""
        found = self.seconds.get((subject, country), {})
        return frozenset(viewer for viewer, seconds in found.items() if seconds >= REACH_S)

    @cache  # noqa: B019 - as above
    def with_trait(self, show: int, country: str, trait: str) -> Viewers:
        """Return the viewers in reach with a trait."""
        has = TRAITS[trait]
        return frozenset(viewer for viewer in self.reached(show, country) if has(self, viewer, show))

    def played(self, shows: Collection[int]) -> Viewers:
        """Return the viewers with a second of some shows."""
        return frozenset(
            viewer for show in shows for viewer, seconds in self.seconds.get((show, WORLDWIDE), {}).items() if seconds
        )

    def lost(self, shows: Collection[int]) -> Viewers:
        """Return the viewers who watched only shows of a set, and are active."""
        others = self.played({show for show, _ in self.seconds if isinstance(show, int)} - set(shows))
        return self.reached(None) - others

    def only_of_genre(self, show: int) -> Viewers:
        """Return the viewers in reach of a show who watched no other show of its genres."""
        own = set(self.world.genres.get(show, ()))
        alike = {one for one in self.world.shows if one != show and own & set(self.world.genres.get(one, ()))}
        return self.reached(show) - self.played(alike)

    @cached_property
    def seasons(self) -> Mapping[tuple[int, ...], Row]:
        """The counts of steps by show, season and step, and those of seasons by show and season."""
        plays = [
            Watched(one["viewer"], one["episode"], one["received_at"].date(), one["watched_seconds"])
            for one in self.oracle.plays
        ]
        episodes = {
            episode: Episode(show, 1, episode % 10, START, RUNTIME_S) for episode, show in self.world.show_of.items()
        }
        counted = Seasons(plays, episodes, self.days, max(self.days), Rules())
        found: dict[tuple[int, ...], Row] = {}
        found.update(counted.steps().items())
        found.update(counted.seasons().items())
        return found


TRAITS: Mapping[str, Callable[["PeriodTruth", int, int], bool]] = {
    "sole_viewers": lambda truth, viewer, show: truth.oracle.share(viewer, show) == 1,
    "near_sole_viewers": lambda truth, viewer, show: truth.oracle.share(viewer, show) >= truth.limits.near_sole_share,
    "new_viewers": lambda truth, viewer, _: truth.oracle.is_new(viewer),
    "new_sole_viewers": lambda truth, viewer, show: (
        truth.oracle.is_new(viewer) and truth.oracle.share(viewer, show) == 1
    ),
    "multilingual_viewers": lambda truth, viewer, _: viewer in truth.multilingual,
    "loyal_viewers": lambda truth, viewer, show: truth.oracle.is_loyal(viewer, show),
    "binge_viewers": lambda truth, viewer, show: truth.oracle.binges[viewer, show] >= 3,
    "binge5_viewers": lambda truth, viewer, show: truth.oracle.binges[viewer, show] >= 5,
}


class Truth:
    """The true size of each cell of a mart, whose orders of shows are looked up. ``world`` ends where the mart does."""

    def __init__(self, world: World, published: Published | None = None) -> None:
        self.world = world
        self.until = max(one.at.date() for one in world.plays)
        self._periods: dict[str, PeriodTruth] = {}
        self._steps: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        for row in published.of("fact_show_order") if published else ():
            self._steps[row["period"], row["strategy"]][row["step"]] = row["show_id"]

    def of(self, period: str) -> PeriodTruth:
        """Return the viewers of a period."""
        if period not in self._periods:
            self._periods[period] = PeriodTruth(self.world, Period.parse(period), self.until)
        return self._periods[period]

    def size(self, cell: Cell) -> int:
        """Return the number of viewers in the set of a cell; -1 if it is not counted here."""
        period, *key = cell.key
        found = _SIZES[cell.table](self, self.of(str(period)), key, cell.column)
        return found if isinstance(found, int) else len(found)

    def steps(self, period: str, strategy: str, step: int) -> list[int]:
        """Return the shows of an order up to a step."""
        return [self._steps[period, strategy][number] for number in range(1, step + 1)]

    def launch(self, show: int, day: date) -> Viewers:
        """Return the viewers in reach of a show from its premiere, the first day, to a day."""
        seconds: dict[int, int] = defaultdict(int)
        for one in self.world.plays:
            if self.world.show_of.get(one.episode) == show and one.at.date() <= day:
                seconds[one.viewer] += one.seconds
        return frozenset(viewer for viewer, those in seconds.items() if those >= REACH_S)


def _audience(_: Truth, there: PeriodTruth, key: list[Any], column: str) -> Viewers | int:
    show, country = key
    return there.reached(show, country) if column == "reach" else there.with_trait(show, country, column)


def _base(_: Truth, there: PeriodTruth, key: list[Any], column: str) -> Viewers | int:
    active = there.reached(None, key[0])
    if column == "active_viewers":
        return active
    if column == "multilingual_viewers":
        return active & there.multilingual
    return frozenset(viewer for viewer in active if there.oracle.is_new(viewer))


def _genre(_: Truth, there: PeriodTruth, key: list[Any], column: str) -> Viewers | int:
    genre, country = key
    reached = there.reached(genre, country)
    everywhere = there.seconds[genre, WORLDWIDE]
    return reached if column == "reach" else frozenset(
        viewer for viewer in reached if everywhere[viewer] == there.oracle.total[viewer]
    )  # fmt: skip


def _overlap(_: Truth, there: PeriodTruth, key: list[Any], column: str) -> Viewers | int:
    show, other = key
    if column == "viewers":
        return there.reached(show) & there.reached(other)
    return there.only_of_genre(show)


def _order(truth: Truth, there: PeriodTruth, key: list[Any], _column: str) -> Viewers | int:
    strategy, step = key
    shows = truth.steps(str(there.period), strategy, step)
    if strategy.startswith("remove"):
        return there.lost(shows)
    return frozenset().union(*(there.reached(show) for show in shows))


def _season(_: Truth, there: PeriodTruth, key: list[Any], column: str) -> Viewers | int:
    row = there.seasons.get(tuple(key), {})
    return int(row.get(column) or 0)


def _launch(truth: Truth, there: PeriodTruth, key: list[Any], _column: str) -> Viewers | int:
    return truth.launch(key[0], there.period.date)


_SIZES: Mapping[str, Callable[[Truth, PeriodTruth, list[Any], str], Viewers | int]] = {
    "fact_audience": _audience,
    "fact_audience_base": _base,
    "fact_audience_genre": _genre,
    "fact_overlap": _overlap,
    "fact_show_order": _order,
    "fact_season_step": _season,
    "fact_season_audience": _season,
    "fact_launch": _launch,
    "fact_departure": lambda *_: -1,
}


def faults_of(found: Attack, *truths: Truth) -> list[str]:
    """Return the attacker's claims that are wrong. ``truths`` are those of its marts, today's first."""
    sizes = {cell: truths[cell.mart].size(cell) for cell in found.solution.model.number}
    return [f"{claim}, but {size} are in it" for claim, size in found.solution.faults(sizes)]
