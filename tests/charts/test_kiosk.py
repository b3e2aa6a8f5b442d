"""The chart kiosk: a database, its loads, its passwords and certificate, and nothing that outlives the release."""

from collections.abc import Sequence

import pytest

from jobs.mart_load.settings import MartLoadSettings
from marquee.mart.settings import mysql_address
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from tests.charts.rendering import CHARTS, PROD, Object, environment, helm_template, of_kind, render

pytestmark = pytest.mark.helm

EXAMPLE = "values-example.yaml"


def test_kiosk_is_a_database_and_a_load_of_one_period() -> None:
    """A kiosk is a database, a job that loads one period at once, and a CronJob with the same job for later."""
    objects = render("kiosk", EXAMPLE)
    job = job_of(objects, "load")
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
        job_of(render("kiosk", EXAMPLE, *sets), "load")["metadata"]["name"]
        for sets in ((), ("load.suspend=true",), ("period=2026-Q2",), ("image.name=other",))
    }
    assert len(names) == 3
    assert all(name.startswith("r-kiosk-load-") for name in names)


def database(objects: Sequence[Object]) -> tuple[Object, Object]:
    """Return the containers of the database's pod: the server, and its administrator."""
    server, admin = of_kind(objects, "Deployment")["r-kiosk"]["spec"]["template"]["spec"]["containers"]
    return server, admin


def job_of(objects: Sequence[Object], component: str) -> Object:
    """Return the job of a component."""
    jobs = of_kind(objects, "Job").values()
    (found,) = [one for one in jobs if one["metadata"]["labels"]["app.kubernetes.io/component"] == component]
    return found


def load_of(objects: Sequence[Object]) -> Object:
    """Return the container of the first load."""
    (container,) = job_of(objects, "load")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_only_the_pod_of_the_database_is_root() -> None:
    """Root is root at localhost, for the container beside the server, and the load has the loader's password alone."""
    objects = render("kiosk", EXAMPLE)
    server, admin = database(objects)
    assert admin["args"][-1].split("&&")[1].strip() == "python -m jobs.mart_load.admin"
    assert environment(admin)["MARQUEE_MART__SOCKET"] == "/run/mysqld/mysqld.sock"
    assert environment(server)["MARIADB_ROOT_HOST"] == "localhost"
    assert "--skip-name-resolve" in server["args"]
    used = {
        name: {value["secretKeyRef"]["key"] for value in environment(one).values() if "secretKeyRef" in value}
        for name, one in (("server", server), ("admin", admin), ("load", load_of(objects)))
    }
    assert used == {"server": {"root", "loader"}, "admin": {"root", "loader", "analyst"}, "load": {"loader"}}


