"""The mart in a cluster: loss and restoration, and a temporary kiosk for a quarter."""

import re
from typing import Any

import pymysql
import pytest

from marquee.mart.questions import QUESTIONS
from tests.e2e_cluster.cluster import documented, until
from tests.e2e_cluster.conftest import Environment

KIOSK = (
    " --set settings.s3.endpoint_url=http://s3:7070 --set settings.s3.region=eu-central-1"
    " --set settings.s3.path_style=true"
    " --set image.name=marquee/mart_load:dev --set mariadb.image=marquee-e2e/mariadb:1"
    " --set mariadb.resources.requests.memory=128Mi --set load.resources.requests.memory=128Mi"
)
"""The locations of S3 and of the images; all other values are as documented."""


def answers(environment: Environment) -> dict[str, list[dict[str, Any]]]:
    """Return the mart's answers to every question."""
    return {one.name: sorted(environment.ask(one.name), key=repr) for one in QUESTIONS}


def test_mart_is_restored_from_s3_alone(done: Environment) -> None:
    """After its database is dropped, an empty one loaded as documented gives every earlier answer."""
    before = answers(done)
    assert before["genre-hours"]
    assert before["engagement-by-genre"]
    done.lose_mart()
    for command in documented("Restore the mart from S3 alone"):
        done.release.run(command)
    assert answers(done) == before


def test_kiosk_comes_is_asked_by_its_analyst_and_leaves_nothing(done: Environment) -> None:
    """A kiosk is installed as documented, lets its analyst only read, and is uninstalled without remains."""
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
        cursor.execute("select genre from q_genre_hours where country = 'KR' and place = 1")
        assert cursor.fetchall() == (("Romance",),)
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            cursor.execute("delete from fact_viewership")
    release.run(uninstall)
    kinds = "all,configmaps,secrets,persistentvolumeclaims,serviceaccounts,networkpolicies"
    # Helm does not wait for what the cluster deletes afterwards: pods, and objects of the CronJob.
    until(lambda: not release.find(kinds, "app.kubernetes.io/instance=q1"), "nothing of the kiosk", 120)
