"""Planning imports neither pyarrow, DuckDB, numpy nor boto3, which take most of a second to load."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"pyarrow", "duckdb", "numpy", "boto3", "botocore", "pyspark"}
PLAN = """
from datetime import UTC, datetime
from pathlib import Path
from marquee.calendar import EVER
from marquee.engine.base import NO_ENGINE
from marquee.lake.markers import Markers
from marquee.storage.local import LocalStore
store = LocalStore(Path("{folder}"))
"""
ROLLUP = f"""{PLAN}
from jobs.rollup.settings import RollupOptions, RollupSettings
from jobs.rollup.stage import RollupStage
store.put("topics/plays/year=2026/month=01/day=05/hour=13/plays.json", b"x")
settings = RollupSettings(lake=store.url, raw=store.url, rollup=RollupOptions(viewer_key="a key that only tests have"))
stage = RollupStage(settings, Markers(store), NO_ENGINE)
(period,) = stage.periods(EVER)
assert len(stage.target(period).inputs) == 1
"""
PROFILE = f"""{PLAN}
from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from marquee.calendar import hour
from marquee.lake.datasets import VIEWER_HOUR
from marquee.lake.manifest import Marker
from marquee.lake.markers import publish
at, now = "2026-01-05T13", "2026-01-05T15:00:00.000+00:00"
marker = Marker("rollup", at, 1, "20260105T150000000000-1", "1", "1", {{{{}}}}, (), "", (), {{{{}}}}, now, now)
publish(store, marker, None)
settings = ProfileSettings(lake=store.url)
AudienceStage(settings, Markers(store), NO_ENGINE).periods(EVER)
stage = ProfileStage(settings, Markers(store), NO_ENGINE)
(period,) = stage.periods(EVER)
assert stage.target(period).inputs[0].name == "rollup/2026-01-05T13/viewer_hour"
"""


def imports(code: str, folder: Path | None = None) -> set[str]:
    """Return which of the heavy modules are loaded in a new process after some code."""
    code = code.format(folder=folder) + f"\nimport sys\nprint(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "marquee.engine.base",
        "marquee.engine.local",
        "marquee.lake.datasets",
        "marquee.lake.keys",
        "marquee.lake.manifest",
        "marquee.lake.markers",
        "marquee.runs.stage",
        "marquee.sql",
        "jobs.profile.units",
        "jobs.rollup.units",
    ],
)
def test_module_is_light(module: str) -> None:
    """Importing a module for planning loads nothing heavy."""
    assert imports(f"import {module}") == set()


@pytest.mark.parametrize("plan", [ROLLUP, PROFILE], ids=["rollup", "profile"])
def test_planning_is_light(plan: str, tmp_path: Path) -> None:
    """Creating a stage and planning its periods and their inputs loads no kernel."""
    assert imports(plan, tmp_path) == set()


def test_heavy_modules_are_seen() -> None:
    """Loading a kernel shows pyarrow, numpy and DuckDB, so the tests above can fail."""
    assert {"pyarrow", "numpy", "duckdb"} <= imports("import jobs.profile.audience")
