"""Behaviour of the store on S3 alone; test_on_s3.py runs the tests of every store."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.rollup.inventory import Kind, take_inventory
from jobs.rollup.layout import Layout
from marquee.calendar import EVER
from marquee.errors import ConfigError, TryAgainError
from marquee.lake.garbage import Garbage, collect, plan_garbage
from marquee.lake.markers import Markers
from marquee.storage.base import PreconditionError, S3Options, Store
from marquee.storage.s3 import S3Store, _s3_client
from tests.ports import free_port
from tests.s3_server import BUCKET, S3Server, make_certificate, s3_server_at


def keys(store: Store, prefix: str = "") -> list[str]:
    """List the keys below a prefix."""
    return [info.key for info in store.list(prefix)]


def test_prefix_of_a_bucket_is_a_world_of_its_own(s3_lake: S3Store, s3_options: S3Options) -> None:
    """A prefix of a bucket isolates a store: keys are relative to it, and objects beside it are not listed."""
    around = S3Store(s3_lake.bucket, s3_lake.prefix.removesuffix("/lake/"), s3_options)
    around.put("lakeside", b"x")
    s3_lake.put("a", b"1")
    assert keys(s3_lake) == ["a"]
    assert keys(around) == ["lake/a", "lakeside"]


def test_long_listing_comes_whole(s3_lake: S3Store, s3_server: S3Server) -> None:
    """A listing of more than a thousand keys spans pages and is complete."""
    folder = s3_server.root / s3_lake.bucket / s3_lake.prefix / "many"
    folder.mkdir(parents=True)
    for number in range(2001):
        (folder / f"{number:04}").touch()
    assert keys(s3_lake, "many/") == [f"many/{number:04}" for number in range(2001)]


def test_folder_made_by_a_console_is_a_class_of_raw_objects(s3_lake: S3Store) -> None:
    """Empty objects that show folders are counted as such, and their hour has no events."""
    for key in ("hour=13/", "hour=14/", "hour=14/a.json", "hour=14/minute=05/", "_tmp/", "x/"):
        s3_lake.put(f"plays/2026-01-05/{key}", b"")
    found = take_inventory(s3_lake, Layout("plays/{year}-{month}-{day}/hour={hour}/"), EVER)
    assert list(map(str, found.known)) == ["2026-01-05T14"]
    assert found.totals() == dict.fromkeys(Kind, 0) | {Kind.FOLDER_MARKER: 5, Kind.READ: 1}


def test_folder_made_by_a_console_is_no_object(s3_lake: S3Store) -> None:
    """The empty object 'markers/', which consoles create for a folder, is listed only among everything."""
    s3_lake.put("markers/", b"")
    s3_lake.put("markers/a", b"x")
    assert keys(s3_lake) == ["markers/a"]
    assert [info.key for info in s3_lake.list_all()] == ["markers/", "markers/a"]


LARGE = bytes(range(256)) * (11 << 12)  # 11 MiB


def test_large_object_goes_up_in_parts(s3_lake: S3Store, s3_options: S3Options, tmp_path: Path) -> None:
    """An object of 11 MiB is uploaded in parts of 5, 5 and 1 MiB, and get and fetch return its bytes."""
    store = S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), replace(s3_options, part_mb=5))
    info = store.put("large", LARGE)
    assert (info.size, info.etag.rpartition("-")[2]) == (11 << 20, "3")
    assert store.head("large") == info
    assert store.get("large") == store.fetch("large", tmp_path).read_bytes() == LARGE
    assert store.put("small", LARGE[: 5 << 20 - 1]).etag.count("-") == 0


def test_upload_that_was_killed_is_swept_away(s3_lake: S3Store) -> None:
    """An incomplete upload appears only in leftovers, once it is old enough, with the size of its parts."""
    s3_lake.put("a/whole", b"x")
    where = {"Bucket": s3_lake.bucket, "Key": f"{s3_lake.prefix}a/cut"}
    client = s3_lake._client
    upload = client.create_multipart_upload(**where)["UploadId"]
    client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"12345678")
    now = datetime.now(UTC)
    assert keys(s3_lake) == ["a/whole"]
    assert list(s3_lake.leftovers(now - timedelta(minutes=1))) == []
    (found,) = s3_lake.leftovers(now + timedelta(minutes=1))
    assert (found.key, found.size) == (f"a/cut?uploadId={upload}", 8)
    s3_lake.sweep(found.key)
    s3_lake.sweep(found.key)  # again: sweeping a missing upload is not an error
    assert list(s3_lake.leftovers(now + timedelta(minutes=1))) == []
    assert keys(s3_lake) == ["a/whole"]


def test_upload_that_was_killed_is_garbage(s3_lake: S3Store) -> None:
    """An upload to S3 that was never completed counts as garbage with the size of its parts, and is aborted."""
    where = {"Bucket": s3_lake.bucket, "Key": f"{s3_lake.prefix}data/words/2026-01-05T13/run=r/words.parquet"}
    upload = s3_lake._client.create_multipart_upload(**where)["UploadId"]
    s3_lake._client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"abcd")
    now, day = datetime.now(UTC), timedelta(days=1)
    assert plan_garbage(s3_lake, Markers(s3_lake), now, day) == []
    plan = plan_garbage(s3_lake, Markers(s3_lake), now + 2 * day, day)
    key = f"data/words/2026-01-05T13/run=r/words.parquet?uploadId={upload}"
    assert plan == [Garbage(key, (key,), 4, leftover=True)]
    assert collect(s3_lake, plan) == plan
    assert list(s3_lake.leftovers(now + 2 * day)) == []


def test_leftovers_of_a_neighbour_are_his(s3_lake: S3Store) -> None:
    """Uploads beside the prefix are not leftovers, because the sink uploads raw events in parts as well."""
    s3_lake._client.create_multipart_upload(Bucket=s3_lake.bucket, Key=s3_lake.prefix.rstrip("/") + "side/a")
    assert list(s3_lake.leftovers(datetime.now(UTC) + timedelta(minutes=1))) == []


def test_without_conditional_writes_it_looks_first(
    s3_lake: S3Store, s3_options: S3Options, caplog: pytest.LogCaptureFixture
) -> None:
    """Without conditional writes, a later writer is still refused, and a warning about races is logged once."""
    store = S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), replace(s3_options, conditional_writes=False))
    first = store.put_if_absent("a", b"1")
    with pytest.raises(PreconditionError, match=f"lake/a has changed: expected no object, found etag {first.etag}"):
        store.put_if_absent("a", b"2")
    second = store.put_if_unchanged("a", b"2", first.etag)
    with pytest.raises(PreconditionError, match=f"expected etag {first.etag}, found etag {second.etag}"):
        store.put_if_unchanged("a", b"3", first.etag)
    with pytest.raises(PreconditionError, match="expected etag x, found no object"):
        store.put_if_unchanged("b", b"3", "x")
    assert (store.get("a"), keys(store)) == (b"2", ["a"])
    assert [record.message for record in caplog.records] == [
        f"{store.url}: conditional writes are off. If two runs make one period at the same time, the last one wins"
    ]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param({"AWS_ACCESS_KEY_ID": "somebody"}, "refused .*: check the credentials", id="unknown key"),
        pytest.param(
            {"AWS_SECRET_ACCESS_KEY": "canary"},
            r"refused the request \(SignatureDoesNotMatch, 403.*: check the cred",
            id="secret",
        ),
        pytest.param({"AWS_SECRET_ACCESS_KEY": None}, "Partial credentials found in env", id="half of them"),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "Unable to locate credentials: check the credentials, which boto3 reads from",
            id="none",
        ),
    ],
)
def test_wrong_credentials_are_a_wrong_setting(
    s3_lake: S3Store,
    s3_options: S3Options,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str | None],
    said: str,
) -> None:
    """Wrong credentials are an error of settings that describes them and does not contain them."""
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    _s3_client.cache_clear()
    try:
        with pytest.raises(ConfigError, match=said) as caught:
            keys(S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), s3_options))
    finally:
        _s3_client.cache_clear()
    assert "canary" not in str(caught.value)


def test_certificate_is_checked(tmp_path: Path) -> None:
    """A server with an untrusted certificate is refused, and the bundle of its authority makes it trusted."""
    certificate, key = make_certificate(tmp_path)
    with s3_server_at(tmp_path / "buckets", "--cert", str(certificate), "--key", str(key)) as server:
        options = S3Options(server.url, path_style=True, retry_for_s=0)
        with pytest.raises(ConfigError, match=r"CERTIFICATE_VERIFY_FAILED.*: set MARQUEE_S3__CA_BUNDLE"):
            S3Store(BUCKET, "", options).put("a", b"1")
        store = S3Store(BUCKET, "", replace(options, ca_bundle=str(certificate)))
        store.put("a", b"1")
        assert store.get("a") == b"1"


def test_unreachable_server_is_worth_another_try() -> None:
    """An unreachable server is an error that names the object and says to try again."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    store = S3Store("bucket", "", S3Options(f"http://127.0.0.1:{port}", path_style=True, retry_for_s=0))
    with pytest.raises(TryAgainError, match=r"s3://bucket/a: .*check the endpoint and the network, and try again"):
        store.get("a")


