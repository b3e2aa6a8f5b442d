"""A second release in the namespace of the first, on the same raw events, with other values."""

import re

import pytest

from tests.e2e_cluster.cluster import Release, documented, until
from tests.e2e_cluster.conftest import Environment

DAY = "2026-01-05"
VALUES = (
    "settings.lake=s3://marquee/second",
    "stages.schedule_fetch.enabled=false",
    "stages.mart_load.enabled=false",
    "stages.profile.engine=local",
    "stages.profile.resources.limits.memory=1Gi",
    "spark.executor.cores=1",
    "spark.dynamicAllocation.enabled=true",
    "spark.dynamicAllocation.maxExecutors=2",
)


@pytest.fixture(scope="module")
def second(done: Environment) -> Release:
    """A release with a lake of its own, no mart, dynamic executors in one stage, and the local engine in the other."""
    return done.release.beside("second", *VALUES)


def test_preflight_asks_nothing_of_stages_that_are_left_out(second: Release) -> None:
    """The preflight of two stages has two pods, one with a trial launch, and a judge, and asks no schedule."""
    told = second.run(documented("Install")[2].splitlines()[1])
    assert told.count("Phase:          Succeeded") == 3
    assert re.findall("settings of ([a-z-]+): ", told) == ["profile", "rollup"]
    assert told.count("spark operator: ") == 1


def test_executors_are_allocated_dynamically(second: Release) -> None:
    """Dynamic allocation starts with one executor and may add a second when an hour's two tasks are slow."""
    second.do("rollup", "second-rollup", MARQUEE_PERIOD=DAY)
    (application,) = second.applications("second-rollup")
    assert application["status"]["applicationState"]["state"] == "COMPLETED"
    assert application["spec"]["dynamicAllocation"]["enabled"]
    assert 1 <= len(application["status"]["executorState"]) <= 2


def test_local_engine_needs_no_operator(second: Release) -> None:
    """On the local engine, the stage's own pod does the work, without an operator."""
    assert re.search(r"profile: \d+ made", second.do("profile", "second-profile", MARQUEE_PERIOD=DAY))
    assert second.applications("second-profile") == []


def test_releases_have_the_same_results(second: Release, done: Environment) -> None:
    """Both releases have the same bytes, whichever engine made them, and neither changes the other's lake."""
    first, other = done.markers(), done.markers("second")
    hours = {f"rollup/{DAY}T{hour:02}" for hour in range(24)}
    assert hours | {f"profile/{DAY}"} <= set(other)
    for name in sorted(hours | {f"profile/{DAY}"}):
        assert [one.sha256 for one in other[name].outputs] == [one.sha256 for one in first[name].outputs], name
    assert second.find("cronjobs", "app.kubernetes.io/instance=second")


def test_uninstalling_one_leaves_the_other(second: Release, done: Environment) -> None:
    """Uninstalling one release as documented removes its objects and leaves the other release alone."""
    others = "app.kubernetes.io/instance=one"
    before = [one["metadata"]["name"] for one in done.release.find("cronjobs", others)]
    second.run(documented("Uninstall")[0])
    mine = "app.kubernetes.io/instance=second"
    until(lambda: not second.find("all,sparkapplications,configmaps,roles,serviceaccounts", mine), "nothing of it", 120)
    assert len(before) >= 4
    assert [one["metadata"]["name"] for one in done.release.find("cronjobs", others)] == before
