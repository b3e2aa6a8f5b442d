"""Days and periods whose inputs retention has ended: they stand as they were made, and nothing makes them again."""

from datetime import datetime

from marquee.calendar import Period
from marquee.errors import BadInputError
from marquee.lake.markers import Markers
from marquee.runs.stage import Stage, is_made_of


def check_ended(period: Period, at: datetime | None, dataset: str) -> None:
    """Refuse to make a period of which retention has ended inputs."""
    if at is not None:
        message = (
            f"{period} cannot be made again, also not by force: retention ended {dataset} that it needs on "
            f"{at:%Y-%m-%d}. What is published is unchanged. To make it again, restore the raw events of its hours "
            "from a backup, and make these hours again with --force first"
        )
        raise BadInputError(message)


def note_ended(stage: Stage, markers: Markers, period: Period, at: datetime | None, dataset: str) -> str:
    """Return why a published period stands although its inputs or settings have changed; empty if they have not."""
    marker = markers.of(stage.name).get(period)
    if marker is None or at is None:
        return ""
    target = stage.target(period)
    if target is None or is_made_of(stage, target, marker):
        return ""
    changed = "stands as it was made, although its inputs or settings have changed"
    return f"{changed}: retention ended {dataset} on {at:%Y-%m-%d}"
