"""HTTP client of the schedule service: limits its rate, retries, and validates every response.

A response is an array of episodes, from ``/schedule?country=KR&date=2026-01-05`` or ``/schedule/web?date=2026-01-05``.
It is kept in a file, as served, and read item by item. The service and its limits: https://www.tvmaze.com/api.

The variables of proxies (``HTTPS_PROXY``, ``NO_PROXY``) and of certificates (``REQUESTS_CA_BUNDLE``) are obeyed.
``~/.netrc`` and cookies are not.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import requests
from urllib3.exceptions import HTTPError as BodyError
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from jobs.schedule_fetch.connection import Deadline, WatchedAdapter
from jobs.schedule_fetch.items import EXCERPT, PIECE, TextGuard, beginning, excerpt, read_items
from jobs.schedule_fetch.settings import WEB, ScheduleFetchOptions
from marquee.errors import BadInputError, ConfigError, MarqueeError, TryAgainError
from marquee.machine import MIB
from marquee.outages import Outage
from marquee.settings.sections import budget_s
from marquee.system_errors import explained
from marquee.telemetry.instruments import SCHEDULE_DURATION, SCHEDULE_RETRIES
from marquee.version import __version__

PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that are worth a retry: request timeout, too early, too many requests."""

CLOSED = (ConnectionResetError, BrokenPipeError)
"""Errors of a call on a connection that the service has closed; http.client's is the first of them."""

FIRST_S = 1.0
"""Longest pause before the first retry: the service is not ours."""

OK = 200
CLIENT_ERROR = 400
SERVER_ERROR = 500


