"""Monitoring in the chart: the Deployment of the exporter, the ports of stages and drivers, and PodMonitors."""

import json
from typing import Any

import pytest

from jobs.exporter.collectors import make_collectors
from jobs.exporter.settings import ExporterSettings
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from tests.charts.rendering import (
    DEV,
    PROD,
    SPARK_STAGES,
    STAGES,
    STAGING,
    Object,
    applications,
    environment,
    of_kind,
    pod_templates,
    render,
    stage_container,
)

pytestmark = pytest.mark.helm

MONITORED = "metrics.podMonitors.enabled=true"


def exporter(example: str, *sets: str) -> Object:
    """Return the Deployment of the exporter."""
    return of_kind(render("marquee", example, *sets), "Deployment")["r-marquee-exporter"]


def exporter_container(example: str, *sets: str) -> Object:
    """Return the one container of the exporter."""
    (container,) = exporter(example, *sets)["spec"]["template"]["spec"]["containers"]
    return dict(container)


# The exporter.


def test_exporter_runs_with_the_settings_and_secrets_of_the_stages() -> None:
    """One exporter runs in its own image, with the settings and the Secrets that its stages need."""
    container = exporter_container(STAGING, "image.tag=1.2.3")
    assert container["image"] == "registry.example.org/marquee/exporter:1.2.3"
    assert container["args"] == ["python", "-m", "jobs.exporter"]
    assert container["envFrom"] == [{"configMapRef": {"name": "r-marquee-settings"}}]
    secrets = {value["secretKeyRef"]["name"] for value in environment(container).values() if "secretKeyRef" in value}
    assert secrets == {"marquee-s3", "marquee-viewer-key", "marquee-mart"}
    assert exporter(STAGING)["spec"]["replicas"] == 1
    assert exporter(STAGING)["spec"]["strategy"] == {"type": "Recreate"}


def test_exporter_looks_at_the_stages_that_are_there() -> None:
    """The exporter collects enabled stages only, and needs no settings or Secrets of disabled ones."""
    assert parts_of(STAGING) == ["schedule", "rollup", "profile", "mart", "garbage"]
    sets = ("stages.rollup.enabled=false", "stages.mart_load.enabled=false")
    assert parts_of(STAGING, *sets) == ["schedule", "profile", "garbage"]
    assert {"MARQUEE_ROLLUP__VIEWER_KEY", "MARQUEE_MART__PASSWORD"} & set(
        environment(exporter_container(STAGING, *sets))
    ) == set()


def parts_of(example: str, *sets: str) -> Any:
    """Return the collectors that the exporter is configured with."""
    return json.loads(environment(exporter_container(example, *sets))["MARQUEE_EXPORTER__PARTS"])


