"""The state of every period of every stage, the same for ``marquee status``, its HTML page and the exporter.

``read_states`` reads the state of each period; ``summarise``, ``not_done`` and ``fold`` aggregate the result.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marquee.calendar import Period
from marquee.errors import CorruptLakeError
from marquee.lake.coverage import Coverage, coverage_of
from marquee.lake.datasets import Dataset
from marquee.lake.manifest import Failure, Input, Marker
from marquee.lake.markers import Markers
from marquee.runs.stage import Stage, State, Target, plan_period, state_of

URGENCY = (State.FAILED, State.STALE, State.PENDING, State.WAITING)
"""The states that are not done, most urgent first."""

NAMED = 2
"""Maximum number of inputs that a reason names; of more it gives the number."""


SPOKEN = {"catalogue": "the schedule of the episodes played"}
"""Inputs whose names in the markers say little."""


@dataclass(frozen=True)
class PeriodStatus:
    """The state of one period of a stage.

    Attributes:
        stage: the stage; ``mart_load`` for the loads into the mart.
        period: the period.
        state: its state.
        rows: rows of the stage's main dataset; for the mart, the rows of the lake's marker.
        rejects: rejected lines, or episodes.
        generation: how many times the period was made; None if never.
        made_at: when the period was made, or loaded; None if never.
        reason: why the period failed, is stale or is pending, or what it waits for.
        source: for the mart, the stage whose rows are loaded; otherwise empty.
        note: what a user of the published period should know, such as files or records that it lacks.
        objects: for the rollup, the number of raw objects in the hour's folder now, by class; otherwise empty.
        hours: hours that the result has; None if the stage does not count hours, or nothing was made.
        hours_expected: hours of the period; None as ``hours``.
    """

    stage: str
    period: Period
    state: State
    rows: int = 0
    rejects: int = 0
    generation: int | None = None
    made_at: datetime | None = None
    reason: str = ""
    source: str = ""
    note: str = ""
    objects: Mapping[str, int] = field(default_factory=dict, hash=False)
    hours: int | None = None
    hours_expected: int | None = None

    @property
    def label(self) -> str:
        """The stage, and of the mart what is loaded into it."""
        return f"{self.stage} {self.source}".rstrip()

    @property
    def coverage(self) -> Coverage | None:
        """The hours of the result and of the period; None if they are not known."""
        if self.hours is None or self.hours_expected is None:
            return None
        return Coverage(self.hours, self.hours_expected)

    @property
    def open(self) -> bool:
        """Whether the period needs a run now."""
        return self.state not in {State.DONE, State.WAITING}


def read_states(
    stage: Stage, markers: Markers, periods: Iterable[Period], main: Dataset | None = None
) -> Iterator[PeriodStatus]:
    """Yield the states of a stage's periods in the given order; ``rows`` counts the main dataset, 0 without one."""
    failures, made, damaged = markers.failures(stage.name), markers.of(stage.name), markers.damaged(stage.name)
    for period in periods:
        target, marker = plan_period(stage, period), made.get(period)
        state, reason = State.FAILED, ""
        if isinstance(target, CorruptLakeError):
            reason = str(target)
        elif period in damaged:  # also while the period waits
            reason = failures[period].reason
        else:
            state = State.DONE if stage.settled(period) else state_of(stage, target, markers)
            reason = _reason(stage, period, target, state, failures, marker)
            if state is State.STALE and marker and (requests := markers.unclean(marker)):
                reason = "; ".join(filter(None, [reason, _may_hold(len(requests))]))
        covered = coverage_of(marker) if marker else None
        yield PeriodStatus(
            stage.name,
            period,
            state,
            rows=marker.rows(main) if marker and main else 0,
            rejects=sum(marker.counts.get("rejects", {}).values()) if marker else 0,
            generation=marker.generation if marker else None,
            made_at=datetime.fromisoformat(marker.finished_at) if marker else None,
            reason=reason,
            note=stage.note(period) if marker else "",
            objects=stage.objects(period),
            hours=covered.hours if covered else None,
            hours_expected=covered.expected if covered else None,
        )


def _may_hold(requests: int) -> str:
    return f"may hold viewers of {requests} request{'s' * (requests > 1)} to erase"


def _reason(
    stage: Stage,
    period: Period,
    target: Target | None,
    state: State,
    failures: Mapping[Period, Failure],
    marker: Marker | None,
) -> str:
    if target is None:
        return stage.waits_for(period)
    if state is State.FAILED:
        return failures[period].reason
    return "" if state is State.DONE else why_due(stage, target, marker)


