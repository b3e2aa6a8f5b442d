"""Viewer buckets: which files of a marker hold which viewers, and in how many buckets they are."""

from collections.abc import Iterable

from jobs.common import lake
from jobs.common.commit import Marker, Output
from jobs.common.datasets import Dataset
from jobs.common.errors import BadInputError


def in_bucket(marker: Marker, dataset: Dataset, bucket: int) -> tuple[Output, ...]:
    """Return a marker's file of one bucket; none when the bucket is empty."""
    return tuple(one for one in marker.of(dataset) if lake.bucket_of(one.key) == bucket)


def common_count(counts: Iterable[tuple[Marker, int]]) -> int:
    """Return the number of buckets that all markers have; BadInputError names two that differ."""
    (first, buckets), *others = counts
    for other, number in others:
        if number != buckets:
            message = (
                f"{first.stage} {first.period} is in {buckets} viewer buckets, {other.stage} {other.period} in "
                f"{number}: expected one number for the whole lake: set MARQUEE_ROLLUP__BUCKETS for good, and run "
                "rollup, then profile, over the periods that have another"
            )
            raise BadInputError(message)
    return buckets
