"""Measures the calls of an S3 client: duration, retries and errors."""

import time
from typing import TYPE_CHECKING, Any

from marquee.telemetry.in_use import instruments

if TYPE_CHECKING:
    from botocore.client import BaseClient

_OPERATIONS = {
    "GetObject": "get",
    "HeadObject": "head",
    "ListObjectsV2": "list",
    "ListMultipartUploads": "list",
    "ListParts": "list",
    "DeleteObject": "delete",
    "AbortMultipartUpload": "delete",
}
"""Labels of S3's operations; all other operations are ``put``."""
_BEGAN = "marquee_began"
_ERRORS_FROM = 400
_ANSWERS = frozenset({404, 412})
"""Statuses that do not count as errors: no such object, or a condition that does not hold."""


def watch_s3(client: "BaseClient") -> None:
    """Measure the calls, retries and errors of an S3 client."""
    events = client.meta.events
    events.register("before-call.s3", _begin)
    events.register("after-call.s3", _end)
    events.register("after-call-error.s3", _end)


def _begin(context: dict[str, Any], **_: object) -> None:
    context[_BEGAN] = time.perf_counter()


def _end(event_name: str, context: dict[str, Any], http_response: Any = None, **_: object) -> None:  # noqa: ANN401 - botocore publishes no types
    measures = instruments()
    if measures is None:
        return
    operation = _OPERATIONS.get(event_name.rpartition(".")[2], "put")
    measures.STORE_DURATION.labels(operation).observe(time.perf_counter() - context[_BEGAN])
    measures.STORE_RETRIES.inc(context.get("retries", {}).get("attempt", 1) - 1)
    status = http_response.status_code if http_response is not None else None
    if status is None:
        measures.STORE_ERRORS.labels("connection").inc()
    elif status >= _ERRORS_FROM and status not in _ANSWERS:
        measures.STORE_ERRORS.labels(str(status)).inc()
