"""Which sittings are kept, of a day and of a period; what a sitting is stands in ``sittings.sql``.

A sitting matters when it has the episodes for a binge, or when it may be joined with one of the day before or after.
"""

from datetime import datetime, timedelta

from marquee.calendar import Period

SLACK = timedelta(hours=1)
"""An hour may hold events received before or after it: by this much at the most, however rollup is set."""


def starts_before(day: Period, gap_seconds: int) -> datetime:
    """Return an instant (UTC, without a zone): a sitting that starts before it may continue one of the day before."""
    return day.start.replace(tzinfo=None) + timedelta(seconds=gap_seconds) + SLACK


def lasts_until(day: Period, gap_seconds: int) -> datetime:
    """Return an instant (UTC, without a zone): a sitting that ends at or after it may continue on the next day."""
    return day.end.replace(tzinfo=None) - timedelta(seconds=gap_seconds) - SLACK
