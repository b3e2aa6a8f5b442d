"""The chart marquee: CronJobs, engines, launchers, rights, networks, settings."""

import copy
import inspect
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobs.launcher.application import FINAL, Application
from jobs.launcher.cluster import Cluster, NotThereError
from jobs.mart_load.settings import MartLoadSettings
from jobs.profile.settings import ProfileSettings
from jobs.rollup.settings import RollupSettings
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from marquee import errors
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from tests.charts.rendering import (
    DEV,
    PROD,
    ROOT,
    SPARK_STAGES,
    STAGES,
    STAGING,
    Object,
    applications,
    environment,
    notes,
    of_kind,
    pod_templates,
    render,
    stage_container,
)
from tests.fake_cluster import NAMESPACE, fake_cluster

pytestmark = pytest.mark.helm


def cron_job(stage: str, example: str, *sets: str) -> Object:
    """Return the spec of the CronJob of a stage."""
    return dict(of_kind(render("marquee", example, *sets), "CronJob")[f"r-marquee-{stage}"]["spec"])


def job(stage: str, example: str, *sets: str) -> Object:
    """Return the spec of the jobs of a stage."""
    return dict(cron_job(stage, example, *sets)["jobTemplate"]["spec"])


# CronJobs.


def test_every_stage_has_its_cron_job() -> None:
    """Each stage has a CronJob: the schedule twice a day, and rollup, profile and mart load each hour in turn."""
    schedules = {stage: cron_job(stage, STAGING)["schedule"] for stage in STAGES}
    assert schedules == {
        "schedule-fetch": "20 3,15 * * *",
        "rollup": "12 * * * *",
        "profile": "32 * * * *",
        "mart-load": "52 * * * *",
    }
    assert set(of_kind(render("marquee", STAGING), "CronJob")) == {f"r-marquee-{stage}" for stage in STAGES}


def test_a_stage_can_be_left_out() -> None:
    """A disabled stage has no CronJob, no accounts and no SparkApplication."""
    objects = render("marquee", STAGING, "stages.profile.enabled=false")
    assert [one["metadata"]["name"] for one in objects if "profile" in one["metadata"]["name"]] == []


