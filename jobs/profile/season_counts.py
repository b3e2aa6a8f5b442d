"""Counts of seasons: who watched each step, who went on to the next, and who started, finished or is in between.

All are a bucket's part, in whole numbers that can be summed. A *step* is an episode's place in its season.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.profile.arrays import (
    Flags,
    Groups,
    Ints,
    Sums,
    any_of_runs,
    at_least,
    choose,
    count_flags,
    count_spans,
    count_up,
    find,
    first_day,
    first_of_runs,
    greatest_of_runs,
    least_from_here,
    least_of_runs,
    numbers,
    packed,
    split,
    starts_of,
)
from jobs.profile.watching import Watching
from marquee.sql import Values

FAR = 1 << 20
"""A number of a day after all others."""


class Ladder:
    """The steps of all seasons, in the order of show, season and step.

    Args:
        season_episode: see season_episode.sql; each episode once.
    """

    def __init__(self, season_episode: pa.Table) -> None:
        episode, show, season, step = (
            numbers(season_episode[name]) for name in ("episode_id", "show_id", "season", "step")
        )
        order = np.lexsort((step, season, show))
        show, season, step = show[order], season[order], step[order]
        another = np.ones(len(order), np.bool_)
        another[1:] = (show[1:] != show[:-1]) | (season[1:] != season[:-1])
        new_step = another.copy()
        new_step[1:] |= step[1:] != step[:-1]
        firsts = np.flatnonzero(new_step)
        self.show, self.season, self.step = show[firsts], season[firsts], step[firsts]
        self.air_day = numbers(season_episode["air_day"])[order][firsts]
        self.is_first = another[firsts]
        """Whether each step is its season's first."""
        self.of_season = np.cumsum(self.is_first) - 1
        """Number of each step's season."""
        self.first = np.flatnonzero(self.is_first)
        """First step of each season."""
        self.last = np.append(self.first[1:], len(firsts))[: len(self.first)] - 1
        """Last step of each season."""
        self.step_of_place = np.cumsum(new_step) - 1
        """Number of the step of each place: episodes have places in the order of their steps."""
        self.runtime_of_place = numbers(season_episode["runtime_seconds"])[order]
        self._places = np.argsort(episode[order])
        self._episodes = episode[order][self._places]

    def __len__(self) -> int:
        return len(self.step)

    def places(self, episodes: Ints, nowhere: int) -> Ints:
        """Return the place of each episode, ``nowhere`` of one that is of no season."""
        return np.append(self._places, nowhere)[find(self._episodes, episodes)]


@dataclass(frozen=True)
class StepsWatched:
    """Viewer × step with a play in the period, in this order; ``day`` is ``FAR`` for a step that is not watched.

    Watched: at least step_completion (70 %) of an episode of the step, over all days of the period, as Netflix'
    "watchers" (letter to the UK Lords committee 2019, WARC 42811). The day is that of the first play of such an
    episode, because a bitmap does not say on which of its days a viewer reached the share.
    """

    viewer: Ints
    step: Ints
    watched: Flags
    day: Ints
    recent: Flags
    """Whether there was a play on one of the period's last step_days."""


def find_steps(watching: Watching, ladder: Ladder, values: Values) -> StepsWatched:
    """Return the steps that each viewer played; ``recent`` is the last days of the period to date, as a bitmap."""
    places = max(len(ladder.step_of_place), 1)
    place = ladder.places(watching.episodes, nowhere=-places * max(len(watching.viewers), 1))
    groups = Groups(watching.viewer * places + place[watching.episode])  # below 0 where the episode is of no season
    low, high = groups.union(watching.days_low), groups.union(watching.days_high)
    viewer, place = split(groups.keys, places)
    watched = at_least(groups.sum(watching.seconds), values["step_completion"], ladder.runtime_of_place[place])
    day = choose(watched, first_day(low, high), FAR)
    step = ladder.step_of_place[place]
    starts = starts_of(viewer * max(len(ladder), 1) + step)
    return StepsWatched(
        first_of_runs(viewer, starts),
        first_of_runs(step, starts),
        any_of_runs(watched, starts),
        least_of_runs(day, starts),
        any_of_runs(count_spans(low, high, [values["recent"]]) > 0, starts),
    )


