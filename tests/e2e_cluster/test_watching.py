"""What watches a release: a real Prometheus scrapes its exporter and its jobs, and has its alerts, as documented."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.common.datasets import VIEWERSHIP
from jobs.common.metrics import LAST_REFRESH
from tests.e2e_cluster.cluster import Manifest, Release, documented, until
from tests.e2e_cluster.conftest import Environment
from tests.prometheus_server import Prometheus, prometheus_server

DAY = "2026-01-05"
RULES = Path(__file__).parents[2] / "charts" / "marquee" / "rules"


@contextmanager
def api_at_loopback() -> Iterator[str]:
    """Reach the cluster's API at a port of loopback, where it asks nobody who they are."""
    command = ["kubectl", "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            assert found is not None, f"{' '.join(command)} names no port"
            yield found[0]
        finally:
            process.terminate()


PATHS = {"metrics": "/metrics", "spark-ui": "/metrics/driver/prometheus/"}
"""Where a pod's named port tells its metrics, as the PodMonitors say."""


def targets_of(pods: list[Manifest], api: str) -> list[Manifest]:
    """Return what of pods that run there is to scrape, through the API, as Prometheus reads it from a file."""
    found = [
        (pod["metadata"], port)
        for pod in pods
        if pod["status"]["phase"] == "Running"
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]
    return [
        {"targets": [api], "labels": {"pod": pod["name"], "__metrics_path__": path_of(pod, port)}}
        for pod, port in found
        if port.get("name") in PATHS
    ]


def path_of(pod: Manifest, port: Manifest) -> str:
    """Return the path of a pod's port, behind the API's proxy."""
    return (
        f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}:{port['containerPort']}/proxy{PATHS[port['name']]}"
    )


@contextmanager
def kept_up_with(release: Release, api: str, file: Path) -> Iterator[None]:
    """Write the targets to a file, again and again while the body runs: pods of jobs come and go."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(1):
            scratch = file.with_suffix(".new")
            scratch.write_text(json.dumps(targets_of(release.find("pods"), api)))
            scratch.replace(file)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def release(done: Environment) -> Release:
    """The release with alerts and dashboards, by the documented commands; the tests have no other namespace."""
    release = done.release
    (alerts,), (dashboards,) = documented("Alerts"), documented("Dashboards")
    release.run(alerts)
    release.run(dashboards.replace("grafana.namespace=monitoring", f"grafana.namespace={release.namespace}"))
    release.kubectl("rollout", "status", f"deployment/{release.name}-marquee-exporter", "--timeout=180s")
    return release


@pytest.fixture(scope="module")
def prometheus(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the ports that the PodMonitors name, and evaluates the rules of the PrometheusRule."""
    (rule,) = release.find("prometheusrules")
    (group,) = rule["spec"]["groups"]
    folder = tmp_path_factory.mktemp("watching")
    targets = folder / "targets.json"
    scraped = {"job_name": "pods", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}
    with (
        api_at_loopback() as api,
        kept_up_with(release, api, targets),
        prometheus_server(folder / "prometheus", [], group["rules"], [scraped]) as server,
    ):
        server.wait_for(LAST_REFRESH.name)
        yield server


def test_exporter_tells_what_the_markers_say(prometheus: Prometheus, done: Environment) -> None:
    """Both days are complete, in the lake and in the mart; the rows are those of the manifests."""
    markers = done.markers()

    def value(query: str) -> float:
        (series,) = prometheus.ask(query)
        return float(series["value"][1])

    end = datetime(2026, 1, 7, tzinfo=UTC).timestamp()
    for stage in ("rollup", "mart_load"):
        of = f'{{environment="one", stage="{stage}", grain="hour"}}'
        assert value(f"marquee_newest_period_end_timestamp_seconds{of}") == end
        assert value(f"marquee_watermark_timestamp_seconds{of}") == end
    rows = sum(one.rows(VIEWERSHIP) for name, one in markers.items() if name.startswith("rollup/"))
    assert value('marquee_dataset_rows{dataset="viewership"}') == rows
    assert value("sum(marquee_mart_generations_behind)") == 0


def test_podmonitors_choose_the_pods_that_name_their_ports(release: Release) -> None:
    """The exporter's, by its labels; those of jobs and of Spark's drivers come and go."""
    monitors = {one["metadata"]["name"].removeprefix("one-marquee-"): one for one in release.find("podmonitors")}
    assert set(monitors) == {"exporter", "jobs", "spark"}
    selector = monitors["exporter"]["spec"]["selector"]
    labels = [f"{name}={value}" for name, value in selector["matchLabels"].items()]
    labels += [f"{one['key']} in ({','.join(one['values'])})" for one in selector["matchExpressions"]]
    (pod,) = release.find("pods", ",".join(labels))
    ports = [port["name"] for container in pod["spec"]["containers"] for port in container["ports"]]
    assert ports == [monitors["exporter"]["spec"]["podMetricsEndpoints"][0]["port"]]


def test_job_on_spark_tells_how_far_it_is_while_it_runs(prometheus: Prometheus, release: Release) -> None:
    """Its driver at our port, and at Spark's own, under names that do not change with the run."""
    release.start("rollup", "watched", MARQUEE_PERIOD=DAY, MARQUEE_FORCE="true")
    ours = 'marquee_job_periods{environment="one", stage="rollup", state="left"}'
    spark = "metrics_rollup_driver_DAGScheduler_job_allJobs_Value"
    until(lambda: prometheus.ask(f"max_over_time({ours}[10m])"), "the job's own metrics", 180)
    until(lambda: prometheus.ask(f"last_over_time({spark}[10m])"), "Spark's metrics", 180)
    release.finish("watched")
    stores = "max_over_time(marquee_store_request_duration_seconds_count[10m])"
    assert {one["metric"]["stage"] for one in prometheus.ask(stores)} >= {"rollup"}


def test_rules_and_dashboards_are_there(prometheus: Prometheus, release: Release) -> None:
    """Every rule is evaluated without an error, and the dashboards wait for Grafana's sidecar."""
    until(lambda: all(one["health"] == "ok" for one in prometheus.rules()), "rules that have been evaluated")
    alerts = {path.stem for path in RULES.glob("Marquee*.yaml")}
    assert {one["name"] for one in prometheus.rules() if one["type"] == "alerting"} == alerts
    boards = release.find("configmaps", "grafana_dashboard=1")
    assert {key for one in boards for key in one["data"]} == {
        "pipeline-health.json",
        "spark-runs.json",
        "audience.json",
    }
