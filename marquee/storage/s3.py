"""The object store on S3 or a compatible server: boto3 with limited time and retries, and errors that say what to do.

Credentials come from boto3's own chain. ``s3_retries.py`` retries temporary failures: 5xx, throttling, lost
connections, and 409, with which S3 answers conditional writes that collide.
"""

import io
import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from marquee.errors import ConfigError, MarqueeError, TryAgainError
from marquee.machine import MIB
from marquee.storage.base import ObjectInfo, ObjectNotFoundError, PreconditionError, S3Options, not_found
from marquee.storage.s3_metrics import watch_s3
from marquee.storage.s3_retries import PASSING, PASSING_CODES, retry_in_time

if TYPE_CHECKING:
    from botocore.client import BaseClient

log = logging.getLogger(__name__)

PARTS_AT_A_TIME = 4
"""Connections, and parts held in memory, of one large object."""
LEAST_CONNECTIONS = 32
"""The number of writers of the conditional-write check, which must all write at the same time."""

DOWNLOADS = 10
"""Number of requests for an object, or a part of it, whose answers break off."""

UPLOAD = "?uploadId="
"""Separates key and id in the name of an incomplete upload, as in the request that aborts it."""

_GONE = frozenset({"NoSuchKey", "NotFound", "404"})
_NO_UPLOAD = frozenset({"NoSuchUpload"})
"""Code for an upload that another client has aborted, or a retry completed. A later run begins a new one."""
_PRECONDITION_FAILED = 412
_TYPES = {".html": {"ContentType": "text/html; charset=utf-8"}}
"""What an object says of itself, by the end of its key: a browser shows a page, and downloads all else."""
_FULL = 507
_FULL_CODES = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
"""Codes of servers other than AWS when a disk is full or a quota is used up."""

_REGION = "set MARQUEE_S3__REGION to the bucket's region"
_CREDENTIALS = "check the credentials, which boto3 reads from its variables, profiles and roles"
_ADVICE = {
    "NoSuchBucket": "the bucket does not exist; check the URL and MARQUEE_S3__ENDPOINT_URL",
    "AccessDenied": "check the policies of the bucket and of the user or role of these credentials",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "400": "check the region and the credentials",
    "InvalidObjectState": (
        "the object is archived (S3 Glacier): restore it with `aws s3api restore-object`, and end the lifecycle rule "
        "that archives objects which Marquee reads"
    ),
    "NotImplemented": (
        "the server lacks this operation; if it lacks conditional writes (run `marquee preflight`), set "
        "MARQUEE_S3__CONDITIONAL_WRITES=false"
    ),
}
"""What to do, by error code. Answers to HEAD requests have only the status."""


