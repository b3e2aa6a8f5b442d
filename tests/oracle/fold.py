"""Folds cells of viewership by plain loops, independently of the SQL in marquee/mart/fold.py."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

Key = tuple[str, int, int, str, str, str]
"""Day, show, episode, country, daypart, device."""
Cell = tuple[int, int, int]
"""Plays, seconds, bits of viewers."""


def fold(cells: Iterable[tuple[Key, Cell]], least: int) -> dict[Key, Cell]:
    """Return the cells that a mart publishes, each with at least ``least`` set bits."""
    summed = _sums(cells)
    if least == 1:
        return summed
    days = {key[0] for key in summed}
    return {key: cell for day in days for key, cell in _fold_day(summed, day, least).items()}


def _fold_day(cells: Mapping[Key, Cell], day: str, least: int) -> dict[Key, Cell]:
    rest = {key: cell for key, cell in cells.items() if key[0] == day}
    levels: list[dict[Key, Cell]] = []
    for level in range(6):
        rest = _sums((_folded(key, level), cell) for key, cell in rest.items())
        levels.append({key: cell for key, cell in rest.items() if cell[2].bit_count() >= least})
        rest = {key: cell for key, cell in rest.items() if cell[2].bit_count() < least}
    for published in reversed(levels) if rest else ():
        if published:
            taken = min(published, key=lambda key: (published[key][2].bit_count(), published[key][1], key))
            rest = _sums([*((_folded(key, 5), cell) for key, cell in rest.items()), (_top(day), published.pop(taken))])
            levels.append(rest)
            break
    return {key: cell for level in levels for key, cell in level.items()}


def _folded(key: Key, level: int) -> Key:
    day, show, episode, country, daypart, _device = key
    if level == 0:
        return key
    if level == 1:
        return day, show, episode, country, daypart, "(other)"
    if level == 2:
        return day, show, -1 - show, country, daypart, "(other)"
    if level == 3:
        return day, show, -1 - show, country, "(other)", "(other)"
    return (day, show, -1 - show, "..", "(other)", "(other)") if level == 4 else _top(day)


def _top(day: str) -> Key:
    return day, -1, 0, "..", "(other)", "(other)"


def _sums(cells: Iterable[tuple[Key, Cell]]) -> dict[Key, Cell]:
    sums: dict[Key, Cell] = defaultdict(lambda: (0, 0, 0))
    for key, (plays, seconds, bits) in cells:
        before = sums[key]
        sums[key] = (before[0] + plays, before[1] + seconds, before[2] | bits)
    return dict(sums)
