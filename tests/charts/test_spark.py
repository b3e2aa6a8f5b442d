"""The SparkApplication that a launcher creates, complete without the webhook of the operator."""

from pathlib import Path
from typing import Any

import pytest

from jobs.launcher.application import Owner, fill_in, read_template
from jobs.launcher.settings import LauncherSettings
from marquee.engine.spark_session import QUICK_JAVA
from marquee.settings.loading import load_settings
from tests.charts.rendering import (
    PROD,
    SPARK_STAGES,
    STAGING,
    applications,
    environment,
    of_kind,
    render,
    stage_container,
)

pytestmark = pytest.mark.helm

WITH_TEMPLATE = {
    "cores",
    "coreRequest",
    "coreLimit",
    "memory",
    "memoryOverhead",
    "javaOptions",
    "serviceAccount",
    "labels",
    "template",
}
"""Fields of driver and executor that become arguments of spark-submit; beside a template all others are ignored."""


def application(stage: str, example: str = STAGING, *sets: str) -> dict[str, Any]:
    """Return the SparkApplication of a stage."""
    return applications(render("marquee", example, *sets))[stage]


@pytest.mark.parametrize("stage", SPARK_STAGES)
def test_application_says_everything(stage: str) -> None:
    """A SparkApplication has all fields except the owner, the run and the periods, which the launcher adds."""
    one = application(stage, STAGING, 'image.tag="9"')
    assert (one["apiVersion"], one["kind"]) == ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
    spec = one["spec"]
    assert {name: spec[name] for name in ("type", "pythonVersion", "mode", "sparkVersion", "restartPolicy")} == {
        "type": "Python",
        "pythonVersion": "3",
        "mode": "cluster",
        "sparkVersion": "4.3.0",
        "restartPolicy": {"type": "Never"},
    }
    assert spec["image"] == f"registry.example.org/marquee/{stage}:9"
    main = spec["mainApplicationFile"].removeprefix("local:///opt/marquee/")  # where the images have jobs/
    assert main == f"jobs/{stage}/__main__.py"
    assert (Path(__file__).parents[2] / main).is_file()
    assert spec["timeToLiveSeconds"] == 86400
    assert "arguments" not in spec
    assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "r"


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_role_uses_the_template_and_nothing_that_needs_the_webhook(role: str) -> None:
    """Driver and executor use a pod template with the container name that the operator expects, and no other fields."""
    spec = application("rollup")["spec"][role]
    assert set(spec) <= WITH_TEMPLATE | ({"instances", "deleteOnTermination"} if role == "executor" else set())
    template = spec["template"]
    assert [one["name"] for one in template["spec"]["containers"]] == [f"spark-kubernetes-{role}"]
    assert spec["labels"] == {"app.kubernetes.io/component": f"rollup-{role}"}
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == f"rollup-{role}"
    assert template["spec"]["serviceAccountName"] == spec["serviceAccount"] == f"r-marquee-rollup-{role}"
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_spark_spills_to_a_bounded_volume_of_its_own(role: str) -> None:
    """Spark spills into a volume of limited size, by a name that Spark uses for its local folders."""
    spec = application("rollup", STAGING, f"spark.{role}.localDirSize=3Gi")["spec"][role]["template"]["spec"]
    assert {"name": "spark-local-dir-1", "emptyDir": {"sizeLimit": "3Gi"}} in spec["volumes"]
    assert "spark-local-dir-1" in [one["name"] for one in spec["containers"][0]["volumeMounts"]]


def test_driver_has_the_settings_of_its_launcher() -> None:
    """The driver has the settings in its template, so that an upgrade does not change them under an old image."""
    objects = render("marquee", STAGING)
    settings = of_kind(objects, "ConfigMap")["r-marquee-settings"]["data"]
    (container,) = applications(objects)["rollup"]["spec"]["driver"]["template"]["spec"]["containers"]
    variables = environment(container)
    assert settings.items() <= variables.items()
    assert variables["MARQUEE_ENGINE__KIND"] == "spark"
    assert "envFrom" not in container


def test_secrets_of_driver_and_executors() -> None:
    """Driver and executors of rollup have the viewer key, which tasks do not carry; other executors only keys of S3."""
    objects = applications(render("marquee", STAGING))

    def secrets(stage: str, role: str) -> set[str]:
        (container,) = objects[stage]["spec"][role]["template"]["spec"]["containers"]
        return {name for name, value in environment(container).items() if "secretKeyRef" in value}

    s3 = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert secrets("rollup", "driver") == secrets("rollup", "executor") == s3 | {"MARQUEE_ROLLUP__VIEWER_KEY"}
    assert secrets("profile", "driver") == secrets("profile", "executor") == s3


