"""Modules that a process loads: a job loads itself and the library, and no other job.

Import-linter checks the imports in the code; these tests check processes after start-up.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from marquee.storage.local import LocalStore

ROOT = Path(__file__).parents[2]
START = """
import json, runpy, sys
module, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as ended:
    print()
    print(json.dumps({"code": ended.code, "modules": sorted(sys.modules)}))
"""
STAGES = {"schedule_fetch", "rollup", "profile", "mart_load"}
COSTLY = {"boto3", "duckdb", "kubernetes", "numpy", "prometheus_client", "pyarrow", "pydantic", "pymysql", "pyspark"}


def loaded(folder: Path, *command: str) -> set[str]:
    """Start a module with arguments and settings; return the modules loaded when it ends with 0."""
    settings = {
        "LAKE": (folder / "lake").as_uri(),
        "RAW": (folder / "raw").as_uri(),
        "ROLLUP__VIEWER_KEY": "0123456789abcdef",
        "MART__URL": f"duckdb://{folder}/mart.duckdb",
        "LAUNCHER__APPLICATION": str(folder / "application.yaml"),
        "LAUNCHER__NAMESPACE": "here",
        "LAUNCHER__JOB_NAME": "job",
        "LAUNCHER__JOB_UID": "uid",
    }
    variables = os.environ | {f"MARQUEE_{name}": value for name, value in settings.items()}
    start = [sys.executable, "-c", START, *command]
    done = subprocess.run(start, cwd=ROOT, env=variables, check=True, capture_output=True, text=True)
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended["code"] == 0, done.stderr
    return {*ended["modules"]}


def jobs_of(modules: set[str]) -> set[str]:
    """Return the folders of ``jobs/`` that modules come from."""
    return {name.split(".")[1] for name in modules if name.startswith("jobs.")}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_stage_loads_itself_alone(tmp_path: Path, stage: str) -> None:
    """A stage that has read and listed its settings has loaded no other job."""
    assert jobs_of(loaded(tmp_path, f"jobs.{stage}", "--config")) == {stage}


@pytest.mark.parametrize("stage", ["rollup", "profile"])
def test_launcher_loads_the_stage_that_it_plans(tmp_path: Path, stage: str) -> None:
    """The launcher of one Spark stage loads nothing of the other, whose packages are not in the image."""
    (tmp_path / "application.yaml").write_text(
        "{apiVersion: sparkoperator.k8s.io/v1beta2, kind: SparkApplication, metadata: {name: a}, spec: {}}"
    )
    later = datetime.now(UTC) + timedelta(hours=1)  # the events are not due yet, so nothing is pending
    LocalStore(tmp_path / "raw").put(f"topics/plays/{later:year=%Y/month=%m/day=%d/hour=%H}/plays+0+0.json", b"")
    assert jobs_of(loaded(tmp_path, "jobs.launcher", stage, "--help")) == {"launcher", "registry"}
    assert jobs_of(loaded(tmp_path, "jobs.launcher", stage)) == {"launcher", "registry", stage}


def test_exporter_loads_the_stages_and_nothing_else(tmp_path: Path) -> None:
    """The exporter loads the code of the stages and of retention, but not the command line and not the launcher."""
    assert jobs_of(loaded(tmp_path, "jobs.exporter", "--config")) == {"exporter", "registry", "retain", *STAGES}


def test_help_loads_no_stage_and_nothing_costly(tmp_path: Path) -> None:
    """The command `marquee --help` loads no stage and no expensive module."""
    modules = loaded(tmp_path, "jobs.cli", "--help")
    assert jobs_of(modules) <= {"cli", "registry", "simulate"}
    assert modules & COSTLY == set()
