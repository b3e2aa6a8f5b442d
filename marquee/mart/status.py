"""Where a kiosk stands against the lake, for `marquee status` and the exporter: by the ledger, nothing is loaded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from jobs.exporter.samples import Health, is_complete, state_samples
from marquee.calendar import Grain, Period, Span
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.mart.base import read_mart
from marquee.mart.errors import NoMartError
from marquee.mart.ledger import LOADED_OF, Item, Ledger, LoadStatus, compare, entries_of
from marquee.mart.settings import MartSettings
from marquee.runs.stage import State
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Sample, sample


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


def ledger_states(settings: MartSettings, markers: Markers) -> list[LedgerState]:
    """Return where every period that belongs in the kiosk stands. TryAgainError while a load is on."""
    ledger: Ledger = {}
    with suppress(NoMartError), read_mart(settings) as mart:
        ledger = mart.ledger()
    reasons = {period: failure.reason for period, failure in markers.failures(keys.MART_LOAD).items()}
    return [_state_of(item, ledger, reasons) for item in compare(markers, ledger, settings.span)]


def _state_of(item: Item, ledger: Ledger, reasons: Mapping[Period, str]) -> LedgerState:
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
    reason = reasons[reported] if state is State.FAILED else ""
    return LedgerState(item.stage, item.period, state, sum(one.rows for one in wanted), loaded_at, reason)


def ledger_samples(states: Sequence[LedgerState], window: Span) -> Iterator[Sample]:
    """Yield what is told of the kiosk: the rollup's hours and the audience's periods by grain, and what is behind."""
    for stage in LOADED_OF:
        behind = sum(one.stage == stage and one.state is not State.DONE for one in states)
        yield sample(metrics.MART_BEHIND, behind, stage=stage)
    for grain in Grain:
        own = [one for one in states if one.stage != keys.SCHEDULE_FETCH and one.period.grain is grain]
        if own:
            yield from _grain_samples({"stage": keys.MART_LOAD, "grain": grain.value}, own, window)


def _grain_samples(labels: Mapping[str, str], own: Sequence[LedgerState], window: Span) -> Iterator[Sample]:
    loaded = {one.period: one.loaded_at for one in own if one.loaded_at}
    seen = [Health(one.period, one.state) for one in own if window.touches(one.period)]
    yield from state_samples(labels, loaded, seen, min(one.period for one in own))
    if not loaded:
        return
    yield sample(metrics.LAST_FINISHED, max(loaded.values()).timestamp(), **labels)
    complete = [period for period, loaded_at in loaded.items() if is_complete(keys.MART_LOAD, period, loaded_at)]
    if complete:
        newest = max(complete)
        rows = sum(one.rows for one in own if one.period == newest)
        yield sample(metrics.NEWEST_END, newest.end.timestamp(), **labels)
        yield sample(metrics.NEWEST_ROWS, rows, **labels, direction="out")
