"""The life of a run, the same for every stage: plan, make, publish, or say why not.

A stage names the periods it could make and, for each, what it would be made of now. A period is *pending* without a
marker, *stale* when its inputs are no longer the marker's, else *done*; *failed* when its last run failed. So late
files, restated hours and re-fetched schedules flow downstream by themselves, and a run without a change does nothing.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from marquee.calendar import EVER, Period, Span
from marquee.engine.base import cpu_seconds
from marquee.errors import LostRaceError, TryAgainError, worst
from marquee.lake import keys
from marquee.lake.manifest import Failure, Input, Marker, Parameters, Result, code_version, digest_inputs, now_text
from marquee.lake.markers import Markers, failure_of, publish

log = logging.getLogger(__name__)


class State(StrEnum):
    """The state of a period. It waits while it is not over, or while something upstream is missing."""

    DONE = "done"
    WAITING = "waiting"
    PENDING = "pending"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True)
class Target:
    """A period that a stage can make now, and what it would be made of."""

    period: Period
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class RunContext:
    """What a stage is given to make a period: where to write, and the run that stands so far."""

    run_id: str
    prefix: str
    previous: Marker | None


class Stage(Protocol):
    """One stage of the pipeline, ready to run. Stages derive from it."""

    name: str
    definition_version: str
    gives_up_after: int | None = None
    """After how many periods in a row that fail with "try again" the rest is not tried; None: all are tried."""

    @property
    def parameters(self) -> Parameters:
        """Settings that decide the result, as they stand in the marker."""

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the periods there could be, in the order in which they must be made."""

    def target(self, period: Period) -> Target | None:
        """Return what the period would be made of now; None while something upstream is missing or an hour is open."""

    def waits_for(self, period: Period) -> str:
        """Return what a period without a target waits for."""

    def make(self, target: Target, run: RunContext) -> Result:
        """Make the period: write its objects under the run's prefix. May raise any MarqueeError."""

    def known_periods(self, span: Span) -> Sequence[Period]:
        """Return the periods of the span whose state is reported; unless a stage knows better, those it could make."""
        return self.periods(span)

    def settled(self, period: Period) -> bool:  # noqa: ARG002 - most stages come back to every period
        """Tell whether a period counts as done whatever it would be made of now."""
        return False

    def check(self, span: Span, *, force: bool) -> None:  # noqa: ARG002 - most stages have nothing to check
        """See that a run over the span may begin; ConfigError when the settings do not fit what the lake has."""
        return

    def explain(self, span: Span) -> str:  # noqa: ARG002 - most stages have nothing to say
        """Say why a run over the span, whose periods were looked for, had nothing to make; empty if all is done.

        ConfigError when the settings, or the span, are why.
        """
        return ""


@dataclass(frozen=True)
class Report:
    """What a run of a stage did."""

    made: tuple[Marker, ...] = ()
    failed: tuple[tuple[Period, int], ...] = ()
    unchanged: int = 0
    note: str = ""
    """What else a person should know: why there was nothing to make, or that the rest was not tried."""

    @property
    def exit_code(self) -> int:
        """0, or the code that most needs a person."""
        return worst([code for _, code in self.failed])

    @property
    def changed(self) -> int:
        """How many periods were made."""
        return len(self.made)

    @property
    def failures(self) -> int:
        """How many periods failed."""
        return len(self.failed)


Advance = Callable[[int, int, str], None]
"""Told at the start and after each period: how many are through, of how many, and the last one's name."""


def state_of(stage: Stage, target: Target | None, markers: Markers) -> State:
    """Return the state of a target; without one its period waits."""
    if target is None:
        return State.WAITING
    marker = markers.of(stage.name).get(target.period)
    if marker is not None and marker.inputs_digest == _digest(stage, target):
        return State.DONE
    if target.period in markers.failures(stage.name):
        return State.FAILED
    return State.STALE if marker is not None else State.PENDING


def run_stage(
    stage: Stage,
    markers: Markers,
    span: Span = EVER,
    *,
    force: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    advance: Advance = lambda _done, _all, _period: None,
) -> Report:
    """Make every period of the span that is not done (with ``force``: all). One that fails does not stop the others.

    Only when as many in a row as the stage says fail with "try again", the rest is left for the next run.

    Raises:
        ConfigError: the settings do not fit what the lake has, or there is nothing that they could be meant for.
    """
    stage.check(span, force=force)
    made: list[Marker] = []
    failed: list[tuple[Period, int]] = []
    unchanged = in_a_row = 0
    note = ""
    periods = stage.periods(span)
    advance(0, len(periods), "")
    for number, period in enumerate(periods, start=1):
        target = stage.target(period)
        if target is not None and _is_due(stage, target, markers, force=force):
            outcome = _run_one(stage, target, markers, clock)
            if isinstance(outcome, Marker):
                made.append(outcome)
            else:
                failed.append((period, outcome))
            in_a_row = in_a_row + 1 if outcome == TryAgainError.exit_code else 0
        elif target is not None:
            unchanged += 1
        advance(number, len(periods), str(period))
        if in_a_row and in_a_row == stage.gives_up_after:
            note = _give_up(stage, in_a_row, _due(stage, markers, periods[number:], force=force))
            break
    if not made and not failed:
        note = stage.explain(span)
    return Report(tuple(made), tuple(failed), unchanged, note)


