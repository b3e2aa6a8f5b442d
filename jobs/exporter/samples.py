"""The state of the data as metrics: pure functions from success markers, states and a time to samples.

A period is *complete* if the run of its marker started after the end of the period. A day to date, as profile and
audience make it, is not complete.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from jobs.rollup.offsets import Break, split_log
from marquee.calendar import DAY, Grain, Period, Span
from marquee.lake import keys
from marquee.lake.ended import NOTHING_ENDED, Deleted, Ended
from marquee.lake.erasures import requested_at
from marquee.lake.manifest import Marker
from marquee.mart.ledger import LOADED_OF
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Sample, sample

WEEK = 7 * DAY
WEEKLY = (Grain.HOUR, Grain.DAY, Grain.WEEK)
"""Grains with a comparable period one week earlier."""

DAYS_SHOWN = 7
"""Days of the heat map, including today."""
NOT_OVER = 0
CELLS = {State.WAITING: NOT_OVER, State.DONE: 1, State.PENDING: 2, State.STALE: 3, State.FAILED: 4}

Marked = Mapping[Period, Marker]


def stage_samples(stage: str, marked: Marked, window: Sequence[PeriodStatus]) -> Iterator[Sample]:
    """Yield the samples of a stage, from all its success markers and the states in the window."""
    for grain in Grain:
        own = {period: marker for period, marker in marked.items() if period.grain is grain}
        seen = [one for one in window if one.period.grain is grain]
        if own or seen:
            labels = {"stage": stage, "grain": grain.value}
            yield from state_samples(labels, own, seen, min([*own, *(one.period for one in seen)]))
            generations = sum(own[one.period].generation for one in seen if one.period in own)
            yield sample(metrics.GENERATIONS, generations, **labels)
            yield from _last_run(labels, own)
            yield from _newest(labels, own)


def state_samples(
    labels: Mapping[str, str], made: Collection[Period], window: Sequence[PeriodStatus], first: Period
) -> Iterator[Sample]:
    """Yield the states of one grain: the number of each, the oldest open period, and the watermark.

    ``made`` are all published periods, and ``first`` is the first expected period.
    """
    counted = Counter(one.state for one in window)
    for state in State:
        yield sample(metrics.PERIODS, counted[state], **labels, state=state.value)
    opened = [one.period.start for one in window if one.open]
    if opened:
        yield sample(metrics.OLDEST_OPEN, min(opened).timestamp(), **labels)
    yield sample(metrics.WATERMARK, _watermark(made, first).timestamp(), **labels)


def _watermark(made: Collection[Period], first: Period) -> datetime:
    while first in made:
        first = first.next()
    return first.start


def _last_run(labels: Mapping[str, str], own: Marked) -> Iterator[Sample]:
    if not own:
        return
    last = max(own.values(), key=lambda one: one.finished_at)
    started, finished = map(datetime.fromisoformat, (last.started_at, last.finished_at))
    yield sample(metrics.LAST_FINISHED, finished.timestamp(), **labels)
    yield sample(metrics.LAST_DURATION, (finished - started).total_seconds(), **labels)
    if last.cpu_seconds is not None:
        yield sample(metrics.LAST_CPU, last.cpu_seconds, **labels)


def is_complete(stage: str, period: Period, made_at: datetime) -> bool:
    """Return whether a period made at that time is complete; a day's schedule is complete in advance."""
    return stage == keys.SCHEDULE_FETCH or made_at >= period.end


def _newest(labels: Mapping[str, str], own: Marked) -> Iterator[Sample]:
    """Yield the counts of the newest complete period, and of the periods to compare it with."""
    stage = labels["stage"]
    newest = next(
        (
            period
            for period in sorted(own, key=attrgetter("start"), reverse=True)
            if is_complete(stage, period, datetime.fromisoformat(own[period].started_at))
        ),
        None,
    )
    if newest is None:
        return
    yield sample(metrics.NEWEST_END, newest.end.timestamp(), **labels)
    yield from _counts(labels, [own[newest]], metrics.NEWEST_ROWS, metrics.NEWEST_DUPLICATES, metrics.NEWEST_REJECTS)
    before = Period.containing(newest.start - WEEK, newest.grain)
    if newest.grain in WEEKLY and before in own:
        for direction, rows in own[before].rows_moved.items():
            yield sample(metrics.WEEK_BEFORE_ROWS, rows, **labels, direction=direction)
    recent = [marker for period, marker in own.items() if newest.start - WEEK <= period.start < newest.start]
    if recent:
        yield from _counts(labels, recent, metrics.RECENT_ROWS, metrics.RECENT_DUPLICATES, metrics.RECENT_REJECTS)


def _counts(
    labels: Mapping[str, str],
    markers: Sequence[Marker],
    rows: metrics.Metric,
    duplicates: metrics.Metric,
    rejects: metrics.Metric,
) -> Iterator[Sample]:
    """Yield the summed counts of markers, as far as the stage has them."""
    moved: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for marker in markers:
        moved.update(marker.rows_moved)
        reasons.update(marker.counts.get("rejects", {}))
    for direction, number in moved.items():
        yield sample(rows, number, **labels, direction=direction)
    if any("duplicates" in marker.counts for marker in markers):
        total = sum(marker.counts.get("duplicates", 0) for marker in markers)
        yield sample(duplicates, total, **labels)
    for reason, number in reasons.items():
        yield sample(rejects, number, **labels, reason=reason)


