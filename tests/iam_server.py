"""The S3 server of the tests with users and policies: versitygw beside its own IAM service, which AWS's API manages.

The server enforces a user's policies as AWS does: actions, resources with wildcards, and conditions on the prefix of a
listing. Its log says which user made which request.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from tests.ports import free_port
from tests.s3_server import ACCESS_KEY, REGION, SECRET_KEY, find_server, s3_server_at

STARTS_WITHIN_S = 60


@dataclass(frozen=True)
class Request:
    """A request in the server's log: S3's name of the operation, bucket, key if it has one, prefix of a listing."""

    operation: str
    bucket: str
    key: str
    status: int


@dataclass(frozen=True)
class IamServer:
    """A running server: its URL, the folder with its buckets, and its log."""

    url: str
    root: Path
    log: Path
    iam: Any

    def add_user(self, name: str, policy: Mapping[str, object]) -> dict[str, str]:
        """Add a user with a policy of its own; return its credentials as variables."""
        self.iam.create_user(UserName=name)
        document = json.dumps(policy, separators=(",", ":"))
        self.iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=document)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def requests(self, access_key: str) -> Iterator[Request]:
        """Yield the requests of a user so far."""
        for line in self.log.read_text().splitlines():
            found = line.split(" ")
            # owner bucket [time zone] address requester id operation key uri status …
            if len(found) > 10 and found[5] == access_key:
                yield Request(found[7].removeprefix("s3_"), found[1], found[8], int(found[10]))


def credentials(access_key: str, secret_key: str) -> dict[str, str]:
    """Return credentials as the variables of boto3."""
    return {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "AWS_DEFAULT_REGION": REGION}


@contextlib.contextmanager
def iam_server_at(folder: Path) -> Iterator[IamServer]:
    """Serve the buckets below a folder to users with policies, until the end of the block."""
    (folder / "iam").mkdir(parents=True)
    port, socket, log = free_port(), folder / "iam.sock", folder / "requests.log"
    own = ["iam", "--dir", str(folder / "iam"), "--private-ports", str(socket), "--quiet"]
    command = [find_server(), "--port", f"127.0.0.1:{port}", "--region", REGION, *own]
    root_keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with (
        (folder / "iam.log").open("w") as out,
        subprocess.Popen(command, env=os.environ | root_keys, stdout=out, stderr=out) as process,
    ):
        try:
            until = time.monotonic() + STARTS_WITHIN_S
            while not socket.exists():
                assert process.poll() is None, (folder / "iam.log").read_text()
                assert time.monotonic() < until, (folder / "iam.log").read_text()
                time.sleep(0.01)
            options = ["--iam-standalone-endpoint", str(socket), "--access-log", str(log)]
            with s3_server_at(folder / "buckets", *options) as server:
                # IAM is one for all regions, and signed for this one.
                iam = boto3.client(
                    "iam", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                    aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
                )  # fmt: skip
                yield IamServer(server.url, server.root, log, iam)
        finally:
            process.terminate()
