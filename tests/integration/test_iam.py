"""Every role on an S3 server that enforces its policy: nothing is refused, nothing is wider than what is used.

Users run all stages over two simulated days, then late files, an erasure, garbage collection, a new viewer key and
retention.
"""

import gzip
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.exceptions import ClientError

from jobs.cli.__main__ import main
from jobs.exporter.collectors import make_collectors
from jobs.exporter.exporter import Exporter
from jobs.exporter.settings import ExporterSettings
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from marquee.lake import erased_rows
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from marquee.storage import opening, s3
from tests.iam_server import IamServer, Request, credentials, iam_server_at
from tests.s3_server import ACCESS_KEY, REGION, SECRET_KEY
from tools.iam import DELETE, LIST, READ, ROLES, Place, Role, policy_of, sees_viewers

SIZE = ["--days", "2", "--events-per-day", "1000", "--partitions", "1"]
STAGES = ("schedule-fetch", "rollup", "profile", "mart-load")
LAKE, RAW = Place("lake", "m/"), Place("raw")  # short, for the server takes 2,048 characters of policy
ROLE = {role.name: role for role in ROLES}

RAW_EVENTS = "raw events"
OPERATIONS = {LIST: "ListObjectsV2", READ: "GetObject", DELETE: "DeleteObject"}
"""The operations of S3 that rights to raw events are for."""
RARE = {
    ("rollup", "DeleteObject", "data/rollup/*/viewership.parquet"): "an hour fails by its rejects",
    ("profile", "DeleteObject", "data/profile/*"): "a run of its own has been superseded for a week",
    ("profile", "DeleteObject", "data/audience/*"): "a run of its own has been superseded for a week",
    ("mart-load", "GetObject", "data/audience/*/departure.parquet"): "a show has ended",
    ("rekey", "GetObject", "markers/schedule_fetch/*"): "a show has ended",
    ("rekey", "GetObject", "data/schedule_fetch/*"): "a show has ended",
    ("mart-load", "GetObject", "markers/mart_load/*"): "a load has failed",
    ("retention", "PutObject", "markers/profile/_ENDED"): "viewer days end",
    ("retention", "PutObject", "markers/audience/_ENDED"): "viewer days end",
}
"""Rights that these runs do not use, and when they are needed."""

OBJECTS = {
    "raw": "topics/plays/year=2026/month=01/day=05/hour=00/one.json",
    "viewer_hour": "data/rollup/2026-01-05T00/run=1/viewer_hour/bucket=0000.parquet",
    "rejects": "data/rollup/2026-01-05T00/run=1/rejects.parquet",
    "viewer_day": "data/profile/2026-01-05/run=1/viewer_day/bucket=0000.parquet",
    "show_viewer": "data/audience/2026-W02/run=1/show_viewer/bucket=0000.parquet",
    "viewership": "data/rollup/2026-01-05T00/run=1/viewership.parquet",
    "audience": "data/audience/2026-W02/run=1/audience.parquet",
    "payload": "data/schedule_fetch/2026-01-05/run=1/payload/us.json",
    "marker": "markers/rollup/2026-01-05T00/_SUCCESS",
    "erased": "erased/20260105T000000000000-00000000.json",
}
MAY_READ = {
    "schedule-fetch": set(),
    "rollup": {"raw", "viewer_hour", "rejects", "marker", "erased"},
    "profile": {"viewer_hour", "viewer_day", "show_viewer", "audience", "payload", "marker", "erased"},
    "mart-load": {"viewership", "audience", "marker"},
    "exporter": {"marker"},
    "report": set(),
    "operator": set(OBJECTS),
    "eraser": {"rejects", "marker", "erased"},
    "rekey": {"viewer_hour", "viewer_day", "show_viewer", "audience", "payload", "marker", "erased"},
    "collector": {"marker", "erased"},
    "retention": set(OBJECTS) - {"raw", "erased"},
}
"""What each role may read of these objects, written by hand."""