def _give_up(stage: Stage, in_a_row: int, left: Sequence[Period]) -> str:
    if not left:
        return ""
    note = f"{in_a_row} periods in a row failed, so the {len(left)} that were left were not tried; run it again later"
    log.error("%s: %s: %s to %s", stage.name, note, left[0], left[-1], extra={"stage": stage.name})
    return note


def plan_stage(stage: Stage, markers: Markers, span: Span = EVER, *, force: bool = False) -> list[Period]:
    """Return the periods that a run would make as things stand; to make one of them may make others due.

    ConfigError as of ``run_stage``, before any work.
    """
    stage.check(span, force=force)
    return _due(stage, markers, stage.periods(span), force=force)


def _due(stage: Stage, markers: Markers, periods: Sequence[Period], *, force: bool) -> list[Period]:
    targets = map(stage.target, periods)
    return [one.period for one in targets if one is not None and _is_due(stage, one, markers, force=force)]


def _is_due(stage: Stage, target: Target, markers: Markers, *, force: bool) -> bool:
    """Tell whether a target is to be made; of one that is not, what had made it fail was taken back."""
    if force or state_of(stage, target, markers) is not State.DONE:
        return True
    if target.period in markers.failures(stage.name):
        markers.settle(stage.name, target.period)
    return False


def _run_one(stage: Stage, target: Target, markers: Markers, clock: Callable[[], datetime]) -> Marker | int:
    period, previous = target.period, markers.of(stage.name).get(target.period)
    started, cpu_before = clock(), cpu_seconds()
    run_id = keys.new_run_id(started)
    generation = previous.generation + 1 if previous else 1
    context = {"stage": stage.name, "period": str(period), "run_id": run_id}
    try:
        result = stage.make(target, RunContext(run_id, keys.run_prefix(stage.name, period, run_id), previous))
        marker = Marker(
            stage=stage.name,
            period=str(period),
            generation=generation,
            run_id=run_id,
            code_version=code_version(),
            definition_version=stage.definition_version,
            parameters=stage.parameters,
            inputs=target.inputs,
            inputs_digest=_digest(stage, target),
            outputs=result.outputs,
            counts=result.counts,
            started_at=now_text(started),
            finished_at=now_text(clock()),
            cpu_seconds=round(cpu_seconds() - cpu_before, 3),
        )
        published = publish(markers.store, marker, previous)
    except LostRaceError as error:
        log.warning("%s", error, extra=context)
        markers.forget(stage.name)
        _count_failed()
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the edge of a run: whatever failed, the period gets its failure marker
        return record_failure(markers, failure_of(error, stage.name, period, run_id, generation, clock()), error)
    markers.note(published)
    _count_published(published)
    seconds = round((clock() - started).total_seconds(), 3)
    log.info("%s %s published", stage.name, period, extra=context | _closing(published.counts) | {"seconds": seconds})
    return published


def record_failure(markers: Markers, failure: Failure, error: Exception) -> int:
    """Log a period's failure, write its failure marker and count it; return the exit code."""
    context = {"stage": failure.stage, "period": failure.period, "run_id": failure.run_id}
    # At this level without the traceback: the texts of errors that are not ours may hold data.
    log.error("%s %s failed: %s", failure.stage, failure.period, failure.reason, extra=context)
    log.debug("traceback", exc_info=error, extra=context)
    markers.store.put(keys.failed_key(failure.stage, Period.parse(failure.period)), failure.to_json())
    markers.note_failure(failure)
    _count_failed()
    return failure.exit_code


def _closing(counts: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in counts.items() if isinstance(value, int)}


def _digest(stage: Stage, target: Target) -> str:
    return digest_inputs(target.inputs, stage.parameters, stage.definition_version)


def merge(reports: Iterable[Report]) -> Report:
    """Return several runs' reports as one."""
    listed = list(reports)
    return Report(
        tuple(marker for one in listed for marker in one.made),
        tuple(failure for one in listed for failure in one.failed),
        sum(one.unchanged for one in listed),
        "; ".join(one.note for one in listed if one.note),
    )


def _count_published(marker: Marker) -> None:
    from marquee.telemetry import instruments  # noqa: PLC0415 - planning counts nothing

    instruments.count_work(marker.rows_moved, marker.bytes_moved)


def _count_failed() -> None:
    from marquee.telemetry import instruments  # noqa: PLC0415

    instruments.JOB_PERIODS.labels("failed").inc()
