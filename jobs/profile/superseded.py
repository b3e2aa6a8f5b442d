"""Lets go of the runs of days and periods that later runs have replaced; ``marquee.lake.superseded`` has the rules."""

from collections.abc import Sequence
from datetime import datetime

from marquee.lake import keys
from marquee.lake.manifest import Output
from marquee.lake.markers import Markers
from marquee.lake.superseded import GRACE, SUPERSEDED, let_go, runs_to_note
from marquee.runs.stage import RunContext
from marquee.storage.base import Store


def supersede(store: Store, run: RunContext, outputs: Sequence[Output]) -> dict[str, dict[str, str]]:
    """Delete what the runs before the previous one have left, and return the count that notes the previous one."""
    now = keys.run_started(run.run_id)
    let_go(store, run.previous, now)
    noted = runs_to_note(run.previous, outputs, now)
    return {SUPERSEDED: noted} if noted else {}


def let_go_of_ended(markers: Markers, now: datetime) -> None:
    """Delete what replaced runs have left of the days and periods that ended one to two grace periods ago.

    No run of these periods follows that would do so. What late files replace after that is left to ``marquee gc``.
    """
    for stage in (keys.PROFILE, keys.AUDIENCE):
        for period, marker in markers.of(stage).items():
            if now - 2 * GRACE < period.end <= now - GRACE:
                let_go(markers.store, marker, now)
