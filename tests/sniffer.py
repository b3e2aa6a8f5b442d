"""Runs a command in a network of its own, which has only loopback, and records all that passes there.

    python -m tests.sniffer FOLDER COMMAND…       as root: writes a file for each direction of each connection

Somebody who listens on a machine sees as much: also what passes between the processes of one pod.
"""

import ctypes
import fcntl
import socket
import struct
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

ETH_P_ALL, CLONE_NEWNET = 3, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
SO_RCVBUFFORCE = 33
IPV4, IPV6, TCP = 0x0800, 0x86DD, 6
BUFFER = 256 << 20


def listen() -> socket.socket:
    """Move this process to a network of its own, and return a socket that receives what passes on its loopback."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):  # os.unshare is of Python 3.12
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    raw.bind(("lo", 0))
    return raw


class Record:
    """The bytes of each direction of each connection, in the order in which they passed."""

    def __init__(self, raw: socket.socket) -> None:
        self.flows: dict[bytes, bytearray] = defaultdict(bytearray)
        self._raw = raw
        self._ended = threading.Event()
        raw.settimeout(0.2)
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def end(self) -> None:
        """Take what has passed until now, and end."""
        self._ended.set()
        self._thread.join()

    def _take(self) -> None:
        while True:
            try:
                frame, (_, kind, sent, *_rest) = self._raw.recvfrom(1 << 17)
            except TimeoutError:
                if self._ended.is_set():
                    return
                continue
            if sent == socket.PACKET_OUTGOING:  # each frame passes twice, out and in
                self._add(kind, frame[14:])

    def _add(self, kind: int, packet: bytes) -> None:
        if kind == IPV4 and packet[9] == TCP:
            head, end, hosts = (packet[0] & 15) * 4, int.from_bytes(packet[2:4]) or len(packet), packet[12:20]
        elif kind == IPV6 and packet[6] == TCP:
            head, end, hosts = 40, len(packet), packet[8:40]
        else:
            return
        tcp = packet[head:end]
        self.flows[hosts + tcp[:4]] += tcp[(tcp[12] >> 4) * 4 :]


def main() -> int:
    """Run the command, record, and return the command's exit code."""
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    record = Record(listen())
    code = subprocess.run(command, check=False).returncode
    record.end()
    for number, data in enumerate(record.flows.values()):
        (folder / f"flow-{number}").write_bytes(data)
    return code


if __name__ == "__main__":
    sys.exit(main())
