"""The state of every period: of the stages, for ``marquee status``, the page and the exporter alike.

``read_states`` asks a stage about each period; ``summarise``, ``not_done`` and ``fold`` are made of the answers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from marquee.calendar import Period
from marquee.lake.datasets import Dataset
from marquee.lake.manifest import Input, Marker
from marquee.lake.markers import Markers
from marquee.runs.stage import Stage, State, Target, state_of

URGENCY = (State.FAILED, State.STALE, State.PENDING, State.WAITING)
"""The states that are not done; the one that most needs a person comes first."""

NAMED = 2
"""Inputs that a reason names; of more it tells the number."""


@dataclass(frozen=True)
class PeriodStatus:
    """The state of one period of a stage.

    Attributes:
        stage: the stage, ``mart_load`` for what is loaded into the mart.
        period: the period.
        state: its state.
        rows: rows of the stage's main dataset; of the mart, those of the lake's marker.
        rejects: rejected lines, or episodes.
        generation: how often it was made; None if it never was.
        made_at: when it was made, or loaded; None if it never was.
        reason: why it failed, is stale or is pending, or what it waits for.
        source: of the mart, the stage whose rows are loaded.
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

    @property
    def label(self) -> str:
        """The stage, and of the mart what is loaded into it."""
        return f"{self.stage} {self.source}".rstrip()

    @property
    def open(self) -> bool:
        """Whether there is something to be done about it now."""
        return self.state not in {State.DONE, State.WAITING}


def read_states(
    stage: Stage, markers: Markers, periods: Iterable[Period], main: Dataset | None = None
) -> Iterator[PeriodStatus]:
    """Yield the states of periods of a stage, in their order; ``rows`` are of the main dataset, if it is given."""
    failures, made = markers.failures(stage.name), markers.of(stage.name)
    for period in periods:
        target, marker = stage.target(period), made.get(period)
        state = State.DONE if stage.settled(period) else state_of(stage, target, markers)
        if target is None:
            reason = stage.waits_for(period)
        elif state is State.FAILED:
            reason = failures[period].reason
        else:
            reason = "" if state is State.DONE else why_due(stage, target, marker)
        yield PeriodStatus(
            stage.name,
            period,
            state,
            rows=marker.rows(main) if marker and main else 0,
            rejects=sum(marker.counts.get("rejects", {}).values()) if marker else 0,
            generation=marker.generation if marker else None,
            made_at=datetime.fromisoformat(marker.finished_at) if marker else None,
            reason=reason,
        )


def why_due(stage: Stage, target: Target, marker: Marker | None) -> str:
    """Return why a target is not done: it was never made, or which setting, definition or input has changed."""
    if marker is None:
        return "not made yet"
    reasons = [
        f"setting {name} was {_short(marker.parameters.get(name))}, is {_short(value)}"
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
            yield f"{len(names)} inputs {kind}, such as {names[0]}"
        elif names:
            yield f"{kind}: {', '.join(names)}"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items())
    return str(value)


@dataclass(frozen=True)
class StageSummary:
    """One stage in numbers: periods by state, the newest that was made, rows and rejects of all, the last run.

    ``source`` as in ``PeriodStatus``; ``newest`` and ``made_at`` are None if nothing was made.
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
        """Return how long ago the newest period that was made ended; None if none was made, 0 if it is not over."""
        return None if self.newest is None else max(now - self.newest.end, timedelta())


def summarise(listed: Sequence[PeriodStatus]) -> list[StageSummary]:
    """Return the stages in the order in which they come."""
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
    """Return what is not done, what needs a person first."""
    return sorted((one for one in listed if one.state in URGENCY), key=lambda one: URGENCY.index(one.state))


@dataclass(frozen=True)
class Stretch:
    """Periods one after another, of one stage and grain, that are in one state for one reason."""

    first: PeriodStatus
    last: Period
    count: int

    @property
    def periods(self) -> str:
        """The period, or the first and the last one and how many there are."""
        if self.count == 1:
            return str(self.first.period)
        return f"{self.first.period} to {self.last} ({self.count})"


def fold(listed: Iterable[PeriodStatus]) -> list[Stretch]:
    """Return the periods with those that follow each other, and have the same state and reason, taken together."""

    def alike(one: PeriodStatus) -> tuple[object, ...]:
        return one.stage, one.source, one.state, one.reason, one.period.grain

    folded = []
    for _, group in groupby(listed, alike):
        own = list(group)
        folded.append(Stretch(own[0], own[-1].period, len(own)))
    return folded
