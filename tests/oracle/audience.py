"""A second implementation of the audience definitions, in dictionaries and loops, to check the queries of profile.

It uses neither the code of the project nor its methods: no state, no buckets, no sums.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, NotRequired, TypedDict

WORLDWIDE = "**"
UNKNOWN = 0


class Play(TypedDict):
    """One play event, counted once, in UTC without a zone; ``hour`` is the hour it was filed in, if another."""

    viewer: int
    episode: int
    country: str
    language: str
    received_at: datetime
    watched_seconds: int
    hour: NotRequired[datetime]


Catalogue = Mapping[int, tuple[int, int | None]]
"""The show and the runtime (seconds, None if unknown) of each episode that the schedule knows."""

Genres = Mapping[int, Collection[str]]
"""The genres of each show that has any."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of the definitions with their defaults."""

    reach_seconds: int = 120
    near_sole_share: Fraction = Fraction(9, 10)
    multilingual_share: Fraction = Fraction(1, 10)
    multilingual_seconds: int = 1800
    loyal_share: Fraction = Fraction(1, 2)
    loyal_spans: int = 3
    sitting_gap_seconds: int = 1800
    binge_episodes: int = 3
    binge_completion: Fraction = Fraction(7, 10)


@dataclass(frozen=True)
class Sitting:
    """One sitting of a viewer: the seconds of each episode in it."""

    seconds: Mapping[int, int]


def started(play: Play) -> datetime:
    """Return the start of a play, whose event is received at its end."""
    return play["received_at"] - timedelta(seconds=play["watched_seconds"])


def filed(play: Play) -> datetime:
    """Return the hour that a play was filed in."""
    return play.get("hour", play["received_at"].replace(minute=0, second=0, microsecond=0))


