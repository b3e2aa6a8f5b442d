"""A SparkApplication made from its template, and what is read of an application and of its driver."""

import json
import re
from typing import Any

import pytest
import yaml

from jobs.launcher.application import (
    Application,
    Driver,
    Owner,
    fill_in,
    last_warnings,
    mark,
    read_template,
    result_of,
)
from marquee.errors import ConfigError

TEMPLATE = """
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata:
  name: lake-rollup
spec:
  type: Python
  arguments: [--to, "2020-01-01"]
"""
JOB, OTHER_JOB = "6c4f1c58-0000-4000-8000-000000000001", "6c4f1c58-0000-4000-8000-000000000002"


def name_of(stage: str = "rollup", job_uid: str = JOB, attempt: int = 0, prefix: str = "lake-rollup") -> str:
    """Return the name of an application, which does not depend on its arguments."""
    template = read_template(TEMPLATE, "file")
    template["metadata"]["name"] = prefix
    name: str = fill_in(template, Owner(stage, "job", job_uid), ["--to", stage], attempt)["metadata"]["name"]
    return name


# The template.


def test_template_is_yaml_or_json() -> None:
    """A template may be YAML or JSON."""
    assert read_template(TEMPLATE, "file") == read_template(json.dumps(yaml.safe_load(TEMPLATE)), "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "file is neither YAML nor JSON: ", id="broken"),
        pytest.param("", "file contains NoneType, expected a SparkApplication", id="empty"),
        pytest.param("- a", "file contains list, expected a SparkApplication", id="list"),
        pytest.param(
            TEMPLATE.replace("v1beta2", "v1"),
            "file is 'sparkoperator.k8s.io/v1' 'SparkApplication', expected sparkoperator.k8s.io/v1beta2",
            id="other version",
        ),
        pytest.param(
            TEMPLATE.replace("SparkApplication", "Pod"), "'Pod', expected sparkoperator.k8s.io/v1beta2 Spark", id="Pod"
        ),
        pytest.param(TEMPLATE.replace("lake-rollup", "Lake"), "invalid metadata.name 'Lake'. Use lower", id="capital"),
        pytest.param(TEMPLATE.replace("lake-rollup", "9-lake"), "name '9-lake'. Use lower", id="digit first"),
        pytest.param(TEMPLATE.replace("lake-rollup", "lake-"), "name 'lake-'. Use lower", id="dash last"),
        pytest.param(TEMPLATE.replace("name: lake-rollup", "{}"), "invalid metadata.name None", id="no name"),
        pytest.param(TEMPLATE.partition("spec:")[0], "file has no spec, expected a complete Spark", id="no spec"),
    ],
)
def test_wrong_template_is_refused(text: str, message: str) -> None:
    """A wrong template is refused with the name of the file, what is in it and what was expected."""
    with pytest.raises(ConfigError) as caught:
        read_template(text, "file")
    assert message in str(caught.value)


def test_arguments_of_the_template_are_replaced_and_it_stays_as_it_is() -> None:
    """The arguments of the template are replaced in a copy, so that it can be filled in again."""
    template = read_template(TEMPLATE, "file")
    made = fill_in(template, Owner("rollup", "job", JOB), ["--from", "2026-01-05"], 0)
    assert made["spec"] == {"type": "Python", "arguments": ["--from", "2026-01-05"]}
    assert template == read_template(TEMPLATE, "file")


# The name of an application.


def test_name_is_the_same_for_a_pod_started_anew_and_no_other() -> None:
    """The name of an application depends on job, stage and attempt, and is the same for a restarted pod."""
    assert name_of() == name_of()
    others = {name_of(job_uid=OTHER_JOB), name_of(stage="profile"), name_of(attempt=1), name_of()}
    assert len(others) == 4


@pytest.mark.parametrize("prefix", ["m", "lake-rollup", "a" * 29, "a" * 28 + "-b", "a" * 63])
def test_name_is_short_and_a_dns_label(prefix: str) -> None:
    """The name has at most 40 characters, because the operator and Spark add to it and labels end at 63."""
    name = name_of(prefix=prefix)
    assert len(name) <= 40
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert "--" not in name
    assert name.startswith(prefix[:28])


# Reading applications and drivers.


def test_new_application_has_no_status() -> None:
    """An application that the operator has not seen has no state, but the name of its future driver pod."""
    made = fill_in(read_template(TEMPLATE, "file"), Owner("rollup", "job", JOB), ["--to", "2026-01"], 0)
    made["metadata"]["uid"] = "u"
    read = Application.read(made)
    assert (read.state, read.error, read.driver_pod) == ("", "", f"{made['metadata']['name']}-driver")
    assert (read.arguments, read.deleted, read.ended) == (("--to", "2026-01"), False, False)
    assert read.belongs_to(Owner("rollup", "job", JOB))
    assert not read.belongs_to(Owner("profile", "job", JOB))
    assert not read.belongs_to(Owner("rollup", "job", OTHER_JOB))


