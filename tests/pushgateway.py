"""A Pushgateway on loopback that records pushes and answers with the status that a test sets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Pushgateway(ThreadingHTTPServer):
    """A server that records (method, path, body) of each POST, answers with ``status``, and has no other methods."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.status = 200
        self.pushed: list[tuple[str, str, str]] = []

    def metrics(self, push: int = -1) -> dict[str, float]:
        """Return the values of a push by the name and labels of each series."""
        lines = [line for line in self.pushed[push][2].splitlines() if not line.startswith("#")]
        return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


class _Handler(BaseHTTPRequestHandler):
    server: Pushgateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.pushed.append((self.command, self.path, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def pushgateway() -> Iterator[Pushgateway]:
    """Run a Pushgateway until the end of the block."""
    with Pushgateway() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