def test_server_that_stops_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    """A write to a real server that has stopped waits until it runs again, and is there."""
    port = free_port()
    store = S3Store(BUCKET, "", S3Options(f"http://127.0.0.1:{port}", path_style=True, retry_for_s=60))
    with s3_server_at(tmp_path / "buckets", port=port):
        store.put("a", b"1")
    with ThreadPoolExecutor(1) as pool, ExitStack() as server:
        written = pool.submit(store.put, "b", b"2")
        time.sleep(0.5)
        assert not written.done()
        server.enter_context(s3_server_at(tmp_path / "buckets", port=port))
        written.result(timeout=60)
        assert (store.get("a"), store.get("b")) == (b"1", b"2")


@pytest.fixture
def failing_server() -> Iterator[str]:
    """The URL of a server that answers every request with 503."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_failing_server_is_worth_another_try(failing_server: str) -> None:
    """A 503 ends with "try again", because the server may recover."""
    store = S3Store("bucket", "", S3Options(failing_server, path_style=True, retry_for_s=0))
    with pytest.raises(TryAgainError, match=r"s3://bucket/a: the server failed \(503, 503: .*\): try again"):
        store.get("a")


@pytest.mark.parametrize("call", ["get", "list", "put"])
def test_missing_bucket_is_a_wrong_setting(s3_options: S3Options, call: str) -> None:
    """A missing bucket is an error of settings, because a retry does not create it."""
    store = S3Store("no-such-bucket", "", s3_options)
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get("a"),
        "list": lambda: keys(store),
        "put": lambda: store.put("a", b"x"),
    }
    with pytest.raises(
        ConfigError, match=r"the server refused the request \(NoSuchBucket, 404: .*\): the bucket does not exist"
    ):
        calls[call]()


def test_server_says_its_time(s3_lake: S3Store) -> None:
    """The store returns the server's time from its answers, in whole seconds."""
    served = s3_lake.server_time()
    assert served is not None
    assert abs((datetime.now(UTC) - served).total_seconds()) < 60
