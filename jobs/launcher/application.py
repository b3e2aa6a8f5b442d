"""SparkApplications (spark-operator, v1beta2) as values: rendered from a template, and parsed. No I/O.

The name of an application contains a digest of the Job, the stage and the attempt. A restarted pod of a Job therefore
finds the application of the previous pod, even if other periods are pending by then. Another Job, even for the same
hour, creates its own application.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from marquee.errors import DONE, INTERNAL, USAGE, BadInputError, ConfigError, MarqueeError, TryAgainError
from marquee.neutral import neutral_json

GROUP, VERSION, KIND, PLURAL = "sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications"
STAGE_LABEL, JOB_LABEL = "marquee/stage", "marquee/job-uid"

MAX_NAME = 40
"""Maximum length of a name: the operator and Spark derive names and labels of up to 63 characters from it."""
DIGITS = 10
MAX_TEXT = 2_000
"""Maximum length of the cluster's texts in messages."""

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")

DRIVER = "spark-kubernetes-driver"
"""The driver's container; the pod may have others before it."""

COMPLETED, FAILED = "COMPLETED", "FAILED"
STARTING = frozenset({"", "SUBMITTED", "SUBMISSION_FAILED", "PENDING_RERUN", "INVALIDATING", "RESUMING"})
"""States before RUNNING. UNKNOWN is not one of them: the driver's node does not answer, but may recover."""

WRONG_TEMPLATE = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons of a waiting container that are unlikely to pass without a change of image or settings."""

FINAL = frozenset({DONE, USAGE, BadInputError.exit_code, INTERNAL, ConfigError.exit_code})
"""Exit codes that another run would repeat; except for 0, the chart does not retry a Job after them."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Owner:
    """The Job of the launching pod, or a trial's own Pod, and the stage to launch."""

    stage: str
    job_name: str
    job_uid: str
    kind: str = "Job"


def read_template(text: str, where: object) -> Manifest:
    """Read the template, YAML or JSON; ConfigError if it is not a SparkApplication."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        message = f"{where} is neither YAML nor JSON: {error}. Correct MARQUEE_LAUNCHER__APPLICATION"
        raise ConfigError(message) from error
    if not isinstance(found, dict):
        message = f"{where} contains {type(found).__name__}, expected a {KIND}"
        raise ConfigError(message)
    kind = (found.get("apiVersion"), found.get("kind"))
    if kind != (f"{GROUP}/{VERSION}", KIND):
        message = f"{where} is {kind[0]!r} {kind[1]!r}, expected {GROUP}/{VERSION} {KIND}"
        raise ConfigError(message)
    name = _at(found, "metadata", "name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        message = f"{where}: invalid metadata.name {name!r}. Use lower-case letters, digits and hyphens, a letter first"
        raise ConfigError(message)
    if not isinstance(found.get("spec"), dict):
        message = f"{where} has no spec, expected a complete {KIND} except owner, run labels and arguments"
        raise ConfigError(message)
    return found


def fill_in(template: Manifest, owner: Owner, arguments: Sequence[str], attempt: int) -> Manifest:
    """Return the application of an attempt: the template with its name, run labels, owner and arguments."""
    application = copy.deepcopy(template)
    metadata = application["metadata"]
    digest = hashlib.sha256(json.dumps([owner.job_uid, owner.stage, attempt]).encode()).hexdigest()[:DIGITS]
    prefix = metadata["name"][: MAX_NAME - DIGITS - 1].rstrip("-")
    metadata["name"] = f"{prefix}-{digest}"
    metadata["labels"] = {**(metadata.get("labels") or {}), STAGE_LABEL: owner.stage, JOB_LABEL: owner.job_uid}
    # Without blockOwnerDeletion, which needs the right to change the Job's finalizers.
    version = {"Job": "batch/v1", "Pod": "v1"}[owner.kind]
    metadata["ownerReferences"] = [
        {"apiVersion": version, "kind": owner.kind, "name": owner.job_name, "uid": owner.job_uid}
    ]
    application["spec"]["arguments"] = list(arguments)
    return application


def cores_of(template: Manifest) -> int:
    """Return how many tasks the executors of an application run at a time, at most."""
    executor, dynamic = _at(template, "spec", "executor") or {}, _at(template, "spec", "dynamicAllocation") or {}
    many = dynamic.get("maxExecutors") if dynamic.get("enabled") else executor.get("instances")
    return max(int(many or 1) * int(executor.get("cores") or 1), 1)


@dataclass(frozen=True)
class Application:
    """State of an application in the cluster."""

    name: str
    uid: str
    job_uid: str
    stage: str
    state: str
    error: str
    driver_pod: str
    arguments: tuple[str, ...]
    deleted: bool

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> "Application":
        """Read an application, which may not have a status yet."""
        name = found["metadata"]["name"]
        return cls(
            name=name,
            uid=found["metadata"]["uid"],
            job_uid=_at(found, "metadata", "labels", JOB_LABEL) or "",
            stage=_at(found, "metadata", "labels", STAGE_LABEL) or "",
            state=_at(found, "status", "applicationState", "state") or "",
            error=(_at(found, "status", "applicationState", "errorMessage") or "")[:MAX_TEXT],
            driver_pod=_at(found, "status", "driverInfo", "podName") or driver_pod_of(name),
            arguments=tuple(_at(found, "spec", "arguments") or ()),
            deleted="deletionTimestamp" in found["metadata"],
        )

    @property
    def ended(self) -> bool:
        """Whether the application has ended."""
        return self.state in {COMPLETED, FAILED}

    def belongs_to(self, owner: Owner) -> bool:
        """Return whether this Job created it for this stage."""
        return (self.job_uid, self.stage) == (owner.job_uid, owner.stage)


def driver_pod_of(name: str) -> str:
    """Return the operator's name for the driver's pod."""
    return f"{name}-driver"


@dataclass(frozen=True)
class Driver:
    """State of the driver's pod: whether it started, why it waits, and how it ended."""

    began: bool = False
    waits: str = ""
    wrong_template: bool = False
    exit_code: int | None = None
    ended: str = ""

    @classmethod
    def read(cls, pod: Mapping[str, Any]) -> "Driver":
        """Read the driver's pod."""
        status = pod.get("status") or {}
        containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        own = next((one.get("state") or {} for one in containers if one.get("name") == DRIVER), {})
        ended = own.get("terminated") or {}
        waiting = [one for container in containers if (one := _at(container, "state", "waiting"))]
        # A container that cannot start says more than the containers that wait for it.
        waiting.sort(key=lambda one: one.get("reason") not in WRONG_TEMPLATE)
        unscheduled = [
            one
            for one in status.get("conditions") or []
            if (one.get("type"), one.get("status")) == ("PodScheduled", "False")
        ]
        reasons = [*unscheduled, *waiting]
        return cls(
            began="running" in own or "terminated" in own,
            waits=": ".join(filter(None, (reasons[0].get("reason"), reasons[0].get("message")))) if reasons else "",
            wrong_template=bool(waiting) and waiting[0].get("reason") in WRONG_TEMPLATE,
            exit_code=ended.get("exitCode"),
            ended=ended.get("reason") or "",
        )


