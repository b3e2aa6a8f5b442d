"""The instruments with which stores, mart and schedule client measure their calls.

They are global, because one process is one job. ``job_metrics.py`` publishes them. In processes that publish nothing,
such as Spark's executors, the measurements are lost.
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from marquee.telemetry import metrics
from marquee.telemetry.metrics import STAGE, make_counter, make_gauge, make_histogram

WORK = CollectorRegistry()
"""Metrics that are served while a job runs."""
PROGRESS = CollectorRegistry()
"""Metrics that are served while a job runs, and pushed at its end."""

JOB_PERIODS = make_gauge(metrics.JOB_PERIODS, PROGRESS, STAGE)
RAW_OBJECTS = make_gauge(metrics.RAW_OBJECTS, PROGRESS, STAGE)
JOB_ROWS = make_counter(metrics.JOB_ROWS, WORK, STAGE)
JOB_BYTES = make_counter(metrics.JOB_BYTES, WORK, STAGE)
STORE_DURATION = make_histogram(metrics.STORE_DURATION, WORK, STAGE)
STORE_RETRIES = make_counter(metrics.STORE_RETRIES, WORK, STAGE)
STORE_ERRORS = make_counter(metrics.STORE_ERRORS, WORK, STAGE)
MART_DURATION = make_histogram(metrics.MART_DURATION, WORK, STAGE)
MART_RECONNECTS = make_counter(metrics.MART_RECONNECTS, WORK, STAGE)
SCHEDULE_DURATION = make_histogram(metrics.SCHEDULE_DURATION, WORK, STAGE)
SCHEDULE_RETRIES = make_counter(metrics.SCHEDULE_RETRIES, WORK, STAGE)


def count_work(rows: Mapping[str, int], size: Mapping[str, int]) -> None:
    """Count the rows and bytes that a run has read (direction ``in``) and written (``out``)."""
    for direction, number in rows.items():
        JOB_ROWS.labels(direction).inc(number)
    for direction, number in size.items():
        JOB_BYTES.labels(direction).inc(number)
