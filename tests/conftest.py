"""What all tests share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from jobs.common.engine import SparkEngine
from jobs.common.store import LocalStore, S3Options, S3Store

collect_ignore = ["images"]  # they need Docker, and images that are built: `make test-images`

SPARK_CONF = {
    "spark.master": "local[2]",
    "spark.driver.memory": "512m",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # quick to start, not quick for long
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.executorEnv.PYTHONPATH": str(Path(__file__).parents[1]),
}

# No deadline for one example: a machine may be slow now and then.
hypothesis.settings.register_profile("marquee", max_examples=100, deadline=None)
hypothesis.settings.load_profile("marquee")


@pytest.fixture
def lake(tmp_path: Path) -> LocalStore:
    """An empty lake in a folder."""
    return LocalStore(tmp_path / "lake")


@pytest.fixture(scope="session")
def tvmaze() -> Path:
    """The folder of recorded answers of TVmaze (CC BY-SA 4.0, https://www.tvmaze.com/api), beside the repository."""
    return Path(__file__).parents[2] / "shared" / "tvmaze"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the settings, profiles and credentials of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("MARQUEE_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 that this process serves on a free port of loopback."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow, and needed by few tests

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_bucket(s3_server: str) -> str:
    """A bucket for everybody."""
    import boto3  # noqa: PLC0415 - slow, and needed by few tests

    session = boto3.Session("test", "test", region_name="us-east-1")
    session.client("s3", endpoint_url=s3_server).create_bucket(Bucket="tests")
    return "tests"


@pytest.fixture
def s3_options(s3_server: str) -> S3Options:
    """How to reach the S3 on loopback."""
    return S3Options(endpoint_url=s3_server, path_style=True)


@pytest.fixture
def s3_lake(s3_bucket: str, s3_options: S3Options, tmp_path: Path) -> S3Store:
    """An empty lake in the bucket, below a prefix of its own."""
    return S3Store(s3_bucket, f"{tmp_path.name}/lake", s3_options)


@pytest.fixture(scope="session")
def spark_engine() -> Iterator[SparkEngine]:
    """One Spark for all tests that are marked so: two tasks at a time, in little memory."""
    from pyspark import SparkContext  # noqa: PLC0415 - slow, and needed by few tests

    from jobs.common.spark import start_spark  # noqa: PLC0415

    yield start_spark(SPARK_CONF, task_memory_mb=128)
    SparkContext.getOrCreate().stop()
    # PySpark leaves its Java process to the end of ours, with an open pipe that pytest would complain about.
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
