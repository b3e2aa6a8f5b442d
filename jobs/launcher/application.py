"""A SparkApplication (spark-operator, v1beta2) as values: filled in from its template, and read. No I/O.

Its name is a digest of the Job, the stage and the attempt. So a Job's pod that is started anew finds the application
that the one before it left, whatever is pending by then; a Job of its own, for the same hour too, makes its own.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from marquee.errors import DONE, USAGE, BadInputError, ConfigError, MarqueeError, TryAgainError

GROUP, VERSION, KIND, PLURAL = "sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications"
STAGE_LABEL, JOB_LABEL = "marquee/stage", "marquee/job-uid"

MAX_NAME = 40
"""The operator and Spark make names and labels of up to 63 characters of it."""
DIGITS = 10
MAX_TEXT = 2_000
"""Characters of what the cluster says that are shown."""

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")

DRIVER = "spark-kubernetes-driver"
"""The driver's container; others may stand before it in the pod."""

COMPLETED, FAILED = "COMPLETED", "FAILED"
STARTING = frozenset({"", "SUBMITTED", "SUBMISSION_FAILED", "PENDING_RERUN", "INVALIDATING", "RESUMING"})
"""States before RUNNING. UNKNOWN is none: the driver's node does not answer, and may yet."""

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
"""Why a container waits that will hardly start without a change of image or settings."""

FINAL = frozenset({DONE, USAGE, BadInputError.exit_code, ConfigError.exit_code})
"""Exit codes after which running again gives the same: but for 0, those after which the chart does not retry a Job."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Owner:
    """The Job whose pod launches, and the stage that it is for."""

    stage: str
    job_name: str
    job_uid: str


def read_template(text: str, where: object) -> Manifest:
    """Read the template, YAML or JSON; ConfigError if it is no SparkApplication."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        message = f"{where} is neither YAML nor JSON: {error}"
        raise ConfigError(message) from error
    if not isinstance(found, dict):
        message = f"{where} has {type(found).__name__}: expected a {KIND}"
        raise ConfigError(message)
    kind = (found.get("apiVersion"), found.get("kind"))
    if kind != (f"{GROUP}/{VERSION}", KIND):
        message = f"{where} is {kind[0]!r} {kind[1]!r}: expected {GROUP}/{VERSION} {KIND}"
        raise ConfigError(message)
    name = _at(found, "metadata", "name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        message = f"{where}: metadata.name is {name!r}: expected small letters, digits and dashes, a letter first"
        raise ConfigError(message)
    if not isinstance(found.get("spec"), dict):
        message = f"{where} has no spec: expected all of a {KIND} but owner, run labels and arguments"
        raise ConfigError(message)
    return found


def fill_in(template: Manifest, owner: Owner, arguments: Sequence[str], attempt: int) -> Manifest:
    """Return the application of an attempt: the template with name, run labels, owner and arguments."""
    application = copy.deepcopy(template)
    metadata = application["metadata"]
    digest = hashlib.sha256(json.dumps([owner.job_uid, owner.stage, attempt]).encode()).hexdigest()[:DIGITS]
    prefix = metadata["name"][: MAX_NAME - DIGITS - 1].rstrip("-")
    metadata["name"] = f"{prefix}-{digest}"
    metadata["labels"] = {**(metadata.get("labels") or {}), STAGE_LABEL: owner.stage, JOB_LABEL: owner.job_uid}
    # Without blockOwnerDeletion, which takes the right to change the Job's finalizers.
    metadata["ownerReferences"] = [
        {"apiVersion": "batch/v1", "kind": "Job", "name": owner.job_name, "uid": owner.job_uid}
    ]
    application["spec"]["arguments"] = list(arguments)
    return application


@dataclass(frozen=True)
class Application:
    """What the cluster tells of an application."""

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
        """Read an application; its status may not be there yet."""
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
        """Whether the operator is done with it."""
        return self.state in {COMPLETED, FAILED}

    def belongs_to(self, owner: Owner) -> bool:
        """Tell whether it was made by this Job, for this stage."""
        return (self.job_uid, self.stage) == (owner.job_uid, owner.stage)


def driver_pod_of(name: str) -> str:
    """Return the name that the operator gives the driver's pod."""
    return f"{name}-driver"


@dataclass(frozen=True)
class Driver:
    """What the cluster tells of the driver's pod: why it does not run yet, whether it ever did, and how it ended."""

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
        # One that cannot start tells more than those that wait for it.
        waiting.sort(key=lambda one: one.get("reason") not in WRONG_TEMPLATE)
        unscheduled = [
            one
            for one in status.get("conditions") or []
            if (one.get("type"), one.get("status")) == ("PodScheduled", "False")
        ]
        told = [*unscheduled, *waiting]
        return cls(
            began="running" in own or "terminated" in own,
            waits=": ".join(filter(None, (told[0].get("reason"), told[0].get("message")))) if told else "",
            wrong_template=bool(waiting) and waiting[0].get("reason") in WRONG_TEMPLATE,
            exit_code=ended.get("exitCode"),
            ended=ended.get("reason") or "",
        )


def why_not_started(
    application: Application, driver: Driver | None, events: Sequence[str], waited_s: float
) -> MarqueeError:
    """Return the error of an application whose driver does not run in time."""
    told = "".join(f"; {one}" for one in (application.error, *events) if one)
    late = f"{application.name}: no driver after {waited_s:.0f} s"
    if driver is None:
        state = application.state or "without a state"
        message = (
            f"{late}: there is no pod {application.driver_pod}, the application is {state}{told}: "
            "is the spark-operator running, and does it watch this namespace?"
        )
        return TryAgainError(message)
    message = f"{late}: {driver.waits or 'its pod waits'}{told}"
    if driver.wrong_template:
        return ConfigError(f"{message}: set the image and what its pod refers to right")
    return TryAgainError(message)


def result_of(application: Application, driver: Driver | None) -> tuple[int, str]:
    """Return the exit code of an application that has ended, and what is to be said."""
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
    """Return a line of the driver's log as one of JSON that names its pod: what is JSON keeps its entries."""
    try:
        entries = json.loads(line)
    except ValueError:
        entries = None
    if not isinstance(entries, dict):
        entries = {"message": line}
    return json.dumps({**entries, "pod": pod}, ensure_ascii=False)


def last_warnings(events: Iterable[Mapping[str, Any]], most: int = 3) -> list[str]:
    """Return the texts of the latest warnings among events."""
    warnings = [one for one in events if one.get("type") == "Warning"]
    warnings.sort(key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "")
    return [f"{one.get('reason')}: {one.get('message')}" for one in warnings[-most:]]


def _at(found: Mapping[str, Any], *path: str) -> Any:  # noqa: ANN401 - whatever the cluster says
    value: Any = found
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
