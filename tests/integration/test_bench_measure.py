"""The measurement of a command: the CPU time and memory of all its processes, its failure, and its time limit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contenders import ROOT
from bench.measure import wait_for

MEASURE = """
import json, os, sys
from pathlib import Path
from bench.measure import BenchError, measure
try:
    took = measure([sys.executable, "-c", sys.argv[1]], dict(os.environ), Path(sys.argv[2]), float(sys.argv[3]))
    print(json.dumps(vars(took)))
except BenchError as error:
    print(json.dumps({"error": str(error)}))
"""
"""In a process of its own, because a measurement waits for all children of its process."""
BUSY = "import time\nwhile time.process_time() < 0.5: pass"
IN_A_CHILD = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])"
IN_AN_ORPHAN = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BUSY!r}])"
LARGE = "held = b'x' * (300 << 20)\n" + BUSY


def measured(code: str, folder: Path, timeout_s: float = 60) -> dict[str, float | str]:
    """Return what was measured of a Python program, or its error."""
    command = [sys.executable, "-c", MEASURE, code, str(folder), str(timeout_s)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float | str] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(BUSY, id="of itself"),
        pytest.param(IN_A_CHILD, id="of a child"),
        pytest.param(IN_AN_ORPHAN, id="of a child that outlives it"),
    ],
)
def test_cpu_time_is_that_of_all_processes(code: str, tmp_path: Path) -> None:
    """Half a second of work counts, wherever it is done, and sleeping does not."""
    took = measured(code, tmp_path)
    assert 0.5 <= float(took["cpu_s"]) < 2


def test_waiting_is_no_cpu_time(tmp_path: Path) -> None:
    """A command that sleeps takes wall time only."""
    took = measured("import time; time.sleep(1)", tmp_path)
    assert float(took["wall_s"]) >= 1
    assert float(took["cpu_s"]) < 0.5


def test_peak_of_memory_is_seen(tmp_path: Path) -> None:
    """The peak has the 300 MiB that a command holds for half a second."""
    assert 300 < float(measured(LARGE, tmp_path)["peak_mb"]) < 400


def test_failure_has_the_last_lines_of_the_output(tmp_path: Path) -> None:
    """A command that ends with another code than 0 is an error with the end of its output."""
    error = str(measured("print('no more memory'); raise SystemExit(3)", tmp_path)["error"])
    assert "ended with code 3; its last lines:\nno more memory" in error


def test_command_is_ended_at_its_limit(tmp_path: Path) -> None:
    """A command that takes too long is ended, with its children."""
    error = str(measured(IN_A_CHILD.replace("< 0.5", "< 500"), tmp_path, timeout_s=1)["error"])
    assert "did not end within 1 s" in error


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(LARGE, id="itself"),
        pytest.param(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {LARGE!r}])", id="a child"),
    ],
)
def test_the_largest_process_of_a_command_counts(code: str) -> None:
    """Memory is that of the process that works, also if the command only waits for it."""
    command = subprocess.Popen([sys.executable, "-c", code])
    assert 300 <= wait_for(command) < 450
    assert command.returncode == 0
