"""Retries of S3 requests within a budget of time, so that an outage shorter than the budget only delays a run.

Each HTTP request is retried on its own: a page of a listing, a part of an upload. The first success continues where the
run was. The budget counts from the first failure of the request, and from the last success of the client: in a longer
outage each further call fails at its first attempt.
"""

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.client import BaseClient

log = logging.getLogger(__name__)

BASE_S, MOST_S = 0.1, 20.0
"""Longest first pause, and longest pause. Pauses are random up to a limit that doubles ("full jitter")."""
TOLD_AFTER_S, TOLD_EVERY_S = 5.0, 60.0
"""Seconds of an outage before it is logged, and between two log lines."""

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
        self._budget_s = budget_s
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        """Time of the first failure since the client's last success."""
        self._told_at: float | None = None

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
        now = time.monotonic()
        if failure is None:
            self._succeeded(now)
            return None
        since = request_dict["context"].setdefault(_FAILING_SINCE, now)
        with self._lock:
            self._failing_since = self._failing_since or now
            since = min(since, self._failing_since)
        left = since + self._budget_s - now
        if left <= 0:
            return None
        self._tell(failure, now, since, left)
        longest = min(BASE_S * 2.0 ** min(attempts - 1, 10), MOST_S, left)
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret

    def _succeeded(self, now: float) -> None:
        with self._lock:
            if self._told_at is not None and self._failing_since is not None:
                log.info("S3 answers again after %.0f s", now - self._failing_since)
            self._failing_since = self._told_at = None

    def _tell(self, failure: str, now: float, since: float, left: float) -> None:
        with self._lock:
            due = since + TOLD_AFTER_S if self._told_at is None else self._told_at + TOLD_EVERY_S
            if now < due:
                return
            self._told_at = now
        log.warning("S3 has failed for %.0f s (%s): retrying for %.0f s more", now - since, failure, left)


def _passing_failure(response: tuple[Any, dict[str, Any]] | None, error: Exception | None) -> str | None:
    """Return what failed temporarily; None for a success and for a failure that a retry does not mend."""
    from botocore.exceptions import ConnectionError, HTTPClientError, SSLError  # noqa: A004, PLC0415 - slow

    if response is None:
        passing = isinstance(error, (ConnectionError, HTTPClientError))
        permanent = isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
        return type(error).__name__ if passing and not permanent else None
    status, code = response[0].status_code, response[1].get("Error", {}).get("Code", "")
    return f"{status} {code}".rstrip() if status in PASSING or code in PASSING_CODES else None
