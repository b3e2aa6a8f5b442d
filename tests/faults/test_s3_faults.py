"""Faults of S3: answers lost, truncated, late or refused, through a proxy in front of the real server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from marquee.calendar import hour
from marquee.errors import ConfigError, TryAgainError
from marquee.lake.manifest import Marker
from marquee.lake.markers import publish, read_marker
from marquee.storage.base import PreconditionError, S3Options, Store
from marquee.storage.s3 import S3Store
from tests.s3_proxy import ANY, Fault, S3Proxy

HOUR = hour("2026-01-05T13")
LARGE = bytes(range(256)) * (11 << 12)  # 11 MiB: two parts of 5 MiB, and one
FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of the pauses before retries, which are skipped: only the clock of the retries advances by them."""
    waited: list[float] = []
    # boto3's own clock alone: once Spark has run, a thread of py4j sleeps all the time.
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setattr("marquee.storage.s3_retries.time", SimpleNamespace(monotonic=lambda: 1000 + sum(waited)))
    return waited


@pytest.fixture
def behind(s3_proxy: S3Proxy, s3_lake: S3Store) -> Callable[..., S3Store]:
    """Return a function that opens the lake through the proxy, with retries for 60 seconds and parts of 5 MiB."""

    def opened(**options: object) -> S3Store:
        given = {"endpoint_url": s3_proxy.url, "path_style": True, "retry_for_s": 60, "part_mb": 5} | options
        return S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), S3Options(**given))  # type: ignore[arg-type]

    return opened


Behind = Callable[..., S3Store]


def marker(run_id: str, generation: int) -> Marker:
    """Return a marker of the hour without inputs or outputs."""
    return Marker(
        stage="rollup",
        period=str(HOUR),
        generation=generation,
        run_id=run_id,
        code_version="1",
        definition_version="1",
        parameters={},
        inputs=(),
        inputs_digest="d",
        outputs=(),
        counts={},
        started_at="2026-01-07T12:00:00.000+00:00",
        finished_at="2026-01-07T12:00:01.000+00:00",
    )


# A write succeeds and its answer is lost: boto3 retries, is refused, and the run has still won.


def test_store_is_told_of_a_refusal(s3_proxy: S3Proxy, behind: Behind) -> None:
    """When the answer to a successful PUT is lost, the retry gets 412, and the store raises a failed precondition."""
    s3_proxy.faults = [Fault("lose_answer", "PUT")]
    with pytest.raises(PreconditionError):
        behind().put_if_absent("a", b"1")
    assert s3_proxy.statuses("PUT") == [0, 412]
    assert behind().get("a") == b"1"


