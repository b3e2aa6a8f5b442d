"""The schedule service over HTTP: asked gently, answers checked before anybody trusts them.

One answer is an array of episodes, of ``/schedule?country=KR&date=2026-01-05`` or ``/schedule/web?date=2026-01-05``.
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
"""The statuses below 500 that another try may mend: request timeout, too early, too many requests."""

SERVER_ERROR = 500
MIB = 1 << 20
PIECE = 1 << 16
EXCERPT = 300


@dataclass(frozen=True)
class Answer:
    """What the service has of a source and day: the bytes as served (unpacked), the items in them, the calls taken."""

    source: str
    body: bytes
    items: list[Any]
    calls: int


class RateLimit:
    """At most ``calls`` in any ``window_s`` seconds, as the service counts them."""

    def __init__(self, calls: int, window_s: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._latest: deque[float] = deque(maxlen=calls)
        self._window_s = window_s
        self._clock = clock
        self._sleep = sleep

    @contextmanager
    def call(self) -> Iterator[None]:
        """Wait until a call may be made; the body makes it."""
        if len(self._latest) == self._latest.maxlen:
            wait_s = self._latest[0] + self._window_s - self._clock()
            if wait_s > 0:
                self._sleep(wait_s)
        try:
            yield
        finally:
            # The service counts a call when it arrives, and its answer comes later. Were calls stamped as they leave, a
            # slow first one and a quick last one could arrive closer together than they left.
            self._latest.append(self._clock())


class _FaultError(Exception):
    """One try failed in a way that the next may not; ``wait_s`` is how long the service asked to wait."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class ScheduleClient:
    """Asks the schedule service, one call after another over one connection. Close it, or use it in a ``with``."""

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
        """By how much this machine's clock is ahead of the service's, as the latest answer says."""
        self._limit = RateLimit(options.calls_per_window, options.window_s, clock, sleep)
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        contact = f" (+{options.contact})" if options.contact else ""
        # gzip alone: it is all the service has, and each further encoding is one more decoder for an answer to attack.
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
        """Return what the service has of a source (``web``, ``country=KR``) on a day.

        Raises:
            TryAgainError: it could not be reached, failed, or broke off, at every try.
            BadInputError: it answered with something else than an array in JSON, or with too much.
            ConfigError: it refused the call, or sent it elsewhere.
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
            message = f"GET {url}: {fault} (the last of {calls} tries): run again once the service answers"
            raise TryAgainError(message) from fault
        if fault.wait_s > self._options.max_wait_s:
            message = f"GET {url}: {fault}: it asks to wait {fault.wait_s:.0f} s, more than max_wait_s: run again then"
            raise TryAgainError(message) from fault
        backoff_s = min(self._options.backoff_s * 2 ** (calls - 1), self._options.max_wait_s)
        wait_s = max(backoff_s, fault.wait_s)
        SCHEDULE_RETRIES.inc()
        log.warning("GET %s: %s: trying again in %.1f s", url, fault, wait_s)
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
        """Yield the answer piece by piece, unpacked; never more than the limit, whatever the headers say."""
        limit = self._options.max_answer_mb * MIB
        deadline = self._clock() + self._options.answer_timeout_s
        size = 0
        # requests' own iterator waits for full pieces: an answer that drips would never reach the deadline.
        while piece := response.raw.read1(PIECE, decode_content=True):
            size += len(piece)
            if size > limit:
                message = (
                    f"GET {url}: the answer is larger than max_answer_mb = {self._options.max_answer_mb} MiB: dropped"
                )
                raise BadInputError(message)
            if self._clock() > deadline:
                message = f"the answer was not whole after answer_timeout_s = {self._options.answer_timeout_s:g} s"
                raise _FaultError(message)
            yield piece

    def _refuse(self, url: str, response: requests.Response) -> NoReturn:
        status = response.status_code
        if response.is_redirect:
            target = response.headers["Location"][:EXCERPT]
            message = (
                f"GET {url}: redirected ({status}) to {target!r}, which is not followed: correct the service's URL"
            )
            raise ConfigError(message)
        said = f"{status} {response.reason}: {self._excerpt(url, response)}"
        if status in PASSING or status >= SERVER_ERROR:
            raise _FaultError(said, _retry_after_s(response))
        message = f"GET {url}: the service refused: {said}: check URL, country and date"
        raise ConfigError(message)

    def _check_type(self, url: str, response: requests.Response) -> None:
        kind = response.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            start = self._excerpt(url, response)
            message = f"GET {url}: answered {kind or 'nothing that has a type'!r}, expected application/json: {start}"
            raise BadInputError(message)

    def _excerpt(self, url: str, response: requests.Response) -> str:
        start = b""
        for piece in self._pieces(url, response):
            start += piece
            if len(start) >= EXCERPT:
                break
        return _excerpt(start)


def read_array(url: str, body: bytes) -> list[Any]:
    """Return the items of a JSON array; BadInputError says what the body is instead."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        found = f"{len(body)} bytes that are no JSON ({error}): {_excerpt(body)}"
        message = f"GET {url}: {found}: cut on the way, or not the schedule service"
        raise BadInputError(message) from error
    if not isinstance(value, list):
        message = f"GET {url}: JSON, but no array of episodes: {_excerpt(body)}"
        raise BadInputError(message)
    return value


def _retry_after_s(response: requests.Response) -> float:
    try:
        return Retry().get_retry_after(response.raw) or 0.0
    except InvalidHeader:
        return 0.0


def _clock_ahead_s(response: requests.Response) -> float | None:
    """Compare the clock with when the answer was made; one that a cache kept for a while says for how long."""
    try:
        made = parsedate_to_datetime(response.headers["Date"])
        kept_s = float(response.headers.get("Age", 0))
        return (datetime.now(UTC) - made).total_seconds() - kept_s
    except (KeyError, ValueError, TypeError):  # no date; one that cannot be read; one without a zone
        return None


def _root_cause(error: BaseException) -> str:
    """Name the error at the bottom: those above it repeat the URL, and may hold a proxy's password."""
    while below := error.__cause__ or error.__context__:
        error = below
    return f"{type(error).__name__}: {error}"


def _excerpt(body: bytes) -> str:
    return repr(body[:EXCERPT].decode(errors="replace"))


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise ValueError(message)
