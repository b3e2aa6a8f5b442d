"""Tests of every kind of engine, run on Spark: the tests of engines that use ``engine``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from marquee.engine.base import Engine
from marquee.engine.spark import SparkEngine
from marquee.errors import ConfigError
from tests import sample_kernels as kernels
from tests.conftest import SPARK_CONF
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
    (there,) = SparkEngine(spark_engine.session, 128, tmp_path).map(kernels.look_around, units)
    assert Path(there["scratch"]).parent.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    nowhere = SparkEngine(spark_engine.session, 128, tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"MARQUEE_ENGINE__SCRATCH=.*/missing: the folder does not exist"):
        nowhere.map(kernels.look_around, units)
    with pytest.raises(ConfigError, match=r"MARQUEE_ENGINE__SCRATCH=.*/missing: the folder does not exist"):
        kernels.map_reduce(nowhere, kernels.split, kernels.add, units, kernels.Sum())


def test_tables_beyond_the_memory_are_not_held(spark_engine: SparkEngine) -> None:
    """Spark's workers hold neither the 400 MiB of tables that a mapper sends, nor those that a reducer receives."""
    (rows, reducer_mb), (_, mapper_mb) = kernels.map_reduce(
        spark_engine, kernels.much, kernels.most, test_engine.units(1), kernels.Sum()
    )
    assert rows == 400 << 17
    assert reducer_mb < 300
    assert mapper_mb < 300


STOPPED = """
import json
import sys

from marquee.engine.base import kernels_of
from marquee.engine.spark import start_spark
from marquee.errors import EngineGoneError
from tests import sample_kernels as kernels
from tests.unit.test_engine import units

engine = start_spark(json.loads(sys.argv[1]), 128)
context = engine.session.spark.sparkContext
java = context._gateway.proc
for stop in (lambda: context._jsc.sc().stop(), lambda: java.kill() or java.wait()):
    stop()
    for work in (lambda: engine.map(kernels.tell_place, units(1)),
                 lambda: kernels.map_reduce(engine, kernels.split, kernels.add, units(1), kernels.Sum())):
        try:
            with kernels_of("tests"):
                work()
        except EngineGoneError as error:
            print(str(error).split(":")[0])
"""


def test_engine_says_that_spark_has_stopped() -> None:
    """When Spark was stopped, or Java was killed, work fails with an error that belongs to no period."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", STOPPED, json.dumps(SPARK_CONF)]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["Spark has stopped"] * 4, done.stderr
