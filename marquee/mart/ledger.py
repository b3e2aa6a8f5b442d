"""Plans a load by comparing the lake's markers with the mart's ledger, without I/O.

The ledger records what the mart contains. A marker is *loaded* when the ledger has its content, *pending* when the
ledger has nothing of the period, and *stale* when it has an older run. When the ledger has a *newer* run, the marker is
rejected: a loader that was delayed during another load must not restore old rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from marquee.calendar import Grain, Period, Span
from marquee.errors import LostRaceError
from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    COUNTRIES,
    EPISODES,
    GENRES,
    NETWORKS,
    SHOWS,
    VIEWERSHIP,
    Dataset,
)
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers

LOADED_OF: Mapping[str, tuple[Dataset, ...]] = {
    keys.SCHEDULE_FETCH: (SHOWS, EPISODES, NETWORKS, COUNTRIES, GENRES),
    keys.ROLLUP: (VIEWERSHIP,),
    keys.AUDIENCE: (AUDIENCE, AUDIENCE_BASE),
}
"""The datasets that each stage contributes to a mart, in the order of loading."""


class LoadStatus(StrEnum):
    """How a marker of the lake compares with the mart."""

    LOADED = "loaded"
    PENDING = "pending"
    STALE = "stale"
    NEWER = "newer in the mart"


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


Ledger = Mapping[tuple[str, str], Entry]
"""The ledger by dataset and period."""

LEDGER = "select dataset, period, generation, run_id, digest, rows_loaded, loaded_at from load_ledger"
"""The query for a mart's ledger."""


def ledger_of(rows: Iterable[Sequence[Any]]) -> Ledger:
    """Return the ledger from the rows of the query ``LEDGER``."""
    entries = [replace(Entry(*row), loaded_at=row[-1].replace(tzinfo=UTC)) for row in rows]
    return {(entry.dataset, entry.period): entry for entry in entries}


def naive(instant: datetime) -> datetime:
    """Return an instant in UTC without a zone, as databases store it."""
    return instant.astimezone(UTC).replace(tzinfo=None)


Answer = tuple[list[str], list[tuple[Any, ...]]]
"""Columns and rows of a query's result."""


@dataclass(frozen=True)
class Item:
    """A stage's marker of one period, and how it compares with the mart."""

    stage: str
    period: Period
    marker: Marker
    status: LoadStatus


@dataclass(frozen=True)
class Step:
    """The content of one transaction: new captures of the schedule, hours of one day, or the audience of one period.

    ``period`` is the period of a failure report.
    """

    stage: str
    period: Period
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Change:
    """The ledger entries that a transaction writes, and its step."""

    step: Step
    entries: tuple[Entry, ...]
    force: bool = False

    @classmethod
    def of(cls, step: Step, now: datetime, *, force: bool) -> "Change":
        """Return the change of loading a step now."""
        entries = (replace(entry, loaded_at=now) for item in step.items for entry in entries_of(item.marker))
        return cls(step, tuple(entries), force)

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
    return [
        Entry(one.name, marker.period, marker.generation, marker.run_id, marker.as_input(one).etag, marker.rows(one))
        for one in LOADED_OF[marker.stage]
    ]


def load_status_of(marker: Marker, ledger: Ledger) -> LoadStatus:
    """Compare a marker with the ledger."""
    wanted = entries_of(marker)
    found = [ledger.get((one.dataset, one.period)) for one in wanted]
    known = [one for one in found if one is not None]
    same_run = all(one.run_id == marker.run_id for one in known)
    # Equal bytes are equal content in any run; but captures also differ by the time of fetching.
    if [one.digest for one in known] == [one.digest for one in wanted] and (
        same_run or marker.stage != keys.SCHEDULE_FETCH
    ):
        return LoadStatus.LOADED
    # Run ids sort by time. They decide if a marker was deleted and its generations start again at 1.
    if any((one.generation, one.run_id) > (marker.generation, marker.run_id) for one in known):
        return LoadStatus.NEWER
    return LoadStatus.STALE if known else LoadStatus.PENDING


def compare(markers: Markers, ledger: Ledger, scope: Span) -> list[Item]:
    """Return the items of a mart for a scope: every capture of the schedule, and hours and periods in the scope."""
    # Read downstream stages first: the markers of an audience's inputs then exist when they are read.
    found = {stage: markers.of(stage) for stage in reversed(list(LOADED_OF))}
    return [
        Item(stage, period, marker, load_status_of(marker, ledger))
        for stage in LOADED_OF
        for period, marker in sorted(found[stage].items())
        if stage == keys.SCHEDULE_FETCH or within(period, scope)
    ]


def make_plan(items: Iterable[Item], span: Span, *, force: bool) -> Plan:
    """Return the plan of a load over a span; ``force`` loads everything, even if the ledger has it already.

    One changed capture rebuilds the dimensions from all days, so their step has every capture, even outside the span.
    """
    chosen = [item for item in items if item.stage == keys.SCHEDULE_FETCH or span.touches(item.period)]
    refused = tuple(item for item in chosen if item.status is LoadStatus.NEWER and not force)
    wanted = [item for item in chosen if force or item.status in {LoadStatus.PENDING, LoadStatus.STALE}]
    steps: dict[tuple[str, Period], list[Item]] = {}
    captures = [item for item in wanted if item.stage == keys.SCHEDULE_FETCH]
    if captures and not any(item.stage == keys.SCHEDULE_FETCH for item in refused):
        steps[keys.SCHEDULE_FETCH, captures[-1].period] = captures
    for item in wanted:
        if item.stage != keys.SCHEDULE_FETCH:
            period = Period.containing(item.period.start, Grain.DAY) if item.stage == keys.ROLLUP else item.period
            steps.setdefault((item.stage, period), []).append(item)
    unchanged = sum(item.status is LoadStatus.LOADED for item in chosen) if not force else 0
    return Plan(tuple(Step(*key, tuple(those)) for key, those in steps.items()), refused, unchanged)


def within(period: Period, scope: Span) -> bool:
    """Return whether a span contains the whole period."""
    return (scope.start is None or scope.start <= period.start) and (scope.end is None or period.end <= scope.end)
