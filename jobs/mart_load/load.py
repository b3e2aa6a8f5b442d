"""Loads a mart: plans from its ledger, reads verified objects, and replaces changed periods.

mart_load has no success markers, because the mart's ledger records what is loaded. A failure writes the failure marker
of its period (the day of hours or captures, or the audience's period). When nothing of the period is left to load, the
marker is deleted.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from jobs.mart_load.dimensions import make_dimensions
from jobs.mart_load.settings import MartLoadSettings
from marquee.calendar import EVER, Period, Span
from marquee.errors import CorruptLakeError, LostRaceError, worst
from marquee.lake import keys
from marquee.lake.datasets import VIEWERSHIP, Dataset
from marquee.lake.files import fetch_output, read_fetched, read_output
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers, failure_of
from marquee.lake.parquet import empty
from marquee.mart.base import Mart, open_mart
from marquee.mart.ledger import (
    LOADED_OF,
    Change,
    Entry,
    Item,
    Ledger,
    LoadStatus,
    Step,
    compare,
    entries_of,
    make_plan,
    within,
)
from marquee.runs.stage import Advance, record_failure
from marquee.storage.base import Store
from marquee.telemetry import instruments

log = logging.getLogger(__name__)

COMMANDS = {keys.SCHEDULE_FETCH: "schedule-fetch", keys.ROLLUP: "rollup", keys.AUDIENCE: "profile"}
"""Commands that make the loaded datasets, by stage."""

HOURS_AHEAD = 2
"""Number of hours to prefetch while an hour is being loaded."""


@dataclass(frozen=True)
class MartReport:
    """Result of a load, counted in the lake's periods: hours, captured days, audience periods."""

    loaded: int = 0
    replaced: int = 0
    unchanged: int = 0
    rows: int = 0
    note: str = ""
    failed: tuple[tuple[Period, int], ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or the most severe exit code of the failures."""
        return worst([code for _, code in self.failed])

    @property
    def changed(self) -> int:
        """Number of periods loaded or replaced."""
        return self.loaded + self.replaced

    @property
    def failures(self) -> int:
        """Number of periods that failed."""
        return len(self.failed)

    def plus(self, other: "MartReport") -> "MartReport":
        """Return the sum of two reports."""
        return MartReport(
            self.loaded + other.loaded,
            self.replaced + other.replaced,
            self.unchanged + other.unchanged,
            self.rows + other.rows,
            self.note or other.note,
            self.failed + other.failed,
        )


def load_mart(
    settings: MartLoadSettings,
    markers: Markers,
    span: Span = EVER,
    *,
    force: bool = False,
    advance: Advance = lambda _done, _all, _period: None,
) -> MartReport:
    """Load the new and changed periods of a span; with ``force`` all its periods.

    A failed period does not stop the others. If the dimensions fail, nothing else is loaded, because plays would count
    for unknown shows.

    Raises:
        TryAgainError: the mart cannot be reached, or another process has it open.
        ConfigError: there is no mart at the settings' URL, and it cannot be created.
    """
    with open_mart(settings.mart) as mart:
        ledger = mart.ledger()
        items = compare(markers, ledger, settings.mart.span)
        plan = make_plan(items, span, force=force)
        note = "" if plan.steps else _missing(items, settings.mart.span, span)
        report = MartReport(unchanged=plan.unchanged, failed=_refuse(plan.refused, ledger), note=note)
        advance(0, len(plan.steps), "")
        for number, step in enumerate(plan.steps, start=1):
            outcome = _run(mart, markers, step, force=force)
            report = report.plus(outcome)
            advance(number, len(plan.steps), str(step.period))
            if outcome.failed and step.stage == keys.SCHEDULE_FETCH:
                return report
    failed = {period for period, _ in report.failed}
    for period in markers.failures(keys.MART_LOAD):
        if period not in failed and within(period, span):
            markers.settle(keys.MART_LOAD, period)
    return report


def _missing(items: Sequence[Item], scope: Span, span: Span) -> str:
    """Name the stages without anything to load in the lake; empty if there is something from each."""
    found = {item.stage for item in items if item.stage == keys.SCHEDULE_FETCH or span.touches(item.period)}
    missing = [f"`marquee {command}`" for stage, command in COMMANDS.items() if stage not in found]
    if not missing:
        return ""
    when = "yet" if scope == span == EVER else "of this period"
    return f"the lake has nothing {when} from {', '.join(missing)}"


def _refuse(items: Sequence[Item], ledger: Ledger) -> tuple[tuple[Period, int], ...]:
    for item in items:
        loaded = max((ledger[one.dataset, one.period] for one in entries_of(item.marker)), key=lambda one: one.run_id)
        log.warning(
            "%s %s in the lake (%s) is older than in the mart (%s): not replaced. "
            "If another loader was faster, do nothing; if the lake was restored from a backup, load with --force",
            *(item.stage, item.period, _run_name(item.marker), _run_name(loaded)),
            extra={"stage": keys.MART_LOAD, "period": str(item.period)},
        )
    return tuple((item.period, LostRaceError.exit_code) for item in items)


def _run_name(one: Marker | Entry) -> str:
    return f"generation {one.generation} of run {one.run_id}"


def _run(mart: Mart, markers: Markers, step: Step, *, force: bool) -> MartReport:
    started = datetime.now(UTC)
    run_id = keys.new_run_id(started)
    context = {"stage": keys.MART_LOAD, "period": str(step.period), "run_id": run_id}
    try:
        written = _load(mart, markers, Change.of(step, started, force=force))
    except Exception as error:  # noqa: BLE001 - the edge of a run: any error gives the period a failure marker
        failure = failure_of(error, keys.MART_LOAD, step.period, run_id, 1, datetime.now(UTC))
        return MartReport(failed=((step.period, record_failure(markers, failure, error)),))
    if written is None:
        log.info(
            "%s %s: another loader already loaded it from %s", keys.MART_LOAD, step.period, step.stage, extra=context
        )
        return MartReport(unchanged=len(step.items))
    seconds = round((datetime.now(UTC) - started).total_seconds(), 3)
    closing = {"periods": len(step.items), "rows": written, "seconds": seconds}
    log.info("%s %s loaded from %s", keys.MART_LOAD, step.period, step.stage, extra={**context, **closing})
    _count(step, written)
    new = sum(item.status is LoadStatus.PENDING for item in step.items)
    return MartReport(loaded=new, replaced=len(step.items) - new, rows=written)


def _count(step: Step, written: int) -> None:
    read = [one for item in step.items for dataset in LOADED_OF[step.stage] for one in item.marker.of(dataset)]
    rows = {"in": sum(one.rows for one in read), "out": written}
    instruments.count_work(rows, {"in": sum(one.size for one in read)})


def _load(mart: Mart, markers: Markers, change: Change) -> int | None:
    """Load a step in one transaction; return the number of rows written, None if another loader was first."""
    step = change.step
    if step.stage == keys.ROLLUP:
        rows = sum(entry.rows for entry in change.entries)
        written = mart.load_viewership(_read_hours(markers.store, [item.marker for item in step.items]), change)
    elif step.stage == keys.SCHEDULE_FETCH:
        tables = make_dimensions(markers)
        rows = sum(table.num_rows for table in tables.values())
        written = mart.load_dimensions(tables, change)
    else:
        (item,) = step.items
        tables = {f"fact_{one.name}": _read_audience(markers.store, item.marker, one) for one in LOADED_OF[step.stage]}
        rows = sum(table.num_rows for table in tables.values())
        written = mart.load_audience(tables, change)
    return rows if written else None


def _read_hours(store: Store, hours: Sequence[Marker]) -> Iterator[pa.Table]:
    """Yield the verified rows of each hour in batches, and prefetch the next hours."""
    yield empty(VIEWERSHIP)
    with TemporaryDirectory(prefix="marquee-hours-") as folder, ThreadPoolExecutor(HOURS_AHEAD) as pool:
        fetching: deque[tuple[Marker, Output, Future[Path]]] = deque()
        try:
            for marker, output in [(hour, output) for hour in hours for output in hour.of(VIEWERSHIP)]:
                fetching.append((marker, output, pool.submit(fetch_output, store, output, Path(folder))))
                if len(fetching) > HOURS_AHEAD:
                    yield from _rows_of_hour(store, *fetching.popleft())
            while fetching:
                yield from _rows_of_hour(store, *fetching.popleft())
        finally:  # after an error, cancel the prefetch
            for *_, one in fetching:
                one.cancel()


def _rows_of_hour(store: Store, marker: Marker, output: Output, fetched: Future[Path]) -> Iterator[pa.Table]:
    start = Period.parse(marker.period).start.replace(tzinfo=None)
    for rows in read_fetched(store, output, fetched.result()):
        if not pc.all(pc.equal(rows["hour"], pa.scalar(start, rows["hour"].type)), min_count=0).as_py():
            message = (
                f"{store.url}: rollup {marker.period}, run {marker.run_id}, has viewership of another hour. "
                "Run the hour again with --force"
            )
            raise CorruptLakeError(message)
        yield rows


def _read_audience(store: Store, marker: Marker, dataset: Dataset) -> pa.Table:
    rows = _read(store, marker, dataset)
    return rows.append_column("period", pa.array([marker.period] * rows.num_rows, pa.string()))


def _read(store: Store, marker: Marker, dataset: Dataset) -> pa.Table:
    """Return the rows of a marker's dataset, verified against the manifest."""
    tables = [read_output(store, output) for output in marker.of(dataset)]
    return pa.concat_tables([empty(dataset), *tables])
