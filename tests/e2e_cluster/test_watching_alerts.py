"""Runbooks in practice: each test causes a problem, its alert fires, the page's commands are run, and the alert clears.

Waiting is sped up (tests/sped_up.py). These tests run last, because they change the lake.
"""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from marquee.lake import keys
from marquee.lake.erasure_progress import note_completed
from marquee.lake.erasures import Request, write_request
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.storage.base import Store
from tests.e2e_cluster.cluster import JOB_S, call, documented, until
from tests.e2e_cluster.conftest import Watched
from tests.e2e_cluster.faults import operator
from tests.small_world import CASE, WINTER, event_file

pytestmark = pytest.mark.day2

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
HOUR = "2026-01-05T10"
NEW_DAY = "2026-01-07"
WEEK_LATER = "2026-01-12T10"
EXAMPLE = "2026-01-05T13"
"""The hour that the runbooks use as an example."""
FIRES_S = 90.0
"""A rule waits half a minute at most; kube-state-metrics, scrapes and a busy machine add to that."""

Named = Mapping[str, str]
"""Placeholders in runbooks for values that only the reader knows, and their values here."""
NOTHING: Named = MappingProxyType({})


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the `marquee` command of this Python into PATH, for the commands of the runbooks."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


def fires(watched: Watched, alert: str, stage: str, **labels: str) -> None:
    """Wait until an alert fires."""
    began = time.monotonic()
    until(lambda: watched.is_firing(alert, stage, **labels), f"{alert} of {stage}", FIRES_S)
    print(f"\n{alert} of {stage} fires after {time.monotonic() - began:.0f} s", end="")  # noqa: T201


def clears(watched: Watched, alert: str, stage: str, **labels: str) -> None:
    """Wait until an alert no longer fires."""
    until(lambda: not watched.is_firing(alert, stage, **labels), f"no {alert} of {stage}", FIRES_S)


def look(watched: Watched, alert: str, stage: str, *, broken: str = "nothing", named: Named = NOTHING) -> str:
    """Run the "Diagnose" commands of a runbook; return their output. A command that contains ``broken`` may fail."""
    for query in documented("Diagnose", RUNBOOKS / f"{alert}.md", "promql"):
        until(lambda query=query: watched.had(query), query)  # type: ignore[misc]
    return "\n".join(
        walk(watched, f"{commands.rstrip()} || true" if broken in commands else commands, stage)
        for commands in blocks(alert, "Diagnose", named)
    )


def act(watched: Watched, alert: str, stage: str, block: int = 0, *, named: Named = NOTHING) -> None:
    """Run the remedy of a runbook."""
    walk(watched, blocks(alert, "Resolve", named)[block], stage)


def blocks(alert: str, heading: str, named: Named) -> list[str]:
    """Return a runbook's commands, with its example names replaced and without those of AWS's own tool."""
    found = [re.sub(r"^aws .*\n", "", one, flags=re.MULTILINE) for one in documented(heading, RUNBOOKS / f"{alert}.md")]
    for name, value in named.items():
        assert name in "".join(found), name
        found = [re.sub(rf"\b{name}\b", value, one) for one in found]
    return found


def walk(watched: Watched, commands: str, stage: str) -> str:
    """Run the commands common to all runbooks and then these, with S3 and the mart forwarded to this machine."""
    _, settings = documented("Before you begin", RUNBOOKS / "README.md")
    environment = watched.environment
    here = (
        f"MARQUEE_S3__ENDPOINT_URL={environment.s3.endpoint_url}"
        f" MARQUEE_MART__URL=mysql://marquee_loader@127.0.0.1:{environment.mart_port}/marquee MARQUEE_MART__MIN_CELL=1"
    )
    forwarded = f'marquee() {{ {here} command marquee "$@"; }}\n'
    variables = settings.rpartition("marquee status")[0]
    return watched.release.run(f"{forwarded}{variables}{commands}", STAGE=stage)


def upgrade(watched: Watched, *values: str) -> None:
    """Upgrade the release with additional values, and let Prometheus evaluate its rules."""
    watched.release.upgrade("--reuse-values", values=values)
    watched.reload()


def test_cronjob_that_somebody_suspended(watched: Watched) -> None:
    """A CronJob suspended by hand, against the values, fires an alert, and its managed fields show the manual patch."""
    upgrade(watched, "stages.schedule_fetch.suspend=false", "stages.schedule_fetch.schedule=0 0 29 2 *")
    watched.release.kubectl("patch", "cronjob", "one-marquee-schedule-fetch", "--patch", '{"spec": {"suspend": true}}')
    fires(watched, "MarqueeCronJobSuspended", "schedule_fetch")
    assert "manager: kubectl-patch" in look(watched, "MarqueeCronJobSuspended", "schedule-fetch")
    act(watched, "MarqueeCronJobSuspended", "schedule-fetch")
    clears(watched, "MarqueeCronJobSuspended", "schedule_fetch")
    act(watched, "MarqueeCronJobSuspended", "schedule-fetch", 1)


