"""How many hours of its period a result has: ``22 of 24 hours``.

A day, week, month or quarter *to date* lacks the hours that have not come yet. The markers of profile and audience
count their hours; markers of earlier versions are counted by their inputs.
"""

from dataclasses import dataclass

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.datasets import VIEWER_DAY, VIEWER_HOUR
from marquee.lake.manifest import Marker

HOURS_A_DAY = 24


@dataclass(frozen=True)
class Coverage:
    """The hours of a result, and the hours of its period."""

    hours: int
    expected: int

    @property
    def complete(self) -> bool:
        """Whether no hour is missing."""
        return self.hours >= self.expected

    def __str__(self) -> str:
        return f"{self.hours:,} of {self.expected:,} hours"


def coverage_of(marker: Marker) -> Coverage | None:
    """Return the hours of a marker of profile or audience; None for other stages, and if the marker counts none."""
    if marker.stage not in {keys.PROFILE, keys.AUDIENCE}:
        return None
    hours = marker.counts.get("hours")
    if not isinstance(hours, int):
        # An earlier marker of an audience that is not stale has complete days only: see ``AudienceStage.target``.
        name, each = (VIEWER_HOUR, 1) if marker.stage == keys.PROFILE else (VIEWER_DAY, HOURS_A_DAY)
        hours = each * sum(one.name.endswith(f"/{name.name}") for one in marker.inputs)
    return Coverage(hours, Period.parse(marker.period).hours) if hours else None
