"""Sets of days of a period as bits: bit n stands for day n, from 0. A quarter has 92 days, so there are two words."""

from collections import defaultdict
from collections.abc import Sequence

from marquee.calendar import DAY, Grain, Period

BITS = 64
"""Days in days_low; those that follow are in days_high."""


def day_number(period: Period, day: Period) -> int:
    """Return which day of the period a day is, from 0."""
    return (day.start - period.start) // DAY


def split_bits(days: int) -> tuple[int, int]:
    """Return a set of days as days_low and days_high hold it."""
    return days % (1 << BITS), days >> BITS


def find_spans(period: Period, days: Sequence[Period]) -> list[dict[str, int]]:
    """Return the spans that tell who comes back: ISO weeks (of a week or a day: days), as sets of profiled days."""
    grain = Grain.DAY if period.grain in {Grain.DAY, Grain.WEEK} else Grain.WEEK
    spans: dict[Period, int] = defaultdict(int)
    for day in days:
        spans[Period.containing(day.start, grain)] |= 1 << day_number(period, day)
    return [dict(zip(("low", "high"), split_bits(bits), strict=True)) for bits in spans.values()]