def why_not_started(
    application: Application, driver: Driver | None, events: Sequence[str], waited_s: float
) -> MarqueeError:
    """Return the error for an application whose driver did not start in time."""
    details = "".join(f"; {one}" for one in (application.error, *events) if one)
    late = f"{application.name}: no driver after {waited_s:.0f} s"
    if driver is None:
        state = application.state or "without a state"
        message = (
            f"{late}: there is no pod {application.driver_pod}, the application is {state}{details}. "
            "Check that the spark-operator is running and watches this namespace"
        )
        return TryAgainError(message)
    message = f"{late}: {driver.waits or 'its pod waits'}{details}"
    if driver.wrong_template:
        return ConfigError(f"{message}. Correct the image, or the objects that the pod refers to")
    return TryAgainError(message)


def result_of(application: Application, driver: Driver | None) -> tuple[int, str]:
    """Return the exit code and the message of an application that has ended."""
    if application.state == COMPLETED:
        return 0, f"{application.name} completed"
    reason = application.error or "no reason given"
    code = driver.exit_code if driver else None
    if code is None:
        return TryAgainError.exit_code, f"{application.name} failed and its driver left no exit code: {reason}"
    if code == 0:
        return MarqueeError.exit_code, f"{application.name} failed although its driver ended with 0: {reason}"
    return code, f"{application.name} failed: its driver ended with {code} ({driver.ended if driver else ''}): {reason}"


def mark(line: str, pod: str) -> str:
    """Return a line of the driver's log as JSON with the pod's name; a line that is JSON keeps its entries."""
    try:
        entries = json.loads(line)
    except ValueError:
        entries = None
    if not isinstance(entries, dict):
        entries = {"message": line}
    return neutral_json(json.dumps({**entries, "pod": pod}, ensure_ascii=False))


def last_warnings(events: Iterable[Mapping[str, Any]], most: int = 3) -> list[str]:
    """Return the texts of the latest warnings among events."""
    warnings = [one for one in events if one.get("type") == "Warning"]
    warnings.sort(key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "")
    return [f"{one.get('reason')}: {one.get('message')}" for one in warnings[-most:]]


def _at(found: Mapping[str, Any], *path: str) -> Any:  # noqa: ANN401 - any JSON value of the cluster
    value: Any = found
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
