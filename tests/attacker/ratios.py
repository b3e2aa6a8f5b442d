"""The attacker's rule on ratios: a fraction that is printed exactly tells its numerator and its denominator.

A ratio is *explained* if it follows from other printed figures, or from a sum that is a multiple of min_cell; it then
tells no more than they do. From any other, the continued fraction gives the smallest denominator, of which the number
of viewers is a multiple: days on which viewers returned, 2.4615384615384617, are those of 13 viewers, or of 26.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tests.attacker.published import Published, Row

CLOSE = 1e-9
MOST = 1000
"""Greatest denominator that a continued fraction is taken for."""


@dataclass(frozen=True)
class Ratio:
    """A printed ratio that nothing else explains, and the denominator that it tells."""

    table: str
    column: str
    row: tuple[str | int, ...]
    value: float
    denominator: int


def unexplained(published: Published, min_cell: int) -> Iterator[Ratio]:
    """Yield the ratios of audiences, seasons and departures that tell more than the other printed figures."""
    for row in published.of("fact_audience"):
        key = (row["period"], row["show_id"], row["country"])
        for column, explained in _of_audience(row, min_cell).items():
            if row[column] is not None and not explained:
                yield _told("fact_audience", column, key, row[column])
    for row in published.of("fact_departure"):
        for column in ("expected_seen", "expected_variance"):
            if row[column] is not None and not _is_multiple(row[column], min_cell):
                yield _told("fact_departure", column, (row["period"], row["show_id"], row["kind"]), row[column])
    yield from _of_seasons(published, min_cell)


def _of_audience(row: Row, min_cell: int) -> dict[str, bool]:
    seconds, reach, runtime = row["watched_seconds"], row["reach"], row["runtime_seconds"]
    average = row["average_seconds"]
    days = row["return_days"]
    return {
        "views": _is_quotient(row["views"], seconds, runtime),
        "average_seconds": _is_quotient(average, seconds, reach),
        "loyalty": row["loyalty"] == 1 or _is_quotient(row["loyalty"], average, runtime),
        "return_days": days == 1 or (days is not None and bool(reach) and _is_multiple(days * reach, min_cell)),
    }


def _of_seasons(published: Published, min_cell: int) -> Iterator[Ratio]:
    """Yield shares kept that are not, from step to step, a multiple of min_cell of the viewers at risk."""
    before: dict[tuple[str, int, int], float] = {}
    for row in sorted(published.of("fact_season_step"), key=lambda one: (one["period"], one["show_id"], one["step"])):
        season, kept = (row["period"], row["show_id"], row["season"]), row["kept"]
        earlier = before.pop(season, None)
        if kept is None:
            continue
        before[season] = kept
        if row["step"] == 1 or not earlier or kept == earlier:
            continue
        if not row["at_risk"] or not _is_multiple(kept / earlier * row["at_risk"], min_cell):
            yield _told("fact_season_step", "kept", (*season, row["step"]), kept)


def _is_quotient(value: float | None, one: float | None, other: float | None) -> bool:
    if value is None or one is None or not other:
        return False
    return abs(value * other - one) <= CLOSE * max(1, abs(one))


def _is_multiple(value: float, unit: int) -> bool:
    return abs(value / unit - round(value / unit)) <= CLOSE * max(1, abs(value))


def _told(table: str, column: str, key: tuple[str | int, ...], value: float) -> Ratio:
    return Ratio(table, column, key, value, Fraction(value).limit_denominator(MOST).denominator)
