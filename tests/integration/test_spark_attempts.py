"""Second attempts of Spark at a task: with speculation, of a slow one. The result has each object once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyspark
import pytest

from marquee.storage.local import LocalStore
from tests.conftest import SPARK_CONF
from tests.ports import free_port

pytestmark = pytest.mark.spark

# Spark starts a twin only on another host than the first attempt: here each worker has an address of its own.
CONF = SPARK_CONF | {
    "spark.executor.memory": "512m",
    "spark.speculation": "true",
    "spark.speculation.interval": "50ms",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.minTaskRuntime": "1s",
}
PROGRAM = """
import json, sys, time
from pathlib import Path
from marquee.engine.base import kernels_of
from marquee.engine.spark import start_spark
from tests import sample_kernels
from tests.sample_kernels import Number

conf, folder, kernel = json.loads(sys.argv[1]), Path(sys.argv[2]), getattr(sample_kernels, sys.argv[3])
with kernels_of("tests"):
    engine = start_spark(conf, 128)
    began = time.monotonic()
    written = engine.map(kernel, [Number(number, 300, folder) for number in range(4)])
    print(json.dumps([written, time.monotonic() - began]))
"""


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """Spark's standalone master and two workers with one core each; the URL of the master."""
    home = Path(pyspark.__file__).parent
    start = [str(home / "bin" / "spark-class"), "org.apache.spark.deploy"]
    env = os.environ | {"SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": "256m"}
    port = free_port()
    url = f"spark://127.0.0.1:{port}"
    own = f"--host 127.0.0.1 --port {port} --webui-port 0".split()
    commands = [[start[0], f"{start[1]}.master.Master", *own]]
    for number in (2, 3):
        of_worker = (
            f"--host 127.0.0.{number} --cores 1 --memory 1g --webui-port 0 --work-dir {tmp_path}/{number}".split()
        )
        commands.append([start[0], f"{start[1]}.worker.Worker", *of_worker, url])
    with ExitStack() as stack, (tmp_path / "spark.log").open("wb") as log:
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, env=env, stdout=log, stderr=log))
            stack.callback(process.terminate)
        until = time.monotonic() + 180
        while (tmp_path / "spark.log").read_text().count("Registering worker") < len(commands) - 1:
            assert time.monotonic() < until, (tmp_path / "spark.log").read_text()
            time.sleep(0.2)
        yield url


def run(master: str, folder: Path, kernel: str) -> float:
    """Run a kernel that writes four objects; check that each is whole and there once, and return the seconds."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(CONF | {"spark.master": master}), str(folder), kernel]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], check=False, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    written, seconds = json.loads(done.stdout.splitlines()[-1])
    assert (folder / "first-attempt").exists()
    lake = LocalStore(folder / "lake")
    assert [key for key, _ in written] == [info.key for info in lake.list()]
    assert len({sha256 for _, sha256 in written}) == 4
    return float(seconds)


def test_overtaken_task_leaves_one_result(tmp_path: Path, master: str) -> None:
    """The twin of a task that hangs for five minutes ends at once; each unit has one value and one whole object."""
    assert run(master, tmp_path, "write_late") < 150