def test_settings_of_admin_and_load_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of both containers are complete: root by the socket, and the loader by the network with TLS."""
    objects = render("kiosk", EXAMPLE)
    settings = of_kind(objects, "ConfigMap")["r-kiosk-settings"]["data"]
    marts = []
    for container in (database(objects)[1], load_of(objects)):
        with monkeypatch.context() as given:
            for name, value in (settings | environment(container)).items():
                given.setenv(name, value if isinstance(value, str) else "from-a-secret")
            check_names()
            marts.append(load_settings(MartLoadSettings).mart)
    admin, load = marts
    assert (admin.period, mysql_address(admin.url).database) == (load.period, mysql_address(load.url).database)
    assert (mysql_address(admin.url).user, mysql_address(load.url).user) == ("root", admin.loader)
    assert (mysql_address(load.url).host, str(load.tls_ca)) == ("r-kiosk", "/etc/kiosk/tls/ca.crt")


def test_connections_are_encrypted() -> None:
    """The server has a certificate and refuses connections without TLS, and the load has its authority alone."""
    objects = render("kiosk", EXAMPLE)
    server, _ = database(objects)
    assert {
        "--require-secure-transport=ON",
        "--ssl-cert=/etc/kiosk/tls/tls.crt",
        "--ssl-key=/etc/kiosk/tls/tls.key",
    } <= set(server["args"])
    assert {"name": "tls", "mountPath": "/etc/kiosk/tls", "readOnly": True} in load_of(objects)["volumeMounts"]
    (volume,) = [one for one in job_of(objects, "load")["spec"]["template"]["spec"]["volumes"] if one["name"] == "tls"]
    assert volume["secret"] == {"secretName": "r-kiosk-tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]}


def test_rendering_makes_no_password_and_is_the_same_each_time() -> None:
    """The chart renders the same bytes twice, with two Secrets that a job fills and nobody else may change."""
    values = ("--values", str(CHARTS / "kiosk" / EXAMPLE))
    first, second = (helm_template("kiosk", "r", *values).stdout for _ in range(2))
    assert first == second
    objects = render("kiosk", EXAMPLE)
    made = of_kind(objects, "Secret")
    assert set(made) == {"r-kiosk-passwords", "r-kiosk-tls"}
    assert not any("data" in one or "stringData" in one for one in made.values())
    (rule,) = of_kind(objects, "Role")["r-kiosk-credentials"]["rules"]
    assert (rule["resources"], sorted(rule["resourceNames"]), rule["verbs"]) == (
        ["secrets"],
        sorted(made),
        ["get", "patch"],
    )


def test_job_makes_what_the_values_do_not_name() -> None:
    """Arguments of the job that makes passwords and certificate: both Secrets, and the names of the Service."""
    sets = ('service.hosts=["kiosk.example.org"]',)
    (container,) = job_of(render("kiosk", EXAMPLE, *sets), "credentials")["spec"]["template"]["spec"]["containers"]
    module, pairs = container["args"][:3], container["args"][3:]
    assert module == ["python", "-m", "jobs.mart_load.credentials"]
    given = list(zip(pairs[::2], pairs[1::2], strict=True))
    assert given[:2] == [("--passwords", "r-kiosk-passwords"), ("--tls", "r-kiosk-tls")]
    assert {name for flag, name in given[2:] if flag == "--host"} == {
        *("r-kiosk", "r-kiosk.space", "r-kiosk.space.svc", "r-kiosk.space.svc.cluster.local"),
        *("localhost", "127.0.0.1", "::1", "kiosk.example.org"),
    }


@pytest.mark.parametrize(
    ("sets", "secrets"),
    [
        (("secrets.passwords.name=mine",), {"r-kiosk-tls"}),
        (("secrets.tls.name=certified",), {"r-kiosk-passwords"}),
        (("secrets.passwords.name=mine", "secrets.tls.name=certified"), set()),
    ],
    ids=["passwords", "certificate", "both"],
)
def test_existing_secrets_are_used(sets: tuple[str, ...], secrets: set[str]) -> None:
    """Named Secrets are used and not made; if both are named, there is no job, and no right in the cluster."""
    objects = render("kiosk", EXAMPLE, *sets)
    assert set(of_kind(objects, "Secret")) == secrets
    assert bool(of_kind(objects, "Role")) == bool(secrets)
    password = environment(database(objects)[0])["MARIADB_ROOT_PASSWORD"]["secretKeyRef"]["name"]
    assert password == ("mine" if "secrets.passwords.name=mine" in sets else "r-kiosk-passwords")
    volumes = of_kind(objects, "Deployment")["r-kiosk"]["spec"]["template"]["spec"]["volumes"]
    (name,) = [one["secret"]["secretName"] for one in volumes if one["name"] == "tls"]
    assert name == ("certified" if "secrets.tls.name=certified" in sets else "r-kiosk-tls")


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


def test_job_of_credentials_reaches_the_api_server_alone() -> None:
    """The policies are on by default; the job's opens the API server, and the load's name servers, S3 and database."""
    sets = ("settings.s3.endpoint_url=http://s3.storage.svc:7070", "networkPolicy.egress.s3.anywhere=false")
    policies = of_kind(render("kiosk", EXAMPLE, *sets), "NetworkPolicy")
    (rule,) = policies["r-kiosk-credentials"]["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]
    names, s3, mart = policies["r-kiosk-load"]["spec"]["egress"]
    assert names["ports"] == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    storage = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "storage"}}}
    assert s3 == {"ports": [{"protocol": "TCP", "port": 7070}], "to": [storage]}
    assert mart["ports"] == [{"protocol": "TCP", "port": 3306}]


def test_period_and_the_shared_file_suffice() -> None:
    """With the file that says where things are, the same for a release of Marquee, a kiosk needs only its period."""
    shared = str(CHARTS / "shared-example.yaml")
    kiosk = helm_template("kiosk", "q1", "--values", shared, "--set", "period=2026-Q1")
    assert kiosk.returncode == 0, kiosk.stderr
    assert "registry.example.org/marquee/mart_load:0.1.0" in kiosk.stdout
    release = helm_template("marquee", "prod", "--values", str(CHARTS / "marquee" / PROD), "--values", shared)
    assert release.returncode == 0, release.stderr
    assert "registry.example.org/marquee/mart_load:0.1.0" in release.stdout


def test_images_are_pinned_by_digest() -> None:
    """A digest of mart_load, by the name that the chart marquee has for it, and one of MariaDB come after the tags."""
    digest = "sha256:" + "0" * 64
    objects = render("kiosk", EXAMPLE, f'image.digests={{"mart_load": "{digest}"}}', f"mariadb.digest={digest}")
    server, admin = database(objects)
    assert server["image"] == f"mariadb:10.11@{digest}"
    assert admin["image"] == load_of(objects)["image"] == f"registry.example.org/marquee/mart_load:0.1.0@{digest}"


def test_extra_values_reach_their_pods() -> None:
    """Variables, volumes, init containers, annotations, a queue and contexts of security are those of the values."""
    sets = (
        'load.extraInitContainers=[{"name": "first", "image": "i"}]',
        'load.extraEnvFrom=[{"secretRef": {"name": "more"}}]',
        'load.annotations={"a": "cronjob"}',
        'load.jobAnnotations={"a": "job"}',
        "load.queueName=small",
        'mariadb.extraEnv=[{"name": "TZ", "value": "UTC"}]',
        'mariadb.extraVolumes=[{"name": "conf", "configMap": {"name": "conf"}}]',
        'mariadb.extraVolumeMounts=[{"name": "conf", "mountPath": "/etc/mysql/conf.d"}]',
        "podSecurityContext.runAsUser=1234",
        "securityContext.privileged=false",
        "dnsPolicy=None",
        "secrets.s3.name=keys",
        "secrets.s3.sessionToken=TOKEN",
    )
    objects = render("kiosk", EXAMPLE, *sets)
    pod = job_of(objects, "load")["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["initContainers"]] == ["first"]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (1234, 185)
    assert pod["dnsPolicy"] == "None"
    load = load_of(objects)
    assert {"secretRef": {"name": "more"}} in load["envFrom"]
    assert load["securityContext"]["privileged"] is False
    assert environment(load)["AWS_SESSION_TOKEN"] == {"secretKeyRef": {"name": "keys", "key": "TOKEN"}}
    cronjob = of_kind(objects, "CronJob")["r-kiosk-load"]
    assert cronjob["metadata"]["annotations"] == {"a": "cronjob"}
    for metadata in (cronjob["spec"]["jobTemplate"]["metadata"], job_of(objects, "load")["metadata"]):
        assert metadata["annotations"] == {"a": "job"}
        assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "small"
    server, _ = database(objects)
    assert environment(server)["TZ"] == "UTC"
    assert {"name": "conf", "mountPath": "/etc/mysql/conf.d"} in server["volumeMounts"]


def test_values_for_pods_reach_database_and_jobs() -> None:
    """Labels, annotations, priority, runtime class, DNS and hosts are those of all pods."""
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
    jobs = [one["spec"]["template"] for one in of_kind(objects, "Job").values()]
    for template in (of_kind(objects, "Deployment")["r-kiosk"]["spec"]["template"], *jobs):
        assert template["metadata"]["labels"]["team"] == "data"
        assert template["metadata"]["annotations"] == {"note": "x"}
        spec = template["spec"]
        assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("low", "gvisor")
        assert spec["dnsConfig"] == {"options": [{"name": "ndots"}]}
        assert spec["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["s3"]}]
        assert spec["topologySpreadConstraints"][0]["topologyKey"] == "zone"


def test_load_takes_the_ca_of_a_private_s3() -> None:
    """A Secret with a CA is mounted into the load, which knows its file from the settings."""
    sets = (
        'load.extraVolumes=[{"name": "ca", "secret": {"secretName": "s3-ca"}}]',
        'load.extraVolumeMounts=[{"name": "ca", "mountPath": "/etc/s3-ca"}]',
        'load.extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy"}]',
        "settings.s3.ca_bundle=/etc/s3-ca/ca.crt",
    )
    objects = render("kiosk", EXAMPLE, *sets)
    pod = job_of(objects, "load")["spec"]["template"]["spec"]
    load = load_of(objects)
    assert {"name": "ca", "secret": {"secretName": "s3-ca"}} in pod["volumes"]
    assert {"name": "ca", "mountPath": "/etc/s3-ca"} in load["volumeMounts"]
    assert environment(load)["HTTPS_PROXY"] == "http://proxy"
    assert of_kind(objects, "ConfigMap")["r-kiosk-settings"]["data"]["MARQUEE_S3__CA_BUNDLE"] == "/etc/s3-ca/ca.crt"
