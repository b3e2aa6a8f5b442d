"""Outages of servers: how long to pause before a call is tried again, and what the log says meanwhile.

All calls to a server share a budget of time, which counts from the first failure since the last success. So an outage
shorter than the budget only delays a run, and in a longer one each further call fails at its first attempt.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

FIRST_S, MOST_S = 0.1, 20.0
"""Longest first pause, and longest pause. Pauses are random, between half of a limit that doubles and the limit."""
LEAST_S = 0.001
"""Seconds of the budget below which no further attempt is worth it."""
TOLD_AFTER_S, TOLD_EVERY_S = 2.0, 60.0
"""Seconds of an outage before it is logged, and longest time between two log lines; until then, the time doubles."""


class Outage:
    """What is known of the failures of one server, for any number of threads."""

    def __init__(
        self, server: str, budget_s: float, first_s: float = FIRST_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._budget_s = budget_s
        self._first_s = first_s
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        """Time of the first failure since the last success."""
        self._tell_at: float | None = None
        self._told = False

    def pause_s(self, failure: str, attempt: int, *, asked_s: float = 0.0, since: float | None = None) -> float | None:
        """Return the seconds to pause after a failed attempt; None: there is no time for another.

        Args:
            failure: what failed, for the log.
            attempt: the number of the attempt, from 1.
            asked_s: the least pause that the server asked for.
            since: time of the first failure of this call, where other calls may have succeeded since then.
        """
        now = self._clock()
        with self._lock:
            self._since = now if self._since is None else self._since
            begun = self._since if since is None else min(since, self._since)
            left = begun + self._budget_s - now
            if left < max(asked_s, LEAST_S):
                return None
            self._tell(failure, now, now - begun, left)
        longest = min(self._first_s * 2.0 ** min(attempt - 1, 10), MOST_S)
        return min(max(random.uniform(longest / 2, longest), asked_s), left)  # noqa: S311 - no secret

    def over(self) -> None:
        """Note a success."""
        with self._lock:
            if self._told and self._since is not None:
                log.info("%s answers again after %.0f s", self._server, self._clock() - self._since)
            self._since = self._tell_at = None
            self._told = False

    def _tell(self, failure: str, now: float, lasted: float, left: float) -> None:
        if self._tell_at is None:
            self._tell_at = now - lasted + TOLD_AFTER_S
        if now >= self._tell_at:
            self._tell_at = now + min(lasted, TOLD_EVERY_S)
            self._told = True
            log.warning("%s has failed for %.0f s (%s): retrying for %.0f s more", self._server, lasted, failure, left)
