"""The entry point of the Spark images: what Spark's pods start with, and how it uses Spark's variables."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from marquee.engine.spark_session import FIRST_JARS

ENTRYPOINT = Path(__file__).parents[2] / "images" / "base" / "spark-entrypoint"


@pytest.fixture
def spark(tmp_path: Path) -> dict[str, str]:
    """An environment whose Spark, Java and tini print their arguments, one a line."""
    for name in ("bin/spark-submit", "bin/java", "bin/tini"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
        path.chmod(0o755)
    search = f"{tmp_path}/bin:{os.environ['PATH']}"
    return {"PATH": search, "SPARK_HOME": str(tmp_path), "JAVA_HOME": str(tmp_path)}


def start(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start the entry point of the Spark images."""
    command = [str(ENTRYPOINT), *arguments]
    return subprocess.run(command, env=environment, cwd="/", check=False, capture_output=True, text=True)


def test_driver_is_submitted_in_client_mode(spark: dict[str, str]) -> None:
    """Argument `driver` starts spark-submit with the pod's address, all other arguments, and signals for Python."""
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
        f"{spark['SPARK_HOME']}/bin/tini",
        "-s",
        "-g",
        "--",
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


def test_executor_is_a_jvm_with_what_its_variables_say(spark: dict[str, str]) -> None:
    """Argument `executor` starts Spark's Kubernetes backend, and the JVM options keep their order and spaces."""
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
    """Configuration folders precede Spark's jars, further jars follow, and a missing option adds no argument."""
    paths = {"HADOOP_CONF_DIR": "/hadoop", "SPARK_CONF_DIR": "/conf", "SPARK_EXTRA_CLASSPATH": "/more/*"}
    command = start(spark | EXECUTOR | paths, "executor").stdout.splitlines()
    assert command[1:5] == ["-Xms512m", "-Xmx512m", "-cp", f"/hadoop:/conf:{spark['SPARK_HOME']}/jars/*:/more/*:/"]


def test_executor_searches_the_jars_with_most_classes_first(spark: dict[str, str], tmp_path: Path) -> None:
    """The jars that the engine names first come first in the class path, by name, and all jars after them."""
    (tmp_path / "jars").mkdir()
    for pattern in ("zookeeper-*", *reversed(FIRST_JARS)):
        (tmp_path / "jars" / f"{pattern.strip('*')}1.jar").touch()
    command = start(spark | EXECUTOR, "executor").stdout.splitlines()
    names = [name.strip("*") for name in FIRST_JARS]
    first = ":".join(f"{tmp_path}/jars/{name}1.jar" for name in names)
    assert command[4] == f"{tmp_path}/conf:{first}:{tmp_path}/jars/*:/"


@pytest.mark.parametrize("name", ["SPARK_DRIVER_URL", "SPARK_EXECUTOR_POD_NAME"])
def test_executor_without_its_variables_says_which(spark: dict[str, str], name: str) -> None:
    """An executor without its variables fails before it starts a JVM, and names them."""
    run = start(spark | {variable: value for variable, value in EXECUTOR.items() if variable != name}, "executor")
    assert run.returncode == 1
    assert f"{name}: unbound variable" in run.stderr


def test_anything_else_is_a_command(spark: dict[str, str]) -> None:
    """Any other argument runs as a command, such as a stage or the launcher, and its exit code is kept."""
    run = start(spark, "sh", "-c", 'echo "$1"; exit 65', "sh", "a b")
    assert (run.stdout, run.returncode) == ("a b\n", 65)