@dataclass(frozen=True)
class Answer:
    """Response to a source and day: a file of the decompressed body, the number of its items, and of calls made."""

    url: str
    source: str
    file: Path
    rows: int
    calls: int

    @property
    def size(self) -> int:
        """Size of the body in bytes."""
        return self.file.stat().st_size

    def items(self) -> Iterator[Any]:
        """Yield the items."""
        yield from _items(self.url, self.file, self.rows)


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
        self._outage = Outage("the schedule service", budget_s(options.retry_for_s), FIRST_S, clock)
        self._limit = RateLimit(options.calls_per_window, options.window_s, clock, sleep)
        self._deadline = Deadline(options.answer_timeout_s)
        self._session = requests.Session()
        self._session.auth = _no_credentials
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = WatchedAdapter(self._deadline)
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
        self._deadline.close()

    def fetch(self, source: str, day: date, folder: Path) -> Answer:
        """Return the service's response to a source (``web``, ``country=KR``) and a day, as a file in a folder.

        Raises:
            TryAgainError: every attempt failed: no connection, a server error, or an incomplete response.
            BadInputError: the response has another status than 200, is not a JSON array, or is beyond a limit.
            ConfigError: the service refused or redirected the call.
        """
        file = folder / f"{source}.json"
        url = self._options.url + (f"/schedule/web?date={day}" if source == WEB else f"/schedule?{source}&date={day}")
        calls = 1
        while True:
            try:
                with SCHEDULE_DURATION.time():
                    self._try(url, file)
            except _FaultError as fault:
                self._wait(url, fault, calls)
                calls += 1
            else:
                self._outage.over()
                rows = sum(1 for _ in _items(url, file, self._options.max_episodes))
                return Answer(url, source, file, rows, calls)

    def _wait(self, url: str, fault: _FaultError, calls: int) -> None:
        pause_s = self._outage.pause_s(str(fault), calls, asked_s=fault.wait_s)
        if pause_s is None:
            asks = f". The service asks to wait {fault.wait_s:.0f} s" if fault.wait_s else ""
            message = f"GET {url}: {fault} (attempt {calls}){asks}. Run again once the service answers"
            raise TryAgainError(message) from fault
        SCHEDULE_RETRIES.inc()
        self._sleep(pause_s)

    def _try(self, url: str, file: Path) -> None:
        """Write the body of a response to a file."""
        with self._deadline.watch():
            try:
                self._call(url, file)
            except (requests.RequestException, BodyError, MarqueeError) as error:
                if self._deadline.passed:
                    raise self._late() from error
                if isinstance(error, (requests.ConnectionError, requests.Timeout, BodyError)):
                    raise _FaultError(_root_cause(error)) from error
                raise
        if self._deadline.passed:  # what was read until then can look complete
            raise self._late()

    def _late(self) -> _FaultError:
        limit = f"answer_timeout_s = {self._options.answer_timeout_s:g} s"
        return _FaultError(f"the response was incomplete after {limit}")

    def _call(self, url: str, file: Path) -> None:
        try:
            response = self._send(url)
        except requests.ConnectionError as error:
            if not (self._deadline.reused and isinstance(_root_of(error), CLOSED)) or self._deadline.passed:
                raise
            response = self._send(url)  # the service had closed the connection, as it may between two calls
        with response:
            if response.status_code != OK:
                self._refuse(url, response)
            self._check_type(url, response)
            self.clock_ahead_s = _clock_ahead_s(response)
            guard = TextGuard(url)
            with explained(file, "write"), file.open("wb") as body:
                for piece in self._pieces(url, response):
                    guard.check(piece)
                    body.write(piece)

    def _send(self, url: str) -> requests.Response:
        timeouts = (self._options.connect_timeout_s, self._options.read_timeout_s)
        with self._limit.call():
            return self._session.get(url, timeout=timeouts, stream=True, allow_redirects=False)

    def _pieces(self, url: str, response: requests.Response) -> Iterator[bytes]:
        """Yield the response in decompressed pieces, up to the size limit, independent of its headers."""
        limit = self._options.max_answer_mb * MIB
        size = 0
        # requests' own iterator waits for full pieces.
        while piece := response.raw.read1(PIECE, decode_content=True):
            size += len(piece)
            if size > limit:
                message = (
                    f"GET {url}: the response is larger than max_answer_mb = {self._options.max_answer_mb} MiB. "
                    "Raise MARQUEE_SCHEDULE_FETCH__MAX_ANSWER_MB if that is right"
                )
                raise BadInputError(message)
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
        self._check_encoding(url, response)
        reason = f"{status} {beginning(str(response.reason or ''))}: {self._excerpt(url, response)}"
        if status in PASSING or status >= SERVER_ERROR:
            raise _FaultError(reason, _retry_after_s(response))
        if status < CLIENT_ERROR:
            message = (
                f"GET {url}: the response has status {reason}; expected 200. Check MARQUEE_SCHEDULE_FETCH__URL, and "
                "the proxies and caches on the way to the service"
            )
            raise BadInputError(message)
        message = f"GET {url}: the service refused the call: {reason}. Check URL, country and date"
        raise ConfigError(message)

    def _check_type(self, url: str, response: requests.Response) -> None:
        self._check_encoding(url, response)
        kind = response.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            start = self._excerpt(url, response)
            message = (
                f"GET {url}: the response has type {kind[:EXCERPT] or 'none'!r}, expected application/json: {start}"
            )
            raise BadInputError(message)

    @staticmethod
    def _check_encoding(url: str, response: requests.Response) -> None:
        """Refuse encodings that were not asked for: each further one multiplies the size of a response."""
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() not in {"", "identity", "gzip", "x-gzip"}:
            message = f"GET {url}: the response has the encoding {encoding[:EXCERPT]!r}, expected gzip or none"
            raise BadInputError(message)

    def _excerpt(self, url: str, response: requests.Response) -> str:
        start = b""
        for piece in self._pieces(url, response):
            start += piece
            if len(start) >= EXCERPT:
                break
        return excerpt(start)


def _items(url: str, file: Path, most: int) -> Iterator[Any]:
    with file.open("rb") as body:
        yield from read_items(url, body, most)


def _retry_after_s(response: requests.Response) -> float:
    try:
        return max(Retry().get_retry_after(response.raw) or 0.0, 0.0)
    except (InvalidHeader, ValueError, OverflowError):  # no number, no date, or beyond all numbers
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
    root = _root_of(error)
    return f"{type(root).__name__}: {beginning(str(root))}"


def _root_of(error: BaseException) -> BaseException:
    while below := error.__cause__ or error.__context__:
        error = below
    return error


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials. Without this, requests reads them from ``~/.netrc``."""
    return request
