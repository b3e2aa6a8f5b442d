"""The dashboards' queries over everything that Prometheus scraped during the monitoring tests, which run before."""

import re

import pytest

from marquee.telemetry import metrics
from tests.charts.dashboards import dashboard, filled_in, queries
from tests.e2e_cluster.conftest import Watched

pytestmark = pytest.mark.day2

NOTHING_TO_TELL = {one.name for one in (metrics.STORE_ERRORS, metrics.WEEK_BEFORE_ROWS, metrics.OLDEST_OPEN)}
"""Metrics without data when there is no problem, or when the lake has no data of a week ago."""
OF_BRIEF_JOBS = {metrics.NEWEST_REJECTS.name, *(one.name for one in metrics.JOBS)}
"""Metrics of jobs that take seconds: scraped once, which is no increase, or never; nothing is rejected."""


def may_be_empty(query: str) -> bool:
    """Return whether a query may have no result here; Spark's jobs last long enough to be scraped."""
    names = set(re.findall(r"marquee_\w+?(?=_count|_sum|_bucket|[{])", query))
    brief = re.search(r'stage="(schedule_fetch|mart_load)"', query)
    return bool(names) and names <= (NOTHING_TO_TELL | OF_BRIEF_JOBS if brief else NOTHING_TO_TELL)


@pytest.mark.parametrize("name", ["pipeline-health", "spark-runs"])
def test_every_query_of_a_dashboard_had_data(watched: Watched, name: str) -> None:
    """Every query of a dashboard has had a result since Prometheus started."""
    values = {"environment": "one", "namespace": watched.release.namespace}
    empty = [
        (title, query)
        for title, query in queries(dashboard(name))
        if not may_be_empty(query)
        and not any(watched.had(filled_in(query, {**values, "stage": stage})) for stage in ("rollup", "profile"))
    ]
    assert empty == []
