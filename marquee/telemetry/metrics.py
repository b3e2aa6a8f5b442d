"""Every metric of Marquee: its name, type, labels and meaning. ``docs/metrics.md`` is generated from this module.

The exporter publishes the state of the lake and the mart, from markers and ledger. A job publishes its progress while
it runs, and pushes some metrics when it ends. Names follow the conventions of Prometheus: base units, timestamps as
seconds since 1970 and never ages, and no label whose values grow with the data. Every series also has
``environment``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

# Without the timestamp of creation beside each counter, which nobody uses.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

ENVIRONMENT = "environment"

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True)
class Metric:
    """One metric: ``labels`` are those beside ``environment``; ``pushed`` ones also go to a Pushgateway at the end."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    pushed: bool = False


@dataclass(frozen=True)
class Sample:
    """One value of a metric."""

    metric: Metric
    labels: Mapping[str, str]
    value: float


def sample(metric: Metric, value: float, **labels: str) -> Sample:
    """Return a value of a metric; ValueError if its labels are not the metric's."""
    if set(labels) != set(metric.labels):
        message = f"{metric.name} has the labels {metric.labels}, not {tuple(labels)}"
        raise ValueError(message)
    return Sample(metric, labels, value)


STAGE, GRAIN = "stage", "grain"
_OF_GRAIN = (STAGE, GRAIN)


def _gauge(name: str, labels: tuple[str, ...], text: str, *, pushed: bool = False) -> Metric:
    return Metric(f"marquee_{name}", "gauge", labels, text, pushed)


