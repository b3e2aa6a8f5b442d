"""Day bitmaps: sets of days of a period, with bit n for day n, from 0. A quarter has 92 days, so it takes two words."""

from collections import defaultdict
from collections.abc import Sequence

from marquee.calendar import DAY, Grain, Period

WORD = 64
"""Number of days in days_low; later days are in days_high."""
LOYAL_SPANS = 3
"""Least number of spans to tell loyal viewers by: of one span, everybody would be loyal."""


def day_number(period: Period, day: Period) -> int:
    """Return the number of a day in the period, from 0."""
    return (day.start - period.start) // DAY


def split_bitmap(days: int) -> tuple[int, int]:
    """Split a bitmap into days_low and days_high."""
    return days % (1 << WORD), days >> WORD


def find_spans(period: Period, days: Sequence[Period]) -> list[dict[str, int]]:
    """Return the spans that measure loyalty, as bitmaps of profiled days: weeks; days for a week or a day."""
    grain = _span_grain(period)
    spans: dict[Period, int] = defaultdict(int)
    for day in days:
        spans[Period.containing(day.start, grain)] |= 1 << day_number(period, day)
    return [dict(zip(("low", "high"), split_bitmap(bitmap), strict=True)) for bitmap in spans.values()]


def knows_loyalty(period: Period, days: Sequence[Period]) -> bool:
    """Return whether the profiled days are enough to tell loyal viewers: three weeks, or three days of a week.

    Days count, not the weeks that they touch: a month may begin with the last day of a week.
    """
    return len(days) >= LOYAL_SPANS * (1 if _span_grain(period) is Grain.DAY else 7)


def _span_grain(period: Period) -> Grain:
    return Grain.DAY if period.grain in {Grain.DAY, Grain.WEEK} else Grain.WEEK


def find_recent(period: Period, last: Period, days: int) -> dict[str, int]:
    """Return the bitmap of the last days of a period to date, of which the newest is ``last``."""
    newest = day_number(period, last)
    bitmap = sum(1 << number for number in range(max(newest - days + 1, 0), newest + 1))
    return dict(zip(("low", "high"), split_bitmap(bitmap), strict=True))
