"""A proxy before MySQL's server, on loopback, that knows where a statement begins: it loses answers, or turns hostile.

``plan`` is asked about each statement and says what to do with it. Without TLS and compression: it reads along.
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
"""What ``plan`` is asked about when a client gives its user and password."""


class Fault(Enum):
    """What may happen to a statement, other than that it is passed on."""

    LOST_BEFORE = "the connection breaks before the server has the statement"
    LOST_AFTER = "the server has done it, and the connection breaks before the answer"


@dataclass(frozen=True)
class AskForFile:
    """The server has nothing to do with the statement; it asks the client for one of its files instead."""

    name: str


Plan = Callable[[str], Fault | AskForFile | None]


class MysqlProxy:
    """Passes on what it is given, but for what ``plan`` says."""

    def __init__(self, upstream_port: int, plan: Plan) -> None:
        self.plan = plan
        self.statements: list[str] = []
        """What was asked, in order, by all connections."""
        self.given: list[bytes] = []
        """What clients sent when they were asked for a file: an empty packet is nothing."""
        self._upstream = ("127.0.0.1", upstream_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = {self._listener}
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def close(self) -> None:
        """Break every connection, and wait until nothing runs."""
        _shut(*self._open)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._upstream)
                except OSError:  # it does not run
                    client.close()
                    continue
                self._open |= {client, server}
                pair = _Pair(self, client, server)
                for target in (pair.from_client, pair.from_server):
                    self._threads.append(threading.Thread(target=target, daemon=True))
                    self._threads[-1].start()


class _Pair:
    """A client's connection and the one to the server that belongs to it."""

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
        with self._planning:  # what is planned may take the server away: the client learns of it when that is done
            _shut(self.client)

    def _handle(self, fault: Fault | AskForFile | None, number: int, payload: bytes) -> bool:
        """Do as planned; tell whether the connection goes on."""
        if isinstance(fault, AskForFile):
            return self._ask(fault.name, number)
        if fault is Fault.LOST_BEFORE:
            return False
        if fault is Fault.LOST_AFTER:
            self._mute.set()
            _write(self.server, number, payload)
            self._answered.wait()
            return False
        _write(self.server, number, payload)
        return True

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


def once(wanted: str, fault: Fault | AskForFile) -> Plan:
    """Return a plan that has the fault at the first statement that begins so, whatever its case, and none later."""
    left = [fault]

    def plan(statement: str) -> Fault | AskForFile | None:
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
    """Break connections: who reads or waits on them goes on."""
    for sock in socks:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
