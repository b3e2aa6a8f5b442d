"""Every metric of Marquee: its name, type, labels and description. ``docs/metrics.md`` is generated from here.

The exporter publishes the state of the lake and the mart, which it reads from markers and the ledger. A job publishes
its progress while it runs, and pushes some metrics at its end. Names follow Prometheus' conventions: base units,
instants as seconds since 1970 and never as ages, and no label whose values grow with the data. Every series also has
the label ``environment``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

# The library would add a creation time to each counter, which nothing uses.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

ENVIRONMENT = "environment"

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True)
class Metric:
    """One metric. ``labels`` excludes ``environment``; a ``pushed`` metric also goes to a Pushgateway at the end."""

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
    """Return a value of a metric; ValueError if the labels differ from the metric's."""
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
    "end of the newest complete period, one made after its end (a captured day always counts): the freshness of the "
    "data",
)
WATERMARK = _gauge(
    "watermark_timestamp_seconds",
    _OF_GRAIN,
    "end of the last period before the first missing one: every period before this time has been made",
)
PERIODS = _gauge(
    "periods",
    (*_OF_GRAIN, "state"),
    "periods of the exporter's window by state: done, pending, stale, failed, or waiting (not over, or an upstream "
    "input is missing)",
)
OLDEST_OPEN = _gauge(
    "oldest_open_period_timestamp_seconds",
    _OF_GRAIN,
    "start of the window's oldest period that is pending, stale or failed; absent without one",
)
HOUR_STATE = _gauge(
    "hour_state",
    ("days_ago", "hour"),
    "state of a UTC hour of the last seven days (days_ago 0 to 6) in the rollup: 0 not over yet, 1 done, 2 pending (or "
    "without events), 3 stale, 4 failed; absent before the lake's first hour",
)
GENERATIONS = _gauge("generations", _OF_GRAIN, "published generations of the window's periods, in total")
LAST_FINISHED = _gauge(
    "last_run_finished_timestamp_seconds",
    _OF_GRAIN,
    "end of the last published run; for mart_load, time of the last load of a period",
)
LAST_DURATION = _gauge("last_run_duration_seconds", _OF_GRAIN, "duration of the last published run")
LAST_CPU = _gauge(
    "last_run_cpu_seconds",
    _OF_GRAIN,
    "CPU time of the last published run: its process and, on Spark, the tasks' Python processes without the JVMs",
)
NEWEST_ROWS = _gauge(
    "newest_period_rows",
    (*_OF_GRAIN, "direction"),
    "rows in and out of the newest complete period; for mart_load only out",
)
WEEK_BEFORE_ROWS = _gauge(
    "week_before_rows",
    (*_OF_GRAIN, "direction"),
    "rows of the period a week before the newest complete one, for hours, days and weeks; absent without one",
)
NEWEST_DUPLICATES = _gauge("newest_period_duplicates", _OF_GRAIN, "duplicates in the newest complete period")
NEWEST_REJECTS = _gauge(
    "newest_period_rejects", (*_OF_GRAIN, "reason"), "rejects in the newest complete period, by reason that occurs"
)
RECENT_ROWS = _gauge(
    "recent_rows",
    (*_OF_GRAIN, "direction"),
    "rows of the periods that start in the seven days before the newest complete one",
)
RECENT_DUPLICATES = _gauge("recent_duplicates", _OF_GRAIN, "duplicates in the periods of marquee_recent_rows")
RECENT_REJECTS = _gauge("recent_rejects", (*_OF_GRAIN, "reason"), "rejects in the periods of marquee_recent_rows")
HELD_FILES = _gauge(
    "held_files",
    (),
    "late or replaced raw files of the window that are not counted, because other raw objects of their hours are gone",
)
OLDEST_HELD = _gauge(
    "oldest_held_hour_timestamp_seconds", (), "start of the oldest hour with such files; absent without one"
)
_OF_PARTITION = ("topic", "kafka_partition")
OFFSET_GAPS = _gauge("offset_gaps", _OF_PARTITION, "provable gaps in the Kafka offsets of the window's raw files")
OFFSET_MISSING = _gauge("offset_missing_records", _OF_PARTITION, "records that are missing in these gaps")
NEWEST_GAP = _gauge(
    "newest_offset_gap_timestamp_seconds",
    _OF_PARTITION,
    "start of the hour in which the newest of these gaps ends; absent without a gap",
)
OFFSET_OVERLAPS = _gauge(
    "offset_overlaps", _OF_PARTITION, "places in the window's raw files where two files have the same Kafka offsets"
)
DATASET_ROWS = _gauge(
    "dataset_rows",
    ("dataset",),
    "rows of a dataset that success markers name, over all periods, without what retention has ended",
)
DATASET_BYTES = _gauge("dataset_bytes", ("dataset",), "bytes of a dataset that success markers name")
DATASET_OBJECTS = _gauge("dataset_objects", ("dataset",), "objects of a dataset that success markers name")
GARBAGE_BYTES = _gauge("garbage_bytes", (), "bytes that `marquee gc` could delete; refreshed every few hours")
GARBAGE_OBJECTS = _gauge("garbage_objects", (), "objects that `marquee gc` could delete")
OPEN_ERASURES = _gauge("open_erasures", (), "requests to erase viewers of which data may be left in the lake")
ERASURE_DEADLINE = _gauge(
    "erasure_deadline_timestamp_seconds",
    (),
    "time by which the oldest of these requests must be complete, by the setting erasure.days; absent without one",
)
OTHER_KEY_PERIODS = _gauge(
    "other_key_periods",
    (STAGE,),
    "published periods whose viewers are under other keys than the setting rollup.viewer_key: `marquee rekey` has not "
    "moved them",
)
ENDED_OBJECTS = _gauge("ended_objects", ("layer",), "objects of a layer that `marquee retain` has deleted so far")
ENDED_BYTES = _gauge("ended_bytes", ("layer",), "bytes of these objects")
RETENTION_OVERDUE = _gauge(
    "retention_overdue_timestamp_seconds",
    ("layer",),
    "time at which the oldest period of a layer should have ended that has not, by its days of retention; absent "
    "without one, and for layers without days",
)
MART_BEHIND = _gauge(
    "mart_generations_behind",
    (STAGE,),
    "published generations that belong in the mart and are not loaded yet, by their stage",
)
LAST_REFRESH = _gauge(
    "exporter_last_refresh_timestamp_seconds",
    ("part",),
    "time of the last successful refresh of a collector (schedule, rollup, profile, mart, garbage); 0 if all have "
    "failed since the exporter started",
)
REFRESH_DURATION = _gauge("exporter_refresh_duration_seconds", ("part",), "duration of a collector's last refresh")
REFRESH_ERRORS = _counter("exporter_refresh_errors", ("part",), "failed refreshes of a collector")
BUILD_INFO = _gauge("build_info", ("version",), "always 1, with the version of the exporter's code")

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
    HELD_FILES,
    OLDEST_HELD,
    OFFSET_GAPS,
    OFFSET_MISSING,
    NEWEST_GAP,
    OFFSET_OVERLAPS,
    DATASET_ROWS,
    DATASET_BYTES,
    DATASET_OBJECTS,
    GARBAGE_BYTES,
    GARBAGE_OBJECTS,
    OPEN_ERASURES,
    ERASURE_DEADLINE,
    OTHER_KEY_PERIODS,
    ENDED_OBJECTS,
    ENDED_BYTES,
    RETENTION_OVERDUE,
    MART_BEHIND,
    LAST_REFRESH,
    REFRESH_DURATION,
    REFRESH_ERRORS,
    BUILD_INFO,
)
"""The metrics of the exporter."""

