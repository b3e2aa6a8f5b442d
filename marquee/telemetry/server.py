"""An HTTP server in a thread of this process, with /metrics and health checks for Kubernetes."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)

Check = Callable[[], str]
"""A health check: returns what is wrong, or an empty text."""

TEXT = "text/plain; charset=utf-8"


class MetricsServer(ThreadingHTTPServer):
    """Serves a registry at /metrics, and each health check at its path with status 200 or 503."""

    daemon_threads = True

    def __init__(
        self, address: str, port: int, registry: CollectorRegistry, checks: Mapping[str, Check] | None = None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)
        self.registry = registry
        self.checks = checks or {}

    def handle_error(self, *_: object) -> None:
        """Log a client that disconnects as one line."""
        log.debug("a client closed its connection during a scrape")


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    server_version = "marquee"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, kind, encode(self.server.registry))
        elif path in self.server.checks:
            wrong = self.server.checks[path]()
            status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
            self._answer(status, TEXT, f"{wrong or 'ok'}\n".encode())
        else:
            paths = ", ".join(["/metrics", *self.server.checks])
            self._answer(HTTPStatus.NOT_FOUND, TEXT, f"No such path. Use one of {paths}\n".encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        """Log a request at the debug level, because scrapes are frequent."""
        log.debug("%s", said)


@contextmanager
def serving(server: MetricsServer) -> Iterator[MetricsServer]:
    """Run a server while the body runs."""
    thread = threading.Thread(target=server.serve_forever, name="marquee-metrics", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
