"""Plans a load by comparing the lake's markers with the mart's ledger, without I/O.

The ledger records what the mart contains. A marker is *loaded* when the ledger has its content, *pending* when the
ledger has nothing of the period, and *stale* when it has an older run. When the ledger has a *newer* run, the marker is
rejected: a loader that was delayed during another load must not restore old rows.

The hours of a day are loaded together, because the mart has their sums. An hour of a day that is not over is *open* in
a mart with a floor, and waits: two marts that differ by an hour would tell that hour.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from marquee.calendar import HOUR, Grain, Period, Span
from marquee.errors import LostRaceError
from marquee.lake import keys
from marquee.lake.coverage import Coverage, coverage_of
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    COUNTRIES,
    DEPARTURE,
    EPISODES,
    GENRES,
    LAUNCH,
    NETWORKS,
    OVERLAP,
    SEASON_AUDIENCE,
    SEASON_STEP,
    SHOW_ORDER,
    SHOWS,
    VIEWERSHIP,
    Dataset,
)
from marquee.lake.erasures import LATER, told
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.lake.rows_since import rows_since
from marquee.mart.settings import MartSettings

LOADED_OF: Mapping[str, tuple[Dataset, ...]] = {
    keys.SCHEDULE_FETCH: (SHOWS, EPISODES, NETWORKS, COUNTRIES, GENRES),
    keys.ROLLUP: (VIEWERSHIP,),
    keys.AUDIENCE: (
        AUDIENCE,
        AUDIENCE_BASE,
        AUDIENCE_GENRE,
        DEPARTURE,
        SHOW_ORDER,
        OVERLAP,
        SEASON_STEP,
        SEASON_AUDIENCE,
        LAUNCH,
    ),
}
"""The datasets that each stage contributes to a mart, in the order of loading."""


class LoadStatus(StrEnum):
    """How a marker of the lake compares with the mart."""

    LOADED = "loaded"
    PENDING = "pending"
    STALE = "stale"
    NEWER = "newer in the mart"
    OPEN = "of a day that is not over"


Answer = tuple[list[str], list[tuple[Any, ...]]]
"""Columns and rows of a query's result."""


@dataclass(frozen=True)
class Entry:
    """A row of the ledger: the run whose rows of a dataset the mart has for a period."""

    dataset: str
    period: str
    generation: int
    run_id: str
    digest: str
    rows: int
    loaded_at: datetime | None = field(default=None, compare=False)
    hours: int | None = field(default=None, compare=False)
    hours_expected: int | None = field(default=None, compare=False)
    definition_version: str | None = field(default=None, compare=False)
    erased_later: str | None = field(default=None, compare=False)
    rows_generation: int | None = field(default=None, compare=False)
    rows_run_id: str | None = field(default=None, compare=False)

    @property
    def coverage(self) -> Coverage | None:
        """The hours of an audience and of its period; None for other datasets."""
        if self.hours is None or self.hours_expected is None:
            return None
        return Coverage(self.hours, self.hours_expected)


Ledger = Mapping[tuple[str, str], Entry]
"""The ledger by dataset and period."""

LEDGER = "select * from load_ledger"
"""The query for a mart's ledger. A mart of an earlier version lacks some columns."""


def ledger_of(answer: Answer) -> Ledger:
    """Return the ledger from the answer to the query ``LEDGER``."""
    columns, rows = answer
    entries = (_entry(dict(zip(columns, row, strict=True))) for row in rows)
    return {(entry.dataset, entry.period): entry for entry in entries}


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        dataset=row["dataset"],
        period=row["period"],
        generation=row["generation"],
        run_id=row["run_id"],
        digest=row["digest"],
        rows=row["rows_loaded"],
        loaded_at=row["loaded_at"].replace(tzinfo=UTC),
        hours=row.get("hours"),
        hours_expected=row.get("hours_expected"),
        definition_version=row.get("definition_version"),
        erased_later=row.get("erased_later"),
        rows_generation=row.get("rows_generation"),
        rows_run_id=row.get("rows_run_id"),
    )


def row_of(entry: Entry) -> dict[str, Any]:
    """Return the row of the table ``load_ledger`` for an entry."""
    period = Period.parse(entry.period)
    return {
        "dataset": entry.dataset,
        "period": entry.period,
        "grain": str(period.grain),
        "starts_at": naive(period.start),
        "ends_at": naive(period.end),
        "generation": entry.generation,
        "run_id": entry.run_id,
        "digest": entry.digest,
        "rows_loaded": entry.rows,
        "loaded_at": naive(entry.loaded_at or datetime.now(UTC)),
        "hours": entry.hours,
        "hours_expected": entry.hours_expected,
        "definition_version": entry.definition_version,
        "erased_later": entry.erased_later,
        "rows_generation": entry.rows_generation,
        "rows_run_id": entry.rows_run_id,
    }


def naive(instant: datetime) -> datetime:
    """Return an instant in UTC without a zone, as databases store it."""
    return instant.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Item:
    """A stage's marker of one period, and how it compares with the mart."""

    stage: str
    period: Period
    marker: Marker
    status: LoadStatus


