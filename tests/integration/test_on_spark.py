"""Tests of every kind of engine, run on Spark: the tests of engines that use ``engine``."""

import json
import subprocess
import sys
from pathlib import Path

import pyspark
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


def test_workers_are_forked_after_their_imports(spark_engine: SparkEngine) -> None:
    """A worker's parent is Marquee's daemon, and pyspark is the installed package, not an archive of its sources."""
    ((command, package),) = spark_engine.map(kernels.tell_worker, test_engine.units(1))
    assert command[1:4] == ["-m", "marquee.engine.spark_daemon", "pyspark.worker"]
    assert package == list(pyspark.__path__)


def test_tables_leave_a_task_as_they_are(spark_engine: SparkEngine) -> None:
    """Spark does not compress the files of its shuffle: the tables in them are compressed."""
    assert spark_engine.session.spark.sparkContext.getConf().get("spark.shuffle.compress") == "false"


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


IMPORTED = """
import os
from importlib import import_module
from marquee.engine.spark_daemon import BEFORE_NUMPY, TASKS_NEED

os.environ |= BEFORE_NUMPY
for name in TASKS_NEED:
    import_module(name)
print(*(open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")))
"""


def test_process_that_forks_has_no_threads_of_its_own() -> None:
    """After the imports there is one thread, beside that of jemalloc, which prepares for forks itself."""
    done = subprocess.run([sys.executable, "-c", IMPORTED], check=True, capture_output=True, text=True)
    assert sorted({*done.stdout.split(), "jemalloc_bg_thd"}) == ["jemalloc_bg_thd", Path(sys.executable).name]
    assert len(done.stdout.split()) <= 2


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
