"""Faults in a cluster: a server that nobody reaches, pods that are killed, and jobs that are at work by then."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e_cluster.cluster import JOB_S, Manifest, Release, call, until

NOBODY = "nobody"
CONTROLLER = "app.kubernetes.io/name=spark-operator,app.kubernetes.io/component=controller"


def other_name(release: Release, service: str, port: int, name: str) -> None:
    """Give a service another name, which can be taken away alone."""
    spec = {"selector": {"app": service}, "ports": [{"port": port}]}
    release.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})


@contextmanager
def unreachable(release: Release, name: str, service: str) -> Iterator[None]:
    """Refuse new connections to a service under a name while the body runs; those that exist remain."""

    def lead_to(app: str) -> None:
        release.kubectl("patch", "service", name, "--patch", json.dumps({"spec": {"selector": {"app": app}}}))

    lead_to(NOBODY)
    try:
        yield
    finally:
        lead_to(service)


def running(release: Release, job: str, role: str, count: int = 1) -> list[Manifest]:
    """Return the pods of a role of a job's applications, as soon as so many run."""

    def look() -> list[Manifest] | None:
        pods = [pod for one in release.applications(job) for pod in release.pods_of(one["metadata"]["name"], role)]
        return pods if len(pods) >= count else None

    return until(look, f"{count} running {role} of {job}", JOB_S)


def at_work(release: Release, job: str, count: int = 1) -> list[Manifest]:
    """Return the executors of a job once so many run, and one of them has a task; that one comes first."""

    def has_task(pod: Manifest) -> bool:
        return "Running task" in release.kubectl("logs", pod["metadata"]["name"], "--tail=-1")

    def look() -> list[Manifest] | None:
        pods = sorted(running(release, job, "executor", count), key=has_task, reverse=True)
        return pods if has_task(pods[0]) else None

    running(release, job, "executor", count)
    return until(look, f"a task of an executor of {job}", JOB_S)


def kill(release: Release, *pods: Manifest) -> None:
    """Kill pods without a grace period."""
    names = [pod["metadata"]["name"] for pod in pods]
    release.kubectl("delete", "pods", *names, "--grace-period=0", "--force", "--wait=false")


def states(release: Release, job: str) -> list[str]:
    """Return the states of a job's applications."""
    return sorted(one["status"]["applicationState"]["state"] for one in release.applications(job))


def heal(release: Release, *jobs: str) -> str:
    """Wait until jobs have completed; print how long after the fault that is, and return their logs."""
    began = time.monotonic()
    logs = [release.finish(job, 2 * JOB_S) for job in jobs]
    print(f"\n{' and '.join(jobs)}: done {time.monotonic() - began:.0f} s after the fault", end="")  # noqa: T201
    return "".join(logs)


def operator() -> Manifest:
    """Return the metadata of the operator's Deployment."""
    found = json.loads(call("kubectl", "get", "deployments", "--all-namespaces", "-l", CONTROLLER, "-o", "json"))
    (deployment,) = found["items"]
    return dict(deployment["metadata"])


def told(log: str, pattern: str) -> str:
    """Return the first text in a log that matches a pattern; there is one."""
    found = re.search(pattern, log)
    assert found is not None, f"no {pattern!r} in:\n{log}"
    return found[0]
