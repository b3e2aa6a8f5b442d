"""What retention has ended, and which periods should have ended but have not, from markers and lists of the lake."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from jobs.retain.settings import RetentionOptions
from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.ended import Deleted
from marquee.lake.layers import RAW, REJECTS, SCHEDULE_RAW, VIEWER_DAYS, VIEWER_HOURS, Layer
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers

STAGES = (keys.SCHEDULE_FETCH, keys.ROLLUP, keys.PROFILE, keys.AUDIENCE)
WATCHED = (
    (RAW, keys.ROLLUP),
    (REJECTS, keys.ROLLUP),
    (VIEWER_HOURS, keys.ROLLUP),
    (VIEWER_DAYS, keys.PROFILE),
    (SCHEDULE_RAW, keys.SCHEDULE_FETCH),
)
"""Layers with the stage whose periods they end with."""


def deleted(markers: Markers) -> Mapping[str, Deleted]:
    """Return the objects and bytes that were deleted so far, by layer."""
    objects, size = Counter[str](), Counter[str]()
    for stage in STAGES:
        for layer, one in markers.ended(stage).deleted.items():
            objects[layer] += one.objects
            size[layer] += one.bytes
    return {layer: Deleted(objects[layer], size[layer]) for layer in objects}


def overdue(markers: Markers, options: RetentionOptions, now: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield the layers with a period whose time is over, with the time at which the oldest should have ended."""
    for layer, stage in WATCHED:
        days = options.days(layer.setting)
        if days is None:
            continue
        before = now - timedelta(days=days)
        due = (
            period
            for period, marker in markers.of(stage).items()
            if period.end < before and not _is_over(markers, layer, marker, period)
        )
        oldest = min(due, key=lambda one: one.end, default=None)
        if oldest is not None:
            yield layer.name, oldest.end + timedelta(days=days)


def _is_over(markers: Markers, layer: Layer, marker: Marker, period: Period) -> bool:
    ended = markers.ended(marker.stage)
    if layer is RAW:
        entry = ended.range_of(layer.name, period)
        return entry is not None and entry.done
    return ended.is_gone(layer.name, marker) or not any(name in marker.datasets for name in layer.data)