@pytest.mark.parametrize("stage", STAGES)
def test_jobs_are_bounded_and_kept(stage: str) -> None:
    """Jobs of a stage do not overlap, and have a deadline, limited retries, a limited history and a time zone."""
    spec = cron_job(stage, STAGING)
    assert (spec["concurrencyPolicy"], spec["timeZone"], spec["suspend"]) == ("Forbid", "Etc/UTC", False)
    assert (spec["startingDeadlineSeconds"], spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (
        600,
        24,
        24,
    )
    jobs = spec["jobTemplate"]["spec"]
    assert jobs["activeDeadlineSeconds"] == (10800 if stage in SPARK_STAGES else 3600)
    assert (jobs["backoffLimit"], jobs["ttlSecondsAfterFinished"]) == (2, 7 * 24 * 3600)
    assert jobs["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_retry_does_not_mend_is_not_retried(stage: str) -> None:
    """A disrupted pod is not counted, final exit codes fail the job, and all other codes are retried.

    The launcher treats the same codes as final, so that each retry of a job also runs Spark again.
    """
    ignore, fail = job(stage, STAGING)["podFailurePolicy"]["rules"]
    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert fail["action"] == "FailJob"
    assert fail["onExitCodes"] == {
        "containerName": stage,
        "operator": "In",
        "values": sorted(FINAL - {errors.DONE}),
    }
    assert [one["name"] for one in job(stage, STAGING)["template"]["spec"]["containers"]] == [stage]


def test_the_documented_exit_codes_are_those_of_the_policy() -> None:
    """The codes that the table in docs/architecture.md calls "no" are those after which both charts end a job."""
    table = (ROOT / "docs" / "architecture.md").read_text().partition("### Exit codes")[2]
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", table, re.MULTILINE)
    final = [int(code) for code, again in rows if re.match(r"no\b", again)]
    assert final == [2, 65, 70, 78]
    kiosk = next(iter(of_kind(render("kiosk", "values-example.yaml"), "Job").values()))["spec"]
    for jobs in (job("rollup", STAGING), kiosk):
        assert jobs["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == final


def test_one_stage_can_be_suspended_and_all() -> None:
    """The setting of a stage overrides the default for all stages, also with `false`."""
    assert [cron_job(stage, STAGING, "stages.rollup.suspend=true")["suspend"] for stage in STAGES] == [
        False,
        True,
        False,
        False,
    ]
    sets = ("defaults.suspend=true", "stages.rollup.suspend=false")
    assert [cron_job(stage, STAGING, *sets)["suspend"] for stage in STAGES] == [True, False, True, True]


def test_stages_merge_maps_and_add_extras() -> None:
    """The map of a stage is merged into the default, its `extra…` lists are appended, and its other lists replace."""
    sets = (
        'defaults.nodeSelector={"zone": "a", "disk": "ssd"}',
        'defaults.extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy"}]',
        'defaults.tolerations=[{"key": "all"}]',
        'stages.rollup.nodeSelector={"zone": "b"}',
        'stages.rollup.extraEnv=[{"name": "MORE", "value": "1"}]',
        'stages.rollup.tolerations=[{"key": "rollup"}]',
    )
    pods = {stage: job(stage, STAGING, *sets)["template"]["spec"] for stage in ("rollup", "mart-load")}
    assert pods["rollup"]["nodeSelector"] == {"zone": "b", "disk": "ssd"}
    assert pods["rollup"]["tolerations"] == [{"key": "rollup"}]
    assert [one["name"] for one in pods["rollup"]["containers"][0]["env"]][-2:] == ["HTTPS_PROXY", "MORE"]
    assert pods["mart-load"]["nodeSelector"] == {"zone": "a", "disk": "ssd"}
    assert pods["mart-load"]["tolerations"] == [{"key": "all"}]
    assert "MORE" not in environment(pods["mart-load"]["containers"][0])


# Images and commands.


def test_images_are_named_by_repository_stage_and_version() -> None:
    """Images are named by repository, stage and version, unless a stage names its own image."""
    sets = ("image.tag=1.2.3", "stages.mart_load.image=other/mart@sha256:0123")
    images = {stage: stage_container(render("marquee", STAGING, *sets), stage)["image"] for stage in STAGES}
    assert images == {
        "schedule-fetch": "registry.example.org/marquee/schedule_fetch:1.2.3",
        "rollup": "registry.example.org/marquee/rollup:1.2.3",
        "profile": "registry.example.org/marquee/profile:1.2.3",
        "mart-load": "other/mart@sha256:0123",
    }


def test_digest_decides_the_image() -> None:
    """An image with a digest is named by it, in the pod of its stage and in the SparkApplication alike."""
    digest = f"sha256:{'0' * 64}"
    objects = render("marquee", STAGING, f'image.digests={{"rollup": "{digest}"}}', "image.tag=1.2.3")
    assert stage_container(objects, "rollup")["image"] == f"registry.example.org/marquee/rollup:1.2.3@{digest}"
    assert applications(objects)["rollup"]["spec"]["image"] == f"registry.example.org/marquee/rollup:1.2.3@{digest}"
    assert stage_container(objects, "profile")["image"] == "registry.example.org/marquee/profile:1.2.3"


def test_values_for_pods_reach_all_pods() -> None:
    """DNS, hosts, runtime class and init containers of the defaults are those of each pod, Spark's as well."""
    sets = (
        'defaults.dnsConfig={"options": [{"name": "ndots", "value": "1"}]}',
        "defaults.dnsPolicy=ClusterFirst",
        'defaults.hostAliases=[{"ip": "10.0.0.1", "hostnames": ["s3.example.org"]}]',
        "defaults.runtimeClassName=gvisor",
        'defaults.extraInitContainers=[{"name": "wait", "image": "registry.example.org/wait:1"}]',
    )
    for name, template in pod_templates(render("marquee", STAGING, *sets)):
        spec = template["spec"]
        assert spec["dnsConfig"] == {"options": [{"name": "ndots", "value": "1"}]}, name
        assert spec["dnsPolicy"] == "ClusterFirst", name
        assert spec["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["s3.example.org"]}], name
        assert spec["runtimeClassName"] == "gvisor", name
        assert [one["name"] for one in spec["initContainers"]] == ["wait"], name


def test_jobs_carry_annotations_and_their_queue() -> None:
    """CronJobs and jobs have the annotations of the values, and a job with a queue waits for Kueue to admit it."""
    sets = ("defaults.annotations.team=data", "defaults.jobAnnotations.cost=42x", "stages.rollup.queueName=batch")
    made = of_kind(render("marquee", STAGING, *sets), "CronJob")
    assert made["r-marquee-profile"]["metadata"]["annotations"] == {"team": "data"}
    metadata = {stage: made[f"r-marquee-{stage}"]["spec"]["jobTemplate"]["metadata"] for stage in ("rollup", "profile")}
    assert metadata["profile"]["annotations"] == {"cost": "42x"}
    queues = {stage: one["labels"].get("kueue.x-k8s.io/queue-name") for stage, one in metadata.items()}
    assert queues == {"rollup": "batch", "profile": None}


def test_temporary_keys_of_s3_have_a_session_token() -> None:
    """With the name of its key, the session token comes from the Secret with the other two, also to executors."""
    objects = render("marquee", STAGING, "secrets.s3.sessionToken=TOKEN")
    executor = applications(objects)["rollup"]["spec"]["executor"]["template"]["spec"]["containers"][0]
    for container in (stage_container(objects, "mart-load"), executor):
        assert environment(container)["AWS_SESSION_TOKEN"] == {"secretKeyRef": {"name": "marquee-s3", "key": "TOKEN"}}
    assert "AWS_SESSION_TOKEN" not in environment(stage_container(render("marquee", STAGING), "mart-load"))


@pytest.mark.parametrize(
    ("example", "expected"),
    [(STAGING, ["python", "-m", "jobs.launcher", "rollup"]), (DEV, ["python", "-m", "jobs.rollup"])],
    ids=["spark", "local"],
)
def test_pod_of_a_computing_stage_runs_launcher_or_stage(example: str, expected: list[str]) -> None:
    """The pod of a computing stage runs the launcher or the stage, with the entry point of the image."""
    container = stage_container(render("marquee", example), "rollup")
    assert container["args"] == expected
    assert "command" not in container


def test_local_engine_has_as_many_workers_as_the_pod_has_cores() -> None:
    """The local engine has as many workers as the CPU limit or request of the pod, unless the settings differ."""
    variables = environment(stage_container(render("marquee", DEV), "rollup"))
    assert variables["MARQUEE_ENGINE__KIND"] == "local"
    assert variables["MARQUEE_ENGINE__WORKERS"] == {"resourceFieldRef": {"resource": "requests.cpu"}}
    limited = render("marquee", DEV, "stages.rollup.resources.limits.cpu=4")
    assert environment(stage_container(limited, "rollup"))["MARQUEE_ENGINE__WORKERS"] == {
        "resourceFieldRef": {"resource": "limits.cpu"}
    }
    told = render("marquee", DEV, "settings.engine.workers=3")
    assert "MARQUEE_ENGINE__WORKERS" not in environment(stage_container(told, "rollup"))
    assert of_kind(told, "ConfigMap")["r-marquee-settings"]["data"]["MARQUEE_ENGINE__WORKERS"] == "3"


# Launchers.


@pytest.mark.parametrize("stage", SPARK_STAGES)
def test_launcher_is_told_what_and_for_whom(stage: str) -> None:
    """A launcher gets the file of its application, its limits and its own job, and ends before its job does."""
    objects = render("marquee", STAGING, "spark.maxPeriods=7", f"stages.{stage}.activeDeadlineSeconds=4000")
    container = stage_container(objects, stage)
    told = {name: value for name, value in environment(container).items() if "LAUNCHER" in name}
    assert told == {
        "MARQUEE_LAUNCHER__APPLICATION": "/etc/marquee/sparkapplication.yaml",
        "MARQUEE_LAUNCHER__MAX_PERIODS": "7",
        "MARQUEE_LAUNCHER__STARTUP_DEADLINE_S": "600",
        "MARQUEE_LAUNCHER__DEADLINE_S": "3940",
        "MARQUEE_LAUNCHER__POLL_S": "5",
        "MARQUEE_LAUNCHER__NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "MARQUEE_LAUNCHER__JOB_NAME": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}},
        "MARQUEE_LAUNCHER__JOB_UID": {
            "fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/controller-uid']"}
        },
    }
    (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] == "/etc/marquee"]
    spec = of_kind(objects, "CronJob")[f"r-marquee-{stage}"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (volume,) = [one for one in spec["volumes"] if one["name"] == mount["name"]]
    assert volume["configMap"]["name"] == f"r-marquee-{stage}-application"
    # It may compute itself; the driver is told that it is on Spark.
    assert environment(container)["MARQUEE_ENGINE__KIND"] == "auto"
    assert environment(container)["MARQUEE_ENGINE__WORKERS"] == {"resourceFieldRef": {"resource": "requests.cpu"}}
    on_spark = stage_container(render("marquee", STAGING, f"stages.{stage}.engine=spark"), stage)
    assert not {name for name in environment(on_spark) if "ENGINE" in name}


# Secrets and settings.


def test_secrets_go_to_those_who_need_them() -> None:
    """Each stage gets the Secrets that it needs only: the keys of S3, the viewer key, or the password of the mart."""
    objects = render("marquee", STAGING)
    given = {
        stage: {
            (value["secretKeyRef"]["name"], value["secretKeyRef"]["key"])
            for value in environment(stage_container(objects, stage)).values()
            if "secretKeyRef" in value
        }
        for stage in STAGES
    }
    s3 = {("marquee-s3", "AWS_ACCESS_KEY_ID"), ("marquee-s3", "AWS_SECRET_ACCESS_KEY")}
    assert given == {
        "schedule-fetch": s3,
        "rollup": s3 | {("marquee-viewer-key", "viewer-key")},
        "profile": s3,
        "mart-load": s3 | {("marquee-mart", "password")},
    }


def test_without_keys_of_s3_service_accounts_carry_the_rights() -> None:
    """Without a Secret of S3 no pod has keys, and each service account has the annotations that give it rights."""
    objects = render("marquee", PROD)
    for stage in STAGES:
        assert "AWS_ACCESS_KEY_ID" not in environment(stage_container(objects, stage))
    accounts = of_kind(objects, "ServiceAccount")
    assert "annotations" not in accounts.pop("r-marquee-preflight")["metadata"]  # it reads no object
    for name, account in accounts.items():
        assert "eks.amazonaws.com/role-arn" in account["metadata"]["annotations"], name


def test_existing_service_accounts_are_used() -> None:
    """Existing service accounts are used and not created, for a stage and for the drivers of all stages."""
    sets = (
        "stages.mart_load.serviceAccount.create=false",
        "stages.mart_load.serviceAccount.name=loader",
        "spark.driver.serviceAccount.create=false",
        "spark.driver.serviceAccount.name=spark",
    )
    objects = render("marquee", STAGING, *sets)
    assert job("mart-load", STAGING, *sets)["template"]["spec"]["serviceAccountName"] == "loader"
    assert {"loader", "spark", "r-marquee-rollup-driver"} & set(of_kind(objects, "ServiceAccount")) == set()
    (subject,) = of_kind(objects, "RoleBinding")["r-marquee-driver"]["subjects"]
    assert subject["name"] == "spark"


@pytest.mark.parametrize("example", [DEV, STAGING, PROD])
def test_every_stage_can_read_the_settings(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the ConfigMap and the Secrets are complete settings, with typed numbers and lists."""
    sets = (
        "settings.rollup.buckets=32",
        "settings.rollup.reject_share=0.000001",
        'settings.schedule_fetch.countries=["JP"]',
    )
    objects = render("marquee", example, *sets)
    for name, value in of_kind(objects, "ConfigMap")["r-marquee-settings"]["data"].items():
        monkeypatch.setenv(name, value)
    for stage in STAGES:
        for name, value in environment(stage_container(objects, stage)).items():
            if name.startswith("MARQUEE_") and "LAUNCHER" not in name:
                monkeypatch.setenv(name, value if isinstance(value, str) else "4" * 32)
    check_names()
    rollup = load_settings(RollupSettings)
    assert (rollup.rollup.buckets, rollup.rollup.reject_share, rollup.log.format) == (32, 0.000001, "json")
    assert load_settings(ScheduleFetchSettings).schedule_fetch.countries == ("JP",)
    assert load_settings(ProfileSettings).lake == rollup.lake
    assert load_settings(MartLoadSettings).mart.url.startswith("mysql://marquee_loader@")


# Rights.


Right = tuple[str, str, str]
"""API group, resource and verb of a rule in a Role."""
PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v\w+/namespaces/[^/]+/(?P<resource>\w+)(?:/(?P<name>[^/]+)(?:/(?P<part>\w+))?)?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


def right_for(method: str, path: str) -> Right:
    """Return the right that the API server requires for a request, by the rules of Kubernetes."""
    path, _, query = path.partition("?")
    found = PATH.fullmatch(path)
    assert found, path
    if method == "GET":
        verb = "watch" if re.search(r"\bwatch=(true|1)", query) else "get" if found["name"] else "list"
    elif method == "DELETE":
        verb = "delete" if found["name"] else "deletecollection"
    else:
        verb = VERBS[method]
    resource = "/".join(filter(None, (found["resource"], found["part"])))
    return found["group"] or "", resource, verb


def rights_of(role: str) -> list[Right]:
    """Return the rights that a Role of the chart grants."""
    rules = of_kind(render("marquee", STAGING), "Role")[role]["rules"]
    assert all(set(rule) == {"apiGroups", "resources", "verbs"} for rule in rules)
    return [
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/api/v1/namespaces/n/pods/p", ("", "pods", "get")),
        ("GET", "/api/v1/namespaces/n/pods/p/log?tailLines=1", ("", "pods/log", "get")),
        ("GET", "/api/v1/namespaces/n/pods?limit=1", ("", "pods", "list")),
        ("GET", "/api/v1/namespaces/n/pods?limit=1&watch=true", ("", "pods", "watch")),
        ("POST", "/apis/g.example/v1beta2/namespaces/n/things?dryRun=All", ("g.example", "things", "create")),
        ("PATCH", "/apis/g.example/v1beta2/namespaces/n/things/t", ("g.example", "things", "patch")),
        ("DELETE", "/apis/g.example/v1beta2/namespaces/n/things/t", ("g.example", "things", "delete")),
        ("DELETE", "/apis/g.example/v1beta2/namespaces/n/things", ("g.example", "things", "deletecollection")),
    ],
)
def test_requests_are_told_apart_by_the_right_they_need(method: str, path: str, right: Right) -> None:
    """Requests map to the right that they need, with separate verbs for get, list and watch."""
    assert right_for(method, path) == right


def test_launcher_has_the_rights_that_it_uses_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Role of the launcher grants exactly the rights that the methods of Cluster use."""
    new: Object = {"metadata": {"name": "new"}, "spec": {}}
    old: Object = {"metadata": {"name": "old"}, "spec": {}}
    with fake_cluster(tmp_path) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
        cluster = Cluster(NAMESPACE, timeout_s=10)
        there = Application.read(server.put(old))
        arguments = {"manifest": new, "application": there, "name": "old", "pod": "old-driver", "lines": 1}
        for name, call in inspect.getmembers(cluster, inspect.ismethod):
            if not name.startswith("_"):
                needed = inspect.signature(call).parameters.values()
                with suppress(NotThereError):
                    call(**{one.name: arguments[one.name] for one in needed if one.default is one.empty})
    used = {right_for(method, path) for method, path in server.asked}
    assert sorted(rights_of("r-marquee-launcher")) == sorted(used)


def test_driver_has_the_rights_of_sparks_own() -> None:
    """The Role of the driver grants the rights that Spark needs for its executors, and no other Role exists."""
    assert of_kind(render("marquee", STAGING), "Role")["r-marquee-driver"]["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["pods", "configmaps", "persistentvolumeclaims", "services"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
        }
    ]
    roles = set(of_kind(render("marquee", STAGING), "Role"))
    assert roles == {"r-marquee-launcher", "r-marquee-driver", "r-marquee-preflight"}


def test_rights_are_bound_to_launchers_drivers_and_the_judge_alone() -> None:
    """Only launchers, drivers and the judge of tests have rights, and there are no cluster-wide rights."""
    objects = render("marquee", STAGING)
    bound = {
        name: [subject["name"] for subject in binding["subjects"]]
        for name, binding in of_kind(objects, "RoleBinding").items()
    }
    assert bound == {
        "r-marquee-launcher": ["r-marquee-rollup", "r-marquee-profile"],
        "r-marquee-driver": ["r-marquee-rollup-driver", "r-marquee-profile-driver"],
        "r-marquee-preflight": ["r-marquee-preflight"],
    }
    assert not of_kind(objects, "ClusterRole")


def test_without_spark_only_the_judge_has_rights() -> None:
    """Without Spark the chart renders no Role and no binding but that of the tests' judge, and no SparkApplication."""
    objects = render("marquee", DEV)
    assert set(of_kind(objects, "Role")) == {"r-marquee-preflight"}
    assert set(of_kind(objects, "RoleBinding")) == {"r-marquee-preflight"}
    assert set(of_kind(objects, "ConfigMap")) == {"r-marquee-settings"}


# Networks.

DNS_PORT = 53


def egress_ports(policy: Object) -> set[int]:
    """Return the ports that a policy opens for egress to any peer."""
    return {port["port"] for rule in policy["spec"]["egress"] if "to" not in rule for port in rule["ports"]}


def test_every_workload_has_a_network_policy_of_its_own() -> None:
    """Each workload has a network policy that allows S3 and only the other services that it needs."""
    objects = render("marquee", STAGING)
    policies = of_kind(objects, "NetworkPolicy")
    s3, mart, server = {443}, {3306}, {443, 6443}
    assert {name.removeprefix("r-marquee-"): egress_ports(one) for name, one in policies.items()} == {
        "schedule-fetch": s3,
        "rollup": s3 | server,
        "rollup-driver": s3 | server,
        "rollup-executor": s3,
        "profile": s3 | server,
        "profile-driver": s3 | server,
        "profile-executor": s3,
        "mart-load": s3 | mart,
        "exporter": s3 | mart,
        "preflight": server,
    }
    assert all(one["spec"]["policyTypes"] == ["Ingress", "Egress"] for one in policies.values())
    closed = {name for name, one in policies.items() if not one["spec"]["ingress"]}
    closed_to_metrics = render("marquee", STAGING, "networkPolicy.metricsFrom=[]")
    assert {name.removeprefix("r-marquee-") for name in closed} == {*SPARK_STAGES, "preflight"}
    closed = {name for name, one in of_kind(closed_to_metrics, "NetworkPolicy").items() if not one["spec"]["ingress"]}
    assert {name.removeprefix("r-marquee-") for name in closed} == {*STAGES, "exporter", "preflight"}


def ways(policy: Object, port: int) -> list[Any]:
    """Return the peers of each rule of egress that opens a port."""
    return [
        rule.get("to", "anywhere") for rule in policy["spec"]["egress"] if port in {o["port"] for o in rule["ports"]}
    ]


@pytest.mark.parametrize(
    ("url", "port", "peer"),
    [
        ("http://s3:7070", 7070, {"podSelector": {}}),
        ("http://s3.data.svc", 80, {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}}),
        (
            "https://s3.data.svc.cluster.local:9000",
            9000,
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}},
        ),
        ("https://10.1.2.3", 443, {"ipBlock": {"cidr": "10.1.2.3/32"}}),
        ("http://[fd00::5]:9000", 9000, {"ipBlock": {"cidr": "fd00::5/128"}}),
        ("https://[fd00::5]", 443, {"ipBlock": {"cidr": "fd00::5/128"}}),
    ],
)
def test_network_policy_opens_what_the_settings_name(url: str, port: int, peer: Object) -> None:
    """The way to S3 leads to the port and host of its URL: a Service of this or another namespace, or an address."""
    sets = (f"settings.s3.endpoint_url={url}", "networkPolicy.egress.s3.anywhere=false")
    policies = of_kind(render("marquee", STAGING, *sets), "NetworkPolicy")
    assert ways(policies["r-marquee-rollup-executor"], port) == [[peer]]
    assert ways(policies["r-marquee-rollup-executor"], 443) == ([[peer]] if port == 443 else [])


