"""Servers of a mart for tests, each with its own data folder, reached by a socket there and by a port of loopback.

``MariaDB`` is here, and ``MySQL`` in tests/mysql_server.py. Tests of marts run on both.

``install`` makes an empty data folder once; each server gets a copy, so that a test may kill, fill up or misconfigure
its server without harm to another. Statements of an administrator use the socket, as root without a password.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from tests.ports import free_port

PATIENCE_S = 60.0
"""The longest time that a server may take to answer or to end."""
SMALL = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-method=nosync",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=8M",
    "--performance-schema=OFF",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
)
"""Options for a quick start and little memory. Without waiting for the disk, only a power cut can lose data."""
_QUICK_INSTALL = (
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    "--skip-name-resolve",
    "--innodb-log-file-size=16M",
    "--innodb-flush-method=nosync",
)


@dataclass
class SqlServer:
    """A server that can be started, stopped, killed, frozen and restarted with the same data."""

    folder: Path
    options: Sequence[str] = ()
    data: Path | None = None
    """The data folder; below ``folder`` when None."""
    port: int = field(default=0, init=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        """The socket of the server."""
        return self.folder / "s"

    @property
    def pid(self) -> int:
        """The id of the process of the server."""
        if self._process is None:
            message = f"the server in {self.folder} does not run"
            raise RuntimeError(message)
        return self._process.pid

    @property
    def log(self) -> str:
        """The log of the server since it was made."""
        return (self.folder / "log").read_text(errors="replace")

    def program(self) -> Sequence[str]:
        """Return the command that starts a small server, without the places of its files."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server on the same port as before, and wait until it answers."""
        self.port = self.port or free_port()
        command = [
            *self.program(),
            f"--datadir={self.data or self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            f"--tmpdir={self.folder}",  # of the one in common each server that starts deletes the others' tables
            *self.options,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        patience_ends = time.monotonic() + PATIENCE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > patience_ends:
                self.kill()
                message = f"{type(self).__name__} did not start: {self.log[-3000:]}"
                raise RuntimeError(message)
            time.sleep(0.02)  # between two looks

    def stop(self) -> None:
        """End the server in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server without any clean-up, as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End the server in order and start it again, which closes every connection."""
        self.stop()
        self.start()

    def connect(self, database: str | None = None, user: str = "root", password: str = "", **named: Any) -> Connection:
        """Connect by the socket; each statement is committed at once by default."""
        # Without ssl_disabled PyMySQL reads the system's certificates for every connection.
        settings = {"charset": "utf8mb4", "autocommit": True, "ssl_disabled": True, **named}
        return pymysql.connect(
            unix_socket=str(self.socket), user=user, password=password, database=database, **settings
        )

    def ask(self, sql: str, database: str | None = None, arguments: Sequence[Any] = ()) -> tuple[tuple[Any, ...], ...]:
        """Run one statement as root in a connection of its own, and return its rows."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return tuple(cursor.fetchall())

    def _answers(self) -> bool:
        # PyMySQL would leave a socket open where no server listens.
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0 and bool(probe.recv(1))

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            self._process.wait(PATIENCE_S)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None


class MariaDB(SqlServer):
    """A MariaDB of the PATH."""

    def program(self) -> Sequence[str]:
        """Return the command that starts it."""
        return [_program("mariadbd"), "--no-defaults", *as_root(), *SMALL]


@dataclass(frozen=True)
class MysqlDatabase:
    """An empty database for one mart, with a user who has all rights in it and may otherwise create users only."""

    server: SqlServer
    name: str
    user: str
    password: str

    @property
    def url(self) -> str:
        """The URL of the database on loopback, in the form of the mart's settings."""
        return f"mysql://{self.user}@127.0.0.1:{self.server.port}/{self.name}"

    @property
    def socket(self) -> Path:
        """The socket of the server."""
        return self.server.socket

    def connect(self, **named: Any) -> Connection:
        """Connect to the database as root."""
        return self.server.connect(self.name, **named)

    def ask(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[tuple[Any, ...], ...]:
        """Run one statement in the database as root, and return its rows."""
        return self.server.ask(sql, self.name, arguments)


def install(folder: Path) -> Path:
    """Make an empty data folder with the system tables of a server."""
    data = folder / "data"
    command = [_program("mariadb-install-db"), "--no-defaults", *as_root(), f"--datadir={data}", *_QUICK_INSTALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"mariadb-install-db ended with code {done.returncode}: {done.stdout}{done.stderr}"
        raise RuntimeError(message)
    return data


def mariadb_server(
    installed: Path, folder: Path, *options: str, data: Path | None = None
) -> AbstractContextManager[SqlServer]:
    """Run a MariaDB on a copy of an installed data folder until the end of the block."""
    return Installed(MariaDB, installed).server(folder, *options, data=data)


@dataclass(frozen=True)
class Installed:
    """A kind of server with a data folder that holds its system tables, which each server gets a copy of."""

    kind: type[SqlServer]
    data: Path

    @contextmanager
    def server(self, folder: Path, *options: str, data: Path | None = None) -> Iterator[SqlServer]:
        """Run a server on a copy of the data folder until the end of the block."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.data, data or folder / "data", dirs_exist_ok=True)
        server = self.kind(folder, options, data)
        server.start()
        with _ended(server):
            yield server


@contextmanager
def _ended(server: SqlServer) -> Iterator[None]:
    """End a server at the end of the block, without grace if it is of one test alone."""
    try:
        yield
    finally:
        server.kill() if server.data or server.options else server.stop()


@contextmanager
def mysql_database(server: SqlServer, charset: str = "utf8mb4") -> Iterator[MysqlDatabase]:
    """Make a database with its own user, and drop both, and the users that it created, at the end of the block."""
    name = f"kiosk_{secrets.token_hex(4)}"
    mine = MysqlDatabase(server, name, f"{name}_owner", secrets.token_hex(8))
    before = _users(server)
    server.ask(f"create database {name} character set {charset}")
    server.ask(f"create user {mine.user} identified by '{mine.password}'")
    server.ask(f"grant all on {name}.* to {mine.user} with grant option")
    server.ask(f"grant create user on *.* to {mine.user}")
    try:
        yield mine
    finally:
        server.ask(f"drop database {name}")
        for user, host in _users(server) - before:
            server.ask(f"drop user '{user}'@'{host}'")


def _users(server: SqlServer) -> set[tuple[str, str]]:
    return {(user, host) for user, host in server.ask("select user, host from mysql.user")}


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        message = (
            f"{name} is not on the PATH, and the tests of the mart in MySQL start a server of their own: install "
            "MariaDB 10.11 (Debian: apt-get install mariadb-server-core mariadb-client-core)"
        )
        raise RuntimeError(message)
    return found


def as_root() -> list[str]:
    """Return the option that root needs to run the server."""
    return ["--user=root"] if os.geteuid() == 0 else []
