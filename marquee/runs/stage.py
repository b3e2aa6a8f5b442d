"""Runs a stage: plan its periods, make those that are due, publish them, or record why they failed.

A stage lists the periods that it could make and the current inputs of each. A period is *pending* without a marker,
*stale* when its inputs differ from the marker's, otherwise *done*; it is *failed* when its last run failed. So
late-arriving files, restated hours and re-fetched schedules propagate downstream, and a run without changes does
nothing.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Protocol

from marquee import stopping
from marquee.calendar import EVER, Period, Span
from marquee.engine.base import Engine
from marquee.errors import (
    DONE,
    INTERNAL,
    CorruptLakeError,
    EngineGoneError,
    LostRaceError,
    MarqueeError,
    TryAgainError,
    worst,
)
from marquee.lake import keys
from marquee.lake.erasures import STAGES as OF_VIEWERS
from marquee.lake.manifest import Failure, Input, Marker, Parameters, Result, code_version, digest_inputs, now_text
from marquee.lake.markers import Markers, failure_of, publish
from marquee.lake.rekeyed import check_not_rekeying
from marquee.lake.rows_since import with_rows_since
from marquee.runs.deaths import died_here, is_put_off, made_by_this_command, noted, put_off
from marquee.runs.side_by_side import Done, SideBySide, Steps, Work
from marquee.telemetry.in_use import instruments

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
    """A period that a stage can make now, and its current inputs: given, or those of its marker."""

    period: Period
    given: tuple[Input, ...] | Marker

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The current inputs."""
        return self.given.inputs if isinstance(self.given, Marker) else self.given


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
    rekeys: bool = False
    """Whether it brings the lake to a newer viewer key, while no other stage with data of viewers may run."""
    gives_up_after: int | None = None
    """Number of consecutive periods that fail with "try again" after which a run stops; None: never."""

    @property
    def side_by_side(self) -> int:
        """How many periods are made at a time, in threads; 1 if periods depend on each other."""
        return 1

    @property
    def parameters(self) -> Parameters:
        """Settings that affect the result, in the form of the marker."""

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the possible periods, in the order in which they must be made."""

    def target(self, period: Period) -> Target | None:
        """Return the period with its current inputs; None while an upstream input is missing or an hour is open.

        CorruptLakeError if an object that decides the inputs is damaged; the period then fails.
        """

    def waits_for(self, period: Period) -> str:
        """Return what a period without a target waits for."""

    def make(self, target: Target, run: RunContext) -> Result:
        """Make the period: write its objects under the run's prefix. Any MarqueeError may be raised."""

    def known_periods(self, span: Span) -> Sequence[Period]:
        """Return the periods of the span for status reports. Default: those that the stage could make."""
        return self.periods(span)

    def known_done(self, period: Period) -> bool:  # noqa: ARG002 - most stages check every period
        """Return whether listing the periods has shown that a period is done, so that a run need not plan it."""
        return False

    def settled(self, period: Period) -> bool:  # noqa: ARG002 - most stages check every period
        """Return whether a period counts as done even if its inputs have changed."""
        return False

    def stands(self, target: Target) -> bool:  # noqa: ARG002 - most stages can make every period again
        """Return whether a published period is done although its inputs differ, because it cannot be made again."""
        return False

    def hold_erased(self, runs: Sequence[Marker], engine: Engine | None = None) -> Sequence[bool]:  # noqa: ARG002 - most stages have no rows of viewers
        """Return of each published run whether it holds a viewer of the requests to erase that it has not honoured.

        ``engine`` searches instead of the stage's own.
        """
        return [False] * len(runs)

    def note(self, period: Period) -> str:  # noqa: ARG002 - most stages have nothing to add
        """Return what a user of a published period should know, such as what it lacks; usually an empty text."""
        return ""

    def check(self, span: Span, *, force: bool) -> None:  # noqa: ARG002 - most stages have nothing to check
        """Check that a run over the span may begin; ConfigError when the settings conflict with the lake."""
        return

    def objects(self, period: Period | None) -> Mapping[str, int]:  # noqa: ARG002 - most stages read no objects from outside
        """Return the number of objects from outside of a period by class; of None, of those of no period."""
        return {}

    def remark(self) -> str:
        """Return what a user should know about the inputs that ``periods`` listed; empty if there is nothing."""
        return ""

    def announce(self, *, ended: bool) -> None:  # noqa: ARG002 - the inputs of most stages are in the lake
        """Publish which periods wait to be made, for downstream stages that cannot list the inputs themselves.

        It is called after ``periods`` returned some and before anything is made, and again when the run has ended.
        """
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


