"""HTTP client of the schedule service: limits its rate, retries, and validates every response.

A response is an array of episodes, from ``/schedule?country=KR&date=2026-01-05`` or ``/schedule/web?date=2026-01-05``.
The service and its limits: https://www.tvmaze.com/api.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, NoReturn, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError as BodyError
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from jobs.schedule_fetch.settings import WEB, ScheduleFetchOptions
from marquee.errors import BadInputError, ConfigError, TryAgainError
from marquee.telemetry.instruments import SCHEDULE_DURATION, SCHEDULE_RETRIES
from marquee.version import __version__

log = logging.getLogger(__name__)

PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that are worth a retry: request timeout, too early, too many requests."""

SERVER_ERROR = 500
MIB = 1 << 20
PIECE = 1 << 16
EXCERPT = 300


@dataclass(frozen=True)
class Answer:
    """Response to a source and day: the body (decompressed), the items in it, and the number of calls made."""

    source: str
    body: bytes
    items: list[Any]
    calls: int


class RateLimit:
    """Rate limit: at most ``calls`` in any ``window_s`` seconds, as the service counts them."""

    def __init__(self, calls: int, window_s: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._latest: deque[float] = deque(maxlen=calls)
        self._window_s = window_s
        self._clock = clock
        self._sleep = sleep

    @contextmanager
    def call(self) -> Iterator[None]:
        """Wait until the limit allows a call; make the call in the ``with`` block."""
        if len(self._latest) == self._latest.maxlen:
            wait_s = self._latest[0] + self._window_s - self._clock()
            if wait_s > 0:
                self._sleep(wait_s)
        try:
            yield
        finally:
            # The service counts a call when it arrives, which is before its response. With a time stamp taken before
            # sending, a slow first call and a fast last call could arrive closer together than the stamps say.
            self._latest.append(self._clock())


class _FaultError(Exception):
    """One attempt failed, and a retry may succeed; ``wait_s`` is the wait that the service asked for."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class ScheduleClient:
    """Client of the schedule service: sequential calls over one connection. Close it, or use it in a ``with``."""

    def __init__(
        self,
        options: ScheduleFetchOptions,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self.clock_ahead_s: float | None = None
        """Seconds by which this machine's clock is ahead of the service's, from the latest response."""
        self._limit = RateLimit(options.calls_per_window, options.window_s, clock, sleep)
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        contact = f" (+{options.contact})" if options.contact else ""
        # gzip only: the service offers nothing else, and every further decoder is one more to attack.
        self._session.headers.update(
            {"User-Agent": f"marquee/{__version__}{contact}", "Accept": "application/json", "Accept-Encoding": "gzip"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def fetch(self, source: str, day: date) -> Answer:
        """Return the service's response to a source (``web``, ``country=KR``) and a day.

        Raises:
            TryAgainError: every attempt failed: no connection, a server error, or an incomplete response.
            BadInputError: the response is not a JSON array, or is too large.
            ConfigError: the service refused or redirected the call.
        """
        url = self._options.url + (f"/schedule/web?date={day}" if source == WEB else f"/schedule?{source}&date={day}")
        calls = 1
        while True:
            try:
                with SCHEDULE_DURATION.time():
                    body = self._try(url)
            except _FaultError as fault:
                self._wait(url, fault, calls)
                calls += 1
            else:
                return Answer(source, body, read_array(url, body), calls)

    def _wait(self, url: str, fault: _FaultError, calls: int) -> None:
        if calls == self._options.attempts:
            message = f"GET {url}: {fault} (attempt {calls} of {calls}). Run again once the service answers"
            raise TryAgainError(message) from fault
        if fault.wait_s > self._options.max_wait_s:
            message = (
                f"GET {url}: {fault}. The service asks to wait {fault.wait_s:.0f} s, more than max_wait_s. "
                "Run again after that time"
            )
            raise TryAgainError(message) from fault
        backoff_s = min(self._options.backoff_s * 2 ** (calls - 1), self._options.max_wait_s)
        wait_s = max(backoff_s, fault.wait_s)
        SCHEDULE_RETRIES.inc()
        log.warning("GET %s: %s; retry in %.1f s", url, fault, wait_s)
        self._sleep(wait_s)

    def _try(self, url: str) -> bytes:
        timeouts = (self._options.connect_timeout_s, self._options.read_timeout_s)
        try:
            with self._limit.call():
                response = self._session.get(url, timeout=timeouts, stream=True, allow_redirects=False)
            with response:
                if response.is_redirect or not response.ok:
                    self._refuse(url, response)
                self._check_type(url, response)
                self.clock_ahead_s = _clock_ahead_s(response)
                return b"".join(self._pieces(url, response))
        except (requests.ConnectionError, requests.Timeout, BodyError) as error:
            raise _FaultError(_root_cause(error)) from error

    def _pieces(self, url: str, response: requests.Response) -> Iterator[bytes]:
        """Yield the response in decompressed pieces, up to the size limit, independent of its headers."""
        limit = self._options.max_answer_mb * MIB
        deadline = self._clock() + self._options.answer_timeout_s
        size = 0
        # requests' own iterator waits for full pieces: a response that trickles in would never reach the deadline.
        while piece := response.raw.read1(PIECE, decode_content=True):
            size += len(piece)
            if size > limit:
                message = (
                    f"GET {url}: the response is larger than max_answer_mb = {self._options.max_answer_mb} MiB. "
                    "Raise MARQUEE_SCHEDULE_FETCH__MAX_ANSWER_MB if that is right"
                )
                raise BadInputError(message)
            if self._clock() > deadline:
                message = f"the response was incomplete after answer_timeout_s = {self._options.answer_timeout_s:g} s"
                raise _FaultError(message)
            yield piece

    def _refuse(self, url: str, response: requests.Response) -> NoReturn:
        status = response.status_code
        if response.is_redirect:
            target = response.headers["Location"][:EXCERPT]
            message = (
                f"GET {url}: redirected ({status}) to {target!r}, which Marquee does not follow. "
                "Correct MARQUEE_SCHEDULE_FETCH__URL"
            )
            raise ConfigError(message)
        reason = f"{status} {response.reason}: {self._excerpt(url, response)}"
        if status in PASSING or status >= SERVER_ERROR:
            raise _FaultError(reason, _retry_after_s(response))
        message = f"GET {url}: the service refused the call: {reason}. Check URL, country and date"
        raise ConfigError(message)

    def _check_type(self, url: str, response: requests.Response) -> None:
        kind = response.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            start = self._excerpt(url, response)
            message = f"GET {url}: the response has type {kind or 'none'!r}, expected application/json: {start}"
            raise BadInputError(message)

    def _excerpt(self, url: str, response: requests.Response) -> str:
        start = b""
        for piece in self._pieces(url, response):
            start += piece
            if len(start) >= EXCERPT:
                break
        return _excerpt(start)


def read_array(url: str, body: bytes) -> list[Any]:
    """Return the items of a JSON array; BadInputError if the body is anything else."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        found = f"{len(body)} bytes that are not JSON ({error}): {_excerpt(body)}"
        message = f"GET {url}: {found}. The response was cut off, or this is not the schedule service"
        raise BadInputError(message) from error
    if not isinstance(value, list):
        message = f"GET {url}: expected a JSON array of episodes, found other JSON: {_excerpt(body)}"
        raise BadInputError(message)
    return value


def _retry_after_s(response: requests.Response) -> float:
    try:
        return Retry().get_retry_after(response.raw) or 0.0
    except InvalidHeader:
        return 0.0


def _clock_ahead_s(response: requests.Response) -> float | None:
    """Compare the clock with the response's Date header, corrected by Age if a cache answered."""
    try:
        made = parsedate_to_datetime(response.headers["Date"])
        kept_s = float(response.headers.get("Age", 0))
        return (datetime.now(UTC) - made).total_seconds() - kept_s
    except (KeyError, ValueError, TypeError):  # no date, an invalid date, or a date without a zone
        return None


def _root_cause(error: BaseException) -> str:
    """Describe the root cause only: the errors above it repeat the URL, and may contain a proxy's password."""
    while below := error.__cause__ or error.__context__:
        error = below
    return f"{type(error).__name__}: {error}"


def _excerpt(body: bytes) -> str:
    return repr(body[:EXCERPT].decode(errors="replace"))


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not a JSON number"
    raise ValueError(message)