def test_network_policy_opens_named_peers_and_credentials() -> None:
    """Peers and ports of the values replace those of the settings, and addresses of credentials are switches."""
    sets = ('networkPolicy.egress.mart={"to": [{"ipBlock": {"cidr": "10.0.0.0/16"}}], "ports": [3307]}',)
    policies = of_kind(render("marquee", STAGING, *sets, "networkPolicy.eksPodIdentity=true"), "NetworkPolicy")
    loader = policies["r-marquee-mart-load"]
    assert ways(loader, 3307) == [[{"ipBlock": {"cidr": "10.0.0.0/16"}}]]
    assert ways(loader, 3306) == []
    (identity,) = ways(loader, 80)
    assert {"ipBlock": {"cidr": "169.254.170.23/32"}} in identity
    metadata = of_kind(render("marquee", STAGING, "networkPolicy.instanceMetadata=true"), "NetworkPolicy")
    assert ways(metadata["r-marquee-mart-load"], 988) != []
    assert ways(of_kind(render("marquee", STAGING), "NetworkPolicy")["r-marquee-mart-load"], 80) == []


def test_driver_and_executors_reach_each_other() -> None:
    """Driver and executors reach each other at fixed ports, and named peers reach the metrics of the driver."""

    def peers(policy: Object, way: str) -> set[tuple[str, int]]:
        named = [rule for rule in policy["spec"][way] if {"from", "to"} & set(rule)]
        rules = [rule for rule in named if rule["ports"][0]["port"] != DNS_PORT]
        return {
            (
                peer.get("podSelector", peer.get("namespaceSelector"))["matchLabels"].get(
                    "app.kubernetes.io/component", "monitoring"
                ),
                port["port"],
            )
            for rule in rules
            for peer in rule.get("from", rule.get("to"))
            for port in rule["ports"]
        }

    policies = of_kind(render("marquee", STAGING), "NetworkPolicy")
    driver, executor = policies["r-marquee-rollup-driver"], policies["r-marquee-rollup-executor"]
    metrics = {("monitoring", 4040), ("monitoring", 9464)}
    assert peers(driver, "ingress") == {("rollup-executor", 7078), ("rollup-executor", 7079), *metrics}
    assert peers(driver, "egress") == {("rollup-executor", 7079)}
    assert peers(executor, "ingress") == {("rollup-driver", 7079), ("rollup-executor", 7079)}
    assert peers(executor, "egress") == {("rollup-driver", 7078), ("rollup-driver", 7079), ("rollup-executor", 7079)}


