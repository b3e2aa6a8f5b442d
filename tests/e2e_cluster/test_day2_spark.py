"""Bad days of stages on Spark: operator and executors die, a node takes no pods, a quota, a Secret, a slow twin.

After each of them the lake has the bytes of a run without Spark and without a fault.
"""

import json
import re
import time
from collections.abc import Sequence

import pytest

from marquee.lake import keys
from marquee.lake.markers import Markers
from tests.e2e_cluster.cluster import JOB_S, Manifest, Release, call, until
from tests.e2e_cluster.conftest import Calm
from tests.e2e_cluster.faults import CONTROLLER, at_work, heal, kill, operator, running, states

pytestmark = pytest.mark.day2

HOURS = "2026-01-05T08/2026-01-05T13"
DAY = "2026-01-06"
DAYS = "2026-01-05/2026-01-06"
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "1s",
    "spark.speculation.task.duration.threshold": "3s",
}
SIGNAL_PYTHON = """
for process in /proc/[0-9]*; do
  case $(cat $process/comm 2>/dev/null) in python*) kill -{signal} ${{process##*/}} && echo $process ;; esac
done
true
"""


@pytest.fixture(scope="module")
def two(calm: Calm) -> Release:
    """A release on the same lake with two executors of one core, and twins for slow tasks."""
    values = ("exporter.enabled=false", "spark.executor.instances=2", "spark.executor.cores=1")
    return calm.release.beside("two", *values, options=("--set-json", f"spark.sparkConf={json.dumps(SPECULATION)}"))


def again(release: Release, stage: str, job: str, period: str) -> None:
    """Start a job that makes periods again."""
    release.start(stage, job, MARQUEE_PERIOD=period, MARQUEE_FORCE="true")


def completes(calm: Calm, release: Release, *jobs: str, ended: Sequence[str] = ("COMPLETED",)) -> None:
    """Wait until jobs have completed, each with applications that ended so; the lake is as before."""
    heal(release, *jobs)
    for job in jobs:
        assert states(release, job) == list(ended), job
    assert calm.environment.digests() == calm.digests


def test_operator_killed_in_the_middle_of_each_stage(calm: Calm) -> None:
    """When the operator's pod is killed, its next pod sees both applications to their end."""
    again(calm.release, "rollup", "operator-rollup", HOURS)
    again(calm.release, "profile", "operator-profile", DAY)
    for job in ("operator-rollup", "operator-profile"):
        running(calm.release, job, "driver")
    found = operator()
    this = ("kubectl", "-n", found["namespace"])
    call(*this, "delete", "pods", "-l", CONTROLLER, "--grace-period=0", "--force")
    call(*this, "rollout", "status", f"deployment/{found['name']}", "--timeout=180s")
    completes(calm, calm.release, "operator-rollup", "operator-profile")


def test_both_executors_killed(calm: Calm, two: Release) -> None:
    """When all executors die within a task, Spark replaces them, and the application completes."""
    again(two, "rollup", "no-executors", HOURS)
    kill(two, *at_work(two, "no-executors", 2))
    completes(calm, two, "no-executors")
    (application,) = two.applications("no-executors")
    assert len(application["status"]["executorState"]) == 4


def test_node_is_cordoned_during_a_run(calm: Calm) -> None:
    """On a cordoned node the replacement of an executor waits, says why, and starts when the node is uncordoned."""
    release = calm.release
    again(release, "rollup", "cordoned", HOURS)
    (executor,) = at_work(release, "cordoned")
    node = executor["spec"]["nodeName"]
    call("kubectl", "cordon", node)
    try:
        kill(release, executor)
        until(lambda: "unschedulable" in waits(release, "cordoned"), "an executor that waits for the node", 120)
    finally:
        call("kubectl", "uncordon", node)
    completes(calm, release, "cordoned")


def waits(release: Release, job: str) -> str:
    """Return why executors of a job are not scheduled."""
    (application,) = release.applications(job)
    name = application["metadata"]["name"]
    pods = release.find("pods", f"sparkoperator.k8s.io/app-name={name},spark-role=executor")
    conditions = [one for pod in pods for one in pod["status"].get("conditions", []) if one["status"] == "False"]
    return " ".join(one.get("message", "") for one in conditions)


