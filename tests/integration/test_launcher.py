"""The launcher on the wire: the real Kubernetes client, an API server on loopback, and a scripted operator.

The loop has an artificial clock, which advances when the launcher sleeps. Signals and exit codes are tested on
processes.
"""

import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from jobs.cli.preflight import __main__ as preflight
from jobs.launcher.__main__ import main
from jobs.launcher.application import Owner, fill_in
from jobs.launcher.cluster import Cluster, NoAnswerError
from jobs.launcher.follow import Clock, Launch
from jobs.launcher.settings import LauncherOptions
from marquee.errors import ConfigError, MarqueeError, TryAgainError
from marquee.runs import command
from tests.fake_cluster import (
    COMPLETED,
    DRIVER_RUNS,
    NAMESPACE,
    RUNNING,
    SUBMITTED,
    FakeCluster,
    Fault,
    Scene,
    ended,
    failed,
    fake_cluster,
    unscheduled,
    waiting,
)
from tests.small_world import CASE, DAY, SmallWorld

SPEC = {"type": "Python", "image": "marquee-rollup:1", "executor": {"cores": 2, "instances": 2}}
TEMPLATE = {
    "apiVersion": "sparkoperator.k8s.io/v1beta2",
    "kind": "SparkApplication",
    "metadata": {"name": "lake-rollup", "labels": {"app.kubernetes.io/component": "rollup"}},
    "spec": SPEC,
}
ARGUMENTS = ["--from", "2026-01-05", "--to", "2026-01-05"]
OWNER = Owner("rollup", "lake-rollup-29000", "6c4f1c58-0000-4000-8000-000000000001")
STARTUP_S, DEADLINE_S, POLL_S = 300, 3600, 10


class FakeTime:
    """A clock that advances when somebody sleeps, with actions that happen at given times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def when(self, second: float, action: Callable[[], object]) -> None:
        """Schedule an action at a number of seconds."""
        self._due.append((second, action))

    def sleep(self, seconds: float) -> None:
        """Advance the clock, and run the actions that are due."""
        self.now += seconds
        for one in [one for one in self._due if one[0] <= self.now]:
            self._due.remove(one)
            one[1]()

    def clock(self) -> Clock:
        """Return this time as the launcher's clock."""
        return Clock(lambda: self.now, self.sleep)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """An API server, which KUBECONFIG names."""
    with fake_cluster(tmp_path) as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
        yield running


@pytest.fixture
def at() -> FakeTime:
    """The time of the launcher."""
    return FakeTime()


def launch(at: FakeTime, arguments: list[str] = ARGUMENTS, *, noticed_s: float = math.inf, **options: Any) -> int:
    """Launch an application for OWNER; return the exit code."""
    given = LauncherOptions(
        application=Path("application.yaml"),
        namespace=NAMESPACE,
        job_name=OWNER.job_name,
        job_uid=OWNER.job_uid,
        poll_s=POLL_S,
        startup_deadline_s=STARTUP_S,
        deadline_s=DEADLINE_S,
        **options,
    )
    cluster = Cluster(NAMESPACE, given.request_timeout_s)
    return Launch(cluster, given, OWNER, at.clock(), noticed_s).run(TEMPLATE, arguments)


def name_of(attempt: int = 0) -> str:
    """Return the name of OWNER's application."""
    name: str = fill_in(TEMPLATE, OWNER, [], attempt)["metadata"]["name"]
    return name


def earlier(*arguments: str, attempt: int = 0) -> dict[str, Any]:
    """Return the application that an earlier pod of OWNER created."""
    return fill_in(TEMPLATE, OWNER, arguments, attempt)


# Created, and followed to its end