@pytest.mark.parametrize(
    ("state", "ended"),
    [("COMPLETED", True), ("FAILED", True), ("SUBMISSION_FAILED", False), ("FAILING", False), ("UNKNOWN", False)],
)
def test_only_two_states_are_an_end(state: str, ended: bool) -> None:
    """COMPLETED and FAILED are final, and the operator leaves all other states again."""
    assert application(state).ended is ended


def application(state: str, error: str = "") -> Application:
    """Return an application in a state."""
    status = {"applicationState": {"state": state, "errorMessage": error}, "driverInfo": {"podName": "the-driver"}}
    return Application.read({"metadata": {"name": "lake-rollup", "uid": "u"}, "spec": {}, "status": status})


def test_what_went_wrong_is_cut_short() -> None:
    """A long error message of the operator is cut to 2,000 characters."""
    assert len(application("FAILED", "x" * 100_000).error) == 2_000
    assert application("FAILED").driver_pod == "the-driver"


def pod(**status: Any) -> dict[str, Any]:
    """Return a pod with this status."""
    return {"metadata": {"name": "the-driver"}, "status": status}


def state(name: str, **state: Any) -> dict[str, Any]:
    """Return the status of a container."""
    return {"name": name, "state": state}


@pytest.mark.parametrize(
    ("found", "driver"),
    [
        pytest.param({}, Driver(), id="no status yet"),
        pytest.param(pod(containerStatuses=[state("spark-kubernetes-driver")]), Driver(), id="no state yet"),
        pytest.param(
            pod(containerStatuses=[state("spark-kubernetes-driver", running={})]), Driver(began=True), id="runs"
        ),
        pytest.param(
            pod(
                initContainerStatuses=[state("certificates", waiting={"reason": "ImagePullBackOff", "message": "no"})],
                containerStatuses=[state("spark-kubernetes-driver", waiting={"reason": "PodInitializing"})],
            ),
            Driver(waits="ImagePullBackOff: no", wrong_template=True),
            id="an init container cannot start",
        ),
        pytest.param(
            pod(
                containerStatuses=[
                    state("sidecar", waiting={"reason": "ContainerCreating"}),
                    state("spark-kubernetes-driver", waiting={"reason": "ErrImagePull", "message": "no"}),
                ]
            ),
            Driver(waits="ErrImagePull: no", wrong_template=True),
            id="the wrong image is told before who waits for it",
        ),
        pytest.param(
            pod(
                containerStatuses=[
                    state("sidecar", terminated={"exitCode": 3, "reason": "Error"}),
                    state("spark-kubernetes-driver", terminated={"exitCode": 65, "reason": "Error"}),
                ]
            ),
            Driver(began=True, exit_code=65, ended="Error"),
            id="the driver's exit code, not a sidecar's",
        ),
        pytest.param(
            pod(
                conditions=[
                    {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
                    {"type": "PodScheduled", "status": "True"},
                ]
            ),
            Driver(),
            id="scheduled",
        ),
    ],
)
def test_driver_is_read(found: dict[str, Any], driver: Driver) -> None:
    """The status of a driver pod gives why it waits, whether the template is wrong, and how it ended."""
    assert Driver.read(found) == driver


def test_completed_is_0_whatever_the_pod_says() -> None:
    """A completed application has exit code 0, even if its driver pod no longer exists."""
    assert result_of(application("COMPLETED"), None) == (0, "lake-rollup completed")


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ('{"message": "a"}', {"message": "a", "pod": "the-driver"}),
        ("[1]", {"message": "[1]", "pod": "the-driver"}),
        ("", {"message": "", "pod": "the-driver"}),
    ],
)
def test_lines_are_marked(line: str, marked: dict[str, str]) -> None:
    """A JSON object keeps its entries and gets the name of the pod; any other line becomes the message of one."""
    assert json.loads(mark(line, "the-driver")) == marked


def test_latest_warnings_come_last() -> None:
    """The last three warnings come in the order of their times, which are in one of two fields."""
    events = [
        {"type": "Warning", "reason": "D", "message": "4", "eventTime": "2026-01-05T00:00:04Z"},
        {"type": "Warning", "reason": "A", "message": "1", "lastTimestamp": "2026-01-05T00:00:01Z"},
        {"type": "Normal", "reason": "N", "message": "9", "lastTimestamp": "2026-01-05T00:00:09Z"},
        {"type": "Warning", "reason": "B", "message": "2", "lastTimestamp": "2026-01-05T00:00:02Z"},
        {"type": "Warning", "reason": "C", "message": "3", "lastTimestamp": "2026-01-05T00:00:03Z"},
    ]
    assert last_warnings(events) == ["B: 2", "C: 3", "D: 4"]
