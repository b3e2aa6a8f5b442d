"""Recovery of Spark jobs from the death of launcher, driver or executor, and behaviour under helm commands."""

from collections.abc import Callable

import pytest

from marquee.lake import keys
from marquee.lake.markers import Markers
from tests.e2e_cluster.cluster import JOB_S, Release, call, documented, until
from tests.e2e_cluster.conftest import Environment
from tests.e2e_cluster.faults import at_work, heal, kill, running, states

HOUR = "2026-01-05T10"
HOURS = "2026-01-05T08/2026-01-05T13"


@pytest.fixture(scope="module")
def release(environment_one: Environment) -> Release:
    """A release on raw events whose periods can always be made again with force."""
    return environment_one.release


def start(release: Release, job: str, period: str = HOUR) -> None:
    """Start a job that has something to do."""
    release.start("rollup", job, MARQUEE_PERIOD=period, MARQUEE_FORCE="true")


@pytest.mark.day2
def test_application_of_a_killed_launcher_is_adopted(release: Release) -> None:
    """After SIGKILL of the launcher, the job's next pod follows the same SparkApplication to its end."""
    start(release, "kill-launcher")
    running(release, "kill-launcher", "driver")
    (launcher,) = release.find("pods", "batch.kubernetes.io/job-name=kill-launcher")
    (before,) = release.applications("kill-launcher")
    # Tini's child: deleting the pod would send SIGTERM first, and the launcher would delete its application.
    command = ("sh", "-c", "kill -KILL $(cat /proc/1/task/1/children)")
    release.kubectl("exec", launcher["metadata"]["name"], "--", *command)
    assert "adopted" in heal(release, "kill-launcher")
    (after,) = release.applications("kill-launcher")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert states(release, "kill-launcher") == ["COMPLETED"]


@pytest.mark.day2
def test_job_of_a_killed_driver_is_done_by_the_next_attempt(release: Release) -> None:
    """After the death of a driver, its application fails, and the one of the job's next pod completes."""
    start(release, "kill-driver")
    kill(release, *running(release, "kill-driver", "driver"))
    heal(release, "kill-driver")
    assert states(release, "kill-driver") == ["COMPLETED", "FAILED"]


@pytest.mark.day2
def test_killed_executor_is_replaced_by_spark(release: Release, environment_one: Environment) -> None:
    """When an executor dies within a task, Spark replaces it, and the result has the same bytes."""
    before = environment_one.markers().get(f"rollup/{HOUR}")
    start(release, "kill-executor", HOURS)
    kill(release, *at_work(release, "kill-executor"))
    heal(release, "kill-executor")
    assert states(release, "kill-executor") == ["COMPLETED"]
    (application,) = release.applications("kill-executor")
    assert len(application["status"]["executorState"]) == 2
    after = environment_one.markers()[f"rollup/{HOUR}"]
    assert before is None or [one.sha256 for one in after.outputs] == [one.sha256 for one in before.outputs]


@pytest.mark.day2
def test_two_jobs_at_once_publish_one_whole_result(release: Release, environment_one: Environment) -> None:
    """Two forced jobs make each hour twice at most, and are not tried again; a marker lists the objects of one run."""
    before = environment_one.markers()
    for job in ("twin-one", "twin-two"):
        start(release, job, HOURS)
    heal(release, "twin-one", "twin-two")
    for job in ("twin-one", "twin-two"):
        assert states(release, job) == ["COMPLETED"]
    after = environment_one.markers()
    for name in (f"rollup/2026-01-05T{hour:02}" for hour in range(8, 14)):
        assert after[name].generation - before[name].generation in {1, 2}
        assert {f"run={after[name].run_id}" in one.key for one in after[name].outputs} == {True}
        assert [one.sha256 for one in after[name].outputs] == [one.sha256 for one in before[name].outputs]


def test_deleted_job_takes_its_application_and_pods_along(release: Release, environment_one: Environment) -> None:
    """Deleting a job as documented deletes its application and pods; no hour has failed or counts a death by that."""
    lake = environment_one.store("lake")
    before = Markers(lake).failures(keys.ROLLUP)
    start(release, "rollup-now", HOURS)
    driver = running(release, "rollup-now", "driver")[0]["metadata"]["name"]
    name = release.applications("rollup-now")[0]["metadata"]["name"]
    until(lambda: Markers(lake).begun(keys.ROLLUP), "the beginning of an hour", JOB_S)
    release.run(documented("Suspend a stage")[2])
    until(lambda: gone(release, "sparkapplications", name) and gone(release, "pods", driver), "the end of Spark", 120)
    after = Markers(lake)
    assert (after.failures(keys.ROLLUP), after.begun(keys.ROLLUP)) == (before, {})


def test_upgrade_leaves_a_running_job_alone(release: Release) -> None:
    """A running job completes during the documented upgrade, suspension and rollback."""
    start(release, "during-upgrade")
    running(release, "during-upgrade", "driver")
    (upgrade, _), (back,) = documented("Upgrade"), documented("Roll back")
    # Also documented: Helm 4 takes over manually patched fields only with --force-conflicts.
    told = "--force-conflicts --values" if call("helm", "version", "--short").startswith("v4") else "--values"
    again = upgrade.replace("--values", told)
    for command in (upgrade, back, *documented("Suspend a stage")[:2], again):
        release.run(command)
    release.finish("during-upgrade")
    assert states(release, "during-upgrade") == ["COMPLETED"]


def test_wrong_tag_that_is_mended_runs(release: Release) -> None:
    """A job whose image does not exist is deleted as documented, and the CronJob's next job runs with the right one."""
    release.upgrade("--reuse-values", values=["image.tag=none-such"])
    release.start("schedule-fetch", "wrong-tag")
    waits = ("get", "pods", "-l", "batch.kubernetes.io/job-name=wrong-tag", "-o")
    reason = "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}"
    until(lambda: "Image" in release.kubectl(*waits, reason), "a pod without its image", 120)
    release.upgrade("--reuse-values", values=["image.tag=dev"])
    release.run(documented("Upgrade")[1])
    assert gone(release, "jobs", "wrong-tag")
    release.do("schedule-fetch", "right-tag")


def gone(release: Release, kind: str, name: str) -> bool:
    """Return whether there is no such object."""
    return name not in {one["metadata"]["name"] for one in release.find(kind)}


def test_two_environments_do_not_meet_and_uninstalling_one_leaves_the_other(
    new_environment: Callable[..., Environment], release: Release, environment_one: Environment
) -> None:
    """Uninstalling one of two environments while its Spark runs leaves none of its objects and all of the other's."""
    before = environment_one.markers()
    other = new_environment("two")
    start(other.release, "in-the-middle")
    running(other.release, "in-the-middle", "driver")
    cronjobs = [one["metadata"]["name"] for one in release.find("cronjobs")]
    other.release.run(documented("Uninstall")[0])
    mine = "app.kubernetes.io/instance=two"
    until(lambda: not other.release.find("all,sparkapplications", mine), "nothing of the release", 180)
    assert not other.release.find("pods", "spark-role")
    assert [one["metadata"]["name"] for one in release.find("cronjobs")] == cronjobs
    assert environment_one.markers() == before
