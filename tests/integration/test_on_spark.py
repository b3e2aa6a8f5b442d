"""Tests of every kind of engine, run on Spark: the tests of engines that use ``engine``."""

from pathlib import Path

import pytest

from marquee.engine.base import Engine
from marquee.engine.spark import SparkEngine
from marquee.errors import ConfigError
from tests import sample_kernels as kernels
from tests.suites import suite_with
from tests.unit import test_engine

pytestmark = pytest.mark.spark
globals().update(suite_with({"engine", "kernels_of_tests"}, test_engine))


@pytest.fixture
def engine(spark_engine: SparkEngine) -> Engine:
    """A Spark engine with 128 MiB a task."""
    return spark_engine


def test_spark_sends_names_and_no_code(spark_engine: SparkEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Spark worker imports the kernel's module by name, so changes made in the test's process do not reach it."""
    monkeypatch.setattr(kernels, "PLACE", "the test")
    assert spark_engine.map(kernels.tell_place, test_engine.units(1)) == ["the module"]


def test_tasks_use_the_scratch_folder_of_the_settings(spark_engine: SparkEngine, tmp_path: Path) -> None:
    """Tasks on any worker use the scratch folder of the settings, and a missing one is an error of settings."""
    units = test_engine.units(1)
    (there,) = SparkEngine(spark_engine._context, 128, tmp_path).map(kernels.look_around, units)
    assert Path(there["scratch"]).parent == tmp_path
    nowhere = SparkEngine(spark_engine._context, 128, tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"MARQUEE_ENGINE__SCRATCH=.*/missing: the folder does not exist"):
        nowhere.map(kernels.look_around, units)
    with pytest.raises(ConfigError, match=r"MARQUEE_ENGINE__SCRATCH=.*/missing: the folder does not exist"):
        nowhere.map_reduce(kernels.split, kernels.add, units, kernels.Sum())
