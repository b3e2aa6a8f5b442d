"""The images that `make images` builds."""

import os
import re
import subprocess
from pathlib import Path

from jobs.registry import JOBS, PIPELINE

ROOT = Path(__file__).parents[2]
STAGES = [*(job.name for job in PIPELINE), "exporter"]
SPARK_STAGES = {job.name for job in JOBS if job.on_spark}


def test_make_builds_every_image_on_its_base() -> None:
    """`make images` builds the Spark stages on Spark, everything else on Python, and tags each with its own name."""
    command = ["make", "--dry-run", "images", "REGISTRY=registry.test", "VERSION=1"]
    shell = {"PATH": os.environ["PATH"]}  # independent of the make that runs the tests
    printed = subprocess.run(command, cwd=ROOT, env=shell, check=True, capture_output=True, text=True).stdout
    built = [dict(re.findall(r"\b(tag|STAGE|BUILD|BASE)[ =](\S+)", line)) for line in printed.splitlines()]
    assert {one["STAGE"]: one for one in built if "STAGE" in one} == {
        stage: {
            "tag": f"registry.test/{stage}:1",
            "STAGE": stage,
            "BUILD": "registry.test/base-build:1",
            "BASE": f"registry.test/base-{'spark' if stage in SPARK_STAGES else 'python'}:1",
        }
        for stage in STAGES
    }
