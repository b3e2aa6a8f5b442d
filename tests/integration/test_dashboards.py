"""The health dashboard and the alerts, on a real Prometheus that scrapes a real exporter of a small lake."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from jobs.exporter.collectors import make_collectors
from jobs.exporter.exporter import Exporter
from jobs.exporter.settings import ExporterSettings
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Labelled
from marquee.telemetry.server import MetricsServer, serving
from tests.charts.dashboards import dashboard, filled_in, queries
from tests.charts.rendering import ALERTS_ON, STAGING, of_kind, render
from tests.prometheus_server import Prometheus, prometheus_server
from tests.schedule_service import schedule_service
from tests.small_world import CASE, DAY, WINTER, SmallWorld, tell_schedule

pytestmark = [pytest.mark.helm, pytest.mark.prometheus]

NOON = datetime(2026, 1, 6, 12, 30, tzinfo=UTC)
VALUES = {"environment": "r"}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a lake with two hours, the second with a bad line, and a late file after the run."""
    folder = tmp_path_factory.mktemp("dashboards")
    world = SmallWorld(folder / "world")
    with schedule_service() as service, pytest.MonkeyPatch.context() as monkeypatch:
        world.configure(service.url)
        tell_schedule(service)
        world.events(f"{DAY}T10", [("ann", 1, WINTER), ("bob", 2, WINTER)])
        world.events(f"{DAY}T12", [("ann", 1, CASE)], bad_lines=1)
        assert world.run() == 0
        world.events(f"{DAY}T12", [("bob", 5, CASE)], file=1)
        monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
        settings = load_settings(ExporterSettings)
        markers = Markers(settings.store)
        exporter = Exporter(make_collectors(settings, markers, lambda: NOON), markers, 600.0, lambda: NOON)
        exporter.refresh()
        registry = CollectorRegistry()
        registry.register(Labelled(exporter, environment="r"))
        rule = of_kind(render("marquee", STAGING, *ALERTS_ON), "PrometheusRule")["r-marquee"]
        with (
            serving(MetricsServer("127.0.0.1", 0, registry)) as server,
            prometheus_server(
                folder / "prometheus", [f"127.0.0.1:{server.server_port}"], rule["spec"]["groups"][0]["rules"]
            ) as prometheus,
        ):
            prometheus.wait_for("count_over_time(marquee_build_info[1m]) > 2")  # an increase needs two samples
            prometheus.wait_for("marquee:freshness_target_seconds")
            yield prometheus


def test_panels_of_health_have_data(prometheus: Prometheus) -> None:
    """Every panel of the health dashboard has data, except for running jobs, last week, and absent events."""
    empty = {
        (title, query)
        for title, query in queries(dashboard("pipeline-health"))
        if not prometheus.ask(filled_in(query, VALUES))
    }
    of_jobs = {(title, query) for title, query in empty if any(one.name in query for one in metrics.JOBS)}
    left = {(title, query) for title, query in empty - of_jobs if metrics.WEEK_BEFORE_ROWS.name not in query}
    # No period of the schedule or of profiles is open, and nothing was rejected.
    assert sorted(title for title, _ in left) == ["Oldest open period"] * 4 + ["Rejects and duplicates"]
    assert of_jobs


def test_heat_map_shows_the_late_file(prometheus: Prometheus) -> None:
    """The heat map begins at the first hour and shows yesterday's finished hours and the stale hour."""
    (query,) = (query for title, query in queries(dashboard("pipeline-health")) if title.startswith("Hours of"))
    found = {
        (one["metric"]["days_ago"], one["metric"]["hour"]): one["value"][1]
        for one in prometheus.ask(filled_in(query, VALUES))
    }
    assert [found["1", hour] for hour in ("10", "11", "12")] == ["1", "1", "3"]
    assert ("1", "09") not in found


def test_rules_are_evaluated(prometheus: Prometheus) -> None:
    """Prometheus evaluates every rule without an error and has the freshness targets of every stage and grain."""
    prometheus.wait_for("count(marquee:freshness_target_seconds) >= 12")
    rules = prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule.get("lastError") for rule in rules if rule.get("lastError")] == []
