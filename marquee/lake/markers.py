"""Markers: publishes runs, and caches the markers of a lake for one process."""

import dataclasses
import logging
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeAlias

from marquee.calendar import Period
from marquee.errors import (
    BadInputError,
    CorruptLakeError,
    LostRaceError,
    MarqueeError,
    TryAgainError,
    describe_foreign,
)
from marquee.lake import keys
from marquee.lake.begun import MOST_DEATHS, Begun, read_begun
from marquee.lake.ended import NOTHING_ENDED, Ended, read_ended
from marquee.lake.erasures import STAGES as OF_VIEWERS
from marquee.lake.erasures import Clean, Requests, contents_before, list_requests, read_clean
from marquee.lake.manifest import MARKER_BYTES, Failure, Input, Marker, now_text
from marquee.lake.marker_index import WORTH, Index, marker_in, read_index, write_index
from marquee.lake.pending import read_pending, write_pending
from marquee.storage.base import ObjectInfo, ObjectNotFoundError, PreconditionError, Store, in_parallel
from marquee.system_errors import explain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Damaged:
    """A success marker that is not valid: what its run made is unknown, so its period is failed until made again."""

    period: Period
    etag: str
    reason: str
    generation: int = 0
    """The generation that the text still shows, so that the next one is later for a mart; 0 if it shows none."""


_GENERATION = re.compile(rb'"generation": ?(\d{1,9})\b')
_ALWAYS = 2**31 - 1
"""Generation of a failure that no success settles: nothing is known of the marker that it stands for."""