def test_spark_encrypts_what_it_sends_and_writes() -> None:
    """Spark encrypts between driver and executors and on disk, and uses no TCP between Java and Python."""
    conf = application("rollup", STAGING)["spec"]["sparkConf"]
    for name in (
        "spark.authenticate",
        "spark.network.crypto.enabled",
        "spark.io.encryption.enabled",
        "spark.python.unix.domain.socket.enabled",
    ):
        assert conf[name] == "true"


def test_java_has_the_options_of_the_engine() -> None:
    """Driver and executors start Java with the options that the engine gives it where there is no chart."""
    spec = application("profile", STAGING)["spec"]
    assert [spec[role]["javaOptions"] for role in ("driver", "executor")] == [QUICK_JAVA, QUICK_JAVA]


def test_configuration_fixes_ports_and_names_metrics() -> None:
    """The configuration fixes ports and names metrics by the stage, and values of the chart override it."""
    conf = application("profile", STAGING, 'spark.sparkConf.spark\\.ui\\.prometheus\\.enabled="false"')["spec"][
        "sparkConf"
    ]
    assert conf["spark.metrics.namespace"] == "profile"
    assert (conf["spark.driver.port"], conf["spark.driver.blockManager.port"], conf["spark.blockManager.port"]) == (
        "7078",
        "7079",
        "7079",
    )
    assert conf["spark.metrics.conf.driver.sink.prometheusServlet.class"].endswith("PrometheusServlet")
    assert all(isinstance(value, str) for value in conf.values())


def test_executors_are_fixed_or_come_and_go() -> None:
    """Executors have a fixed number of instances or dynamic allocation, but not both."""
    fixed = application("profile", STAGING)["spec"]
    assert fixed["executor"]["instances"] == 2
    assert application("rollup", STAGING)["spec"]["executor"]["instances"] == 1  # its own values say so
    assert "dynamicAllocation" not in fixed
    moving = application("rollup", PROD)["spec"]
    assert moving["dynamicAllocation"] == {
        "enabled": True,
        "shuffleTrackingEnabled": True,
        "initialExecutors": 1,
        "minExecutors": 1,
        "maxExecutors": 8,
    }
    assert "instances" not in moving["executor"]


def test_sizes_come_from_values() -> None:
    """Sizes are arguments of spark-submit, because it overwrites the resources of a template."""
    executor = application("rollup", PROD)["spec"]["executor"]
    assert (executor["cores"], executor["coreRequest"], executor["memory"], executor["memoryOverhead"]) == (
        4,
        "4",
        "2g",
        "6g",
    )
    assert "coreLimit" not in executor
    assert "resources" not in executor["template"]["spec"]["containers"][0]


def test_pods_of_spark_are_scheduled_as_the_stage_or_by_themselves() -> None:
    """The driver is scheduled like the pod of its stage, and executors on the nodes of their own values."""
    spec = application("rollup", PROD, "defaults.priorityClassName=batch")["spec"]
    roles = {role: spec[role]["template"]["spec"] for role in ("driver", "executor")}
    assert (roles["driver"]["priorityClassName"], roles["executor"]["priorityClassName"]) == ("batch", "batch")
    assert "nodeSelector" not in roles["driver"]
    assert roles["executor"]["nodeSelector"] == {"example.org/pool": "spark"}
    assert roles["executor"]["tolerations"][0]["key"] == "example.org/pool"


@pytest.mark.parametrize("stage", SPARK_STAGES)
def test_launcher_can_work_with_what_the_chart_gives_it(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher loads its settings and fills in the application, which keeps the labels of the release."""
    objects = render("marquee", STAGING, release="a" * 18)
    settings = of_kind(objects, "ConfigMap")["aaaaaaaaaaaaaaaaaa-marquee-settings"]["data"]
    variables = environment(stage_container(objects, stage, "aaaaaaaaaaaaaaaaaa-marquee"))
    for name, value in (settings | variables).items():
        if name.startswith("MARQUEE_"):
            monkeypatch.setenv(name, value if isinstance(value, str) else "filled-in")
    told = load_settings(LauncherSettings).launcher
    assert (told.namespace, told.job_name, told.job_uid) == ("filled-in", "filled-in", "filled-in")
    assert (
        told.deadline_s
        < of_kind(objects, "CronJob")[f"aaaaaaaaaaaaaaaaaa-marquee-{stage}"]["spec"]["jobTemplate"]["spec"][
            "activeDeadlineSeconds"
        ]
    )
    text = of_kind(objects, "ConfigMap")[f"aaaaaaaaaaaaaaaaaa-marquee-{stage}-application"]["data"][
        told.application.name
    ]
    owner = Owner(stage, "job", "uid")
    made = fill_in(read_template(text, "the file"), owner, ["--from", "2026-01-05"], 1)
    assert len(made["metadata"]["name"]) <= 40
    assert made["metadata"]["labels"]["app.kubernetes.io/instance"] == "a" * 18
    assert made["spec"]["arguments"] == ["--from", "2026-01-05"]
