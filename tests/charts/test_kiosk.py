"""The chart kiosk: a database, its loads, its passwords, and nothing that outlives the release."""

import base64

import pytest

from jobs.mart_load.settings import MartLoadSettings
from marquee.mart.settings import mysql_address
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from tests.charts.rendering import environment, flags, helm_template, of_kind, render

pytestmark = pytest.mark.helm

EXAMPLE = "values-example.yaml"


def test_kiosk_is_a_database_and_a_load_of_one_period() -> None:
    """A kiosk is a database, a job that loads one period at once, and a CronJob with the same job for later."""
    objects = render("kiosk", EXAMPLE)
    (job,) = of_kind(objects, "Job").values()
    later = of_kind(objects, "CronJob")["r-kiosk-load"]["spec"]["jobTemplate"]["spec"]
    assert job["spec"] == later
    settings = of_kind(objects, "ConfigMap")["r-kiosk-settings"]["data"]
    assert (settings["MARQUEE_MART__PERIOD"], settings["MARQUEE_LAKE"]) == ("2026-Q1", "s3://example-prod-marquee/lake")
    (container,) = later["template"]["spec"]["containers"]
    assert container["args"] == ["python", "-m", "jobs.mart_load"]
    assert container["envFrom"] == [{"configMapRef": {"name": "r-kiosk-settings"}}]


def test_changed_values_make_another_job() -> None:
    """Changed values make a job with another name, because a job cannot be changed, and equal values keep it."""
    names = {
        next(iter(of_kind(render("kiosk", EXAMPLE, *sets), "Job")))
        for sets in ((), ("load.suspend=true",), ("period=2026-Q2",), ("image.name=other",))
    }
    assert len(names) == 3
    assert all(name.startswith("r-kiosk-load-") for name in names)


def test_load_waits_for_the_database_and_makes_its_users() -> None:
    """Only init containers have the password of root, and the load has the password of the loader."""
    (job,) = of_kind(render("kiosk", EXAMPLE), "Job").values()
    wait, init = job["spec"]["template"]["spec"]["initContainers"]
    (load,) = job["spec"]["template"]["spec"]["containers"]
    assert wait["command"][0] == "mariadb-admin"
    assert init["args"] == ["python", "-m", "jobs.mart_load.admin"]
    secrets = {
        one["name"]: {value["secretKeyRef"]["key"] for value in environment(one).values() if "secretKeyRef" in value}
        for one in (wait, init, load)
    }
    assert secrets == {"wait": {"root"}, "init": {"root", "loader", "analyst"}, "load": {"loader"}}


