"""What there is to load: the lake's markers compared with the kiosk's ledger. Pure.

The ledger is the truth about the kiosk. A marker is *loaded* when the ledger has its content, *pending* when it has
none of the period, *stale* when it has that of an older run. When the kiosk's is of a *newer* run, the marker is
refused: a loader that slept through another's load must not turn the kiosk back.
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
"""Which datasets of which stage go into a kiosk, in the order of loading."""


class LoadStatus(StrEnum):
    """How a marker of the lake compares with the kiosk."""

    LOADED = "loaded"
    PENDING = "pending"
    STALE = "stale"
    NEWER = "newer in the kiosk"


@dataclass(frozen=True)
class Entry:
    """A row of the ledger: which run's rows of a dataset stand in the kiosk for a period."""

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
"""What a mart is asked for its ledger."""


def ledger_of(rows: Iterable[Sequence[Any]]) -> Ledger:
    """Return the ledger of what a mart answers to ``LEDGER``."""
    entries = [replace(Entry(*row), loaded_at=row[-1].replace(tzinfo=UTC)) for row in rows]
    return {(entry.dataset, entry.period): entry for entry in entries}


def naive(instant: datetime) -> datetime:
    """Return a UTC instant as a database holds it, without a zone."""
    return instant.astimezone(UTC).replace(tzinfo=None)


Answer = tuple[list[str], list[tuple[Any, ...]]]
"""Columns and rows that a mart answers with."""


@dataclass(frozen=True)
class Item:
    """What a stage made of one period, and how it compares with the kiosk."""

    stage: str
    period: Period
    marker: Marker
    status: LoadStatus


@dataclass(frozen=True)
class Step:
    """What is loaded in one transaction: new captures of the schedule, hours of one day, or the audience of one period.

    ``period`` is the one by which a failure is reported.
    """

    stage: str
    period: Period
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Change:
    """What a transaction writes into the ledger, and for which step."""

    step: Step
    entries: tuple[Entry, ...]
    force: bool = False

    @classmethod
    def of(cls, step: Step, now: datetime, *, force: bool) -> "Change":
        """Return the change that a step makes when it is loaded now."""
        entries = (replace(entry, loaded_at=now) for item in step.items for entry in entries_of(item.marker))
        return cls(step, tuple(entries), force)

    def wanted(self, ledger: Ledger) -> bool:
        """Decide again by what the ledger says now: False when another loader has loaded all of it.

        LostRaceError when another has loaded something newer.
        """
        if self.force:
            return True
        found = [(load_status_of(item.marker, ledger), item) for item in self.step.items]
        for status, item in found:
            if status is LoadStatus.NEWER:
                message = (
                    f"{item.stage} {item.period}: another loader has loaded something newer than generation "
                    f"{item.marker.generation} of run {item.marker.run_id}; it stands"
                )
                raise LostRaceError(message)
        return any(status is not LoadStatus.LOADED for status, _ in found)

    def made(self, ledger: Ledger) -> bool:
        """Tell whether the ledger has exactly this change, and not one like it by another loader."""
        found = [ledger.get((one.dataset, one.period)) for one in self.entries]
        return found == list(self.entries) and [one.loaded_at for one in found if one] == [
            one.loaded_at for one in self.entries
        ]


@dataclass(frozen=True)
class Plan:
    """What a load does: its steps in order, what it refuses, and how many markers are loaded already."""

    steps: tuple[Step, ...]
    refused: tuple[Item, ...]
    unchanged: int


def entries_of(marker: Marker) -> list[Entry]:
    """Return the rows that the ledger has once a marker is loaded."""
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
    # The same bytes are the same content, whatever the run; but of captures the time of fetching counts too.
    if [one.digest for one in known] == [one.digest for one in wanted] and (
        same_run or marker.stage != keys.SCHEDULE_FETCH
    ):
        return LoadStatus.LOADED
    # Run ids sort by time: they decide when a marker was deleted and its generations counted anew.
    if any((one.generation, one.run_id) > (marker.generation, marker.run_id) for one in known):
        return LoadStatus.NEWER
    return LoadStatus.STALE if known else LoadStatus.PENDING


def compare(markers: Markers, ledger: Ledger, scope: Span) -> list[Item]:
    """Return what belongs in a kiosk of a scope: every capture of the schedule, and hours and periods in the scope."""
    # From the end of the pipeline to its start: what an audience was made of has its markers by the time they are read.
    found = {stage: markers.of(stage) for stage in reversed(list(LOADED_OF))}
    return [
        Item(stage, period, marker, load_status_of(marker, ledger))
        for stage in LOADED_OF
        for period, marker in sorted(found[stage].items())
        if stage == keys.SCHEDULE_FETCH or within(period, scope)
    ]


def make_plan(items: Iterable[Item], span: Span, *, force: bool) -> Plan:
    """Return what to do in a span; with ``force`` everything is loaded, whatever the ledger says.

    One changed capture makes the dimensions anew from all days, so their step holds every capture, whatever the span.
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
    """Tell whether the whole period lies in a span."""
    return (scope.start is None or scope.start <= period.start) and (scope.end is None or period.end <= scope.end)
