"""Makes the passwords and the certificate of a kiosk, once, and keeps them in two Secrets of its release.

The chart creates these Secrets without data, so that it renders the same bytes each time, and lets this job read and
patch the two alone. What a Secret has already is never replaced.

* passwords: ``root``, ``loader`` and ``analyst``
* tls: ``tls.crt`` and ``tls.key`` of the server, and ``ca.crt``, which signed it and whose key nobody has. PEM.
"""

import argparse
import base64
import json
import logging
import os
import secrets
import ssl
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from cryptography import x509  # comes with pymysql[rsa]
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from marquee.errors import ConfigError, TryAgainError
from marquee.runs.command import guarded

log = logging.getLogger(__name__)

USERS = ("root", "loader", "analyst")
CERTIFICATE = ("ca.crt", "tls.crt", "tls.key")
VALID = timedelta(days=3650)
"""Validity of a certificate. A kiosk lives for weeks, and nothing renews it."""
SKEW = timedelta(hours=1)
"""Earliest start of validity before now, for clocks of other machines."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 10

Data = dict[str, bytes]


@dataclass(frozen=True)
class Secrets:
    """The Secrets of a namespace: its URL in the API, the token to send, and whom to trust."""

    url: str
    token: str
    context: ssl.SSLContext | None = None

    def fill(self, name: str, wanted: Mapping[str, bytes], *, together: bool) -> list[str]:
        """Write what a Secret lacks, or everything if values belong together; return the keys that were written."""
        found = self._call(name)
        there = {key for key, value in (found.get("data") or {}).items() if value}
        missing = [key for key in wanted if key not in there]
        written = list(wanted) if missing and together else missing
        if written:
            data = {key: base64.b64encode(wanted[key]).decode() for key in written}
            # With its version: of two jobs at a time one is refused, retries, and finds the Secret filled.
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            self._call(name, {"metadata": version, "data": data})
        return written

    def _call(self, name: str, patch: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read a Secret, or patch it."""
        request = urllib.request.Request(  # noqa: S310 - https, but in tests
            f"{self.url}/secrets/{name}",
            data=None if patch is None else json.dumps(patch).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/merge-patch+json"},
            method="GET" if patch is None else "PATCH",
        )
        what = f"{request.method} of Secret {name}"
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=self.context) as answer:  # noqa: S310
                return dict(json.load(answer))
        except HTTPError as error:
            passing = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
            if error.code in passing or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                message = f"{what}: the API server answered {error.code}. Try again"
                raise TryAgainError(message) from error
            message = f"{what}: the API server answered {error.code}. Give this right to the service account of the job"
            raise ConfigError(message) from error
        except (URLError, TimeoutError) as error:
            message = f"{what}: the API server does not answer: {error}. Check networkPolicy.egress.apiServer"
            raise TryAgainError(message) from error


def in_cluster() -> Secrets:
    """Return the Secrets of this pod's namespace, with the rights of its service account."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    if not host or not ACCOUNT.exists():
        message = f"This job runs in a pod with a token of the API server, but {ACCOUNT} is missing"
        raise ConfigError(message)
    where = f"[{host}]" if ":" in host else host
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    namespace = (ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    return Secrets(
        url=f"https://{where}:{port}/api/v1/namespaces/{namespace}",
        token=(ACCOUNT / "token").read_text(encoding="utf-8").strip(),
        context=ssl.create_default_context(cafile=ACCOUNT / "ca.crt"),
    )


def make_passwords() -> Data:
    """Return a random password for each user."""
    return {user: secrets.token_hex(16).encode() for user in USERS}


def make_certificate(names: Sequence[str]) -> Data:
    """Return a certificate of a server with these names, which are hosts or addresses, its key and its authority."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _certificate("Marquee kiosk", "Marquee kiosk", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id)
    server = (
        _certificate("Marquee kiosk server", "Marquee kiosk", key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return dict(zip(CERTIFICATE, (authority.public_bytes(pem), server.public_bytes(pem), secret), strict=True))


def _certificate(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + VALID)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the Secrets that the arguments name, log what was made, and return the exit code."""
    parser = argparse.ArgumentParser("python -m jobs.mart_load.credentials", description=__doc__)
    parser.add_argument("--passwords", metavar="NAME", help="Secret for the passwords; none are made without")
    parser.add_argument("--tls", metavar="NAME", help="Secret for the certificate; none is made without")
    parser.add_argument("--host", action="append", default=[], help="name or address of the server; may be repeated")
    given = parser.parse_args(arguments)

    def command() -> int:
        cluster = in_cluster()
        if given.passwords:
            _report(given.passwords, cluster.fill(given.passwords, make_passwords(), together=False))
        if given.tls:
            _report(given.tls, cluster.fill(given.tls, make_certificate(given.host), together=True))
        return 0

    return guarded(command)


def _report(secret: str, written: Sequence[str]) -> None:
    log.info("Secret %s: %s", secret, f"made {', '.join(written)}" if written else "has everything already")


if __name__ == "__main__":
    sys.exit(main())
