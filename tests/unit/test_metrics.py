"""The registry of metrics: names, types and labels follow the conventions of Prometheus, with label `environment`."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import prometheus_client
import prometheus_client.openmetrics.exposition
import prometheus_client.openmetrics.parser
import pytest
from prometheus_client import CollectorRegistry, openmetrics

from marquee.telemetry import metrics
from marquee.telemetry.metrics import (
    EXPORTER,
    JOBS,
    Labelled,
    Metric,
    families,
    make_counter,
    make_gauge,
    make_histogram,
    sample,
)

ALL = (*EXPORTER, *JOBS)
BOUNDED = {
    *("stage", "grain", "state", "direction", "reason", "dataset", "part", "version"),
    *("days_ago", "hour", "operation", "statement", "code", "class", "layer", "topic", "kafka_partition"),
}
"""Labels whose values do not grow with the data, because none of them names a period, a run or a viewer."""

every_metric = pytest.mark.parametrize("metric", ALL, ids=lambda one: one.name)


def test_names_are_given_once() -> None:
    """Each name has one type and one meaning."""
    assert len({one.name for one in ALL}) == len(ALL)


@every_metric
def test_name_follows_the_conventions(metric: Metric) -> None:
    """Names have the prefix and base units, `_total` only for counters, and no ages."""
    assert re.fullmatch(r"marquee_[a-z0-9_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|minutes|hours|mb|kb|age)(_|$)", metric.name)
    assert metric.kind != "histogram" or metric.name.endswith("_seconds")


@every_metric
def test_labels_are_bounded(metric: Metric) -> None:
    """No label has as many values as there are periods or runs; `environment` is added to every metric."""
    assert set(metric.labels) <= BOUNDED
    assert metric.help


def test_only_gauges_are_pushed() -> None:
    """Only gauges are pushed, because a Pushgateway does not add up counters."""
    assert {one.kind for one in ALL if one.pushed} == {"gauge"}


def test_sample_has_the_labels_of_its_metric() -> None:
    """A sample with a missing or another label is an error where the sample is made."""
    found = sample(metrics.GENERATIONS, 3, stage="rollup", grain="hour")
    assert (found.metric, found.labels, found.value) == (
        metrics.GENERATIONS,
        {"stage": "rollup", "grain": "hour"},
        3,
    )
    with pytest.raises(ValueError, match="marquee_generations has the labels"):
        sample(metrics.GENERATIONS, 3, stage="rollup")


def test_samples_become_text_for_prometheus() -> None:
    """The samples of a metric become one family in the text format, and a counter keeps its `_total`."""
    listed = [
        sample(metrics.REFRESH_ERRORS, 2, part="mart"),
        sample(metrics.GARBAGE_BYTES, 7),
        sample(metrics.REFRESH_ERRORS, 0, part="rollup"),
    ]
    registry = CollectorRegistry()
    registry.register(type("Listed", (), {"collect": lambda _: families(listed)})())
    text = prometheus_client.generate_latest(registry).decode()
    assert [line for line in text.splitlines() if not line.startswith("# HELP")] == [
        "# TYPE marquee_exporter_refresh_errors_total counter",
        'marquee_exporter_refresh_errors_total{part="mart"} 2.0',
        'marquee_exporter_refresh_errors_total{part="rollup"} 0.0',
        "# TYPE marquee_garbage_bytes gauge",
        "marquee_garbage_bytes 7.0",
    ]


def test_every_metric_can_be_told_as_openmetrics() -> None:
    """A strict OpenMetrics parser reads every metric back, since Prometheus requests that format first."""
    registry = CollectorRegistry()
    for metric in JOBS:
        make = {"gauge": make_gauge, "counter": make_counter, "histogram": make_histogram}[metric.kind]
        make(metric, registry).labels(*("x" for _ in metric.labels))
    listed = [sample(metric, 1, **dict.fromkeys(metric.labels, "x")) for metric in EXPORTER]
    registry.register(type("Listed", (), {"collect": lambda _: families(listed)})())
    encode: Callable[[CollectorRegistry], bytes] = openmetrics.exposition.generate_latest
    parse: Callable[[str], Iterable[Any]] = openmetrics.parser.text_string_to_metric_families
    found = {one.name: one.type for one in parse(encode(registry).decode())}
    assert found == {one.name.removesuffix("_total"): one.kind for one in ALL}


def test_instruments_leave_known_labels_to_be_added() -> None:
    """A job's series get `stage` and `environment`, and there are no `_created` series."""
    registry = CollectorRegistry()
    make_counter(metrics.JOB_ROWS, registry, "stage").labels(direction="in").inc(5)
    make_gauge(metrics.JOB_EXIT_CODE, registry, "stage").set(75)
    make_histogram(metrics.STORE_DURATION, registry, "stage").labels(operation="get").observe(0.3)
    told = CollectorRegistry()
    told.register(Labelled(registry, environment="dev", stage="rollup"))
    lines = [line for line in prometheus_client.generate_latest(told).decode().splitlines() if not line.startswith("#")]
    assert 'marquee_job_rows_total{direction="in",environment="dev",stage="rollup"} 5.0' in lines
    assert 'marquee_job_exit_code{environment="dev",stage="rollup"} 75.0' in lines
    bucket = (
        'marquee_store_request_duration_seconds_bucket{environment="dev",le="0.5",operation="get",stage="rollup"} 1.0'
    )
    assert bucket in lines
    assert [line for line in lines if "_created" in line] == []
    assert [line for line in lines if 'environment="dev",' not in line] == []
