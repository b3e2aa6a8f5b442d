"""Loads a kiosk: plans by its ledger, reads checked objects, replaces what changed.

mart_load has no success markers: the ledger is the truth. A failure writes the failure marker of its period (the day of
hours or captures, or the audience's period); once nothing of it is left to load, the marker goes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from jobs.common import lake
from jobs.common.calendar import EVER, Period, Span
from jobs.common.commit import Marker, Markers, failure_of, read_output
from jobs.common.datasets import VIEWERSHIP, Dataset
from jobs.common.errors import CorruptLakeError, LostRaceError, worst
from jobs.common.parquet import empty
from jobs.common.stage import Advance
from jobs.common.store import Store, in_parallel
from jobs.mart_load.dimensions import make_dimensions
from jobs.mart_load.kiosk import Kiosk, open_kiosk
from jobs.mart_load.plan import LOADED_OF, Entry, Item, Ledger, Standing, Step, compare, entries_of, make_plan, within
from jobs.mart_load.settings import MartLoadSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MartReport:
    """What a load did, counted in the lake's periods: an hour, a captured day, an audience period."""

    loaded: int = 0
    replaced: int = 0
    unchanged: int = 0
    rows: int = 0
    failed: tuple[tuple[Period, int], ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or the code that most needs a person."""
        return worst([code for _, code in self.failed])

    @property
    def changed(self) -> int:
        """How many periods were loaded, or replaced."""
        return self.loaded + self.replaced

    def plus(self, other: "MartReport") -> "MartReport":
        """Return both reports as one."""
        return MartReport(
            self.loaded + other.loaded,
            self.replaced + other.replaced,
            self.unchanged + other.unchanged,
            self.rows + other.rows,
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
    """Load what the lake has and the kiosk has not, of a span; with ``force`` all of it.

    A period that fails does not stop the others; but when the dimensions fail nothing else is loaded, for plays would
    pass for those of unknown shows.

    Raises:
        TryAgainError: another process has the kiosk open.
        ConfigError: there is no kiosk, and none can be made, at the settings' URL.
    """
    with open_kiosk(settings.mart) as kiosk:
        ledger = kiosk.ledger()
        plan = make_plan(compare(markers, ledger, settings.mart.span), span, force=force)
        report = MartReport(unchanged=plan.unchanged, failed=_refuse(plan.refused, ledger))
        for number, step in enumerate(plan.steps, start=1):
            outcome = _run(kiosk, markers, step)
            report = report.plus(outcome)
            advance(number, len(plan.steps), str(step.period))
            if outcome.failed and step.stage == lake.SCHEDULE_FETCH:
                return report
    failed = {period for period, _ in report.failed}
    for period in markers.failures(lake.MART_LOAD):
        if period not in failed and within(period, span):
            markers.settle(lake.MART_LOAD, period)
    return report


def _refuse(items: Sequence[Item], ledger: Ledger) -> tuple[tuple[Period, int], ...]:
    for item in items:
        standing = max((ledger[one.dataset, one.period] for one in entries_of(item.marker)), key=lambda one: one.run_id)
        log.warning(
            "%s %s is older than what the kiosk holds: %s, the kiosk has %s: nothing is replaced. "
            "If another loader was faster, all is well; if the lake was turned back, load with --force",
            *(item.stage, item.period, _run_name(item.marker), _run_name(standing)),
            extra={"stage": lake.MART_LOAD, "period": str(item.period)},
        )
    return tuple((item.period, LostRaceError.exit_code) for item in items)


def _run_name(one: Marker | Entry) -> str:
    return f"generation {one.generation} of run {one.run_id}"


def _run(kiosk: Kiosk, markers: Markers, step: Step) -> MartReport:
    started = datetime.now(UTC)
    run_id = lake.new_run_id(started)
    context = {"stage": lake.MART_LOAD, "period": str(step.period), "run_id": run_id}
    try:
        rows = _load(kiosk, markers, step, started)
    except Exception as error:  # the edge of a run: whatever failed, the period gets its failure marker
        failure = failure_of(error, lake.MART_LOAD, step.period, run_id, 1, datetime.now(UTC))
        log.error("%s %s failed: %s", lake.MART_LOAD, step.period, failure.reason, extra=context)  # noqa: TRY400 - the traceback is for debugging
        log.debug("traceback", exc_info=error, extra=context)
        markers.store.put(lake.failed_key(lake.MART_LOAD, step.period), failure.to_json())
        markers.note_failure(failure)
        return MartReport(failed=((step.period, failure.exit_code),))
    seconds = round((datetime.now(UTC) - started).total_seconds(), 3)
    closing = {"periods": len(step.items), "rows": rows, "seconds": seconds}
    log.info("%s %s loaded from %s", lake.MART_LOAD, step.period, step.stage, extra={**context, **closing})
    new = sum(item.standing is Standing.PENDING for item in step.items)
    return MartReport(loaded=new, replaced=len(step.items) - new, rows=rows)


def _load(kiosk: Kiosk, markers: Markers, step: Step, now: datetime) -> int:
    """Load a step in one transaction; return how many rows were written."""
    entries = [replace(entry, loaded_at=now) for item in step.items for entry in entries_of(item.marker)]
    if step.stage == lake.SCHEDULE_FETCH:
        tables = make_dimensions(markers)
        kiosk.load_dimensions(tables, entries)
    elif step.stage == lake.ROLLUP:
        tables = {"fact_viewership": _read_hours(markers.store, [item.marker for item in step.items])}
        kiosk.load_viewership(tables["fact_viewership"], entries)
    else:
        (item,) = step.items
        tables = {f"fact_{one.name}": _read_audience(markers.store, item.marker, one) for one in LOADED_OF[step.stage]}
        kiosk.load_audience(tables, entries)
    return sum(rows.num_rows for rows in tables.values())


def _read_hours(store: Store, hours: Sequence[Marker]) -> pa.Table:
    tables = list(in_parallel(store, lambda marker: _read(store, marker, VIEWERSHIP), hours))
    for marker, rows in zip(hours, tables, strict=True):
        start = Period.parse(marker.period).start.replace(tzinfo=None)
        if not pc.all(pc.equal(rows["hour"], pa.scalar(start, rows["hour"].type)), min_count=0).as_py():
            message = (
                f"{store.url}: rollup {marker.period}, run {marker.run_id}, has viewership of another hour: "
                "run the hour again with --force"
            )
            raise CorruptLakeError(message)
    return pa.concat_tables(tables)


def _read_audience(store: Store, marker: Marker, dataset: Dataset) -> pa.Table:
    rows = _read(store, marker, dataset)
    return rows.append_column("period", pa.array([marker.period] * rows.num_rows, pa.string()))


def _read(store: Store, marker: Marker, dataset: Dataset) -> pa.Table:
    """Return the rows of a dataset of a marker, checked against its manifest."""
    tables = [read_output(store, output) for output in marker.of(dataset)]
    return pa.concat_tables([empty(dataset), *tables])
