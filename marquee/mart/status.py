"""Compares the mart's ledger with the lake, for `marquee status` and the exporter. It loads nothing."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.erasures import LATER, told
from marquee.lake.markers import Markers
from marquee.mart.base import read_mart
from marquee.mart.errors import NoMartError
from marquee.mart.ledger import (
    LEDGER,
    LOADED_OF,
    Answer,
    Item,
    Ledger,
    LoadStatus,
    compare,
    day_of,
    ledger_of,
    recounted,
    within,
)
from marquee.mart.settings import MartSettings, duckdb_path, is_mysql
from marquee.memo import recall, remember
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus

KIND = "ledgers-with-hours"
UNCHANGED = "marts-without-work"
LEDGERS = 4
"""Ledgers of mart files that are remembered: one has a row for each period, and each load makes another."""

REASONS = {
    LoadStatus.PENDING: "not loaded yet",
    LoadStatus.STALE: "made again after it was loaded",
    LoadStatus.OPEN: "its day is not over: a mart with a floor has whole days",
    LoadStatus.NEWER: "the mart has rows of a newer run; see the log of the last load",
}
"""Why a period is not loaded."""
_STATES = {LoadStatus.PENDING: State.PENDING, LoadStatus.OPEN: State.WAITING}


def ledger_states(settings: MartSettings, markers: Markers) -> list[PeriodStatus]:
    """Return the state of every period that belongs in the mart. TryAgainError while the mart is being loaded."""
    ledger = _ledger(settings)
    reasons = {period: failure.reason for period, failure in markers.failures(keys.MART_LOAD).items()}
    listed = [_state_of(item, ledger, reasons) for item in compare(markers, ledger, settings)]
    listed += [
        PeriodStatus(keys.MART_LOAD, period, State.WAITING, reason=markers.why_missing(stage, period), source=stage)
        for stage in LOADED_OF
        for period in markers.damaged(stage)
        if stage == keys.SCHEDULE_FETCH or within(period, settings.span)
    ]
    return sorted(listed, key=lambda one: (list(LOADED_OF).index(one.source), one.period))


def items_of_unchanged(settings: MartSettings, markers: Markers) -> list[Item] | None:
    """Return what belongs in a mart whose file is as the last load without work left it; None if a load must look.

    A load also settles failures, updates a mart of an earlier version, and corrects entries.
    """
    key = _file_key(settings)
    if key is None or not recall(UNCHANGED, key) or markers.failures(keys.MART_LOAD):
        return None
    ledger = _ledger_of_file(settings, key)
    items = compare(markers, ledger, settings)
    return None if recounted(items, ledger) else items


def note_unchanged(settings: MartSettings) -> None:
    """Remember that a load of this version had nothing to do with the file of a mart as it is."""
    key = _file_key(settings)
    if key is not None:
        remember(UNCHANGED, key, lambda: True, kept=LEDGERS)
        _ledger_of_file(settings, key)


def _file_key(settings: MartSettings) -> str | None:
    """Return what identifies the file of a mart and its content; None without one, and while a load changes it."""
    if is_mysql(settings.url):
        return None
    path = duckdb_path(settings.url)
    try:
        status = path.stat()
    except OSError:
        return None
    if path.with_name(f"{path.name}.wal").exists():  # a load is running, or was killed
        return None
    return f"{path.resolve()} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _ledger(settings: MartSettings) -> Ledger:
    """Return the ledger, empty without a mart. The ledger of a file is cached, because opening the file is slow."""
    key = _file_key(settings)
    if key is None:
        return ledger_of(_read_ledger(settings))  # reports what is wrong
    return _ledger_of_file(settings, key)


def _ledger_of_file(settings: MartSettings, key: str) -> Ledger:
    return _from_json(*remember(KIND, key, lambda: _as_json(_read_ledger(settings)), kept=LEDGERS))


def _from_json(columns: list[str], rows: list[Any]) -> Ledger:
    times = [name.endswith("_at") for name in columns]
    return ledger_of(
        (
            columns,
            [
                tuple(datetime.fromisoformat(value) if time else value for value, time in zip(row, times, strict=True))
                for row in rows
            ],
        )
    )


def _as_json(answer: Answer) -> list[Any]:
    columns, rows = answer
    return [columns, [[one.isoformat() if isinstance(one, datetime) else one for one in row] for row in rows]]


def _read_ledger(settings: MartSettings) -> Answer:
    with suppress(NoMartError), read_mart(settings) as mart:
        return mart.query(LEDGER)
    return [], []


def _state_of(item: Item, ledger: Ledger, reasons: Mapping[Period, str]) -> PeriodStatus:
    datasets = LOADED_OF[item.stage]
    found = [one for dataset in datasets if (one := ledger.get((dataset.name, item.marker.period)))]
    reported = day_of(item.period) if item.stage == keys.ROLLUP else item.period
    if item.status is LoadStatus.LOADED:
        state = State.DONE
    elif reported in reasons:
        state = State.FAILED
    else:
        state = _STATES.get(item.status, State.STALE)
    loaded_at = found[0].loaded_at if found else None
    reason = reasons[reported] if state is State.FAILED else REASONS.get(item.status, "")
    rows = sum(item.marker.rows(one) for one in datasets)
    covered = found[0].coverage if found else None
    return PeriodStatus(
        keys.MART_LOAD,
        item.period,
        state,
        rows=rows,
        made_at=loaded_at,
        reason=reason,
        source=item.stage,
        note=f"erased later: {told(later)}" if state is State.DONE and (later := item.marker.counts.get(LATER)) else "",
        hours=covered.hours if covered else None,
        hours_expected=covered.expected if covered else None,
    )
