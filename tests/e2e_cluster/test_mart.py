"""The mart in a cluster: loss and restoration, and a temporary kiosk for a quarter."""

from pathlib import Path
from typing import Any

import pymysql
import pytest

from marquee.mart import schema
from tests.e2e_cluster.cluster import Release, documented, until
from tests.e2e_cluster.conftest import ROOT_PASSWORD, Environment

SHARED = Path(__file__).parent / "shared.yaml"
KIOSK = (
    " --set settings.mart.min_cell=1 --set mariadb.image=marquee-e2e/mariadb:1"
    " --set mariadb.resources.requests.memory=128Mi --set load.resources.requests.memory=128Mi"
)
"""An image of the tests, and exact figures as in the release's mart; all else is as documented."""


def rows_of(environment: Environment, question: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of the mart's answer to a question, in the order of their texts."""
    return sorted((tuple(one[column] for column in columns) for one in environment.ask(question)), key=repr)


def test_mart_is_restored_from_s3_alone(done: Environment) -> None:
    """After its database is dropped, an empty one loaded as documented gives every earlier answer."""
    before = done.answers()
    assert before["genre-hours"]
    assert before["engagement-by-genre"]
    done.lose_mart()
    for command in documented("Restore the mart from S3 alone"):
        done.release.run(command)
    assert done.answers() == before


def test_upgrade_migrates_the_mart_and_refuses_a_newer_one(done: Environment) -> None:
    """The documented Job empties an older mart, whose next load restores it, and stops the upgrade at a newer one."""
    release = done.release
    before = done.answers()
    secret, logs = documented("Migrate the mart")
    as_root = {"MART_ADMIN": "root", "MART_ADMIN_PASSWORD": ROOT_PASSWORD}
    schema_is(done, 1)
    release.run(secret, **as_root)
    with done.mart_root() as cursor:
        cursor.execute("select count(*) from marquee.fact_viewership")
        assert cursor.fetchall() == ((0,),)
    release.do("mart-load", "mart-load-after-migration")
    assert done.answers() == before
    schema_is(done, 99)
    with pytest.raises(AssertionError, match="pre-upgrade hooks failed"):
        release.upgrade("--reuse-values", values=["environment=refused-upgrade"])
    assert "has schema version 99, this Marquee expects" in release.run(logs)
    settings = release.find("configmaps", "app.kubernetes.io/instance=" + release.name)
    assert "refused-upgrade" not in str(settings)
    schema_is(done, schema.VERSION)
    release.upgrade("--reuse-values", values=["mart.migrate=manual"])
    assert done.answers() == before


def schema_is(environment: Environment, version: int) -> None:
    """Make the mart one of another schema version."""
    with environment.mart_root() as cursor:
        cursor.execute("update marquee.schema_version set version = %s", [version])
        cursor.connection.commit()


def secret_of(release: Release, name: str, key: str) -> str:
    """Return a value of a Secret."""
    return release.kubectl("get", "secret", name, "-o", f'go-template={{{{index .data "{key}" | base64decode}}}}')


def as_user(port: int, user: str, password: str, authority: Path | None) -> "pymysql.Connection[Any]":
    """Connect to the kiosk at a port of loopback, with TLS that is verified by an authority, or without TLS."""
    tls = {"ssl_ca": str(authority), "ssl_verify_cert": True, "ssl_verify_identity": True}
    return pymysql.connect(
        host="127.0.0.1",
        port=port,
        user=user,
        password=password,
        database="marquee",
        **(tls if authority else {"ssl_disabled": True}),
    )


def test_kiosk_comes_is_asked_by_its_analyst_and_leaves_nothing(done: Environment, tmp_path: Path) -> None:
    """A kiosk installed as documented answers as the mart, by TLS and not to root, and leaves nothing."""
    release = done.release
    install, uninstall = documented("A kiosk")
    notes = release.run(install.replace("--set period=2026-Q1", f"--set period=2026-Q1{KIOSK}"), SHARED=str(SHARED))
    assert "--ssl-ca=q1-kiosk-ca.crt --ssl-verify-server-cert" in notes
    passwords = {user: secret_of(release, "q1-kiosk-passwords", user) for user in ("root", "analyst")}
    authority = tmp_path / "ca.crt"
    authority.write_text(secret_of(release, "q1-kiosk-tls", "ca.crt"))
    with (
        release.forward("q1-kiosk", 3306) as port,
        as_user(port, "marquee_analyst", passwords["analyst"], authority) as connection,
        connection.cursor() as cursor,
    ):
        # Root by the network, and the analyst without TLS.
        for user, password, ca in (
            ("root", passwords["root"], authority),
            ("marquee_analyst", passwords["analyst"], None),
        ):
            with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
                as_user(port, user, password, ca)
        cursor.execute("select country, genre, place, hours from q_genre_hours")
        answer = sorted(cursor.fetchall(), key=repr)
        rows = rows_of(done, "genre-hours", "country", "genre", "place", "hours")
        assert ("KR", "Romance", 1) in [row[:3] for row in answer]
        assert answer == rows
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            cursor.execute("delete from fact_viewership")
    release.run('helm upgrade q1 charts/kiosk --namespace "$NAMESPACE" --reuse-values --set podLabels.changed=yes')
    release.kubectl("rollout", "status", "deployment/q1-kiosk", "--timeout=180s")
    assert secret_of(release, "q1-kiosk-passwords", "analyst") == passwords["analyst"]
    assert secret_of(release, "q1-kiosk-tls", "ca.crt") == authority.read_text()
    with pytest.raises(AssertionError, match="a kiosk never changes its period"):
        release.run('helm upgrade q1 charts/kiosk --namespace "$NAMESPACE" --reuse-values --set period=2026-Q2')
    release.run(uninstall)
    kinds = "all,configmaps,secrets,persistentvolumeclaims,serviceaccounts,networkpolicies,roles,rolebindings"
    # Helm does not wait for what the cluster deletes afterwards: pods, and objects of the CronJob.
    until(lambda: not release.find(kinds, "app.kubernetes.io/instance=q1"), "nothing of the kiosk", 120)
