"""Compares the mart's ledger with the lake, for `marquee status` and the exporter. It loads nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from marquee.calendar import Grain, Period
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.mart.base import read_mart
from marquee.mart.errors import NoMartError
from marquee.mart.ledger import LEDGER, Item, Ledger, LoadStatus, compare, entries_of, ledger_of
from marquee.mart.settings import MartSettings, duckdb_path, is_mysql
from marquee.memo import remember
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus

LEDGERS = 4
"""Ledgers of mart files that are remembered: one has a row for each period, and each load makes another."""

REASONS = {
    LoadStatus.PENDING: "not loaded yet",
    LoadStatus.STALE: "made again after it was loaded",
    LoadStatus.NEWER: "the mart has rows of a newer run; see the log of the last load",
}
"""Why a period is not loaded."""


def ledger_states(settings: MartSettings, markers: Markers) -> list[PeriodStatus]:
    """Return the state of every period that belongs in the mart. TryAgainError while the mart is being loaded."""
    ledger = _ledger(settings)
    reasons = {period: failure.reason for period, failure in markers.failures(keys.MART_LOAD).items()}
    return [_state_of(item, ledger, reasons) for item in compare(markers, ledger, settings.span)]


def _ledger(settings: MartSettings) -> Ledger:
    """Return the ledger, empty without a mart. The ledger of a file is cached, because opening the file is slow."""
    if is_mysql(settings.url):
        return ledger_of(_ledger_rows(settings))
    path = duckdb_path(settings.url)
    try:
        status = path.stat()
    except OSError:
        return ledger_of(_ledger_rows(settings))  # reports what is wrong
    if path.with_name(f"{path.name}.wal").exists():  # a load is running, or was killed
        return ledger_of(_ledger_rows(settings))
    key = f"{path.resolve()} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    rows = remember(
        "ledgers", key, lambda: [[*row[:-1], row[-1].isoformat()] for row in _ledger_rows(settings)], kept=LEDGERS
    )
    return ledger_of([*row[:-1], datetime.fromisoformat(row[-1])] for row in rows)


def _as_json(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[*row[:-1], row[-1].isoformat()] for row in rows]


def _ledger_rows(settings: MartSettings) -> Sequence[Sequence[Any]]:
    with suppress(NoMartError), read_mart(settings) as mart:
        return mart.query(LEDGER)[1]
    return []


def _state_of(item: Item, ledger: Ledger, reasons: Mapping[Period, str]) -> PeriodStatus:
    wanted = entries_of(item.marker)
    found = [ledger[one.dataset, one.period] for one in wanted if (one.dataset, one.period) in ledger]
    reported = Period.containing(item.period.start, Grain.DAY) if item.stage == keys.ROLLUP else item.period
    if item.status is LoadStatus.LOADED:
        state = State.DONE
    elif reported in reasons:
        state = State.FAILED
    else:
        state = State.PENDING if item.status is LoadStatus.PENDING else State.STALE
    loaded_at = found[0].loaded_at if found else None
    reason = reasons[reported] if state is State.FAILED else REASONS.get(item.status, "")
    rows = sum(one.rows for one in wanted)
    return PeriodStatus(
        keys.MART_LOAD, item.period, state, rows=rows, made_at=loaded_at, reason=reason, source=item.stage
    )
