"""The dashboards: files that Grafana imports unchanged, with valid queries of existing metrics.

The panels on the mart are tested on a real mart, in ``tests/e2e/test_demo.py``.
"""

import itertools
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from marquee.lake import keys
from marquee.telemetry import metrics
from tests.charts.dashboards import (
    BUILT_IN,
    FILES,
    NAMES,
    Panel,
    dashboard,
    filled_in,
    panels,
    queries,
    variables_in,
)
from tests.charts.rendering import ROOT, of_kind, render, run

ON_PROMETHEUS = ["pipeline-health", "spark-runs"]
WIDTH = 24
CONFIG_MAP_LIMIT = 1 << 20
VALUES = {"environment": "prod", "stage": "rollup", "namespace": "marquee-prod"}
AS_THEY_ARE = {"environment": "$environment", "namespace": "$namespace", "stage": "rollup"}
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))

RECORDED = {"marquee:freshness_target_seconds"}
OF_MARQUEE = {metric.name: {*metric.labels, metrics.ENVIRONMENT} for metric in (*metrics.EXPORTER, *metrics.JOBS)}
OF_KUBERNETES = {
    *("kube_cronjob_spec_suspend", "kube_cronjob_status_last_successful_time"),
    *("kube_job_failed", "kube_job_owner", "kube_job_spec_active_deadline_seconds", "kube_job_status_active"),
    *("kube_job_status_start_time", "kube_pod_status_phase"),
    *("kube_pod_container_status_terminated_reason", "kube_pod_container_status_last_terminated_reason"),
}
"""Metrics of kube-state-metrics 2, from its docs/metrics/workload/{cronjob,job,pod}-metrics.md."""
KNOWN = {*OF_MARQUEE, *OF_KUBERNETES, *RECORDED}

every_dashboard = pytest.mark.parametrize("name", NAMES)


# The files.


@every_dashboard
def test_file_is_formatted(name: str) -> None:
    """Each dashboard is formatted as JSON with two spaces, so that changes are easy to read."""
    (path,) = (one for one in FILES if one.stem == name)
    assert path.read_text() == json.dumps(dashboard(name), indent=2, ensure_ascii=False) + "\n"


def test_dashboards_are_told_apart() -> None:
    """Each dashboard has a stable uid, which links contain, and a unique title."""
    found = [dashboard(name) for name in NAMES]
    assert [one["uid"] for one in found] == [f"marquee-{name}" for name in NAMES]
    assert len({one["title"] for one in found}) == len(found)


@every_dashboard
def test_panels_say_what_they_show(name: str) -> None:
    """Each panel has a unique id, a title, a description and a unit."""
    found = dashboard(name)
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["title"] for panel in found["panels"])
    for panel in panels(found):
        assert panel["description"].endswith("."), panel["title"]
        if panel["type"] != "text":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["targets"], panel["title"]
    assert found["description"].endswith(".")
    assert (found["editable"], found["tags"]) == (False, ["marquee"])


@every_dashboard
def test_panels_lie_side_by_side(name: str) -> None:
    """No panel overlaps another or the edge of the grid."""
    found = dashboard(name)["panels"]
    for panel in found:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= WIDTH
    for one, other in itertools.combinations(found, 2):
        assert not overlap(one, other), f"{one['title']} and {other['title']}"


def overlap(one: Panel, other: Panel) -> bool:
    """Return whether two panels share a cell of the grid."""
    a, b = one["gridPos"], other["gridPos"]
    return bool(
        a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]
    )


@every_dashboard
def test_data_sources_are_chosen_by_a_variable(name: str) -> None:
    """Each panel uses the data source that the variable of its dashboard selects."""
    found = dashboard(name)
    kind = "prometheus" if name in ON_PROMETHEUS else "mysql"
    sources = list(values_of(found, "datasource"))
    assert {json.dumps(one) for one in sources} == {json.dumps({"type": kind, "uid": "${datasource}"})}
    (chooser,) = (one for one in found["templating"]["list"] if one["type"] == "datasource")
    assert (chooser["name"], chooser["query"]) == ("datasource", kind)


