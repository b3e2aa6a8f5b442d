"""Viewer buckets: which files of a marker hold which viewers, and in how many buckets they are."""

from collections.abc import Iterable
from typing import NamedTuple

from marquee.errors import BadInputError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.manifest import Marker, Output


def in_bucket(marker: Marker, dataset: Dataset, bucket: int) -> tuple[Output, ...]:
    """Return a marker's file of one bucket; none when the bucket is empty."""
    return tuple(one for one in marker.of(dataset) if keys.bucket_of(one.key) == bucket)


class Bucketing(NamedTuple):
    """How viewers were spread over buckets: over how many, and under which key (its fingerprint)."""

    buckets: int
    viewer_key: str


def of_rollup(hour: Marker) -> Bucketing:
    """Return the bucketing of an hour that is rolled up."""
    return Bucketing(hour.parameters["buckets"], hour.parameters["viewer_key_fingerprint"])


def of_profile(day: Marker) -> Bucketing:
    """Return the bucketing of a profiled day, or of an audience."""
    return Bucketing(day.counts["buckets"], day.counts["viewer_key"])


def common(found: Iterable[tuple[Marker, Bucketing]]) -> Bucketing:
    """Return the bucketing that all markers have; BadInputError names two that differ: viewers are not the same."""
    (first, expected), *others = found
    for other, bucketing in others:
        if bucketing != expected:
            message = (
                f"{first.stage} {first.period} is in {expected.buckets} viewer buckets by key {expected.viewer_key}, "
                f"{other.stage} {other.period} in {bucketing.buckets} by key {bucketing.viewer_key}: expected the same "
                "in the whole lake: set MARQUEE_ROLLUP__BUCKETS and MARQUEE_ROLLUP__VIEWER_KEY for good, and run "
                "rollup, then profile, over the periods that have another"
            )
            raise BadInputError(message)
    return expected
