"""The output formats of rows, and durations as text. Quick to import."""

from datetime import timedelta
from typing import Literal

Format = Literal["table", "json", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv")


def time_text(passed: timedelta | None) -> str | None:
    """Return a duration in its two largest units, such as ``2 d 3 h``; None stays None."""
    if passed is None:
        return None
    minutes = int(passed.total_seconds() // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