@dataclass(frozen=True)
class Step:
    """The content of one transaction: new captures of the schedule, all hours of a day, or the audience of a period.

    ``period`` is the period of a failure report.
    """

    stage: str
    period: Period
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Change:
    """The ledger entries that a transaction writes, and its step.

    ``restated`` is whether the step is a day in a mart of whole days that may have been published before with other
    rows; see ``restated_days``.
    """

    step: Step
    entries: tuple[Entry, ...]
    force: bool = False
    restated: bool = False

    @classmethod
    def of(cls, step: Step, now: datetime, *, force: bool, whole_days: bool = False) -> "Change":
        """Return the change of loading a step now. The ledger of a mart of whole days has no rows of single hours."""
        entries = [replace(entry, loaded_at=now) for item in step.items for entry in entries_of(item.marker)]
        if not whole_days or step.stage != keys.ROLLUP:
            return cls(step, tuple(entries), force)
        return cls(step, tuple(replace(one, rows=0) for one in entries), force, bool(restated_days(entries)))

    def wanted(self, ledger: Ledger) -> bool:
        """Return whether the current ledger still needs this change. It does not if another loader has loaded it all.

        LostRaceError if another loader has loaded a newer run.
        """
        if self.force:
            return True
        found = [(load_status_of(item.marker, ledger), item) for item in self.step.items]
        for status, item in found:
            if status is LoadStatus.NEWER:
                message = (
                    f"{item.stage} {item.period}: another loader has loaded a newer run than generation "
                    f"{item.marker.generation} of run {item.marker.run_id}; the newer run is kept"
                )
                raise LostRaceError(message)
        return any(status is not LoadStatus.LOADED for status, _ in found)

    def made(self, ledger: Ledger) -> bool:
        """Return whether the ledger has exactly this change, and not an equal one of another loader."""
        found = [ledger.get((one.dataset, one.period)) for one in self.entries]
        return found == list(self.entries) and [one.loaded_at for one in found if one] == [
            one.loaded_at for one in self.entries
        ]


@dataclass(frozen=True)
class Plan:
    """The plan of a load: its steps in order, the rejected items, and the number of markers already loaded."""

    steps: tuple[Step, ...]
    refused: tuple[Item, ...]
    unchanged: int


def entries_of(marker: Marker) -> list[Entry]:
    """Return the ledger entries of a marker that is loaded."""
    noted = _note_of(marker)
    since = rows_since(marker) if marker.stage == keys.ROLLUP else None
    return [
        Entry(
            dataset=one.name,
            period=marker.period,
            generation=marker.generation,
            run_id=marker.run_id,
            digest=marker.as_input(one).etag,
            rows=marker.rows(one),
            rows_generation=since.generation if since else None,
            rows_run_id=since.run_id if since else None,
            **noted._asdict(),
        )
        for one in LOADED_OF[marker.stage]
    ]


class _Note(NamedTuple):
    """What a ledger notes of a run beside its rows: it may change without them."""

    hours: int | None
    hours_expected: int | None
    definition_version: str | None
    erased_later: str | None


def _note_of(marker: Marker) -> _Note:
    if marker.stage != keys.AUDIENCE:  # only audiences have coverage and erasures in their counts
        return _Note(None, None, marker.definition_version, None)
    covered, later = coverage_of(marker), marker.counts.get(LATER)
    return _Note(
        covered.hours if covered else None,
        covered.expected if covered else None,
        marker.definition_version,
        told(later) if later else None,
    )


def restated_days(hours: Iterable[Entry]) -> list[Period]:
    """Return the days of which an hour got other rows after all hours of the day were there.

    A mart may have had such a day before, with other rows. The first runs with the rows of each hour show it, so that a
    mart that is loaded anew knows it, too. The hours are not complete before the last first run of one of them. An hour
    that was made again with the same rows, or rekeyed, does not count.
    """
    days: dict[Period, list[Entry]] = {}
    for one in hours:
        days.setdefault(day_of(Period.parse(one.period)), []).append(one)
    return sorted(day for day, those in days.items() if _is_restated(those))


def _is_restated(hours: Sequence[Entry]) -> bool:
    runs = [(one.rows_generation or one.generation, one.rows_run_id or one.run_id) for one in hours]
    complete = max((run for generation, run in runs if generation == 1), default="")  # run ids sort by time
    return any(generation > 1 and run > complete for generation, run in runs)


def recounted(items: Iterable[Item], ledger: Ledger) -> list[Entry]:
    """Return the entries of loaded items whose hours or definition differ from the ledger's.

    An hour without plays changes the hours of an audience, but not its rows. A mart of an earlier version has neither.
    """
    return [
        replace(loaded, **noted._asdict())
        for item in items
        if item.status is LoadStatus.LOADED
        for noted in [_note_of(item.marker)]
        for dataset in LOADED_OF[item.stage]
        if (loaded := ledger.get((dataset.name, item.marker.period))) and _noted(loaded) != noted
    ]


def _noted(entry: Entry) -> _Note:
    return _Note(entry.hours, entry.hours_expected, entry.definition_version, entry.erased_later)


