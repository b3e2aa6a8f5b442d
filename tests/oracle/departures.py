"""Who was seen again after a show ended, in loops over plays, to check the queries of profile."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

WINDOW = 28
FEWEST = 50


class Watched(NamedTuple):
    """Seconds of an episode that a viewer watched on a day, by number."""

    day: int
    viewer: int
    episode: int
    country: str
    seconds: int


def find_departures(
    watched: Sequence[Watched],
    show_of: Mapping[int, int],
    ended: Mapping[int, int],
    reach_seconds: int,
    near_sole: Fraction,
) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the row of each show that ended (with the day of its end) and each kind of its viewers."""
    rows = {}
    for show, end in ended.items():
        before = [one for one in watched if end - WINDOW < one.day <= end]
        again = {one.viewer for one in watched if end < one.day <= end + WINDOW}
        own: dict[int, list[Watched]] = defaultdict(list)
        for one in before:
            own[one.viewer].append(one)
        active = {viewer: those for viewer, those in own.items() if _total(those) >= reach_seconds}
        kinds: dict[str, list[int]] = defaultdict(list)
        alike: dict[Any, list[int]] = defaultdict(list)
        for viewer, those in active.items():
            of_show = [one for one in those if show_of.get(one.episode) == show]
            if not of_show:
                alike[_stratum(those, show_of)].append(viewer)
            elif _total(of_show) >= reach_seconds:
                share = Fraction(_total(of_show), _total(those))
                kinds["sole" if share == 1 else "near_sole" if share >= near_sole else "other"].append(viewer)
        for kind, viewers in kinds.items():
            compared = [viewer for viewer in viewers if alike[_stratum(active[viewer], show_of)]]
            expected, variance = Fraction(0), Fraction(0)
            sizes: dict[Any, int] = defaultdict(int)
            for viewer in compared:
                like = alike[_stratum(active[viewer], show_of)]
                expected += Fraction(sum(one in again for one in like), len(like))
                sizes[_stratum(active[viewer], show_of)] += 1
            for stratum, size in sizes.items():
                like = alike[stratum]
                share = Fraction(sum(one in again for one in like) + 1, len(like) + 2)
                variance += size**2 * share * (1 - share) / len(like)
            rows[show, kind] = {
                "viewers": len(viewers),
                "seen_again": sum(viewer in again for viewer in viewers),
                "compared": len(compared),
                "compared_seen": sum(viewer in again for viewer in compared),
                "expected_seen": float(expected) if compared else None,
                "expected_variance": float(variance) if compared else None,
            }
    return rows


def _total(those: Sequence[Watched]) -> int:
    return sum(one.seconds for one in those)


def _stratum(those: Sequence[Watched], show_of: Mapping[int, int]) -> tuple[str, int, int]:
    """Return country, class of seconds and class of shows of a viewer: viewers of the same three are alike."""
    by_country: dict[str, int] = defaultdict(int)
    for one in those:
        by_country[one.country] += one.seconds
    home = min(by_country, key=lambda country: (-by_country[country], country))
    shows = {show_of.get(one.episode, 0) for one in those}
    return home, _total(those).bit_length(), min(len(shows), 5)


def add_up(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums of rows of a kind; a withheld number counts as nothing."""
    names = ("viewers", "compared", "compared_seen", "expected_seen", "expected_variance")
    return {"kind": rows[0]["kind"], **{name: sum(row[name] or 0 for row in rows) for name in names}}


def judge_departure(row: Mapping[str, Any]) -> str:
    """Return whether viewers left, stayed, or neither: the square of the difference against nine times its variance."""
    compared = row["compared"]
    if compared is None or compared < FEWEST:
        return "too few to tell"
    expected = Fraction(row["expected_seen"])
    share = (expected + 1) / (compared + 2)
    variance = compared * share * (1 - share) + Fraction(row["expected_variance"])
    difference = row["compared_seen"] - expected
    if difference**2 <= 9 * variance:
        return "as viewers alike"
    return "more of them left" if difference < 0 else "more of them stayed"
