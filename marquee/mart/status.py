"""The state of the mart against the lake, by its ledger, for `marquee status` and the exporter; nothing is loaded."""

from collections.abc import Mapping
from contextlib import suppress

from marquee.calendar import Grain, Period
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.mart.base import read_mart
from marquee.mart.errors import NoMartError
from marquee.mart.ledger import Item, Ledger, LoadStatus, compare, entries_of
from marquee.mart.settings import MartSettings
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus

REASONS = {
    LoadStatus.PENDING: "not loaded yet",
    LoadStatus.STALE: "made again since it was loaded",
    LoadStatus.NEWER: "the mart has rows of a newer run: see the log of the last load",
}
"""Why a period is not loaded."""


def ledger_states(settings: MartSettings, markers: Markers) -> list[PeriodStatus]:
    """Return where every period that belongs in the kiosk stands. TryAgainError while a load is on."""
    ledger: Ledger = {}
    with suppress(NoMartError), read_mart(settings) as mart:
        ledger = mart.ledger()
    reasons = {period: failure.reason for period, failure in markers.failures(keys.MART_LOAD).items()}
    return [_state_of(item, ledger, reasons) for item in compare(markers, ledger, settings.span)]


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