def test_application_is_created_and_followed(
    cluster: FakeCluster, at: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    """Each state is logged once with the seconds since the start, and nothing is patched or deleted."""
    caplog.set_level(logging.INFO)
    cluster.script = [Scene(), SUBMITTED, SUBMITTED, RUNNING, RUNNING, Scene("SUCCEEDING", DRIVER_RUNS), COMPLETED]
    assert launch(at) == 0
    name = name_of()
    assert [(one.message, vars(one)["elapsed_s"]) for one in caplog.records] == [
        (f"created {name} --from 2026-01-05 --to 2026-01-05", 0),
        (f"{name} is SUBMITTED", 10),
        (f"{name} waits: ContainerCreating", 10),
        (f"{name} is RUNNING", 30),
        (f"{name} is SUCCEEDING", 50),
        (f"{name} is COMPLETED", 60),
        (f"{name} completed", 60),
    ]
    assert {method for method, _ in cluster.asked} == {"GET", "POST"}


def test_created_is_the_template_with_name_labels_owner_and_arguments(cluster: FakeCluster, at: FakeTime) -> None:
    """The application is the template plus name, labels, owner and arguments, with strict validation of fields."""
    launch(at)
    (stored,) = cluster.stored.values()
    made = stored.manifest
    assert made["metadata"].pop("uid")
    assert made == {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {
            "name": name_of(),
            "namespace": NAMESPACE,
            "labels": {
                "app.kubernetes.io/component": "rollup",
                "marquee/stage": "rollup",
                "marquee/job-uid": "6c4f1c58-0000-4000-8000-000000000001",
            },
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": "lake-rollup-29000",
                    "uid": "6c4f1c58-0000-4000-8000-000000000001",
                }
            ],
        },
        "spec": {**SPEC, "arguments": ARGUMENTS},
    }
    assert [path.partition("?")[2] for method, path in cluster.asked if method == "POST"] == ["fieldValidation=Strict"]