def why_due(stage: Stage, target: Target, marker: Marker | None) -> str:
    """Return why a target is not done: never made, or the settings, definition and inputs that have changed."""
    if marker is None:
        return "not made yet"
    reasons = [
        f"setting {name} was {_short(marker.parameters.get(name))}, is now {_short(value)}"
        for name, value in stage.parameters.items()
        if marker.parameters.get(name) != value
    ]
    if marker.definition_version != stage.definition_version:
        reasons.append(f"made by definition {marker.definition_version}, now {stage.definition_version}")
    return "; ".join([*reasons, *_changed_inputs(marker.inputs, target.inputs)])


def _changed_inputs(before: Sequence[Input], now: Sequence[Input]) -> Iterator[str]:
    then, here = ({one.name: one for one in inputs} for inputs in (before, now))
    kinds = {
        "new": [name for name in here if name not in then],
        "changed": [name for name, one in here.items() if name in then and then[name] != one],
        "gone": [name for name in then if name not in here],
    }
    for kind, names in kinds.items():
        if len(names) > NAMED:
            yield f"{len(names)} inputs {kind}, such as {SPOKEN.get(names[0], names[0])}"
        elif names:
            yield f"{kind}: {', '.join(SPOKEN.get(name, name) for name in names)}"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items())
    return str(value)


@dataclass(frozen=True)
class StageSummary:
    """Summary of a stage: periods by state, the newest period that was made, total rows and rejects, and the last run.

    ``source`` is as in ``PeriodStatus``. ``newest`` and ``made_at`` are None if nothing was made.
    """

    stage: str
    source: str
    periods: dict[State, int]
    newest: Period | None
    rows: int
    rejects: int
    made_at: datetime | None

    @property
    def label(self) -> str:
        """The stage, and of the mart what is loaded into it."""
        return f"{self.stage} {self.source}".rstrip()

    def age(self, now: datetime) -> timedelta | None:
        """Return the time since the end of the newest period that was made; None if none was, 0 before its end."""
        return None if self.newest is None else max(now - self.newest.end, timedelta())


def summarise(listed: Sequence[PeriodStatus]) -> list[StageSummary]:
    """Return a summary of each stage, in order of appearance."""
    return [
        _summary(stage, source, [one for one in listed if (one.stage, one.source) == (stage, source)])
        for stage, source in dict.fromkeys((one.stage, one.source) for one in listed)
    ]


def _summary(stage: str, source: str, own: Sequence[PeriodStatus]) -> StageSummary:
    there = [one.period for one in own if one.made_at]
    return StageSummary(
        stage,
        source,
        periods={state: sum(one.state is state for one in own) for state in State},
        newest=max(there, key=lambda period: period.end, default=None),
        rows=sum(one.rows for one in own),
        rejects=sum(one.rejects for one in own),
        made_at=max((one.made_at for one in own if one.made_at), default=None),
    )


def not_done(listed: Sequence[PeriodStatus]) -> list[PeriodStatus]:
    """Return the periods that are not done, most urgent first."""
    return sorted((one for one in listed if one.state in URGENCY), key=lambda one: URGENCY.index(one.state))


def noted(listed: Sequence[PeriodStatus]) -> list[PeriodStatus]:
    """Return the periods with a note."""
    return [one for one in listed if one.note]


def partial(listed: Iterable[PeriodStatus]) -> list[tuple[Period, Coverage, str]]:
    """Return the periods whose results lack hours, with their hours and the stages that have just these hours."""
    found: dict[tuple[Period, Coverage], list[str]] = {}
    for one in listed:
        if one.coverage and not one.coverage.complete:
            found.setdefault((one.period, one.coverage), []).append(one.label)
    return [(*key, ", ".join(labels)) for key, labels in found.items()]


@dataclass(frozen=True)
class PeriodRange:
    """Consecutive periods of one stage and grain with the same state, reason and note."""

    first: PeriodStatus
    last: Period
    count: int

    @property
    def periods(self) -> str:
        """The period, or the first and the last period and their number."""
        if self.count == 1:
            return str(self.first.period)
        return f"{self.first.period} to {self.last} ({self.count})"


def fold(listed: Iterable[PeriodStatus]) -> list[PeriodRange]:
    """Return the periods grouped into ranges of consecutive ones with the same state, reason and note."""

    def alike(one: PeriodStatus) -> tuple[object, ...]:
        return one.stage, one.source, one.state, one.reason, one.note, one.period.grain

    folded: list[PeriodRange] = []
    for one in listed:
        last = folded[-1] if folded else None
        if last and alike(last.first) == alike(one) and last.last.next() == one.period:
            folded[-1] = PeriodRange(last.first, one.period, last.count + 1)
        else:
            folded.append(PeriodRange(one, one.period, 1))
    return folded