@pytest.mark.parametrize("example", [DEV, STAGING, PROD])
def test_exporter_can_read_its_settings(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ConfigMap and the variables of the exporter are complete settings for each collector."""
    objects = render("marquee", example, "environment=dev-2", "metrics.port=9999", "settings.exporter.window_days=14")
    variables = of_kind(objects, "ConfigMap")["r-marquee-settings"]["data"]
    container = exporter_container(example)
    variables |= {name: one for name, one in environment(container).items() if name.startswith("MARQUEE_")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "4" * 32)
    check_names()
    settings = load_settings(ExporterSettings)
    assert (settings.environment, settings.metrics.port, settings.exporter.window_days) == ("dev-2", 9999, 14)
    assert [one.name for one in make_collectors(settings, Any)] == parts_of(example)  # type: ignore[arg-type]


def test_environment_is_the_release_unless_told() -> None:
    """The environment is the name of the release by default."""
    told = of_kind(render("marquee", STAGING), "ConfigMap")["r-marquee-settings"]["data"]
    assert (told["MARQUEE_ENVIRONMENT"], told["MARQUEE_METRICS__PORT"]) == ("r", "9464")
    told = of_kind(render("marquee", PROD), "ConfigMap")["r-marquee-settings"]["data"]
    assert told["MARQUEE_ENVIRONMENT"] == "prod"


def test_exporter_is_probed_at_its_port() -> None:
    """The exporter has a liveness probe and a readiness probe at its port."""
    container = exporter_container(STAGING)
    assert container["ports"] == [{"name": "metrics", "containerPort": 9464}]
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"path": "/healthz", "port": "metrics"},
        "livenessProbe": {"path": "/healthz", "port": "metrics"},
        "readinessProbe": {"path": "/readyz", "port": "metrics"},
    }


def test_exporter_is_started_anew_with_other_settings() -> None:
    """Changed settings restart the exporter, because its pods have a checksum of the settings."""
    sums = [
        exporter(STAGING, *sets)["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
        for sets in ((), ("settings.rollup.grace_minutes=20",), ("stages.rollup.suspend=true",))
    ]
    assert sums[0] == sums[2] != sums[1]


def test_exporter_may_be_moved_and_jobs_may_not() -> None:
    """The autoscaler may evict the exporter, but not the jobs."""
    name = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    assert exporter(STAGING)["spec"]["template"]["metadata"]["annotations"][name] == "true"
    templates = dict(pod_templates(render("marquee", STAGING)))
    assert templates["CronJob r-marquee-rollup"]["metadata"]["annotations"][name] == "false"


def test_service_leads_to_the_exporter() -> None:
    """The Service selects the exporter by its labels, at the port named metrics."""
    (service,) = of_kind(render("marquee", STAGING), "Service").values()
    labels = exporter(STAGING)["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 9464, "targetPort": "metrics"}]


def test_exporter_has_a_disruption_budget_when_wanted() -> None:
    """The budget has the spec of the values and selects the exporter."""
    assert of_kind(render("marquee", STAGING), "PodDisruptionBudget") == {}
    objects = render("marquee", STAGING, "exporter.podDisruptionBudget.maxUnavailable=0")
    budget = of_kind(objects, "PodDisruptionBudget")["r-marquee-exporter"]["spec"]
    labels = of_kind(objects, "Deployment")["r-marquee-exporter"]["spec"]["template"]["metadata"]["labels"]
    assert budget["maxUnavailable"] == 0
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_service_monitor_takes_the_place_of_the_exporters_pod_monitor() -> None:
    """With a ServiceMonitor, which selects the exporter's Service, no PodMonitor scrapes the exporter once more."""
    sets = (MONITORED, "metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.labels.release=prometheus")
    objects = render("marquee", STAGING, *sets)
    monitor = of_kind(objects, "ServiceMonitor")["r-marquee-exporter"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"] == [{"port": "metrics"}]
    (service,) = of_kind(objects, "Service").values()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert sorted(of_kind(objects, "PodMonitor")) == ["r-marquee-jobs", "r-marquee-spark"]


def test_exporter_can_be_left_out() -> None:
    """A disabled exporter has no account, Service, policy and PodMonitor."""
    objects = render("marquee", STAGING, "exporter.enabled=false", MONITORED)
    assert [one["metadata"]["name"] for one in objects if "exporter" in one["metadata"]["name"]] == []


# Ports and PodMonitors.


def test_stages_and_drivers_have_a_port_for_metrics() -> None:
    """Stages and drivers have a port for metrics, and launchers and executors have none."""
    objects = render("marquee", STAGING, "metrics.port=9999")
    port = [{"name": "metrics", "containerPort": 9999}]
    found = {stage: stage_container(objects, stage).get("ports") for stage in STAGES}
    assert found == {"schedule-fetch": port, "rollup": None, "profile": None, "mart-load": port}
    for application in applications(objects).values():
        roles = {
            role: application["spec"][role]["template"]["spec"]["containers"][0] for role in ("driver", "executor")
        }
        assert (roles["driver"]["ports"], "ports" in roles["executor"]) == (port, False)
        assert environment(roles["driver"])["MARQUEE_METRICS__PORT"] == "9999"
        assert environment(roles["driver"])["MARQUEE_ENVIRONMENT"] == "r"
    assert stage_container(render("marquee", DEV, "metrics.port=9999"), "rollup")["ports"] == port


def test_pod_monitors_are_made_when_wanted() -> None:
    """PodMonitors are rendered on request, for exporter, stages and drivers, with the labels of the values."""
    assert of_kind(render("marquee", STAGING), "PodMonitor") == {}
    sets = (MONITORED, "metrics.podMonitors.labels.release=prometheus", "metrics.podMonitors.interval=30s")
    monitors = of_kind(render("marquee", STAGING, *sets, "environment=staging"), "PodMonitor")
    release = {"app.kubernetes.io/name": "marquee", "app.kubernetes.io/instance": "r"}
    relabelings = [{"targetLabel": "environment", "replacement": "staging"}]
    own = [{"port": "metrics", "interval": "30s"}]

    def spec(components: list[str], endpoints: list[Object]) -> Object:
        by_component = {"key": "app.kubernetes.io/component", "operator": "In", "values": components}
        return {
            "selector": {"matchLabels": release, "matchExpressions": [by_component]},
            "podMetricsEndpoints": endpoints,
        }

    assert {name: one["spec"] for name, one in monitors.items()} == {
        "r-marquee-exporter": spec(["exporter"], own),
        "r-marquee-jobs": spec(["schedule-fetch", "mart-load", "rollup-driver", "profile-driver"], own),
        "r-marquee-spark": spec(
            ["rollup-driver", "profile-driver"],
            [
                {"port": "spark-ui", "path": path, "relabelings": relabelings, "interval": "30s"}
                for path in ("/metrics/driver/prometheus/", "/metrics/executors/prometheus/")
            ],
        ),
    }
    assert all(one["apiVersion"] == "monitoring.coreos.com/v1" for one in monitors.values())
    assert all(one["metadata"]["labels"]["release"] == "prometheus" for one in monitors.values())


@pytest.mark.parametrize("example", [DEV, STAGING, PROD])
def test_pod_monitors_find_the_pods_that_tell_something(example: str) -> None:
    """PodMonitors select exactly the pods that have a port for metrics."""
    objects = render("marquee", example, MONITORED)
    monitors = of_kind(objects, "PodMonitor")
    assert ("r-marquee-spark" in monitors) == (example != DEV)
    found = set()
    for monitor in (one for name, one in monitors.items() if name != "r-marquee-spark"):
        selector = monitor["spec"]["selector"]
        (expression,) = selector["matchExpressions"]
        for name, template in pod_templates(objects):
            labels = template["metadata"]["labels"]
            if selector["matchLabels"].items() <= labels.items() and labels[expression["key"]] in expression["values"]:
                found.add(name)
    with_port = {
        name
        for name, template in pod_templates(objects)
        if any(port["name"] == "metrics" for one in template["spec"]["containers"] for port in one.get("ports", []))
    }
    assert found == with_port
    drivers = set() if example == DEV else {f"driver of {stage}" for stage in SPARK_STAGES}
    assert {name for name in found if name.startswith("driver")} == drivers


def test_pushgateway_is_reached_by_who_pushes() -> None:
    """Stages and drivers may reach the Pushgateway, and launchers, executors and the exporter may not."""
    objects = render("marquee", STAGING, "settings.metrics.pushgateway_url=http://pushgateway:9091")
    told = of_kind(objects, "ConfigMap")["r-marquee-settings"]["data"]
    assert told["MARQUEE_METRICS__PUSHGATEWAY_URL"] == "http://pushgateway:9091"
    opened = {
        name.removeprefix("r-marquee-")
        for name, policy in of_kind(objects, "NetworkPolicy").items()
        if any(port["port"] == 9091 for rule in policy["spec"]["egress"] for port in rule["ports"])
    }
    assert opened == {"schedule-fetch", "mart-load", "rollup-driver", "profile-driver"}
    closed = of_kind(render("marquee", STAGING), "NetworkPolicy").values()
    assert not any(port["port"] == 9091 for one in closed for rule in one["spec"]["egress"] for port in rule["ports"])
