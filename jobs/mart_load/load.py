"""Loads a mart: plans from its ledger, reads verified objects, and replaces changed periods.

mart_load has no success markers, because the mart's ledger records what is loaded. A failure writes the failure marker
of its period (the day of hours or captures, or the audience's period). When nothing of the period is left to load, the
marker is deleted.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from jobs.mart_load.dimensions import make_dimensions
from jobs.mart_load.report import MartReport, has_plays, missing
from jobs.mart_load.settings import MartLoadSettings
from marquee import stopping
from marquee.calendar import EVER, Period, Span
from marquee.engine.scratch import own_scratch
from marquee.errors import INTERNAL, CorruptLakeError, LostRaceError
from marquee.lake import keys
from marquee.lake.datasets import VIEWERSHIP
from marquee.lake.files import fetch_output, read_dataset, read_fetched
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers, failure_of
from marquee.lake.rekeyed import bits_of
from marquee.mart.base import Mart, open_mart
from marquee.mart.fold import BITS
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
    recounted,
    within,
)
from marquee.mart.protect import protect
from marquee.mart.settings import MartSettings
from marquee.runs.deaths import died_here, is_put_off, noted, put_off
from marquee.runs.stage import Advance, record_failure
from marquee.storage.base import Store
from marquee.telemetry.in_use import instruments

log = logging.getLogger(__name__)

HOURS_AHEAD = 2
"""Number of hours to prefetch while an hour is being loaded."""


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
        items = compare(markers, ledger, settings.mart)
        plan = make_plan(items, span, force=force)
        # The schedule alone answers nothing: a kiosk of a period without plays would look loaded.
        note = "" if plan.steps and has_plays(items, span) else missing(items, settings.mart.span, span)
        report = MartReport(unchanged=plan.unchanged, failed=_refuse(plan.refused, ledger), note=note)
        advance(0, len(plan.steps), "")
        for number, step in enumerate(_in_order(markers, plan.steps), start=1):
            if died_here(markers, keys.MART_LOAD, step.period) and is_put_off(markers, keys.MART_LOAD, step.period):
                outcome = MartReport(failed=((step.period, INTERNAL),))
            else:
                outcome = _run(mart, settings.mart, markers, step, force=force)
            report = report.plus(outcome)
            advance(number, len(plan.steps), str(step.period))
            if outcome.failed and step.stage == keys.SCHEDULE_FETCH:
                return report
        mart.recount(recounted(items, ledger))
    failed = {period for period, _ in report.failed}
    for period in markers.failures(keys.MART_LOAD):
        if period not in failed and within(period, span):
            markers.settle(keys.MART_LOAD, period)
    return report


def _in_order(markers: Markers, steps: Sequence[Step]) -> Sequence[Step]:
    """Return the steps with those last at whose period the process died twice. The dimensions are always first."""
    late = {one.period for one in steps if is_put_off(markers, keys.MART_LOAD, one.period)}
    for period in sorted(late):
        put_off(markers, keys.MART_LOAD, period, datetime.now(UTC))
    return sorted(steps, key=lambda one: one.stage != keys.SCHEDULE_FETCH and one.period in late)


def _refuse(items: Sequence[Item], ledger: Ledger) -> tuple[tuple[Period, int], ...]:
    for item in items:
        loaded = max((ledger[one.dataset, one.period] for one in entries_of(item.marker)), key=lambda one: one.run_id)
        log.warning(
            "%s %s in the lake (%s) is older than in the mart (%s): not replaced. "
            "If another loader was faster, do nothing; if the lake was restored from a backup, or a marker of it was "
            "deleted, load with --force",
            *(item.stage, item.period, _run_name(item.marker), _run_name(loaded)),
            extra={"stage": keys.MART_LOAD, "period": str(item.period)},
        )
    return tuple((item.period, LostRaceError.exit_code) for item in items)


def _run_name(one: Marker | Entry) -> str:
    return f"generation {one.generation} of run {one.run_id}"


def _run(mart: Mart, settings: MartSettings, markers: Markers, step: Step, *, force: bool) -> MartReport:
    started = datetime.now(UTC)
    run_id = keys.new_run_id(started)
    context = {"stage": keys.MART_LOAD, "period": str(step.period), "run_id": run_id}
    with noted(markers, keys.MART_LOAD, step.period, run_id, started) as begin:
        try:
            begin()
            change = Change.of(step, started, force=force, whole_days=settings.whole_days)
            written = _load(mart, settings, markers, change)
        except Exception as error:  # noqa: BLE001 - the edge of a run: any error gives the period a failure marker
            stopping.check()
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
    same = 0 if force else sum(item.status is LoadStatus.LOADED for item in step.items)  # other hours of the day
    return MartReport(loaded=new, replaced=len(step.items) - new - same, rows=written)


def _count(step: Step, written: int) -> None:
    read = [item.marker.held(dataset) for item in step.items for dataset in LOADED_OF[step.stage]]
    rows = {"in": sum(one.rows for one in read), "out": written}
    if measures := instruments():
        measures.count_work(rows, {"in": sum(one.size for one in read)})


def _load(mart: Mart, settings: MartSettings, markers: Markers, change: Change) -> int | None:
    """Load a step in one transaction; return the number of rows written, None if another loader was first."""
    step = change.step
    if step.stage == keys.ROLLUP:
        hours = [item.marker for item in step.items]
        rows = sum(hour.rows(VIEWERSHIP) for hour in hours)
        written = mart.load_viewership(_read_hours(markers.store, hours, floor=settings.min_cell > 1), change)
    elif step.stage == keys.SCHEDULE_FETCH:
        tables = make_dimensions(markers)
        rows = sum(table.num_rows for table in tables.values())
        written = mart.load_dimensions(tables, change)
    else:
        (item,) = step.items
        tables = _read_audience(markers.store, item.marker, settings.min_cell)
        rows = sum(table.num_rows for table in tables.values())
        written = mart.load_audience(tables, change)
    return rows if written else None


def _read_hours(store: Store, hours: Sequence[Marker], *, floor: bool) -> Iterator[pa.Table]:
    """Yield the verified rows of each hour in batches, and prefetch the next hours.

    Hours that were made before definition 4 of the rollup have no bits of viewers: they count as of nobody. The same
    holds for hours whose bits are of another viewer key than those of most hours: a lake was rekeyed in between.
    """
    blind = set()
    of_key = Counter(map(bits_of, hours))
    counted = min(of_key, key=lambda one: (-of_key[one], one), default="")  # bits of several keys do not add up
    for marker, rows in _read_in_order(store, hours):
        if BITS in rows.column_names and bits_of(marker) == counted:
            yield rows
            continue
        if BITS not in rows.column_names:
            blind.add(marker.period)
        nobody = pa.repeat(pa.scalar(0, pa.uint64()), rows.num_rows)
        known = rows.select([name for name in rows.column_names if name != BITS])
        yield known.append_column(VIEWERSHIP.schema.field(BITS), nobody)
    if blind and floor:
        log.warning(
            "%d of the hours from %s to %s do not tell their viewers, because an earlier version rolled them up: they "
            "count as of nobody. Roll them up again with --force if their raw events are there",
            len(blind),
            min(blind),
            max(blind),
        )


def _read_in_order(store: Store, hours: Sequence[Marker]) -> Iterator[tuple[Marker, pa.Table]]:
    with (
        TemporaryDirectory(prefix="marquee-hours-", dir=own_scratch()) as folder,
        ThreadPoolExecutor(HOURS_AHEAD) as pool,
    ):
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


def _rows_of_hour(
    store: Store, marker: Marker, output: Output, fetched: Future[Path]
) -> Iterator[tuple[Marker, pa.Table]]:
    start = Period.parse(marker.period).start.replace(tzinfo=None)
    for rows in read_fetched(store, output, fetched.result()):
        if not pc.all(pc.equal(rows["hour"], pa.scalar(start, rows["hour"].type)), min_count=0).as_py():
            message = (
                f"{store.url}: rollup {marker.period}, run {marker.run_id}, has viewership of another hour. "
                "Run the hour again with --force"
            )
            raise CorruptLakeError(message)
        yield marker, rows


def _read_audience(store: Store, marker: Marker, min_cell: int) -> dict[str, pa.Table]:
    """Return the facts of an audience by table, as they may be published."""
    rows = protect({one.name: read_dataset(store, marker, one) for one in LOADED_OF[marker.stage]}, min_cell)
    return {
        f"fact_{name}": one.append_column("period", pa.array([marker.period] * one.num_rows, pa.string()))
        for name, one in rows.items()
    }
