"""Counts of seasons: who watched each step, who went on to the next, and who started, finished or is in between.

All are a bucket's part, in whole numbers that can be summed. A *step* is an episode's place in its season.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.profile.arrays import Flags, Groups, Ints, Words, at_least, count_up, find, numbers, starts_of
from jobs.profile.watching import Watching
from marquee.sql import Values

FAR = 1 << 20
"""A number of a day after all others."""
WORD = 64


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
        self.of_season = np.cumsum(another[firsts]) - 1
        """Number of each step's season."""
        self.first = np.flatnonzero(another[firsts])
        """First step of each season."""
        self.last = np.append(self.first[1:], len(firsts))[: len(self.first)] - 1
        """Last step of each season."""
        by_id = np.argsort(episode[order])
        self.episodes = episode[order][by_id]
        self.step_of_episode = (np.cumsum(new_step) - 1)[by_id]
        self.runtime_of_episode = numbers(season_episode["runtime_seconds"])[order][by_id]

    def __len__(self) -> int:
        return len(self.step)


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
    listed = find(ladder.episodes, watching.episodes)
    of_season = listed[watching.episode] >= 0 if len(watching.episodes) else np.zeros(0, np.bool_)
    groups = Groups(watching.viewer[of_season] * max(len(listed), 1) + watching.episode[of_season], stable=True)
    seconds = groups.sum(watching.seconds[of_season])
    low, high = groups.union(watching.days_low[of_season]), groups.union(watching.days_high[of_season])
    viewer, episode = np.divmod(groups.keys, max(len(listed), 1))
    place = listed[episode] if len(episode) else episode
    watched = at_least(seconds, values["step_completion"], ladder.runtime_of_episode[place])
    recent = values["recent"]
    is_recent = ((low & np.uint64(recent["low"])) | (high & np.uint64(recent["high"]))) != 0
    day = np.where(watched, _first_day(low, high), FAR)
    by_step = Groups(viewer * max(len(ladder), 1) + ladder.step_of_episode[place])
    viewer, step = np.divmod(by_step.keys, max(len(ladder), 1))
    return StepsWatched(viewer, step, by_step.any(watched), by_step.least(day), by_step.any(is_recent))


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
    viewer, step, day = steps.viewer[steps.watched], steps.step[steps.watched], steps.day[steps.watched]
    season = viewer * (len(ladder.first) + 1) + ladder.of_season[step]
    day = _least_from_here(day, season)
    has_next = np.zeros(len(step), np.bool_)
    has_next[:-1] = season[1:] == season[:-1]
    next_step, next_day = np.roll(step, -1), np.where(has_next, np.roll(day, -1), FAR)
    counts = {"at_risk": np.zeros(len(ladder), np.int64)}
    counts |= {name: np.zeros(len(ladder), np.int64) for name in ("reached", "waiting")}

    def count(at: Ints, arrived: Ints, following: Ints, viewers: Ints | None = None) -> None:
        until = np.maximum(arrived, ladder.air_day[at]) + values["step_days"]
        over, in_time = until < values["whole_days"], following <= until
        for name, those in (("at_risk", over), ("reached", over & in_time), ("waiting", ~over)):
            weights = None if viewers is None else viewers[those]
            counts[name] += np.bincount(at[those], weights, len(ladder)).astype(np.int64)

    # The step after each arrival.
    followed = step < ladder.last[ladder.of_season[step]]
    count(step[followed] + 1, day[followed], next_day[followed])
    # The other steps of a leap, at which the viewer arrived on the same day. Grouped first: a leap may be long.
    leaps = has_next & (next_step > step + 1)
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
    seasons = max(len(ladder.first), 1)
    key = steps.viewer * seasons + ladder.of_season[steps.step]
    starts = starts_of(key)
    season = key[starts] % seasons
    furthest = np.where(steps.watched, steps.step, -1)
    if len(starts):
        furthest = np.maximum.reduceat(furthest, starts)
        recent = np.logical_or.reduceat(steps.recent, starts)
        is_starter = np.logical_or.reduceat(steps.watched & (steps.step == ladder.first[key % seasons]), starts)
    else:
        recent = is_starter = np.zeros(0, np.bool_)
    last = ladder.last[season] if len(season) else season
    played = np.flatnonzero(np.bincount(season, minlength=len(ladder.first)))
    first = ladder.first[played]
    counted = {
        "starters": is_starter,
        "finishers": furthest == last,
        "mid_season": (furthest >= 0) & (furthest < last) & recent,
    }
    return pa.table(
        {"show_id": ladder.show[first], "season": ladder.season[first]}
        | {name: np.bincount(season[those], minlength=len(ladder.first))[played] for name, those in counted.items()}
    )


def _first_day(low: Words, high: Words) -> Ints:
    """Return the number of the lowest bit: x xor (x - 1) has that bit and all below it."""
    word = np.where(low > 0, low, high)
    number = np.bitwise_count(word ^ (word - (word > 0).astype(np.uint64))).astype(np.int64) - 1
    day: Ints = np.where(low > 0, number, number + WORD)
    return day


def _least_from_here(day: Ints, group: Ints) -> Ints:
    """Return the least day from each row to the last row of its group; the groups are in order."""
    number = np.cumsum(np.diff(group, prepend=group[:1]) != 0)
    # Days of an earlier group are less than those of a later one, so the minimum begins anew with each group.
    shifted = (day + number * (2 * FAR))[::-1]
    least: Ints = np.minimum.accumulate(shifted)[::-1] - number * (2 * FAR)
    return least


def _alike(first: Ints, last: Ints, day: Ints, steps: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the different leaps, and the number of viewers of each."""
    groups = Groups((first * max(steps, 1) + last) * (2 * FAR) + day)
    both, days = np.divmod(groups.keys, 2 * FAR)
    return *np.divmod(both, max(steps, 1)), days, groups.sum(np.ones(len(day), np.int64))
