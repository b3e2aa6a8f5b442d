"""Recovery of a stage on the local engine: its pod is deleted, and a period needs more memory than its pod has."""

import gzip
import json
import subprocess
import uuid
from datetime import datetime
from itertools import chain

import pytest

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.begun import read_begun
from marquee.lake.markers import Markers
from tests.e2e_cluster.cluster import JOB_S, Manifest, Release, until
from tests.e2e_cluster.conftest import Environment
from tests.small_world import DAY, WINTER, event_file

pytestmark = pytest.mark.day2

LAKE, RAW = "local", "local-raw"
VALUES = (
    f"settings.lake=s3://marquee/{LAKE}",
    f"settings.raw=s3://marquee/{RAW}",
    "exporter.enabled=false",
    *(f"stages.{stage}.enabled=false" for stage in ("schedule_fetch", "profile", "mart_load")),
    "stages.rollup.engine=local",
    "stages.rollup.resources.limits.memory=1536Mi",
)
HUGE = f"{DAY}T10"
"""An hour that takes 20 s and 540 MiB on this project's test machine; the others take a moment and 170 MiB."""
PLAYS = 1_000_000
SMALL = [f"{DAY}T{hour}" for hour in ("09", "11", "12")]
DEADLINE_S = 12
"""Ends a job within the huge hour: its pod starts in a few seconds."""
TERMINATED = 143
ENDS_S = 7.0
"""Five seconds, and two because Kubernetes tells whole ones, and the kubelet hears of a deletion a moment later."""


@pytest.fixture(scope="module")
def release(environment_one: Environment) -> Release:
    """A release with a lake and raw events of its own, three small hours and a huge one, and a rollup without Spark."""
    raw = environment_one.store(RAW)
    for hour in SMALL:
        raw.put(*event_file(hour, [("ann", 1, WINTER)]))
    key, line = event_file(HUGE, [("ann", 1, WINTER)])
    event = json.loads(line)
    plays = (
        {**event, "event_id": str(uuid.UUID(int=number)), "event": {**event["event"], "user_id": f"viewer {number}"}}
        for number in range(PLAYS)
    )
    raw.put(f"{key}.gz", gzip.compress("\n".join(map(json.dumps, plays)).encode(), compresslevel=1))
    return environment_one.release.beside("local", *VALUES)


@pytest.fixture
def markers(environment_one: Environment) -> Markers:
    """The markers of the release's lake, read when they are first asked for."""
    return Markers(environment_one.store(LAKE))


def pods_of(release: Release, job: str) -> list[Manifest]:
    """Return the pods of a job."""
    return release.find("pods", f"batch.kubernetes.io/job-name={job}")


def ends_of(states: list[Manifest]) -> list[Manifest]:
    """Return how the containers of these states of pods ended: exit code, reason, and times."""
    containers = chain.from_iterable(one["status"].get("containerStatuses", []) for one in states)
    return [one["state"]["terminated"] for one in containers if "terminated" in one["state"]]


def delete(release: Release, pod: str) -> tuple[int, float]:
    """Delete a pod as a person does; return the exit code of its container, and the seconds from asking to its end."""
    deleted, ended = "{.metadata.deletion", "{.status.containerStatuses[0].state.terminated."
    columns = (f"{deleted}Timestamp}}", f"{deleted}GracePeriodSeconds}}", f"{ended}exitCode}}", f"{ended}finishedAt}}")
    look = ("get", "pod", pod, "--watch", f"--output=jsonpath={' '.join(columns)}{{'\\n'}}")
    watch = ["kubectl", "-n", release.namespace, *look]
    with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watching:
        release.kubectl("delete", "pod", pod, "--wait=true")
        watching.terminate()
        lines, _ = watching.communicate()
    deletion, grace_s, code, finished = next(
        line for line in map(str.split, lines.splitlines()) if len(line) == len(columns)
    )
    asked = datetime.fromisoformat(deletion).timestamp() - int(grace_s)
    return int(code), datetime.fromisoformat(finished).timestamp() - asked


