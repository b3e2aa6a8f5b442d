"""Contents and user of the images, and their start with a read-only file system except /tmp."""

import re
import subprocess
from typing import IO

import pytest

from tests.helpers_images import DOCKER, VERSION, Image

MB = 1_000_000
LIMITS = {
    "schedule_fetch": 350 * MB,
    "mart_load": 350 * MB,
    "rollup": 750 * MB,
    "profile": 750 * MB,
    "exporter": 350 * MB,
}
"""Bytes of all files, uncompressed."""

SETTINGS = {
    "MARQUEE_LAKE": "s3://lake",
    "MARQUEE_RAW": "s3://raw",
    "MARQUEE_ROLLUP__VIEWER_KEY": "canary-77c0-canary-77c0",
    "MARQUEE_SCHEDULE_FETCH__COUNTRIES": '["KR"]',
    "MARQUEE_MART__URL": "duckdb:////tmp/kiosk.duckdb",
}


def test_stage_tells_of_itself(image: Image) -> None:
    """Each image runs its stage, and --help needs nothing but the image."""
    assert image.inspect()["Config"]["Cmd"] == ["python", "-m", f"jobs.{image.stage}"]
    run = image.run("python", "-m", f"jobs.{image.stage}", "--help")
    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout.startswith(f"usage: python -m jobs.{image.stage}")


def test_stage_tells_its_settings(image: Image) -> None:
    """With --config a stage lists its settings with secrets masked."""
    run = image.run("python", "-m", f"jobs.{image.stage}", "--config", env=SETTINGS)
    assert (run.stderr, run.returncode) == ("", 0)
    assert "MARQUEE_LAKE=s3://lake  # MARQUEE_LAKE" in run.stdout.splitlines()
    assert "canary" not in run.stdout


def test_stage_ends_with_its_own_exit_code(image: Image) -> None:
    """A stage with missing settings ends with 78, which reaches the cluster through tini and the entry point."""
    run = image.run()
    assert run.returncode == 78
    assert "MARQUEE_LAKE: is not set" in run.stderr


def test_stage_runs_at_a_terminal(image: Image) -> None:
    """At a terminal and without rich, a stage reports an error of settings like without a terminal."""
    run = image.run(options=("--network", "none", "--tty"), env=SETTINGS | {"MARQUEE_S3__RETRY_FOR_S": "-1"})
    assert run.returncode == 78
    assert "MARQUEE_S3__RETRY_FOR_S" in run.stdout


def test_first_process_is_tini(image: Image) -> None:
    """The first process is tini, which forwards signals and reaps processes that Spark's workers leave behind."""
    assert image.run("cat", "/proc/1/comm").stdout == "tini\n"


def test_user_is_a_number_and_not_root(image: Image) -> None:
    """The user is a number other than 0, because Kubernetes cannot tell whether a name is root."""
    assert image.inspect()["Config"]["User"] == "185:185"


@pytest.mark.parametrize("tool", ["pip", "pip3", "gcc", "cc", "ld", "strip", "make", "curl", "javac", "git"])
def test_no_tools_for_building(image: Image, tool: str) -> None:
    """An image has neither pip nor a compiler."""
    assert image.run("sh", "-c", f"command -v {tool}").stdout == ""


@pytest.mark.parametrize("module", ["pip", "ensurepip", "setuptools", "rich", "pytest", "moto"])
def test_no_modules_that_no_stage_needs(image: Image, module: str) -> None:
    """An image has no modules for installing or testing; only the exporter's, where the command runs, prints tables."""
    if (module, image.stage) == ("rich", "exporter"):
        return
    run = image.run("python", "-c", f"import {module}")
    assert f"No module named '{module}'" in run.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("marquee status", "not made yet"),
        ("marquee gc --delete all", "There is no garbage older than 168 hours."),
        ("marquee verify", "so there is nothing to verify"),
        ("marquee mart init && marquee mart upgrade", "has schema version"),
        ("marquee mart init && marquee ask top-shows", "Shows and episodes: TVmaze"),
        ("marquee preflight --help", "usage: marquee preflight"),
    ],
)
def test_command_runs_in_the_image_of_the_exporter(command: str, said: str) -> None:
    """The command runs where the exporter does, here on an empty lake and a mart in a file of DuckDB."""
    env = SETTINGS | {"MARQUEE_LAKE": "file:///tmp/lake", "MARQUEE_RAW": "file:///tmp/raw"}
    run = Image("exporter").run("sh", "-c", f"mkdir /tmp/lake /tmp/raw && {command}", env=env)
    assert run.returncode == 0, run.stderr
    assert said in run.stdout


@pytest.mark.parametrize("stage", ["rollup", "profile"])
def test_launcher_can_speak_to_kubernetes(stage: str) -> None:
    """The Kubernetes client works in the Spark images, although its asynchronous part is left out."""
    code = "from kubernetes import client, config, watch; client.CustomObjectsApi(); print('whole')"
    assert Image(stage).run("python", "-c", code).stdout == "whole\n"


def test_labels_tell_what_it_is(image: Image) -> None:
    """Each image has the OCI labels for title, description, licence, version and commit."""
    found = {
        name.removeprefix("org.opencontainers.image."): text
        for name, text in image.inspect()["Config"]["Labels"].items()
    }
    assert found["title"] == f"marquee/{image.stage}"
    assert found["description"]
    assert found["licenses"] == "Apache-2.0"
    assert found["version"] == VERSION
    assert re.fullmatch("[0-9a-f]{40}", found["revision"])


def test_version_is_that_of_the_label(image: Image) -> None:
    """The version of the image is the version that the code reports."""
    assert image.run("python", "-m", f"jobs.{image.stage}", "--version").stdout == f"marquee {VERSION}\n"


def size_of(stream: IO[bytes] | None) -> int:
    """Read a stream to its end and return its length."""
    size = 0
    while stream and (chunk := stream.read(MB)):
        size += len(chunk)
    return size


def test_image_is_small(image: Image) -> None:
    """The unpacked files of an image are below the size limit of its kind."""
    container = subprocess.run(
        [DOCKER, "create", image.name], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        with subprocess.Popen([DOCKER, "export", container], stdout=subprocess.PIPE) as export:
            size = size_of(export.stdout)
    finally:
        subprocess.run([DOCKER, "rm", container], check=True, capture_output=True)
    assert export.returncode == 0
    assert size < LIMITS[image.stage]


def test_nothing_of_the_build_is_left(image: Image) -> None:
    """An image has no cache, package list or secret of the build."""
    left = "ls -A /root /var/lib/apt/lists /var/cache/apt /build /run/secrets /etc/pip.conf 2>/dev/null | grep -v ':$'"
    run = image.run("sh", "-c", left, options=("--network", "none", "--user", "0:0"))
    assert [line for line in run.stdout.splitlines() if line and not line.startswith((".bashrc", ".profile"))] == []
