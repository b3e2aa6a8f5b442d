"""What `marquee status` makes of the periods' states: the numbers of each stage, and what is not done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.cli.pipeline import PeriodStatus
from marquee.calendar import Period
from marquee.runs.stage import State

URGENCY = (State.FAILED, State.STALE, State.PENDING)
"""What needs somebody first."""


@dataclass(frozen=True)
class StageSummary:
    """One stage in numbers: periods by state, the newest that is done, rows and rejects of all, age of the last run."""

    stage: str
    periods: dict[State, int]
    newest: Period | None
    rows: int
    rejects: int
    age: timedelta | None


def summarise(listed: Sequence[PeriodStatus], now: datetime) -> list[StageSummary]:
    """Return the stages in the order in which they come."""
    return [
        _summary(stage, [one for one in listed if one.stage == stage], now)
        for stage in dict.fromkeys(one.stage for one in listed)
    ]


def _summary(stage: str, own: Sequence[PeriodStatus], now: datetime) -> StageSummary:
    made = [one.made_at for one in own if one.made_at]
    done = [Period.parse(one.period) for one in own if one.state is State.DONE]
    return StageSummary(
        stage,
        periods={state: sum(one.state is state for one in own) for state in State},
        newest=max(done, key=lambda period: period.end, default=None),
        rows=sum(one.rows for one in own),
        rejects=sum(one.rejects for one in own),
        age=now - max(made) if made else None,
    )


def not_done(listed: Sequence[PeriodStatus]) -> list[PeriodStatus]:
    """Return what is not done, what needs somebody first."""
    return sorted((one for one in listed if one.state in URGENCY), key=lambda one: URGENCY.index(one.state))
