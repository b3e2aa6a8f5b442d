"""S3 on bad days: answers lost, cut, late or refused, through a proxy before the real server."""

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
    """How long boto3 has waited before it tried again, in seconds; here it does not."""
    waited: list[float] = []
    # boto3's own clock alone: where Spark has been, a thread of py4j sleeps all the time.
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def behind(s3_proxy: S3Proxy, s3_lake: S3Store) -> Callable[..., S3Store]:
    """Return what opens the lake as seen through the proxy, with three tries a call and parts of 5 MiB."""

    def opened(**options: object) -> S3Store:
        given = {"endpoint_url": s3_proxy.url, "path_style": True, "attempts": 3, "part_mb": 5} | options
        return S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), S3Options(**given))  # type: ignore[arg-type]

    return opened


Behind = Callable[..., S3Store]


def marker(run_id: str, generation: int) -> Marker:
    """Return a marker of the hour, without inputs or outputs."""
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


# A write lands and its answer is lost: boto3 tries again, is refused, and the run has won all the same.


def test_store_is_told_of_a_refusal(s3_proxy: S3Proxy, behind: Behind) -> None:
    """What happens below: the first PUT lands, the client's second gets 412."""
    s3_proxy.faults = [Fault("lose_answer", "PUT")]
    with pytest.raises(PreconditionError):
        behind().put_if_absent("a", b"1")
    assert s3_proxy.statuses("PUT") == [0, 412]
    assert behind().get("a") == b"1"


