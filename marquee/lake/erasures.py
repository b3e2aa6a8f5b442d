"""Erasures: requests to erase viewers, and which runs still may hold data of them.

    erased/<request id>.json               the pseudonyms of a request; never deleted, and changed by rekey alone
    erased/<request id>.done               when the last object with them was collected, as ``marquee gc`` has noted it
    markers/<stage>/_CLEAN                 runs that hold no viewer of some requests: a cache

A request is an object of its own, so two at once need no lock. Its id begins with the time, like a run id. A marker
says which requests its run has *honoured*: no row of their viewers is in its objects. Any other run is *unclean*: its
period is due, until its objects have been searched and hold none of the viewers, or until it is made again without
them. A restored marker says what its own run honoured, so its period is due again.

This module reads no rows and imports nothing heavy, because planning uses it; ``erased_rows`` has the rest.
"""

import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.manifest import RUN_ID, Marker
from marquee.lake.superseded import GRACE
from marquee.storage.base import ObjectNotFoundError, Store

STAGES = (keys.ROLLUP, keys.PROFILE, keys.AUDIENCE)
"""The stages with data of viewers, upstream before downstream."""

HONOURED = "erasures"
"""Count of a marker: the requests that its run has honoured, as their number and digest."""
REMOVED_FOR = "erased_for"
"""Count of a marker: the requests for which a run of the period has removed rows."""
REPLACED = "erased_runs"
"""Count of a marker: replaced runs that may hold erased viewers, which ``marquee gc`` collects at once."""
CHANGED_FROM = "erased_from"
"""Count of a marker: by dataset, the digests of earlier contents from which only erased viewers are missing."""
LATER = "erased_later"
"""Count of a marker: viewers whose rows were removed after the figures of the run were published."""

LEAST_TOLD = 10
"""Smaller numbers of erased viewers are not told outside the lake."""

_MOST_BYTES = 256 << 20
"""Maximum bytes of what a stage notes of its runs."""


