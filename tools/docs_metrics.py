"""docs/metrics.md: every metric of marquee/telemetry/metrics.py, by the process that publishes it."""

from collections.abc import Iterator, Sequence

from marquee.telemetry.metrics import BUCKETS, EXPORTER, JOBS, Metric
from tools.markdown import table

HEAD = """\
# Metrics

Every series has the label `environment`: the setting `MARQUEE_ENVIRONMENT`, in the chart the value `environment`.
`stage` is `schedule_fetch`, `rollup`, `profile`, `audience` or `mart_load`; `grain` is `hour`, `day`, `week`, `month`
or `quarter`; `direction` is `in` or `out`. Instants are seconds since 1970, so that an age is `time() - …`.
"""
OF_EXPORTER = """\
## The exporter

`python -m jobs.exporter` reads markers and the mart's ledger, and so is right about the past even when no job runs. It
looks in the background, every `MARQUEE_EXPORTER__INTERVAL_S` seconds, and a scrape gets what it found last. A part that
cannot be read keeps its last values: its `marquee_exporter_last_refresh_timestamp_seconds` grows old, and
`marquee_exporter_refresh_errors_total` counts. States are told of the periods of the last
`MARQUEE_EXPORTER__WINDOW_DAYS` days. Of `mart_load`, `hour` is the rollup's hours and the other grains are the
audience's periods, as far as they belong in the mart; captures of the schedule are in `marquee_mart_generations_behind`
alone.
"""
OF_JOBS = """\
## Jobs

A stage's process tells these while it runs, at `/metrics` of the port `MARQUEE_METRICS__PORT`, and pushes some of them
at its end to the Pushgateway at `MARQUEE_METRICS__PUSHGATEWAY_URL`, grouped by `job="marquee"`, `environment` and
`stage`. It pushes by POST: a failure does not wipe the time of the last success. `stage` is that of the process: what
`audience` does is told as `profile`. Executors tell nothing of this; Spark's own metrics do.
"""
COLUMNS = ("metric", "type", "labels", "what it tells")


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
