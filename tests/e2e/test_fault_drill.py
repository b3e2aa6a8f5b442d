"""The fault drill: real faults, and a real Prometheus that shows which of the chart's alerts fire.

The pipeline runs over a few hours of events up to now, into a MariaDB; an exporter in a process of its own publishes
its state. Only time is simulated: waiting times of alerts pass ``SPEED`` times faster (``sped_up``). The data keep real
time: an hour of events is an hour, so a drill sets the freshness target to expire when it wants, through the chart's
values.

``pytest -s`` prints the measured times; docs/operations.md has the table. The metrics of jobs and CronJobs from
kube-state-metrics are drilled in a cluster: ``tests/e2e_cluster/test_watching_alerts.py``.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from marquee.calendar import DAY, HOUR, Grain, Period
from tests.charts.rendering import ALERTS_ON, STAGING, of_kind, render
from tests.mariadb_server import MysqlDatabase, SqlServer, mariadb_server, mysql_database
from tests.ports import free_port
from tests.prometheus_server import Prometheus, prometheus_server
from tests.schedule_service import ScheduleService, answer, schedule_service
from tests.small_world import CASE, WINTER, SmallWorld
from tests.sped_up import SPEED, sped_up

pytestmark = [pytest.mark.helm, pytest.mark.prometheus]

LOOK_S = 3.0
"""Tolerance of measured times: exporter, scrapes and evaluation of rules each run once a second."""
LOOKS_BACK_S = 2 * 3600 // SPEED
"""Age that the history needs for MarqueeDataStale, which does not fire without it."""
LATE = {("MarqueeExporterAbsent", "warning"), ("MarqueeExporterStuck", "warning")}
"""Tickets that need no fault on a busy machine, where a scrape or a refresh is some seconds late."""
PATIENCE_S = 60.0
NEVER_H = 1000
"""Freshness targets in hours that do not expire here; the events begin a few hours ago, at any time of day."""
LAST_DAY = "MARQUEE_SCHEDULE_FETCH__LAST_DAY"

Fired = tuple[str, str, str, str]
"""(alert, severity, stage, grain or collector)."""
Due = tuple[float, float]
"""(start, a Unix time; seconds that the alert then waits with the chart's default values)."""
MINUTE = 60.0


class Exporter:
    """The exporter as a process that can be stopped and started again at the same port."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._settings = settings | {"MARQUEE_METRICS__PORT": self.address.partition(":")[2]}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the exporter and wait until every collector has refreshed."""
        self._process = subprocess.Popen([sys.executable, "-m", "jobs.exporter"], env=self._settings)
        patience_ends = time.monotonic() + PATIENCE_S
        while not is_ready(f"http://{self.address}/readyz"):
            assert self._process.poll() is None
            assert time.monotonic() < patience_ends
            time.sleep(0.1)  # between two checks

    def stop(self) -> None:
        """Stop the exporter, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None


@dataclass
class Drill:
    """The running pipeline; ``hour`` is the newest one with events, followed by enough hours for all tests."""

    world: SmallWorld
    settings: dict[str, str]
    service: ScheduleService
    mart: MysqlDatabase
    exporter: Exporter
    prometheus: Prometheus
    today: str
    hour: Period

    @property
    def server(self) -> SqlServer:
        """The server of the mart."""
        return self.mart.server

    def next_hour(self) -> None:
        """Add the events of the next hour."""
        self.hour = self.hour.next()
        self.world.events(str(self.hour), [("ann", 1, WINTER), ("bob", 2, CASE)])

    def more_events(self, file: int, bad_lines: int = 0) -> None:
        """Add a file to the newest hour, or write the same file again."""
        self.world.events(str(self.hour), [("ann", 2 + file, WINTER)], file, bad_lines)

    def run(self, *commands: str) -> int:
        """Run stages (all by default); return the exit code."""
        return marquee(self.settings, *(commands or ("run",)))

    def values(self, query: str) -> list[float]:
        """Return the values of the series of a query."""
        return [float(one["value"][1]) for one in self.prometheus.ask(query)]

    def run_out(self, **grains: str) -> float:
        """Let freshness targets expire in two seconds, through the chart's values; return the time of expiry."""
        self.prometheus.wait_for(f"marquee_build_info offset {LOOKS_BACK_S}s")
        runs_out = time.time() + 2
        limits = []
        for stage, grain in grains.items():
            (end,) = self.values(f'marquee_newest_period_end_timestamp_seconds{{stage="{stage}", grain="{grain}"}}')
            limits.append(f"alerts.limits.freshnessHours.{stage}.{grain}={(runs_out - end) / 3600:.6f}")
        self.prometheus.load(rules_of(*limits))
        return runs_out

    def firing(self) -> set[Fired]:
        """Return the alerts that fire now."""
        found = (one["metric"] for one in self.prometheus.ask('ALERTS{alertstate="firing"}'))
        return {
            (one["alertname"], one["severity"], one["stage"], one.get("grain", one.get("part", ""))) for one in found
        }

    def see(self, fault: str, expected: dict[Fired, Due]) -> None:
        """Wait until the expected alerts fire, none of them too early, and no other alert."""
        seen: dict[Fired, float] = {}
        patience_ends = time.time() + PATIENCE_S
        while set(expected) - set(seen):
            assert time.time() < patience_ends, (fault, set(expected) - set(seen), seen)
            for one in self.firing():
                seen.setdefault(one, time.time())
            time.sleep(0.1)  # between two checks
        assert {one for one in seen if one not in expected and one[:2] not in LATE} == set(), fault
        for one, (since, waits) in expected.items():
            at = seen[one]
            due = f"due after {waits / SPEED:.1f} s, of {waits / MINUTE:.0f} minutes"
            say(f"{fault}: {' '.join(one)} after {at - since:.1f} s, {due}")
            assert at - since > waits / SPEED - LOOK_S, one

    def clears(self, fault: str) -> None:
        """Wait until no alert fires."""
        began = time.time()
        while self.firing():
            assert time.time() < began + PATIENCE_S, (fault, self.firing())
            time.sleep(0.1)  # between two checks
        say(f"{fault}: clear after {time.time() - began:.1f} s")


def say(text: str) -> None:
    """Print a measured time."""
    sys.stdout.write(f"\n{text}")


def marquee(settings: dict[str, str], *arguments: str) -> int:
    """Run a command in a process of its own, and return its exit code."""
    return subprocess.run([sys.executable, "-m", "jobs.cli", *arguments], env=settings, check=False).returncode


def rules_of(*limits: str) -> list[dict[str, Any]]:
    """Return the rules of the chart, with these limits, sped up."""
    never = [f"alerts.limits.freshnessHours.{one}.hour={NEVER_H}" for one in ("rollup", "mart_load")]
    objects = render("marquee", STAGING, *ALERTS_ON, "environment=r", *never, *limits)
    groups = of_kind(objects, "PrometheusRule")["r-marquee"]["spec"]["groups"]
    return sped_up([rule for group in groups for rule in group["rules"]])


def is_ready(url: str) -> bool:
    """Return whether a URL answers with success."""
    try:
        urllib.request.urlopen(url).close()  # noqa: S310 - our own server
    except (urllib.error.URLError, ConnectionError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False
    return True


@pytest.fixture(scope="module")
def running(mariadb_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A pipeline after a full run over one hour, four hours ago, with three later hours and today's schedule left."""
    folder = tmp_path_factory.mktemp("drill")
    world = SmallWorld(folder / "world")
    now = datetime.now(UTC)
    hour = Period.containing(now - 4 * HOUR, Grain.HOUR)
    today, yesterday = (str(Period.containing(one, Grain.DAY)) for one in (now, now - DAY))
    with (
        schedule_service() as service,
        mariadb_server(mariadb_data, folder / "m") as server,
        mysql_database(server) as mart,
    ):
        world.configure(service.url, (yesterday, today))
        settings = {name: value for name, value in os.environ.items() if not name.startswith("MARQUEE_")} | {
            "MARQUEE_CONFIG": str(world.config),
            "MARQUEE_ENVIRONMENT": "r",
            "MARQUEE_LOG__LEVEL": "error",
            "MARQUEE_MART__URL": mart.url,
            "MARQUEE_MART__PASSWORD": mart.password,
            "MARQUEE_MART__MIN_CELL": "1",  # hours of a day that is not over
            "MARQUEE_MART__RETRY_FOR_S": "1",  # a run that waits ten minutes for MySQL reports no fault until then
            "MARQUEE_METRICS__ADDRESS": "127.0.0.1",
            "MARQUEE_EXPORTER__INTERVAL_S": "1",
            "MARQUEE_EXPORTER__GARBAGE_EVERY_H": f"{6 / SPEED}",
            "MARQUEE_ROLLUP__GRACE_MINUTES": "0",
            "MARQUEE_ROLLUP__REJECT_LINES": "100",  # the default, not the value of the small world
        }
        world.events(str(hour), [("ann", 1, WINTER), ("bob", 2, CASE)])
        assert marquee(settings, "mart", "init") == 0
        exporter = Exporter(settings)
        settings[LAST_DAY] = yesterday
        assert marquee(settings, "run") == 0
        exporter.start()
        try:
            with prometheus_server(folder / "prometheus", [exporter.address], rules_of()) as prometheus:
                prometheus.wait_for("marquee:freshness_target_seconds")
                prometheus.wait_for("marquee_build_info")
                yield Drill(world, settings, service, mart, exporter, prometheus, today, hour)
        finally:
            exporter.stop()


@pytest.fixture
def drill(running: Drill) -> Drill:
    """The pipeline without firing alerts and without an expiring freshness target."""
    running.prometheus.load(rules_of())
    running.clears("before")
    return running


# The faults


def test_rejects_fill_up(drill: Drill) -> None:
    """An hour with the maximum of bad lines is published, and a ticket reports them until the next hour."""
    drill.more_events(1, bad_lines=100)
    assert drill.run("rollup") == 0
    drill.see("rejects", {("MarqueeRejectsHigh", "warning", "rollup", "hour"): (time.time(), 5 * MINUTE)})
    drill.next_hour()
    assert drill.run() == 0
    drill.clears("rejects")


def test_rejects_fill_up_over_the_threshold(drill: Drill) -> None:
    """One bad line more fails the hour, which keeps its content, and a ticket reports it until the file is mended."""
    drill.more_events(2, bad_lines=101)
    assert drill.run("rollup") == 65
    drill.see("too many", {("MarqueeStageFailing", "warning", "rollup", "hour"): (time.time(), 75 * MINUTE)})
    drill.more_events(2)
    assert drill.run() == 0
    drill.clears("too many")


def test_events_stop(drill: Drill) -> None:
    """When events stop, stale hours are a ticket for the rollup and a page for the mart, which users read."""
    ran_out = drill.run_out(rollup="hour", mart_load="hour")
    expected = {
        ("MarqueeDataStale", "warning", "rollup", "hour"): (ran_out, 10 * MINUTE),
        ("MarqueeDataStale", "critical", "mart_load", "hour"): (ran_out, 10 * MINUTE),
    }
    drill.see("events", expected)
    drill.next_hour()
    assert drill.run() == 0
    drill.clears("events")


def test_schedule_service_breaks(drill: Drill) -> None:
    """When a new day cannot be captured, the alerts are tickets, because its plays are counted anyway."""
    del drill.settings[LAST_DAY]
    drill.service.tell(f"/schedule?country=KR&date={drill.today}", answer([], status=503))
    assert drill.run("schedule-fetch") == 75
    failed = time.time()
    ran_out = drill.run_out(schedule_fetch="day")
    expected = {
        ("MarqueeStageFailing", "warning", "schedule_fetch", "day"): (failed, 75 * MINUTE),
        ("MarqueeDataStale", "warning", "schedule_fetch", "day"): (ran_out, 10 * MINUTE),
    }
    drill.see("schedule service", expected)
    drill.service.tell(f"/schedule?country=KR&date={drill.today}", answer([]))
    assert drill.run() == 0
    drill.clears("schedule service")


def test_mysql_stops(drill: Drill) -> None:
    """When MySQL stops, the exporter's failed collector is a ticket, and data past the freshness target are a page."""
    drill.server.stop()
    stopped = time.time()
    try:
        drill.next_hour()
        assert drill.run() == 75
        ran_out = drill.run_out(mart_load="hour")
        expected = {
            ("MarqueeExporterStuck", "warning", "exporter", "mart"): (stopped, 35 * MINUTE),
            ("MarqueeDataStale", "critical", "mart_load", "hour"): (ran_out, 10 * MINUTE),
        }
        drill.see("MySQL", expected)
    finally:
        drill.server.start()
    assert drill.run() == 0
    drill.clears("MySQL")


def test_mysql_refuses_rows(drill: Drill) -> None:
    """When MySQL refuses the loader's rows, tickets report failed loads of every grain and a mart that is behind."""
    drill.mart.ask(f"revoke insert on {drill.mart.name}.* from {drill.mart.user}")
    (loaded,) = drill.values('max(marquee_last_run_finished_timestamp_seconds{stage="mart_load"})')
    drill.more_events(3)
    assert drill.run() != 0
    failed = time.time()
    grains = ("hour", "day", "week", "month", "quarter")
    expected: dict[Fired, Due] = {
        ("MarqueeStageFailing", "warning", "mart_load", one): (failed, 75 * MINUTE) for one in grains
    }
    expected["MarqueeMartBehind", "warning", "mart_load", ""] = (loaded, 150 * MINUTE)
    drill.see("MySQL refuses", expected)
    drill.mart.ask(f"grant insert on {drill.mart.name}.* to {drill.mart.user}")
    assert drill.run() == 0
    drill.clears("MySQL refuses")


def test_exporter_stops(drill: Drill) -> None:
    """An absent exporter is a ticket at first, and a page after the limit of the values, here one hour."""
    drill.prometheus.load(rules_of("alerts.limits.blindHours=1"))
    drill.exporter.stop()
    stopped = time.time()
    expected = {
        ("MarqueeExporterAbsent", "warning", "exporter", ""): (stopped, 15 * MINUTE),
        ("MarqueeExporterAbsent", "critical", "exporter", ""): (stopped, 60 * MINUTE),
    }
    drill.see("exporter", expected)
    drill.exporter.start()
    drill.clears("exporter")


def test_only_waiting_is_sped_up() -> None:
    """Speeding up changes the waiting times of a rule, an hour to ten seconds, and no other number."""
    rule = {"alert": "A", "for": "10m", "expr": 'a{b="c"}[1h:5m] offset 2h < 4 * 3600 or d < time() - 1800'}
    quick = {"for": "1666ms", "expr": 'a{b="c"}[10000ms:833ms] offset 20000ms < 4 * 3600 or d < time() - 5.0'}
    assert sped_up([rule]) == [rule | quick]