def test_job_that_finds_no_room(watched: Watched) -> None:
    """A job whose pod requests more cores than exist fires an alert, which clears once the job is deleted."""
    create = ("create", "job", "huge", "--from=cronjob/one-marquee-schedule-fetch", "--dry-run=client", "-o", "json")
    enlarge = ("set", "resources", "--local", "-f", "-", "--requests=cpu=999", "--limits=cpu=999", "-o", "json")
    job = watched.release.kubectl(*enlarge, stdin=watched.release.kubectl(*create))
    watched.release.kubectl("apply", "-f", "-", stdin=job)
    for alert in ("MarqueePodNotStarting", "MarqueeJobStuck"):
        fires(watched, alert, "schedule_fetch")
        assert "Insufficient cpu" in look(watched, alert, "schedule-fetch")
    act(watched, "MarqueeJobStuck", "schedule-fetch", named={"NAME": "huge"})
    clears(watched, "MarqueeJobStuck", "schedule_fetch")
    clears(watched, "MarqueePodNotStarting", "schedule_fetch")


def test_job_without_its_image(watched: Watched) -> None:
    """A job whose image does not exist fires an alert, which clears once the job is deleted as the page says."""
    source = "--from=cronjob/one-marquee-schedule-fetch"
    create = ("create", "job", "no-image", source, "--dry-run=client", "-o", "json")
    image = ("set", "image", "--local", "-f", "-", "schedule-fetch=marquee/schedule_fetch:none-such", "-o", "json")
    job = watched.release.kubectl(*image, stdin=watched.release.kubectl(*create))
    watched.release.kubectl("apply", "-f", "-", stdin=job)
    fires(watched, "MarqueePodNotStarting", "schedule_fetch")
    assert "none-such" in look(watched, "MarqueePodNotStarting", "schedule-fetch")
    act(watched, "MarqueePodNotStarting", "schedule-fetch")
    clears(watched, "MarqueePodNotStarting", "schedule_fetch")


def test_exporter_that_is_not_there(watched: Watched) -> None:
    """An exporter Deployment without a pod fires an alert, which clears once a pod runs again."""
    exporter = "deployment/one-marquee-exporter"
    watched.release.kubectl("scale", exporter, "--replicas=0")
    fires(watched, "MarqueeExporterAbsent", "exporter")
    until(lambda: not watched.release.find("pods", "app.kubernetes.io/component=exporter"), "the end of the exporter")
    seen = [walk(watched, one, "exporter") for one in documented("Diagnose", RUNBOOKS / "MarqueeExporterAbsent.md")]
    assert "0/0" in seen[0]
    watched.release.kubectl("scale", exporter, "--replicas=1")
    clears(watched, "MarqueeExporterAbsent", "exporter")


def test_mart_that_refuses_its_loader(watched: Watched) -> None:
    """A mart that refuses its loader fails the exporter's collector and the release's test until access is restored."""
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
    """A lost mart fires an alert, and the load command of the page restores it."""
    watched.environment.lose_mart()
    fires(watched, "MarqueeMartBehind", "mart_load")
    look(watched, "MarqueeMartBehind", "mart-load")
    act(watched, "MarqueeMartBehind", "mart-load")
    watched.release.finish("mart-load-now")
    clears(watched, "MarqueeMartBehind", "mart_load")
    assert watched.environment.ask("genre-hours")


def test_operator_that_is_killed(watched: Watched) -> None:
    """Without the operator no driver starts, the job fails after its retries, and its log names the operator."""
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
        # The runbook ends with the chart's test, which fails without the operator.
        with pytest.raises(AssertionError, match="Check that the spark-operator is running"):
            look(watched, "MarqueeJobFailing", "rollup")
    act(watched, "MarqueeJobFailing", "rollup")
    release.finish("rollup-now")
    clears(watched, "MarqueeJobFailing", "rollup")


def failed(watched: Watched, job: str) -> bool:
    """Return whether a job has failed."""
    status = json.loads(watched.release.kubectl("get", "job", job, "-o", "json"))["status"]
    return any(one["type"] == "Failed" and one["status"] == "True" for one in status.get("conditions", []))


@contextmanager
def operator_away() -> Iterator[None]:
    """Stop the spark-operator while the body runs, found as the runbook describes, and start it again."""
    found = operator()
    this, name = ("kubectl", "-n", found["namespace"]), f"deployment/{found['name']}"
    call(*this, "scale", name, "--replicas=0")
    try:
        yield
    finally:
        call(*this, "scale", name, "--replicas=1")
        call(*this, "rollout", "status", name, "--timeout=180s")