def load_status_of(marker: Marker, ledger: Ledger) -> LoadStatus:
    """Compare a marker with the ledger."""
    found = {one.name: ledger.get((one.name, marker.period)) for one in LOADED_OF[marker.stage]}
    known = [one for one in found.values() if one is not None]
    same_run = all(one.run_id == marker.run_id for one in known)
    if same_run and len(known) == len(found):  # most markers of a lake, and a run is published once
        return LoadStatus.LOADED
    # A mart of an earlier version has no entry of a dataset that is new, and an earlier run has no rows of it.
    held = {one.name: marker.held(one) for one in LOADED_OF[marker.stage]}
    same_rows = known and all(
        held[name].rows == 0 if loaded is None else loaded.digest == held[name].digest for name, loaded in found.items()
    )
    # Equal bytes are equal content in any run; but captures also differ by the time of fetching.
    if same_rows and (same_run or marker.stage != keys.SCHEDULE_FETCH):
        return LoadStatus.LOADED
    # Run ids sort by time. They decide if a marker was deleted and its generations start again at 1.
    if any((one.generation, one.run_id) > (marker.generation, marker.run_id) for one in known):
        return LoadStatus.NEWER
    return LoadStatus.STALE if known else LoadStatus.PENDING


def compare(markers: Markers, ledger: Ledger, settings: MartSettings) -> list[Item]:
    """Return the items of a mart: every capture of the schedule, and the hours and periods in its own period."""
    # Read downstream stages first: the markers of an audience's inputs then exist when they are read.
    found = {stage: markers.of(stage) for stage in reversed(list(LOADED_OF))}
    items = [
        Item(stage, period, marker, load_status_of(marker, ledger))
        for stage in LOADED_OF
        for period, marker in sorted(found[stage].items(), key=lambda one: (one[0].start, one[0].grain))
        if stage == keys.SCHEDULE_FETCH or within(period, settings.span)
    ]
    if not settings.whole_days:
        return items
    over = _days_over(markers)
    wanted = {LoadStatus.PENDING, LoadStatus.STALE}
    return [
        replace(one, status=LoadStatus.OPEN)
        if one.stage == keys.ROLLUP and one.status in wanted and day_of(one.period) not in over
        else one
        for one in items
    ]


def _days_over(markers: Markers) -> set[Period]:
    """Return the days that are over: with all their hours.

    The first day of a lake may have fewer: those from its first hour on. It is over if it is profiled, and there is an
    hour of a later day.
    """
    made = markers.of(keys.ROLLUP)
    hours = Counter(map(day_of, made))
    first, last = min(made, default=None), max(hours, default=None)
    profiled = markers.of(keys.PROFILE)
    over = {day for day, number in hours.items() if number == day.hours}
    if first and (day := day_of(first)) in profiled and day != last and hours[day] == (day.end - first.start) // HOUR:
        over.add(day)
    return over


def day_of(hour: Period) -> Period:
    """Return the day of an hour."""
    return Period.containing(hour.start, Grain.DAY)


def make_plan(items: Sequence[Item], span: Span, *, force: bool) -> Plan:
    """Return the plan of a load over a span; ``force`` loads everything, even if the ledger has it already.

    One changed capture rebuilds the dimensions from all days, so their step has every capture, even outside the span.
    One changed hour replaces its day, so its step has every hour of the day, unless the mart has a newer run of one.
    """
    chosen = [item for item in items if item.stage == keys.SCHEDULE_FETCH or span.touches(item.period)]
    refused = tuple(item for item in chosen if item.status is LoadStatus.NEWER and not force)
    wanted = [
        item
        for item in chosen
        if item.status in {LoadStatus.PENDING, LoadStatus.STALE} or (force and item.status is not LoadStatus.OPEN)
    ]
    steps: dict[tuple[str, Period], list[Item]] = {}
    captures = [item for item in wanted if item.stage == keys.SCHEDULE_FETCH]
    if captures and not any(item.stage == keys.SCHEDULE_FETCH for item in refused):
        steps[keys.SCHEDULE_FETCH, captures[-1].period] = captures
    days = {day_of(item.period) for item in wanted if item.stage == keys.ROLLUP}
    kept = [*refused, *(item for item in items if item.status is LoadStatus.OPEN)]
    days -= {day_of(item.period) for item in kept if item.stage == keys.ROLLUP}
    for item in items:
        if item.stage == keys.ROLLUP and (day := day_of(item.period)) in days:
            steps.setdefault((item.stage, day), []).append(item)
    for item in wanted:
        if item.stage == keys.AUDIENCE:
            steps[item.stage, item.period] = [item]
    unchanged = sum(item.status is LoadStatus.LOADED for item in chosen) if not force else 0
    return Plan(tuple(Step(*key, tuple(those)) for key, those in steps.items()), refused, unchanged)


def within(period: Period, scope: Span) -> bool:
    """Return whether a span contains the whole period."""
    return (scope.start is None or scope.start <= period.start) and (scope.end is None or period.end <= scope.end)