# Reports.

REPORT = "stages.report.enabled=true"


def test_reports_are_written_if_asked_for() -> None:
    """The stage report is off by default; enabled, it is a daily job of its own in the image of mart_load."""
    assert "r-marquee-report" not in of_kind(render("marquee", STAGING), "CronJob")
    assert cron_job("report", STAGING, REPORT)["schedule"] == "40 5 * * *"
    container = stage_container(render("marquee", STAGING, REPORT, "image.tag=1.2.3"), "report")
    assert container["args"] == ["python", "-m", "jobs.report"]
    assert container["image"] == "registry.example.org/marquee/mart_load:1.2.3"
    own = stage_container(render("marquee", STAGING, REPORT, "stages.report.image=own/report:1"), "report")
    assert own["image"] == "own/report:1"


def test_reports_reach_the_mart_and_the_lake_alone() -> None:
    """A report has the keys of S3, the password of the mart, and ways to both; the exporter does not look at it."""
    objects = render("marquee", STAGING, REPORT)
    given = {
        value["secretKeyRef"]["key"]
        for value in environment(stage_container(objects, "report")).values()
        if "secretKeyRef" in value
    }
    assert given == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "password"}
    assert egress_ports(of_kind(objects, "NetworkPolicy")["r-marquee-report"]) == {443, 3306}
    (exporter,) = of_kind(objects, "Deployment")["r-marquee-exporter"]["spec"]["template"]["spec"]["containers"]
    assert environment(exporter)["MARQUEE_EXPORTER__PARTS"] == '["schedule","rollup","profile","mart","garbage"]'


