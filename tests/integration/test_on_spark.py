"""What holds of every engine, tested on Spark: the tests of engines that ask for ``engine``."""

import pytest

from marquee.engine.base import Engine
from marquee.engine.spark import SparkEngine
from tests.suites import suite_of
from tests.unit import test_engine

pytestmark = pytest.mark.spark
globals().update(suite_of({"engine", "kernels_of_tests"}, test_engine))


@pytest.fixture
def engine(spark_engine: SparkEngine) -> Engine:
    """Spark, with 128 MiB a task."""
    return spark_engine
