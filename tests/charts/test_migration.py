"""The hook that brings the mart to the schema of a version before its stages run."""

import pytest

from jobs.mart_load.settings import MartLoadSettings
from marquee.mart.settings import mysql_address
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from tests.charts.rendering import PROD, STAGING, Object, environment, of_kind, render, stage_container

pytestmark = pytest.mark.helm

BY_JOB = ("mart.migrate=job", "secrets.martAdmin.name=mart-admin")
NAME = "r-marquee-mart-migrate"


def container_of(job: Object) -> Object:
    """Return the container of a job."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_no_administrator_without_the_job() -> None:
    """By default no object of the chart is a hook of an upgrade, and none refers to an administrator."""
    objects = render("marquee", PROD)
    assert NAME not in of_kind(objects, "Job")
    assert "martAdmin" not in str(objects)


def test_mart_is_migrated_before_anything_else_of_the_release() -> None:
    """The job is a hook before installation and upgrade, and refers to no object that Helm creates after hooks."""
    objects = render("marquee", PROD, *BY_JOB)
    job = of_kind(objects, "Job")[NAME]
    annotations = job["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert "envFrom" not in container_of(job)
    assert not [one for one in job["spec"]["template"]["spec"]["volumes"] if "configMap" in one]
    assert container_of(job)["image"] == stage_container(objects, "mart-load")["image"]
    assert job["spec"]["activeDeadlineSeconds"] < 300  # the seconds for which Helm waits


def test_network_of_the_migration_is_open_before_it() -> None:
    """Its NetworkPolicy is a hook that comes first, and opens name servers and the mart alone."""
    policy = of_kind(render("marquee", PROD, *BY_JOB), "NetworkPolicy")[NAME]
    assert policy["metadata"]["annotations"]["helm.sh/hook-weight"] == "-1"
    assert [rule["ports"][-1]["port"] for rule in policy["spec"]["egress"]] == [53, 3306]


def test_migration_runs_as_the_administrator_and_makes_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings suffice: the administrator's URL and password, and the loader of the release with its password."""
    sets = (*BY_JOB, "secrets.martAdmin.user=dba", "settings.mart.url=mysql://mart_writer@db.example.org:3307/plays")
    job = of_kind(render("marquee", STAGING, *sets), "Job")[NAME]
    variables = environment(container_of(job))
    assert variables["MARQUEE_MART__PASSWORD"] == {"secretKeyRef": {"name": "mart-admin", "key": "password"}}
    assert variables["MARQUEE_MART__LOADER_PASSWORD"] == {"secretKeyRef": {"name": "marquee-mart", "key": "password"}}
    for name, value in variables.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "from-a-secret")
    check_names()
    mart = load_settings(MartLoadSettings).mart
    address = mysql_address(mart.url)
    assert (address.user, address.host, address.port, address.database) == ("dba", "db.example.org", 3307, "plays")
    assert mart.loader == "mart_writer"


def test_stages_without_a_mart_have_no_migration() -> None:
    """A release that loads no mart migrates none."""
    assert NAME not in of_kind(render("marquee", PROD, "stages.mart_load.enabled=false", "mart.migrate=job"), "Job")