JOB_START = _gauge("job_start_timestamp_seconds", (STAGE,), "start of the job", pushed=True)
JOB_DURATION = _gauge("job_duration_seconds", (STAGE,), "duration of the job; set at its end", pushed=True)
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
JOB_EXIT_CODE = _gauge("job_exit_code", (STAGE,), "exit code of the job; set at its end", pushed=True)
JOB_PERIODS = _gauge(
    "job_periods",
    (STAGE, "state"),
    "periods, or steps of a mart load, by state: done (finished, with or without success), left, failed",
    pushed=True,
)
RAW_OBJECTS = _gauge(
    "raw_objects",
    (STAGE, "class"),
    "raw objects that the last run of the rollup listed, by class: read, sidecar, hidden, folder_marker, ignored, and "
    "the unexpected other_ending, no_hour, symlink; set at the end of the run",
    pushed=True,
)
JOB_ROWS = _counter("job_rows", (STAGE, "direction"), "rows in and out of the periods that the job has published")
JOB_BYTES = _counter("job_bytes", (STAGE, "direction"), "bytes in and out of the periods that the job has published")
STORE_DURATION = _histogram(
    "store_request_duration",
    (STAGE, "operation"),
    "time of a call to S3 up to the head of its response, including retries; operation: get, put, list, delete, head",
)
STORE_RETRIES = _counter("store_retries", (STAGE,), "retries of calls to S3")
STORE_ERRORS = _counter(
    "store_errors",
    (STAGE, "code"),
    "calls to S3 that failed after all retries, by HTTP status or `connection`; not 404 or 412",
)
MART_DURATION = _histogram(
    "mart_statement_duration",
    (STAGE, "statement"),
    "time of a statement to a mart in MySQL; statement: load, commit, delete, other",
)
MART_RECONNECTS = _counter("mart_reconnects", (STAGE,), "connections to MySQL that were lost and opened again")
SCHEDULE_DURATION = _histogram(
    "schedule_request_duration", (STAGE,), "time of one attempt of a call to the schedule service"
)
SCHEDULE_RETRIES = _counter("schedule_retries", (STAGE,), "retries of calls to the schedule service")

