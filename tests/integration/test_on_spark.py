"""What holds of every engine, tested on Spark: the tests of engines that ask for ``engine``."""

import pytest

from marquee.engine.base import Engine
from marquee.engine.spark import SparkEngine
from tests import sample_kernels as kernels
from tests.suites import suite_with
from tests.unit import test_engine

pytestmark = pytest.mark.spark
globals().update(suite_with({"engine", "kernels_of_tests"}, test_engine))


@pytest.fixture
def engine(spark_engine: SparkEngine) -> Engine:
    """Spark, with 128 MiB a task."""
    return spark_engine


@pytest.mark.usefixtures("kernels_of_tests")
def test_spark_sends_names_and_no_code(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker imports the kernel's module: what a test has changed in its own process does not come along."""
    monkeypatch.setattr(kernels, "PLACE", "the test")
    assert engine.map(kernels.tell_place, [kernels.Number()]) == ["the module"]
