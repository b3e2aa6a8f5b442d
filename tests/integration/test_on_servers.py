"""The engines' suite on servers of Spark Connect: Sail, which needs no Java, and Spark itself.

The client is the one of the extra ``sail``, which is another pyspark than that of the other tests: it is in a folder of
its own in .venv, and the suite runs in a process of its own, with that folder first in its path.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest

from tests.conftest import SPARK_CONF
from tests.helpers_rollup import SECRET
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SAIL = Path(sys.prefix, "sail")
PATHS = f"{SAIL}:{ROOT}"
KEY = {"MARQUEE_ROLLUP__VIEWER_KEY": SECRET}


@contextmanager
def server(command: list[str], port: int, log: Path, **environment: str) -> Iterator[str]:
    """Run a server of Spark Connect until the end of the block; yield its URL."""
    with (
        log.open("wb") as out,
        subprocess.Popen(command, cwd="/", env=os.environ | KEY | environment, stdout=out, stderr=out) as process,
    ):
        try:
            until = time.monotonic() + 120
            while not answers(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield f"sc://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(port: int) -> bool:
    """Return whether a server listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run_suite(url: str, *, holds: bool) -> str:
    """Run the suite on a server; return pytest's last line."""
    assert SAIL.is_dir(), f"{SAIL} is missing: `make lint` installs it"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/suite_on_server.py"]
    told = {"ENGINE_TEST_SERVER": url, "ENGINE_TEST_HOLDS": str(holds).lower(), "PYTHONPATH": PATHS}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | told, check=False, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def test_engine_runs_on_sail(tmp_path: Path) -> None:
    """Sail gives the same values, errors and bytes as the local engine, without Java."""
    port = free_port()
    command = [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    own = {"PYTHONPATH": PATHS, "PATH": "/nonexistent", "SAIL_EXECUTION__BATCH_SIZE": "1"}
    with server(command, port, tmp_path / "sail.log", **own) as url:
        said = run_suite(url, holds=True)
    assert "24 passed" in said


@pytest.mark.spark
def test_engine_runs_on_spark_connect(tmp_path: Path) -> None:
    """A server of Spark Connect gives the same values, errors and bytes, and its workers hold no tables."""
    port = free_port()
    home = Path(pyspark.__file__).parent
    conf = {
        **SPARK_CONF,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    given = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    start = [str(home / "bin" / "spark-submit"), *given, "--class"]
    command = [*start, "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    own = {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    with server(command, port, tmp_path / "connect.log", **own) as url:
        said = run_suite(url, holds=False)
    assert "24 passed" in said
