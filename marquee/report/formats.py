"""The output formats of rows, and durations as text. Quick to import."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

Format = Literal["table", "json", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv")
FileFormat = Literal["parquet", "arrow", "xlsx"]
FILE_FORMATS: tuple[FileFormat, ...] = ("parquet", "arrow", "xlsx")
"""Formats that are bytes, not text: for a file or another program, never for a terminal."""

NUMBERED = frozenset({"season"})
"""Columns whose numbers are names, such as the season 2026: they have no thousands separators."""


def time_text(passed: timedelta | None) -> str | None:
    """Return a duration in its two largest units, such as ``2 d 3 h``; None stays None."""
    if passed is None:
        return None
    minutes = int(passed.total_seconds() // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def objects_text(objects: Mapping[str, int]) -> str:
    """Return numbers of objects by class as text, such as ``12 read, 1 symlink``."""
    return ", ".join(f"{number:,} {kind}" for kind, number in sorted(objects.items()))