def values_of(value: Any, name: str) -> list[Any]:
    """Return the values under a name, at any depth."""
    if isinstance(value, list):
        return [found for one in value for found in values_of(one, name)]
    if not isinstance(value, dict):
        return []
    own = [value[name]] if name in value else []
    return own + [found for one in value.values() for found in values_of(one, name)]


@every_dashboard
def test_variables_are_there_and_used(name: str) -> None:
    """Each variable that a query uses is defined, and each defined variable is used."""
    found = dashboard(name)
    defined = {one["name"] for one in found["templating"]["list"]}
    used = variables_in(json.dumps(found["panels"]))
    assert used - set(BUILT_IN) == defined


@pytest.mark.parametrize("name", ON_PROMETHEUS)
def test_queries_are_of_one_environment(name: str) -> None:
    """Each query selects one environment, and queries of kube-state-metrics select one namespace."""
    for title, query in queries(dashboard(name)):
        for metric, selector in re.findall(r"([\w:]+)\{([^}]*)\}", filled_in(query, AS_THEY_ARE)):
            wanted = 'namespace="$namespace"' if metric.startswith("kube_") else 'environment="$environment"'
            assert wanted in selector, f"{title}: {metric}"


# The heat map.


def test_heat_map_names_every_state() -> None:
    """The heat map has a letter and a colour for each state of the exporter, days in rows and hours in columns."""
    (panel,) = (one for one in panels(dashboard("pipeline-health")) if one["type"] == "table")
    named, _ = panel["fieldConfig"]["defaults"]["mappings"]
    assert {value: (one["text"], one["color"]) for value, one in named["options"].items()} == {
        "0": ("·", "text"),
        "1": ("✓", "green"),
        "2": ("P", "yellow"),
        "3": ("S", "orange"),
        "4": ("F", "red"),
    }
    matrix = panel["transformations"][-1]
    assert matrix["id"] == "groupingToMatrix"
    assert (matrix["options"]["rowField"], matrix["options"]["columnField"]) == ("days_ago", "hour")


def test_every_stage_has_its_row() -> None:
    """Each stage has its freshness and its target, in the order in which data flow."""
    found = dashboard("pipeline-health")
    freshness = [query for title, query in queries(found) if title == "Freshness"]
    assert [re.findall('stage="(\\w+)"', query)[0] for query in freshness[::2]] == list(keys.STAGES)
    assert all("marquee:freshness_target_seconds" in query for query in freshness[1::2])


# The queries.


@pytest.mark.prometheus
@pytest.mark.parametrize("name", ON_PROMETHEUS)
def test_queries_parse(name: str, tmp_path: Path) -> None:
    """Each query of the dashboards is valid for promtool."""
    assert_promql(tmp_path, [filled_in(query, VALUES) for _, query in queries(dashboard(name))])


@pytest.mark.prometheus
def test_queries_of_runbooks_parse(tmp_path: Path) -> None:
    """Each query of the runbooks is valid for promtool, and each of its metrics exists."""
    found = [query for page in RUNBOOKS for query in promql_in(page)]
    assert_promql(tmp_path, found)
    assert {name for query in found for name in metrics_in(query)} - KNOWN - {"up"} == set()
    assert len(found) > 10


def promql_in(page: Path) -> list[str]:
    """Return the queries of a page."""
    return [textwrap.dedent(one) for one in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)]


def assert_promql(folder: Path, found: list[str]) -> None:
    """Check that promtool accepts expressions."""
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]
    path = folder / "queries.yaml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = run("promtool", "check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def metrics_in(query: str) -> set[str]:
    """Return the names of the metrics of Marquee, of recording rules, of Kubernetes and of Spark."""
    found = re.findall(r"\b(?:marquee_|marquee:|kube_|metrics_|up\b)[\w:]*", re.sub(r'"[^"]*"', '""', query))
    return {re.sub("_seconds_(bucket|count|sum)$", "_seconds", name) for name in found}