@dataclass(frozen=True)
class Requests:
    """The requests of a lake, sorted by id, and those of which `marquee gc` has noted that nothing is left."""

    ids: tuple[str, ...] = ()
    done: frozenset[str] = field(default=frozenset(), compare=False)

    def honoured(self) -> dict[str, object]:
        """Return the count ``HONOURED`` of a run that honours them all."""
        return {"requests": len(self.ids), "digest": _digest(self.ids)}

    def since(self, counts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the requests that a run with these counts has not honoured."""
        if not self.ids:
            return ()
        found = counts.get(HONOURED)
        number = found.get("requests") if isinstance(found, dict) else None
        if type(number) is not int or not 0 <= number <= len(self.ids):
            return self.ids
        return self.ids[number:] if found == Requests(self.ids[:number]).honoured() else self.ids

    def up_to(self, unclean: Collection[str]) -> "Requests":
        """Return the requests before the first that is not honoured yet: a run can only say so of the first ones."""
        first = next((number for number, one in enumerate(self.ids) if one in unclean), len(self.ids))
        return Requests(self.ids[:first])


@dataclass(frozen=True)
class Clean:
    """Runs of a stage that hold no viewer of some requests: they were searched, or have honoured the requests."""

    requests: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()

    def to_bytes(self) -> bytes:
        """Return the bytes of the object: compressed JSON."""
        return zlib.compress(json.dumps({"requests": sorted(self.requests), "runs": sorted(self.runs)}).encode())


@dataclass(frozen=True)
class Request:
    """A request: viewers to erase, and lines among the rejects that contain their user ids. All are pseudonyms.

    The pseudonym of a line is of the line itself, so that it is known again when its hour is made again.
    """

    viewers: tuple[int, ...] = field(repr=False)
    lines: tuple[int, ...] = field(default=(), repr=False)
    viewer_key: str = field(default="", repr=False)
    """Fingerprint of their viewer keys; empty if an earlier version wrote the request, which knew a single key."""

    def to_json(self) -> bytes:
        """Return the bytes of the object."""
        listed: dict[str, object] = {name: _to_hex(getattr(self, name)) for name in ("viewers", "lines")}
        return json.dumps(listed | ({"viewer_key": self.viewer_key} if self.viewer_key else {}), indent=1).encode()

    @staticmethod
    def from_json(data: bytes) -> "Request":
        """Parse a request. ValueError, KeyError or TypeError if it is no list of pseudonyms."""
        found = json.loads(data)
        viewers, lines = (tuple(sorted(_from_hex(found[name]))) for name in ("viewers", "lines"))
        return Request(viewers, lines, str(found.get("viewer_key", "")))


def write_request(store: Store, request: Request, request_id: str) -> None:
    """Add a request to the lake. It fails if there is an object of this id."""
    store.put_if_absent(keys.erasure_key(request_id), request.to_json())


def read_request(store: Store, request_id: str) -> Request:
    """Return a request; CorruptLakeError if its object is missing or is no list of pseudonyms."""
    key = keys.erasure_key(request_id)
    try:
        return Request.from_json(store.get(key))
    except (ObjectNotFoundError, ValueError, KeyError, TypeError) as error:
        message = (
            f"{store.url}/{key} is missing, or is no list of pseudonyms. Nothing is made without it, because erased "
            "viewers would come back. Restore it from a backup"
        )
        raise CorruptLakeError(message) from error


def list_requests(store: Store) -> Requests:
    """Return the requests of a lake: one listing."""
    listed = [info.key for info in store.list(keys.ERASED)]
    there = set(listed)
    ids = tuple(sorted(filter(None, map(keys.erasure_of, listed))))
    return Requests(ids, frozenset(one for one in ids if keys.erased_key(one) in there))


def requested_at(request_id: str) -> datetime:
    """Return when a request was made."""
    return keys.run_started(request_id)


def read_clean(store: Store, stage: str) -> Clean:
    """Return which runs of a stage are clean; none if the object is missing or damaged."""
    try:
        text = zlib.decompressobj().decompress(store.get(keys.clean_key(stage)), _MOST_BYTES)
        found = json.loads(text)
        return Clean(*(frozenset(filter(RUN_ID.fullmatch, found[name])) for name in ("requests", "runs")))
    except (ObjectNotFoundError, ValueError, KeyError, TypeError, RecursionError, zlib.error):
        return Clean()


def replaced_runs(marker: Marker) -> frozenset[str]:
    """Return the replaced runs of a marker's period that may hold erased viewers."""
    return frozenset(_texts(marker.counts.get(REPLACED)))


def removed_for(marker: Marker) -> frozenset[str]:
    """Return the requests for which runs of a marker's period have removed rows."""
    return frozenset(_texts(marker.counts.get(REMOVED_FOR)))


def counts_after(
    requests: Requests, previous: Marker | None, unclean: Sequence[str], now: datetime, *, removed: bool
) -> dict[str, object]:
    """Return the counts of a marker that concern erasures; empty in a lake without requests.

    Args:
        requests: what the run has honoured.
        previous: the marker that is replaced.
        unclean: the requests that the previous run had not honoured.
        now: the time of the replacement.
        removed: whether the previous run held rows of their viewers, as far as is known.
    """
    if not requests.ids:
        return {}
    counts: dict[str, object] = {HONOURED: requests.honoured()}
    if previous is None:
        return counts
    listed = sorted(removed_for(previous) | (set(unclean) if removed else set()))
    fresh = datetime.fromisoformat(previous.finished_at) >= now - GRACE  # otherwise they are garbage by their age
    runs = {*(replaced_runs(previous) if fresh else ()), *([previous.run_id, *previous.other_runs] if removed else ())}
    return counts | ({REMOVED_FOR: listed} if listed else {}) | ({REPLACED: sorted(runs)} if runs else {})


def contents_after(previous: Marker, datasets: Iterable[Dataset]) -> dict[str, object]:
    """Return the count ``CHANGED_FROM`` of a run that lacks only erased viewers of the previous one."""
    before = contents_before(previous)
    return {
        CHANGED_FROM: {one.name: sorted({*before.get(one.name, ()), previous.as_input(one).etag}) for one in datasets}
    }


def contents_before(marker: Marker) -> Mapping[str, Collection[str]]:
    """Return, by dataset, the digests of earlier contents of a marker's period that had only erased viewers besides."""
    found = marker.counts.get(CHANGED_FROM)
    return {name: _texts(digests) for name, digests in found.items()} if isinstance(found, dict) else {}


def told(viewers: int) -> str:
    """Return a number of erased viewers in words; a small one is not told."""
    return f"{viewers} viewers" if viewers >= LEAST_TOLD else f"fewer than {LEAST_TOLD} viewers"


def _texts(found: object) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]


def _to_hex(pseudonyms: Iterable[int]) -> list[str]:
    return [f"{one:016x}" for one in sorted(set(pseudonyms))]


def _from_hex(texts: object) -> list[int]:
    if not isinstance(texts, list) or not all(isinstance(one, str) and len(one) == 16 for one in texts):  # noqa: PLR2004
        message = "expected pseudonyms"
        raise ValueError(message)
    return [int(one, 16) for one in texts]