class S3Store:
    """A bucket, or a prefix of one."""

    fetch_copies = True

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        _check_endpoint(bucket, options.endpoint_url or "")
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self.readers = options.parallel_reads
        self._options = options
        self._client = _s3_client(options)

    def get(self, key: str) -> bytes:
        body = io.BytesIO()
        with self._translated(key):
            self._client.download_fileobj(**self._at(key), Fileobj=body, Config=_transfer(self._options, threads=False))
        return body.getvalue()

    def get_version(self, key: str) -> tuple[bytes, str]:
        from botocore.exceptions import HTTPClientError, IncompleteReadError  # noqa: PLC0415 - slow, as in _translated

        with self._translated(key):
            tries_left = DOWNLOADS if self._options.retry_for_s else 1
            while True:
                answer = self._client.get_object(**self._at(key))
                try:
                    return answer["Body"].read(), answer["ETag"].strip('"')
                except (HTTPClientError, IncompleteReadError):  # the answer broke off, which the client does not retry
                    tries_left -= 1
                    if not tries_left:
                        raise

    def head(self, key: str) -> ObjectInfo | None:
        try:
            with self._translated(key):
                answer = self._client.head_object(**self._at(key))
        except ObjectNotFoundError:
            return None
        return _info(key, answer["ContentLength"], answer["ETag"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # Consoles create objects whose keys end in a slash, to show an empty folder.
        return (info for info in self.list_all(prefix) if not info.key.endswith("/"))

    def list_all(self, prefix: str = "") -> Iterator[ObjectInfo]:
        pages = self._client.get_paginator("list_objects_v2")
        with self._translated(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
                for item in page.get("Contents", []):
                    key = item["Key"].removeprefix(self.prefix)
                    if key:  # empty: the folder of the prefix itself
                        yield _info(key, item["Size"], item["ETag"])

    def names(self, folder: str = "") -> Sequence[str]:
        pages = self._client.get_paginator("list_objects_v2")
        start = self.prefix + folder
        with self._translated(folder):
            return sorted(
                name
                for page in pages.paginate(Bucket=self.bucket, Prefix=start, Delimiter="/")
                for name in _names(page, start)
            )

    def names_after(self, folder: str, after: str) -> Sequence[str]:
        start = self.prefix + folder
        # The keys in the folder of the name itself sort after it, and before the next character.
        last = after.removesuffix("/") + chr(ord("/") + 1) if after.endswith("/") else after
        where = {"StartAfter": start + last} if after else {}
        with self._translated(folder):
            page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=start, Delimiter="/", **where)
        return _names(page, start)

    def put(self, key: str, data: bytes, *, private: bool = False, durable: bool = True) -> ObjectInfo:  # noqa: ARG002 - for folders
        if len(data) < self._options.part_mb * MIB:
            return self._put(key, data, {})
        with self._translated(key):  # an upload that fails is aborted
            self._client.upload_fileobj(io.BytesIO(data), **self._at(key), Config=_transfer(self._options))
        info = self.head(key)
        if info is None:
            message = f"{self.url}/{key} was deleted right after it was written. Run again"
            raise TryAgainError(message)
        return info

    def put_file(self, key: str, path: Path) -> None:
        with self._translated(key):
            self._client.upload_file(str(path), **self._at(key), Config=_transfer(self._options))

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        if not self._options.conditional_writes:
            self._look_first(key, None)
            return self._put(key, data, {})
        return self._put(key, data, {"IfNoneMatch": "*"})

    def put_if_unchanged(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        if not self._options.conditional_writes:
            self._look_first(key, etag)
            return self._put(key, data, {})
        try:
            return self._put(key, data, {"IfMatch": f'"{etag}"'})
        except ObjectNotFoundError as error:
            raise self._changed(key, etag, None) from error

    def delete(self, key: str) -> None:
        with self._translated(key):
            self._client.delete_object(**self._at(key))

    def leftovers(self, before: datetime) -> Iterator[ObjectInfo]:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self.prefix)
        try:
            with self._translated(""):
                uploads = [upload for page in pages for upload in page.get("Uploads", [])]
        except ConfigError as error:  # some servers and policies do not allow this listing
            log.warning("cannot list incomplete uploads: %s", error)
            return
        for upload in uploads:
            if upload["Initiated"] < before:
                key, upload_id = upload["Key"].removeprefix(self.prefix), upload["UploadId"]
                yield ObjectInfo(f"{key}{UPLOAD}{upload_id}", self._size_of_upload(key, upload_id), upload_id)

    def sweep(self, key: str) -> None:
        name, _, upload_id = key.rpartition(UPLOAD)
        with suppress(ObjectNotFoundError), self._translated(name, gone=_NO_UPLOAD):
            self._client.abort_multipart_upload(**self._at(name), UploadId=upload_id)

    def server_time(self) -> datetime | None:
        with self._translated(""):
            answer = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)
        served: str | None = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(served) if served else None

    def fetch(self, key: str, scratch: Path) -> Path:
        path = scratch / secrets.token_hex(8)
        with self._translated(key):
            self._client.download_file(**self._at(key), Filename=str(path), Config=_transfer(self._options))
        path.chmod(0o600)  # it may be a copy of raw events
        return path

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def _put(self, key: str, data: bytes, condition: dict[str, str]) -> ObjectInfo:
        with self._translated(key):
            kind = _TYPES.get(PurePosixPath(key).suffix, {})
            answer = self._client.put_object(**self._at(key), Body=data, **condition, **kind)
        return ObjectInfo(key, len(data), answer["ETag"].strip('"'))

    def _look_first(self, key: str, etag: str | None) -> None:
        """Check that an object has this etag (None: that it does not exist). A write in between is overwritten."""
        _warn(self.url)
        found = self.head(key)
        if (found.etag if found else None) != etag:
            raise self._changed(key, etag, found)

    def _changed(self, key: str, etag: str | None, found: ObjectInfo | None) -> PreconditionError:
        expected = f"etag {etag}" if etag else "no object"
        return PreconditionError(
            f"{self.url}/{key} has changed: expected {expected}, found {f'etag {found.etag}' if found else 'no object'}"
        )

    def _size_of_upload(self, key: str, upload_id: str) -> int:
        pages = self._client.get_paginator("list_parts").paginate(**self._at(key), UploadId=upload_id)
        try:
            with self._translated(key, gone=_NO_UPLOAD):
                return sum(part["Size"] for page in pages for part in page.get("Parts", []))
        except ObjectNotFoundError:  # completed or aborted after it was listed
            return 0

    @contextmanager
    def _translated(self, key: str, gone: frozenset[str] = _GONE) -> Iterator[None]:
        from boto3.exceptions import Boto3Error  # noqa: PLC0415 - slow, and unused on local folders
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError  # noqa: PLC0415

        where = f"{self.url}/{key}"
        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in gone:
                raise not_found(self, key) from error
            raise _refusal(where, error.response) from error
        except (BotoCoreError, Boto3Error, RetriesExceededError, S3DownloadFailedError) as error:
            raise _breakdown(where, error) from error


def _names(page: dict[str, Any], start: str) -> list[str]:
    """Return the sorted names in a page of a listing by folders."""
    found = [item["Prefix"] for item in page.get("CommonPrefixes", [])]
    found += [item["Key"] for item in page.get("Contents", []) if item["Key"] != start]
    return sorted(name.removeprefix(start) for name in found)


def _info(key: str, size: int, quoted: str) -> ObjectInfo:
    etag = quoted.strip('"')
    return ObjectInfo(key, size, etag, version=etag)


def _check_endpoint(bucket: str, endpoint: str) -> None:
    """Refuse an endpoint that contains the bucket: requests would look for the bucket within the bucket."""
    parts = urlsplit(endpoint)
    if parts.path.strip("/") == bucket or (parts.hostname or "").startswith((f"{bucket}.s3.", f"{bucket}.s3-")):
        message = (
            f"MARQUEE_S3__ENDPOINT_URL={endpoint!r} contains the bucket {bucket!r}, which the URL s3://{bucket} names "
            "already. Use the address of the server alone"
        )
        raise ConfigError(message)


def _refusal(where: str, response: dict[str, Any]) -> MarqueeError:
    """Return the Marquee error for an error response of the server."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = response.get("Error", {}).get("Code", "")
    said = f"{code}, {status}: {response.get('Error', {}).get('Message', '')}"
    if status == _PRECONDITION_FAILED:
        return PreconditionError(f"{where} exists already, or has changed")
    if status == _FULL or code in _FULL_CODES:
        return TryAgainError(f"{where}: the server's disk is full ({said}): free some space there, and run again")
    if status in PASSING or code in PASSING_CODES | _NO_UPLOAD:
        return TryAgainError(f"{where}: the server failed ({said}): try again")
    return ConfigError(f"{where}: the server refused the request ({said}): {_ADVICE.get(code, _CREDENTIALS)}")


def _breakdown(where: str, error: Exception) -> MarqueeError:
    """Return the Marquee error for an error of boto3 itself: no answer arrived, or no request was sent."""
    from botocore import exceptions  # noqa: PLC0415 - slow, and unused on local folders

    if isinstance(error, exceptions.NoCredentialsError):
        return ConfigError(f"{where}: {error}: {_CREDENTIALS}")
    if isinstance(error, exceptions.ParamValidationError):
        return ConfigError(f"{where}: {error}: check the URL")
    if isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ConfigError(f"{where}: {error}: set MARQUEE_S3__CA_BUNDLE to the file of the server's CA certificates")
    return TryAgainError(f"{where}: {error}: check the endpoint and the network, and try again")


@lru_cache(maxsize=16)
def _warn(url: str) -> None:
    """Log the warning once per process, not at each write."""
    log.warning("%s: conditional writes are off. If two runs make one period at the same time, the last one wins", url)


@lru_cache(maxsize=32)
def _transfer(options: S3Options, *, threads: bool = True) -> Any:  # noqa: ANN401 - boto3 publishes no types
    from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - slow, and unused on local folders

    config = TransferConfig(
        multipart_threshold=options.part_mb * MIB,
        multipart_chunksize=options.part_mb * MIB,
        max_concurrency=PARTS_AT_A_TIME,
        num_download_attempts=DOWNLOADS if options.retry_for_s else 1,
        use_threads=threads,
        preferred_transfer_client="classic",
    )
    config.max_in_memory_upload_chunks = PARTS_AT_A_TIME
    return config


def _time(text: str) -> datetime:
    """Return the time in an answer. botocore's own reader takes half of the time of a listing."""
    from botocore.utils import parse_timestamp  # noqa: PLC0415 - slow, and unused on local folders

    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        found = None
    return found if found and found.tzinfo else parse_timestamp(text)


@lru_cache(maxsize=16)
def _s3_client(options: S3Options) -> "BaseClient":
    import boto3  # noqa: PLC0415 - slow, and unused on local folders
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    from botocore.session import get_session  # noqa: PLC0415

    config = Config(
        connect_timeout=options.connect_timeout_s,
        read_timeout=options.read_timeout_s,
        retries={"mode": options.retry_mode, "total_max_attempts": 1},
        s3={"addressing_style": "path" if options.path_style else "auto"},
        max_pool_connections=max(LEAST_CONNECTIONS, options.parallel_reads * PARTS_AT_A_TIME),
        # Stages check what they read against the manifest's SHA-256. Without this, each download sends two requests.
        response_checksum_validation="when_required",
    )
    where = {"endpoint_url": options.endpoint_url, "region_name": options.region, "verify": options.ca_bundle}
    try:
        # A new session, because tasks open stores in threads and boto3's default session is not thread-safe.
        session = get_session()
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
        client = boto3.Session(botocore_session=session).client("s3", config=config, **where)
    except (ValueError, BotoCoreError) as error:
        message = (
            f"cannot connect to S3 with endpoint_url={options.endpoint_url!r}, region={options.region!r}: {error}. "
            "Check MARQUEE_S3__ENDPOINT_URL and MARQUEE_S3__REGION"
        )
        raise ConfigError(message) from error
    retry_in_time(client, options.retry_for_s)
    watch_s3(client)
    return client
