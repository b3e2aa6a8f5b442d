"""Tests of every kind of store, run on S3: stores, markers and their index, pending hours, garbage, raw objects."""

import pytest

from marquee.storage.base import Store
from marquee.storage.s3 import S3Store
from tests.suites import suite_with
from tests.unit import (
    test_erasures,
    test_garbage,
    test_marker_index,
    test_markers,
    test_pending,
    test_rollup_inventory,
    test_store,
)


@pytest.fixture
def store(s3_lake: S3Store) -> Store:
    """An empty store in a bucket."""
    return s3_lake


globals().update(
    suite_with(
        {"store", "words", "reads", "_always_worth_it"},
        *(
            test_store,
            test_erasures,
            test_markers,
            test_marker_index,
            test_pending,
            test_garbage,
            test_rollup_inventory,
        ),
    )
)