def plan_period(stage: Stage, period: Period) -> Target | CorruptLakeError | None:
    """Return the target of a period, None while it waits, or why it cannot be planned: damage of the lake."""
    try:
        return stage.target(period)
    except CorruptLakeError as error:
        return error


def state_of(stage: Stage, target: Target | None, markers: Markers) -> State:
    """Return the state of a target; None is WAITING."""
    if target is None:
        return State.WAITING
    marker = markers.of(stage.name).get(target.period)
    if marker is not None and is_current(stage, target, marker) and not markers.unclean(marker):
        return State.DONE
    if target.period in markers.failures(stage.name):
        return State.FAILED
    return State.STALE if marker is not None else State.PENDING


def is_current(stage: Stage, target: Target, marker: Marker) -> bool:
    """Return whether a marker has the inputs of its target, or stands although it has others."""
    return is_made_of(stage, target, marker) or stage.stands(target)


def is_made_of(stage: Stage, target: Target, marker: Marker) -> bool:
    """Return whether a marker has the inputs of its target; inputs that are its own are not read for it."""
    if target.given is marker:
        return marker.is_made_by(stage.parameters, stage.definition_version)
    return marker.inputs_digest == _digest(stage, target)


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

    A period at which the process died twice is tried after all others. A stage stops after ``gives_up_after``
    consecutive periods that fail with "try again": the next run makes the rest.

    Raises:
        ConfigError: the settings conflict with the lake, or there are no inputs for them.
    """
    return run_stages([stage], markers, span, force=force, clock=clock, advance=advance)


def run_stages(
    stages: Sequence[Stage],
    markers: Markers,
    span: Span = EVER,
    *,
    force: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    advance: Advance = lambda _done, _all, _period: None,
) -> Report:
    """Run the stages of a job in order, as ``run_stage`` does; periods that are put off come after all others."""
    runs = []
    for stage in stages:
        runs.append(_Run(stage, markers, span, clock, advance, force=force))
        runs[-1].over_all()
    tried = [one.try_put_off() for one in runs]
    if any(tried):  # others may have waited for them
        for one in runs:
            one.over_all()
    return merge(one.report() for one in runs)


class _Run:
    """A run of a stage: makes the due periods in order, and those at which the process has died when told so."""

    def __init__(
        self,
        stage: Stage,
        markers: Markers,
        span: Span,
        clock: Callable[[], datetime],
        advance: Advance,
        *,
        force: bool,
    ) -> None:
        _check(stage, markers, span, force=force)
        self._stage, self._markers, self._span, self._clock, self._force = stage, markers, span, clock, force
        self._advance = advance
        self._made: list[Marker] = []
        self._failed: list[tuple[Period, int]] = []
        self._unchanged: set[Period] = set()
        self._finished: set[Period] = set()
        self._put_off: list[Period] = []
        self._total = 0
        self._in_a_row = 0
        self._note = self._remark = ""

    def over_all(self) -> None:
        """Make every period of the span that is due and has not been tried in this run."""
        periods = self._stage.periods(self._span)
        self._remark = self._stage.remark()
        if self._remark:
            _warn(self._stage.name, self._remark)
        _announce(self._stage, periods, ended=False)
        if not self._force:
            search_erased(self._stage, self._markers, periods)
        self._total = len(periods)
        self._advance(len(self._finished), self._total, "")
        tried = {period for period, _ in self._failed}
        if self._force:
            tried |= {Period.parse(one.period) for one in self._made}
            tried |= made_by_this_command(self._markers, self._stage.name)
        if not self._force:
            done = {period for period in periods if self._stage.known_done(period)}
            self._unchanged |= done
            self._finished |= done
            tried |= done
        with SideBySide(self._stage.side_by_side) as makers:
            for number, period in enumerate(periods, start=1):
                if period not in tried and period not in self._put_off:
                    self._over(period, makers)
                if self._in_a_row and self._in_a_row == self._stage.gives_up_after:
                    left = _due(self._stage, self._markers, periods[number:], force=self._force)
                    self._note = _give_up(self._stage, self._in_a_row, left)
                    break
        _announce(self._stage, periods, ended=True)

    def try_put_off(self) -> bool:
        """Try the periods that were put off, except those at which this command has died; return whether one is made.

        A command that starts its process again after a death would otherwise try them again and again.
        """
        before = len(self._made)
        for period in self._put_off:
            target = plan_period(self._stage, period)
            if isinstance(target, Target) and not died_here(self._markers, self._stage.name, period):
                self._make(target)
            else:
                _count_failed()
                self._failed.append((period, INTERNAL))
                self._show(period)
        self._put_off = []
        return len(self._made) > before

    def report(self) -> Report:
        """Return the result."""
        note = self._note
        if not self._made and not self._failed:
            note = self._stage.explain(self._span)
        notes = "; ".join(filter(None, (note, self._remark)))
        return Report(tuple(self._made), tuple(self._failed), len(self._unchanged), notes)

    def _over(self, period: Period, makers: SideBySide) -> None:
        target = plan_period(self._stage, period)
        if isinstance(target, CorruptLakeError):
            code = _fail_plan(self._stage, period, target, self._markers, self._clock)
            self._failed.append((period, code))
        elif target is not None and _is_due(self._stage, target, self._markers, force=self._force):
            if is_put_off(self._markers, self._stage.name, period):
                put_off(self._markers, self._stage.name, period, self._clock())
                self._put_off.append(period)
                return
            makers.run(self._steps(target))
            return
        elif target is not None:
            self._unchanged.add(period)
        self._show(period)

    def _make(self, target: Target) -> None:
        with SideBySide(1) as alone:
            alone.run(self._steps(target))

    def _steps(self, target: Target) -> Steps:
        """Make a period, and note the outcome. It yields the part that may run in another thread."""
        self._unchanged.discard(target.period)
        outcome = yield from _run_one(self._stage, target, self._markers, self._clock, force=self._force)
        if isinstance(outcome, Marker):
            self._made.append(outcome)
        elif outcome == DONE:
            self._unchanged.add(target.period)
        else:
            self._failed.append((target.period, outcome))
        self._in_a_row = self._in_a_row + 1 if outcome == TryAgainError.exit_code else 0
        self._show(target.period)

    def _show(self, period: Period) -> None:
        self._finished.add(period)
        self._advance(len(self._finished), max(self._total, len(self._finished)), str(period))


@lru_cache(maxsize=16)
def _warn(stage: str, remark: str) -> None:
    """Log a warning once, also if a process runs a stage several times in a row."""
    log.warning("%s: %s", stage, remark, extra={"stage": stage})


def _check(stage: Stage, markers: Markers, span: Span, *, force: bool) -> None:
    if stage.name in OF_VIEWERS and not stage.rekeys:
        check_not_rekeying(markers)
    stage.check(span, force=force)


def _announce(stage: Stage, periods: Sequence[Period], *, ended: bool) -> None:
    try:
        if periods:
            stage.announce(ended=ended)
    except MarqueeError as error:
        if not ended:
            raise
        # What was published counts, and the next run announces the same.
        log.warning("%s: %s", stage.name, error, extra={"stage": stage.name})


def search_erased(stage: Stage, markers: Markers, periods: Sequence[Period], engine: Engine | None = None) -> None:
    """Search the runs that may hold erased viewers, and note those that hold none, so that they need not be made again.

    A run that is due for another reason is not searched. Without an engine, the stage's own searches.
    """
    if stage.name not in OF_VIEWERS or not markers.erasures.ids:  # others may not read the requests
        return
    made = markers.of(stage.name)
    unclean = [period for period in periods if period in made and markers.unclean(made[period])]
    targets = ((made[period], plan_period(stage, period)) for period in unclean)
    asked = [one for one, target in targets if isinstance(target, Target) and is_current(stage, target, one)]
    if not asked:
        markers.note_clean(stage.name, ())
        return
    clean = [marker for marker, held in zip(asked, stage.hold_erased(asked, engine), strict=True) if not held]
    log.info(
        "%s: %d of %d periods hold no erased viewer", stage.name, len(clean), len(asked), extra={"stage": stage.name}
    )
    markers.note_clean(stage.name, clean)


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
    _check(stage, markers, span, force=force)
    return _due(stage, markers, stage.periods(span), force=force)


def _due(stage: Stage, markers: Markers, periods: Sequence[Period], *, force: bool) -> list[Period]:
    targets = ((period, plan_period(stage, period)) for period in periods)
    return [
        period
        for period, target in targets
        if isinstance(target, CorruptLakeError) or (target is not None and _is_due(stage, target, markers, force=force))
    ]


def _is_due(stage: Stage, target: Target, markers: Markers, *, force: bool) -> bool:
    """Return whether a target is due. If it is done, clear its failure: the failing change was reverted."""
    if force or state_of(stage, target, markers) is not State.DONE:
        return True
    if target.period in markers.failures(stage.name):
        markers.settle(stage.name, target.period)
    return False


def _run_one(
    stage: Stage, target: Target, markers: Markers, clock: Callable[[], datetime], *, force: bool
) -> Generator[Work, Done, Marker | int]:
    period, previous = target.period, markers.of(stage.name).get(target.period)
    damaged = markers.damaged(stage.name).get(period)
    started = clock()
    run_id = keys.new_run_id(started)
    replaced = previous or damaged
    generation = replaced.generation + 1 if replaced else 1
    context = {"stage": stage.name, "period": str(period), "run_id": run_id}
    with noted(markers, stage.name, period, run_id, started) as begin:
        try:
            if damaged is not None and not force:  # a restored marker is worth more than one that is made again
                raise CorruptLakeError(damaged.reason)  # noqa: TRY301 - it becomes the period's failure
            begin()
            run = RunContext(run_id, keys.run_prefix(stage.name, period, run_id), previous)
            result, cpu_s = yield partial(stage.make, target, run)
            marker = Marker(
                stage=stage.name,
                period=str(period),
                generation=generation,
                run_id=run_id,
                code_version=code_version(),
                **_made_of(stage, target, result),
                outputs=result.outputs,
                counts=result.counts,
                started_at=now_text(started),
                finished_at=now_text(clock()),
                cpu_seconds=round(cpu_s, 3),
            )
            published = publish(markers.store, with_rows_since(marker, previous), replaced)
        except LostRaceError as error:
            log.warning("%s", error, extra=context)
            markers.forget(stage.name)
            if force and state_of(stage, target, markers) is State.DONE:
                return DONE  # what the other run made: with 76, a Job would be tried again and force all periods again
            _count_failed()
            return error.exit_code
        except EngineGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of a run: every failure gets a failure marker
            stopping.check()  # an interrupted query is no failure
            return record_failure(markers, failure_of(error, stage.name, period, run_id, generation, clock()), error)
        markers.note(published)
        _count_published(published)
        seconds = round((clock() - started).total_seconds(), 3)
        log.info(
            "%s %s published", stage.name, period, extra=context | _closing(published.counts) | {"seconds": seconds}
        )
        return published


def _made_of(stage: Stage, target: Target, result: Result) -> dict[str, Any]:
    """Return the fields of a marker that say of what it is made, and how."""
    if (before := result.corrects) is not None:
        names = ("definition_version", "parameters", "inputs", "inputs_digest")
        return {name: getattr(before, name) for name in names}
    return {
        "definition_version": stage.definition_version,
        "parameters": stage.parameters,
        "inputs": target.inputs,
        "inputs_digest": _digest(stage, target),
    }


def _fail_plan(
    stage: Stage, period: Period, error: CorruptLakeError, markers: Markers, clock: Callable[[], datetime]
) -> int:
    now, previous = clock(), markers.of(stage.name).get(period)
    generation = previous.generation + 1 if previous else 1
    failure = failure_of(error, stage.name, period, keys.new_run_id(now), generation, now)
    return record_failure(markers, failure, error)


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
    """Return the counts for the log: numbers, except of viewers, and numbers by reason if there are any."""
    return {
        name: value
        for name, value in counts.items()
        if (isinstance(value, int) and not name.endswith("viewers")) or (value and _by_reason(value))
    }


def _by_reason(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, int) for one in value.values())


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
    if measures := instruments():
        measures.count_work(marker.rows_moved, marker.bytes_moved)


def _count_failed() -> None:
    if measures := instruments():
        measures.JOB_PERIODS.labels("failed").inc()
