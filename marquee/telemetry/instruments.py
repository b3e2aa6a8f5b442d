"""What the calls of a job are measured by: stores, mart and schedule client record here, wherever they are called from.

One process is one job, so the instruments are the process'. ``job_metrics.py`` tells them; where nobody does, as in
Spark's executors, what is recorded goes unseen.
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from marquee.telemetry import metrics
from marquee.telemetry.metrics import STAGE, make_counter, make_gauge, make_histogram

WORK = CollectorRegistry()
"""What is told while a job runs."""
PROGRESS = CollectorRegistry()
"""What is pushed at its end, too."""

JOB_PERIODS = make_gauge(metrics.JOB_PERIODS, PROGRESS, STAGE)
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
    """Count the rows and bytes that a run has read and written, by direction: ``in`` or ``out``."""
    for direction, number in rows.items():
        JOB_ROWS.labels(direction).inc(number)
    for direction, number in size.items():
        JOB_BYTES.labels(direction).inc(number)