def test_run_that_landed_has_won(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """Both generations of a marker are published although the answer to each write is lost."""
    s3_proxy.faults = [Fault("lose_answer", "PUT")]
    first = publish(behind(), marker("r1", 1), None)
    s3_proxy.faults = [Fault("lose_answer", "PUT")]
    second = publish(behind(), marker("r2", 2), first)
    assert s3_proxy.statuses("PUT") == [0, 412, 0, 412]
    assert read_marker(s3_lake, "rollup", HOUR) == second == marker("r2", 2)


# Temporary and lasting trouble of the server

CALLS: dict[str, tuple[str, Callable[[Store], object]]] = {
    "get": ("GET", lambda store: store.get("a")),
    "list": ("GET", lambda store: list(store.list())),
    "head": ("HEAD", lambda store: store.head("a")),
    "put": ("PUT", lambda store: store.put("b", b"2")),
    "put_if_absent": ("PUT", lambda store: store.put_if_absent("b", b"2")),
    "delete": ("DELETE", lambda store: store.delete("a")),
}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_passing_trouble_is_waited_out(
    s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store, waits: list[float], call: str
) -> None:
    """After two refused or throttled tries, the third succeeds, with pauses of at most 20 seconds."""
    s3_lake.put("a", b"1")
    method, do = CALLS[call]
    s3_proxy.faults = [Fault("refuse", method, 1, 500, "InternalError"), Fault("refuse", method, 1, 503, "SlowDown")]
    do(behind())
    assert s3_proxy.statuses(method)[:2] == [500, 503]
    assert s3_proxy.statuses(method)[2] < 300
    assert [0 <= wait <= 20 for wait in waits] == [True] * 2


@pytest.mark.parametrize("call", sorted(CALLS))
def test_lasting_trouble_ends_within_the_budget(
    s3_proxy: S3Proxy, behind: Behind, waits: list[float], call: str
) -> None:
    """A call that fails for longer than the budget of 60 seconds ends with "try again", for a later run."""
    method, do = CALLS[call]
    s3_proxy.faults = [Fault("refuse", method, 100, 503, "SlowDown")]
    with pytest.raises(TryAgainError, match=r"the server failed \(.*503.*\): try again"):
        do(behind())
    assert sum(waits) == pytest.approx(60)
    assert s3_proxy.statuses(method) == [503] * (len(waits) + 1)


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_colliding_writes_are_tried_again(s3_proxy: S3Proxy, behind: Behind, waits: list[float], code: str) -> None:
    """A 409 means that another conditional write is in progress, so the call is retried after a pause."""
    s3_proxy.faults = [Fault("refuse", "PUT", 2, 409, code)]
    info = behind().put_if_absent("a", b"1")
    assert s3_proxy.statuses("PUT") == [409, 409, 200]
    assert behind().head("a") == info
    assert [0 <= wait <= 5 for wait in waits] == [True] * 2


def test_writes_that_keep_colliding_are_left_to_a_later_run(
    s3_proxy: S3Proxy, behind: Behind, waits: list[float]
) -> None:
    """Writes that keep colliding end with "try again" after the same budget."""
    s3_proxy.faults = [Fault("refuse", "PUT", 100, 409, "ConditionalRequestConflict")]
    with pytest.raises(TryAgainError, match=r"ConditionalRequestConflict, 409"):
        behind().put_if_absent("a", b"1")
    assert sum(waits) == pytest.approx(60)


@pytest.mark.parametrize("size", [pytest.param(1000, id="small"), pytest.param(len(LARGE), id="in parts")])
@pytest.mark.parametrize("way", ["get", "fetch"])
def test_answer_that_breaks_off_is_asked_for_again(
    s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store, tmp_path: Path, way: str, size: int
) -> None:
    """When the connection breaks within an object once, the object is requested again and read whole."""
    s3_lake.put("a", LARGE[:size])
    s3_proxy.faults = [Fault("cut_answer", "GET")]
    data = behind().get("a") if way == "get" else behind().fetch("a", tmp_path).read_bytes()
    assert data == LARGE[:size]


def test_answer_that_always_breaks_off_is_no_object(
    s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store, tmp_path: Path
) -> None:
    """When the connection always breaks within an object, reading fails, and no partial file is left."""
    s3_lake.put("a", b"12345678")
    s3_proxy.faults = [Fault("cut_answer", "GET", 100)]
    for read in (lambda: behind().get("a"), lambda: behind().fetch("a", tmp_path)):
        with pytest.raises(TryAgainError, match=r"lake/a: .*check the endpoint and the network"):
            read()
    assert list(tmp_path.iterdir()) == []


def test_slow_link_is_no_fault(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store, tmp_path: Path) -> None:
    """An object that takes longer than the timeout of a read arrives whole, because the timeout is for one packet."""
    s3_lake.put("a", LARGE[:60_000])
    s3_proxy.faults = [Fault("slow", "GET", 100)]
    begun = datetime.now(UTC)
    path = behind(read_timeout_s=0.4, retry_for_s=0).fetch("a", tmp_path)
    assert datetime.now(UTC) - begun > timedelta(seconds=0.5)
    assert path.read_bytes() == LARGE[:60_000]
    assert len(s3_proxy.statuses("GET")) == 1


def test_outage_within_the_budget_only_delays(
    s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """A listing continues after an outage, which is logged at growing intervals, and when it ends."""
    s3_lake.put("a", b"1")
    s3_proxy.faults = [Fault("refuse", "GET", 20, 503, "SlowDown")]
    with caplog.at_level("INFO"):
        assert [info.key for info in behind(retry_for_s=600).list()] == ["a"]
    told = [record.getMessage() for record in caplog.records if record.name == "marquee.outages"]
    assert len(waits) == 20
    assert sum(waits) > 60
    assert told[0].startswith("S3 has failed for ")
    assert told[-1] == f"S3 answers again after {sum(waits):.0f} s"
    assert len(told) <= 7 + sum(waits) // 60  # after 2, 4, 8, 16 and 32 s, then once a minute, and at the end


def test_calls_of_an_outage_share_one_budget(s3_proxy: S3Proxy, behind: Behind, waits: list[float]) -> None:
    """After the first call has used the budget, further calls fail at their first attempt, until one succeeds."""
    store = behind()
    s3_proxy.faults = [Fault("refuse", "HEAD", 100, 503, "SlowDown")]
    for _ in range(3):
        with pytest.raises(TryAgainError):
            store.head("a")
    assert sum(waits) == pytest.approx(60)
    s3_proxy.mend()
    assert store.head("a") is None
    s3_proxy.faults = [Fault("refuse", "HEAD", 2, 503, "SlowDown")]
    assert store.head("a") is None


# Uploads without an answer


def test_silent_server_is_given_up_in_time(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """When a server stops reading a body, attempts of 0.3 seconds fail for half a second, and no object exists."""
    s3_proxy.faults = [Fault("hang", "PUT", 100)]
    store = behind(retry_for_s=0.5, connect_timeout_s=0.3, read_timeout_s=0.3)
    begun = datetime.now(UTC)
    with pytest.raises(TryAgainError, match=r"lake/a: .*check the endpoint and the network, and try again"):
        store.put("a", LARGE[: 4 << 20])
    assert datetime.now(UTC) - begun < timedelta(seconds=10)
    assert s3_lake.head("a") is None


def test_upload_that_fails_takes_its_parts_along(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """When a part fails in every try, the upload is aborted, so no parts remain that cost money."""
    s3_proxy.faults = [Fault("refuse", "PUT", 100, 500, "InternalError")]
    with pytest.raises(TryAgainError, match=r"lake/a: the server failed \(InternalError, 500"):
        behind(retry_for_s=0).put("a", LARGE)
    assert list(s3_lake.leftovers(FAR_FUTURE)) == []
    assert s3_lake.head("a") is None


def test_large_object_whose_last_answer_is_lost_is_there(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """When the answer to the completion of an upload is lost, the object is there whole, and no parts remain."""
    s3_proxy.faults = [Fault("lose_answer", "POST", path="uploadId=")]
    assert behind().put("a", LARGE) == s3_lake.head("a")
    assert s3_lake.get("a") == LARGE
    assert list(s3_lake.leftovers(FAR_FUTURE)) == []


def test_upload_that_is_gone_is_begun_by_a_later_run(s3_proxy: S3Proxy, behind: Behind) -> None:
    """An upload that vanished on the server ends with "try again", because no setting is wrong."""
    s3_proxy.faults = [Fault("refuse", "POST", 1, 404, "NoSuchUpload", path="uploadId=")]
    with pytest.raises(TryAgainError, match=r"lake/a: the server failed \(NoSuchUpload, 404"):
        behind().put("a", LARGE)


def test_uploads_that_may_not_be_listed_are_no_garbage(
    s3_proxy: S3Proxy, behind: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    """If the right to list uploads is missing, a warning is logged, and other garbage can still be collected."""
    s3_proxy.faults = [Fault("refuse", "GET", 1, 403, "AccessDenied", path="?uploads")]
    assert list(behind().leftovers(FAR_FUTURE)) == []
    assert "cannot list incomplete uploads: s3://" in caplog.text


# Permanent refusals


@pytest.mark.parametrize(
    ("status", "code"), [(507, "XMinioStorageFull"), (403, "QuotaExceeded"), (507, "InsufficientStorage")]
)
def test_server_without_room_may_have_some_later(s3_proxy: S3Proxy, behind: Behind, status: int, code: str) -> None:
    """A full disk or an exhausted quota of the server ends with 75, like a full local disk."""
    s3_proxy.faults = [Fault("refuse", "PUT", 100, status, code)]
    with pytest.raises(
        TryAgainError, match=rf"lake/a: the server's disk is full \({code}, {status}: .*: free some space"
    ):
        behind().put("a", b"1")


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        pytest.param(403, "AccessDenied", "check the policies of the bucket", id="policy"),
        pytest.param(403, "InvalidAccessKeyId", "check the credentials", id="key"),
        pytest.param(403, "ExpiredToken", "check the credentials", id="token"),
        pytest.param(403, "InvalidObjectState", "the object is archived", id="archive"),
        pytest.param(403, "RequestTimeTooSkewed", "set this machine's clock", id="clock"),
        pytest.param(400, "AuthorizationHeaderMalformed", "set MARQUEE_S3__REGION", id="region"),
        pytest.param(501, "NotImplemented", ".*set MARQUEE_S3__CONDITIONAL_WRITES=false", id="conditions"),
    ],
)
def test_refusal_says_what_to_do(s3_proxy: S3Proxy, behind: Behind, status: int, code: str, advice: str) -> None:
    """A refusal by the server is not retried, and the message has the server's reason and the setting to correct."""
    s3_proxy.faults = [Fault("refuse", ANY, 100, status, code)]
    with pytest.raises(
        ConfigError, match=rf"lake/a: the server refused the request \({code}, {status}: as scripted\): {advice}"
    ):
        behind().put_if_absent("a", b"1")
    assert s3_proxy.statuses("PUT") == [status]
