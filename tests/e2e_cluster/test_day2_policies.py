"""The pipeline with NetworkPolicies that are enforced: what the settings name is reached, and nothing else.

E2E_POLICIES is a command that has the cluster enforce them (``on``) or not (``off``).
"""

import json
import os
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e_cluster.cluster import JOB_S, Manifest, Release, call, documented, until
from tests.e2e_cluster.conftest import COMMANDS, Calm

pytestmark = pytest.mark.day2

POLICIES = shlex.split(os.environ.get("E2E_POLICIES", ""))
LAKE = "closed"
PROBE = """
import json, socket, sys, time

def answers(host, port):
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True

time.sleep(3)  # until the network knows this pod
print(json.dumps({name: answers(*where) for name, where in json.loads(sys.argv[1]).items()}))
"""
SERVER = "import http.server as http, sys; http.HTTPServer(('', int(sys.argv[1])), None).serve_forever()"
REACHED = {
    "schedule-fetch": {"s3", "schedule"},
    "rollup": {"s3"},
    "rollup-driver": {"s3"},
    "rollup-executor": {"s3"},
    "profile": {"s3"},
    "profile-driver": {"s3"},
    "profile-executor": {"s3"},
    "mart-load": {"s3", "mart"},
    "exporter": {"s3", "mart"},
}
"""What the settings name for each workload, of the servers of the namespace; the API server is on the node."""


@pytest.fixture(scope="module")
def closed(calm: Calm) -> Iterator[Release]:
    """A release with a lake of its own and policies that the network enforces."""
    if not POLICIES:
        pytest.skip("E2E_POLICIES names no command that has the cluster enforce NetworkPolicies")
    endpoints = json.loads(call("kubectl", "get", "endpointslices", "kubernetes", "-o", "json"))
    address = endpoints["endpoints"][0]["addresses"][0]
    peer = f"networkPolicy.egress.apiServer.to[0].ipBlock.cidr={address}/32"
    call(*POLICIES, "on")
    try:
        yield calm.release.beside(LAKE, f"settings.lake=s3://marquee/{LAKE}", "networkPolicy.enabled=true", peer)
    finally:
        call(*POLICIES, "off")


def test_whole_pipeline_runs_under_its_policies(calm: Calm, closed: Release) -> None:
    """The chart's test and each stage succeed, two of them on Spark, with the bytes and answers of an open network."""
    closed.run(documented("Install")[2].splitlines()[1])
    for stage in COMMANDS:
        closed.do(stage, f"{stage}-closed")
    assert calm.environment.digests(LAKE) == calm.digests
    assert calm.environment.answers() == calm.answers
    assert [len(closed.applications(f"{stage}-closed")) for stage in COMMANDS] == [0, 1, 1, 0]


def server(name: str, port: int) -> Manifest:
    """Return a pod that listens at a port."""
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "server",
        "image": "marquee/mart_load:dev",
        "imagePullPolicy": "IfNotPresent",
        "args": ["python", "-c", SERVER, str(port)],
        "workingDir": "/tmp",  # noqa: S108 - of the container
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "securityContext": restricted,
    }
    context = {"runAsNonRoot": True, "runAsUser": 185, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": context, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def places(closed: Release) -> Iterator[dict[str, tuple[str, int]]]:
    """Servers: those that settings name, one at another port, and one at S3's port in another namespace."""
    elsewhere = Release("elsewhere", f"{closed.namespace}-x", closed.values)
    call("kubectl", "create", "namespace", elsewhere.namespace)
    try:
        strangers = {"stranger": (closed, 8081), "elsewhere": (elsewhere, 7070)}
        for name, (release, port) in strangers.items():
            release.apply(server(name, port))
        found = {"s3": ("s3", 7070), "mart": ("mart", 3306), "schedule": ("schedule", 8080)}
        for name, (release, port) in strangers.items():
            release.kubectl("wait", "--for=condition=ready", "--timeout=120s", f"pod/{name}")
            found[name] = (release.kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}"), port)
        yield found
    finally:
        closed.kubectl("delete", "pod", "stranger", "--ignore-not-found", "--wait=false")
        call("kubectl", "delete", "namespace", elsewhere.namespace, "--wait=false")


def probe(release: Release, component: str, places: dict[str, Any]) -> None:
    """Start a pod that stands for one of a component, and looks which places it reaches."""
    stage = next(one for one in COMMANDS if component.startswith(one))
    job = release.job_of(stage, f"probe-{component}")
    pod = job["spec"]["template"]
    pod["metadata"]["labels"]["app.kubernetes.io/component"] = component
    pod["spec"]["containers"][0]["args"] = ["python", "-c", PROBE, json.dumps(places)]
    release.apply(job)


def test_what_no_setting_names_is_not_reached(closed: Release, places: dict[str, tuple[str, int]]) -> None:
    """A pod of each workload reaches the servers of its settings, and none of the others."""
    jobs = [one for one in REACHED if one != "exporter"]
    for component in jobs:
        probe(closed, component, places)
    look = ("exec", f"deployment/{closed.name}-marquee-exporter", "--", "python", "-c", PROBE, json.dumps(places))
    said = {"exporter": closed.kubectl(*look)}
    for component in jobs:
        until(lambda component=component: closed.ended(f"probe-{component}"), f"the probe of {component}", JOB_S)  # type: ignore[misc]
        said[component] = closed.log(f"probe-{component}")
    reached = {name: {place for place, yes in json.loads(text).items() if yes} for name, text in said.items()}
    assert reached == REACHED


def test_what_they_stop_is_there(closed: Release, places: dict[str, tuple[str, int]]) -> None:
    """A pod that no policy is about reaches every place, so that it is the policies that stop the others."""
    job = closed.job_of("mart-load", "probe-anybody")
    job["spec"]["template"]["metadata"]["labels"] = {"app": "anybody"}
    job["spec"]["template"]["spec"]["containers"][0]["args"] = ["python", "-c", PROBE, json.dumps(places)]
    closed.apply(job)
    assert json.loads(closed.finish("probe-anybody")) == dict.fromkeys(places, True)
