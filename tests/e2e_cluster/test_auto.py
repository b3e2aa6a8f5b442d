"""The chart's default engine, auto: a small hour in the planning pod, Spark where the pod is too small for the work."""

import pytest

from marquee.lake import keys
from marquee.lake.markers import Markers
from tests.e2e_cluster.cluster import Release
from tests.e2e_cluster.conftest import Environment
from tests.small_world import DAY, WINTER, event_file

LAKE, RAW = "auto", "auto-raw"
VALUES = (
    f"settings.lake=s3://marquee/{LAKE}",
    f"settings.raw=s3://marquee/{RAW}",
    "exporter.enabled=false",
    *(f"stages.{stage}.enabled=false" for stage in ("schedule_fetch", "profile", "mart_load")),
    "stages.rollup.engine=auto",
    "stages.rollup.resources.limits.memory=1Gi",
)
SMALLEST = "--limits=memory=400Mi"
"""Enough for the launcher, and too little for the local engine beside it."""
HOURS = (f"{DAY}T09", f"{DAY}T10")


@pytest.fixture(scope="module")
def release(environment_one: Environment) -> Release:
    """A release with a lake and raw events of its own, and a rollup that chooses its engine."""
    return environment_one.release.beside("auto", *VALUES)


def test_small_work_is_done_in_the_pod_and_spark_starts_where_the_pod_is_too_small(
    release: Release, environment_one: Environment
) -> None:
    """The same play makes one hour in a pod of 1 GiB without an application, another on Spark from a pod of 400 MiB."""
    raw, lake = environment_one.store(RAW), environment_one.store(LAKE)
    raw.put(*event_file(HOURS[0], [("ann", 1, WINTER)]))
    assert "cores here" in release.do("rollup", "auto-here")
    assert release.applications("auto-here") == []
    raw.put(*event_file(HOURS[1], [("ann", 1, WINTER)]))
    create = ("create", "job", "auto-there", f"--from=cronjob/{release.name}-marquee-rollup", "--dry-run=client", "-o")
    job = release.kubectl(*create, "json")
    job = release.kubectl("set", "resources", "--local", "-f", "-", SMALLEST, "-o", "json", stdin=job)
    release.kubectl("apply", "-f", "-", stdin=job)
    assert "this pod has too little memory, 400 MiB" in release.finish("auto-there")
    (application,) = release.applications("auto-there")
    assert application["status"]["applicationState"]["state"] == "COMPLETED"
    made = {str(period): one.counts["rows_out"] for period, one in Markers(lake).of(keys.ROLLUP).items()}
    assert made == dict.fromkeys(HOURS, 1)
