"""A schedule service on loopback that answers or fails as a test scripts it."""

import gzip
import json
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON_TYPE = "application/json; charset=UTF-8"


class ScheduleService(ThreadingHTTPServer):
    """A server that answers each path with its replies in turn, repeating the last one, and other paths with ``[]``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.closing = threading.Event()
        self._replies: dict[str, list[Reply]] = defaultdict(lambda: [answer([])])

    def tell(self, path: str, *replies: "Reply") -> None:
        """Set the replies of a path."""
        self._replies[path] = list(replies)

    def next_reply(self, path: str) -> "Reply":
        """Return the next reply of a path."""
        replies = self._replies[path]
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def handle_error(self, *_: Any) -> None:
        """Log nothing, because some tests break connections."""


class _Handler(BaseHTTPRequestHandler):
    server: ScheduleService
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait 40 ms

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        self.server.next_reply(self.path)(self)

    def start(self, status: int, headers: dict[str, str]) -> None:
        """Send status and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, data: bytes) -> None:
        """Send a part of the body."""
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


Reply = Callable[[_Handler], None]


def answer(items: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Answer with a value as JSON."""
    return raw(json.dumps(items).encode(), status, {"Content-Type": JSON_TYPE} | (headers or {}))


def packed(data: bytes, missing: int = 0) -> Reply:
    """Answer with JSON in gzip, without its last bytes."""
    body = gzip.compress(data)
    return raw(body[: len(body) - missing], 200, {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"})


def raw(data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Answer with these exact bytes, by default as JSON."""

    def reply(handler: _Handler) -> None:
        given = {"Content-Type": JSON_TYPE} if headers is None else headers
        handler.start(status, {"Content-Length": str(len(data))} | given)
        handler.send(data)

    return reply


def cut(data: bytes, missing: int) -> Reply:
    """Answer with JSON, and close the connection before its last bytes."""

    def reply(handler: _Handler) -> None:
        handler.start(200, {"Content-Type": JSON_TYPE, "Content-Length": str(len(data))})
        handler.send(data[:-missing])
        handler.close_connection = True

    return reply


def reset() -> Reply:
    """Reset the connection instead of answering."""

    def reply(handler: _Handler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.rfile.close()  # holds the socket, too
        handler.connection.close()
        handler.close_connection = True

    return reply


def endless(piece: bytes, headers: dict[str, str] | None = None, pause_s: float = 0.0) -> Reply:
    """Answer with a body that repeats until the client closes the connection."""

    def reply(handler: _Handler) -> None:
        handler.start(200, {"Content-Type": JSON_TYPE, "Connection": "close"} | (headers or {}))
        while not handler.server.closing.wait(pause_s):
            handler.send(piece)

    return reply


def trickle(start: bytes, piece: bytes = b"", pause_s: float = 0.01) -> Reply:
    """Send these exact bytes as the response, then a piece again and again, or the end of the connection."""

    def reply(handler: _Handler) -> None:
        handler.send(start)
        while piece and not handler.server.closing.wait(pause_s):
            handler.send(piece)
        handler.close_connection = True

    return reply


def silence() -> Reply:
    """Accept the request and never answer."""

    def reply(handler: _Handler) -> None:
        handler.server.closing.wait()
        handler.close_connection = True

    return reply


def redirect(url: str) -> Reply:
    """Redirect the client to another URL."""
    return raw(b"", 301, {"Location": url})


@contextmanager
def schedule_service() -> Iterator[ScheduleService]:
    """Run the service until the end of the block."""
    service = ScheduleService()
    thread = threading.Thread(target=service.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield service
    finally:
        service.closing.set()
        service.shutdown()
        thread.join()
        service.server_close()
