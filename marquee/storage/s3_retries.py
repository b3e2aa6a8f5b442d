"""Retries of S3 requests within a budget of time, so that an outage shorter than the budget only delays a run.

Each HTTP request is retried on its own: a page of a listing, a part of an upload. The first success continues where the
run was. The budget counts from the first failure of the request, and from the last success of the client.
"""

import time
from typing import TYPE_CHECKING, Any

from marquee.outages import Outage

if TYPE_CHECKING:
    from botocore.client import BaseClient

COLLIDED = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Codes of a conditional write that met another one at the same time."""
PASSING = frozenset({408, 429, 500, 502, 503, 504})
PASSING_CODES = COLLIDED | {"PriorRequestNotComplete", "RequestTimeout", "RequestTimeoutException", "SlowDown"}
_FAILING_SINCE = "marquee_failing_since"


def retry_in_time(client: "BaseClient", budget_s: float) -> None:
    """Make a client retry each request that fails temporarily for up to ``budget_s`` seconds.

    The client's own retries must be off (``total_max_attempts`` of 1).
    """
    client.meta.events.register("needs-retry.s3", _Retries(budget_s).wait_s)


class _Retries:
    """Decides for one client whether a request is sent again."""

    def __init__(self, budget_s: float) -> None:
        self._outage = Outage("S3", budget_s, clock=_now)

    def wait_s(
        self,
        response: tuple[Any, dict[str, Any]] | None,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        **_: object,
    ) -> float | None:
        """Return the seconds to wait before the next attempt; None: there is none."""
        failure = _passing_failure(response, caught_exception)
        if failure is None:
            self._outage.over()
            return None
        since = request_dict["context"].setdefault(_FAILING_SINCE, _now())
        return self._outage.pause_s(failure, attempts, since=since)


def _now() -> float:
    return time.monotonic()


def _passing_failure(response: tuple[Any, dict[str, Any]] | None, error: Exception | None) -> str | None:
    """Return what failed temporarily; None for a success and for a failure that a retry does not mend."""
    from botocore.exceptions import ConnectionError, HTTPClientError, SSLError  # noqa: A004, PLC0415 - slow

    if response is None:
        passing = isinstance(error, (ConnectionError, HTTPClientError))
        permanent = isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
        return type(error).__name__ if passing and not permanent else None
    status, code = response[0].status_code, response[1].get("Error", {}).get("Code", "")
    return f"{status} {code}".rstrip() if status in PASSING or code in PASSING_CODES else None
