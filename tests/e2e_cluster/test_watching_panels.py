"""The dashboards' queries, on what Prometheus has scraped while the tests of watching ran: run after them."""

import pytest

from jobs.common import metrics
from tests.charts.dashboards import dashboard, filled_in, queries
from tests.e2e_cluster.conftest import Watched

NOT_HERE = (
    *(metrics.STORE_ERRORS.name, metrics.WEEK_BEFORE_ROWS.name, metrics.OLDEST_OPEN.name),
    f'{metrics.NEWEST_REJECTS.name}{{environment="$environment", stage="schedule_fetch"',
    *(
        f'{one.name}{end}{{environment="$environment", stage="schedule_fetch"'
        for one in metrics.JOBS
        for end in ("", "_total")
    ),
    *(
        f'{one.name}{end}{{environment="$environment", stage="mart_load"'
        for one in metrics.JOBS
        for end in ("_total", "_count")
    ),
)
"""What begins queries without data: nothing was open or failed, and jobs of some seconds are seen once or never."""


@pytest.mark.parametrize("name", ["pipeline-health", "spark-runs"])
def test_every_query_of_a_dashboard_had_data(watched: Watched, name: str) -> None:
    """At some time since Prometheus began."""
    values = {"environment": "one", "namespace": watched.release.namespace}
    empty = [
        (title, query)
        for title, query in queries(dashboard(name))
        if not any(watched.had(filled_in(query, {**values, "stage": stage})) for stage in ("rollup", "profile"))
    ]
    assert [(title, query) for title, query in empty if not any(one in query for one in NOT_HERE)] == []
