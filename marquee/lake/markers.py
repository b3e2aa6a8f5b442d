"""Markers: how a run is published, and the markers of a lake as one process sees them."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from marquee.calendar import Period
from marquee.errors import LostRaceError, MarqueeError, describe_foreign
from marquee.lake import keys
from marquee.lake.manifest import Failure, Marker, now_text
from marquee.storage.base import ObjectInfo, ObjectNotFoundError, PreconditionError, Store, in_parallel
from marquee.system_errors import explain


def publish(store: Store, marker: Marker, previous: Marker | None) -> Marker:
    """Make a run stand by one conditional write, and clear the failure. LostRaceError if another run came first."""
    period = Period.parse(marker.period)
    key = keys.success_key(marker.stage, period)
    data = marker.to_json()
    try:
        put = store.put_if_absent if previous is None else partial(store.put_if_unchanged, etag=previous.etag)
        info = put(key, data)
        published = dataclasses.replace(marker, etag=info.etag)
    except PreconditionError as error:
        # The write may have landed although its answer was lost, and the client's own retry found it: then we won.
        standing = read_marker(store, marker.stage, period)
        if standing is None or standing.run_id != marker.run_id:
            winner = f"run {standing.run_id}, generation {standing.generation}" if standing else "another run"
            message = f"{marker.stage} {period}: {winner} was published during run {marker.run_id}; its result stands"
            raise LostRaceError(message) from error
        published = standing
    store.delete(keys.failed_key(marker.stage, period))
    return published


def read_marker(store: Store, stage: str, period: Period) -> Marker | None:
    """Return a period's marker, None if it has none."""
    key = keys.success_key(stage, period)
    info = store.head(key)
    # The etag is taken before the body: were the marker replaced in between, a conditional write only fails.
    return Marker.from_json(store.get(key), key, info.etag) if info else None


class Markers:
    """The markers of a lake as one process sees them: read once a stage, and kept up with its own publishing.

    What lives on beside others that publish calls ``refresh``.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._success: dict[str, dict[Period, Marker]] = {}
        self._failed: dict[str, dict[Period, Failure]] = {}
        self._etags: dict[str, dict[str, str]] = {}
        """By stage and key, as they were listed when they were read."""

    def of(self, stage: str) -> dict[Period, Marker]:
        """Return the success markers of a stage by period."""
        self._load(stage)
        return self._success[stage]

    def failures(self, stage: str) -> dict[Period, Failure]:
        """Return the failures in force of a stage by period: those that no later success has settled."""
        self._load(stage)
        return {
            period: failure
            for period, failure in self._failed[stage].items()
            if (marker := self._success[stage].get(period)) is None or marker.generation < failure.generation
        }

    def settled(self, stage: str) -> dict[Period, Failure]:
        """Return the failures that a success has settled, yet left there: its run was killed before it cleared them."""
        in_force = self.failures(stage)
        return {period: failure for period, failure in self._failed[stage].items() if period not in in_force}

    def note(self, marker: Marker) -> None:
        """Take up a marker that this process has just published, and the failure marker cleared."""
        period = Period.parse(marker.period)
        self.of(marker.stage)[period] = marker
        self._failed[marker.stage].pop(period, None)

    def forget(self, stage: str) -> None:
        """Read the stage anew when it is asked for next: another process has published there."""
        self._success.pop(stage, None)
        self._failed.pop(stage, None)

    def note_failure(self, failure: Failure) -> None:
        """Take up a failure that this process has just written."""
        self._load(failure.stage)
        self._failed[failure.stage][Period.parse(failure.period)] = failure

    def settle(self, stage: str, period: Period) -> None:
        """Clear a period's failure: what failed then has been done since."""
        self._load(stage)
        self.store.delete(keys.failed_key(stage, period))
        self._failed[stage].pop(period, None)

    def refresh(self, stage: str) -> None:
        """List the markers of a stage, and read those that have come, or changed, since they were last read."""
        kept: Mapping[str, Mapping[Period, Any]] = {
            keys.SUCCESS: self._success.get(stage, {}),
            keys.FAILED: self._failed.get(stage, {}),
        }
        read = self._etags.get(stage, {})
        listed = list(keys.list_markers(self.store, stage))
        changed = [info for period, name, info in listed if period not in kept[name] or read.get(info.key) != info.etag]
        got = in_parallel(self.store, lambda info: self._body(info.key), changed)
        bodies = dict(zip((info.key for info in changed), got, strict=True))
        success: dict[Period, Marker] = {}
        failed: dict[Period, Failure] = {}
        for period, name, info in listed:
            of: dict[Period, Any] = success if name == keys.SUCCESS else failed
            if info.key not in bodies:
                of[period] = kept[name][period]
            elif (body := bodies[info.key]) is not None:
                of[period] = _read_marker(name, body, info)
        # At the very end: after an error halfway, the stage is not taken for one that has been read.
        self._success[stage], self._failed[stage] = success, failed
        self._etags[stage] = {info.key: info.etag for *_, info in listed}

    def _load(self, stage: str) -> None:
        if stage not in self._success:
            self.refresh(stage)

    def _body(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except ObjectNotFoundError:  # another run has cleared its failure since the listing
            return None


def _read_marker(name: str, body: bytes, info: ObjectInfo) -> Marker | Failure:
    if name == keys.SUCCESS:
        return Marker.from_json(body, info.key, info.etag)
    return Failure.from_json(body, info.key)


def failure_of(error: Exception, stage: str, period: Period, run_id: str, generation: int, now: datetime) -> Failure:
    """Describe a failed run. Of an error that is not ours only the class and the place: its text may hold data."""
    error = explain(error) or error
    if isinstance(error, MarqueeError):
        kind, code, reason = error.kind, error.exit_code, str(error)
    else:
        kind, code, reason = MarqueeError.kind, MarqueeError.exit_code, describe_foreign(error)
    return Failure(stage, str(period), run_id, generation, kind, code, reason, now_text(now))
