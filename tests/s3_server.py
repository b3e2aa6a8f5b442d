"""A real S3 server for tests: versitygw, over a temporary folder, on a free port of loopback.

The server is found on the PATH, where ``go install`` puts commands, or where ``../shared/cluster/up`` builds the tools
of the test cluster. A folder below its root is a bucket.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ports import free_port

NAME, VERSION = "versitygw", "1.8.0"
"""In 1.7.0 and older, several concurrent conditional writes may win."""

ACCESS_KEY, SECRET_KEY, REGION = "test", "test-secret", "eu-central-1"
BUCKET = "tests"
PLACES = (Path.home() / "go/bin", Path.home() / ".cache/test-cluster/bin")
STARTS_WITHIN_S = 30


@dataclass(frozen=True)
class S3Server:
    """A running server: its URL, and the folder with its buckets."""

    url: str
    root: Path


@contextlib.contextmanager
def s3_server_at(root: Path, *options: str, port: int | None = None) -> Iterator[S3Server]:
    """Serve the buckets below a folder, with one bucket, until the end of the block; at a free port by default."""
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    # Over TLS boto3 sends chunks; the server leaves their end unread and takes it for the next request.
    scheme, kept = ("https", []) if "--cert" in options else ("http", ["--keep-alive"])
    command = [find_server(), "--port", f"127.0.0.1:{port}", "--region", REGION, "--quiet", *kept, *options]
    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with (
        (root.parent / f"{root.name}.log").open("w+") as log,
        subprocess.Popen([*command, "posix", str(root)], env=os.environ | keys, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(port, process, Path(log.name))
            yield S3Server(f"{scheme}://127.0.0.1:{port}", root)
        finally:
            process.terminate()


def find_server() -> str:
    """Return the command of the server, or fail the test if it is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, PLACES)])
    found = shutil.which(NAME, path=path)
    if found is None:
        pytest.fail(
            f"{NAME} is not there, and the tests of S3 need it: "
            f"go install github.com/versity/versitygw/cmd/versitygw@v{VERSION} (Go 1.25 or later)",
            pytrace=False,
        )
    return found


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key, and return their files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "server.crt", folder / "server.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server accepts connections."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    pytest.fail(f"{NAME} did not start: {log.read_text()}", pytrace=False)
