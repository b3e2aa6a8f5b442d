"""Where a kiosk stands against the lake, for `marquee status`: read from the ledger, without loading anything."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from jobs.common import lake
from jobs.common.calendar import Grain, Period
from jobs.common.commit import Markers
from jobs.common.stage import State
from jobs.mart_load.errors import NoMartError
from jobs.mart_load.mart import read_mart
from jobs.mart_load.plan import Item, Ledger, Standing, compare, entries_of
from jobs.mart_load.settings import MartLoadSettings


@dataclass(frozen=True)
class LedgerState:
    """Where one period of a stage stands in the kiosk.

    ``rows`` are those of the lake's marker; ``loaded_at`` is None when nothing of the period is loaded; ``reason`` is
    why the last load failed.
    """

    stage: str
    period: Period
    state: State
    rows: int
    loaded_at: datetime | None
    reason: str


def ledger_states(settings: MartLoadSettings, markers: Markers) -> list[LedgerState]:
    """Return where every period that belongs in the kiosk stands. TryAgainError while a load is on."""
    ledger: Ledger = {}
    with suppress(NoMartError), read_mart(settings.mart) as mart:
        ledger = mart.ledger()
    reasons = {period: failure.reason for period, failure in markers.failures(lake.MART_LOAD).items()}
    return [_state_of(item, ledger, reasons) for item in compare(markers, ledger, settings.mart.span)]


def _state_of(item: Item, ledger: Ledger, reasons: Mapping[Period, str]) -> LedgerState:
    wanted = entries_of(item.marker)
    found = [ledger[one.dataset, one.period] for one in wanted if (one.dataset, one.period) in ledger]
    reported = Period.containing(item.period.start, Grain.DAY) if item.stage == lake.ROLLUP else item.period
    if item.standing is Standing.LOADED:
        state = State.DONE
    elif reported in reasons:
        state = State.FAILED
    else:
        state = State.PENDING if item.standing is Standing.PENDING else State.STALE
    loaded_at = found[0].loaded_at if found else None
    reason = reasons[reported] if state is State.FAILED else ""
    return LedgerState(item.stage, item.period, state, sum(one.rows for one in wanted), loaded_at, reason)
