"""The rollup as spark-submit runs it in a driver: configuration, package and exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from tests.conftest import SPARK_CONF
from tests.small_world import CASE, DAY, KEY, SmallWorld

pytestmark = pytest.mark.spark

MAIN = 'import runpy\nrunpy.run_module("jobs.rollup", run_name="__main__", alter_sys=True)\n'


def test_driver_ends_with_the_exit_code_of_the_stage(tmp_path: Path) -> None:
    """The driver uses spark-submit's configuration and name, ends with the stage's code, and logs no viewer key."""
    world = SmallWorld(tmp_path / "world")
    world.configure("http://127.0.0.1:9")
    world.events(f"{DAY}T10", [("ann", 1, CASE)])
    world.events(f"{DAY}T11", [("ann", 1, CASE)], bad_lines=3)  # two are allowed
    main = tmp_path / "rollup.py"
    main.write_text(MAIN)
    home = Path(pyspark.__file__).parent
    conf = [part for name, value in SPARK_CONF.items() for part in ("--conf", f"{name}={value}")]
    arguments = ["--name", "lake-rollup", *conf, str(main), "--from", f"{DAY}T10", "--to", f"{DAY}T11"]
    environment = os.environ | {
        "MARQUEE_CONFIG": str(world.config),
        "MARQUEE_ENGINE__KIND": "spark",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "SPARK_HOME": str(home),
    }
    command = [str(home / "bin" / "spark-submit"), *arguments]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 65, done.stderr
    assert world.generations() == {f"rollup/{DAY}T10": 1}
    assert "Submitted application: lake-rollup" in done.stderr
    assert '"rollup: 1 made, 1 failed; see the log"' in done.stdout
    assert KEY not in done.stdout + done.stderr


def test_workers_take_our_own_package_jobs(tmp_path: Path) -> None:
    """Workers do not import a foreign package ``jobs`` from the current folder or from PYTHONPATH."""
    world = SmallWorld(tmp_path / "world")
    world.configure("http://127.0.0.1:9")
    world.events(f"{DAY}T10", [("ann", 1, CASE)])
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("raise RuntimeError('not Marquee')")
    environment = os.environ | {
        "MARQUEE_CONFIG": str(world.config),
        "MARQUEE_ENGINE__KIND": "spark",
        "MARQUEE_ENGINE__SPARK": json.dumps(SPARK_CONF | {"spark.executorEnv.PYTHONPATH": "."}),
        "PYTHONPATH": ".",
    }
    command = [sys.executable, "-m", "marquee", "rollup", f"{DAY}T10"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert world.generations() == {f"rollup/{DAY}T10": 1}


def test_result_of_an_hour_does_not_grow_in_the_driver(tmp_path: Path) -> None:
    """An hour with 50,000 rows of viewership, 2 MB, is made although the driver takes results of 1 MiB at most."""
    world = SmallWorld(tmp_path / "world")
    world.configure("http://127.0.0.1:9")
    world.events(f"{DAY}T10", [(f"u{n // 60}", n % 60, n + 1) for n in range(50_000)])
    environment = os.environ | {
        "MARQUEE_CONFIG": str(world.config),
        "MARQUEE_ENGINE__KIND": "spark",
        "MARQUEE_ENGINE__SPARK": json.dumps(SPARK_CONF | {"spark.driver.maxResultSize": "1m"}),
    }
    command = [sys.executable, "-m", "marquee", "rollup", f"{DAY}T10"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = world.markers()[f"rollup/{DAY}T10"]
    assert [(one.dataset, one.rows) for one in made.outputs if one.dataset == "viewership"] == [("viewership", 50_000)]
