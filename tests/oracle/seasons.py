"""A second implementation of where viewers stop, in dictionaries and loops, to check the queries of profile.

It follows one viewer through one season at a time, from episode to episode.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

Row = dict[str, Any]


class Watched(NamedTuple):
    """Seconds of one episode that a viewer played on a day."""

    viewer: int
    episode: int
    day: date
    seconds: int


@dataclass(frozen=True)
class Episode:
    """An episode of the captured schedule. It has a place in a season only if nothing of it is None."""

    show: int
    season: int | None
    number: int | None
    airdate: date | None
    runtime: int | None

    @property
    def is_listed(self) -> bool:
        """Whether it has a place in a season."""
        return None not in {self.season, self.number, self.airdate, self.runtime}


@dataclass(frozen=True)
class Rules:
    """The thresholds of the definitions with their defaults."""

    completion: Fraction = Fraction(7, 10)
    window_days: int = 14
    recent_days: int = 14


class Seasons:
    """The seasons of a period: ``days`` are its days so far, ``whole`` is the last of them that has all its hours."""

    def __init__(
        self,
        plays: Sequence[Watched],
        episodes: Mapping[int, Episode],
        days: Sequence[date],
        whole: date | None,
        rules: Rules,
    ) -> None:
        self.rules = rules
        self.last, self.whole = max(days), whole
        self.window = max(min(rules.window_days, sum(whole is not None and day <= whole for day in days) // 2), 1)
        self.episodes = {
            one: each
            for one, each in episodes.items()
            if each.is_listed and each.airdate is not None and each.airdate <= self.last and len(days) > 1
        }
        self.plays = [play for play in plays if play.day in days and play.episode in self.episodes]
        self.viewers: dict[tuple[int, Any], set[int]] = defaultdict(set)
        for play in self.plays:
            self.viewers[self._season(play.episode)].add(play.viewer)

    def steps(self) -> dict[tuple[int, int, int], Row]:
        """Return the rows of season_step by show, season and step."""
        rows = {}
        for show, season in self.viewers:
            counts = self._count(show, season)
            if not any(one["viewers"] for one in counts.values()):
                continue
            kept: float | None = 1.0
            for step, one in counts.items():
                if step > 1 and kept is not None:
                    kept = kept * one["reached"] / one["at_risk"] if one["at_risk"] else None
                rows[show, season, step] = self._published(step, one) | {"kept": kept}
        return rows

    def seasons(self) -> dict[tuple[int, int], Row]:
        """Return the counts of season_audience by show and season."""
        rows = {}
        for show, season in self.viewers:
            last = len(self._numbers(show, season))
            furthest = {one: max(self._days(one, show, season), default=0) for one in self.viewers[show, season]}
            recent = {
                play.viewer
                for play in self.plays
                if self._season(play.episode) == (show, season) and (self.last - play.day).days < self.rules.recent_days
            }
            rows[show, season] = {
                "starters": sum(1 in self._days(one, show, season) for one in furthest),
                "finishers": sum(step == last for step in furthest.values()),
                "mid_season": sum(0 < furthest[one] < last and one in recent for one in furthest),
            }
        return rows

    def _season(self, episode: int) -> tuple[int, Any]:
        return self.episodes[episode].show, self.episodes[episode].season

    def _numbers(self, show: int, season: int) -> list[int]:
        return sorted(
            {
                one.number
                for one in self.episodes.values()
                if (one.show, one.season) == (show, season) and one.number is not None
            }
        )

    def _days(self, viewer: int, show: int, season: int) -> dict[int, date]:
        """Return the day of each step that a viewer watched to the share."""
        seconds: dict[int, int] = defaultdict(int)
        first: dict[int, date] = {}
        for play in self.plays:
            if play.viewer == viewer and self._season(play.episode) == (show, season):
                seconds[play.episode] += play.seconds
                first[play.episode] = min(play.day, first.get(play.episode, play.day))
        numbers = self._numbers(show, season)
        found: dict[int, date] = {}
        for episode, watched in seconds.items():
            one = self.episodes[episode]
            if one.runtime is not None and one.number is not None and watched >= self.rules.completion * one.runtime:
                step = numbers.index(one.number) + 1
                found[step] = min(first[episode], found.get(step, first[episode]))
        return found

    def _count(self, show: int, season: int) -> dict[int, dict[str, int]]:
        numbers = self._numbers(show, season)
        aired = [
            min(
                one.airdate
                for one in self.episodes.values()
                if (one.show, one.season, one.number) == (show, season, number) and one.airdate
            )
            for number in numbers
        ]
        names = ("viewers", "at_risk", "reached", "waiting")
        counts = {step: dict.fromkeys(names, 0) for step in range(1, len(numbers) + 1)}
        for viewer in self.viewers[show, season]:
            days = self._days(viewer, show, season)
            for step in days:
                counts[step]["viewers"] += 1
            if not days:
                continue
            here = min(days.values())
            for step in range(min(days) + 1, len(numbers) + 1):
                until = max(here, aired[step - 1]) + timedelta(days=self.window)
                later = [day for other, day in days.items() if other >= step]
                there = min(later) if later else None
                if self.whole is None or until > self.whole:
                    counts[step]["waiting"] += 1
                else:
                    counts[step]["at_risk"] += 1
                    counts[step]["reached"] += there is not None and there <= until
                if there is None:
                    break
                here = there
        return counts

    def _published(self, step: int, one: Mapping[str, int]) -> Row:
        return {name: count if step > 1 or name == "viewers" else None for name, count in one.items()}


def where_they_stop(steps: Sequence[Row], seasons: Sequence[Row], titles: Mapping[int, str]) -> set[tuple[Any, ...]]:
    """Return the answer of where-they-stop, without its period, from the rows of season_step and season_audience."""
    found = []
    for one in seasons:
        ladder = find_known([row for row in steps if key_of(row) == key_of(one)])
        lost = [round(before["kept"] - row["kept"], 9) for before, row in itertools.pairwise(ladder)]
        worst = max(lost, default=None)
        hooked = [row["episode"] for row in ladder[:-1] if ladder[-1]["kept"] >= 0.7 * row["kept"]]
        whole = len(ladder) == one["episodes"] and ladder[-1]["kept"] > 0
        shares = [percent(row["kept"]) for row in ladder[1:]]
        found.append(
            (
                worst,
                (titles[one["show_id"]], one["season"], one["release_kind"]),
                (
                    one["starters"],
                    ladder[lost.index(worst)]["episode"] if worst else None,
                    percent(worst),
                    shares[0] if shares else None,
                    shares[1] if len(shares) > 1 else None,
                    ladder[-1]["episode"] if shares else None,
                    shares[-1] if shares else None,
                    one["episodes"],
                    hooked[0] if hooked and whole else None,
                    one["mid_season"],
                    one["window_days"],
                ),
            )
            if one["starters"] or one["mid_season"]
            else None
        )
    listed = [one for one in found if one]
    better = [worst for worst, *_ in listed if worst is not None]
    return {
        (*named, None if worst is None else 1 + sum(one > worst for one in better), *rest)
        for worst, named, rest in listed
    }


def season_steps(steps: Sequence[Row], seasons: Sequence[Row], titles: Mapping[int, str]) -> set[tuple[Any, ...]]:
    """Return the answer of season-steps, without its period, from the rows of season_step and season_audience."""
    rows = set()
    for one in seasons:
        own = sorted((row for row in steps if key_of(row) == key_of(one)), key=lambda row: row["step"])
        known = find_known(own)
        for number, row in enumerate(own):
            kept = known[number]["kept"] if number < len(known) else None
            lost = round(known[number - 1]["kept"] - kept, 9) if number and kept is not None else None
            enough = row["at_risk"] is not None and row["at_risk"] >= 50
            rows.add(
                (
                    *(titles[one["show_id"]], one["season"], one["release_kind"], one["starters"]),
                    *(row[name] for name in ("episode", "aired", "viewers", "at_risk", "reached", "waiting")),
                    percent(row["reached"] / row["at_risk"]) if enough else None,
                    percent(kept),
                    percent(lost),
                    one["window_days"],
                )
            )
    return rows


def find_known(ladder: Sequence[Row]) -> list[Row]:
    """Return the steps up to the last whose viewers at risk stand for 50 viewers of the first episode."""
    found: list[Row] = []
    for row in sorted(ladder, key=lambda one: one["step"]):
        if found and (row["at_risk"] is None or row["at_risk"] < 50 * found[-1]["kept"] or row["kept"] is None):
            break
        found.append(row)
    return found


def key_of(row: Row) -> tuple[int, int]:
    """Return the show and the season of a row."""
    return row["show_id"], row["season"]


def percent(share: float | None) -> float | None:
    """Return a share as a percentage with a decimal, halves rounded up."""
    return None if share is None else round(100 * share + 1e-6, 1)
