"""Markers: publishes runs, and caches the markers of a lake for one process."""

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
    """Publish a run by one conditional write, and clear the failure. LostRaceError if another run was first."""
    period = Period.parse(marker.period)
    key = keys.success_key(marker.stage, period)
    data = marker.to_json()
    try:
        put = store.put_if_absent if previous is None else partial(store.put_if_unchanged, etag=previous.etag)
        info = put(key, data)
        published = dataclasses.replace(marker, etag=info.etag)
    except PreconditionError as error:
        # The write may have succeeded while its answer was lost; the client's own retry then finds this run's marker.
        found = read_marker(store, marker.stage, period)
        if found is None or found.run_id != marker.run_id:
            winner = f"run {found.run_id}, generation {found.generation}" if found else "another run"
            message = (
                f"{marker.stage} {period}: {winner} was published during run {marker.run_id}; its result is kept, "
                "and this run's is dropped"
            )
            raise LostRaceError(message) from error
        published = found
    store.delete(keys.failed_key(marker.stage, period))
    return published


def read_marker(store: Store, stage: str, period: Period) -> Marker | None:
    """Return a period's success marker, or None."""
    key = keys.success_key(stage, period)
    info = store.head(key)
    # The etag is read before the body: if the marker is replaced in between, a later conditional write fails safely.
    return Marker.from_json(store.get(key), key, info.etag) if info else None


class Markers:
    """Cache of a lake's markers for one process: reads each stage once, and adds what the process itself publishes.

    A long-running process calls ``refresh`` to see what other processes publish.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._success: dict[str, dict[Period, Marker]] = {}
        self._failed: dict[str, dict[Period, Failure]] = {}
        self._etags: dict[str, dict[str, str]] = {}
        """Etags by stage and key, from the listing before the last read."""

    def of(self, stage: str) -> dict[Period, Marker]:
        """Return the success markers of a stage by period."""
        self._load(stage)
        return self._success[stage]

    def failures(self, stage: str) -> dict[Period, Failure]:
        """Return a stage's failures in force by period: those that no later success has settled."""
        self._load(stage)
        return {
            period: failure
            for period, failure in self._failed[stage].items()
            if (marker := self._success[stage].get(period)) is None or marker.generation < failure.generation
        }

    def settled(self, stage: str) -> dict[Period, Failure]:
        """Return the settled failures whose markers remain because the run was killed before it cleared them."""
        in_force = self.failures(stage)
        return {period: failure for period, failure in self._failed[stage].items() if period not in in_force}

    def note(self, marker: Marker) -> None:
        """Add a marker that this process has just published, and drop the period's failure."""
        period = Period.parse(marker.period)
        self.of(marker.stage)[period] = marker
        self._failed[marker.stage].pop(period, None)

    def forget(self, stage: str) -> None:
        """Drop a stage from the cache, so that the next call reads it again."""
        self._success.pop(stage, None)
        self._failed.pop(stage, None)

    def note_failure(self, failure: Failure) -> None:
        """Add a failure that this process has just written."""
        self._load(failure.stage)
        self._failed[failure.stage][Period.parse(failure.period)] = failure

    def settle(self, stage: str, period: Period) -> None:
        """Delete a period's failure marker, because the period is done."""
        self._load(stage)
        self.store.delete(keys.failed_key(stage, period))
        self._failed[stage].pop(period, None)

    def refresh(self, stage: str) -> None:
        """List the markers of a stage, and read those that are new or changed since the last read."""
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
        # Assign at the end, so that an error halfway leaves the stage unread.
        self._success[stage], self._failed[stage] = success, failed
        self._etags[stage] = {info.key: info.etag for *_, info in listed}

    def _load(self, stage: str) -> None:
        if stage not in self._success:
            self.refresh(stage)

    def _body(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except ObjectNotFoundError:  # another run has cleared its failure after the listing
            return None


def _read_marker(name: str, body: bytes, info: ObjectInfo) -> Marker | Failure:
    if name == keys.SUCCESS:
        return Marker.from_json(body, info.key, info.etag)
    return Failure.from_json(body, info.key)


def failure_of(error: Exception, stage: str, period: Period, run_id: str, generation: int, now: datetime) -> Failure:
    """Return the failure of a run. Of a foreign error it has only class and place: the text may hold data."""
    error = explain(error) or error
    if isinstance(error, MarqueeError):
        kind, code, reason = error.kind, error.exit_code, str(error)
    else:
        kind, code, reason = MarqueeError.kind, MarqueeError.exit_code, describe_foreign(error)
    return Failure(stage, str(period), run_id, generation, kind, code, reason, now_text(now))