class Oracle:
    """The audience of one period: ``days`` are its days so far, ``plays`` all plays ever."""

    def __init__(
        self,
        plays: Sequence[Play],
        catalogue: Catalogue,
        days: Sequence[date],
        thresholds: Thresholds,
        *,
        start: date,
        by_week: bool,
        genres: Genres,
    ) -> None:
        self.limits = thresholds
        self.catalogue = catalogue
        self.genres_of = genres
        self.plays = [play for play in plays if filed(play).date() in days]
        self.start = start
        self.spans = {self._span(day, by_week=by_week) for day in days}
        self.by_week = by_week
        self.knows_loyalty = len(days) >= thresholds.loyal_spans * (7 if by_week else 1)
        self.first_seen = _first_seen([play for play in plays if filed(play).date() <= max(days)])
        self.own: dict[int, list[Play]] = defaultdict(list)
        for play in self.plays:
            self.own[play["viewer"]].append(play)
        self.total: dict[int, int] = defaultdict(int)
        self.of_show: dict[tuple[int, int], int] = defaultdict(int)
        for play in self.plays:
            self.total[play["viewer"]] += play["watched_seconds"]
            self.of_show[play["viewer"], self.show(play)] += play["watched_seconds"]
        self.binges = self._find_binges()

    def show(self, play: Play) -> int:
        """Return the show of a play, or 0 for an unknown episode."""
        return self.catalogue[play["episode"]][0] if play["episode"] in self.catalogue else UNKNOWN

    def audience(self) -> dict[tuple[int, str], Row]:
        """Return the rows of the audience by show and country."""
        rows = {}
        places = {(self.show(play), place) for play in self.plays for place in (play["country"], WORLDWIDE)}
        for show, country in places:
            here = [play for play in self.plays if self.show(play) == show and country in {play["country"], WORLDWIDE}]
            rows[show, country] = self._row(show, here)
        return rows

    def base(self) -> dict[str, Row]:
        """Return the rows of the base by country."""
        rows = {}
        for country in {place for play in self.plays for place in (play["country"], WORLDWIDE)}:
            seconds = _by_viewer(play for play in self.plays if country in {play["country"], WORLDWIDE})
            active = {viewer for viewer in seconds if seconds[viewer] >= self.limits.reach_seconds}
            rows[country] = {
                "active_viewers": len(active),
                "multilingual_viewers": sum(self.is_multilingual(viewer) for viewer in active),
                "new_viewers": sum(self.is_new(viewer) for viewer in active),
                "watched_seconds": sum(seconds.values()),
            }
        return rows

    def genres(self) -> dict[tuple[str, str], Row]:
        """Return the rows of genres by genre and country."""
        rows = {}
        for genre in {genre for play in self.plays for genre in self.genres_of_play(play)}:
            of_genre = [play for play in self.plays if genre in self.genres_of_play(play)]
            everywhere = _by_viewer(of_genre)
            for country in {place for play in of_genre for place in (play["country"], WORLDWIDE)}:
                seconds = _by_viewer(play for play in of_genre if country in {play["country"], WORLDWIDE})
                reached = [viewer for viewer in seconds if seconds[viewer] >= self.limits.reach_seconds]
                sole = [viewer for viewer in reached if everywhere[viewer] == self.total[viewer]]
                rows[genre, country] = {
                    "reach": len(reached),
                    "watched_seconds": sum(seconds.values()),
                    "sole_viewers": None if genre == "Unknown show" else len(sole),
                }
        return rows

    def genres_of_play(self, play: Play) -> Collection[str]:
        """Return the genres that a play counts for."""
        show = self.show(play)
        return ["Unknown show"] if show == UNKNOWN else self.genres_of.get(show, ["Unclassified"])

    def _row(self, show: int, here: Sequence[Play]) -> Row:
        seconds = _by_viewer(here)
        watched = sum(seconds.values())
        reached = [viewer for viewer in seconds if seconds[viewer] >= self.limits.reach_seconds]
        reach = len(reached)
        runtime = self._runtime(show, {play["episode"] for play in here})
        average = watched / reach if reach else None
        counted: Row = {
            "reach": reach,
            "average_seconds": average,
            "loyalty": min(average / runtime, 1) if average is not None and runtime else None,
            "return_days": sum(len(self.days_of(viewer, show)) for viewer in reached) / reach if reach else None,
            "loyal_viewers": sum(self.is_loyal(viewer, show) for viewer in reached) if self.knows_loyalty else None,
            "binge_viewers": sum(self.binges[viewer, show] >= self.limits.binge_episodes for viewer in reached),
            "binge5_viewers": sum(self.binges[viewer, show] >= 5 for viewer in reached),
            "sole_viewers": sum(self.share(viewer, show) == 1 for viewer in reached),
            "near_sole_viewers": sum(self.share(viewer, show) >= self.limits.near_sole_share for viewer in reached),
            "new_viewers": sum(self.is_new(viewer) for viewer in reached),
            "new_sole_viewers": sum(self.is_new(viewer) and self.share(viewer, show) == 1 for viewer in reached),
            "multilingual_viewers": sum(self.is_multilingual(viewer) for viewer in reached),
        }
        if show == UNKNOWN:
            counted = dict.fromkeys(counted) | {"reach": reach}
        valued = sum(int(1000 * seconds[viewer] * self.share(viewer, show)) for viewer in seconds)
        return {
            **counted,
            "watched_seconds": watched,
            "runtime_seconds": runtime,
            "views": watched / runtime if runtime else None,
            "valued_seconds": valued / 1000 if show != UNKNOWN else None,
        }

    def _runtime(self, show: int, episodes: Iterable[int]) -> int | None:
        if show == UNKNOWN:
            return None
        total = 0
        for episode in episodes:
            runtime = self.catalogue[episode][1]
            if runtime is None:
                return None
            total += runtime
        return total

    def share(self, viewer: int, show: int) -> Fraction:
        """Return the share of a show in the seconds of a viewer."""
        return Fraction(self.of_show[viewer, show], self.total[viewer]) if self.total[viewer] else Fraction(0)

    def days_of(self, viewer: int, show: int) -> set[date]:
        """Return the days on which a viewer played a show."""
        return {filed(play).date() for play in self.own[viewer] if self.show(play) == show}

    def is_loyal(self, viewer: int, show: int) -> bool:
        """Return whether a viewer played a show in enough of the spans."""
        there = {self._span(day, by_week=self.by_week) for day in self.days_of(viewer, show)}
        return len(there) >= self.limits.loyal_share * len(self.spans)

    def is_new(self, viewer: int) -> bool:
        """Return whether a viewer was first seen in the period."""
        return self.first_seen[viewer] >= self.start

    def is_multilingual(self, viewer: int) -> bool:
        """Return whether a viewer watched enough in each of two languages."""
        spoken: dict[str, int] = defaultdict(int)
        for play in self.own[viewer]:
            first, _, _ = play["language"].partition("-")
            spoken[first if len(first) > 1 else play["language"]] += play["watched_seconds"]
        enough = [
            seconds
            for seconds in spoken.values()
            if seconds >= self.limits.multilingual_seconds
            and seconds >= self.limits.multilingual_share * self.total[viewer]
        ]
        return len(enough) >= 2

    def _find_binges(self) -> dict[tuple[int, int], int]:
        """Return, by viewer and show, the most episodes that were watched far enough in one sitting."""
        most: dict[tuple[int, int], int] = defaultdict(int)
        for viewer, own in self.own.items():
            for sitting in find_sittings(own, self.limits.sitting_gap_seconds):
                far: dict[int, int] = defaultdict(int)
                for episode, seconds in sitting.seconds.items():
                    show, runtime = self.catalogue.get(episode, (UNKNOWN, None))
                    if runtime is not None and seconds >= self.limits.binge_completion * runtime:
                        far[show] += 1
                for show, episodes in far.items():
                    most[viewer, show] = max(most[viewer, show], episodes)
        return most

    @staticmethod
    def _span(day: date, *, by_week: bool) -> object:
        return day.isocalendar()[:2] if by_week else day


def find_sittings(plays: Sequence[Play], gap_seconds: int) -> list[Sitting]:
    """Return the sittings of one viewer; the plays of an hour with equal keys are one play interval."""
    intervals: dict[tuple[datetime, int, str, str], list[Play]] = defaultdict(list)
    for play in plays:
        intervals[filed(play), play["episode"], play["country"], play["language"]].append(play)
    sittings: list[Sitting] = []
    seconds: dict[int, int] = defaultdict(int)
    until: datetime | None = None
    for interval in sorted(intervals.values(), key=lambda one: min(map(started, one))):
        start = min(map(started, interval))
        end = max(play["received_at"] for play in interval)
        if until is not None and start - until >= timedelta(seconds=gap_seconds):
            sittings.append(Sitting(seconds))
            seconds, until = defaultdict(int), None
        until = end if until is None else max(until, end)
        seconds[interval[0]["episode"]] += sum(play["watched_seconds"] for play in interval)
    return [*sittings, Sitting(seconds)] if seconds else sittings


def _by_viewer(plays: Iterable[Play]) -> dict[int, int]:
    seconds: dict[int, int] = defaultdict(int)
    for play in plays:
        seconds[play["viewer"]] += play["watched_seconds"]
    return seconds


def _first_seen(plays: Iterable[Play]) -> dict[int, date]:
    seen: dict[int, date] = {}
    for play in plays:
        day = filed(play).date()
        seen[play["viewer"]] = min(day, seen.get(play["viewer"], day))
    return seen
