"""Runs a stage: plan its periods, make those that are due, publish them, or record why they failed.

A stage lists the periods that it could make and the current inputs of each. A period is *pending* without a marker,
*stale* when its inputs differ from the marker's, otherwise *done*; it is *failed* when its last run failed. So
late-arriving files, restated hours and re-fetched schedules propagate downstream, and a run without changes does
nothing.
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
    """The state of a period. It is WAITING until it has ended and its upstream inputs are available."""

    DONE = "done"
    WAITING = "waiting"
    PENDING = "pending"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True)
class Target:
    """A period that a stage can make now, and its current inputs."""

    period: Period
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class RunContext:
    """The run for which a stage makes a period: its id, its prefix to write under, and the published marker so far."""

    run_id: str
    prefix: str
    previous: Marker | None


class Stage(Protocol):
    """Base of all stages of the pipeline."""

    name: str
    definition_version: str
    gives_up_after: int | None = None
    """Number of consecutive periods that fail with "try again" after which a run stops; None: never."""

    @property
    def parameters(self) -> Parameters:
        """Settings that affect the result, in the form of the marker."""

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the possible periods, in the order in which they must be made."""

    def target(self, period: Period) -> Target | None:
        """Return the period with its current inputs; None while an upstream input is missing or an hour is open."""

    def waits_for(self, period: Period) -> str:
        """Return what a period without a target waits for."""

    def make(self, target: Target, run: RunContext) -> Result:
        """Make the period: write its objects under the run's prefix. Any MarqueeError may be raised."""

    def known_periods(self, span: Span) -> Sequence[Period]:
        """Return the periods of the span for status reports. Default: those that the stage could make."""
        return self.periods(span)

    def settled(self, period: Period) -> bool:  # noqa: ARG002 - most stages check every period
        """Return whether a period counts as done even if its inputs have changed."""
        return False

    def check(self, span: Span, *, force: bool) -> None:  # noqa: ARG002 - most stages have nothing to check
        """Check that a run over the span may begin; ConfigError when the settings conflict with the lake."""
        return

    def explain(self, span: Span) -> str:  # noqa: ARG002 - most stages have nothing to say
        """Return why a run over the span had nothing to make; empty if all periods are done.

        ConfigError when the settings or the span are the cause.
        """
        return ""


@dataclass(frozen=True)
class Report:
    """The result of a stage's run."""

    made: tuple[Marker, ...] = ()
    failed: tuple[tuple[Period, int], ...] = ()
    unchanged: int = 0
    note: str = ""
    """Additional information for the user: why there was nothing to make, or that the run stopped early."""

    @property
    def exit_code(self) -> int:
        """0, or the code that most needs attention."""
        return worst([code for _, code in self.failed])

    @property
    def changed(self) -> int:
        """The number of periods that were made."""
        return len(self.made)

    @property
    def failures(self) -> int:
        """How many periods failed."""
        return len(self.failed)


Advance = Callable[[int, int, str], None]
"""Called at the start and after each period with the number of finished periods, their total, and the last name."""


def state_of(stage: Stage, target: Target | None, markers: Markers) -> State:
    """Return the state of a target; None is WAITING."""
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
    """Make every period of the span that is not done (with ``force``: all). A failed period does not stop the others.

    The exception is ``gives_up_after`` consecutive periods that fail with "try again": the next run makes the rest.

    Raises:
        ConfigError: the settings conflict with the lake, or there are no inputs for them.
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
    note = f"{in_a_row} periods in a row failed, so the remaining {len(left)} were not tried; run it again later"
    log.error("%s: %s: %s to %s", stage.name, note, left[0], left[-1], extra={"stage": stage.name})
    return note


def plan_stage(stage: Stage, markers: Markers, span: Span = EVER, *, force: bool = False) -> list[Period]:
    """Return the periods that a run would make now. Making one of them may make others due.

    Raises ConfigError as ``run_stage`` does.
    """
    stage.check(span, force=force)
    return _due(stage, markers, stage.periods(span), force=force)


def _due(stage: Stage, markers: Markers, periods: Sequence[Period], *, force: bool) -> list[Period]:
    targets = map(stage.target, periods)
    return [one.period for one in targets if one is not None and _is_due(stage, one, markers, force=force)]


def _is_due(stage: Stage, target: Target, markers: Markers, *, force: bool) -> bool:
    """Return whether a target is due. If it is done, clear its failure: the failing change was reverted."""
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
    except Exception as error:  # noqa: BLE001 - the edge of a run: every failure gets a failure marker
        return record_failure(markers, failure_of(error, stage.name, period, run_id, generation, clock()), error)
    markers.note(published)
    _count_published(published)
    seconds = round((clock() - started).total_seconds(), 3)
    log.info("%s %s published", stage.name, period, extra=context | _closing(published.counts) | {"seconds": seconds})
    return published


def record_failure(markers: Markers, failure: Failure, error: Exception) -> int:
    """Log a period's failure, write its failure marker and count it; return the exit code."""
    context = {"stage": failure.stage, "period": failure.period, "run_id": failure.run_id}
    # The traceback goes to the debug level only: the text of a foreign error may hold data.
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
    """Merge the reports of several runs."""
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
