"""The mart in a cluster: loss and restoration, and a temporary kiosk for a quarter."""

import re
from typing import Any

import pymysql
import pytest

from marquee.mart import schema
from marquee.mart.questions import QUESTIONS
from tests.e2e_cluster.cluster import documented, until
from tests.e2e_cluster.conftest import ROOT_PASSWORD, Environment

KIOSK = (
    " --set settings.s3.endpoint_url=http://s3:7070 --set settings.s3.region=eu-central-1"
    " --set settings.s3.path_style=true --set settings.mart.min_cell=1"
    " --set image.name=marquee/mart_load:dev --set mariadb.image=marquee-e2e/mariadb:1"
    " --set mariadb.resources.requests.memory=128Mi --set load.resources.requests.memory=128Mi"
)
"""The locations of S3 and of the images, and exact figures as in the release's mart; all else is as documented."""


def answers(environment: Environment) -> dict[str, list[dict[str, Any]]]:
    """Return the mart's answers to every question."""
    return {one.name: sorted(environment.ask(one.name), key=repr) for one in QUESTIONS}


def rows_of(environment: Environment, question: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of the mart's answer to a question, in the order of their texts."""
    return sorted((tuple(one[column] for column in columns) for one in environment.ask(question)), key=repr)


def test_mart_is_restored_from_s3_alone(done: Environment) -> None:
    """After its database is dropped, an empty one loaded as documented gives every earlier answer."""
    before = answers(done)
    assert before["genre-hours"]
    assert before["engagement-by-genre"]
    done.lose_mart()
    for command in documented("Restore the mart from S3 alone"):
        done.release.run(command)
    assert answers(done) == before


def test_upgrade_migrates_the_mart_and_refuses_a_newer_one(done: Environment) -> None:
    """The documented Job empties an older mart, whose next load restores it, and stops the upgrade at a newer one."""
    release = done.release
    before = answers(done)
    secret, logs = documented("Migrate the mart")
    as_root = {"MART_ADMIN": "root", "MART_ADMIN_PASSWORD": ROOT_PASSWORD}
    schema_is(done, 1)
    release.run(secret, **as_root)
    with done.mart_root() as cursor:
        cursor.execute("select count(*) from marquee.fact_viewership")
        assert cursor.fetchall() == ((0,),)
    release.do("mart-load", "mart-load-after-migration")
    assert answers(done) == before
    schema_is(done, 99)
    with pytest.raises(AssertionError, match="pre-upgrade hooks failed"):
        release.upgrade("--reuse-values", values=["environment=changed"])
    assert "has schema version 99, this Marquee expects" in release.run(logs)
    settings = release.find("configmaps", "app.kubernetes.io/instance=" + release.name)
    assert "changed" not in str(settings)
    schema_is(done, schema.VERSION)
    release.upgrade("--reuse-values", values=["mart.migrate=manual"])
    assert answers(done) == before


def schema_is(environment: Environment, version: int) -> None:
    """Make the mart one of another schema version."""
    with environment.mart_root() as cursor:
        cursor.execute("update marquee.schema_version set version = %s", [version])
        cursor.connection.commit()


def test_kiosk_comes_is_asked_by_its_analyst_and_leaves_nothing(done: Environment) -> None:
    """A kiosk installed as documented answers as the mart, only to be read, keeps its period, and leaves nothing."""
    release = done.release
    install, uninstall = documented("A kiosk")
    install = re.sub(r"(--set secrets.s3.name=marquee-s3)", rf"\1{KIOSK}", install)
    install = re.sub(r"export LAKE=\S+", "export LAKE=s3://marquee/lake", install)
    release.run(install)
    secret = release.kubectl(
        "get", "secret", "q1-kiosk-passwords", "-o", "go-template={{.data.analyst | base64decode}}"
    )
    with (
        release.forward("q1-kiosk", 3306) as port,
        pymysql.connect(
            host="127.0.0.1", port=port, user="marquee_analyst", password=secret, database="marquee"
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select country, genre, place, hours from q_genre_hours")
        answer = sorted(cursor.fetchall(), key=repr)
        rows = rows_of(done, "genre-hours", "country", "genre", "place", "hours")
        assert ("KR", "Romance", 1) in [row[:3] for row in answer]
        assert answer == rows
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            cursor.execute("delete from fact_viewership")
    with pytest.raises(AssertionError, match="a kiosk never changes its period"):
        release.run('helm upgrade q1 charts/kiosk --namespace "$NAMESPACE" --reuse-values --set period=2026-Q2')
    release.run(uninstall)
    kinds = "all,configmaps,secrets,persistentvolumeclaims,serviceaccounts,networkpolicies"
    # Helm does not wait for what the cluster deletes afterwards: pods, and objects of the CronJob.
    until(lambda: not release.find(kinds, "app.kubernetes.io/instance=q1"), "nothing of the kiosk", 120)
