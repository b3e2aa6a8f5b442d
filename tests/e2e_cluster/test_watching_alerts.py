"""Runbooks, walked through: what an alert tells of is brought about, it fires, its page's commands are run, it clears.

Waiting is sped up (tests/sped_up.py). The tests run last, for they leave the lake otherwise than they found it.
"""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.e2e_cluster.cluster import JOB_S, call, documented, until
from tests.e2e_cluster.conftest import Watched
from tests.small_world import CASE, WINTER, event_file

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
HOUR = "2026-01-05T10"
NEW_DAY = "2026-01-07"
WEEK_LATER = "2026-01-12T10"
EXAMPLE = "2026-01-05T13"
"""The hour that the runbooks take as an example."""
FIRES_S = 90.0
"""A rule waits half a minute at most; kube-state-metrics, scrapes and a busy machine come to it."""

Named = Mapping[str, str]
"""What stands in a runbook for something that only its reader knows, and what that is here."""
NOTHING: Named = MappingProxyType({})


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pages call beside kubectl and helm: our own command, of this Python."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


def fires(watched: Watched, alert: str, stage: str) -> None:
    """Wait until an alert fires."""
    began = time.monotonic()
    until(lambda: watched.is_firing(alert, stage), f"{alert} of {stage}", FIRES_S)
    print(f"\n{alert} of {stage} fires after {time.monotonic() - began:.0f} s", end="")  # noqa: T201


def clears(watched: Watched, alert: str, stage: str) -> None:
    """Wait until an alert fires no more."""
    until(lambda: not watched.is_firing(alert, stage), f"no {alert} of {stage}", FIRES_S)


def look(watched: Watched, alert: str, stage: str, *, broken: str = "nothing", named: Named = NOTHING) -> str:
    """Run what a runbook says to look at, and return what is seen; what is broken may fail as the last of its block."""
    for query in documented("Look", RUNBOOKS / f"{alert}.md", "promql"):
        until(lambda query=query: watched.had(query), query)  # type: ignore[misc]
    return "\n".join(
        walk(watched, f"{commands.rstrip()} || true" if broken in commands else commands, stage)
        for commands in blocks(alert, "Look", named)
    )


def act(watched: Watched, alert: str, stage: str, block: int = 0, *, named: Named = NOTHING) -> None:
    """Run what a runbook says to do."""
    walk(watched, blocks(alert, "Do", named)[block], stage)


def blocks(alert: str, heading: str, named: Named) -> list[str]:
    """Return a runbook's commands, with what it names as examples replaced; AWS's own tool is not there."""
    found = [re.sub(r"^aws .*\n", "", one, flags=re.MULTILINE) for one in documented(heading, RUNBOOKS / f"{alert}.md")]
    for name, value in named.items():
        assert name in "".join(found), name
        found = [re.sub(rf"\b{name}\b", value, one) for one in found]
    return found


def walk(watched: Watched, commands: str, stage: str) -> str:
    """Run commands after those that all runbooks begin with; S3 and the mart are forwarded to here."""
    _, settings = documented("Before you begin", RUNBOOKS / "README.md")
    environment = watched.environment
    here = (
        f"MARQUEE_S3__ENDPOINT_URL={environment.s3.endpoint_url}"
        f" MARQUEE_MART__URL=mysql://marquee_loader@127.0.0.1:{environment.mart_port}/marquee"
    )
    forwarded = f'marquee() {{ {here} command marquee "$@"; }}\n'
    variables = settings.rpartition("marquee status")[0]
    return watched.release.run(f"{forwarded}{variables}{commands}", STAGE=stage)


def upgrade(watched: Watched, *values: str) -> None:
    """Upgrade the release to more values, and have Prometheus evaluate its rules."""
    chart = ("charts/marquee", "--namespace", watched.release.namespace, "--reuse-values")
    call("helm", "upgrade", watched.release.name, *chart, *(part for one in values for part in ("--set", one)))
    watched.reload()