@dataclass
class World:
    """A server with a lake and raw events, and a user for each role."""

    server: IamServer
    folder: Path
    users: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "marquee.toml"

    def variables(self, role: str) -> dict[str, str]:
        """Return the environment of a role, whose user exists from then on."""
        if role not in self.users:
            self.users[role] = self.server.add_user(role, policy_of(ROLE[role], LAKE, RAW))
        return self.users[role]

    def run(self, role: str, *command: str) -> None:
        """Run a command as a new process of a role would, and check that it succeeds."""
        variables = self.variables(role) if role in ROLE else credentials(ACCESS_KEY, SECRET_KEY)
        with self.within(variables):
            assert main(list(command)) == 0, (role, command)

    def within(self, variables: dict[str, str]) -> Any:
        """Return a block with other credentials, in which no store is open and nothing read is remembered."""
        opening.open_store.cache_clear()
        s3._s3_client.cache_clear()
        erased_rows._pseudonyms.cache_clear()
        return mock.patch.dict(os.environ, variables | {"MARQUEE_CONFIG": str(self.config)})

    def export(self) -> None:
        """Refresh the exporter once; each collector has to succeed."""
        with self.within(self.variables("exporter")):
            settings = load_settings(ExporterSettings)
            markers = Markers(settings.store)
            exporter = Exporter(make_collectors(settings, markers), markers, settings.exporter.stuck_after_s)
            exporter.refresh()
            errors = [one for one in exporter.collect() if one.name.endswith("exporter_refresh_errors")]
            assert [sample.value for one in errors for sample in one.samples if sample.value] == []

    def requests(self, role: str) -> set[Request]:
        """Return the requests of a role."""
        return set(self.server.requests(self.users[role]["AWS_ACCESS_KEY_ID"]))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty lake, no raw events, and a served schedule."""
    with (
        iam_server_at(tmp_path / "server") as server,
        serve(SimulateSettings(days=2, events_per_day=1000)) as schedule,
    ):
        for place in (LAKE, RAW):
            (server.root / place.bucket).mkdir()
        made = World(server, tmp_path)
        made.config.write_text(
            f"""
            lake = "s3://{LAKE.bucket}/{LAKE.prefix.rstrip("/")}"
            raw = "s3://{RAW.bucket}"
            s3 = {{ endpoint_url = "{server.url}", path_style = true, retry_for_s = 2 }}
            engine = {{ workers = 2, memory_mb = 256 }}
            rollup = {{ viewer_key = "0123456789abcdef", buckets = 2 }}
            mart = {{ url = "duckdb://{tmp_path}/mart.duckdb" }}
            retention = {{ raw_days = 7, rejects_days = 7, viewer_hour_days = 7, schedule_raw_days = 7 }}

            [schedule_fetch]
            url = "{schedule}"
            countries = ["KR", "US"]
            first_day = 2026-01-05
            last_day = 2026-01-06
            calls_per_window = 1000
            """
        )
        yield made


def test_every_role_may_do_its_work_and_uses_all_its_rights(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """No role is refused anything in its work, and each pattern of a policy is used, but for those in RARE."""
    work(world, capsys)
    assert [record.getMessage() for record in caplog.records if "denied" in record.getMessage().lower()] == []
    refused = {(role, one) for role in world.users for one in world.requests(role) if one.status == 403}
    unused = {right for role in world.users for right in rights_of(ROLE[role]) if not is_used(world, right)}
    assert (refused, unused) == (set(), set(RARE))


def work(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Let every role do its work, other than ``report`` and what people do by hand."""
    world.run("sink", "simulate", *SIZE)
    for stage in STAGES:
        world.run(stage, stage)
    world.run("sink", "simulate", *SIZE, "--late")
    for stage in STAGES:
        world.run(stage, stage)
    users = world.folder / "users.txt"
    users.write_bytes(b"\n".join(some_users(world)))
    world.run("eraser", "erase", "--users", str(users))
    for stage in STAGES:
        world.run(stage, stage)
    world.export()
    world.run("collector", "gc", "--grace-hours", "0")
    world.run("collector", "gc", "--grace-hours", "0", "--delete", digest_in(capsys))
    world.run("eraser", "erase", "status")
    text = world.config.read_text()
    world.config.write_text(text.replace('"0123456789abcdef"', '["a newer key of tests", "0123456789abcdef"]'))
    world.run("rekey", "rekey")
    for stage in STAGES:
        world.run(stage, stage)
    world.run("operator", "preflight")
    world.run("retention", "retain")
    world.run("retention", "retain", "--delete", digest_in(capsys))
    for stage in STAGES:
        world.run(stage, stage)
    world.run("exporter", "status")
    world.export()
    world.run("operator", "verify")


