"""A write lands and its answer is lost: S3's own client tries again, is refused, and the run has won all the same."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from jobs.common.calendar import hour
from jobs.common.commit import Marker, publish, read_marker
from jobs.common.store import PreconditionError, S3Options, S3Store

HOUR = hour("2026-01-05T13")


class LosingProxy(ThreadingHTTPServer):
    """Passes requests on; while ``to_lose`` is above 0, closes the connection instead of answering a PUT."""

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(url).netloc
        self.to_lose = 0
        self.statuses: list[int] = []


class _Handler(BaseHTTPRequestHandler):
    server: LosingProxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        if self.headers.get("Expect") == "100-continue":
            del self.headers["Expect"]  # answered already, by the base class
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.server.upstream)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if self.command == "PUT":
            self.server.statuses.append(answer.status)
            if self.server.to_lose:
                self.server.to_lose -= 1
                self.close_connection = True
                return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_HEAD = do_DELETE = _pass_on  # noqa: N815 - names that the base class looks for

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(s3_server: str) -> Iterator[LosingProxy]:
    """A proxy before the S3 on loopback, which loses nothing yet."""
    with LosingProxy(s3_server) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def lake_behind(proxy: LosingProxy, s3_lake: S3Store) -> S3Store:
    """The lake as seen through the proxy."""
    options = S3Options(endpoint_url=f"http://127.0.0.1:{proxy.server_port}", path_style=True, attempts=2)
    return S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), options)


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


def test_store_is_told_of_a_refusal(proxy: LosingProxy, lake_behind: S3Store) -> None:
    """What happens below: the first PUT lands, the client's second gets 412."""
    proxy.to_lose = 1
    with pytest.raises(PreconditionError):
        lake_behind.put_if_absent("a", b"1")
    assert proxy.statuses == [200, 412]
    assert lake_behind.get("a") == b"1"


def test_run_that_landed_has_won(proxy: LosingProxy, lake_behind: S3Store, s3_lake: S3Store) -> None:
    """The first generation and the second are published, each with its answer lost once."""
    proxy.to_lose = 1
    first = publish(lake_behind, marker("r1", 1), None)
    proxy.to_lose = 1
    second = publish(lake_behind, marker("r2", 2), first)
    assert proxy.statuses == [200, 412, 200, 412]
    assert read_marker(s3_lake, "rollup", HOUR) == second == marker("r2", 2)