@pytest.mark.parametrize("name", ON_PROMETHEUS)
def test_metrics_of_queries_exist(name: str) -> None:
    """Each metric of the queries exists; those of Spark are tested below."""
    found = {metric for _, query in queries(dashboard(name)) for metric in metrics_in(filled_in(query, VALUES))}
    assert {metric for metric in found if not metric.startswith("metrics_")} <= KNOWN
    assert found


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_queries_exist(name: str) -> None:
    """Each label of a selector is a label of its metric, or one that Prometheus adds to a target."""
    for title, query in queries(dashboard(name)):
        for metric, selector in re.findall(r"(marquee_\w+)\{([^}]*)\}", query):
            named = set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", selector))
            known = OF_MARQUEE[re.sub("_seconds_(bucket|count|sum)$", "_seconds", metric)]
            assert named <= known | {"namespace"}, f"{title}: {metric}"


SPARK = """
import sys, urllib.request
from pyspark import SparkConf, SparkContext
conf = SparkConf().setAll({
    "spark.master": "local[1]", "spark.driver.memory": "512m", "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "true", "spark.ui.port": "0",
    "spark.metrics.namespace": "rollup",
    "spark.metrics.conf.*.sink.prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
    "spark.metrics.conf.*.sink.prometheusServlet.path": "/metrics/driver/prometheus",
}.items())
context = SparkContext(conf=conf)
context.parallelize(range(9), 3).map(lambda one: (one % 2, one)).groupByKey().count()
for path in ("driver", "executors"):
    with urllib.request.urlopen(f"{context.uiWebUrl}/metrics/{path}/prometheus/") as answer:
        sys.stdout.write(answer.read().decode())
context.stop()
"""


@pytest.mark.spark
def test_metrics_of_spark_exist() -> None:
    """A Spark application with the configuration of the chart publishes each metric of Spark in the queries."""
    done = subprocess.run([sys.executable, "-c", SPARK], check=True, capture_output=True, text=True)
    told = set(re.findall(r"^(metrics_\w+)\{", done.stdout, re.MULTILINE))
    found = {
        metric
        for _, query in queries(dashboard("spark-runs"))
        for metric in metrics_in(filled_in(query, VALUES))
        if metric.startswith("metrics_")
    }
    assert found - told == set()
    assert len(found) > 10


# In the chart.


@pytest.mark.helm
def test_chart_brings_them_for_the_sidecar() -> None:
    """The chart has a ConfigMap for each dashboard, with the label and the folder that the sidecar of Grafana reads."""
    listed = f"grafana.dashboards={json.dumps(NAMES)}"
    found = of_kind(render("marquee", "values-staging.yaml", listed, "grafana.folder=Data"), "ConfigMap")
    for name in NAMES:
        one = found[f"r-marquee-dashboard-{name}"]
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Data"}
        assert {file: json.loads(text) for file, text in one["data"].items()} == {f"{name}.json": dashboard(name)}
        assert len(one["data"][f"{name}.json"]) < CONFIG_MAP_LIMIT


@pytest.mark.helm
def test_chart_brings_those_that_are_wanted_as_they_are_wanted() -> None:
    """The chart renders the requested dashboards only, with the label and in the namespace of the values."""
    assert [
        name for name in of_kind(render("marquee", "values-staging.yaml"), "ConfigMap") if "dashboard" in name
    ] == []
    sets = ('grafana.dashboards=["audience"]', "grafana.label=grafana", "grafana.labelValue=yes", "grafana.namespace=m")
    found = of_kind(render("marquee", "values-staging.yaml", *sets), "ConfigMap")
    (one,) = (one for name, one in found.items() if "dashboard" in name)
    assert one["metadata"]["labels"]["grafana"] == "yes"
    assert "grafana_dashboard" not in one["metadata"]["labels"]
    assert one["metadata"]["namespace"] == "m"


def test_audience_credits_whose_data_it_shows() -> None:
    """The audience dashboard credits TVmaze with name, link and licence."""
    found = dashboard("audience")
    shown = [panel["options"]["content"] for panel in panels(found) if panel["type"] == "text"]
    for text in (found["description"], *shown):
        assert "TVmaze" in text
        assert "https://www.tvmaze.com" in text
        assert re.search("CC BY-SA", text)
