"""Outages in the middle of each stage: S3 or MySQL is away for two minutes, and the same pod goes on when it is back.

Each job has a name of its own for the server, and each stage a lake of its own, so that they have their outages at the
same time.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from marquee.lake import keys
from tests.e2e_cluster.cluster import JOB_S, Release, until
from tests.e2e_cluster.conftest import Calm, Environment
from tests.e2e_cluster.faults import heal, other_name, running, told, unreachable

pytestmark = pytest.mark.day2

AWAY_S = 120.0
TAKES_EFFECT_S = 3.0
"""Seconds in which the node learns that a service leads nowhere."""
ALL = {"MARQUEE_PERIOD": "2026-01", "MARQUEE_FORCE": "true"}
"""For a load of a mart that has everything."""


@dataclass(frozen=True)
class Case:
    """A stage, on an engine, and what it needs in its lake."""

    name: str
    stage: str
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def on_spark(self) -> bool:
        """Whether a driver does the work."""
        return self.name.endswith("-spark")


UPSTREAM = (keys.SCHEDULE_FETCH, keys.ROLLUP)
AUDIENCES = (keys.PROFILE, keys.AUDIENCE)
CASES = [
    Case("schedule-fetch", "schedule-fetch", (), (keys.SCHEDULE_FETCH,)),
    Case("rollup-local", "rollup", (), (keys.ROLLUP,), ("stages.rollup.engine=local",)),
    Case("rollup-spark", "rollup", (), (keys.ROLLUP,)),
    Case("profile-local", "profile", UPSTREAM, AUDIENCES, ("stages.profile.engine=local",)),
    Case("profile-spark", "profile", UPSTREAM, AUDIENCES),
]


def without_s3(calm: Calm, case: Case) -> str:
    """Run a stage in a lake of its own, with S3 away from its first period on; return the logs of its workers."""
    environment, name = calm.environment, case.name
    environment.copy(name, case.needs)
    other_name(calm.release, "s3", 7070, f"s3-{name}")
    places = (f"settings.lake=s3://marquee/{name}", f"settings.s3.endpoint_url=http://s3-{name}:7070")
    release = calm.release.beside(name, "exporter.enabled=false", *places, *case.values)
    release.start(case.stage, name)
    until(lambda: at_work(environment, case), f"the first period of {name}", JOB_S)
    with ThreadPoolExecutor() as followers:
        with unreachable(calm.release, f"s3-{name}", "s3"):
            time.sleep(AWAY_S)
            assert release.ended(name) is None, f"{name} has ended without S3:\n{release.log(name)}"
            # To their end, because Spark deletes executors.
            logs = [followers.submit(release.kubectl, "logs", "--follow", pod) for pod in at_it(release, case)]
        same_pod_heals(release, name)
        return "".join(log.result() for log in logs)


def at_it(release: Release, case: Case) -> list[str]:
    """Return the names of the pods that do the work: the job's, or driver and executor."""
    pods = (
        [pod for role in ("driver", "executor") for pod in running(release, case.name, role)]
        if case.on_spark
        else release.find("pods", f"batch.kubernetes.io/job-name={case.name}")
    )
    return [pod["metadata"]["name"] for pod in pods]


def at_work(environment: Environment, case: Case) -> bool:
    """Return whether a stage has begun or made a period."""
    found = environment.store(case.name).list(keys.markers_prefix(case.makes[0]))
    return any(info.key.endswith((f"/{keys.BEGUN}", f"/{keys.SUCCESS}")) for info in found)


def same_pod_heals(release: Release, job: str) -> str:
    """Wait until a job has completed in its first pod; return its log."""
    log = heal(release, job)
    assert len(release.find("pods", f"batch.kubernetes.io/job-name={job}")) == 1
    return log


@contextmanager
def loading(environment: Environment, release: Release, job: str) -> Iterator[Callable[[], None]]:
    """Run the body in the middle of a load of everything, which waits for locked rows; yield what unlocks them."""
    with environment.mart_root() as cursor:
        cursor.execute("select * from marquee.kiosk for update")
        release.start("mart-load", job, **ALL)
        until(lambda: waits_for_lock(environment), f"{job} at work", JOB_S)
        yield cursor.connection.rollback