def test_last_lines_of_the_driver_are_copied(
    cluster: FakeCluster, at: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to the limit, the last lines of the driver's container are copied: JSON stays JSON, and each names the pod."""
    cluster.log = '{"level": "info", "message": "rollup: 24 made"}\nWARN Utils: no такой host\n'
    launch(at, log_lines=7)
    pod = f"{name_of()}-driver"
    assert [json.loads(line) for line in capsys.readouterr().err.splitlines()] == [
        {"level": "info", "message": "rollup: 24 made", "pod": pod},
        {"message": "WARN Utils: no такой host", "pod": pod},
    ]
    (asked,) = (path for _, path in cluster.asked if "/log" in path)
    assert "container=spark-kubernetes-driver" in asked
    assert "tailLines=7" in asked
    assert "limitBytes=262144" in asked


@pytest.mark.parametrize(
    ("scene", "code", "message"),
    [
        pytest.param(failed(65), 65, "failed: its driver ended with 65 (Error)", id="bad input"),
        pytest.param(failed(137, "OOMKilled"), 137, "failed: its driver ended with 137 (OOMKilled)", id="memory"),
        pytest.param(failed(143), 143, "failed: its driver ended with 143 (Error)", id="driver terminated"),
        pytest.param(
            Scene("FAILED", None, "driver pod not found"),
            75,
            "failed and its driver left no exit code: driver pod not found",
            id="driver's pod gone",
        ),
        pytest.param(
            Scene("FAILED", waiting("ContainerCreating"), "failed to run spark-submit: signal: killed"),
            75,
            "its driver left no exit code: failed to run spark-submit: signal: killed",
            id="submission failed",
        ),
        pytest.param(
            Scene("FAILED", ended(0), "odd"), 70, "failed although its driver ended with 0", id="0 but failed"
        ),
    ],
)
def test_exit_code_is_the_drivers(
    cluster: FakeCluster, at: FakeTime, caplog: pytest.LogCaptureFixture, scene: Scene, code: int, message: str
) -> None:
    """The launcher ends with the exit code of the driver; without one, the scheduler may try again."""
    cluster.script = [SUBMITTED, RUNNING, Scene("FAILING", DRIVER_RUNS), scene]
    assert launch(at) == code
    last = caplog.records[-1]
    assert (last.levelname, message in last.message) == ("ERROR", True)


def test_log_that_cannot_be_read_is_no_failure(
    cluster: FakeCluster, at: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    """When the driver's log cannot be read, a warning is logged and the result of the application counts."""
    cluster.fail(Fault("GET", 403, "no pods/log for you", path="/log"))
    assert launch(at) == 0
    assert f"answered 403 (read the log of {name_of()}-driver in {NAMESPACE}): no pods/log for you" in caplog.text


# A driver that does not start


@pytest.mark.parametrize(
    ("scene", "error", "message"),
    [
        pytest.param(
            Scene("SUBMITTED", waiting("ImagePullBackOff", 'Back-off pulling image "marquee-rollup:1"')),
            ConfigError,
            'no driver after 300 s: ImagePullBackOff: Back-off pulling image "marquee-rollup:1"',
            id="wrong image",
        ),
        pytest.param(
            Scene("SUBMITTED", waiting("CreateContainerConfigError", 'secret "lake" not found')),
            ConfigError,
            'CreateContainerConfigError: secret "lake" not found',
            id="missing Secret",
        ),
        pytest.param(
            Scene("SUBMITTED", waiting("InvalidImageName")), ConfigError, "InvalidImageName", id="no name of an image"
        ),
        pytest.param(
            Scene("SUBMITTED", unscheduled("0/1 nodes are available: 1 Insufficient memory.")),
            TryAgainError,
            "Unschedulable: 0/1 nodes are available: 1 Insufficient memory.",
            id="no room",
        ),
        pytest.param(
            Scene("SUBMITTED", waiting("ContainerCreating")), TryAgainError, "300 s: ContainerCreating", id="slow"
        ),
        pytest.param(
            Scene(),
            TryAgainError,
            "there is no pod {name}-driver, the application is without a state. Check that the spark-operator is",
            id="no operator",
        ),
        pytest.param(
            Scene("SUBMISSION_FAILED", None, "forbidden: exceeded quota"),
            TryAgainError,
            "the application is SUBMISSION_FAILED; forbidden: exceeded quota. Check that the",
            id="cannot be submitted",
        ),
    ],
)
def test_driver_that_does_not_start_ends_it(
    cluster: FakeCluster, at: FakeTime, scene: Scene, error: type[MarqueeError], message: str
) -> None:
    """After the startup deadline the application is deleted, and reason and exit code say whether to retry."""
    cluster.script = [scene]
    with pytest.raises(error) as caught:
        launch(at)
    assert message.format(name=name_of()) in str(caught.value)
    assert type(caught.value) is error
    assert at.now == STARTUP_S
    assert (cluster.stored, cluster.requests("DELETE")) == ({}, [name_of()])


@pytest.mark.parametrize(
    ("scene", "second"),
    [
        pytest.param(Scene(), 50, id="no"),
        pytest.param(Scene("SUBMITTED"), STARTUP_S, id="yes, by a state"),
        pytest.param(Scene("", waiting("ContainerCreating")), STARTUP_S, id="yes, by a driver"),
    ],
)
def test_operator_that_does_not_notice_it_ends_it_sooner(
    cluster: FakeCluster, at: FakeTime, scene: Scene, second: int
) -> None:
    """Where a person waits, an application with neither state nor driver ends at the look after 45 s."""
    cluster.script = [scene]
    with pytest.raises(TryAgainError, match=f"no driver after {second} s"):
        launch(at, noticed_s=45)
    assert (at.now, cluster.stored) == (second, {})


def test_why_it_does_not_start_is_logged_when_it_is_known(
    cluster: FakeCluster, at: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    """Each reason why the driver does not start yet is logged once, as soon as it is known."""
    caplog.set_level(logging.INFO)
    pull = Scene("SUBMITTED", waiting("ErrImagePull", "manifest unknown"))
    cluster.script = [pull, pull, SUBMITTED, RUNNING, COMPLETED]
    assert launch(at) == 0
    waits = [one.message.partition("waits: ")[2] for one in caplog.records if "waits" in one.message]
    assert waits == ["ErrImagePull: manifest unknown", "ContainerCreating"]


def test_latest_warnings_of_the_cluster_are_told(cluster: FakeCluster, at: FakeTime) -> None:
    """Recent warning events of the cluster are logged, such as a volume that cannot be mounted."""
    cluster.script = [SUBMITTED]
    mount = {"type": "Warning", "reason": "FailedMount", "lastTimestamp": "2026-01-06T00:00:02Z"}
    cluster.events = [
        {"type": "Normal", "reason": "Scheduled", "message": "assigned to node-1"},
        mount | {"message": 'secret "lake" not found'},
    ]
    with pytest.raises(TryAgainError, match='FailedMount: secret "lake" not found') as caught:
        launch(at)
    assert "assigned" not in str(caught.value)


def test_unknown_state_is_waited_out(cluster: FakeCluster, at: FakeTime) -> None:
    """An unknown state may last longer than a driver has to start, because the driver's node may answer again."""
    cluster.script = [RUNNING, *[Scene("UNKNOWN")] * 50, RUNNING, COMPLETED]
    assert launch(at) == 0
    assert at.now > STARTUP_S


# Deadlines and deletion


def test_after_the_deadline_it_is_deleted(
    cluster: FakeCluster, at: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the deadline the application is deleted, and the last lines of its log are copied first."""
    cluster.script = [SUBMITTED, RUNNING]
    cluster.log = "still counting\n"
    with pytest.raises(TryAgainError, match="was still RUNNING after 3600 s and was deleted"):
        launch(at)
    assert (at.now, cluster.stored) == (DEADLINE_S, {})
    assert "still counting" in capsys.readouterr().err


def test_application_deleted_by_somebody_is_a_failure(cluster: FakeCluster, at: FakeTime) -> None:
    """When somebody deletes the application, the launcher fails at once and does not wait for the deadline."""
    cluster.script = [SUBMITTED, RUNNING, RUNNING]
    at.when(20, cluster.stored.clear)
    with pytest.raises(TryAgainError, match="was deleted while it ran"):
        launch(at)
    assert at.now == 20


# Missing answers


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_bursts_of_errors_are_waited_out(
    cluster: FakeCluster, at: FakeTime, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Failed calls are retried after increasing pauses, and the application is created once."""
    cluster.script = [RUNNING, COMPLETED]
    cluster.fail(*[Fault("GET", status, "etcd is away")] * 3, Fault("POST", status), Fault("POST", status))
    assert launch(at) == 0
    assert len(cluster.stored) == 1
    assert at.now == (10 + 20 + 40) + (10 + 20) + POLL_S
    assert f"the cluster answered {status} (get {name_of()} in {NAMESPACE}): etcd is away; retry in" in caplog.text


def test_created_although_no_answer_came(cluster: FakeCluster, at: FakeTime) -> None:
    """When the answer to the creation is lost, the name identifies the application, and no second one is created."""
    cluster.script = [RUNNING, COMPLETED]
    cluster.fail(Fault("POST", 504, "timeout", before=lambda: cluster.put(earlier(*ARGUMENTS))))
    assert launch(at) == 0
    assert cluster.requests("POST") == ["sparkapplications"] * 2
    assert len(cluster.stored) == 1


def test_silence_is_no_end(cluster: FakeCluster, at: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """A request without an answer times out and is sent again."""
    cluster.fail(Fault("GET", None))
    assert launch(at, request_timeout_s=0.2) == 0
    assert "the cluster did not answer (get" in caplog.text


def test_right_that_is_lost_on_the_way_is_waited_for(cluster: FakeCluster, at: FakeTime) -> None:
    """When the launcher loses a right while Spark runs, it keeps trying instead of abandoning the application."""
    cluster.script = [RUNNING, RUNNING, COMPLETED]
    at.when(10, lambda: cluster.fail(Fault("GET", 403, "forbidden"), Fault("GET", 401, "Unauthorized")))
    assert launch(at) == 0
    assert list(cluster.faults) == []


def test_cluster_that_never_answers_ends_it(cluster: FakeCluster, at: FakeTime) -> None:
    """When the cluster never answers, the launcher ends at the deadline with the code to try again."""
    cluster.script = [RUNNING]
    cluster.fail(*[Fault("GET", 503, "no leader")] * 500)
    with pytest.raises(NoAnswerError, match="503"):
        launch(at)
    assert NoAnswerError.exit_code == 75
    assert at.now <= STARTUP_S + 20


@pytest.mark.parametrize(
    ("status", "text", "hint"),
    [
        pytest.param(400, 'unknown field "spec.drver"', "correct the template of the application", id="misspelt field"),
        pytest.param(
            401, "Unauthorized", "check that the launcher's pod has the token of its service account", id="no token"
        ),
        pytest.param(403, "forbidden", "give this right to the launcher's service account", id="no right"),
        pytest.param(
            404,
            "404 page not found",
            "check that SparkApplication (sparkoperator.k8s.io/v1beta2) exists: install the spark-operator",
            id="no such kind",
        ),
        pytest.param(422, "spec.driver is required", "correct the template of the application", id="invalid"),
    ],
)
def test_refused_application_is_a_wrong_configuration(
    cluster: FakeCluster, at: FakeTime, status: int, text: str, hint: str
) -> None:
    """A refused application ends the launcher at once, with the server's message and the settings to check."""
    cluster.fail(Fault("POST", status, text))
    with pytest.raises(ConfigError) as caught:
        launch(at)
    assert str(caught.value).startswith(
        f"the cluster answered {status} (create {name_of()} in {NAMESPACE}): {text}: {hint}"
    )
    assert at.now == 0


# Applications of an earlier pod of the Job


def test_running_application_is_adopted(cluster: FakeCluster, at: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """A new pod follows the application of the previous pod to its end, whatever is pending by then."""
    caplog.set_level(logging.INFO)
    cluster.put(earlier("--from", "2026-01-01", "--to", "2026-01-02"), RUNNING, RUNNING, failed(65))
    assert launch(at) == 65
    assert caplog.records[0].message == f"adopted {name_of()} --from 2026-01-01 --to 2026-01-02"
    assert cluster.requests("POST") == []


def test_two_pods_at_once_make_one_application(cluster: FakeCluster, at: FakeTime) -> None:
    """When two pods create the application at once, the second gets a conflict and adopts the first one's."""
    cluster.script = [RUNNING, COMPLETED]
    cluster.fail(Fault("POST", 409, "already exists", before=lambda: cluster.put(earlier(*ARGUMENTS))))
    assert launch(at) == 0
    assert len(cluster.stored) == 1


@pytest.mark.parametrize("scene", [COMPLETED, failed(2), failed(65), failed(70), failed(78)])
def test_result_that_would_be_the_same_again_is_taken(cluster: FakeCluster, at: FakeTime, scene: Scene) -> None:
    """The result of the previous pod's application is taken, without a second Spark, if it would not change."""
    cluster.put(earlier(), scene)
    assert launch(at) == (0 if scene is COMPLETED else int(scene.error.split("ExitCode: ")[1].split(",")[0]))
    assert cluster.requests("POST") == []


@pytest.mark.parametrize(
    "scene",
    [failed(75), failed(76), failed(137, "OOMKilled"), failed(1), Scene("FAILED", None, "no pod")],
)
def test_failure_that_may_pass_is_run_again(cluster: FakeCluster, at: FakeTime, scene: Scene) -> None:
    """A failure that may pass is run again as the next attempt of the Job, under a new name."""
    cluster.put(earlier(), scene)
    assert launch(at) == 0
    assert list(cluster.stored) == [name_of(0), name_of(1)]


def test_every_pod_of_a_job_runs_spark_once_more(cluster: FakeCluster, at: FakeTime) -> None:
    """A lasting failure runs Spark once for each pod of the Job and no more: 75 from the first and both retries."""
    cluster.script = [failed(75)]
    assert [launch(at) for _ in range(3)] == [75, 75, 75]
    assert list(cluster.stored) == [name_of(0), name_of(1), name_of(2)]


def test_remains_are_waited_for(cluster: FakeCluster, at: FakeTime) -> None:
    """The launcher waits until a deleted application and its driver's pod are gone, so as not to adopt that pod."""
    cluster.put(earlier(), RUNNING, deletionTimestamp="2026-01-06T00:00:00Z")

    def only_the_pod_is_left() -> None:
        cluster.stored.clear()
        cluster.pods[f"{name_of()}-driver"] = DRIVER_RUNS

    at.when(10, only_the_pod_is_left)
    at.when(30, cluster.pods.clear)
    assert launch(at) == 0
    assert at.now == 30
    assert cluster.requests("POST") == ["sparkapplications"]


def test_remains_that_stay_end_it(cluster: FakeCluster, at: FakeTime) -> None:
    """A driver's pod that stays, such as one on a lost node, ends the launcher at the startup deadline."""
    cluster.pods[f"{name_of()}-driver"] = DRIVER_RUNS
    with pytest.raises(
        TryAgainError, match="could not be created within 300 s: an earlier application, or its driver's pod"
    ):
        launch(at)


def test_application_of_somebody_else_is_left_alone(cluster: FakeCluster, at: FakeTime) -> None:
    """An application of another owner is neither adopted nor deleted."""
    other = Owner("rollup", "another", "another-uid")
    manifest = fill_in(TEMPLATE, other, [], 0)
    manifest["metadata"]["name"] = name_of()
    cluster.put(manifest, RUNNING)
    with pytest.raises(
        MarqueeError, match="already exists for stage 'rollup' and Job 'another-uid', expected none"
    ) as caught:
        launch(at)
    assert caught.value.exit_code == 70
    assert {method for method, _ in cluster.asked} == {"GET"}


# The launcher as a process


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    """An hour of events that is not rolled up."""
    made = SmallWorld(tmp_path / "world")
    made.configure("http://127.0.0.1:9")
    made.events(f"{DAY}T10", [("ann", 1, CASE)])
    return made


def variables_of(world: SmallWorld, cluster: FakeCluster) -> dict[str, str]:
    """Return the variables of a pod of OWNER's."""
    template = world.folder / "application.yaml"
    template.write_text(json.dumps(TEMPLATE))
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "MARQUEE_CONFIG": str(world.config),
        "MARQUEE_LAUNCHER__APPLICATION": str(template),
        "MARQUEE_LAUNCHER__NAMESPACE": NAMESPACE,
        "MARQUEE_LAUNCHER__JOB_NAME": OWNER.job_name,
        "MARQUEE_LAUNCHER__JOB_UID": OWNER.job_uid,
        "MARQUEE_LAUNCHER__POLL_S": "0.05",
    }


def start(world: SmallWorld, cluster: FakeCluster) -> subprocess.Popen[str]:
    """Start the launcher in a pod of OWNER's."""
    environment = os.environ | variables_of(world, cluster)
    arguments = [sys.executable, "-m", "jobs.launcher", "rollup"]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """Wait for a process to end; return its exit code and its log."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert out == ""
    return process.returncode, [json.loads(line) for line in err.splitlines()]


def test_pending_hours_go_to_spark_and_its_code_comes_back(world: SmallWorld, cluster: FakeCluster) -> None:
    """Spark gets the day of the pending hour as arguments; the launcher logs JSON and ends with the driver's code."""
    cluster.script = [SUBMITTED, RUNNING, failed(65)]
    cluster.log = '{"message": "rollup: 0 made, 1 failed; see the log"}\n'
    code, logged = finish(start(world, cluster))
    assert code == 65
    assert logged[0]["message"] == f"rollup --from {DAY}T10 --to {DAY}T10: 1 periods now, 0 left for the next run"
    assert {"message": "rollup: 0 made, 1 failed; see the log", "pod": f"{name_of()}-driver"} in logged
    assert cluster.stored[name_of()].manifest["spec"]["arguments"] == ["--from", f"{DAY}T10", "--to", f"{DAY}T10"]


def test_sigterm_deletes_the_application(world: SmallWorld, cluster: FakeCluster) -> None:
    """On SIGTERM the launcher deletes the application within the grace period of the pod and ends with 143."""
    cluster.script = [RUNNING]
    process = start(world, cluster)
    try:
        while len(cluster.requests("GET")) < 5:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        code, logged = finish(process)
    finally:
        process.kill()
        process.wait()
    assert code == 143
    assert (cluster.stored, logged[-1]["message"]) == ({}, f"deleted {name_of()}")


def test_small_work_is_done_in_the_launchers_pod(world: SmallWorld, cluster: FakeCluster) -> None:
    """With ``auto`` an hour of one play is made here, without a call to the cluster, and the log says why."""
    with mock.patch.dict(os.environ, MARQUEE_ENGINE__KIND="auto"):
        code, logged = finish(start(world, cluster))
    assert (code, cluster.asked) == (0, [])
    assert world.generations() == {f"rollup/{DAY}T10": 1}
    messages = [one["message"] for one in logged]
    assert messages[1].startswith(
        "rollup: here: 0.0 MiB due, about 0 CPU s by a rule of thumb: 0 s on 1 cores here, 30 s"
    )
    assert messages[-1] == "rollup: 1 made"


def test_failure_of_the_launchers_own_work_is_its_exit_code(world: SmallWorld, cluster: FakeCluster) -> None:
    """With ``auto`` bad input ends the launcher with 65, as it would end the driver of Spark."""
    world.events(f"{DAY}T11", [("ann", 1, CASE)], bad_lines=3)  # two are allowed
    with mock.patch.dict(os.environ, MARQUEE_ENGINE__KIND="auto"):
        code, logged = finish(start(world, cluster))
    assert (code, cluster.asked) == (65, [])
    assert logged[-1]["message"] == "rollup: 1 made, 1 failed; see the log"


def test_work_that_is_faster_on_spark_goes_there(world: SmallWorld, cluster: FakeCluster) -> None:
    """With ``auto`` and a Spark that needs no time to start, its four cores do the same hour."""
    cluster.script = [SUBMITTED, COMPLETED]
    with mock.patch.dict(os.environ, MARQUEE_ENGINE__KIND="auto", MARQUEE_ENGINE__SPARK_START_S="0"):
        code, logged = finish(start(world, cluster))
    assert (code, len(cluster.stored), world.generations()) == (0, 1, {})
    assert logged[1]["message"].startswith("rollup: on Spark: 0.0 MiB due")


# The command


@pytest.fixture
def pod(
    world: SmallWorld, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.MonkeyPatch:
    """The variables of a pod of OWNER's, which a test may change; logging is not reconfigured."""
    for name, value in variables_of(world, cluster).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "set_up_logs", lambda *_: None)
    caplog.set_level(logging.INFO)
    return monkeypatch


@pytest.mark.usefixtures("pod")
def test_nothing_pending_asks_the_cluster_for_nothing(
    world: SmallWorld, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """With nothing pending, the launcher makes no request to the cluster, logs that, and ends with 0."""
    assert world.run("rollup") == 0
    caplog.clear()
    assert main(["rollup"]) == 0
    assert (caplog.messages, cluster.asked) == (["rollup: nothing is pending"], [])


@pytest.mark.usefixtures("pod")
def test_profile_without_hours_says_what_is_missing(cluster: FakeCluster, caplog: pytest.LogCaptureFixture) -> None:
    """When nothing is rolled up yet, profile has nothing pending, and the log names the command to run first."""
    assert main(["profile"]) == 0
    message = "profile: nothing is pending; nothing is rolled up yet: run `marquee rollup` first"
    assert (caplog.messages, cluster.asked) == ([message], [])


@pytest.mark.usefixtures("pod")
def test_rollup_without_events_starts_no_application(
    world: SmallWorld, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Without raw events, the launcher ends with 78 and the message of the stage itself, and starts no application."""
    for info in list(world.raw.list()):
        world.raw.delete(info.key)
    assert main(["rollup"]) == 78
    assert "is empty: expected raw events in folders" in caplog.messages[-1]
    assert cluster.asked == []


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        pytest.param({"MARQUEE_PERIOD": f"{DAY}T10", "MARQUEE_FORCE": "true"}, [], id="by settings"),
        pytest.param({}, [f"{DAY}T10", "--force"], id="by arguments"),
    ],
)
def test_what_is_done_is_done_again_by_force(
    world: SmallWorld, cluster: FakeCluster, pod: pytest.MonkeyPatch, variables: dict[str, str], arguments: list[str]
) -> None:
    """With force, the application is created for the requested hour alone and gets the option --force."""
    assert world.run("rollup") == 0
    for name, value in variables.items():
        pod.setenv(name, value)
    assert main(["rollup", *arguments]) == 0
    (made,) = cluster.stored.values()
    assert made.manifest["spec"]["arguments"] == ["--from", f"{DAY}T10", "--to", f"{DAY}T10", "--force"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        pytest.param(
            {"MARQUEE_LAUNCHER__JOB_UID": ""}, "MARQUEE_LAUNCHER__JOB_UID='': String should have", id="no Job"
        ),
        pytest.param(
            {"MARQUEE_LAUNCHER__APPLICATION": "nowhere.yaml"},
            "MARQUEE_LAUNCHER__APPLICATION='nowhere.yaml' cannot be read: ",
            id="no template",
        ),
        pytest.param({"KUBECONFIG": ""}, "no cluster to launch in: Service host/port is not set.", id="no cluster"),
        pytest.param({"MARQUEE_LAUNCHER__POL_S": "5"}, "Did you mean MARQUEE_LAUNCHER__POLL_S?", id="misspelt"),
    ],
)
def test_wrong_settings_end_it_at_start(
    cluster: FakeCluster,
    pod: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    message: str,
) -> None:
    """Invalid settings end the launcher with 78 at the start, so that the Job does not try again."""
    for name, value in variables.items():
        pod.setenv(name, value)
    assert main(["rollup"]) == 78
    assert message in caplog.messages[-1]
    assert cluster.asked == []


# The preflight


def spark_operator(caplog: pytest.LogCaptureFixture) -> str:
    """Return the preflight's finding on the operator."""
    (found,) = [one for one in caplog.messages if one.startswith("spark operator: ")]
    return found.removeprefix("spark operator: ")


@pytest.mark.usefixtures("pod")
def test_preflight_tries_a_launch_and_leaves_nothing(cluster: FakeCluster, caplog: pytest.LogCaptureFixture) -> None:
    """The preflight tries a dry run, then runs a driver that lists its settings and belongs to the preflight's pod.

    It checks the rest of the stage's needs, and leaves nothing.
    """
    assert preflight.main(["rollup", "--launcher"]) == 0
    assert spark_operator(caplog) == (
        f"{NAMESPACE}: a SparkApplication (sparkoperator.k8s.io/v1beta2) of rollup was accepted, and its driver ran"
    )
    assert [one.partition(":")[0] for one in caplog.messages if not one.startswith(("created", "lake-rollup"))] == [
        "settings of rollup",
        "scratch folder",
        "lake",
        "listing",
        "conditional writes",
        "conditional writes",
        "raw events",
        "event contract",
        "parser",
        "spark operator",
    ]
    dry, real = [path for method, path in cluster.asked if method == "POST"]
    assert "dryRun=All" in dry
    assert "dryRun" not in real
    assert cluster.stored == {}


def test_trial_belongs_to_the_pod_of_the_preflight() -> None:
    """The trial's owner is a pod: the cluster would delete at once what belongs to a Job that does not exist."""
    trial = fill_in(TEMPLATE, Owner("rollup", "r-marquee-rollup-preflight", "uid", kind="Pod"), ["--config"], 0)
    assert trial["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "r-marquee-rollup-preflight", "uid": "uid"}
    ]


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        pytest.param([Scene()], 75, "Check that the spark-operator is running", id="operator is scaled to 0"),
        pytest.param([Scene("FAILED", error="exceeded quota: small")], 75, "exceeded quota: small", id="quota"),
        pytest.param(
            [Scene("SUBMITTED", waiting("ImagePullBackOff", "no such tag"))], 78, "ImagePullBackOff", id="no image"
        ),
        pytest.param([Scene("SUBMITTED", unscheduled("0/1 nodes"))], 75, "Unschedulable: 0/1 nodes", id="no room"),
        pytest.param([RUNNING, failed(1)], 75, "ended with 1", id="driver fails"),
    ],
)
def test_preflight_finds_that_no_driver_runs(
    cluster: FakeCluster,
    pod: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: list[Scene],
    code: int,
    words: str,
) -> None:
    """A cluster that accepts applications and starts no driver fails the preflight, which leaves nothing."""
    pod.setenv("MARQUEE_LAUNCHER__STARTUP_DEADLINE_S", "0.2")
    pod.setenv("MARQUEE_LAUNCHER__POLL_S", "0.05")
    cluster.script = script
    assert preflight.main(["rollup", "--launcher"]) == code
    assert words in spark_operator(caplog)
    assert cluster.stored == {}


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        pytest.param(Fault("POST", 404, "page not found"), 78, "install the spark-operator", id="no operator"),
        pytest.param(Fault("POST", 403, "cannot create"), 78, "give this right to", id="may not create"),
        pytest.param(Fault("GET", 403, "cannot get", "sparkapplications/"), 78, "(get lake-rollup", id="may not get"),
        pytest.param(Fault("DELETE", 403, "cannot delete"), 78, "(delete lake-rollup", id="may not delete"),
        pytest.param(Fault("GET", 403, "cannot get", "-driver"), 78, "(get pod lake-rollup", id="may not see pods"),
        pytest.param(Fault("GET", 403, "cannot get", "/log"), 78, "(read the log of lake", id="may not read logs"),
        pytest.param(Fault("GET", 403, "cannot list", "/events"), 78, "(list events of", id="may not see events"),
        pytest.param(Fault("POST", 500, "failed calling webhook"), 75, "failed calling webhook", id="webhook is down"),
    ],
)
@pytest.mark.usefixtures("pod")
def test_preflight_tells_what_a_launch_would_fail_of(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture, fault: Fault, code: int, words: str
) -> None:
    """A missing operator, right or webhook fails with the exit code of the launcher and a remedy."""
    cluster.fail(fault)
    assert preflight.main(["rollup", "--launcher"]) == code
    assert words in spark_operator(caplog)
