"""Lets go of a period's runs that a later run has replaced, without waiting for a person.

A period that is to date is published again with each day, and each run leaves objects that the next one replaces. The
marker names the runs that have such objects, and since when. Once that is longer ago than the grace period, no reader
can be reading them any more, and the next run of the period deletes them. A run that dies in between leaves the marker,
so the run after it deletes the same.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from marquee.calendar import Period
from marquee.errors import MarqueeError
from marquee.lake import keys
from marquee.lake.manifest import Marker, Output, now_text
from marquee.storage.base import Store, in_parallel

log = logging.getLogger(__name__)

GRACE = timedelta(days=7)
"""Grace period: longer than any run, and than any read of a run's objects."""
SUPERSEDED = "superseded"
"""Count of a marker: the runs of its period that have objects to delete, each with the time since when."""


def replaced_at(marker: Marker) -> Mapping[str, datetime]:
    """Return the runs that a marker names as replaced, with the time since when; without what is no such entry."""
    found = marker.counts.get(SUPERSEDED)
    times = {run: _time(text) for run, text in found.items()} if isinstance(found, dict) else {}
    return {run: time for run, time in times.items() if time is not None}


def is_over(replaced: datetime, now: datetime, grace: timedelta = GRACE) -> bool:
    """Return whether objects that were replaced at a time may be deleted."""
    return replaced + grace < now


def runs_to_note(previous: Marker | None, outputs: Iterable[Output], now: datetime) -> dict[str, str]:
    """Return the count ``SUPERSEDED`` of the marker that replaces another.

    Args:
        previous: the marker that is replaced, whose runs that are over ``let_go`` has deleted.
        outputs: the outputs of the new marker, some of which may be those of earlier runs.
        now: the time of the replacement.
    """
    if previous is None:
        return {}
    noted = {run: since for run, since in replaced_at(previous).items() if not is_over(since, now)}
    listed = _runs_of(outputs)
    gone = {run for run in _runs_of(previous.outputs) if run not in listed}
    # Of a run that is still listed, everything else was replaced when it was.
    return {run: now_text(since) for run, since in {**noted, **dict.fromkeys({*gone, previous.run_id}, now)}.items()}


def let_go(store: Store, published: Marker | None, now: datetime) -> int:
    """Delete the objects of the runs that a marker names as replaced, and that are over; return their number.

    Only objects that the published marker does not list are deleted. A failure is logged, and ends nothing else.
    """
    if published is None:
        return 0
    over = [run for run, since in replaced_at(published).items() if is_over(since, now)]
    period = Period.parse(published.period)
    deleted = 0
    try:
        # Outputs may have to be read from the object of the marker.
        listed = {output.key for output in published.outputs} if over else set()
        for run in over:
            found = [one.key for one in store.list(keys.run_prefix(published.stage, period, run))]
            deleted += len(list(in_parallel(store, store.delete, [key for key in found if key not in listed])))
    except MarqueeError as error:
        context = {"stage": published.stage, "period": published.period}
        log.warning("replaced runs of %s %s stay: %s", published.stage, published.period, error, extra=context)
    return deleted


def _runs_of(outputs: Iterable[Output]) -> set[str]:
    return {run[2] for output in outputs if (run := keys.run_of(output.key))}


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found and found.tzinfo else None
