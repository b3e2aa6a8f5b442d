"""What a set of shows is to its viewers, in dictionaries and loops: losses, orders of shows, and overlaps.

It uses neither the code of the project nor its methods: each step of an order counts all viewers again.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from tests.oracle.audience import Oracle

WORLDWIDE = "**"
UNKNOWN = 0

Watched = Mapping[tuple[int, int, str], int]
"""Seconds by viewer, show and country."""
Row = dict[str, Any]


def watched_of(oracle: Oracle) -> dict[tuple[int, int, str], int]:
    """Return the seconds by viewer, show and country of the plays of an oracle's period."""
    seconds: dict[tuple[int, int, str], int] = defaultdict(int)
    for play in oracle.plays:
        seconds[play["viewer"], oracle.show(play), play["country"]] += play["watched_seconds"]
    return seconds


class Sets:
    """Sets of shows of one period."""

    def __init__(self, watched: Watched, reach_seconds: int, near_sole_share: Fraction, order_reach: int = 1) -> None:
        self.watched = {key: seconds for key, seconds in watched.items() if seconds > 0}
        self.reach_seconds, self.near_sole_share, self.order_reach = reach_seconds, near_sole_share, order_reach
        self.viewers = sorted({viewer for viewer, _, _ in self.watched})
        self.shows = sorted({show for _, show, _ in watched} - {UNKNOWN})

    def seconds(self, viewer: int, shows: Collection[int] | None = None, country: str = WORLDWIDE) -> int:
        """Return the seconds of a viewer, of some shows or of all, in a country or in all."""
        return sum(
            seconds
            for (who, show, place), seconds in self.watched.items()
            if who == viewer and (shows is None or show in shows) and country in {place, WORLDWIDE}
        )

    def reached(self, shows: Collection[int], country: str = WORLDWIDE) -> set[int]:
        """Return the viewers with enough of the shows together."""
        return {viewer for viewer in self.viewers if self.seconds(viewer, shows, country) >= self.reach_seconds}

    def lost(self, shows: Collection[int], country: str = WORLDWIDE) -> set[int]:
        """Return the viewers reached who watched nothing else."""
        return {
            viewer for viewer in self.reached(shows, country) if self.seconds(viewer, shows) == self.seconds(viewer)
        }

    def nearly_lost(self, shows: Collection[int], country: str = WORLDWIDE) -> set[int]:
        """Return the viewers reached who lose nearly all."""
        return {
            viewer
            for viewer in self.reached(shows, country)
            if self.seconds(viewer, shows) >= self.near_sole_share * self.seconds(viewer)
        }

    def losses(self, shows: Collection[int]) -> dict[str, Row]:
        """Return what is lost with a set, by country."""
        places = {place for _, show, place in self.watched if show in shows}
        return {place: self._loss(shows, place) for place in places | {WORLDWIDE}}

    def _loss(self, shows: Collection[int], country: str) -> Row:
        reach = len(self.reached(shows, country))
        counts: Row = {
            "reach": reach,
            "left_with_nothing": len(self.lost(shows, country)),
            "lose_nearly_all": len(self.nearly_lost(shows, country)),
            "at_risk_seconds": sum(map(self.seconds, self.nearly_lost(shows, country))),
            "one_by_one": sum(len(self.lost({show}, country)) for show in shows),
            "nearly_one_by_one": sum(len(self.nearly_lost({show}, country)) for show in shows),
        }
        hours = sum(self.seconds(viewer, shows, country) for viewer in self.viewers)
        return {**counts, "watched_seconds": hours}

    def seconds_of(self, shows: Collection[int]) -> int:
        """Return the seconds of some shows."""
        return sum(self.seconds(viewer, shows) for viewer in self.viewers)

    def _covered(self, shows: Collection[int]) -> int:
        return len(set().union(*(self.reached({show}) for show in shows)))

    def orders(self) -> dict[str, list[tuple[int, int, int]]]:
        """Return (show, viewers so far, seconds so far) for each step of each strategy."""
        known = [show for show in self.shows if len(self.reached({show})) >= self.order_reach]
        reach = {show: len(self.reached({show})) for show in known}
        sole = {show: len(self.lost({show})) for show in known}
        hours = {show: self.seconds_of({show}) for show in known}

        def lost(shows: Sequence[int]) -> int:
            return len(self.lost(shows))

        def follow(order: Iterable[int], count: Callable[[Sequence[int]], int]) -> list[tuple[int, int, int]]:
            done: list[int] = []
            steps = []
            for show in order:
                done.append(show)
                steps.append((show, count(done), self.seconds_of(done)))
            return steps

        def choose(key: Callable[[list[int], int], Any]) -> list[int]:
            done: list[int] = []
            while left := [show for show in known if show not in done]:
                done.append(min(left, key=lambda show: key(done, show)))
            return done

        return {
            "remove": follow(choose(lambda done, show: (lost([*done, show]), hours[show], show)), lost),
            "remove_by_hours": follow(sorted(known, key=lambda show: (hours[show], show)), lost),
            "remove_by_reach": follow(sorted(known, key=lambda show: (reach[show], hours[show], show)), lost),
            "remove_by_sole": follow(sorted(known, key=lambda show: (sole[show], hours[show], show)), lost),
            "keep": follow(
                choose(lambda done, show: (-self._covered([*done, show]), -hours[show], show)), self._covered
            ),
            "keep_by_reach": follow(sorted(known, key=lambda show: (-reach[show], -hours[show], show)), self._covered),
            "keep_by_hours": follow(sorted(known, key=lambda show: (-hours[show], show)), self._covered),
        }

    def overlaps(self, genres: Mapping[int, Sequence[str]]) -> dict[tuple[int, int], tuple[int, int | None]]:
        """Return (viewers of both, viewers with no other show of its genres) by two shows."""
        known = [show for show in self.shows if self.reached({show})]
        found: dict[tuple[int, int], tuple[int, int | None]] = {}
        for one in known:
            for other in known:
                both = len(self.reached({one}) & self.reached({other}))
                found[one, other] = both, None
            if genres.get(one):
                alike = {show for show in self.shows if set(genres[one]) & set(genres.get(show, ()))}
                alone = [viewer for viewer in self.reached({one}) if not self.seconds(viewer, alike - {one})]
                found[one, one] = found[one, one][0], len(alone)
        return found