def test_cronjob_that_somebody_suspended(watched: Watched) -> None:
    """The values have it at work; its managed fields tell that it was patched by hand."""
    upgrade(watched, "stages.schedule_fetch.suspend=false", "stages.schedule_fetch.schedule=0 0 29 2 *")
    watched.release.kubectl("patch", "cronjob", "one-marquee-schedule-fetch", "--patch", '{"spec": {"suspend": true}}')
    fires(watched, "MarqueeCronJobSuspended", "schedule_fetch")
    assert "manager: kubectl-patch" in look(watched, "MarqueeCronJobSuspended", "schedule-fetch")
    act(watched, "MarqueeCronJobSuspended", "schedule-fetch")
    clears(watched, "MarqueeCronJobSuspended", "schedule_fetch")
    act(watched, "MarqueeCronJobSuspended", "schedule-fetch", 1)


def test_job_that_finds_no_room(watched: Watched) -> None:
    """Its pod waits for more cores than there are; once the job is deleted, all is well."""
    create = ("create", "job", "huge", "--from=cronjob/one-marquee-schedule-fetch", "--dry-run=client", "-o", "json")
    enlarge = ("set", "resources", "--local", "-f", "-", "--requests=cpu=999", "--limits=cpu=999", "-o", "json")
    job = watched.release.kubectl(*enlarge, stdin=watched.release.kubectl(*create))
    watched.release.kubectl("apply", "-f", "-", stdin=job)
    fires(watched, "MarqueeJobStuck", "schedule_fetch")
    assert "Insufficient cpu" in look(watched, "MarqueeJobStuck", "schedule-fetch")
    act(watched, "MarqueeJobStuck", "schedule-fetch", named={"NAME": "huge"})
    clears(watched, "MarqueeJobStuck", "schedule_fetch")


def test_exporter_that_is_not_there(watched: Watched) -> None:
    """Its Deployment has no pod; with one again, all is well."""
    exporter = "deployment/one-marquee-exporter"
    watched.release.kubectl("scale", exporter, "--replicas=0")
    fires(watched, "MarqueeExporterAbsent", "exporter")
    until(lambda: not watched.release.find("pods", "app.kubernetes.io/component=exporter"), "the end of the exporter")
    seen = [walk(watched, one, "exporter") for one in documented("Look", RUNBOOKS / "MarqueeExporterAbsent.md")]
    assert "0/0" in seen[0]
    watched.release.kubectl("scale", exporter, "--replicas=1")
    clears(watched, "MarqueeExporterAbsent", "exporter")


def test_mart_that_refuses_its_loader(watched: Watched) -> None:
    """The exporter cannot look into it, and the release's test says so; once it is let in, all is well."""
    with watched.environment.mart_root() as cursor:
        cursor.execute("alter user marquee_loader account lock")
        try:
            fires(watched, "MarqueeExporterStuck", "exporter")
            seen = look(watched, "MarqueeExporterStuck", "exporter", broken="helm test")
        finally:
            cursor.execute("alter user marquee_loader account unlock")
    assert "account is locked: ask the server's administrator" in seen
    clears(watched, "MarqueeExporterStuck", "exporter")


def test_mart_that_lacks_what_the_lake_has(watched: Watched) -> None:
    """All of it, for it was lost; the load that the page names brings it back."""
    watched.environment.lose_mart()
    fires(watched, "MarqueeMartBehind", "mart_load")
    look(watched, "MarqueeMartBehind", "mart-load")
    act(watched, "MarqueeMartBehind", "mart-load")
    watched.release.finish("mart-load-now")
    clears(watched, "MarqueeMartBehind", "mart_load")
    assert watched.environment.ask("genre-hours")


def test_operator_that_is_killed(watched: Watched) -> None:
    """No driver comes, the job fails after its retries, and its log asks for the operator."""
    release = watched.release
    release.start(
        "rollup",
        "without-operator",
        MARQUEE_PERIOD=HOUR,
        MARQUEE_FORCE="true",
        MARQUEE_LAUNCHER__STARTUP_DEADLINE_S="5",
    )
    with operator_away():
        until(lambda: failed(watched, "without-operator"), "a job that fails without the operator", JOB_S)
        fires(watched, "MarqueeJobFailing", "rollup")
        assert "is the spark-operator running" in look(watched, "MarqueeJobFailing", "rollup")
    act(watched, "MarqueeJobFailing", "rollup")
    release.finish("rollup-now")
    clears(watched, "MarqueeJobFailing", "rollup")


