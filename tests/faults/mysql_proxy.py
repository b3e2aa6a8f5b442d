"""A proxy for a MySQL server, on loopback, that parses statements: it loses answers, or turns hostile.

``plan`` is called with each statement and returns what to do with it. Needs connections without TLS and compression.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum

COM_QUERY = 3
FILE_REQUEST = b"\xfb"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
LOGIN = "(login)"
"""Argument of ``plan`` when a client sends its user and password."""


class Fault(Enum):
    """What can happen to a statement instead of being passed on."""

    LOST_BEFORE = "the connection breaks before the server has the statement"
    LOST_AFTER = "the server has done it, and the connection breaks before the answer"


@dataclass(frozen=True)
class AskForFile:
    """The server ignores the statement and asks the client for one of its files instead."""

    name: str


@dataclass(frozen=True)
class SwitchTo:
    """The server asks the client to log in by this plugin instead."""

    plugin: str


Hostile = Fault | AskForFile | SwitchTo
Plan = Callable[[str], Hostile | None]


class MysqlProxy:
    """Passes on all traffic, except for the faults that ``plan`` returns."""

    def __init__(self, upstream_port: int, plan: Plan) -> None:
        self.plan = plan
        self.statements: list[str] = []
        """Statements of all connections, in order."""
        self.given: list[bytes] = []
        """Data that clients sent when they were asked for a file or a password: an empty packet is nothing."""
        self._upstream = ("127.0.0.1", upstream_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = {self._listener}
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """The port of the proxy."""
        port: int = self._listener.getsockname()[1]
        return port

    def close(self) -> None:
        """Break every connection, and wait until no thread runs."""
        _shut(*self._open)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._upstream)
                except OSError:  # not running
                    client.close()
                    continue
                self._open |= {client, server}
                pair = _Pair(self, client, server)
                for target in (pair.from_client, pair.from_server):
                    self._threads.append(threading.Thread(target=target, daemon=True))
                    self._threads[-1].start()


class _Pair:
    """A client's connection and the matching connection to the server."""

    def __init__(self, proxy: MysqlProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self._mute = threading.Event()
        self._answered = threading.Event()
        self._planning = threading.Lock()

    def from_client(self) -> None:
        try:
            logged_in = False
            while packet := _read(self.client):
                number, payload = packet
                statement = LOGIN
                if logged_in and number == 0 and payload[:1] == bytes([COM_QUERY]):
                    statement = payload[1:].decode(errors="replace")
                elif logged_in:
                    _write(self.server, number, payload)
                    continue
                logged_in = True
                self.proxy.statements.append(statement)
                with self._planning:
                    fault = self.proxy.plan(statement)
                if not self._handle(fault, number, payload):
                    return
        except OSError:
            pass  # one side is gone
        finally:
            _shut(self.client, self.server)

    def from_server(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(65536):
                if self._mute.is_set():
                    self._answered.set()
                else:
                    self.client.sendall(data)
        self._answered.set()
        with self._planning:  # a plan may stop the server: the client notices after that
            _shut(self.client)

    def _handle(self, fault: Hostile | None, number: int, payload: bytes) -> bool:
        """Apply the plan; return whether the connection stays open."""
        if isinstance(fault, AskForFile):
            return self._ask(fault.name, number)
        if isinstance(fault, SwitchTo):
            return self._switch(fault.plugin, number)
        if fault is Fault.LOST_BEFORE:
            return False
        if fault is Fault.LOST_AFTER:
            self._mute.set()
            _write(self.server, number, payload)
            self._answered.wait()
            return False
        _write(self.server, number, payload)
        return True

    def _switch(self, plugin: str, number: int) -> bool:
        _write(self.client, number + 1, b"\xfe" + plugin.encode() + b"\0Password: ")
        if packet := _read(self.client):
            self.proxy.given.append(packet[1])
        return False

    def _ask(self, name: str, number: int) -> bool:
        _write(self.client, number + 1, FILE_REQUEST + name.encode())
        while (packet := _read(self.client)) and packet[0]:  # 0: a statement, after which nobody waits for a file
            number, payload = packet
            self.proxy.given.append(payload)
            if not payload:
                _write(self.client, number + 1, OK)
                return True
        return False


@contextmanager
def mysql_proxy(upstream_port: int, plan: Plan = lambda _: None) -> Iterator[MysqlProxy]:
    """Run a proxy while the block runs."""
    proxy = MysqlProxy(upstream_port, plan)
    try:
        yield proxy
    finally:
        proxy.close()


def once(wanted: str, fault: Hostile) -> Plan:
    """Return a plan with the fault at the first statement with this beginning, in any case, and at no later one."""
    left = [fault]

    def plan(statement: str) -> Hostile | None:
        return left.pop() if left and statement.lower().startswith(wanted.lower()) else None

    return plan


def _read(sock: socket.socket) -> tuple[int, bytes] | None:
    header = _receive(sock, 4)
    if len(header) < 4:
        return None
    payload = _receive(sock, int.from_bytes(header[:3], "little"))
    return header[3], payload


def _receive(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return bytes(data)


def _write(sock: socket.socket, number: int, payload: bytes) -> None:
    sock.sendall(struct.pack("<I", len(payload) | (number & 255) << 24) + payload)


def _shut(*socks: socket.socket) -> None:
    """Break connections, so that blocked readers and waiters continue."""
    for sock in socks:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
