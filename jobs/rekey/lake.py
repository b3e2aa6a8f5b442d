"""Brings a lake to newer viewer keys: its hours, its days, its audiences, and then the requests to erase viewers.

While an object in the lake says so, no stage begins, so that no viewer counts twice. A run that is killed leaves the
object; the next one finds by the markers what is left. Of two at once, one publishes each period.

A stage that began earlier, under the older keys, may still publish. Either it replaces a marker that was moved
meanwhile, and loses; or its period is new, and is found when everything is looked at again, after the requests. It
cannot honour a request that was moved before it read it: requests name their keys (``marquee.lake.erased_rows``).
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np

from jobs.profile.buckets import bucketing_of, under_other_keys
from jobs.rekey.settings import RekeySettings
from jobs.rekey.stage import RekeyStage
from jobs.rollup.key import keep
from jobs.rollup.pseudonyms import Viewers
from jobs.rollup.viewer import Keys, fingerprint, newer_keys
from marquee.calendar import EVER, Period, Span
from marquee.engine.base import NO_ENGINE, Engine
from marquee.engine.duckdb import open_database
from marquee.errors import ConfigError, CorruptLakeError, LostRaceError
from marquee.lake import keys
from marquee.lake.ended import Ended, update_ended
from marquee.lake.erasures import STAGES, Request, read_request
from marquee.lake.layers import LAYERS, outputs_in
from marquee.lake.manifest import WAY_OUT, now_text
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import REKEYED
from marquee.runs.load import engine_for
from marquee.runs.stage import Advance, Report, merge, run_stage
from marquee.storage.base import PreconditionError, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rekeyed:
    """The result: what was made, and the number of requests that were brought to the newer keys."""

    report: Report
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """0, or the code that most needs attention."""
        return self.report.exit_code

    @property
    def changed(self) -> int:
        """The number of periods that were made."""
        return self.report.changed

    @property
    def failures(self) -> int:
        """How many periods failed."""
        return self.report.failures

    @property
    def note(self) -> str:
        """What is left to do."""
        if self.exit_code:
            return "stages are refused until it is complete: run marquee rekey again"
        return "marquee gc deletes the old pseudonyms" if self.changed or self.requests else self.report.note


def run(settings: RekeySettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Rekeyed:
    """Bring the lake to the newest of the viewer keys."""
    del span, force  # all of the lake, once
    viewer_keys = settings.rollup.viewer_keys
    viewer_key = keep(settings.rollup.viewer_key)
    _check(markers, viewer_keys)
    flagged = markers.has(keys.ROLLUP, keys.rekey_key())
    if not _is_older(markers, viewer_key, viewer_keys) and not flagged:
        return Rekeyed(Report(note="the lake is under these viewer keys"))
    _put_flag(markers.store, viewer_key)
    _look_again(markers)
    plan = RekeyStage(keys.ROLLUP, settings, markers, NO_ENGINE, viewer_key)
    engine = engine_for(settings.engine, plan, markers, EVER, force=True)
    reports, requests = [_periods(settings, markers, engine, viewer_key, advance)], 0
    while not reports[-1].exit_code and _is_older(markers, viewer_key, viewer_keys):
        requests += sum(_move_request(markers.store, one, viewer_keys) for one in markers.erasures.ids)
        _look_again(markers)
        reports.append(_periods(settings, markers, engine, viewer_key, advance))
    report = merge(reports)
    if report.exit_code:
        return Rekeyed(report, requests)
    for stage in STAGES:
        _extend_ended(markers, stage)
    for day, marker in markers.of(keys.PROFILE).items():
        if REKEYED in marker.counts:
            markers.store.delete(keys.run_prefix(keys.PROFILE, day, marker.run_id) + keys.REPLACED)
    markers.store.delete(keys.rekey_key())
    return Rekeyed(report, requests)


def _periods(settings: RekeySettings, markers: Markers, engine: Engine, viewer_key: str, advance: Advance) -> Report:
    """Make all periods under older keys, until none is left or some fail; those that another run made count as made."""
    reports: list[Report] = []
    while any(under_other_keys(markers, viewer_key)):
        for name in STAGES:
            stage = RekeyStage(name, settings, markers, engine, viewer_key)
            made = run_stage(stage, markers, force=True, advance=advance)
            failed = tuple(one for one in made.failed if one[1] != LostRaceError.exit_code)
            reports.append(replace(made, failed=failed, note=""))
            if failed:  # what is downstream would not be current afterwards
                return merge(reports)
        _look_again(markers)
    return merge(reports)


def _check(markers: Markers, viewer_keys: Keys) -> None:
    """Refuse a lake with runs under other keys than the end of the list, or with damaged markers."""
    for stage in STAGES:
        damaged = sorted(markers.damaged(stage))
        if damaged:
            message = (
                f"The marker of {stage} {damaged[0]} is damaged, so nobody knows its viewer key. Nothing was done. "
                f"{WAY_OUT}"
            )
            raise CorruptLakeError(message)
        for period, marker in markers.of(stage).items():
            of_marker = bucketing_of(marker).viewer_key
            if newer_keys(viewer_keys, of_marker) is None:
                message = (
                    f"{stage} {period} has viewers by keys with the fingerprint {of_marker}, which are not the end of "
                    "MARQUEE_ROLLUP__VIEWER_KEY. Nothing was done. Set it to a list, newest first: the new key, then "
                    "the keys of the lake as they were"
                )
                raise ConfigError(message)


def _is_older(markers: Markers, viewer_key: str, viewer_keys: Keys) -> bool:
    """Return whether a run or a request is under older keys, as far as the last look shows."""
    return any(under_other_keys(markers, viewer_key)) or any(_older_requests(markers, viewer_keys))


def _look_again(markers: Markers) -> None:
    """See what others have published, and requested, since the last look."""
    for stage in STAGES:
        markers.refresh(stage)


def _put_flag(store: Store, viewer_key: str) -> None:
    note = {"viewer_key": viewer_key, "begun_at": now_text(datetime.now(UTC))}
    try:
        store.put_if_absent(keys.rekey_key(), json.dumps(note, indent=1).encode())
    except PreconditionError:  # one was interrupted, or is at work
        log.info("%s is there: this run goes on with what is left", keys.rekey_key())


def _newer_of(request: Request, viewer_keys: Keys) -> Keys:
    """Return the keys by which a request is older; ConfigError if it is of others."""
    newer = newer_keys(viewer_keys, request.viewer_key or fingerprint(viewer_keys[-1:]))
    if newer is None:
        message = f"A request to erase viewers is of other keys, with the fingerprint {request.viewer_key}"
        raise ConfigError(message)
    return newer


def _older_requests(markers: Markers, viewer_keys: Keys) -> Iterator[bool]:
    return (bool(_newer_of(read_request(markers.store, one), viewer_keys)) for one in markers.erasures.ids)


def _move_request(store: Store, request_id: str, viewer_keys: Keys) -> bool:
    """Bring a request to the newer keys; return whether it was of older ones."""
    key = keys.erasure_key(request_id)
    info, request = store.head(key), read_request(store, request_id)
    newer = _newer_of(request, viewer_keys)
    if not newer or info is None:
        return False
    with open_database() as db:
        viewers, lines = (
            tuple(Viewers(newer).after(db, np.array(one, np.uint64)).tolist())
            for one in (request.viewers, request.lines)
        )
    try:
        store.put_if_unchanged(key, Request(viewers, lines, fingerprint(viewer_keys)).to_json(), info.etag)
    except PreconditionError:  # another run was first
        return False
    return True


def _extend_ended(markers: Markers, stage: str) -> None:
    """Note that what had ended of periods has ended for their new runs, too: these list it as it was."""
    ended = markers.ended(stage)
    for layer in LAYERS if ended else ():
        over: dict[bool, list[Period]] = {True: [], False: []}
        for period, marker in markers.of(stage).items():
            entry = ended.range_of(layer.name, period) if REKEYED in marker.counts else None
            if entry is None or keys.run_started(marker.run_id) < entry.at:
                continue
            if all(map(ended.has_output, outputs_in(layer, marker.outputs))):
                over[entry.done].append(period)
        for done, periods in over.items():
            if periods:
                change = partial(Ended.with_periods, layer=layer.name, periods=periods, at=datetime.now(UTC), done=done)
                update_ended(markers.store, stage, change)