def hour_samples(marked: Marked, window: Sequence[PeriodStatus], now: datetime, grace: timedelta) -> Iterator[Sample]:
    """Yield the heat map: the state of each hour of the last days. An hour without events is open after the grace."""
    states = {one.period: one for one in window}
    known = [*marked, *states]
    if not known:
        return
    first, today = min(known), Period.containing(now, Grain.DAY)
    for days_ago in range(DAYS_SHOWN):
        day = Period.containing(today.start - days_ago * DAY, Grain.DAY)
        for hour in day.parts(Grain.HOUR):
            if hour >= first:
                cell = _cell(states.get(hour), over=hour.end + grace <= now)
                yield sample(metrics.HOUR_STATE, cell, days_ago=str(days_ago), hour=f"{hour.start:%H}")


def held_samples(held: Mapping[Period, int]) -> Iterator[Sample]:
    """Yield the number of held files, and the oldest hour with some, from the numbers by hour."""
    yield sample(metrics.HELD_FILES, sum(held.values()))
    if hours := [hour for hour, files in held.items() if files]:
        yield sample(metrics.OLDEST_HELD, min(hours).start.timestamp())


def offset_samples(logs: Iterable[str], breaks: Sequence[Break]) -> Iterator[Sample]:
    """Yield the gaps, missing records and overlaps of each topic and Kafka partition, 0 without any."""
    for log in sorted(logs):
        topic, partition = split_log(log)
        labels = {"topic": topic, "kafka_partition": partition}
        gaps = [one for one in breaks if one.gap and one.log == log]
        yield sample(metrics.OFFSET_GAPS, len(gaps), **labels)
        yield sample(metrics.OFFSET_MISSING, sum(one.records for one in gaps), **labels)
        if gaps:
            yield sample(metrics.NEWEST_GAP, max(one.hour for one in gaps).start.timestamp(), **labels)
        yield sample(metrics.OFFSET_OVERLAPS, sum(not one.gap and one.log == log for one in breaks), **labels)


def retention_samples(deleted: Mapping[str, Deleted], overdue: Iterable[tuple[str, datetime]]) -> Iterator[Sample]:
    """Yield what retention has deleted by layer, and the times of the oldest periods that should have ended."""
    for layer, one in deleted.items():
        yield sample(metrics.ENDED_OBJECTS, one.objects, layer=layer)
        yield sample(metrics.ENDED_BYTES, one.bytes, layer=layer)
    for layer, at in overdue:
        yield sample(metrics.RETENTION_OVERDUE, at.timestamp(), layer=layer)


def erasure_samples(requests: Sequence[str], days: int) -> Iterator[Sample]:
    """Yield the number of requests to erase viewers that are open, oldest first, and the deadline of the oldest."""
    yield sample(metrics.OPEN_ERASURES, len(requests))
    if requests:
        yield sample(metrics.ERASURE_DEADLINE, (requested_at(requests[0]) + days * DAY).timestamp())


def key_samples(periods: Mapping[str, int]) -> Iterator[Sample]:
    """Yield the number of periods under other viewer keys, by stage."""
    for stage, number in periods.items():
        yield sample(metrics.OTHER_KEY_PERIODS, number, stage=stage)


def _cell(status: PeriodStatus | None, *, over: bool) -> int:
    if status is None:
        return CELLS[State.PENDING] if over else NOT_OVER
    return CELLS[status.state]


def ledger_samples(states: Sequence[PeriodStatus], window: Span) -> Iterator[Sample]:
    """Yield the samples of the mart: hours and audience periods by grain, and the number of periods behind the lake."""
    for stage in LOADED_OF:
        behind = sum(one.source == stage and one.state not in {State.DONE, State.WAITING} for one in states)
        yield sample(metrics.MART_BEHIND, behind, stage=stage)
    for grain in Grain:
        own = [one for one in states if one.source != keys.SCHEDULE_FETCH and one.period.grain is grain]
        if own:
            yield from _grain_samples({"stage": keys.MART_LOAD, "grain": grain.value}, own, window)


def _grain_samples(labels: Mapping[str, str], own: Sequence[PeriodStatus], window: Span) -> Iterator[Sample]:
    loaded = {one.period: one.made_at for one in own if one.made_at}
    seen = [one for one in own if window.touches(one.period)]
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


def dataset_samples(marked: Marked, ended: Ended = NOTHING_ENDED) -> Iterator[Sample]:
    """Yield the size of each dataset in the success markers, without what retention has ended."""
    totals = {
        metrics.DATASET_ROWS: Counter[str](),
        metrics.DATASET_BYTES: Counter[str](),
        metrics.DATASET_OBJECTS: Counter[str](),
    }
    for marker in marked.values():
        for name, held in marker.datasets.items():
            if ended.has_dataset(name, marker):
                continue
            totals[metrics.DATASET_ROWS][name] += held.rows
            totals[metrics.DATASET_BYTES][name] += held.size
            totals[metrics.DATASET_OBJECTS][name] += held.objects
    for metric, by_dataset in totals.items():
        for dataset, number in by_dataset.items():
            yield sample(metric, number, dataset=dataset)


def window_of(now: datetime, days: int) -> Span:
    """Return the span of the last ``days`` days, including today, without an end."""
    return Span(Period.containing(now - (days - 1) * DAY, Grain.DAY).start)
