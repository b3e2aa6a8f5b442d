"""Viewer buckets of markers: the files of a bucket, the number of buckets, and the viewer key."""

from collections.abc import Iterable
from typing import NamedTuple

from marquee.errors import BadInputError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.manifest import Marker, Output


def in_bucket(marker: Marker, dataset: Dataset, bucket: int) -> tuple[Output, ...]:
    """Return a marker's file of one bucket; empty if the bucket has no viewers."""
    return tuple(one for one in marker.of(dataset) if keys.bucket_of(one.key) == bucket)


class Bucketing(NamedTuple):
    """Assignment of viewers to buckets: the number of buckets, and the fingerprint of the viewer key."""

    buckets: int
    viewer_key: str


def of_rollup(hour: Marker) -> Bucketing:
    """Return the bucketing of a rolled-up hour."""
    return Bucketing(hour.parameters["buckets"], hour.parameters["viewer_key_fingerprint"])


def of_profile(day: Marker) -> Bucketing:
    """Return the bucketing of a profiled day, or of an audience period."""
    return Bucketing(day.counts["buckets"], day.counts["viewer_key"])


def common(found: Iterable[tuple[Marker, Bucketing]]) -> Bucketing:
    """Return the bucketing that all markers share; BadInputError names two markers that differ."""
    (first, expected), *others = found
    for other, bucketing in others:
        if bucketing != expected:
            message = (
                f"{first.stage} {first.period} has {expected.buckets} viewer buckets by key {expected.viewer_key}, "
                f"{other.stage} {other.period} has {bucketing.buckets} by key {bucketing.viewer_key}. Both must be the "
                "same in the whole lake. Correct MARQUEE_ROLLUP__BUCKETS or MARQUEE_ROLLUP__VIEWER_KEY, and run "
                "rollup, then profile, over the periods that differ"
            )
            raise BadInputError(message)
    return expected
