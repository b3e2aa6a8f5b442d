"""Monitoring of a release: a real Prometheus scrapes exporter and jobs by their PodMonitors, and has the alerts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from marquee.lake.datasets import VIEWERSHIP
from tests.e2e_cluster.cluster import until
from tests.e2e_cluster.conftest import Watched

RULES = Path(__file__).parents[2] / "charts" / "marquee" / "rules"


def test_exporter_tells_what_the_markers_say(watched: Watched) -> None:
    """The exporter shows both days as complete in lake and mart, and the row counts of the manifests."""
    markers = watched.environment.markers()

    def value(query: str) -> float:
        (series,) = until(lambda: watched.prometheus.ask(query), query)
        return float(series["value"][1])

    end = datetime(2026, 1, 7, tzinfo=UTC).timestamp()
    for stage in ("rollup", "mart_load"):
        of = f'{{environment="one", stage="{stage}", grain="hour"}}'
        assert value(f"marquee_newest_period_end_timestamp_seconds{of}") == end
        assert value(f"marquee_watermark_timestamp_seconds{of}") == end
    rows = sum(one.rows(VIEWERSHIP) for name, one in markers.items() if name.startswith("rollup/"))
    assert value('marquee_dataset_rows{dataset="viewership"}') == rows
    assert value("sum(marquee_mart_generations_behind)") == 0


@pytest.mark.parametrize("stage", ["rollup", "profile"])
def test_job_on_spark_tells_how_far_it_is_while_it_runs(watched: Watched, stage: str) -> None:
    """Prometheus scrapes a running Spark job at both ports of its driver, with executors, under stable names."""
    told = (
        f'marquee_job_periods{{environment="one", stage="{stage}", state="left"}}',
        f'metrics_{stage}_driver_DAGScheduler_job_allJobs_Value{{environment="one"}}',
        f'metrics_executor_totalCores{{environment="one", pod=~".*-{stage}-.*", executor_id!="driver"}}',
    )
    assert [metric for metric in told if not watched.had(metric)] == []


def test_job_in_its_own_pod_tells_how_far_it_is(watched: Watched) -> None:
    """Prometheus scrapes a job in its own pod at the PodMonitor's port; a lock keeps the job waiting until then."""
    metric = 'marquee_job_periods{environment="one", stage="mart_load", state="left"} > 0'
    with watched.environment.mart_root() as cursor:
        cursor.execute("select * from marquee.kiosk for update")
        watched.release.start("mart-load", "watched-mart-load", MARQUEE_PERIOD="2026-01", MARQUEE_FORCE="true")
        until(lambda: watched.prometheus.ask(metric), metric)
    watched.release.finish("watched-mart-load")


def test_rules_and_dashboards_are_there(watched: Watched) -> None:
    """Every rule is evaluated without an error, and the dashboards are in ConfigMaps for Grafana's sidecar."""
    until(lambda: all(one["health"] == "ok" for one in watched.prometheus.rules()), "rules that have been evaluated")
    alerts = {path.stem for path in RULES.glob("Marquee*.yaml")}
    suspended = {"MarqueeCronJobSuspended"}  # the values suspend all stages
    assert {one["name"] for one in watched.prometheus.rules() if one["type"] == "alerting"} == alerts - suspended
    boards = watched.release.find("configmaps", "grafana_dashboard=1")
    assert {key for one in boards for key in one["data"]} == {
        "pipeline-health.json",
        "spark-runs.json",
        "audience.json",
    }
