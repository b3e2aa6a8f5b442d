"""The objects of both charts, with each example of values: valid, restricted, labelled, without secrets, separate."""

import re
from typing import Any

import kubernetes_validate
import pytest

from tests.charts.rendering import (
    ALL_EXAMPLES,
    NAMESPACE,
    Object,
    applications,
    containers,
    environment,
    pod_templates,
    render,
)

pytestmark = pytest.mark.helm

VERSIONS = ("1.30", "1.31", "1.32", "1.33", "1.34")
KUBERNETES_NAME = 63
CRON_JOB_NAME = 52
SPARK_NAME = 40
OTHERS = {"monitoring.coreos.com/v1"}
"""APIs that Kubernetes itself does not have; test_monitoring.py tests their objects."""
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}

every_example = pytest.mark.parametrize(("chart", "example"), ALL_EXAMPLES)


@pytest.mark.parametrize("version", VERSIONS)
@every_example
def test_objects_are_valid(chart: str, example: str, version: str) -> None:
    """Each object is valid under strict validation, for each supported version of Kubernetes."""
    for one in render(chart, example):
        if one["apiVersion"] not in OTHERS:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("example", ["values-staging.yaml", "values-prod.yaml"])
def test_pods_of_spark_are_valid(example: str, version: str) -> None:
    """Pod templates in a SparkApplication are valid pods, which the cluster itself does not check."""
    for application in applications(render("marquee", example)).values():
        for role in ("driver", "executor"):
            template = application["spec"][role]["template"]
            pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": role}, "template": template}
            kubernetes_validate.validate(pod, version, strict=True)


@every_example
def test_pods_are_restricted(chart: str, example: str) -> None:
    """Each pod meets the Pod Security Standard `restricted`, with a numeric user and a read-only root."""
    for name, template in pod_templates(render(chart, example)):
        spec = template["spec"]
        context = spec["securityContext"]
        assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), name
        assert context["runAsUser"] > 0, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert spec["enableServiceLinks"] is False, name
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES, name
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), name
        for container in containers(template):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


@every_example
def test_only_who_asks_the_api_server_has_a_token(chart: str, example: str) -> None:
    """Only launchers, drivers, preflights of launchers, their judge, and who makes passwords may ask the API server."""
    objects = render(chart, example)
    with_token = {name for name, pod in pod_templates(objects) if pod["spec"]["automountServiceAccountToken"]}
    made = next((one["metadata"]["name"] for one in objects if "-credentials-" in one["metadata"]["name"]), "")
    expected = {"Pod r-marquee-preflight"} if chart == "marquee" else {f"Job {made}"}
    for stage in applications(objects):
        expected |= {f"CronJob r-marquee-{stage}", f"Pod r-marquee-{stage}-preflight", f"driver of {stage}"}
    assert with_token == expected


@every_example
def test_secrets_come_from_secrets_alone(chart: str, example: str) -> None:
    """No object contains a secret, and variables of secrets refer to Secrets."""
    objects = render(chart, example)
    assert not [one for one in objects if one["kind"] == "Secret" and {"data", "stringData"} & set(one)]
    for name, template in pod_templates(objects):
        for container in containers(template):
            for variable, value in environment(container).items():
                if re.search("KEY|PASSWORD|PWD|SECRET", variable):
                    assert set(value) == {"secretKeyRef"}, f"{variable} of {name}"


@every_example
def test_objects_carry_the_labels_of_their_release(chart: str, example: str) -> None:
    """Objects have the standard labels of their release, and pods have the labels that policies select."""
    objects = render(chart, example)
    for one in objects:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == chart
        assert labels["app.kubernetes.io/instance"] == "r"
    for name, template in pod_templates(objects):
        assert {"app.kubernetes.io/instance", "app.kubernetes.io/component"} <= set(template["metadata"]["labels"]), (
            name
        )


@pytest.mark.parametrize(
    ("chart", "example", "release"),
    [
        # The longest names that the charts accept.
        ("marquee", "values-prod.yaml", "a" * 18),
        ("kiosk", "values-example.yaml", "a" * 34),
    ],
)
def test_names_are_short_enough(chart: str, example: str, release: str) -> None:
    """Names fit the limits of Kubernetes, also those of CronJobs, whose jobs have eleven characters more."""
    objects = render(chart, example, release=release)
    for one in objects:
        limit = CRON_JOB_NAME if one["kind"] == "CronJob" else KUBERNETES_NAME
        assert len(one["metadata"]["name"]) <= limit, one["metadata"]["name"]
    for application in applications(objects).values():
        assert re.fullmatch("[a-z][-a-z0-9]*[a-z0-9]", application["metadata"]["name"])
        assert len(application["metadata"]["name"]) <= SPARK_NAME


@every_example
def test_two_releases_in_one_namespace_do_not_meet(chart: str, example: str) -> None:
    """Two releases in one namespace share no name of an object, and no selector finds pods of the other."""
    here, there = render(chart, example), render(chart, example, release="s")
    names = [{(one["kind"], one["metadata"]["name"]) for one in objects} for objects in (here, there)]
    assert names[0] & names[1] == set()
    found = list(selectors(list(here)))
    assert found or example == "values-dev.yaml"
    for selector in found:
        for name, template in pod_templates(there):
            assert not selector.items() <= template["metadata"]["labels"].items(), f"{selector} finds {name}"


@every_example
def test_references_lead_to_objects_of_the_release(chart: str, example: str) -> None:
    """Service accounts, ConfigMaps, claims and roles that objects refer to exist in the release."""
    objects = render(chart, example)
    made = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for name, template in pod_templates(objects):
        spec = template["spec"]
        if "serviceAccountName" in spec:
            assert ("ServiceAccount", spec["serviceAccountName"]) in made, name
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made, name
        for container in containers(template):
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in made, name
            mounts, volumes = (
                {one["name"] for one in many} for many in (container.get("volumeMounts", []), spec["volumes"])
            )
            assert mounts <= volumes, name
    for binding in (one for one in objects if one["kind"] == "RoleBinding"):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in made
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["name"]) in made
            assert subject["namespace"] == NAMESPACE


def selectors(value: Any) -> list[Object]:
    """Return each label selector in a value."""
    if isinstance(value, list):
        return [found for one in value for found in selectors(one)]
    if not isinstance(value, dict):
        return []
    own = [value["matchLabels"]] if "matchLabels" in value else []
    if value.get("kind") == "Service":
        own.append(value["spec"]["selector"])
    return own + [found for one in value.values() for found in selectors(one)]
