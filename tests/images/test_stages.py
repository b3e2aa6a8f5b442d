"""The stages in their images: a tiny hour without a network, and all stages on S3, with Spark where supported."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.storage.base import S3Options
from marquee.storage.s3 import S3Store
from tests.helpers_images import Image
from tests.schedule_service import ScheduleService, schedule_service
from tests.small_world import CASE, DAY, WINTER, SmallWorld, digests, tell_schedule

SPARK = {
    "MARQUEE_ENGINE__KIND": "spark",
    "MARQUEE_ENGINE__SPARK": json.dumps(
        {
            "spark.master": "local[2]",
            "spark.driver.memory": "512m",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        }
    ),
}
LOOPBACK = ("--network", "none", "--hostname", "stage", "--add-host", "stage:127.0.0.1")
"""A network that resolves the container's own name, like in a pod."""


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service."""
    with schedule_service() as running:
        tell_schedule(running)
        yield running


@pytest.fixture
def world(tmp_path: Path, service: ScheduleService) -> SmallWorld:
    """Plays of an hour, one bad line, and the settings."""
    world = SmallWorld(tmp_path / "world")
    world.configure(service.url)
    world.events(f"{DAY}T10", [("ann", 1, WINTER), ("ann", 2, CASE), ("bob", 1, CASE)], bad_lines=1)
    return world


def mounted(world: SmallWorld) -> tuple[str, str]:
    """Return Docker's options for a read-only mount of a world's folder."""
    return ("--volume", f"{world.folder}:{world.folder}:ro")


@pytest.mark.parametrize("engine", [{}, SPARK], ids=["local", "spark"])
def test_rollup_counts_an_hour(world: SmallWorld, engine: dict[str, str]) -> None:
    """Without a network, rollup counts three plays of two viewers and one reject, on the local engine and on Spark."""
    env = {"MARQUEE_CONFIG": str(world.config), "MARQUEE_LAKE": "file:///tmp/lake", **engine}
    command = "python -m jobs.rollup && find /tmp/lake -name '*_SUCCESS*' -exec cat {} +"
    run = Image("rollup").run("sh", "-c", command, options=(*LOOPBACK, *mounted(world)), env=env)
    assert run.returncode == 0, run.stderr
    marker = json.loads(run.stdout)
    assert marker["period"] == f"{DAY}T10"
    assert marker["counts"]["rows_out"] == 3
    assert marker["counts"]["rejects"] == {"not_json": 1}


def test_images_make_the_same_bytes(world: SmallWorld, tmp_path: Path, s3_lake: S3Store, s3_options: S3Options) -> None:
    """Both engines make the same bytes over the network, where Spark uses S3 without Hadoop's connector."""
    raw = S3Store(s3_lake.bucket, f"{tmp_path.name}/raw", s3_options)
    for item in world.raw.list():
        raw.put(item.key, world.raw.get(item.key))
    env = {
        "MARQUEE_CONFIG": str(world.config),
        "MARQUEE_LAKE": s3_lake.url,
        "MARQUEE_RAW": raw.url,
        "MARQUEE_S3__ENDPOINT_URL": str(s3_options.endpoint_url),
        "MARQUEE_S3__PATH_STYLE": "true",
        "MARQUEE_MART__URL": "duckdb:////tmp/kiosk.duckdb",
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_") and name != "AWS_CONFIG_FILE"},
    }
    options = ("--network", "host", *mounted(world))
    for stage, engine in (("schedule_fetch", {}), ("rollup", SPARK), ("profile", SPARK), ("mart_load", {})):
        run = Image(stage).run(options=options, env=env | engine)
        assert run.returncode == 0, run.stderr
    markers = Markers(s3_lake)
    made = {f"{stage}/{period}": one for stage in keys.STAGES for period, one in markers.of(stage).items()}

    assert world.run() == 0
    assert digests(made) == digests(world.markers())
    assert f"audience/{DAY}" in made
