"""Connections that end at a deadline, however slowly the other side sends.

The timeouts of a socket start again with each byte. A deadline is that of the whole call: connection, TLS, headers,
interim responses (1xx), and body.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool


class Deadline:
    """Ends a call after ``timeout_s`` seconds."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self.passed = False
        """Whether the current or the latest call was ended."""
        self.reused = False
        """Whether the current or the latest call began on the connection of an earlier call, and made no other."""

    def hold(self, connected: socket.socket) -> None:
        """Take a new connection of the current call."""
        with self._lock:
            # The connection hands its own socket on to TLS. A duplicate reaches the same connection.
            self._close()
            self._socket = connected.dup()
            self.reused = False
            if self.passed:
                self._end()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Run a call in the ``with`` block. After the deadline its reads end, and ``passed`` is true."""
        self.passed, self.reused = False, self._socket is not None
        timer = threading.Timer(self._timeout_s, self._pass)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._close()

    def _pass(self) -> None:
        with self._lock:
            self.passed = True
            self._end()

    def _end(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it has ended already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class WatchedAdapter(HTTPAdapter):
    """requests' adapter, whose connections a deadline can end, through a proxy as well."""

    def __init__(self, deadline: Deadline) -> None:
        self._pools = {
            "http": _watched(HTTPConnectionPool, deadline.hold),
            "https": _watched(HTTPSConnectionPool, deadline.hold),
        }
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests has it
        """Make the connections without a proxy."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests has it
        """Return the connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _watched(pool: type[HTTPConnectionPool], hold: Callable[[socket.socket], None]) -> type[HTTPConnectionPool]:
    class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined] # a class that the pool names
        def _new_conn(self) -> socket.socket:
            connected: socket.socket = super()._new_conn()
            hold(connected)
            return connected

    return type("WatchedPool", (pool,), {"ConnectionCls": Connection})
