"""The client of the schedule service, against a real server on loopback that answers and fails in every known way."""

import json
import socket
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.schedule_fetch.client import RateLimit, ScheduleClient, read_array
from jobs.schedule_fetch.settings import ScheduleFetchOptions, ScheduleFetchSettings
from marquee.errors import BadInputError, ConfigError, MarqueeError, TryAgainError
from marquee.settings.loading import load_settings
from marquee.version import __version__
from tests.schedule_service import (
    Reply,
    ScheduleService,
    answer,
    cut,
    endless,
    packed,
    raw,
    redirect,
    reset,
    schedule_service,
    silence,
)

DAY = date(2020, 12, 1)
WEB = "/schedule/web?date=2020-12-01"
EPISODES = [{"id": 1, "name": "Слепая"}, {"id": 2}]
BODY = json.dumps(EPISODES).encode()


class FakeTime:
    """A clock that only advances on sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def service() -> Iterator[ScheduleService]:
    """A schedule service without episodes."""
    with schedule_service() as running:
        yield running


@pytest.fixture
def fake() -> FakeTime:
    """The clock of the client."""
    return FakeTime()


Connect = Callable[..., ScheduleClient]


@pytest.fixture
def connect(service: ScheduleService, fake: FakeTime) -> Iterator[Connect]:
    """Returns a function that connects clients to the service with the settings of a test."""
    clients = []

    def make(**options: Any) -> ScheduleClient:
        settings = ScheduleFetchOptions(**{"url": service.url, "read_timeout_s": 2.0} | options)
        clients.append(ScheduleClient(settings, fake.clock, fake.sleep))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_web_schedule_is_returned_as_served(service: ScheduleService, connect: Connect) -> None:
    """The body is returned byte for byte as served, and the items are its parsed content."""
    service.tell(WEB, raw(BODY))
    got = connect().fetch("web", DAY)
    assert (got.source, got.body, got.items, got.calls) == ("web", BODY, EPISODES, 1)


def test_country_is_asked_for_by_code_and_date(service: ScheduleService, connect: Connect) -> None:
    """The schedule of a country is requested by code and date."""
    connect().fetch("country=KR", DAY)
    assert service.asked == ["/schedule?country=KR&date=2020-12-01"]


def test_path_of_the_url_is_kept(service: ScheduleService, connect: Connect) -> None:
    """The path of the service's URL is kept in requests."""
    connect(url=f"{service.url}/tv/").fetch("web", DAY)
    assert service.asked == ["/tv/schedule/web?date=2020-12-01"]


@pytest.mark.parametrize(
    ("contact", "agent"),
    [(None, f"marquee/{__version__}"), ("ops@example.org", f"marquee/{__version__} (+ops@example.org)")],
    ids=["plain", "with contact"],
)
def test_client_names_itself(service: ScheduleService, connect: Connect, contact: str | None, agent: str) -> None:
    """The User-Agent identifies the client to the service."""
    connect(contact=contact).fetch("web", DAY)
    assert service.headers[0]["User-Agent"] == agent


def test_packed_answer_is_unpacked(service: ScheduleService, connect: Connect) -> None:
    """An answer in gzip is unpacked."""
    service.tell(WEB, packed(BODY))
    assert connect().fetch("web", DAY).body == BODY
    assert service.headers[0]["Accept-Encoding"] == "gzip"


def test_one_connection_serves_all_calls(service: ScheduleService, connect: Connect) -> None:
    """All calls share one connection, which is kept after an error as well."""
    service.tell("/schedule?country=XX&date=2020-12-01", answer({"message": "Invalid country"}, 422))
    client = connect()
    client.fetch("web", DAY)
    with pytest.raises(ConfigError):
        client.fetch("country=XX", DAY)
    client.fetch("country=KR", DAY)
    assert service.connections == 1


