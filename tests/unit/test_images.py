"""The images' Dockerfiles and scripts, as far as they can be checked without building: tests/images has the rest."""

import json
import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.registry import JOBS, PIPELINE

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
SCRIPTS = [path for path in sorted(IMAGES.glob("*/*")) if path.read_text().startswith("#!")]
STAGES = [*(job.name for job in PIPELINE), "exporter"]
SPARK_STAGES = {job.name for job in JOBS if job.on_spark}
ENTRYPOINT = IMAGES / "base" / "spark-entrypoint"

Instruction = tuple[str, str]
"""Its name, and the rest of it in one line."""


def instructions(dockerfile: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, without comments."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def findings(dockerfile: str) -> set[str]:
    """Return what is wrong with a Dockerfile by rules of our own: `make lint` asks hadolint for the usual ones."""
    found = instructions(dockerfile)
    return {finding for one in found for finding in _findings_of(*one)} | set(_findings_of_users(found))


def _findings_of(name: str, rest: str) -> Iterator[str]:
    if name in {"ARG", "ENV"} and re.search(r"(?i)password|secret|token|index_url", rest):
        yield f"{name} stays in the image's history: a secret mount"
    if name == "FROM" and not re.match(r"\$\{\w+\}|\w+( AS \w+)?$", rest):
        yield "FROM is no build argument, nor a stage"
    if name == "ARG" and "=" in rest and not re.search(r":(?!latest\b)[\w.-]+$", rest):
        yield "ARG names an image without a tag, or the latest"
    if name == "RUN":
        yield from _findings_of_command(rest)


def _findings_of_command(command: str) -> Iterator[str]:
    if re.search(r"\b(curl|wget)\b", command):
        yield "RUN fetches what no hash is known of"
    for part in command.split(" && "):
        installs = re.search(r"\bpip (install|wheel)|install-requirements", part)
        if installs and "--require-hashes" not in part and "--no-index" not in part:
            yield "pip installs what no hash is known of"


def _findings_of_users(found: list[Instruction]) -> Iterator[str]:
    """Find the build stages with an entry point that do not end as a numbered user."""
    user = None
    for name, rest in found:
        if name == "FROM":
            user = None
        if name == "USER":
            user = rest
        if name == "ENTRYPOINT" and not re.match(r"[1-9]\d*:[1-9]\d*$", user or ""):
            yield "ENTRYPOINT is run by root, or by a user without a number"


FINE = """
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN pip install --require-hashes -r lock.txt
FROM build
USER 185:185
ENTRYPOINT ["tini"]
"""


def test_rules_let_pass_what_is_fine() -> None:
    """The sample that the next test spoils has no findings."""
    assert findings(FINE) == set()


@pytest.mark.parametrize(
    ("fine", "spoilt", "finding"),
    [
        ("bookworm-slim", "latest", "ARG names an image without a tag, or the latest"),
        (":bookworm-slim", "", "ARG names an image without a tag, or the latest"),
        ("${BASE}", "debian:bookworm-slim", "FROM is no build argument, nor a stage"),
        ("USER 185:185", "USER marquee", "ENTRYPOINT is run by root, or by a user without a number"),
        ("USER 185:185", "USER 0:0", "ENTRYPOINT is run by root, or by a user without a number"),
        ("USER 185:185", "", "ENTRYPOINT is run by root, or by a user without a number"),
        ("--require-hashes ", "", "pip installs what no hash is known of"),
        ("RUN pip", "RUN curl -s example.org/x | sh && pip", "RUN fetches what no hash is known of"),
        ("FROM build", "FROM build\nARG PIP_INDEX_URL", "ARG stays in the image's history: a secret mount"),
    ],
)
def test_rules_find(fine: str, spoilt: str, finding: str) -> None:
    """Each rule finds what it is there for, and no other rule does."""
    assert fine in FINE
    assert findings(FINE.replace(fine, spoilt)) == {finding}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile_keeps_the_rules(path: Path) -> None:
    """Numbered user, bases by build argument with a tag, hashed packages, nothing else fetched, no secrets."""
    assert findings(path.read_text()) == set()


def targets(dockerfile: str) -> dict[str, list[Instruction]]:
    """Return the instructions of each build stage by its name, the last one's by what it builds on."""
    found: dict[str, list[Instruction]] = {}
    for name, rest in instructions(dockerfile):
        if name == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        elif found:
            list(found.values())[-1].append((name, rest))
    return found


def test_every_stage_has_an_image() -> None:
    """STAGE picks the lock that an image installs from and its target, which starts the stage as a module."""
    found = targets((IMAGES / "stage" / "Dockerfile").read_text())
    assert ("COPY", "requirements/${STAGE}.txt /build/") in found.pop("requirements")
    assert (list(found)[-1], found.pop("${STAGE}")) == ("${STAGE}", [])
    commands = {name: rest for name, lines in found.items() for instruction, rest in lines if instruction == "CMD"}
    assert commands == {stage: json.dumps(["python", "-m", f"jobs.{stage}"]) for stage in STAGES}
    assert all((ROOT / "requirements" / f"{stage}.txt").is_file() for stage in STAGES)


def test_make_builds_every_image_on_its_base() -> None:
    """`make images` builds the Spark stages on Spark, everything else on Python, and tags each with its own name."""
    command = ["make", "--dry-run", "images", "REGISTRY=registry.test", "VERSION=1"]
    shell = {"PATH": os.environ["PATH"]}  # whatever make runs the tests
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


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_can_be_run(path: Path) -> None:
    """It is executable; `make lint` has shellcheck read it."""
    assert os.access(path, os.X_OK)


def test_unused_parts_are_still_there() -> None:
    """Each pattern of what images leave out matches something that is installed; otherwise it is out of date."""
    lines = (IMAGES / "base" / "unused.txt").read_text().splitlines()
    patterns = [pattern for line in lines for pattern in line.partition("#")[0].split()]
    installed = Path(sysconfig.get_path("purelib"))
    assert len(patterns) > 50
    assert [pattern for pattern in patterns if not any(installed.glob(pattern))] == []


# What Spark's pods start with.


@pytest.fixture
def spark(tmp_path: Path) -> dict[str, str]:
    """An environment whose Spark and Java print what they are started with, an argument a line."""
    for name in ("bin/spark-submit", "bin/java"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
        path.chmod(0o755)
    return {"PATH": os.environ["PATH"], "SPARK_HOME": str(tmp_path), "JAVA_HOME": str(tmp_path)}


def start(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start the entry point of the Spark images."""
    command = [str(ENTRYPOINT), *arguments]
    return subprocess.run(command, env=environment, cwd="/", check=False, capture_output=True, text=True)


def test_driver_is_submitted_in_client_mode(spark: dict[str, str]) -> None:
    """`driver …` becomes spark-submit with the pod's address, and everything else as Spark has given it."""
    given = [
        "--properties-file",
        "/opt/spark/conf/spark.properties",
        "--class",
        "x.PythonRunner",
        "local:///a b.py",
        "",
    ]
    run = start(spark | {"SPARK_DRIVER_BIND_ADDRESS": "10.1.2.3"}, "driver", *given)
    assert run.stderr == ""
    assert run.stdout.split("\n")[:-1] == [
        f"{spark['SPARK_HOME']}/bin/spark-submit",
        "--conf",
        "spark.driver.bindAddress=10.1.2.3",
        "--conf",
        "spark.executorEnv.SPARK_DRIVER_POD_IP=10.1.2.3",
        "--deploy-mode",
        "client",
        *given,
    ]


EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@driver:7078",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_EXECUTOR_MEMORY": "512m",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_ID": "7",
    "SPARK_EXECUTOR_POD_IP": "10.1.2.4",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_NAME": "rollup-exec-7",
}
"""What Spark tells an executor."""


def test_executor_is_a_jvm_with_what_its_variables_say(spark: dict[str, str]) -> None:
    """`executor` becomes Spark's backend for Kubernetes; the JVM's options keep their order and their spaces."""
    options = [f"-Dspark.option.{number}=a b" for number in range(11)]
    told = {f"SPARK_JAVA_OPT_{number}": option for number, option in enumerate(options)}
    run = start(spark | EXECUTOR | told, "executor")
    assert run.stderr == ""
    assert run.stdout.splitlines() == [
        f"{spark['JAVA_HOME']}/bin/java",
        *options,
        "-Xms512m",
        "-Xmx512m",
        "-cp",
        f"{spark['SPARK_HOME']}/conf:{spark['SPARK_HOME']}/jars/*:/",
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
        *shlex.split("--driver-url spark://CoarseGrainedScheduler@driver:7078 --executor-id 7 --cores 2"),
        *shlex.split("--app-id spark-1 --hostname 10.1.2.4 --resourceProfileId 0 --podName rollup-exec-7"),
    ]


def test_executor_finds_configuration_where_it_is_mounted(spark: dict[str, str]) -> None:
    """Folders of configuration come before Spark's jars, further jars after them; no option is no argument."""
    paths = {"HADOOP_CONF_DIR": "/hadoop", "SPARK_CONF_DIR": "/conf", "SPARK_EXTRA_CLASSPATH": "/more/*"}
    command = start(spark | EXECUTOR | paths, "executor").stdout.splitlines()
    assert command[1:5] == ["-Xms512m", "-Xmx512m", "-cp", f"/hadoop:/conf:{spark['SPARK_HOME']}/jars/*:/more/*:/"]


@pytest.mark.parametrize("name", ["SPARK_DRIVER_URL", "SPARK_EXECUTOR_POD_NAME"])
def test_executor_without_its_variables_says_which(spark: dict[str, str], name: str) -> None:
    """Started by hand it fails before any JVM does."""
    run = start(spark | {variable: value for variable, value in EXECUTOR.items() if variable != name}, "executor")
    assert run.returncode == 1
    assert f"{name}: unbound variable" in run.stderr


def test_anything_else_is_a_command(spark: dict[str, str]) -> None:
    """The stage itself, or the launcher, runs in the same image; its exit code is the container's."""
    run = start(spark, "sh", "-c", 'echo "$1"; exit 65', "sh", "a b")
    assert (run.stdout, run.returncode) == ("a b\n", 65)