def count_steps(steps: StepsWatched, ladder: Ladder, values: Values) -> pa.Table:
    """Return the counts of each step of a season that somebody watched.

    Columns: show_id, season, step, viewers (who watched this step), and of the viewers who arrived at the step before:
    at_risk (whose window for this step is over), reached (of those, who reached this step in the window), waiting
    (whose window is not over).

    A viewer *arrives* at a step on the first day of this step or a later one: who skips an episode has not stopped. The
    steps below the lowest that the viewer watched in the period do not count. From the arrival at a step, or the air
    date of the next if that is later, the next may follow for step_days. Only windows that are over by ``whole_days``
    (days from the period's start up to the newest that has all its hours) count, so that weekly seasons, seasons that
    still air and viewers who have just begun are measured as all others: the reduced-sample estimator of Kaplan and
    Meier (1958).
    """
    rows = np.flatnonzero(steps.watched)
    viewer, step, day = steps.viewer[rows], steps.step[rows], steps.day[rows]
    season = viewer * (len(ladder.first) + 1) + ladder.of_season[step]
    day = least_from_here(day, season, FAR)
    has_next = np.zeros(len(step), np.bool_)
    has_next[:-1] = season[1:] == season[:-1]
    next_step, next_day = np.roll(step, -1), choose(has_next, np.roll(day, -1), FAR)
    counts = {name: np.zeros(len(ladder), np.int64) for name in ("at_risk", "reached", "waiting")}

    def count(at: Ints, arrived: Ints, following: Ints, viewers: Ints | None = None) -> None:
        until = np.maximum(arrived, ladder.air_day[at]) + values["step_days"]
        over, in_time = until < values["whole_days"], following <= until
        flags = packed([over, over & in_time, ~over])
        for name, found in zip(counts, count_flags(at, flags, len(counts), len(ladder), viewers), strict=True):
            counts[name] += found

    # The step after each arrival.
    followed = np.flatnonzero(step < ladder.last[ladder.of_season[step]])
    count(step[followed] + 1, day[followed], next_day[followed])
    # The other steps of a leap, at which the viewer arrived on the same day. Grouped first: a leap may be long.
    leaps = np.flatnonzero(has_next & (next_step > step + 1))
    firsts, lasts, days, viewers = _alike(step[leaps], next_step[leaps], next_day[leaps], len(ladder))
    sizes = lasts - firsts - 1
    of_leap = np.repeat(np.arange(len(firsts)), sizes)
    count(firsts[of_leap] + 2 + count_up(sizes), days[of_leap], days[of_leap], viewers[of_leap])

    counts["viewers"] = np.bincount(step, minlength=len(ladder))
    some = np.flatnonzero(np.logical_or.reduce([one > 0 for one in counts.values()]))
    names = ("viewers", "at_risk", "reached", "waiting")
    return pa.table(
        {"show_id": ladder.show[some], "season": ladder.season[some], "step": ladder.step[some]}
        | {name: counts[name][some] for name in names}
    )


def count_seasons(steps: StepsWatched, ladder: Ladder) -> pa.Table:
    """Return the counts of each season that somebody played.

    Columns: show_id, season, starters (watched the season's first step), finishers (watched its last one that aired),
    mid_season (watched one or more steps, but not the last one nor beyond, with a play of the season on a recent day).
    """
    of_step = ladder.of_season[steps.step]
    starts = starts_of(steps.viewer * max(len(ladder.first), 1) + of_step)
    season = of_step[starts]
    furthest = greatest_of_runs(choose(steps.watched, steps.step, -1), starts)
    last = ladder.last[season]
    is_mid_season = (furthest >= 0) & (furthest < last) & any_of_runs(steps.recent, starts)
    counted = {
        "starters": any_of_runs(steps.watched & ladder.is_first[steps.step], starts),
        "finishers": furthest == last,
        "mid_season": is_mid_season,
    }
    by_season = Sums(season, len(ladder.first))
    first = ladder.first[by_season.keys]
    return pa.table(
        {"show_id": ladder.show[first], "season": ladder.season[first]}
        | by_season.count(packed(counted.values()), [*counted])
    )


def _alike(first: Ints, last: Ints, day: Ints, steps: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the different leaps, and the number of viewers of each."""
    groups = Groups((first * max(steps, 1) + last) * (2 * FAR) + day)
    both, days = split(groups.keys, 2 * FAR)
    return *split(both, max(steps, 1)), days, groups.sizes
