"""docs/metrics.md: every metric of marquee/telemetry/metrics.py, by the process that publishes it."""

from collections.abc import Iterator, Sequence

from marquee.telemetry.metrics import BUCKETS, EXPORTER, JOBS, Metric
from tools.markdown import table

HEAD = """\
# Metrics

Every series has the label `environment`: the setting `MARQUEE_ENVIRONMENT`, or in the chart the value `environment`.
`stage` is `schedule_fetch`, `rollup`, `profile`, `audience` or `mart_load`; `grain` is `hour`, `day`, `week`, `month`
or `quarter`; `direction` is `in` or `out`. Timestamps are seconds since 1970, so an age is `time() - …`.
"""
OF_EXPORTER = """\
## The exporter

`python -m jobs.exporter` reads markers and the ledger of the mart, so it is right about the past even when no job runs.
It refreshes in the background, every `MARQUEE_EXPORTER__INTERVAL_S` seconds, and a scrape returns the result of the
last refresh. A collector whose refresh fails keeps its last values: its
`marquee_exporter_last_refresh_timestamp_seconds` does not change, and `marquee_exporter_refresh_errors_total`
increases. States cover the periods of the last `MARQUEE_EXPORTER__WINDOW_DAYS` days. For `mart_load`, `hour` covers the
hours of the rollup, and the other grains cover the periods of `audience`, if they belong in the mart. Captures of the
schedule are only in `marquee_mart_generations_behind`.
"""
OF_JOBS = """\
## Jobs

The process of a stage publishes these metrics while it runs, at `/metrics` on the port `MARQUEE_METRICS__PORT`. When it
ends, it pushes some of them to the Pushgateway at `MARQUEE_METRICS__PUSHGATEWAY_URL`, grouped by `job="marquee"`,
`environment` and `stage`. It pushes with POST, so a failure does not delete the time of the last success. `stage` is
the stage of the process: metrics of `audience` have the stage `profile`. Spark executors do not publish these metrics,
but Spark's own.
"""
COLUMNS = ("metric", "type", "labels", "meaning")


def metrics() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from HEAD.splitlines()
    yield ""
    yield from OF_EXPORTER.splitlines()
    yield ""
    yield from table(COLUMNS, _rows(EXPORTER))
    yield from OF_JOBS.splitlines()
    yield ""
    pushed = ["yes" if one.pushed else "" for one in JOBS]
    yield from table((*COLUMNS, "pushed"), [(*row, last) for row, last in zip(_rows(JOBS), pushed, strict=True)])
    bounds = ", ".join(f"{bound:g}" for bound in BUCKETS)
    yield f"Histograms have the bounds {bounds} s."


def _rows(listed: Sequence[Metric]) -> list[tuple[str, ...]]:
    return [(f"`{one.name}`", one.kind, ", ".join(f"`{name}`" for name in one.labels), one.help) for one in listed]