def test_notes_name_missing_secrets_that_something_needs() -> None:
    """A Secret is named as missing where a pod refers to it: without the rollup nobody needs the viewer key."""

    def missing(*sets: str) -> list[str]:
        return re.findall("MISSING: the Secret (.+?)\\. ", notes("marquee", STAGING, *sets))

    assert sorted(missing()) == ["marquee-mart", "marquee-s3", "marquee-viewer-key"]
    assert sorted(missing("stages.rollup.enabled=false")) == ["marquee-mart", "marquee-s3"]
    assert sorted(missing("stages.mart_load.enabled=false")) == ["marquee-s3", "marquee-viewer-key"]
    assert "raw-deleter" in missing(*RETAIN)
    assert "raw-deleter" not in missing("secrets.s3Retain.name=raw-deleter")


def test_reports_are_in_the_notes() -> None:
    """The notes of an installation say where the reports are, if they are written."""
    where = "s3://example-staging-marquee/lake/report/<period>/review.html"
    assert where in notes("marquee", STAGING, REPORT)
    assert where not in notes("marquee", STAGING)


def test_preflight_of_reports_is_that_of_the_mart() -> None:
    """A report is checked as the loading of its mart is, with its own account."""
    pod = of_kind(render("marquee", STAGING, REPORT), "Pod")["r-marquee-report-preflight"]
    assert check_in(pod) == "python -m jobs.cli.preflight mart_load"
    assert pod["spec"]["serviceAccountName"] == "r-marquee-report"


