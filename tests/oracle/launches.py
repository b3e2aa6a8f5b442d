"""A second implementation of launches, in loops over all plays: no state and no days that build on each other."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import Any

from tests.oracle.seasons import Watched

AGES = (1, 3, 7, 28, 91)


def launches(
    plays: Sequence[Watched],
    show_of: Mapping[int, int],
    premieres: Mapping[int, date],
    today: date,
    since: date,
    *,
    reach_seconds: int = 120,
) -> dict[int, dict[str, Any]]:
    """Return the rows of a day by show, of premieres on or after ``since``."""
    rows = {}
    for show, premiered in premieres.items():
        age = (today - premiered).days + 1
        if age not in AGES or premiered < since:
            continue
        seconds: dict[int, int] = defaultdict(int)
        for play in plays:
            if show_of.get(play.episode) == show and premiered <= play.day <= today:
                seconds[play.viewer] += play.seconds
        if seconds:
            reach = sum(one >= reach_seconds for one in seconds.values())
            rows[show] = {
                "premiered": premiered,
                "age": age,
                "reach": reach,
                "watched_seconds": sum(seconds.values()),
            }
    return rows


def launch(
    rows: Mapping[date, Sequence[Mapping[str, Any]]],
    genres: Mapping[int, Sequence[str]],
    titles: Mapping[int, str],
    end: date,
) -> set[tuple[Any, ...]]:
    """Return the answer of launch without its period, from the rows of each loaded day before ``end``."""
    oldest: dict[tuple[int, date], int] = defaultdict(int)
    for day, those in rows.items():
        for row in those if day < end else ():
            key = row["show_id"], row["premiered"]
            oldest[key] = max(oldest[key], row["age"])
    found: dict[tuple[int, int], tuple[date, int | None, int]] = {}
    for (show, premiered), last in oldest.items():
        for age in AGES:
            day = premiered + timedelta(days=age - 1)
            if age <= last and day in rows:
                own = [row for row in rows[day] if row["show_id"] == show]
                reach, seconds = (own[0]["reach"], own[0]["watched_seconds"]) if own else (0, 0)
                found[show, age] = (premiered, reach, seconds)
    answer = set()
    for (show, age), (premiered, reach, seconds) in found.items():
        if premiered < end - timedelta(days=91):
            continue
        groups = {genre: [one for one in found if one[1] == age and genre in genres[one[0]]] for genre in genres[show]}
        large = sorted((len(group), genre) for genre, group in groups.items() if len(group) >= 5)
        group = groups[large[0][1]] if large else [one for one in found if one[1] == age]
        # Between 0 and the smallest published reach stands a withheld one, as half a viewer.
        middle = median(0.5 if (other := found[one][1]) is None else other for one in group)
        touched = sorted(0.5 if found[one][1] is None else found[one][1] or 0 for one in group)
        hidden = 0.5 in touched[(len(group) - 1) // 2 : len(group) // 2 + 1]
        usual = median(found[one][2] for one in group)
        few = len(group) < 5  # no median of so few
        answer.add(
            (
                *(titles[show], premiered, age, reach, rounded(seconds / 3600, 1)),
                large[0][1] if large else "All launches",
                len(group),
                None if few or hidden else rounded(middle, 1),
                None if few or hidden or not middle or reach is None else rounded(100 * reach / middle, 0),
                None if few else rounded(usual / 3600, 1),
                None if few or not usual else rounded(100 * seconds / usual, 0),
            )
        )
    return answer


def rounded(value: float, digits: int) -> float:
    """Return a number with this many decimals, halves rounded up."""
    return round(value + 1e-6, digits)