def waits_for_lock(environment: Environment) -> bool:
    """Return whether a transaction in the mart waits for another one."""
    with environment.mart_root() as cursor:
        cursor.execute("select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'")
        ((count,),) = cursor.fetchall()
    return bool(count)


def cut_off_loaders(environment: Environment) -> None:
    """End all connections of the loader at the server."""
    with environment.mart_root() as cursor:
        cursor.execute("select id from information_schema.processlist where user = 'marquee_loader'")
        for (connection,) in cursor.fetchall():
            cursor.execute("kill %s", (connection,))


def load_without_s3(calm: Calm, job: str) -> str:
    """Load everything while S3 is away; return the log of the job, once lake and mart are as before."""
    other_name(calm.release, "s3", 7070, f"s3-{job}")
    values = ("exporter.enabled=false", f"settings.s3.endpoint_url=http://s3-{job}:7070")
    release = calm.release.beside(job, *values)
    with loading(calm.environment, release, job) as unlock, unreachable(calm.release, f"s3-{job}", "s3"):
        time.sleep(TAKES_EFFECT_S)
        unlock()
        time.sleep(AWAY_S)
        assert release.ended(job) is None, release.log(job)
    return loaded(calm, release, job)


def load_without_mysql(calm: Calm, job: str) -> str:
    """Load everything while MySQL is away; return the log of the job, once lake and mart are as before."""
    other_name(calm.release, "mart", 3306, f"mart-{job}")
    values = ("exporter.enabled=false", f"settings.mart.url=mysql://marquee_loader@mart-{job}/marquee")
    release = calm.release.beside(job, *values)
    with loading(calm.environment, release, job) as unlock, unreachable(calm.release, f"mart-{job}", "mart"):
        time.sleep(TAKES_EFFECT_S)
        cut_off_loaders(calm.environment)
        unlock()
        time.sleep(AWAY_S)
        assert release.ended(job) is None, release.log(job)
    return loaded(calm, release, job)


LOADS = {"load-s3": load_without_s3, "load-mysql": load_without_mysql}


def loaded(calm: Calm, release: Release, job: str) -> str:
    """Wait until a load has completed; return its log. Lake and mart are as before."""
    log = same_pod_heals(release, job)
    assert calm.stands()
    return log


@pytest.fixture(scope="module")
def logs(calm: Calm) -> dict[str, Future[str]]:
    """The log of each job, or why there is none. The loads, which lock the same rows, have their outages in turn."""
    with ThreadPoolExecutor(len(CASES)) as side_by_side, ThreadPoolExecutor(1) as in_turn:
        stages = {case.name: side_by_side.submit(without_s3, calm, case) for case in CASES}
        loads = {job: in_turn.submit(load, calm, job) for job, load in LOADS.items()}
    return stages | loads


def check_log(log: str) -> None:
    """A log tells of an outage, and of its end."""
    told(log, "has failed for [0-9]+ s .*retrying for [0-9]+ s more")
    told(log, "answers again after [0-9]+ s")


@pytest.mark.parametrize("case", CASES, ids=[one.name for one in CASES])
def test_s3_away_for_two_minutes_in_the_middle_of_a_stage(calm: Calm, logs: dict[str, Future[str]], case: Case) -> None:
    """The pod waits, says so, goes on when S3 is back, and the lake has the bytes of a run without an outage."""
    check_log(logs[case.name].result())
    made = {name: one for name, one in calm.digests.items() if name.partition("/")[0] in case.makes}
    found = calm.environment.digests(case.name)
    assert made
    assert {name: one for name, one in found.items() if name.partition("/")[0] in case.makes} == made


@pytest.mark.parametrize("job", LOADS)
def test_server_away_for_two_minutes_in_the_middle_of_a_load(logs: dict[str, Future[str]], job: str) -> None:
    """A load that loses S3 or MySQL waits, says so, goes on when it is back, and the mart answers as before."""
    check_log(logs[job].result())