def test_quota_stops_executors_during_a_run(calm: Calm) -> None:
    """Executors that a quota refuses fail the application, by name; the job's next pod makes the rest in the room."""
    release = calm.release
    again(release, "rollup", "quota", HOURS)
    (executor,) = at_work(release, "quota")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    release.apply(quota)
    try:
        kill(release, executor)
        until(lambda: states(release, "quota") == ["FAILED"], "an application without room", JOB_S)
        until(lambda: "exceeded quota: none" in release.log("quota"), "a launcher that names the quota")
    finally:
        release.kubectl("delete", "resourcequota", "none")
    completes(calm, release, "quota", ended=("COMPLETED", "FAILED"))


def test_secret_of_the_driver_alone_is_missing(calm: Calm) -> None:
    """The launcher's log names the Secret that the driver waits for, and the run goes on once the Secret is there."""
    where = "stages.rollup.spark.driver.extraEnvFrom[0].secretRef.name=later"
    release = calm.release.beside("later", "exporter.enabled=false", where)
    again(release, "rollup", "later", HOURS)
    until(lambda: release.applications("later"), "an application", JOB_S)  # so its launcher has a log
    until(lambda: 'secret \\"later\\" not found' in release.log("later"), "a launcher that names the Secret", 120)
    release.kubectl("create", "secret", "generic", "later", "--from-literal=ANYTHING=else")
    completes(calm, release, "later")


def test_twin_of_a_slow_task_gives_every_object_once(calm: Calm, two: Release) -> None:
    """While the Python of an executor stands still, twins of its tasks run on the other; every object is there once."""
    again(two, "rollup", "twin", DAYS)
    slow, other = at_work(two, "twin", 2)
    until(lambda: signal_python(two, slow, "STOP"), "a Python of an executor", 120)
    try:
        twin = r"Running task \d+\.1 in stage"
        until(lambda: re.search(twin, two.kubectl("logs", other["metadata"]["name"])), "a twin of a task", 120)
        time.sleep(5)  # until the twin has ended
    finally:
        signal_python(two, slow, "CONT")
    completes(calm, two, "twin")
    store = calm.environment.store("lake")
    for period, marker in Markers(store).of(keys.ROLLUP).items():
        there = [info.key for info in store.list(keys.run_prefix(keys.ROLLUP, period, marker.run_id))]
        assert sorted(there) == sorted(one.key for one in marker.outputs)


def signal_python(release: Release, pod: Manifest, signal: str) -> str:
    """Send a signal to the processes of Python in an executor, whose Java still answers the driver; return them."""
    return release.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", SIGNAL_PYTHON.format(signal=signal))


@pytest.mark.parametrize("executors", [1, 2, 4])
def test_executors_share_the_same_work(calm: Calm, executors: int) -> None:
    """One, two and four executors make the same two days; each has tasks, and the times of tasks are shown."""
    values = ("exporter.enabled=false", "spark.executor.cores=1", f"spark.executor.instances={executors}")
    release = calm.release.beside("some", *values)
    job = f"executors-{executors}"
    again(release, "rollup", job, DAYS)
    running(release, job, "driver")
    samples = []
    while release.ended(job) is None:
        samples += [(time.monotonic(), found) for found in [executors_of(release, job)] if found]
        time.sleep(0.5)
    completes(calm, release, job)
    worked = [(at, found) for at, found in samples if sum(one["totalDuration"] for one in found)]
    (first_at, first), (last_at, last) = worked[0], worked[-1]
    tasks = {one["id"]: (one["completedTasks"], one["totalDuration"]) for one in last}
    spent = sum(one["totalDuration"] for one in last) - sum(one["totalDuration"] for one in first)
    share = spent / 1000 / (last_at - first_at) / executors
    print(f"\n{executors} executors: {tasks}; {last_at - first_at:.0f} s, busy {share:.0%}", end="")  # noqa: T201
    assert len(tasks) == executors
    assert all(count for count, _ in tasks.values())


def executors_of(release: Release, job: str) -> list[Manifest]:
    """Return what the driver tells of its executors while it runs."""
    for application in release.applications(job):
        status = application["status"]
        driver, spark = status["driverInfo"].get("podName"), status.get("sparkApplicationId")
        where = f"pods/{driver}:4040/proxy/api/v1/applications/{spark}/executors"
        try:
            answer = json.loads(release.kubectl("get", "--raw", f"/api/v1/namespaces/{release.namespace}/{where}"))
        except (AssertionError, ValueError):  # it does not answer yet, or no longer; at first it answers with a page
            continue
        return [one for one in answer if one["id"] != "driver"]
    return []
