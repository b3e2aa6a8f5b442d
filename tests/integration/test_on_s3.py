"""Tests of every kind of store, run on S3: the tests of stores, markers and garbage that use ``store``."""

import pytest

from marquee.storage.base import Store
from marquee.storage.s3 import S3Store
from tests.suites import suite_with
from tests.unit import test_garbage, test_markers, test_store


@pytest.fixture
def store(s3_lake: S3Store) -> Store:
    """An empty store in a bucket."""
    return s3_lake


globals().update(suite_with({"store"}, test_store, test_markers, test_garbage))
