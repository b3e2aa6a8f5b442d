"""Imports of the command at its start, which must stay cheap."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_world import CASE, SmallWorld, finished_world, told_service

ROOT = Path(__file__).parents[2]
COSTLY = ["boto3", "botocore", "duckdb", "numpy", "prometheus_client", "pyarrow", "pymysql", "pyspark", "requests"]
LIGHT = {
    "jobs",
    "jobs.cli",
    "jobs.cli.__main__",
    "jobs.cli.completion",
    "jobs.cli.help",
    "jobs.cli.parser",
    "jobs.registry",
    "jobs.simulate",
    "jobs.simulate.options",
    "marquee",
    "marquee.__main__",
    "marquee.beside",
    "marquee.calendar",
    "marquee.errors",
    "marquee.report",
    "marquee.report.formats",
    "marquee.runs",
    "marquee.runs.arguments",
    "marquee.settings",
    "marquee.settings.names",
    "marquee.version",
}
"""Marquee's modules that help may import: none of them needs a third-party package."""

START = """
import json, sys
sys.argv = ["marquee", *{arguments}]
sys.stdout = open({null!r}, "w", encoding="utf-8")
from marquee.__main__ import main
try:
    code = main()
except SystemExit as end:
    code = end.code
json.dump([code, sorted(sys.modules)], sys.stderr)
"""


def imported_by(*arguments: str) -> list[str]:
    """Return the modules that a successful command has imported."""
    script = START.format(arguments=list(arguments), null=os.devnull)
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    code, modules = json.loads(run.stderr)
    assert code in {0, None}
    return list(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["ask", "--help"], ["help", "periods"]], ids=" ".join)
def test_help_imports_nothing_but_its_own(arguments: list[str]) -> None:
    """Help and version import no third-party package and only the own modules of the list above."""
    modules = imported_by(*arguments)
    assert {one for one in modules if one.partition(".")[0] in {"jobs", "marquee"}} <= LIGHT
    expected = {*sys.stdlib_module_names, "jobs", "marquee", "__main__", "sitecustomize"}  # the last is Debian's
    others = {one.partition(".")[0] for one in modules} - expected
    assert {one for one in others if not one.startswith("_")} == set()


@pytest.mark.parametrize("command", ["run", "schedule-fetch", "rollup", "profile", "mart-load"])
def test_stage_without_work_imports_nothing_costly(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage with nothing to do needs neither Parquet, DuckDB, an HTTP client nor the library of metrics."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with told_service() as service:
        world = finished_world(tmp_path / "world", service)
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    imported_by("mart-load")  # a load without work notes that the mart has none
    assert [one for one in imported_by(command) if one in COSTLY] == []


def test_status_of_a_small_lake_imports_nothing_costly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second status of an unchanged lake needs neither Parquet nor DuckDB, because results are cached."""
    world = SmallWorld(tmp_path)
    world.configure("http://127.0.0.1:9")
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    world.events("2026-01-05T10", [("ann", minute, CASE) for minute in range(12)])
    assert world.run("rollup", "profile", "mart-load") == 0
    imported_by("status")
    assert [one for one in imported_by("status") if one in COSTLY] == []