def _counter(name: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(f"marquee_{name}_total", "counter", labels, text)


def _histogram(name: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(f"marquee_{name}_seconds", "histogram", labels, text)


NEWEST_END = _gauge(
    "newest_period_end_timestamp_seconds",
    _OF_GRAIN,
    "end of the newest complete period: one processed after it was over (a captured day always counts); the freshness "
    "of the data",
)
WATERMARK = _gauge(
    "watermark_timestamp_seconds",
    _OF_GRAIN,
    "end of the last period before the first missing one; every earlier period is complete",
)
PERIODS = _gauge(
    "periods",
    (*_OF_GRAIN, "state"),
    "periods in the exporter's window by state: done, pending, stale, failed, or waiting (not over yet, or an upstream "
    "period is missing)",
)
OLDEST_OPEN = _gauge(
    "oldest_open_period_timestamp_seconds",
    _OF_GRAIN,
    "start of the oldest pending, stale or failed period in the window; absent if there is none",
)
HOUR_STATE = _gauge(
    "hour_state",
    ("days_ago", "hour"),
    "state of a UTC hour of the last seven days (days_ago 0 to 6) in the rollup: 0 not over yet, 1 done, 2 pending (or "
    "without events), 3 stale, 4 failed; absent before the lake's first hour",
)
GENERATIONS = _gauge("generations", _OF_GRAIN, "total published generations of the periods in the window")
LAST_FINISHED = _gauge(
    "last_run_finished_timestamp_seconds",
    _OF_GRAIN,
    "end of the last published run; for mart_load, time of the last load of a period",
)
LAST_DURATION = _gauge("last_run_duration_seconds", _OF_GRAIN, "duration of that run")
LAST_CPU = _gauge(
    "last_run_cpu_seconds",
    _OF_GRAIN,
    "CPU time of that run: of its process, and on Spark of the tasks' Python; without the JVMs",
)
NEWEST_ROWS = _gauge(
    "newest_period_rows",
    (*_OF_GRAIN, "direction"),
    "input and output rows of the newest complete period; for mart_load only output",
)
WEEK_BEFORE_ROWS = _gauge(
    "week_before_rows",
    (*_OF_GRAIN, "direction"),
    "rows of the period a week before the newest complete one, for hours, days and weeks; absent if there is none",
)
NEWEST_DUPLICATES = _gauge("newest_period_duplicates", _OF_GRAIN, "duplicates in the newest complete period")
NEWEST_REJECTS = _gauge(
    "newest_period_rejects",
    (*_OF_GRAIN, "reason"),
    "rejects in the newest complete period; no series for a reason without rejects",
)
RECENT_ROWS = _gauge(
    "recent_rows",
    (*_OF_GRAIN, "direction"),
    "rows of the periods that start in the seven days before the newest complete period",
)
RECENT_DUPLICATES = _gauge("recent_duplicates", _OF_GRAIN, "duplicates in those periods")
RECENT_REJECTS = _gauge("recent_rejects", (*_OF_GRAIN, "reason"), "rejects in those periods")
DATASET_ROWS = _gauge("dataset_rows", ("dataset",), "rows of a dataset that success markers name, in all periods")
DATASET_BYTES = _gauge("dataset_bytes", ("dataset",), "bytes of a dataset that success markers name")
DATASET_OBJECTS = _gauge("dataset_objects", ("dataset",), "objects of a dataset that success markers name")
GARBAGE_BYTES = _gauge("garbage_bytes", (), "bytes that `marquee gc` can delete; refreshed every few hours")
GARBAGE_OBJECTS = _gauge("garbage_objects", (), "objects that `marquee gc` can delete")
MART_BEHIND = _gauge(
    "mart_generations_behind",
    (STAGE,),
    "published generations that belong in the mart and are not loaded, by source stage",
)
LAST_REFRESH = _gauge(
    "exporter_last_refresh_timestamp_seconds",
    ("part",),
    "time of the last successful refresh of a collector; part: schedule, rollup, profile, mart, garbage",
)
REFRESH_DURATION = _gauge("exporter_refresh_duration_seconds", ("part",), "duration of the last refresh of a collector")
REFRESH_ERRORS = _counter("exporter_refresh_errors", ("part",), "failed refreshes of a collector")
BUILD_INFO = _gauge("build_info", ("version",), "always 1; the label has the version of the exporter's code")

EXPORTER = (
    NEWEST_END,
    WATERMARK,
    PERIODS,
    OLDEST_OPEN,
    HOUR_STATE,
    GENERATIONS,
    LAST_FINISHED,
    LAST_DURATION,
    LAST_CPU,
    NEWEST_ROWS,
    WEEK_BEFORE_ROWS,
    NEWEST_DUPLICATES,
    NEWEST_REJECTS,
    RECENT_ROWS,
    RECENT_DUPLICATES,
    RECENT_REJECTS,
    DATASET_ROWS,
    DATASET_BYTES,
    DATASET_OBJECTS,
    GARBAGE_BYTES,
    GARBAGE_OBJECTS,
    MART_BEHIND,
    LAST_REFRESH,
    REFRESH_DURATION,
    REFRESH_ERRORS,
    BUILD_INFO,
)
"""Metrics of the exporter."""

JOB_START = _gauge("job_start_timestamp_seconds", (STAGE,), "start of the job", pushed=True)
JOB_DURATION = _gauge("job_duration_seconds", (STAGE,), "duration of the job; published when it ends", pushed=True)
JOB_COMPLETION = _gauge(
    "job_last_completion_timestamp_seconds",
    (STAGE,),
    "end of the last job of the stage, successful or not",
    pushed=True,
)
JOB_SUCCESS = _gauge(
    "job_last_success_timestamp_seconds",
    (STAGE,),
    "end of the last successful job of the stage; a failure does not change it",
    pushed=True,
)
JOB_EXIT_CODE = _gauge("job_exit_code", (STAGE,), "exit code of the job; published when it ends", pushed=True)
JOB_PERIODS = _gauge(
    "job_periods",
    (STAGE, "state"),
    "periods (or steps of a load) that the job has done, has left, and that failed among those done",
    pushed=True,
)
JOB_ROWS = _counter("job_rows", (STAGE, "direction"), "input and output rows of the periods that the job has published")
JOB_BYTES = _counter("job_bytes", (STAGE, "direction"), "input and output bytes of those periods")
STORE_DURATION = _histogram(
    "store_request_duration",
    (STAGE, "operation"),
    "duration of a call to S3 up to the answer's headers, including retries; operation: get, put, list, delete, head",
)
STORE_RETRIES = _counter("store_retries", (STAGE,), "retries of calls to S3")
STORE_ERRORS = _counter(
    "store_errors",
    (STAGE, "code"),
    "calls to S3 that finally failed, by HTTP status or `connection`; without 404 and 412",
)
MART_DURATION = _histogram(
    "mart_statement_duration",
    (STAGE, "statement"),
    "duration of a statement in a MySQL mart; statement: load, commit, delete, other",
)
MART_RECONNECTS = _counter("mart_reconnects", (STAGE,), "connections to MySQL that were lost and reopened")
SCHEDULE_DURATION = _histogram(
    "schedule_request_duration", (STAGE,), "duration of one attempt of a call to the schedule service"
)
SCHEDULE_RETRIES = _counter("schedule_retries", (STAGE,), "retries of calls to the schedule service")

JOBS = (
    JOB_START,
    JOB_DURATION,
    JOB_COMPLETION,
    JOB_SUCCESS,
    JOB_EXIT_CODE,
    JOB_PERIODS,
    JOB_ROWS,
    JOB_BYTES,
    STORE_DURATION,
    STORE_RETRIES,
    STORE_ERRORS,
    MART_DURATION,
    MART_RECONNECTS,
    SCHEDULE_DURATION,
    SCHEDULE_RETRIES,
)
"""Metrics of a job; ``stage`` is the same in all series of a job."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Bounds of the histograms, in seconds: from a cached answer to the timeout of a call."""


def make_gauge(metric: Metric, registry: CollectorRegistry, *known: str) -> Gauge:
    """Make the instrument of a gauge; labels that are ``known`` are added when it is told (see ``Labelled``)."""
    return Gauge(metric.name, metric.help, _left(metric, known), registry=registry)


def make_counter(metric: Metric, registry: CollectorRegistry, *known: str) -> Counter:
    """Make the instrument of a counter."""
    return Counter(metric.name, metric.help, _left(metric, known), registry=registry)


def make_histogram(metric: Metric, registry: CollectorRegistry, *known: str) -> Histogram:
    """Make the instrument of a histogram."""
    return Histogram(metric.name, metric.help, _left(metric, known), registry=registry, buckets=BUCKETS)


def _left(metric: Metric, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in metric.labels if name not in known)


class Labelled(Collector):
    """What a registry or a collector tells, with labels added that are the same in all of this process' series."""

    def __init__(self, told: CollectorRegistry | Collector, **labels: str) -> None:
        self._told = told
        self._labels = labels

    def collect(self) -> Iterator[Family]:
        """Yield the families, labelled."""
        for family in self._told.collect():
            family.samples = [one._replace(labels={**self._labels, **one.labels}) for one in family.samples]
            yield family


def families(samples: list[Sample]) -> Iterator[Family]:
    """Yield samples as families of Prometheus, one a metric."""
    found: dict[Metric, Family] = {}
    for one in samples:
        family = found.setdefault(
            one.metric, Family(one.metric.name.removesuffix("_total"), one.metric.help, one.metric.kind)
        )
        family.add_sample(one.metric.name, dict(one.labels), one.value)
    yield from found.values()