def publish(store: Store, marker: Marker, previous: Marker | Damaged | None) -> Marker:
    """Publish a run by one conditional write, and clear the failure. LostRaceError if another run was first."""
    period = Period.parse(marker.period)
    key = keys.success_key(marker.stage, period)
    data = marker.to_json()
    if len(data) > MARKER_BYTES:
        message = (
            f"{key}: the marker would have {len(data)} bytes for {len(marker.inputs)} inputs; at most {MARKER_BYTES} "
            "are allowed. Join the raw objects of the period into fewer"
        )
        raise BadInputError(message)
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

    def __init__(self, store: Store, *, indexed: bool = True, writes_index: bool = False) -> None:
        """Read a store's markers by their index, unless it is to be left out, and write the index where it is worth it.

        A process that only reads the lake writes no index.
        """
        self.store = store
        self._indexed, self._writes_index = indexed, writes_index
        self._indexes: dict[str, Index] = {}
        self._unwritten: Counter[str] = Counter()
        """Number of markers of each stage that were read and are not in the index."""
        self._ahead: dict[tuple[str, Period, str], Marker | MarqueeError] = {}
        """Markers that were read ahead, by stage, period and run, until somebody asks for them."""
        self._places: dict[str, tuple[list[Period], dict[Period, int]]] = {}
        self._success: dict[str, dict[Period, Marker]] = {}
        self._failed: dict[str, dict[Period, Failure]] = {}
        self._damaged: dict[str, dict[Period, Damaged]] = {}
        self._etags: dict[str, dict[str, str]] = {}
        """Versions, or etags, by stage and key, from the listing before the last read."""
        self._announced: dict[str, frozenset[Period] | None] = {}
        """Pending periods of each stage, as the lake lists them; some may have been made since. None: it is damaged."""
        self._pending: dict[str, frozenset[Period]] = {}
        self._begun: dict[str, dict[Period, Begun | None]] = {}
        """Runs that have begun, of stages for which somebody has asked."""
        self._listed_begun: dict[str, list[Period]] = {}
        self._ended: dict[str, Ended] = {}
        self._listed_at: dict[str, float] = {}
        self._erasures: Requests | None = None
        self._clean: dict[str, Clean] = {}

    def of(self, stage: str) -> dict[Period, Marker]:
        """Return the valid success markers of a stage by period. NewerLakeError if one is of a newer format."""
        self._load(stage)
        return self._success[stage]

    def damaged(self, stage: str) -> Mapping[Period, Damaged]:
        """Return the success markers of a stage that are not valid, by period. ``of`` omits them."""
        self._load(stage)
        return self._damaged[stage]

    def why_missing(self, stage: str, period: Period) -> str:
        """Return a text that names a period which another one waits for, and says so if its marker is damaged."""
        return f"waits for {stage} {period}" + (": its marker is damaged" if period in self.damaged(stage) else "")

    def failures(self, stage: str) -> dict[Period, Failure]:
        """Return a stage's failures in force by period: those that no later success has settled, and damaged markers.

        A failure marker that is not valid is in force, too, until the period is found done or is made again.
        """
        self._load(stage)
        if not self._failed[stage] and not self._damaged[stage]:
            return {}
        in_force = {
            period: failure
            for period, failure in list(self._failed[stage].items())  # another thread may make a period
            if (marker := self._success[stage].get(period)) is None or marker.generation < failure.generation
        }
        return in_force | {one.period: _as_failure(stage, one) for one in self._damaged[stage].values()}

    def settled(self, stage: str) -> dict[Period, Failure]:
        """Return the settled failures whose markers remain because the run was killed before it cleared them."""
        in_force = self.failures(stage)
        return {period: failure for period, failure in self._failed[stage].items() if period not in in_force}

    def has(self, stage: str, key: str) -> bool:
        """Return whether the last listing of a stage's markers had an object."""
        self._load(stage)
        return key in self._etags[stage]

    def ended(self, stage: str) -> Ended:
        """Return what retention has ended of a stage's periods; CorruptLakeError if the list is damaged."""
        self._load(stage)
        if stage not in self._ended:
            listed = keys.ended_key(stage) in self._etags[stage]
            self._ended[stage] = read_ended(self.store, stage) if listed else NOTHING_ENDED
        return self._ended[stage]

    def pending(self, stage: str) -> frozenset[Period]:
        """Return the periods of a stage that had inputs when a run last listed them, and that have no success."""
        made = self.of(stage)
        if stage not in self._announced:
            self._announced[stage] = read_pending(self.store, stage)
            self._pending[stage] = self._announced[stage] or frozenset()
        # Not a difference of sets, which would walk over all that is made.
        if any(period in made for period in self._pending[stage]):
            self._pending[stage] = frozenset(period for period in self._pending[stage] if period not in made)
        return self._pending[stage]

    def announce(self, stage: str, pending: Collection[Period], *, tidy: bool) -> None:
        """Add pending periods of a stage to the lake's list; with ``tidy``, also drop those that have a success.

        A damaged list is replaced.
        """
        after, listed = self.pending(stage).union(pending), self._announced[stage]
        if listed is None or (after != listed if tidy else not after <= listed):
            write_pending(self.store, stage, after)
            self._announced[stage] = self._pending[stage] = after

    @property
    def erasures(self) -> Requests:
        """The requests to erase viewers, as listed since the last refresh of the rollup."""
        if self._erasures is None:
            self._erasures = list_requests(self.store)
        return self._erasures

    def unclean(self, marker: Marker) -> tuple[str, ...]:
        """Return the requests whose viewers a run may hold: it has not honoured them, and nobody has searched it."""
        if marker.stage not in OF_VIEWERS or not (ids := self.erasures.ids):  # others may not read the requests
            return ()
        clean = self.clean(marker.stage)
        if marker.run_id in clean.runs:  # without its counts, which may have to be read from the marker
            return tuple(one for one in ids if one not in clean.requests)
        return self.erasures.since(marker.counts)

    def honoured_by(self, inputs: Iterable[Marker]) -> Requests:
        """Return the requests that a run honours by being made of these runs alone."""
        return self.erasures.up_to({one for marker in inputs for one in self.unclean(marker)})

    def differ_by_erasure(self, before: Iterable[Input], now: Iterable[Input], but: str = "") -> bool:
        """Return whether inputs are the same content, but for erased viewers; the input ``but`` may be any."""
        then, here = ({one.name: one for one in inputs if one.name != but} for inputs in (before, now))
        return then.keys() == here.keys() and all(
            one == here[name] or one.etag in self._contents_before(name) for name, one in then.items()
        )

    def _contents_before(self, name: str) -> Collection[str]:
        stage, _, rest = name.partition("/")
        period, _, dataset = rest.partition("/")
        if stage not in keys.STAGES:
            return ()
        marker = self.of(stage).get(Period.parse(period))
        return contents_before(marker).get(dataset, ()) if marker else ()

    def clean(self, stage: str) -> Clean:
        """Return which runs of a stage were searched and hold no erased viewer."""
        if stage not in self._clean:
            self._clean[stage] = read_clean(self.store, stage) if self.has(stage, keys.clean_key(stage)) else Clean()
        return self._clean[stage]

    def note_clean(self, stage: str, searched: Collection[Marker]) -> None:
        """Note the runs that hold no viewer of any request: those that were searched, or have honoured all requests.

        Without searched runs, that is done only if it spares reading the counts of many. Of two writers at the same
        time, one is lost: its runs are searched again.
        """
        if stage not in OF_VIEWERS or not self.erasures.ids:
            return
        made, known = self.of(stage).values(), self.clean(stage)
        runs = {one.run_id for one in (*searched, *(one for one in made if not self.unclean(one)))}
        if searched or len(runs - known.runs) >= WORTH:
            self._clean[stage] = Clean(frozenset(self.erasures.ids), frozenset(runs))
            self.store.put(keys.clean_key(stage), self._clean[stage].to_bytes(), durable=False)

    def begun(self, stage: str) -> dict[Period, Begun]:
        """Return a stage's runs that have begun by period: those that neither ended nor were settled by a later one."""
        self._load(stage)
        if stage not in self._begun:
            self._begun[stage] = {period: read_begun(self.store, stage, period) for period in self._listed_begun[stage]}
        made, failed = self._success[stage], self._failed[stage]
        return {
            period: one
            for period, one in self._begun[stage].items()
            if one is not None and not one.settled_by(made.get(period), failed.get(period))
        }

    def stale_begun(self, stage: str, before: datetime) -> list[Period]:
        """Return the periods whose run began before an instant and means nothing any more."""
        in_force = {period for period, one in self.begun(stage).items() if one.died >= MOST_DEATHS}
        found = self._begun[stage].items()
        return [
            period
            for period, one in found
            if period not in in_force and (one is None or datetime.fromisoformat(one.begun_at) < before)
        ]

    def note_begun(self, stage: str, period: Period, begun: Begun | None) -> None:
        """Replace what is known of the period's run that has begun; None: it has ended."""
        if stage in self._begun:
            self._begun[stage][period] = begun

    def note(self, marker: Marker) -> None:
        """Add a marker that this process has just published, and drop the period's failure."""
        period = Period.parse(marker.period)
        self.of(marker.stage)[period] = marker
        self._failed[marker.stage].pop(period, None)
        self._damaged[marker.stage].pop(period, None)

    def forget(self, stage: str) -> None:
        """Drop a stage from the cache, so that the next call reads it again."""
        self._success.pop(stage, None)
        self._failed.pop(stage, None)
        self._damaged.pop(stage, None)
        self._announced.pop(stage, None)
        self._begun.pop(stage, None)
        self._ended.pop(stage, None)

    def note_failure(self, failure: Failure) -> None:
        """Add a failure that this process has just written."""
        self._load(failure.stage)
        self._failed[failure.stage][Period.parse(failure.period)] = failure

    def settle(self, stage: str, period: Period) -> None:
        """Delete a period's failure marker, because the period is done."""
        self._load(stage)
        self.store.delete(keys.failed_key(stage, period))
        self._failed[stage].pop(period, None)

    def refresh(self, stage: str, after_s: float = 0.0) -> None:
        """List the markers of a stage, and read those that are new or changed since the last read.

        With ``after_s``, nothing happens if the last listing is not that many seconds old.
        """
        now = time.monotonic()
        if stage in self._success and now - self._listed_at[stage] < after_s:
            return
        kept: Mapping[str, Mapping[Period, _Read]] = {
            keys.SUCCESS: {**self._success.get(stage, {}), **self._damaged.get(stage, {})},
            keys.FAILED: self._failed.get(stage, {}),
        }
        seen = self._etags.get(stage, {})
        objects = list(self.store.list(keys.markers_prefix(stage)))
        every = list(keys.list_markers(stage, objects))
        listed = [one for one in every if one[1] != keys.BEGUN]
        changed = [
            (period, info)
            for period, name, info in listed
            if period not in kept[name] or seen.get(info.key) != (info.version or info.etag)
        ]
        read = self._read_changed(stage, objects, changed)
        success: dict[Period, Marker] = {}
        failed: dict[Period, Failure] = {}
        damaged: dict[Period, Damaged] = {}
        for period, name, info in listed:
            one = read[info.key] if info.key in read else kept[name][period]
            if isinstance(one, Marker):
                success[period] = one
            elif isinstance(one, Failure):
                failed[period] = one
            elif one is not None:
                damaged[period] = one
        # Assign at the end, so that an error halfway leaves the stage unread.
        self._success[stage], self._failed[stage], self._damaged[stage] = success, failed, damaged
        self._listed_at[stage] = now
        if stage == keys.ROLLUP:  # whoever asks for requests refreshes it, among others: one listing a round
            self._erasures = None
        self._clean.pop(stage, None)
        self._begun.pop(stage, None)
        self._listed_begun[stage] = [period for period, name, _ in every if name == keys.BEGUN]
        self._places.pop(stage, None)
        etags = {info.key: info.version or info.etag for info in objects}
        pending = keys.pending_key(stage)
        if pending not in etags:
            self._announced[stage] = self._pending[stage] = frozenset()
        elif etags[pending] != seen.get(pending):
            self._announced.pop(stage, None)
        if etags.get(keys.ended_key(stage)) != seen.get(keys.ended_key(stage)):
            self._ended.pop(stage, None)
        self._etags[stage] = etags
        self._write_index(stage, [info for _, _, info in listed])

    def _load(self, stage: str) -> None:
        if stage not in self._success:
            self.refresh(stage)

    def _read_changed(
        self, stage: str, objects: Sequence[ObjectInfo], changed: Sequence[tuple[Period, ObjectInfo]]
    ) -> "dict[str, _Read | None]":
        """Return the markers of some objects by key, from the index or from the objects; None for one that is gone."""
        index = self._index(stage, objects) if changed else Index()
        read_later = partial(self._read_later, stage)
        found: dict[str, _Read | None] = {}
        unread = []
        for period, info in changed:
            line = index.line(info)
            one = marker_in(line, index.kinds, stage, period, info.etag, read_later) if line else None
            if one is None:
                unread.append((period, info))
            else:
                found[info.key] = one
        bodies = in_parallel(self.store, self._body, [info for _, info in unread])
        for (period, info), (body, version) in zip(unread, bodies, strict=True):
            read = None if body is None else _read_marker(stage, period, body, info)
            found[info.key] = read
            # The object may have been replaced after the listing: a line is of the version that was read.
            if self._writes_index and isinstance(read, Marker | Failure) and version == info.version != "":
                self._unwritten[stage] += index.add(info, read)
        return found

    def _index(self, stage: str, objects: Iterable[ObjectInfo]) -> Index:
        if stage not in self._indexes:
            key = keys.index_key(stage)
            info = next((one for one in objects if one.key == key), None)
            self._indexes[stage] = read_index(self.store, info) if info and self._indexed else Index()
        return self._indexes[stage]

    def _write_index(self, stage: str, listed: Sequence[ObjectInfo]) -> None:
        if self._unwritten[stage] < WORTH:
            return
        self._unwritten[stage] = 0
        try:
            write_index(self.store, stage, self._indexes[stage], listed)
        except MarqueeError as error:  # it is a cache; without the right to write, each run reads the markers
            self._writes_index = False
            log.warning("cannot write the index of markers: %s", error)

    def _body(self, info: ObjectInfo) -> tuple[bytes | None, str]:
        if info.size > MARKER_BYTES:
            return b" " * (MARKER_BYTES + 1), ""
        try:
            return self.store.get_version(info.key)
        except ObjectNotFoundError:  # another run has cleared its failure after the listing
            return None, ""

    def _read_later(self, stage: str, period: Period, run_id: str) -> Marker:
        """Read a published marker of the index from its object, and those of some periods after it."""
        asked = stage, period, run_id
        if asked not in self._ahead:
            periods, places = self._places.get(stage) or self._find_places(stage)
            at = places.get(period, len(periods))
            after = [self._success[stage][one] for one in periods[at + 1 : at + self.store.readers]]
            wanted = [asked, *((stage, Period.parse(one.period), one.run_id) for one in after if one.is_partly_known)]
            self._ahead |= zip(wanted, in_parallel(self.store, self._try_to_read, wanted), strict=True)
        found = self._ahead.pop(asked)
        if isinstance(found, MarqueeError):
            raise found
        return found

    def _find_places(self, stage: str) -> tuple[list[Period], dict[Period, int]]:
        periods = list(self._success[stage])
        self._places[stage] = periods, {period: number for number, period in enumerate(periods)}
        return self._places[stage]

    def _try_to_read(self, one: tuple[str, Period, str]) -> Marker | MarqueeError:
        stage, period, run_id = one
        key = keys.success_key(stage, period)
        try:
            found = Marker.from_json(self.store.get_version(key)[0], key, "")
        except MarqueeError as error:
            return error
        if found.run_id == run_id:
            return found
        return TryAgainError(f"{key} was replaced by run {found.run_id} while it was read. Run again")


