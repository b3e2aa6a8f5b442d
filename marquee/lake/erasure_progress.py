"""How far the requests to erase viewers are: what is due, what was made again, and what is left to collect.

Objects that no marker lists may hold erased viewers, too. They count as left if their run was replaced by one without
the viewers, or if it began before the request, or so shortly after it that its process may not have seen the request.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from marquee.lake import keys
from marquee.lake.erasures import STAGES, read_request, removed_for, replaced_runs, requested_at
from marquee.lake.manifest import Marker, now_text
from marquee.lake.markers import Markers
from marquee.storage.base import ObjectNotFoundError, PreconditionError

UNSEEN = timedelta(days=1)
"""Longest time for which a process may work without seeing a new request."""


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Attributes:
        request_id: the request.
        requested_at: when it was made.
        viewers: how many viewers it names.
        due: periods that may still hold some of them, by stage; they are searched or made again by the next runs.
        made_again: periods that were made again because of it, by stage.
        objects: objects that the published runs of these periods have written.
        replaced_objects: objects that no marker lists any more, and that may hold some of them.
        completed_at: when the last object was collected, as `marquee gc` has noted it; None before.
    """

    request_id: str
    requested_at: datetime
    viewers: int
    due: Mapping[str, int]
    made_again: Mapping[str, int]
    objects: int
    replaced_objects: int
    completed_at: datetime | None

    @property
    def left(self) -> bool:
        """Whether data of the viewers may be left in the lake."""
        return bool(self.due) or self.replaced_objects > 0

    @property
    def state(self) -> str:
        """``due``: runs have work; ``to collect``: `marquee gc` has; ``gone``: nothing is left."""
        return "due" if self.due else "to collect" if self.replaced_objects else "gone"


def read_progress(markers: Markers) -> list[Progress]:
    """Return how far each request is, oldest first. It lists the lake's data, and reads no object of them."""
    requests = markers.erasures
    if not requests.ids:
        return []
    made = [marker for stage in STAGES for marker in markers.of(stage).values()]
    unclean = [(marker.stage, markers.unclean(marker)) for marker in made]
    again = [(marker, found) for marker in made if (found := removed_for(marker))]
    written = {marker.run_id: _written(marker) for marker, _ in again}
    replaced = list(_replaced(markers))
    return [
        Progress(
            one,
            requested_at(one),
            len(read_request(markers.store, one).viewers),
            Counter(stage for stage, found in unclean if one in found),
            Counter(marker.stage for marker, found in again if one in found),
            sum(written[marker.run_id] for marker, found in again if one in found),
            sum(_may_hold(run, marker, one) for run, marker in replaced),
            _completed_at(markers, one) if one in requests.done else None,
        )
        for one in requests.ids
    ]


def open_requests(markers: Markers) -> list[str]:
    """Return the requests that are not complete, oldest first, without listing the lake's data."""
    due = {one for stage in STAGES for marker in markers.of(stage).values() for one in markers.unclean(marker)}
    return [one for one in markers.erasures.ids if one in due or one not in markers.erasures.done]


def note_completed(markers: Markers, now: datetime) -> list[str]:
    """Note the requests of which nothing is left since the last time; return their ids."""
    completed = []
    for one in read_progress(markers):
        if not one.left and one.completed_at is None:
            note = {
                "requested_at": now_text(one.requested_at),
                "completed_at": now_text(now),
                "viewers": one.viewers,
                "made_again": one.made_again,
                "objects": one.objects,
            }
            try:
                markers.store.put_if_absent(keys.erased_key(one.request_id), json.dumps(note, indent=1).encode())
            except PreconditionError:  # another collection was first
                continue
            completed.append(one.request_id)
    return completed


def _written(marker: Marker) -> int:
    runs = (keys.run_of(output.key) for output in marker.outputs)
    return sum(run is not None and run[2] == marker.run_id for run in runs)


def _replaced(markers: Markers) -> Iterator[tuple[str, Marker | None]]:
    """Yield the run of each object with data of viewers that no marker lists, and the marker of its period."""
    store = markers.store
    made = {(stage, period): one for stage in STAGES for period, one in markers.of(stage).items()}
    listed = {output.key for one in made.values() if one.other_runs for output in one.outputs}
    for info in (info for stage in STAGES for info in store.list(f"data/{stage}/")):
        run = keys.run_of(info.key)
        if run is None:
            continue
        marker = made.get(run[:2])
        if (marker is None or run[2] != marker.run_id) and info.key not in listed:
            yield run[2], marker


def _may_hold(run_id: str, published: Marker | None, request_id: str) -> bool:
    if published and run_id in replaced_runs(published) and request_id in removed_for(published):
        return True
    try:
        return keys.run_started(run_id) < requested_at(request_id) + UNSEEN
    except ValueError:  # not a run of Marquee
        return False


def _completed_at(markers: Markers, request_id: str) -> datetime | None:
    try:
        note = json.loads(markers.store.get(keys.erased_key(request_id)))
        return datetime.fromisoformat(note["completed_at"]).astimezone(UTC)
    except (ObjectNotFoundError, ValueError, KeyError, TypeError):
        return None
