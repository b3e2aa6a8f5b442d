"""The benchmark of a whole day, with few events: all stages run, and the mart has one play for each event."""

import json
import subprocess
import sys
from pathlib import Path

from bench.contenders import ROOT
from bench.day import AFTER, BEFORE
from bench.pipeline import STAGES


def test_day_is_measured_from_raw_events_to_the_mart(tmp_path: Path) -> None:
    """Each stage has CPU seconds and a peak of memory, and comes between two measurements of the DuckDB script."""
    found = tmp_path / "day.json"
    options = ("--events", "2e4", "--hour-events", "3e3", "--folder", str(tmp_path / "day"), "--json", str(found))
    command = [sys.executable, "-m", "bench", "day", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    measured = json.loads(found.read_text(encoding="utf-8"))
    (took,) = measured["rounds"]
    assert list(took) == [BEFORE, *STAGES, AFTER]
    assert [name for name, one in took.items() if not 0.1 < one["cpu_s"] < 60] == []
    # The script ends within the time between two looks at its memory; a stage does not.
    assert [name for name in STAGES if took[name]["peak_mb"] < 20] == []
    assert f"A day of {measured['events']:,} events, raw to mart; 1 round(s)" in run.stdout
    assert 15_000 < measured["events"] < 25_000
