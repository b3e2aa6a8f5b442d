"""A proxy in front of the S3 server, on loopback, with scripted faults that a real server does not produce on request.

    refuse        answers with a status and an S3 error code, without asking the server
    lose_answer   passes the request on, and closes the connection instead of answering
    cut_answer    passes the request on, and closes the connection within the body of the answer
    slow          passes the request on, and sends the answer at 100 kB a second
    hang          reads half of the body of the request, and does not answer until the proxy is closed

A fault applies to a number of next requests of a method. ``S3Proxy.stripped`` names headers that the proxy removes, as
if the server did not know them.
"""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.s3_server import ACCESS_KEY, REGION, SECRET_KEY

ANY = ""
SLOW_STEP, SLOW_BYTES_A_SECOND = 5_000, 100_000
CONDITIONS = frozenset({"if-none-match", "if-match"})
_PER_CONNECTION = {"transfer-encoding", "connection", "content-length", "expect"}


@dataclass
class Fault:
    """A fault of the next ``times`` requests of a method, or of any method when it is empty."""

    kind: Literal["refuse", "lose_answer", "cut_answer", "slow", "hang"]
    method: str = ANY
    times: int = 1
    status: int = 0
    code: str = ""
    message: str = "as scripted"
    path: str = ""
    """A text that the path and query of a request must contain."""
    conditional: bool = False
    """Whether only conditional requests match."""

    def meets(self, method: str, path: str, names: Iterable[str]) -> bool:
        """Return whether a request with headers of these names matches a fault that is still due."""
        spared = self.conditional and CONDITIONS.isdisjoint(name.lower() for name in names)
        return self.times > 0 and self.method in {ANY, method} and self.path in path and not spared


class S3Proxy(ThreadingHTTPServer):
    """A proxy with scripted faults; ``answers`` are (method, status) in order, with 0 for no answer."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(url).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self.mend()

    def mend(self) -> None:
        """Remove all faults and recorded answers."""
        self.faults: list[Fault] = []
        self.stripped: frozenset[str] = frozenset()
        self.answers: list[tuple[str, int]] = []

    def statuses(self, method: str) -> list[int]:
        """Return the statuses of the answers to a method, with 0 for no answer."""
        return [status for asked, status in self.answers if asked == method]

    def due(self, method: str, path: str, names: Iterable[str]) -> Fault | None:
        """Return the fault that is due for a request, and count it."""
        with self._lock:
            fault = next((one for one in self.faults if one.meets(method, path, names)), None)
            if fault:
                fault.times -= 1
            return fault


class _Handler(BaseHTTPRequestHandler):
    server: S3Proxy
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        fault = self.server.due(self.command, self.path, self.headers)
        length = int(self.headers.get("Content-Length", 0))
        if fault and fault.kind == "hang":
            self.rfile.read(length // 2)
            self._drop()
            self.server.closing.wait()
            return
        body = self.rfile.read(length)
        if fault and fault.kind == "refuse":
            error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
            self._answer(fault.status, {"Content-Type": "application/xml"}, error.encode())
            return
        answer, data = self._pass_on(body)
        if fault and fault.kind == "lose_answer":
            self._drop()
        else:
            self._answer(answer.status, dict(answer.getheaders()), data, fault)

    def _pass_on(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}  # answered already
        if self.server.stripped & {name.lower() for name in headers}:
            headers = self._signed_anew(headers, body)
        with contextlib.closing(http.client.HTTPConnection(self.server.upstream)) as connection:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()

    def _signed_anew(self, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """Remove the stripped headers and sign the request again."""
        dropped = self.server.stripped | {"authorization", "host", "content-length"}
        kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
        request = AWSRequest(self.command, f"http://{self.server.upstream}{self.path}", kept, body)
        S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION).add_auth(request)
        return dict(request.headers.items())

    def _drop(self) -> None:
        self.server.answers.append((self.command, 0))
        self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], data: bytes, fault: Fault | None = None) -> None:
        cut = fault is not None and fault.kind == "cut_answer"
        self.server.answers.append((self.command, status))
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _PER_CONNECTION:
                self.send_header(name, value)
        told = {name.lower(): value for name, value in headers.items()}.get("content-length")
        self.send_header("Content-Length", told if self.command == "HEAD" and told else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self._send(data[: len(data) // 2] if cut else data, slowly=fault is not None and fault.kind == "slow")
        self.close_connection = self.close_connection or cut

    def _send(self, data: bytes, *, slowly: bool) -> None:
        step = SLOW_STEP if slowly else max(len(data), 1)
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            self.wfile.flush()
            time.sleep(SLOW_STEP / SLOW_BYTES_A_SECOND if slowly else 0)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815 - names that the base class looks for

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def s3_proxy_before(url: str) -> Iterator[S3Proxy]:
    """Run a proxy without faults in front of a server until the end of the block."""
    with S3Proxy(url) as proxy:
        threading.Thread(target=proxy.serve_forever, args=[0.01], daemon=True).start()
        yield proxy
        proxy.closing.set()
        proxy.shutdown()