_Read: TypeAlias = Marker | Failure | Damaged


def _read_marker(stage: str, period: Period, body: bytes, info: ObjectInfo) -> _Read:
    is_success = info.key.endswith(keys.SUCCESS)
    try:
        if is_success:
            return Marker.from_json(body, info.key, info.etag)
        return Failure.from_json(body, info.key)
    except CorruptLakeError as error:  # one damaged marker must not hide the others
        shown = _GENERATION.search(body)
        damaged = Damaged(period, info.etag, str(error), int(shown[1]) if shown else 0)
        return damaged if is_success else _as_failure(stage, damaged)


def _as_failure(stage: str, damaged: Damaged) -> Failure:
    return Failure(
        stage,
        str(damaged.period),
        run_id="",
        generation=_ALWAYS,
        kind=CorruptLakeError.kind,
        exit_code=CorruptLakeError.exit_code,
        reason=damaged.reason,
        failed_at="",
    )


def failure_of(error: Exception, stage: str, period: Period, run_id: str, generation: int, now: datetime) -> Failure:
    """Return the failure of a run. Of a foreign error it has only class and place: the text may hold data."""
    error = explain(error) or error
    if isinstance(error, MarqueeError):
        kind, code, reason = error.kind, error.exit_code, str(error)
    else:
        kind, code, reason = MarqueeError.kind, MarqueeError.exit_code, describe_foreign(error)
    return Failure(stage, str(period), run_id, generation, kind, code, reason, now_text(now))
