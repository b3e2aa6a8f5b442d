"""What the calls of a job are measured by: stores, mart and schedule client record here, wherever they are called from.

One process is one job, so the instruments are the process'. ``job_metrics.py`` tells them; where nobody does, as in
Spark's executors, what is recorded goes unseen.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from marquee.telemetry import metrics
from marquee.telemetry.metrics import STAGE, make_counter, make_gauge, make_histogram

if TYPE_CHECKING:
    from botocore.client import BaseClient

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

_OPERATIONS = {
    "GetObject": "get",
    "HeadObject": "head",
    "ListObjectsV2": "list",
    "ListMultipartUploads": "list",
    "ListParts": "list",
    "DeleteObject": "delete",
    "AbortMultipartUpload": "delete",
}
"""Of S3's operations; all others write."""
_BEGAN = "marquee_began"
_ERRORS_FROM = 400
_ANSWERS = frozenset({404, 412})
"""Statuses that are no errors: there is no such object, or a condition does not hold."""


def count_work(rows: Mapping[str, int], size: Mapping[str, int]) -> None:
    """Count the rows and bytes that a run has read and written, by direction: ``in`` or ``out``."""
    for direction, number in rows.items():
        JOB_ROWS.labels(direction).inc(number)
    for direction, number in size.items():
        JOB_BYTES.labels(direction).inc(number)


def watch_s3(client: "BaseClient") -> None:
    """Have a client of S3 measure its calls, retries and errors."""
    events = client.meta.events
    events.register("before-call.s3", _begin)
    events.register("after-call.s3", _end)
    events.register("after-call-error.s3", _end)


def _begin(context: dict[str, Any], **_: object) -> None:
    context[_BEGAN] = time.perf_counter()


def _end(event_name: str, context: dict[str, Any], http_response: Any = None, **_: object) -> None:  # noqa: ANN401 - botocore publishes no types
    operation = _OPERATIONS.get(event_name.rpartition(".")[2], "put")
    STORE_DURATION.labels(operation).observe(time.perf_counter() - context[_BEGAN])
    STORE_RETRIES.inc(context.get("retries", {}).get("attempt", 1) - 1)
    status = http_response.status_code if http_response is not None else None
    if status is None:
        STORE_ERRORS.labels("connection").inc()
    elif status >= _ERRORS_FROM and status not in _ANSWERS:
        STORE_ERRORS.labels(str(status)).inc()
