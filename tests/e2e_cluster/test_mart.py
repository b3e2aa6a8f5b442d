"""The mart in a cluster: loss and restoration, and a temporary kiosk for a quarter."""

import re
from typing import Any

import pymysql
import pytest

from tests.e2e_cluster.cluster import documented, until
from tests.e2e_cluster.conftest import Environment

KIOSK = (
    " --set settings.s3.endpoint_url=http://s3:7070 --set settings.s3.region=eu-central-1"
    " --set settings.s3.path_style=true --set settings.mart.min_cell=1"
    " --set image.name=marquee/mart_load:dev --set mariadb.image=marquee-e2e/mariadb:1"
    " --set mariadb.resources.requests.memory=128Mi --set load.resources.requests.memory=128Mi"
)
"""The locations of S3 and of the images, and exact figures as in the release's mart; all else is as documented."""


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