@pytest.mark.parametrize(
    ("faults", "waits"),
    [
        ([answer({}, 429, {"Retry-After": "7"})], [7.0]),
        ([answer({}, 429, {"Retry-After": "0"})], [1.0]),
        ([answer({}, 503, {"Retry-After": "in a while"})], [1.0]),
        ([answer({}, 408)], [1.0]),
        ([answer({}, 500), answer({}, 502), raw(b"<html>", 504, {"Content-Type": "text/html"})], [1.0, 2.0, 4.0]),
        ([reset()], [1.0]),
        ([cut(BODY, missing=5)], [1.0]),
        ([raw(b"no gzip", 200, {"Content-Type": "application/json", "Content-Encoding": "gzip"})], [1.0]),
    ],
    ids=["429", "429 at once", "odd Retry-After", "408", "5xx thrice", "reset", "cut body", "broken gzip"],
)
def test_fault_that_passes_is_tried_again(
    service: ScheduleService, connect: Connect, fake: FakeTime, faults: list[Reply], waits: list[float]
) -> None:
    """A temporary fault is retried; the wait doubles each time and is never shorter than the service requests."""
    service.tell(WEB, *faults, raw(BODY))
    got = connect().fetch("web", DAY)
    assert (got.items, got.calls) == (EPISODES, len(faults) + 1)
    assert fake.slept == waits


def test_silent_service_is_tried_again(service: ScheduleService, connect: Connect) -> None:
    """A request without an answer within the timeout is retried."""
    service.tell(WEB, silence())
    with pytest.raises(TryAgainError, match=r"TimeoutError: timed out \(attempt 2 of 2\)"):
        connect(attempts=2, read_timeout_s=0.05).fetch("web", DAY)
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (raw(b"<h1>Oops</h1>", 503, {"Content-Type": "text/html"}), "503 Service Unavailable: '<h1>Oops</h1>'"),
        (answer({"message": "slow down"}, 429), """429 Too Many Requests: '{"message": "slow down"}'"""),
        (reset(), "ConnectionResetError"),
        (cut(BODY, missing=5), "IncompleteRead"),
    ],
    ids=["503", "429", "reset", "cut body"],
)
def test_fault_that_stays_says_what_and_where(
    service: ScheduleService, connect: Connect, fault: Reply, expected: str
) -> None:
    """After the last try, the error names the URL, the fault and the number of tries."""
    service.tell(WEB, fault)
    with pytest.raises(TryAgainError) as raised:
        connect(attempts=2).fetch("web", DAY)
    assert f"GET {service.url}{WEB}: {expected}" in str(raised.value)
    assert "(attempt 2 of 2)" in str(raised.value)
    assert len(service.asked) == 2


