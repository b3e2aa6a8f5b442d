"""Trends and shows that nobody watches, in loops and fractions, to check the views of the mart.

It uses neither the code of the project nor its methods: weeks are dates, figures are read from rows of audiences.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

Row = Mapping[str, Any]
Weeks = Mapping[date, Sequence[Row]]
"""Rows of an audience worldwide by the first day of each complete week."""

HALF = 4
LEAST_VIEWERS = 50


def find_trends(weeks: Weeks, key: str) -> dict[Any, dict[str, Any]]:
    """Return the trend of each value of the column ``key``, from the last eight complete weeks."""
    last = sorted(weeks)[-2 * HALF :]
    enough = len(last) == 2 * HALF and last[-1] - last[0] == timedelta(weeks=2 * HALF - 1)
    by_key = [{row[key]: row for row in weeks[week]} for week in last]
    return {
        one: _trend([found.get(one) for found in by_key], enough=enough)
        for one in {one for found in by_key for one in found}
    }


def _trend(rows: Sequence[Row | None], *, enough: bool) -> dict[str, Any]:
    if not enough:
        return {"trend": "too few weeks", "reach_before": None, "reach_now": None, "sole_now": None}
    seconds = [row["watched_seconds"] if row else 0 for row in rows]
    reach = [(row["reach"] or 0) if row else 0 for row in rows]
    before, now = _mean(reach[:HALF]), _mean(reach[HALF:])
    hours_before, hours_now = _mean(seconds[:HALF]), _mean(seconds[HALF:])
    # As uncertain as the number of viewers by whom they were watched.
    by_chance = sum(mean**2 / viewers / HALF for mean, viewers in ((hours_before, before), (hours_now, now)) if viewers)
    hours = _direction(seconds, Fraction(by_chance))
    viewers = _direction(reach, (before + now) / HALF)
    few = max(before, now) < LEAST_VIEWERS
    return {
        "trend": "too few viewers" if few else f"hours {hours}, reach {viewers}",
        "hours_before": _rounded(hours_before / 3600),
        "hours_now": _rounded(hours_now / 3600),
        "reach_before": None if _withheld(rows[:HALF], "reach") else _rounded(before),
        "reach_now": None if _withheld(rows[HALF:], "reach") else _rounded(now),
        "sole_now": None
        if _withheld(rows[HALF:], "sole_viewers")
        else _rounded(_mean([row["sole_viewers"] if row else 0 for row in rows[HALF:]])),
    }


def _mean(values: Sequence[int]) -> Fraction:
    return Fraction(sum(values), len(values))


def _rounded(value: Fraction) -> float:
    """Round to one decimal, halves up."""
    return math.floor(10 * value + Fraction(1, 2)) / 10


def _withheld(rows: Sequence[Row | None], column: str) -> bool:
    return any(row is not None and row[column] is None for row in rows)


def _direction(values: Sequence[int], by_chance: Fraction) -> str:
    """Compare the means of the halves; the variance is that of the steps between weeks, or by chance if larger."""
    halves = (values[:HALF], values[HALF:])
    steps = [after - before for half in halves for before, after in pairwise(half)]
    of_a_week = Fraction(sum(step**2 for step in steps), 2 * len(steps))
    of_the_change = max(2 * of_a_week / HALF, by_chance)
    before, now = map(_mean, halves)
    if (now - before) ** 2 <= 9 * of_the_change or abs(now - before) < before / 20:
        return "steady"
    return "up" if now > before else "down"


def find_unwatched(
    shows: Mapping[int, Sequence[date | None]],
    period: Sequence[Row],
    days: Mapping[date, Sequence[Row]],
    ends_on: date,
    active_viewers: int,
) -> dict[int, dict[str, Any]]:
    """Return the shows that nobody, or next to nobody, watched; ``shows`` has the air dates of their episodes."""
    found = {}
    for show, dates in shows.items():
        aired = [one for one in dates if one is None or one <= ends_on]
        rows = [row for row in period if row["show_id"] == show]
        reach = rows[0]["reach"] if rows else 0
        if not aired or (reach and Fraction(reach, active_viewers) >= Fraction(1, 10_000)):
            continue
        played = [day for day, those in days.items() for row in those if row["show_id"] == show]
        watched = [day for day in played if day <= ends_on and _seconds(days[day], show) > 0]
        found[show] = {
            "viewing": "next to none" if _seconds(period, show) else "none",
            "reach": reach,
            "last_watched": max(watched, default=None),
            "episodes": len(aired),
            "newest_episode": max((one for one in aired if one), default=None),
        }
    return found


def _seconds(rows: Sequence[Row], show: int) -> int:
    return sum(row["watched_seconds"] for row in rows if row["show_id"] == show)
