"""Periods at which the process died: after two deaths a period is put off until all others are done.

A period may crash native code, or need more memory than there is. Nothing can catch that, so the next run finds the
trace in the lake (``marquee.lake.begun``). It records the failure, goes on with the other periods, and then tries the
period again, alone. A command that starts its process again after a death does not try it a third time.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from marquee.calendar import Period
from marquee.errors import MarqueeError
from marquee.lake import keys
from marquee.lake.begun import MOST_DEATHS, Begun, ended_at_last, read_begun, write_begun
from marquee.lake.manifest import now_text
from marquee.lake.markers import Markers, failure_of
from marquee.runs.supervisor import BEGAN, INVOCATION, restarted

log = logging.getLogger(__name__)


class ProcessDiedError(MarqueeError):
    """The process died at this period, and no error could be caught."""


def left_behind(markers: Markers, stage: str, period: Period) -> Begun | None:
    """Return the run that died at a period; None if there is none, or if it has ended since the markers were read."""
    known = markers.begun(stage).get(period)
    if known is None or not known.runs:
        return known
    markers.note_begun(stage, period, read_begun(markers.store, stage, period))
    return markers.begun(stage).get(period)


def is_put_off(markers: Markers, stage: str, period: Period) -> bool:
    """Return whether so many runs died at a period that all others come first."""
    found = left_behind(markers, stage, period)
    return found is not None and found.died >= MOST_DEATHS


def died_here(markers: Markers, stage: str, period: Period) -> bool:
    """Return whether the last death at a period was of an earlier process of this command."""
    found = left_behind(markers, stage, period)
    return found is not None and found.invocation == INVOCATION


def made_by_this_command(markers: Markers, stage: str) -> set[Period]:
    """Return the periods made since this command began, if it was started again: a force applies once."""
    if not restarted():
        return set()
    return {
        period for period, marker in markers.of(stage).items() if datetime.fromisoformat(marker.started_at) >= BEGAN
    }


def put_off(markers: Markers, stage: str, period: Period, now: datetime) -> None:
    """Record the failure of a period that is put off, in the log and in the lake."""
    begun, marker = markers.begun(stage)[period], markers.of(stage).get(period)
    more = "" if begun.died == MOST_DEATHS else f" ({begun.died} times in all)"
    message = (
        f"the process died twice at this period{more}: native code crashed, the memory was used up, or somebody killed "
        "it. Runs make all other periods first, and then try it again, alone. Look for the signal in the log, raise "
        "the memory or lower MARQUEE_ENGINE__MEMORY_MB, or check the period's inputs"
    )
    run_id = keys.new_run_id(now)
    log.error("%s %s: %s", stage, period, message, extra={"stage": stage, "period": str(period), "run_id": run_id})
    known = markers.failures(stage).get(period)
    if known is not None and known.reason == message:
        return
    generation = marker.generation + 1 if marker else 1
    failure = failure_of(ProcessDiedError(message), stage, period, run_id, generation, now)
    markers.store.put(keys.failed_key(stage, period), failure.to_json())
    markers.note_failure(failure)
    counted = dataclasses.replace(begun, deaths=begun.died, runs=False)
    write_begun(markers.store, counted)
    markers.note_begun(stage, period, counted)


@contextmanager
def noted(markers: Markers, stage: str, period: Period, run_id: str, now: datetime) -> Iterator[Callable[[], None]]:
    """Keep the trace of a run in the lake while the body makes its period; yield the function that writes it."""
    before = left_behind(markers, stage, period)
    begun = Begun(stage, str(period), run_id, before.died if before else 0, INVOCATION, now_text(now))
    with ended_at_last(markers.store, begun, before):
        yield lambda: write_begun(markers.store, begun)
    markers.note_begun(stage, period, None)