def failed(watched: Watched, job: str) -> bool:
    """Tell whether a job has failed."""
    status = json.loads(watched.release.kubectl("get", "job", job, "-o", "json"))["status"]
    return any(one["type"] == "Failed" and one["status"] == "True" for one in status.get("conditions", []))


@contextmanager
def operator_away() -> Iterator[None]:
    """Take the spark-operator away while the body runs, and see it back; it is found as the runbook says."""
    found = json.loads(
        call(
            *("kubectl", "get", "deployments", "--all-namespaces", "-o", "json"),
            *("-l", "app.kubernetes.io/name=spark-operator,app.kubernetes.io/component=controller"),
        )
    )["items"]
    (operator,) = (one["metadata"] for one in found)
    this = ("kubectl", "-n", operator["namespace"])
    name = f"deployment/{operator['name']}"
    call(*this, "scale", name, "--replicas=0")
    try:
        yield
    finally:
        call(*this, "scale", name, "--replicas=1")
        call(*this, "rollout", "status", name, "--timeout=180s")


def test_hour_of_bad_events(watched: Watched) -> None:
    """One line more than an hour may have, and in the next hour as many: the first is missing, the second has rejects.

    Both files mended, one job makes both hours, and three alerts clear.
    """
    raw, plays = watched.environment.store("raw"), [("ann", 1, WINTER), ("bob", 2, CASE)]
    bad, worse = (f"{NEW_DAY}T02", 100), (f"{NEW_DAY}T01", 101)
    for hour, lines in (bad, worse):
        raw.put(*event_file(hour, plays, bad_lines=lines))
    watched.release.start("rollup", "bad-hour", MARQUEE_PERIOD=NEW_DAY)
    until(lambda: failed(watched, "bad-hour"), "a job that fails for its input", JOB_S)
    alerts = ("MarqueeRejectsHigh", "MarqueeStageFailing", "MarqueeWatermarkStuck", "MarqueeJobFailing")
    for alert in alerts:
        fires(watched, alert, "rollup")
    for alert in alerts[1:3]:
        assert "rejected" in look(watched, alert, "rollup"), alert
    assert f"{NEW_DAY}T02" in look(watched, "MarqueeRejectsHigh", "rollup", named={EXAMPLE: f"{NEW_DAY}T02"})
    for hour, _ in (bad, worse):
        raw.put(*event_file(hour, plays))
    act(watched, "MarqueeWatermarkStuck", "rollup", named={EXAMPLE: NEW_DAY})
    watched.release.finish("rollup-hole")
    for alert in alerts:
        clears(watched, alert, "rollup")


def test_hour_with_far_fewer_rows_than_a_week_before(watched: Watched) -> None:
    """Two plays where there were hundreds; the page says to widen the limits where such swings are usual."""
    upgrade(watched, "alerts.limits.rowCount.atLeast=100")
    watched.environment.store("raw").put(*event_file(WEEK_LATER, [("ann", 1, WINTER), ("bob", 2, CASE)]))
    watched.release.do("rollup", "few-rows", MARQUEE_PERIOD=WEEK_LATER)
    fires(watched, "MarqueeRowCountUnusual", "rollup")
    look(watched, "MarqueeRowCountUnusual", "rollup")
    upgrade(watched, "alerts.limits.rowCount.low=0")
    clears(watched, "MarqueeRowCountUnusual", "rollup")


def test_data_that_are_old(watched: Watched) -> None:
    """As they are here, being of January: with no events there is nothing pending."""
    fires(watched, "MarqueeDataStale", "mart_load")
    look(watched, "MarqueeDataStale", "mart-load")