def test_pod_that_is_deleted_ends_in_time_and_the_next_one_continues(
    release: Release, environment_one: Environment, markers: Markers
) -> None:
    """A pod that is deleted at its second hour ends with 143 within five seconds, and its first hour stands."""
    release.start("rollup", "deleted")
    lake = environment_one.store(LAKE)
    until(lambda: read_begun(lake, keys.ROLLUP, Period.parse(HUGE)), "the beginning of the huge hour", JOB_S)
    (pod,) = pods_of(release, "deleted")
    code, seconds = delete(release, pod["metadata"]["name"])
    print(f"\nends after {seconds:.0f} s", end="")  # noqa: T201
    assert code == TERMINATED
    assert seconds <= ENDS_S
    published = {str(period): one.run_id for period, one in markers.of(keys.ROLLUP).items()}
    assert set(published) == {SMALL[0]}
    release.finish("deleted")
    after = Markers(lake)
    assert sorted(map(str, after.of(keys.ROLLUP))) == sorted([HUGE, *SMALL])
    assert after.of(keys.ROLLUP)[Period.parse(SMALL[0])].run_id == published[SMALL[0]]
    assert after.begun(keys.ROLLUP) == {}


def test_deadline_ends_a_job_and_the_next_one_continues(
    release: Release, environment_one: Environment, markers: Markers
) -> None:
    """A job that reaches its deadline within the huge hour fails, but no period does, and the next job makes all."""
    lake, job = environment_one.store(LAKE), release.job_of("rollup", "late")
    before = markers.of(keys.ROLLUP)
    job["spec"]["activeDeadlineSeconds"] = DEADLINE_S
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    env += [{"name": "MARQUEE_PERIOD", "value": DAY}, {"name": "MARQUEE_FORCE", "value": "true"}]
    release.apply(job)
    # The pods of a Job that has failed are deleted before anybody could look at them.
    told = until(lambda: ended_late(release, "late"), "the end of the job at its deadline", JOB_S)
    assert told == "DeadlineExceeded"
    assert (Markers(lake).failures(keys.ROLLUP), Markers(lake).begun(keys.ROLLUP)) == ({}, {})
    release.do("rollup", "in-time", MARQUEE_PERIOD=DAY, MARQUEE_FORCE="true")
    after = Markers(lake).of(keys.ROLLUP)
    assert {period: [one.sha256 for one in marker.outputs] for period, marker in after.items()} == {
        period: [one.sha256 for one in marker.outputs] for period, marker in before.items()
    }


def ended_late(release: Release, job: str) -> str | None:
    """Return why a job has failed, once it has."""
    conditions = json.loads(release.kubectl("get", "job", job, "-o", "json"))["status"].get("conditions", [])
    return next((one["reason"] for one in conditions if one["type"] == "Failed"), None)


def test_hour_beyond_the_memory_of_the_pod_stops_no_other(
    release: Release, environment_one: Environment, markers: Markers
) -> None:
    """An hour at which the kernel kills for lack of memory fails by name; the others are made; more memory mends it."""
    lake = environment_one.store(LAKE)
    before = Markers(lake).of(keys.ROLLUP)
    create = ("create", "job", "too-small", f"--from=cronjob/{release.name}-marquee-rollup", "--dry-run=client", "-o")
    shrink = ("set", "resources", "--local", "-f", "-", "--limits=memory=300Mi", "-o", "json")
    # More than the pod has, as nobody may set it in the chart: by itself the engine would take what its limit leaves.
    env = (f"MARQUEE_PERIOD={DAY}", "MARQUEE_FORCE=true", "MARQUEE_ENGINE__MEMORY_MB=800")
    force = ("set", "env", "--local", "-f", "-", *env, "-o", "json")
    job = release.kubectl(*create, "json")
    for change in (shrink, force):
        job = release.kubectl(*change, stdin=job)
    release.kubectl("apply", "-f", "-", stdin=job)
    assert until(lambda: release.ended("too-small"), "the end of the job without memory", 2 * JOB_S) == "Failed"
    print(ends_of(pods_of(release, "too-small")))  # noqa: T201
    (failure,) = markers.failures(keys.ROLLUP).values()
    assert failure.period == HUGE
    assert "the process died twice at this period" in failure.reason
    made = {str(period) for period, one in markers.of(keys.ROLLUP).items() if one.run_id != before[period].run_id}
    assert made == set(SMALL)
    release.do("rollup", "large-enough", MARQUEE_PERIOD=HUGE, MARQUEE_FORCE="true")
    after = Markers(lake)
    assert (after.failures(keys.ROLLUP), after.begun(keys.ROLLUP)) == ({}, {})
