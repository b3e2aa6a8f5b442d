"""Viewer buckets of markers: the files of a bucket, the number of buckets, and the viewer key.

Periods may be in different numbers of buckets: a viewer's bucket is the viewer modulo the number. A day has as many as
the hour of it that has the most, and no fewer than the day before; an audience period has as many as the day of it that
has the most. Several buckets read a file of fewer buckets.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

from marquee.calendar import Period
from marquee.errors import BadInputError, CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.erasures import STAGES as OF_VIEWERS
from marquee.lake.manifest import WAY_OUT, Marker, Output
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import VIEWER_KEY


@dataclass(frozen=True)
class Share(Output):
    """A part of an output: the rows whose viewer is in ``bucket`` of ``buckets``."""

    bucket: int
    buckets: int


class Bucketing(NamedTuple):
    """Assignment of viewers to buckets: the number of buckets, and the fingerprint of the viewer key."""

    buckets: int
    viewer_key: str


def in_bucket(marker: Marker, dataset: Dataset, bucket: int, buckets: int) -> tuple[Output, ...]:
    """Return what a marker has of one bucket of ``buckets``; empty if the bucket has no viewers."""
    own = bucketing_of(marker).buckets
    alike = gcd(own, buckets)  # viewers in one bucket have the same remainder of this
    found = (one for one in marker.of(dataset) if (keys.bucket_of(one.key) - bucket) % alike == 0)
    if alike == buckets:
        return tuple(found)
    return tuple(Share(**vars(one), bucket=bucket, buckets=buckets) for one in found)


def bucketing_of(marker: Marker) -> Bucketing:
    """Return the bucketing of a rolled-up hour, a profiled day, or an audience period."""
    counts = marker.counts
    if marker.stage == keys.ROLLUP:
        # Before the number was chosen from the data, it was a parameter.
        buckets = counts.get("buckets", marker.parameters.get("buckets"))
        return _bucketing(marker, buckets, _viewer_key_of(marker))
    return _bucketing(marker, counts.get("buckets"), _viewer_key_of(marker))


def under_other_keys(markers: Markers, viewer_key: str) -> Iterator[Marker]:
    """Yield the published runs whose viewers are under other keys than those with a fingerprint."""
    made = (one for stage in OF_VIEWERS for one in markers.of(stage).values())
    return (one for one in made if bucketing_of(one).viewer_key != viewer_key)


def other_key_periods(markers: Markers, viewer_key: str) -> dict[str, int]:
    """Return the number of periods under other keys than those with a fingerprint, by stage with rows of viewers.

    A marker that names no key is not counted: what reads it says so.
    """
    known = {stage: map(_viewer_key_of, markers.of(stage).values()) for stage in OF_VIEWERS}
    return {stage: sum(one not in {None, viewer_key} for one in found) for stage, found in known.items()}


def _viewer_key_of(marker: Marker) -> object:
    return marker.parameters.get(VIEWER_KEY) if marker.stage == keys.ROLLUP else marker.counts.get("viewer_key")


def _bucketing(marker: Marker, buckets: object, viewer_key: object) -> Bucketing:
    if type(buckets) is int and buckets > 0 and isinstance(viewer_key, str):
        return Bucketing(buckets, viewer_key)
    key = keys.success_key(marker.stage, Period.parse(marker.period))
    message = f"{key} is damaged: expected the number of viewer buckets and the fingerprint of their key. {WAY_OUT}"
    raise CorruptLakeError(message)


def common(markers: Iterable[Marker]) -> Bucketing:
    """Return the bucketing for what is made of all markers; BadInputError names two markers with different keys."""
    (first, expected), *others = [(one, bucketing_of(one)) for one in markers]
    for other, bucketing in others:
        if bucketing.viewer_key != expected.viewer_key:
            message = (
                f"{first.stage} {first.period} has viewers by key {expected.viewer_key}, {other.stage} {other.period} "
                f"by key {bucketing.viewer_key}. The key must be the same in the whole lake. Correct "
                "MARQUEE_ROLLUP__VIEWER_KEY, and run rollup, then profile, over the periods that differ"
            )
            raise BadInputError(message)
    most = max(bucketing.buckets for _, bucketing in [(first, expected), *others])
    return Bucketing(most, expected.viewer_key)
