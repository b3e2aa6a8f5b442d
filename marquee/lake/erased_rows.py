"""Rows of erased viewers: finds them in objects by bucket, and leaves them out."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.datasets import VIEWER, Dataset
from marquee.lake.erasures import Request, read_request
from marquee.lake.files import in_order, read_output, write_output
from marquee.lake.manifest import Output
from marquee.storage.base import Store, in_parallel

Pseudonyms: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
"""Sorted, distinct pseudonyms."""

NOBODY: Pseudonyms = np.empty(0, np.uint64)

_KEPT = 8
"""Sets of requests that a process keeps: a run needs one or two."""


def erased_viewers(store: Store, requests: Sequence[str], viewer_key: str) -> Pseudonyms:
    """Return the viewers of requests under the keys with a fingerprint.

    Raises:
        CorruptLakeError: a request cannot be read.
        ConfigError: a request is of other keys, so that its viewers would not be found.
    """
    return _pseudonyms(_Requests(store, tuple(requests), viewer_key))[0]


def erased_lines(store: Store, requests: Sequence[str], viewer_key: str) -> Pseudonyms:
    """Return the pseudonyms of rejected lines of requests; the rest is as of ``erased_viewers``."""
    return _pseudonyms(_Requests(store, tuple(requests), viewer_key))[1]


class _Requests:
    """Requests of a store under some keys, equal to those of the same ids, URL and keys."""

    def __init__(self, store: Store, ids: tuple[str, ...], viewer_key: str) -> None:
        self.store, self.ids, self.viewer_key = store, ids, viewer_key
        self._same = store.url, ids, viewer_key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Requests) and self._same == other._same

    def __hash__(self) -> int:
        return hash(self._same)


def _read(requests: _Requests, request_id: str) -> Request:
    found = read_request(requests.store, request_id)
    if found.viewer_key not in {"", requests.viewer_key}:
        message = (
            f"{requests.store.url}/{keys.erasure_key(request_id)} names viewers by keys with the fingerprint "
            f"{found.viewer_key}, and what may hold them has viewers by keys with the fingerprint "
            f"{requests.viewer_key}. Nothing was published, because erased viewers would stay. The lake was brought to "
            "a newer viewer key meanwhile: run marquee rekey, then this again"
        )
        raise ConfigError(message)
    return found


@lru_cache(_KEPT)
def _pseudonyms(requests: _Requests) -> tuple[Pseudonyms, Pseudonyms]:
    found = list(in_parallel(requests.store, lambda one: _read(requests, one), requests.ids))
    viewers, lines = (
        np.unique(np.concatenate([NOBODY, *(np.array(getattr(one, name), np.uint64) for one in found)]))
        for name in ("viewers", "lines")
    )
    return viewers, lines


def are_among(values: Pseudonyms, erased: Pseudonyms) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return of each value whether it is among some sorted ones."""
    if not len(erased):
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(erased, values), len(erased) - 1)
    found: np.ndarray[Any, np.dtype[np.bool_]] = erased[place] == values
    return found


def without(table: pa.Table, erased: Pseudonyms) -> pa.Table:
    """Return the rows of viewers who are not erased; the table itself if none is."""
    if not len(erased) or not table.num_rows:
        return table
    gone = are_among(table[VIEWER.name].to_numpy(), erased)
    return table.filter(pa.array(~gone)) if gone.any() else table


def of_bucket(erased: Pseudonyms, bucket: int, buckets: int) -> Pseudonyms:
    """Return the erased viewers of a bucket."""
    own: Pseudonyms = erased[erased % np.uint64(buckets) == bucket]
    return own


def held_in(store: Store, output: Output, buckets: int, erased: Pseudonyms) -> Pseudonyms:
    """Return the erased viewers of whom an object by bucket has rows; it is not read if none belongs in its bucket."""
    own = of_bucket(erased, keys.bucket_of(output.key), buckets)
    if not len(own):
        return NOBODY
    viewers = read_output(store, output, [VIEWER.name])[VIEWER.name].to_numpy()
    held: Pseudonyms = own[are_among(own, np.unique(viewers))]
    return held


def rewrite(
    store: Store, prefix: str, dataset: Dataset, output: Output, buckets: int, erased: Pseudonyms
) -> tuple[Output | None, pa.Table]:
    """Write an object by bucket again without some viewers; return what is to be listed now, and the removed rows.

    It is the object itself if none of its rows is theirs, and None if all are.
    """
    bucket = keys.bucket_of(output.key)
    own = of_bucket(erased, bucket, buckets)
    if not len(own):
        return output, dataset.schema.empty_table()
    rows = read_output(store, output)
    gone = are_among(rows[VIEWER.name].to_numpy(), own)
    removed, left = rows.filter(pa.array(gone)), rows.filter(pa.array(~gone))
    if not removed.num_rows:
        return output, removed
    return (write_output(store, prefix, dataset, left, bucket) if left.num_rows else None), removed


def rewrite_blocks(
    store: Store, prefix: str, dataset: Dataset, blocks: Sequence[Output], buckets: int, erased: Pseudonyms
) -> list[Output]:
    """Write the objects of one bucket again without some viewers; return what is to be listed now.

    These are the objects themselves if none of their rows is theirs. Else they become one object, because a run has one
    name for the objects of a bucket.
    """
    bucket = keys.bucket_of(blocks[0].key)
    own = of_bucket(erased, bucket, buckets)
    if not len(own):
        return list(blocks)
    tables = [read_output(store, one) for one in blocks]
    left = [without(one, own) for one in tables]
    if all(one is before for one, before in zip(left, tables, strict=True)):
        return list(blocks)
    rows = in_order(dataset, left)
    return [write_output(store, prefix, dataset, rows, bucket)] if rows.num_rows else []
