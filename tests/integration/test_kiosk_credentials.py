"""Passwords and certificate of a kiosk, with an API server that does for Secrets what Kubernetes does."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.mart_load.credentials import CERTIFICATE, USERS, Secrets, make_certificate, make_passwords
from marquee.errors import ConfigError, TryAgainError


class Api:
    """The Secrets of a namespace, each with its version and its data."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, str]] = {"passwords": {}, "tls": {}}
        self.version = 1
        self.meanwhile: dict[str, str] = {}
        """Data that somebody else writes between a reading and the next change."""

    def read(self, name: str) -> tuple[int, dict[str, object]]:
        """Return the answer to GET."""
        if name not in self.data:
            return 403, {}
        found: dict[str, object] = {
            "metadata": {"resourceVersion": str(self.version)},
            "data": dict(self.data[name]) or None,
        }
        if self.meanwhile:
            self.data[name] |= self.meanwhile
            self.version += 1
            self.meanwhile = {}
        return 200, found

    def patch(self, name: str, patch: dict[str, dict[str, str]]) -> tuple[int, dict[str, object]]:
        """Return the answer to PATCH, which is refused for a version that is not the newest."""
        if patch["metadata"]["resourceVersion"] != str(self.version):
            return 409, {}
        self.version += 1
        self.data[name] |= patch["data"]
        return 200, {}


@pytest.fixture
def api() -> Api:
    """Two empty Secrets."""
    return Api()


@pytest.fixture
def cluster(api: Api) -> Iterator[Secrets]:
    """The Secrets of a server of the API."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*api.read(self.path.rpartition("/")[2]))

        def do_PATCH(self) -> None:
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*api.patch(self.path.rpartition("/")[2], json.loads(body)))

        def _answer(self, code: int, body: dict[str, object]) -> None:
            assert self.path.startswith("/api/v1/namespaces/n/secrets/")
            assert self.headers["Authorization"] == "Bearer token"
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Secrets(f"http://127.0.0.1:{server.server_port}/api/v1/namespaces/n", "token")
    server.shutdown()
    server.server_close()


def test_passwords_are_made_once(api: Api, cluster: Secrets) -> None:
    """An empty Secret gets three different passwords of 32 characters, which a second job leaves alone."""
    assert cluster.fill("passwords", make_passwords(), together=False) == list(USERS)
    first = dict(api.data["passwords"])
    passwords = {base64.b64decode(value).decode() for value in first.values()}
    assert {len(one) for one in passwords} == {32}
    assert len(passwords) == 3
    assert cluster.fill("passwords", make_passwords(), together=False) == []
    assert api.data["passwords"] == first


def test_only_a_missing_password_is_made(api: Api, cluster: Secrets) -> None:
    """A password that a person has put there stays, because the database knows it."""
    api.data["passwords"] = {"root": "bWluZQ=="}
    assert cluster.fill("passwords", make_passwords(), together=False) == ["loader", "analyst"]
    assert api.data["passwords"]["root"] == "bWluZQ=="


def test_certificate_is_made_as_a_whole(api: Api, cluster: Secrets) -> None:
    """Without its key a certificate is of no use, so all three files are made again."""
    api.data["tls"] = {"ca.crt": "b2xk", "tls.crt": "b2xk"}
    assert cluster.fill("tls", make_certificate(["kiosk"]), together=True) == list(CERTIFICATE)
    assert api.data["tls"]["ca.crt"] != "b2xk"


def test_of_two_jobs_at_a_time_one_tries_again(api: Api, cluster: Secrets) -> None:
    """A Secret that was filled after it was read is not overwritten: the job is retried, and leaves it alone."""
    api.meanwhile = dict.fromkeys(USERS, "dGhlaXJz")
    with pytest.raises(TryAgainError, match="PATCH of Secret passwords: the API server answered 409"):
        cluster.fill("passwords", make_passwords(), together=False)
    assert cluster.fill("passwords", make_passwords(), together=False) == []
    assert set(api.data["passwords"].values()) == {"dGhlaXJz"}


def test_missing_right_is_named(cluster: Secrets) -> None:
    """A Secret that the job may not read is an error of the configuration."""
    with pytest.raises(ConfigError, match="GET of Secret other: the API server answered 403"):
        cluster.fill("other", {}, together=False)


def test_no_answer_is_tried_again() -> None:
    """A server that is not there is a failure that passes."""
    with pytest.raises(TryAgainError, match="does not answer"):
        Secrets("http://127.0.0.1:1", "token").fill("passwords", {}, together=False)


@pytest.mark.parametrize(
    ("name", "trusted"), [("q1-kiosk.space.svc", True), ("127.0.0.1", True), ("other.example.org", False)]
)
def test_certificate_is_of_its_names(tmp_path: Path, name: str, trusted: bool) -> None:
    """A client that trusts the authority connects by each name of the server and address, and by no other."""
    for key, value in make_certificate(["q1-kiosk", "q1-kiosk.space.svc", "127.0.0.1"]).items():
        (tmp_path / key).write_bytes(value)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    client = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(there, server_side=True).close()
        except ssl.SSLError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        if trusted:
            client.wrap_socket(here, server_hostname=name).close()
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="is not valid for"):
                client.wrap_socket(here, server_hostname=name)
    finally:
        here.close()
        thread.join()