def test_run_that_landed_has_won(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """The first generation and the second are published, each with its answer lost once."""
    s3_proxy.faults = [Fault("lose_answer", "PUT")]
    first = publish(behind(), marker("r1", 1), None)
    s3_proxy.faults = [Fault("lose_answer", "PUT")]
    second = publish(behind(), marker("r2", 2), first)
    assert s3_proxy.statuses("PUT") == [0, 412, 0, 412]
    assert read_marker(s3_lake, "rollup", HOUR) == second == marker("r2", 2)


# The server has trouble, for a while or for good.

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
    """Refused and throttled, the third try succeeds; there is a pause before each, of 20 seconds at most."""
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
    """After so many tries it is the scheduler's turn: run it again later."""
    method, do = CALLS[call]
    s3_proxy.faults = [Fault("refuse", method, 100, 503, "SlowDown")]
    with pytest.raises(TryAgainError, match=r"the server failed \(.*503.*\): try again"):
        do(behind())
    assert s3_proxy.statuses(method) == [503] * 3
    assert len(waits) == 2


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_colliding_writes_are_tried_again(s3_proxy: S3Proxy, behind: Behind, waits: list[float], code: str) -> None:
    """409 says that another conditional write is under way, not who wins: to be asked again, with a pause."""
    s3_proxy.faults = [Fault("refuse", "PUT", 2, 409, code)]
    info = behind().put_if_absent("a", b"1")
    assert s3_proxy.statuses("PUT") == [409, 409, 200]
    assert behind().head("a") == info
    assert [0 <= wait <= 5 for wait in waits] == [True] * 2


def test_writes_that_keep_colliding_are_left_to_a_later_run(
    s3_proxy: S3Proxy, behind: Behind, waits: list[float]
) -> None:
    """Within the same budget; nothing is known to be written."""
    s3_proxy.faults = [Fault("refuse", "PUT", 100, 409, "ConditionalRequestConflict")]
    with pytest.raises(TryAgainError, match=r"ConditionalRequestConflict, 409"):
        behind().put_if_absent("a", b"1")
    assert (s3_proxy.statuses("PUT"), len(waits)) == ([409] * 3, 2)


@pytest.mark.parametrize("size", [pytest.param(1000, id="small"), pytest.param(len(LARGE), id="in parts")])
@pytest.mark.parametrize("way", ["get", "fetch"])
def test_answer_that_breaks_off_is_asked_for_again(
    s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store, tmp_path: Path, way: str, size: int
) -> None:
    """The connection ends in the midst of an object, once: its bytes come whole all the same."""
    s3_lake.put("a", LARGE[:size])
    s3_proxy.faults = [Fault("cut_answer", "GET")]
    data = behind().get("a") if way == "get" else behind().fetch("a", tmp_path).read_bytes()
    assert data == LARGE[:size]


def test_answer_that_always_breaks_off_is_no_object(
    s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store, tmp_path: Path
) -> None:
    """Half of an object is never taken for one; no file of it is left."""
    s3_lake.put("a", b"12345678")
    s3_proxy.faults = [Fault("cut_answer", "GET", 100)]
    for read in (lambda: behind().get("a"), lambda: behind().fetch("a", tmp_path)):
        with pytest.raises(TryAgainError, match=r"lake/a: .*check the endpoint and the network"):
            read()
    assert list(tmp_path.iterdir()) == []


# Uploads that are never answered.


def test_silent_server_is_given_up_in_time(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """Half of the body is taken, then nothing: two tries of 0.3 seconds, and nothing is there."""
    s3_proxy.faults = [Fault("hang", "PUT", 100)]
    store = behind(attempts=2, connect_timeout_s=0.3, read_timeout_s=0.3)
    begun = datetime.now(UTC)
    with pytest.raises(TryAgainError, match=r"lake/a: .*check the endpoint and the network, and try again"):
        store.put("a", LARGE[: 4 << 20])
    assert datetime.now(UTC) - begun < timedelta(seconds=10)
    assert s3_lake.head("a") is None


def test_upload_that_fails_takes_its_parts_along(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """A part that cannot be written, however often it is tried, aborts the upload: nothing is left to be paid for."""
    s3_proxy.faults = [Fault("refuse", "PUT", 100, 500, "InternalError")]
    with pytest.raises(TryAgainError, match=r"lake/a: the server failed \(InternalError, 500"):
        behind(attempts=1).put("a", LARGE)
    assert list(s3_lake.leftovers(FAR_FUTURE)) == []
    assert s3_lake.head("a") is None


def test_large_object_whose_last_answer_is_lost_is_there(s3_proxy: S3Proxy, behind: Behind, s3_lake: S3Store) -> None:
    """The upload is completed, which is asked for again: the object stands, and nothing is left over."""
    s3_proxy.faults = [Fault("lose_answer", "POST", path="uploadId=")]
    assert behind().put("a", LARGE) == s3_lake.head("a")
    assert s3_lake.get("a") == LARGE
    assert list(s3_lake.leftovers(FAR_FUTURE)) == []


def test_upload_that_is_gone_is_begun_by_a_later_run(s3_proxy: S3Proxy, behind: Behind) -> None:
    """Somebody has aborted it, or a server forgets what it has completed: nothing is wrong with the settings."""
    s3_proxy.faults = [Fault("refuse", "POST", 1, 404, "NoSuchUpload", path="uploadId=")]
    with pytest.raises(TryAgainError, match=r"lake/a: the server failed \(NoSuchUpload, 404"):
        behind().put("a", LARGE)


def test_uploads_that_may_not_be_listed_are_no_garbage(
    s3_proxy: S3Proxy, behind: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    """A policy, or a server, without it: the rest of the garbage can be collected, and it is said."""
    s3_proxy.faults = [Fault("refuse", "GET", 1, 403, "AccessDenied", path="?uploads")]
    assert list(behind().leftovers(FAR_FUTURE)) == []
    assert "cannot list incomplete uploads: s3://" in caplog.text


# What no other try mends.


@pytest.mark.parametrize(
    ("status", "code"), [(507, "XMinioStorageFull"), (403, "QuotaExceeded"), (507, "InsufficientStorage")]
)
def test_server_without_room_may_have_some_later(s3_proxy: S3Proxy, behind: Behind, status: int, code: str) -> None:
    """A full disk at the server, or a quota that is used up, is no setting of Marquee: 75, as for a full disk here."""
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
        pytest.param(403, "RequestTimeTooSkewed", "set this machine's clock", id="clock"),
        pytest.param(400, "AuthorizationHeaderMalformed", "set MARQUEE_S3__REGION", id="region"),
        pytest.param(501, "NotImplemented", ".*set MARQUEE_S3__CONDITIONAL_WRITES=false", id="conditions"),
    ],
)
def test_refusal_says_what_to_do(s3_proxy: S3Proxy, behind: Behind, status: int, code: str, advice: str) -> None:
    """A wrong setting is not tried again, and its message has the server's word and what to set right."""
    s3_proxy.faults = [Fault("refuse", ANY, 100, status, code)]
    with pytest.raises(ConfigError, match=rf"lake/a: the server refused \({code}, {status}: as scripted\): {advice}"):
        behind().put_if_absent("a", b"1")
    assert s3_proxy.statuses("PUT") == [status]
