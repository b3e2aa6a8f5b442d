"""The client of the schedule service, against a real server on loopback that answers and fails in every known way."""

import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.schedule_fetch.client import RateLimit, ScheduleClient
from jobs.schedule_fetch.items import read_items
from jobs.schedule_fetch.settings import ScheduleFetchOptions, ScheduleFetchSettings
from marquee.errors import BadInputError, ConfigError, MarqueeError, TryAgainError
from marquee.settings.loading import load_settings
from marquee.telemetry.logs import set_up_logs
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
    trickle,
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
        settings = ScheduleFetchOptions(**{"url": service.url, "read_timeout_s": 2.0, "retry_for_s": 60} | options)
        clients.append(ScheduleClient(settings, fake.clock, fake.sleep))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_web_schedule_is_returned_as_served(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """The body is returned byte for byte as served, and the items are its parsed content."""
    service.tell(WEB, raw(BODY))
    got = connect().fetch("web", DAY, tmp_path)
    assert (got.source, got.file.read_bytes(), list(got.items()), got.rows, got.calls) == ("web", BODY, EPISODES, 2, 1)


def test_country_is_asked_for_by_code_and_date(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """The schedule of a country is requested by code and date."""
    connect().fetch("country=KR", DAY, tmp_path)
    assert service.asked == ["/schedule?country=KR&date=2020-12-01"]


def test_path_of_the_url_is_kept(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """The path of the service's URL is kept in requests."""
    connect(url=f"{service.url}/tv/").fetch("web", DAY, tmp_path)
    assert service.asked == ["/tv/schedule/web?date=2020-12-01"]


@pytest.mark.parametrize(
    ("contact", "agent"),
    [(None, f"marquee/{__version__}"), ("ops@example.org", f"marquee/{__version__} (+ops@example.org)")],
    ids=["plain", "with contact"],
)
def test_client_names_itself(
    service: ScheduleService, connect: Connect, contact: str | None, agent: str, tmp_path: Path
) -> None:
    """The User-Agent identifies the client to the service."""
    connect(contact=contact).fetch("web", DAY, tmp_path)
    assert service.headers[0]["User-Agent"] == agent


def test_packed_answer_is_unpacked(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """An answer in gzip is unpacked."""
    service.tell(WEB, packed(BODY))
    assert connect().fetch("web", DAY, tmp_path).file.read_bytes() == BODY
    assert service.headers[0]["Accept-Encoding"] == "gzip"


def test_one_connection_serves_all_calls(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """All calls share one connection, which is kept after an error as well."""
    service.tell("/schedule?country=XX&date=2020-12-01", answer({"message": "Invalid country"}, 422))
    client = connect()
    client.fetch("web", DAY, tmp_path)
    with pytest.raises(ConfigError):
        client.fetch("country=XX", DAY, tmp_path)
    client.fetch("country=KR", DAY, tmp_path)
    assert service.connections == 1


@pytest.mark.parametrize("close", [trickle(b""), reset()], ids=["closed", "reset"])
def test_kept_connection_that_is_closed_is_replaced_at_once(
    service: ScheduleService, connect: Connect, fake: FakeTime, close: Reply, tmp_path: Path
) -> None:
    """A connection that the service closes after an earlier call is replaced without a pause, and only once a call."""
    service.tell(WEB, raw(BODY), close, raw(BODY), close, close)
    client = connect(retry_for_s=0)
    for _ in range(2):
        assert list(client.fetch("web", DAY, tmp_path).items()) == EPISODES
    assert (fake.slept, len(service.asked), service.connections) == ([], 3, 2)
    with pytest.raises(TryAgainError, match=r"\(attempt 1\)"):
        client.fetch("web", DAY, tmp_path)
    assert len(service.asked) == 5


ASKS = answer({}, 429, {"Retry-After": "7"})
"""The service asks for a pause of seven seconds."""


@pytest.mark.parametrize(
    ("faults", "waits"),
    [
        ([ASKS], [7.0]),
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
    service: ScheduleService, connect: Connect, fake: FakeTime, faults: list[Reply], waits: list[float], tmp_path: Path
) -> None:
    """A temporary fault is retried; the wait doubles up to a random half, and is as long as the service requests."""
    service.tell(WEB, *faults, raw(BODY))
    got = connect().fetch("web", DAY, tmp_path)
    assert (list(got.items()), got.calls) == (EPISODES, len(faults) + 1)
    assert [wait / 2 <= slept <= wait for slept, wait in zip(fake.slept, waits, strict=True)] == [True] * len(waits)
    if faults[0] is ASKS:
        assert fake.slept == waits


def test_silent_service_is_tried_again(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """A request without an answer within the timeout is retried."""
    service.tell(WEB, silence())
    with pytest.raises(TryAgainError, match=r"TimeoutError: timed out \(attempt 2\)"):
        connect(retry_for_s=0.4, read_timeout_s=0.05).fetch("web", DAY, tmp_path)
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
    service: ScheduleService, connect: Connect, fault: Reply, expected: str, tmp_path: Path
) -> None:
    """After the last try, the error names the URL, the fault and the number of tries."""
    service.tell(WEB, fault)
    with pytest.raises(TryAgainError) as raised:
        connect(retry_for_s=0.4).fetch("web", DAY, tmp_path)
    assert f"GET {service.url}{WEB}: {expected}" in str(raised.value)
    assert "(attempt 2)" in str(raised.value)
    assert len(service.asked) == 2


def test_service_that_is_not_there(tmp_path: Path) -> None:
    """A refused connection is reported in plain words."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        options = ScheduleFetchOptions(url=url, retry_for_s=0)
        with ScheduleClient(options) as client, pytest.raises(TryAgainError, match="Connection refused"):
            client.fetch("web", DAY, tmp_path)


def test_long_wait_is_not_waited(service: ScheduleService, connect: Connect, fake: FakeTime, tmp_path: Path) -> None:
    """If the service requests a wait longer than the rest of retry_for_s, the client gives up at once."""
    service.tell(WEB, answer({}, 429, {"Retry-After": "3600"}))
    with pytest.raises(TryAgainError, match="The service asks to wait 3600 s"):
        connect(retry_for_s=600).fetch("web", DAY, tmp_path)
    assert fake.slept == []


def test_outage_within_the_budget_only_delays(
    service: ScheduleService, connect: Connect, fake: FakeTime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twelve failures are waited out with pauses that double up to 20 s, and the log says so."""
    service.tell(WEB, *[answer({}, 503)] * 12, raw(BODY))
    with caplog.at_level("INFO"):
        assert connect(retry_for_s=600).fetch("web", DAY, tmp_path).calls == 13
    limits = [1, 2, 4, 8, 16, *[20] * 7]
    assert [limit / 2 <= pause <= limit for pause, limit in zip(fake.slept, limits, strict=True)] == [True] * 12
    assert caplog.messages[0].startswith("the schedule service has failed for ")
    assert caplog.messages[-1] == f"the schedule service answers again after {sum(fake.slept):.0f} s"


def test_longer_outage_is_given_up_once(
    service: ScheduleService, connect: Connect, fake: FakeTime, tmp_path: Path
) -> None:
    """After the budget is used up, each further call is one attempt, until the service has answered."""
    down = answer({}, 503)
    service.tell(WEB, down)
    client = connect(retry_for_s=600)
    for _ in range(3):
        with pytest.raises(TryAgainError, match="503"):
            client.fetch("web", DAY, tmp_path)
    assert sum(fake.slept) == pytest.approx(600)
    assert len(service.asked) == len(fake.slept) + 3


NO_ANSWERS = [
    (201, "Created", b"[]"),
    (203, "Non-Authoritative Information", b"[]"),
    (204, "No Content", b""),
    (206, "Partial Content", b"[]"),
    (300, "Multiple Choices", b"[]"),
    (302, "Found", b"[]"),  # a redirect without a place
    (304, "Not Modified", b""),
]
"""Statuses that are neither an answer nor a refusal."""


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
        *(
            (
                raw(body, status),
                BadInputError,
                f"the response has status {status} {reason}: '{body.decode()}'; expected 200",
            )
            for status, reason, body in NO_ANSWERS
        ),
        (
            raw(BODY, 200, {"Content-Type": "application/json", "Content-Encoding": "gzip, gzip"}),
            BadInputError,
            "has the encoding 'gzip, gzip', expected gzip or none",
        ),
    ],
    ids=[
        "422",
        "404",
        "redirect",
        "HTML",
        "no type",
        "cut JSON",
        "object",
        *(str(status) for status, _, _ in NO_ANSWERS),
        "two encodings",
    ],
)
def test_wrong_answer_is_an_error_at_once(
    service: ScheduleService, connect: Connect, reply: Reply, kind: type[MarqueeError], expected: str, tmp_path: Path
) -> None:
    """A permanent fault is not retried, and the error names the URL and quotes the answer."""
    service.tell(WEB, reply)
    with pytest.raises(kind) as raised:
        connect().fetch("web", DAY, tmp_path)
    assert f"GET {service.url}{WEB}: " in str(raised.value)
    assert expected in str(raised.value)
    assert len(service.asked) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "{self}"])
def test_redirect_is_not_followed(service: ScheduleService, connect: Connect, target: str, tmp_path: Path) -> None:
    """A redirect to a file, to another host or to the service itself is an error that names the target."""
    target = target.format(self=f"{service.url}/x")
    service.tell(WEB, redirect(target))
    with pytest.raises(ConfigError, match=re.escape(f"redirected (301) to '{target}', which Marquee does not follow")):
        connect().fetch("web", DAY, tmp_path)
    assert service.asked == [WEB]


def test_other_host_is_never_asked(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """A redirect to another host is not followed, even if a server answers there."""
    with schedule_service() as other:
        service.tell(WEB, redirect(f"{other.url}{WEB}"))
        with pytest.raises(ConfigError, match="does not follow"):
            connect().fetch("web", DAY, tmp_path)
        assert other.asked == []


def test_endless_answer_is_dropped(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """Reading stops at max_answer_mb, with or without a declared length."""
    service.tell(WEB, endless(b"[" * 65_536))
    with pytest.raises(BadInputError, match="larger than max_answer_mb = 1 MiB"):
        connect(max_answer_mb=1).fetch("web", DAY, tmp_path)


def test_gzip_bomb_is_dropped(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """The limit applies to the unpacked answer: 20 MiB of blanks in 20 KB are too much."""
    service.tell(WEB, packed(b" " * (20 << 20)))
    with pytest.raises(BadInputError, match="larger than max_answer_mb = 1 MiB"):
        connect(max_answer_mb=1).fetch("web", DAY, tmp_path)


def test_answer_at_the_limit_is_read(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """An answer of exactly the limit is read, and one byte more is refused."""
    at_limit = b"[]".ljust(1 << 20)
    service.tell(WEB, raw(at_limit), raw(at_limit + b" "))
    client = connect(max_answer_mb=1)
    assert client.fetch("web", DAY, tmp_path).file.read_bytes() == at_limit
    with pytest.raises(BadInputError):
        client.fetch("web", DAY, tmp_path)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(endless(b" ", pause_s=0.01), id="body"),
        pytest.param(trickle(HEAD + b"Content-Length: 100000\r\n\r\n", b" "), id="body of a known length"),
        pytest.param(trickle(b"HTTP/1.1 200 OK\r\n", b"x"), id="header without an end"),
        pytest.param(trickle(HEAD, b"X: y\r\n"), id="headers"),
        pytest.param(trickle(b"HTTP/1.1 2", b"0"), id="status"),
        pytest.param(trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="1xx"),
        pytest.param(trickle(b"HTTP/1.1 503 Busy\r\nContent-Length: 9999\r\n\r\n", b"x"), id="excerpt of an error"),
        pytest.param(trickle(b"HTTP/1.1 302 Found\r\nLocation: /", b"x"), id="redirect"),
    ],
)
def test_dripping_answer_ends_at_the_deadline(service: ScheduleService, reply: Reply, tmp_path: Path) -> None:
    """An answer that arrives byte by byte is dropped after answer_timeout_s, and the next call gets its answer."""
    service.tell(WEB, reply, raw(BODY))
    options = ScheduleFetchOptions(url=service.url, retry_for_s=0, answer_timeout_s=0.3)
    with ScheduleClient(options) as client:
        began = time.monotonic()
        with pytest.raises(TryAgainError, match=r"incomplete after answer_timeout_s = 0\.3 s"):
            client.fetch("web", DAY, tmp_path)
        assert time.monotonic() - began < 2
        assert client.fetch("web", DAY, tmp_path).file.read_bytes() == BODY


def test_dripping_tls_ends_at_the_deadline(tmp_path: Path) -> None:
    """A TLS handshake that arrives byte by byte is dropped after answer_timeout_s."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"\x16\x03\x03\x40\x00")  # the start of a record of 16 KiB
                while not ended.wait(0.01):
                    connection.sendall(b"\x00")

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        options = ScheduleFetchOptions(url=url, retry_for_s=0, answer_timeout_s=0.3)
        began = time.monotonic()
        with ScheduleClient(options) as client, pytest.raises(TryAgainError, match="incomplete after answer_timeout_s"):
            client.fetch("web", DAY, tmp_path)
        assert time.monotonic() - began < 2
        ended.set()
        thread.join()


def test_deadline_holds_on_a_kept_connection(service: ScheduleService, tmp_path: Path) -> None:
    """The deadline also ends a later call on a connection that earlier calls used."""
    service.tell(WEB, raw(BODY), raw(BODY), trickle(HEAD, b"X: y\r\n"))
    options = ScheduleFetchOptions(url=service.url, retry_for_s=0, answer_timeout_s=0.3)
    with ScheduleClient(options) as client:
        client.fetch("web", DAY, tmp_path)
        client.fetch("web", DAY, tmp_path)
        with pytest.raises(TryAgainError, match="incomplete after answer_timeout_s"):
            client.fetch("web", DAY, tmp_path)
    assert service.connections == 1


def test_large_headers_are_no_answer(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """99 headers of 65,000 bytes are read, and the response is then refused like any other without a type."""
    headers = b"".join(b"X%d: %s\r\n" % (number, b"a" * 65_000) for number in range(97))
    service.tell(WEB, trickle(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n[]"))
    with pytest.raises(BadInputError, match="has type 'none'"):
        connect().fetch("web", DAY, tmp_path)


def test_odd_headers_are_not_logged(
    service: ScheduleService, connect: Connect, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A line that is no header is ignored, and the log does not quote it."""
    set_up_logs("info", "text")
    service.tell(WEB, trickle(HEAD + b"Content-Length: %d\r\ncanary\r\n\r\n" % len(BODY) + BODY))
    with suppress(MarqueeError):
        connect(retry_for_s=0).fetch("web", DAY, tmp_path)
    assert "canary" not in capsys.readouterr().err


def test_foreign_words_are_shown_harmless(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """Reason and body of a response are shown without control characters, line ends and changes of direction."""
    body = b"no\x1b]0;owned\x07\x1b[31mRED\xe2\x80\xaeevil\n2026 FORGED"
    head = b"HTTP/1.1 503 Bad\x1b[31mreason\r\nContent-Length: %d\r\n\r\n" % len(body)
    service.tell(WEB, trickle(head + body))
    with pytest.raises(TryAgainError) as raised:
        connect(retry_for_s=0).fetch("web", DAY, tmp_path)
    assert str(raised.value).isprintable()
    assert "503 Bad\N{REPLACEMENT CHARACTER}[31mreason: " in str(raised.value)
    assert r"'no\x1b]0;owned\x07\x1b[31mRED\u202eevil\n2026 FORGED'" in str(raised.value)


@pytest.mark.parametrize(
    "wait", ["-5", "1e9", "9" * 5000, "nan", "\u0661"], ids=["-5", "1e9", "5,000 digits", "nan", "digits of Arabic"]
)
def test_retry_after_of_no_sense_is_ignored(
    service: ScheduleService, connect: Connect, fake: FakeTime, wait: str, tmp_path: Path
) -> None:
    """A Retry-After that is no number of seconds and no date is ignored."""
    head = f"HTTP/1.1 429 x\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: {wait}\r\n\r\n".encode()
    service.tell(WEB, trickle(head), raw(BODY))
    connect().fetch("web", DAY, tmp_path)
    assert [0.5 <= slept <= 1.0 for slept in fake.slept] == [True]


def test_netrc_is_not_read(
    service: ScheduleService, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials in a netrc file are not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    connect().fetch("web", DAY, tmp_path)
    assert "Authorization" not in service.headers[0]


def test_proxy_of_the_environment_is_used(
    service: ScheduleService, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A call goes through the proxy of the environment, within the deadline."""
    monkeypatch.setenv("http_proxy", service.url)
    monkeypatch.delenv("no_proxy", raising=False)
    service.tell(f"http://tv.example{WEB}", raw(BODY), trickle(HEAD, b"X: y\r\n"))
    client = connect(url="http://tv.example", answer_timeout_s=0.5, retry_for_s=0)
    assert client.fetch("web", DAY, tmp_path).file.read_bytes() == BODY
    with pytest.raises(TryAgainError, match="incomplete after answer_timeout_s"):
        client.fetch("web", DAY, tmp_path)


def test_cookies_are_not_kept(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """A cookie of the service is not sent back."""
    service.tell(WEB, answer([], headers={"Set-Cookie": "a=b"}))
    client = connect()
    client.fetch("web", DAY, tmp_path)
    client.fetch("web", DAY, tmp_path)
    assert "Cookie" not in service.headers[1]


def test_number_of_episodes_is_limited(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """A response with more than max_episodes episodes is refused."""
    service.tell(WEB, answer([{}] * 3))
    assert connect(max_episodes=3).fetch("web", DAY, tmp_path).rows == 3
    with pytest.raises(BadInputError, match="more than max_episodes = 2 episodes"):
        connect(max_episodes=2).fetch("web", DAY, tmp_path)


LONG = b"x" * (1 << 20)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'["' + LONG + b'"]', "a text in the response", id="long text"),
        pytest.param(
            b'["' + LONG[: 1 << 19] + b'\\"' * (1 << 19) + b'"]', "a text in the response", id="escaped quotes"
        ),
        pytest.param(b"[1" + b"0" * 5000 + b"]", "a number in the response has 1000 digits or more", id="long number"),
        pytest.param(b"[" * 2_000_000, "nested deeper than 32", id="nest"),
        pytest.param(b"[[" + b"0," * 20_000 + b"0]]", "takes more than 2 MiB of memory", id="many values"),
        pytest.param(
            b"[" + json.dumps({f"name {n}": "" for n in range(10_000)}).encode() + b"]",
            "takes more than 2 MiB of memory",
            id="many names",
        ),
        pytest.param(('["' + "x" * 600_000 + '\U0001f600"]').encode(), "takes more than 2 MiB", id="wide characters"),
    ],
)
def test_items_are_limited(
    service: ScheduleService, connect: Connect, body: bytes, expected: str, tmp_path: Path
) -> None:
    """Texts, numbers, depth and memory of an item are limited, wherever the response is split."""
    service.tell(WEB, raw(body))
    with pytest.raises(BadInputError, match=expected):
        connect().fetch("web", DAY, tmp_path)


def test_texts_up_to_the_limit_are_read(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """Many texts just below the limit, a mark of byte order, and 999 digits are read."""
    items = ["x" * ((1 << 20) - 2), 'a"\\', "y" * ((1 << 20) - 2), int("9" * 999)]
    service.tell(WEB, raw(b"\xef\xbb\xbf" + json.dumps(items).encode()))
    assert list(connect().fetch("web", DAY, tmp_path).items()) == items


def test_cut_gzip_is_no_answer(service: ScheduleService, connect: Connect, tmp_path: Path) -> None:
    """A gzip stream without its end is an error, not a short answer."""
    items = json.dumps([{"id": number} for number in range(1000)]).encode()
    service.tell(WEB, packed(items, missing=200))
    with pytest.raises(BadInputError, match="not JSON"):
        connect().fetch("web", DAY, tmp_path)


def test_calls_are_spread(service: ScheduleService, connect: Connect, fake: FakeTime, tmp_path: Path) -> None:
    """Of calls that take no time, 20 start at once and 20 more every 10 seconds."""
    service.tell(WEB, raw(BODY))
    client = connect()
    client.fetch("web", DAY, tmp_path)
    for _ in range(40):
        client.fetch("country=KR", DAY, tmp_path)
    assert fake.slept == [10.0, 10.0]
    assert len(service.asked) == 41


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
        b"[] []",
        b"[1,]",
        b'["a\nb"]',
    ],
    ids=["empty", "null", "text", "NaN", "cut", "UTF-16", "no UTF-8", "deep", "rest", "two", "comma", "control"],
)
def test_no_array_is_refused(body: bytes) -> None:
    """Any answer other than a JSON array is an error that names the URL."""
    with pytest.raises(BadInputError, match="GET http://tv"):
        list(read_items("http://tv", io.BytesIO(body), 9))


def test_error_shows_the_beginning_only() -> None:
    """An error quotes only the beginning of a long answer."""
    with pytest.raises(BadInputError) as raised:
        list(read_items("http://tv", io.BytesIO(b"<" * 100_000), 9))
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