def test_hour_of_bad_events(watched: Watched) -> None:
    """An hour above the reject limit fails, and the next hour at the limit is published with rejects.

    When both files are mended, one job makes both hours, and three alerts clear.
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


def test_file_that_was_lost(watched: Watched) -> None:
    """A file of the sink that is missing between others fires an alert, and it clears when the file is there again."""
    raw, plays = watched.environment.store("raw"), [("ann", 1, WINTER), ("bob", 2, CASE), ("ann", 3, CASE)]
    key, lines = event_file(f"{NEW_DAY}T03", plays)
    first, second, lost, last = (key.replace("plays+0+0000000000", f"plays+77+{offset:010}") for offset in (0, 3, 6, 9))
    for one in (first, second, last):
        raw.put(one, lines)
    watched.release.do("rollup", "lost-file", MARQUEE_PERIOD=NEW_DAY)
    fires(watched, "MarqueeRecordsMissing", "rollup", kafka_partition="77")  # a late file is missing in another one
    seen = look(watched, "MarqueeRecordsMissing", "rollup")
    assert f"{NEW_DAY}T03 3 records of plays, partition 77, are missing: offsets 6 to 8" in seen
    raw.put(lost, lines)
    watched.release.do("rollup", "found-file", MARQUEE_PERIOD=NEW_DAY)
    clears(watched, "MarqueeRecordsMissing", "rollup", kafka_partition="77")


def test_file_that_arrives_after_others_have_expired(watched: Watched) -> None:
    """A late file of an hour whose other file is gone fires an alert, and the page's job counts it alone."""
    raw, hour = watched.environment.store("raw"), f"{NEW_DAY}T03"
    for info in raw.list(event_file(hour, [])[0].rpartition("/")[0]):
        raw.delete(info.key)
    raw.put(*event_file(hour, [("ann", 1, WINTER)], file=1))
    fires(watched, "MarqueeLateFileHeld", "rollup")
    assert "1 late or replaced file is held" in look(watched, "MarqueeLateFileHeld", "rollup")
    act(watched, "MarqueeLateFileHeld", "rollup", named={EXAMPLE: hour})
    watched.release.finish("from-what-is-left")
    clears(watched, "MarqueeLateFileHeld", "rollup")


def test_request_to_erase_that_nobody_has_completed(watched: Watched) -> None:
    """A request that is due tomorrow fires an alert, which clears when the stages have run and nothing is left."""
    upgrade(watched, "settings.erasure.days=1")
    lake = watched.environment.store("lake")
    write_request(lake, Request((1,)), keys.new_run_id(datetime.now(UTC)))
    fires(watched, "MarqueeErasureAtRisk", "rollup")
    assert "due" in look(watched, "MarqueeErasureAtRisk", "rollup")
    for stage in ("rollup", "profile"):
        watched.release.do(stage, f"{stage}-erases")
    listed = {one.key for marker in made_in(lake) for one in marker.outputs}
    for info in list(lake.list("data/")):  # what the other tests have left would be collected after a week
        if info.key not in listed:
            lake.delete(info.key)
    assert len(note_completed(Markers(lake), datetime.now(UTC))) == 1
    clears(watched, "MarqueeErasureAtRisk", "rollup")


def made_in(lake: Store) -> list[Marker]:
    """Return the markers of a lake."""
    markers = Markers(lake)
    return [one for stage in keys.STAGES for one in markers.of(stage).values()]


def test_hour_with_far_fewer_rows_than_a_week_before(watched: Watched) -> None:
    """An hour with two plays instead of hundreds fires an alert, and the page explains how to widen the limits."""
    upgrade(watched, "alerts.limits.rowCount.atLeast=100")
    watched.environment.store("raw").put(*event_file(WEEK_LATER, [("ann", 1, WINTER), ("bob", 2, CASE)]))
    watched.release.do("rollup", "few-rows", MARQUEE_PERIOD=WEEK_LATER)
    fires(watched, "MarqueeRowCountUnusual", "rollup")
    look(watched, "MarqueeRowCountUnusual", "rollup")
    upgrade(watched, "alerts.limits.rowCount.low=0")
    clears(watched, "MarqueeRowCountUnusual", "rollup")


def test_data_that_are_old(watched: Watched) -> None:
    """Old data fire the staleness alert although nothing is pending, like the data of January here."""
    fires(watched, "MarqueeDataStale", "mart_load")
    look(watched, "MarqueeDataStale", "mart-load")


def test_retention_that_is_behind(watched: Watched) -> None:
    """Answers of the schedule that should have ended weeks ago fire an alert; a run of retention clears it."""
    days, keys_of = "settings.retention.schedule_raw_days=7", "secrets.s3Retain.name=marquee-s3"
    upgrade(watched, days, keys_of, "stages.retain.enabled=true")
    fires(watched, "MarqueeRetentionBehind", "rollup")
    look(watched, "MarqueeRetentionBehind", "rollup")
    watched.release.do("retain", "retain-now")
    clears(watched, "MarqueeRetentionBehind", "rollup")