# Preflights and extra objects.


def check_in(pod: Object) -> str:
    """Return the command of a stage's preflight, whose exit code becomes the message of its container."""
    (container,) = pod["spec"]["containers"]
    shell, option, script = container["args"]
    assert (shell, option) == ("sh", "-c")
    command, _, rest = script.partition(";")
    assert rest == " echo $? >/dev/termination-log"
    return str(command)


@pytest.mark.parametrize(("stage", "more"), [("rollup", " --launcher"), ("mart-load", "")])
def test_preflight_is_a_test_of_helm_as_the_stage_itself(stage: str, more: str) -> None:
    """The preflight of a stage is a Helm test with the pod of the stage, except for its command and its owner."""
    pod = of_kind(render("marquee", STAGING), "Pod")[f"r-marquee-{stage}-preflight"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    template = job(stage, STAGING)["template"]
    assert pod["metadata"]["labels"] == template["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    assert check_in(pod) == f"python -m jobs.cli.preflight {stage.replace('-', '_')}{more}"
    container.pop("args")
    (own,) = copy.deepcopy(template["spec"]["containers"])
    own.pop("args")
    for variable in own["env"]:
        for name, field in (("JOB_NAME", "metadata.name"), ("JOB_UID", "metadata.uid")):
            if variable["name"] == f"MARQUEE_LAUNCHER__{name}":
                variable["valueFrom"]["fieldRef"]["fieldPath"] = field
    assert pod["spec"] | {"containers": [container]} == template["spec"] | {"containers": [own]}


def test_only_stages_of_the_release_are_looked_at() -> None:
    """Preflights exist for the enabled stages only, and without the operator for stages on the local engine."""
    pods = of_kind(render("marquee", DEV, "stages.mart_load.enabled=false"), "Pod")
    judge = pods.pop("r-marquee-preflight")
    assert {name: check_in(pod) for name, pod in pods.items()} == {
        f"r-marquee-{stage}-preflight": f"python -m jobs.cli.preflight {stage.replace('-', '_')}"
        for stage in ("schedule-fetch", "rollup", "profile")
    }
    assert sorted(judge["spec"]["containers"][0]["args"][3:]) == sorted(pods)


def test_preflights_are_judged_by_the_last_pod() -> None:
    """Helm stops at a pod that fails, so the pods of stages end with 0; one with a greater weight reads their results.

    It may get pods, and nothing else, and has no settings and no Secrets.
    """
    objects = render("marquee", STAGING)
    pods = of_kind(objects, "Pod")
    judge = pods.pop("r-marquee-preflight")
    assert {pod["metadata"]["annotations"].get("helm.sh/hook-weight", "0") for pod in pods.values()} == {"0"}
    assert judge["metadata"]["annotations"]["helm.sh/hook-weight"] == "1"
    (container,) = judge["spec"]["containers"]
    assert container["args"] == ["python", "-m", "jobs.cli.preflight.judge", *pods]
    assert {"env", "envFrom"} & set(container) == set()
    assert rights_of("r-marquee-preflight") == [("", "pods", "get")]
    (subject,) = of_kind(objects, "RoleBinding")["r-marquee-preflight"]["subjects"]
    assert subject["name"] == judge["spec"]["serviceAccountName"] == "r-marquee-preflight"


def test_objects_of_ones_own_are_rendered() -> None:
    """Extra objects are rendered with their templates filled in."""
    own = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-own"}}'
    assert "r-own" in of_kind(render("marquee", STAGING, f"extraObjects=[{own}]"), "ConfigMap")


RETAIN = ("stages.retain.enabled=true", "settings.retention.raw_days=30", "secrets.s3Retain.name=raw-deleter")


def test_retention_is_a_job_of_its_own_if_asked_for() -> None:
    """Retention is off by default; enabled, it is a daily job in the exporter's image that asks nobody."""
    assert "r-marquee-retain" not in of_kind(render("marquee", STAGING), "CronJob")
    assert cron_job("retain", STAGING, *RETAIN)["schedule"] == "10 4 * * *"
    container = stage_container(render("marquee", STAGING, *RETAIN, "image.tag=1.2.3"), "retain")
    assert container["args"] == ["python", "-m", "jobs.retain"]
    assert container["image"].endswith("/exporter:1.2.3")


def test_only_retention_has_the_keys_that_delete_raw_events() -> None:
    """The job has an account and S3 keys of its own; no other workload has them, and it has no password of the mart."""
    objects = render("marquee", STAGING, *RETAIN)
    assert "r-marquee-retain" in of_kind(objects, "ServiceAccount")
    pod = of_kind(objects, "Pod")["r-marquee-retain-preflight"]
    assert check_in(pod) == "python -m jobs.retain --config"
    own = environment(stage_container(objects, "retain"))
    named = {name: one["secretKeyRef"]["name"] for name, one in own.items() if "secretKeyRef" in one}
    assert named["AWS_ACCESS_KEY_ID"] == named["AWS_SECRET_ACCESS_KEY"] == "raw-deleter"
    assert "MARQUEE_ROLLUP__VIEWER_KEY" in named
    assert "MARQUEE_MART__PASSWORD" not in named
    others = [one for one in objects if not one["metadata"]["name"].startswith("r-marquee-retain")]
    assert "raw-deleter" not in json.dumps(others)


ADMIN = ("stages.admin.enabled=true", "stages.gc.enabled=true")


def test_commands_are_run_by_jobs_if_asked_for() -> None:
    """The CronJobs of commands are off by default; that of gc is weekly, and that of a person's jobs never runs.

    Both have the image in which `marquee` runs, and only the person's has the secrets of all commands.
    """
    assert {"r-marquee-gc", "r-marquee-admin"} & set(of_kind(render("marquee", STAGING), "CronJob")) == set()
    objects = render("marquee", STAGING, *ADMIN)
    made = {name: stage_container(objects, name) for name in ("gc", "admin")}
    assert {name: one["args"] for name, one in made.items()} == {
        "gc": ["marquee", "gc", "--delete", "all"],
        "admin": ["marquee", "status"],
    }
    assert all("/exporter:" in one["image"] for one in made.values())
    assert cron_job("admin", STAGING, *ADMIN)["suspend"] is True
    assert cron_job("gc", STAGING, *ADMIN)["suspend"] is False
    secret = {
        name: {name for name, value in environment(one).items() if "secretKeyRef" in value}
        for name, one in made.items()
    }
    assert secret["gc"] == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert secret["admin"] == secret["gc"] | {"MARQUEE_ROLLUP__VIEWER_KEY", "MARQUEE_MART__PASSWORD"}
    assert egress_ports(of_kind(objects, "NetworkPolicy")["r-marquee-admin"]) == {443, 3306}
    assert not {"r-marquee-gc-preflight", "r-marquee-admin-preflight"} & set(of_kind(objects, "Pod"))


def test_admin_job_has_what_rekey_needs() -> None:
    """A job for `marquee rekey` has the Secret with the list of keys, S3 keys, memory, and rights of its own."""
    limits = ("stages.admin.resources.limits.memory=4Gi", "stages.admin.serviceAccount.annotations.role=rekey")
    objects = render("marquee", STAGING, *ADMIN, *limits, "secrets.viewerKey.name=keys", "secrets.viewerKey.key=listed")
    admin, rollup = stage_container(objects, "admin"), stage_container(objects, "rollup")
    key = {"secretKeyRef": {"name": "keys", "key": "listed"}}
    assert [environment(one)["MARQUEE_ROLLUP__VIEWER_KEY"] for one in (admin, rollup)] == [key, key]
    assert {"configMapRef": {"name": "r-marquee-settings"}} in admin["envFrom"]
    assert admin["resources"]["limits"]["memory"] == "4Gi"
    account = of_kind(objects, "ServiceAccount")["r-marquee-admin"]
    assert account["metadata"]["annotations"] == {"role": "rekey"}


def test_exporter_watches_retention() -> None:
    """The exporter publishes the state of retention where the job is enabled."""
    exporter = of_kind(render("marquee", STAGING, *RETAIN), "Deployment")["r-marquee-exporter"]
    (container,) = exporter["spec"]["template"]["spec"]["containers"]
    assert "retention" in json.loads(environment(container)["MARQUEE_EXPORTER__PARTS"])