def test_settings_of_init_and_load_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the init container and of the load are complete, for root and for the loader."""
    objects = render("kiosk", EXAMPLE)
    settings = of_kind(objects, "ConfigMap")["r-kiosk-settings"]["data"]
    (job,) = of_kind(objects, "Job").values()
    pod = job["spec"]["template"]["spec"]
    users = []
    loader = ""
    for container in (pod["initContainers"][1], pod["containers"][0]):
        with monkeypatch.context() as given:
            for name, value in (settings | environment(container)).items():
                given.setenv(name, value if isinstance(value, str) else "from-a-secret")
            check_names()
            mart = load_settings(MartLoadSettings).mart
        users.append(mysql_address(mart.url).user)
        loader = mart.loader
        assert (mart.period, mysql_address(mart.url).database) == ("2026-Q1", "marquee")
    assert users == ["root", loader]


def test_passwords_are_random_and_long() -> None:
    """The three passwords are random, 24 characters long, and different in each release."""
    found = []
    for release in ("r", "s"):
        (secret,) = of_kind(render("kiosk", EXAMPLE, release=release), "Secret").values()
        found += [base64.b64decode(text) for text in secret["data"].values()]
        assert set(secret["data"]) == {"root", "loader", "analyst"}
    assert len(set(found)) == 6
    assert all(len(password) == 24 for password in found)


def test_existing_passwords_are_used() -> None:
    """With an existing Secret of passwords the chart renders no Secret."""
    objects = render("kiosk", EXAMPLE, "secrets.passwords.name=mine")
    assert not of_kind(objects, "Secret")
    (container,) = of_kind(objects, "Deployment")["r-kiosk"]["spec"]["template"]["spec"]["containers"]
    assert environment(container)["MARIADB_ROOT_PASSWORD"] == {"secretKeyRef": {"name": "mine", "key": "root"}}


@pytest.mark.parametrize("persistent", ["true", "false"])
def test_nothing_outlives_the_release(persistent: str) -> None:
    """The data are in the pod or in a claim of the release, and no object is kept after it is deleted."""
    objects = render("kiosk", EXAMPLE, f"storage.persistent={persistent}")
    kinds = {one["kind"] for one in objects}
    assert "StatefulSet" not in kinds  # its claims stay
    assert ("PersistentVolumeClaim" in kinds) == (persistent == "true")
    assert not any("helm.sh/resource-policy" in one["metadata"].get("annotations", {}) for one in objects)
    assert not any("helm.sh/hook" in one["metadata"].get("annotations", {}) for one in objects)
    (data,) = [
        volume
        for volume in of_kind(objects, "Deployment")["r-kiosk"]["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "data"
    ]
    assert set(data) == {"name", "persistentVolumeClaim" if persistent == "true" else "emptyDir"}


def test_database_is_closed_but_for_its_loader_and_analysts() -> None:
    """The database has no egress, and only the load and the named peers may connect to it."""
    sets = ('networkPolicy.from=[{"namespaceSelector": {"matchLabels": {"team": "analysts"}}}]',)
    policies = of_kind(render("kiosk", EXAMPLE, *sets), "NetworkPolicy")
    database = policies["r-kiosk-mariadb"]["spec"]
    assert database["egress"] == []
    (rule,) = database["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 3306}]
    assert [sorted(peer) for peer in rule["from"]] == [["podSelector"], ["namespaceSelector"]]
    assert policies["r-kiosk-load"]["spec"]["ingress"] == []


def test_period_image_and_lake_suffice() -> None:
    """A period, an image and a lake are the only values that the chart needs."""
    sets = ("period=2026-Q1", "image.name=registry.example.org/mart_load:1", "settings.lake=s3://b/lake")
    done = helm_template("kiosk", "q1", *flags(sets))
    assert done.returncode == 0, done.stderr


def test_values_for_pods_reach_database_and_load() -> None:
    """Labels, annotations, priority, runtime class, DNS and hosts are those of both pods."""
    sets = (
        "podLabels.team=data",
        "podAnnotations.note=x",
        "priorityClassName=low",
        "runtimeClassName=gvisor",
        'dnsConfig={"options": [{"name": "ndots"}]}',
        'hostAliases=[{"ip": "10.0.0.1", "hostnames": ["s3"]}]',
        'topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]',
    )
    objects = render("kiosk", EXAMPLE, *sets)
    (job,) = of_kind(objects, "Job").values()
    for template in (of_kind(objects, "Deployment")["r-kiosk"]["spec"]["template"], job["spec"]["template"]):
        assert template["metadata"]["labels"]["team"] == "data"
        assert template["metadata"]["annotations"] == {"note": "x"}
        spec = template["spec"]
        assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("low", "gvisor")
        assert spec["dnsConfig"] == {"options": [{"name": "ndots"}]}
        assert spec["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["s3"]}]
        assert spec["topologySpreadConstraints"][0]["topologyKey"] == "zone"


def test_load_takes_the_ca_of_a_private_s3() -> None:
    """A Secret with a CA is mounted into the load and its init container, which know its file from the settings."""
    sets = (
        'load.extraVolumes=[{"name": "ca", "secret": {"secretName": "s3-ca"}}]',
        'load.extraVolumeMounts=[{"name": "ca", "mountPath": "/etc/s3-ca"}]',
        'load.extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy"}]',
        "settings.s3.ca_bundle=/etc/s3-ca/ca.crt",
    )
    objects = render("kiosk", EXAMPLE, *sets)
    (job,) = of_kind(objects, "Job").values()
    pod = job["spec"]["template"]["spec"]
    (load,) = pod["containers"]
    assert {"name": "ca", "secret": {"secretName": "s3-ca"}} in pod["volumes"]
    for container in (load, pod["initContainers"][1]):
        assert {"name": "ca", "mountPath": "/etc/s3-ca"} in container["volumeMounts"]
    assert environment(load)["HTTPS_PROXY"] == "http://proxy"
    assert of_kind(objects, "ConfigMap")["r-kiosk-settings"]["data"]["MARQUEE_S3__CA_BUNDLE"] == "/etc/s3-ca/ca.crt"
