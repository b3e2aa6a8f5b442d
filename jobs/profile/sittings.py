"""Which sittings of a day and of a period are kept; ``sittings.sql`` defines a sitting.

A sitting is kept if it has enough episodes for a binge, or if it may continue a sitting of the day before or on the
day after.
"""

from datetime import datetime, timedelta

from marquee.calendar import Period

SLACK = timedelta(hours=1)
"""Maximum time by which an event may be received before or after its hour, for any settings of rollup."""


def starts_before(day: Period, gap_seconds: int) -> datetime:
    """Return an instant (UTC, without a zone): a sitting that starts before it may continue one from the day before."""
    return day.start.replace(tzinfo=None) + timedelta(seconds=gap_seconds) + SLACK


def lasts_until(day: Period, gap_seconds: int) -> datetime:
    """Return an instant (UTC, without a zone): a sitting that ends at or after it may continue on the next day."""
    return day.end.replace(tzinfo=None) - timedelta(seconds=gap_seconds) - SLACK
