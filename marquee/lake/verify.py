"""Verifies a lake: markers, the objects that they list, and the chain of inputs between stages.

A finding is *damaged* or *missing*: its period must be restored or made again. Or it is *stale*, which is no damage: an
input was made again since, and the next run makes the period again by itself. Objects that retention has ended may be
missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from marquee.calendar import Period, Span
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import DATASETS
from marquee.lake.files import verify_output
from marquee.lake.manifest import Input, Marker, Output, digest_inputs
from marquee.lake.markers import Markers
from marquee.storage.base import ObjectNotFoundError, in_parallel


class Problem(StrEnum):
    """What is wrong with an object."""

    DAMAGED = "damaged"
    MISSING = "missing"
    STALE = "stale"


@dataclass(frozen=True)
class Finding:
    """An object that differs from what a marker says; ``stage`` and ``period`` are those to make again."""

    stage: str
    period: Period
    problem: Problem
    key: str
    reason: str


@dataclass
class Checked:
    """What was checked so far; ``ended`` are objects that retention has ended, which may be missing."""

    markers: int = 0
    objects: int = 0
    bytes: int = 0
    ended: int = 0


Advance = Callable[[int, int, str], None]
"""Called before and after each marker with the number of verified markers, their total, and the last period."""

_DATASETS = {dataset.name: dataset for dataset in DATASETS}


def verify(markers: Markers, span: Span, checked: Checked, advance: Advance) -> Iterator[Finding]:
    """Yield the findings of every period that touches the span, upstream before downstream.

    Objects are read in parallel and streamed. NewerLakeError if a marker is of a newer format.
    """
    for stage in keys.STAGES:
        yield from _damaged_markers(markers, stage, span)
    chosen = [one for stage in keys.STAGES for one in sorted(markers.of(stage).items()) if span.touches(one[0])]
    advance(0, len(chosen), "")
    with TemporaryDirectory(prefix="marquee-verify-") as scratch:
        for number, (period, marker) in enumerate(chosen, start=1):
            yield from _check(markers, period, marker, checked, Path(scratch))
            checked.markers += 1
            advance(number, len(chosen), f"{marker.stage} {period}")


def _damaged_markers(markers: Markers, stage: str, span: Span) -> Iterator[Finding]:
    damaged = markers.damaged(stage)
    for period, one in sorted(damaged.items()):
        if span.touches(period):
            yield Finding(stage, period, Problem.DAMAGED, keys.success_key(stage, period), one.reason)
    for period, failure in sorted(markers.failures(stage).items()):
        if period not in damaged and not failure.run_id and span.touches(period):
            yield Finding(stage, period, Problem.DAMAGED, keys.failed_key(stage, period), failure.reason)


def _check(markers: Markers, period: Period, marker: Marker, checked: Checked, scratch: Path) -> Iterator[Finding]:
    key = keys.success_key(marker.stage, period)
    if digest_inputs(marker.inputs, marker.parameters, marker.definition_version) != marker.inputs_digest:
        reason = f"{key} is damaged: its inputs, parameters or definition differ from their digest"
        yield Finding(marker.stage, period, Problem.DAMAGED, key, reason)

    def check(output: Output) -> Finding | None:
        try:
            verify_output(markers.store, output, scratch)
        except CorruptLakeError as error:
            problem = Problem.MISSING if isinstance(error.__cause__, ObjectNotFoundError) else Problem.DAMAGED
            return Finding(marker.stage, period, problem, output.key, str(error))
        return None

    ended = markers.ended(marker.stage)
    there = ended.left(marker.outputs)
    checked.objects += len(there)
    checked.bytes += sum(one.size for one in there)
    checked.ended += len(marker.outputs) - len(there)
    yield from filter(None, in_parallel(markers.store, check, there))
    for one in marker.inputs:
        yield from _check_input(markers, marker, period, one)


def _check_input(markers: Markers, marker: Marker, period: Period, listed: Input) -> Iterator[Finding]:
    """Compare an input with the upstream marker, if the input is a dataset of another period."""
    stage, _, rest = listed.name.partition("/")
    name, _, dataset = rest.partition("/")
    if stage not in keys.STAGES or dataset not in _DATASETS:  # a raw object, or the schedule of the episodes played
        return
    try:
        upstream = Period.parse(name)
    except ValueError:
        return
    if upstream in markers.damaged(stage):  # a finding of its own
        return
    here = f"{marker.stage} {period}"
    key = keys.success_key(stage, upstream)
    if (made := markers.of(stage).get(upstream)) is None:
        reason = f"{key} is missing, but {here} was made from {listed.name}"
        yield Finding(stage, upstream, Problem.MISSING, key, reason)
    elif made.as_input(_DATASETS[dataset]) != listed:
        reason = f"{here} was made from another {listed.name} than the lake has now. The next run makes it again"
        yield Finding(marker.stage, period, Problem.STALE, keys.success_key(marker.stage, period), reason)