JOBS = (
    JOB_START,
    JOB_DURATION,
    JOB_COMPLETION,
    JOB_SUCCESS,
    JOB_EXIT_CODE,
    JOB_PERIODS,
    RAW_OBJECTS,
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
"""The metrics of a job. All series of a job have the same ``stage``."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Bounds of the histograms, in seconds: from a cached answer to the timeout of a call."""


def make_gauge(metric: Metric, registry: CollectorRegistry, *known: str) -> Gauge:
    """Return the instrument of a gauge, without the ``known`` labels, which ``Labelled`` adds."""
    return Gauge(metric.name, metric.help, _left(metric, known), registry=registry)


def make_counter(metric: Metric, registry: CollectorRegistry, *known: str) -> Counter:
    """Return the instrument of a counter, without the ``known`` labels."""
    return Counter(metric.name, metric.help, _left(metric, known), registry=registry)


def make_histogram(metric: Metric, registry: CollectorRegistry, *known: str) -> Histogram:
    """Return the instrument of a histogram, without the ``known`` labels."""
    return Histogram(metric.name, metric.help, _left(metric, known), registry=registry, buckets=BUCKETS)


def _left(metric: Metric, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in metric.labels if name not in known)


class Labelled(Collector):
    """The metrics of a registry or collector, with labels added that all series of this process share."""

    def __init__(self, source: CollectorRegistry | Collector, **labels: str) -> None:
        self._source = source
        self._labels = labels

    def collect(self) -> Iterator[Family]:
        """Yield the families with the labels added."""
        for family in self._source.collect():
            family.samples = [one._replace(labels={**self._labels, **one.labels}) for one in family.samples]
            yield family


def families(samples: list[Sample]) -> Iterator[Family]:
    """Yield samples as Prometheus' families, one per metric."""
    found: dict[Metric, Family] = {}
    for one in samples:
        family = found.setdefault(
            one.metric, Family(one.metric.name.removesuffix("_total"), one.metric.help, one.metric.kind)
        )
        family.add_sample(one.metric.name, dict(one.labels), one.value)
    yield from found.values()