def some_users(world: World) -> list[bytes]:
    """Return two users of the first raw object."""
    first = min((world.server.root / RAW.bucket).rglob("*.gz"))
    return re.findall(rb'"user_id": ?"([^"]+)"', gzip.decompress(first.read_bytes()))[:2]


def digest_in(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the digest of the plan that was printed last."""
    return str(re.findall(r"--delete (\w+)", capsys.readouterr().out)[-1])


def rights_of(role: Role) -> Iterator[tuple[str, str, str]]:
    """Yield (role, operation, pattern) of each right in the lake; of raw events the pattern is RAW_EVENTS."""
    for operation, patterns in (
        ("GetObject", role.reads),
        ("PutObject", role.writes),
        ("DeleteObject", role.deletes),
    ):
        yield from ((role.name, operation, pattern) for pattern in patterns)
    yield from ((role.name, OPERATIONS[action], RAW_EVENTS) for action in role.raw)


def is_used(world: World, right: tuple[str, str, str]) -> bool:
    """Return whether a role has used a right."""
    role, operation, pattern = right
    kinds = {"GetObject": {"GetObject", "HeadObject"}}.get(operation, {operation})
    place, pattern = (RAW, "*") if pattern == RAW_EVENTS else (LAKE, pattern)
    return any(
        one.operation in kinds and one.bucket == place.bucket and fnmatchcase(one.key, place.prefix + pattern)
        for one in world.requests(role)
    )


def test_no_role_reads_more_than_it_should(world: World) -> None:
    """Of an object of each kind a role reads what MAY_READ lists; few list raw events, only retention deletes them."""
    root = client(world, credentials(ACCESS_KEY, SECRET_KEY))
    places = {name: place_of(name) for name in OBJECTS}
    readable, listing, deleting, writing = {}, set(), set(), set()
    for role in ROLE:
        for place in places.values():
            root.put_object(**place, Body=b"x")
        own = client(world, world.variables(role))
        readable[role] = {name for name, place in places.items() if allows(own.get_object, **place)}
        listing |= {role} if allows(own.list_objects_v2, Bucket=RAW.bucket, Prefix="topics/") else set()
        writing |= {role} if allows(own.put_object, **places["raw"], Body=b"x") else set()
        deleting |= {role} if allows(own.delete_object, **places["raw"]) else set()
    assert readable == MAY_READ
    assert listing == {"rollup", "exporter", "operator", "retention"}
    assert writing == set()
    assert deleting == {"retention"}


@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_table_says_who_reads_viewers(role: Role) -> None:
    """The table of roles says of a role that it reads pseudonyms if it may read viewer-level data."""
    assert sees_viewers(role) == bool({"viewer_hour", "viewer_day", "show_viewer"} & MAY_READ[role.name])


def place_of(name: str) -> dict[str, str]:
    """Return bucket and key of one of OBJECTS."""
    place = RAW if name == "raw" else LAKE
    return {"Bucket": place.bucket, "Key": place.prefix + OBJECTS[name]}


def client(world: World, variables: dict[str, str]) -> Any:
    """Return a client with these credentials."""
    return boto3.client(
        "s3",
        endpoint_url=world.server.url,
        region_name=REGION,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def allows(call: Callable[..., object], **arguments: object) -> bool:
    """Return whether the server allows a request."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True