def test_service_that_is_not_there() -> None:
    """A refused connection is reported in plain words."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        options = ScheduleFetchOptions(url=url, attempts=1)
        with ScheduleClient(options) as client, pytest.raises(TryAgainError, match="Connection refused"):
            client.fetch("web", DAY)


def test_long_wait_is_not_waited(service: ScheduleService, connect: Connect, fake: FakeTime) -> None:
    """If the service requests a wait longer than max_wait_s, the client gives up at once."""
    service.tell(WEB, answer({}, 429, {"Retry-After": "3600"}))
    with pytest.raises(TryAgainError, match="asks to wait 3600 s, more than max_wait_s"):
        connect(max_wait_s=120).fetch("web", DAY)
    assert fake.slept == []


def test_backoff_has_a_limit(service: ScheduleService, connect: Connect, fake: FakeTime) -> None:
    """The wait stops doubling at max_wait_s."""
    service.tell(WEB, *[answer({}, 500)] * 5, raw(BODY))
    connect(attempts=6, max_wait_s=5).fetch("web", DAY)
    assert fake.slept == [1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("reply", "kind", "expected"),
    [
        (
            answer({"name": "Unprocessable entity", "message": "Invalid country", "status": 422}, 422),
            ConfigError,
            '422 Unprocessable Entity: \'{"name": "Unprocessable entity", "message": "Invalid country"',
        ),
        (raw(b"gone", 404, {}), ConfigError, "404 Not Found: 'gone'"),
        (
            redirect("https://elsewhere.example/login"),
            ConfigError,
            "redirected (301) to 'https://elsewhere.example/login'",
        ),
        (raw(b"<html>Login", 200, {"Content-Type": "text/html"}), BadInputError, "the response has type 'text/html'"),
        (raw(b"[]", 200, {}), BadInputError, "the response has type 'none'"),
        (raw(BODY[:-5]), BadInputError, f"{len(BODY) - 5} bytes that are not JSON"),
        (
            packed(b'{"name": "no array"}'),
            BadInputError,
            'array of episodes, found other JSON: \'{"name"',
        ),
        (raw(b"", 204, {}), BadInputError, "expected application/json"),
    ],
    ids=["422", "404", "redirect", "HTML", "no type", "cut JSON", "object", "204"],
)
def test_wrong_answer_is_an_error_at_once(
    service: ScheduleService, connect: Connect, reply: Reply, kind: type[MarqueeError], expected: str
) -> None:
    """A permanent fault is not retried, and the error names the URL and quotes the answer."""
    service.tell(WEB, reply)
    with pytest.raises(kind) as raised:
        connect().fetch("web", DAY)
    assert f"GET {service.url}{WEB}: " in str(raised.value)
    assert expected in str(raised.value)
    assert len(service.asked) == 1


def test_other_host_is_never_asked(service: ScheduleService, connect: Connect) -> None:
    """A redirect to another host is not followed, even if a server answers there."""
    with schedule_service() as other:
        service.tell(WEB, redirect(f"{other.url}{WEB}"))
        with pytest.raises(ConfigError, match="does not follow"):
            connect().fetch("web", DAY)
        assert other.asked == []


def test_endless_answer_is_dropped(service: ScheduleService, connect: Connect) -> None:
    """Reading stops at max_answer_mb, with or without a declared length."""
    service.tell(WEB, endless(b"[" * 65_536))
    with pytest.raises(BadInputError, match="larger than max_answer_mb = 1 MiB"):
        connect(max_answer_mb=1).fetch("web", DAY)


def test_gzip_bomb_is_dropped(service: ScheduleService, connect: Connect) -> None:
    """The limit applies to the unpacked answer: 20 MiB of blanks in 20 KB are too much."""
    service.tell(WEB, packed(b" " * (20 << 20)))
    with pytest.raises(BadInputError, match="larger than max_answer_mb = 1 MiB"):
        connect(max_answer_mb=1).fetch("web", DAY)


def test_answer_at_the_limit_is_read(service: ScheduleService, connect: Connect) -> None:
    """An answer of exactly the limit is read, and one byte more is refused."""
    at_limit = b"[]".ljust(1 << 20)
    service.tell(WEB, raw(at_limit), raw(at_limit + b" "))
    client = connect(max_answer_mb=1)
    assert client.fetch("web", DAY).body == at_limit
    with pytest.raises(BadInputError):
        client.fetch("web", DAY)


def test_dripping_answer_ends_at_the_deadline(service: ScheduleService) -> None:
    """An answer that arrives byte by byte is dropped after answer_timeout_s."""
    service.tell(WEB, endless(b" ", pause_s=0.01))
    options = ScheduleFetchOptions(url=service.url, attempts=1, answer_timeout_s=0.1)
    with ScheduleClient(options) as client, pytest.raises(TryAgainError, match="incomplete after answer_timeout_s"):
        client.fetch("web", DAY)


def test_cut_gzip_is_no_answer(service: ScheduleService, connect: Connect) -> None:
    """A gzip stream without its end is an error, not a short answer."""
    items = json.dumps([{"id": number} for number in range(1000)]).encode()
    service.tell(WEB, packed(items, missing=200))
    with pytest.raises(BadInputError, match="not JSON"):
        connect().fetch("web", DAY)


def test_calls_are_spread(service: ScheduleService, connect: Connect, fake: FakeTime) -> None:
    """Of calls that take no time, 20 start at once and 20 more every 10 seconds, including failed tries."""
    service.tell(WEB, *[answer({}, 500)] * 4, raw(BODY))
    client = connect(backoff_s=0)
    client.fetch("web", DAY)
    for _ in range(40):
        client.fetch("country=KR", DAY)
    assert [seconds for seconds in fake.slept if seconds] == [10.0, 10.0]
    assert len(service.asked) == 45


@pytest.mark.parametrize("took_s", [0.0, 0.3, 0.5, 3.0], ids=lambda seconds: f"{seconds} s a call")
def test_no_window_has_more_calls(fake: FakeTime, took_s: float) -> None:
    """Any window of 10 s has at most 20 calls, wherever within its duration each call arrives."""
    limit = RateLimit(20, 10.0, fake.clock, fake.sleep)
    earliest, latest = [], []
    for _ in range(100):
        with limit.call():
            earliest.append(fake.now)
            fake.now += took_s
            latest.append(fake.now)
    assert all(earliest[number + 20] - latest[number] >= 10.0 for number in range(80))


def test_failed_call_counts(fake: FakeTime) -> None:
    """A failed call counts towards the limit, because it may have arrived."""
    limit = RateLimit(1, 10.0, fake.clock, fake.sleep)
    with pytest.raises(ZeroDivisionError), limit.call():
        _ = 1 / 0
    with limit.call():
        pass
    assert fake.slept == [10.0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'"text"',
        b"[NaN]",
        b"[1e",
        b"\xff\xfe[",
        b'["\xff"]',
        b"[" * 100_000,
        b"[]]",
        b"[1" + b"0" * 5000 + b"]",
    ],
    ids=["empty", "null", "text", "NaN", "cut", "UTF-16", "no UTF-8", "deep", "rest", "huge number"],
)
def test_no_array_is_refused(body: bytes) -> None:
    """Any answer other than a JSON array is an error that names the URL."""
    with pytest.raises(BadInputError, match="GET http://tv"):
        read_array("http://tv", body)


def test_error_shows_the_beginning_only() -> None:
    """An error quotes only the beginning of a long answer."""
    with pytest.raises(BadInputError) as raised:
        read_array("http://tv", b"<" * 100_000)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("countries", ("UK",), "Use 'GB'"),
        ("countries", ("kr",), "Invalid country 'kr'"),
        ("countries", ("KOR",), "Invalid country 'KOR'"),
        ("url", "ftp://tv.example", "expected http://host"),
        ("url", "https://", "expected http://host"),
        ("url", "https://tv.example?key=1", "expected http://host"),
        ("url", "https://tv.example:port", "Port could not be cast"),
        ("url", "https://me:secret@tv.example", "remove the user name and password"),
        ("contact", "me\r\nX-Evil: 1", "should match pattern"),
    ],
)
def test_wrong_settings_are_refused(option: str, value: object, expected: str) -> None:
    """A setting that cannot work is refused before any call, and the error says what to write."""
    with pytest.raises(ValidationError, match=expected):
        ScheduleFetchOptions(**{option: value})


def test_password_in_the_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in the URL is refused by the name of the setting, and the error does not contain it."""
    monkeypatch.setenv("MARQUEE_LAKE", "file:///lake")
    monkeypatch.setenv("MARQUEE_SCHEDULE_FETCH__URL", "ftp://me:canary@tv.example:port")
    with pytest.raises(ConfigError) as raised:
        load_settings(ScheduleFetchSettings)
    assert "MARQUEE_SCHEDULE_FETCH: Value error, url: remove the user name and password" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_countries_are_a_set() -> None:
    """Order and repetition of countries make no difference."""
    assert ScheduleFetchOptions(countries=("US", "KR", "US")).countries == ("KR", "US")
