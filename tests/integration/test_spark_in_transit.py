"""What passes between the processes of Spark, and what Spark writes to disks: no viewer key, and no user id.

The rollup runs on two executors, in a network of its own, on whose loopback a sniffer listens.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from marquee.storage.local import LocalStore
from tests.conftest import SPARK_CONF
from tests.helpers_rollup import HOUR, SECRET, key_of, line, lines_of, spoilt

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parents[2]
PLAYED, REJECTED = "person-5VxK2", "person-8QzW7"
"""Users of a play, and of a line that is rejected, which is kept as it is and passes through the shuffle."""

CONF = SPARK_CONF | {
    "spark.master": "local-cluster[2,1,512]",
    "spark.executor.memory": "512m",
    "spark.executor.extraJavaOptions": SPARK_CONF["spark.driver.extraJavaOptions"],
    "spark.authenticate": "true",
    "spark.authenticate.secret": "of this test's Spark",
}
UNPROTECTED = {
    "spark.network.crypto.enabled": "false",
    "spark.io.encryption.enabled": "false",
    "spark.python.unix.domain.socket.enabled": "false",
}
PROGRAM = """
import json, os, sys, threading, time
from pathlib import Path
from unittest import mock

from jobs.rollup.units import ParseUnit
from marquee.calendar import Span
from marquee.engine.spark import start_spark
from marquee.storage.local import LocalStore
from tests.helpers_rollup import HOUR, SECRET, World

conf, folder, leaky = json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "leaky"
ended = threading.Event()

def keep_files():
    # Spark deletes its files in the end: a second name keeps their content.
    while not ended.wait(0.02):
        for path in (folder / "local").rglob("*"):
            name = folder / "kept" / f"{path.stat().st_ino}-{path.name}" if path.is_file() else None
            if name and not name.exists():
                try:
                    os.link(path, name)
                except FileNotFoundError:
                    pass

keeper = threading.Thread(target=keep_files)
keeper.start()
world = World(LocalStore(folder / "raw"), LocalStore(folder / "lake"), reject_share=1)
try:
    engine = start_spark(conf, 128)
    assert world.run(Span(HOUR.start, HOUR.end), engine=engine).exit_code == 0
    executors = engine.session.spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
    assert executors == 2, executors
    if leaky:
        later = HOUR.next()
        with mock.patch("jobs.rollup.stage.ParseUnit", lambda **given: ParseUnit(**given | {"viewer_key": SECRET})):
            world.run(Span(later.start, later.end), engine=engine)
    time.sleep(0.1)
    engine.session.spark.stop()
finally:
    ended.set()
    keeper.join()
"""


@pytest.fixture(autouse=True)
def _may_listen() -> None:
    """Skip without the rights of root to make a network and to listen there; fail in CI."""
    probe = [sys.executable, "-c", "from tests.sniffer import listen; listen()"]
    if subprocess.run(probe, cwd=ROOT, check=False, capture_output=True).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("no network of its own can be made here: CI runs these tests as root, with the right to do so")
        pytest.skip("needs root, and the right to make a network")


def run(folder: Path, conf: dict[str, str], *, leaky: bool = False) -> None:
    """Roll up two hours on two executors; ``leaky`` puts the key into the tasks of the second."""
    for name in ("flows", "kept", "local", "home"):
        (folder / name).mkdir()
    raw = LocalStore(folder / "raw")
    for hour in (HOUR, HOUR.next()):
        at = f"{hour.start:%Y-%m-%dT%H:02:11Z}"
        lines = [line(user_id=PLAYED, received_at=at), spoilt(b'"KR"', b'"kr"', line(user_id=REJECTED, received_at=at))]
        for number in range(2):
            raw.put(key_of(f"{number}.json", hour), lines_of(*lines))
    home = Path(pyspark.__file__).parent
    for path in home.iterdir():  # the workers write to a folder in Spark's own
        (folder / "home" / path.name).symlink_to(path)
    environment = os.environ | {
        "MARQUEE_ROLLUP__VIEWER_KEY": SECRET,
        "SPARK_HOME": str(folder / "home"),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
    }
    program = [sys.executable, "-c", PROGRAM, json.dumps(conf), str(folder), "leaky" if leaky else ""]
    done = subprocess.run(
        [sys.executable, "-m", "tests.sniffer", str(folder / "flows"), *program],
        cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-8000:]


def forms_of(key: bytes) -> list[bytes]:
    """Return the key as it is, in hexadecimal digits, and in base64 at each offset, without ends that may differ."""
    in_base64 = [base64.b64encode(b"\0" * shift + key)[4 : len(key)] for shift in range(3)]
    return [key, key.hex().encode(), key.hex().upper().encode(), *in_base64]


def found(folder: Path, *wanted: bytes) -> set[str]:
    """Return in which files of a folder, by the beginning of their names, one of the texts is."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return {path.name.partition("-")[0] for path in files if any(text in path.read_bytes() for text in wanted)}


def test_neither_key_nor_user_passes_or_is_written(tmp_path: Path) -> None:
    """With Marquee's own configuration neither the viewer key nor a user id is on loopback or in Spark's files."""
    run(tmp_path, CONF)
    secrets = [*forms_of(SECRET.encode()), PLAYED.encode(), REJECTED.encode()]
    assert sum(path.stat().st_size for path in (tmp_path / "flows").iterdir()) > 100_000
    assert [path for path in (tmp_path / "kept").iterdir() if "shuffle_" in path.name]
    assert not found(tmp_path / "flows", *secrets)
    assert not found(tmp_path / "kept", *secrets)
    assert not found(tmp_path / "home" / "work", *secrets)


def test_sniffer_finds_what_is_not_protected(tmp_path: Path) -> None:
    """Without the protection the sniffer finds a user id on loopback and in files; and the key, if tasks have it."""
    run(tmp_path, CONF | UNPROTECTED, leaky=True)
    assert found(tmp_path / "flows", REJECTED.encode())
    assert found(tmp_path / "kept", REJECTED.encode())
    assert found(tmp_path / "flows", *forms_of(SECRET.encode()))
