"""Deduplicates the events of some viewers in an hour, and counts them, on integers.

    count            events (EVENTS) -> viewer_hour and viewership, sorted by their keys; the number of plays
    merge            viewership of several parts -> viewership

The texts of the results are dictionaries; ``marquee.lake.datasets`` has the columns. Plays and seconds of viewership
add up, its bits of viewers merge by OR.

An event stands for the play before it, [received_at - watched_seconds, received_at]: first_at is the start of the first
such interval, last_at the end of the last. The local hour is that of received_at at the event's UTC offset.

A duplicate is another event with the same id and viewer. The earliest counts; of two received at the same instant, the
first in the order of their columns, so that the order of arrival has no effect.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from jobs.rollup.events import TEXTS

Array: TypeAlias = np.ndarray[Any, Any]
Columns: TypeAlias = Mapping[str, Array]
"""Columns by name, of equal length; a text is its place in the sorted texts of the column."""
Texts: TypeAlias = Mapping[str, pa.Array]
"""The texts of the text columns, sorted and distinct."""

MINUTE, SECOND = 60_000_000, 1_000_000  # µs
HOURS = 24
MOST_CODES = 1 << 40
MERGED_ROWS = 1 << 21
FILTER = 1 << 16
BIT_OF_VIEWER = np.uint64(64 - 6)
"""The viewer without its lower bits, as many as this, is the number of its bit in ``viewer_bits``."""
ODD = np.uint64(0x9E3779B97F4A7C15)
"""An odd number without a pattern (2^64 divided by the golden ratio): a product with it depends on all lower bits."""

WATCHED = ("viewer", "episode_id", "country", "language")
"""Columns of the key of viewer_hour."""
SEEN = ("episode_id", "country", "local_hour", "device")
"""Columns of the key of viewership, without the hour."""
IN_ORDER = ("received_at", "episode_id", "country", "language", "device", "utc_offset_minutes", "watched_seconds")
"""Columns that decide which of two events with the same id counts."""


@dataclass(frozen=True)
class Counted:
    """What was watched, by viewer and by place and time."""

    viewer_hour: pa.Table
    viewership: pa.Table
    plays: int


def count(events: pa.Table) -> Counted:
    """Count events; there must be at least one."""
    columns, texts = _columns_of(events)
    at, seconds = columns["received_at"], columns["watched_seconds"]
    columns["local_hour"] = ((at // MINUTE + columns["utc_offset_minutes"]) // 60 % HOURS).astype(np.int8)
    names = (*WATCHED, "local_hour", "device")
    codes, number = _codes(columns, texts, names[1:])
    order = _without(_duplicates(columns), _order(columns["viewer"], codes, number))
    # Groups by all columns of both keys. In this order, the groups of a viewer hour are beside each other.
    starts = _starts({"viewer": columns["viewer"][order], "others": codes[order]})
    first = order[starts]
    group = {name: columns[name][first] for name in names}
    group["plays"] = np.diff(starts, append=len(order))
    watched, end = seconds[order].astype(np.int64), at[order]
    group["watched_seconds"] = np.add.reduceat(watched, starts)
    group["first_at"] = np.minimum.reduceat(end - SECOND * watched, starts)
    group["last_at"] = np.maximum.reduceat(end, starts)
    group["viewer_bits"] = np.uint64(1) << (group["viewer"] >> BIT_OF_VIEWER)
    return Counted(_viewer_hour(group, texts), _viewership(group, texts), len(order))


def merge(parts: Iterable[pa.Table]) -> pa.Table:
    """Return viewership merged from that of several parts; there must be at least one row.

    It merges some parts at a time: an hour of many buckets has each of its rows in most of them.
    """
    held: list[pa.Table] = []
    rows, most = 0, MERGED_ROWS
    for part in parts:
        held.append(part)
        rows += part.num_rows
        if rows > most:
            held = [_merge(held)]
            rows = held[0].num_rows
            most = max(MERGED_ROWS, 2 * rows)
    return _merge(held)


def _merge(parts: Sequence[pa.Table]) -> pa.Table:
    columns, texts = _columns_of(pa.concat_tables(parts))
    return _viewership(columns, texts)


def _columns_of(table: pa.Table) -> tuple[dict[str, Array], dict[str, pa.Array]]:
    columns: dict[str, Array] = {}
    texts: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = table[name].unify_dictionaries().combine_chunks()
        if name in TEXTS:
            known, place = np.unique(np.array(column.dictionary.to_pylist(), object), return_inverse=True)
            columns[name] = place.astype(np.int32)[column.indices.to_numpy()]
            texts[name] = pa.array(known, pa.string())
        else:
            columns[name] = (column.view(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_numpy()
    return columns, texts


def _order(viewer: Array, codes: Array, number: int) -> Array:
    """Return the order of events by viewer and code, of which there are at most ``number``.

    The sort is of one integer: the code below as many bits of the viewer as there is room for. Few viewers share these
    bits, and their events are put in order afterwards.
    """
    bits = np.uint64((number - 1).bit_length())
    keys = viewer >> bits << bits | codes.astype(np.uint64)
    order: Array = np.argsort(keys)
    viewers, above = viewer[order], keys[order] >> bits
    alike = np.unique(above[1:][(above[1:] == above[:-1]) & (viewers[1:] != viewers[:-1])])
    if len(alike):
        steps = np.zeros(len(order) + 1, np.int8)
        steps[np.searchsorted(above, alike)] += 1
        steps[np.searchsorted(above, alike, side="right")] -= 1
        shared = np.flatnonzero(np.cumsum(steps[:-1], dtype=np.int8))
        rows = order[shared]
        order[shared] = rows[np.lexsort((codes[rows], viewer[rows]))]
    return order


def _codes(columns: Columns, texts: Texts, names: Sequence[str]) -> tuple[Array, int]:
    """Return one integer for the values of some columns, in the order of the columns, and a bound of these integers."""
    codes, number = _from_zero(columns[names[0]])
    for name in names[1:]:
        known = HOURS if name == "local_hour" else len(texts[name])
        if number * known > MOST_CODES:
            codes, number = _dense(codes)
        codes, number = codes * known + columns[name], number * known
    return (codes, number) if number <= MOST_CODES else _dense(codes)


def _from_zero(values: Array) -> tuple[Array, int]:
    least, most = int(values.min()), int(values.max())
    return (values - least, most - least + 1) if most - least < MOST_CODES >> 16 else _dense(values)


def _dense(values: Array) -> tuple[Array, int]:
    known, place = np.unique(values, return_inverse=True)
    return place.astype(np.int64), len(known)


def _starts(columns: Columns) -> Array:
    """Return where groups of equal values start, in columns in which these are beside each other."""
    changes = np.ones(len(next(iter(columns.values()))), bool)
    changes[1:] = False
    for values in columns.values():
        changes[1:] |= values[1:] != values[:-1]
    return np.flatnonzero(changes)


def _viewer_hour(group: Columns, texts: Texts) -> pa.Table:
    starts = _starts({name: group[name] for name in WATCHED})
    measures = {
        "plays": np.add.reduceat(group["plays"], starts),
        "watched_seconds": np.add.reduceat(group["watched_seconds"], starts),
        "first_at": np.minimum.reduceat(group["first_at"], starts).view("datetime64[us]"),
        "last_at": np.maximum.reduceat(group["last_at"], starts).view("datetime64[us]"),
    }
    return _table({name: group[name][starts] for name in WATCHED}, texts, measures)


def _viewership(group: Columns, texts: Texts) -> pa.Table:
    codes, _ = _codes(group, texts, SEEN)
    order = np.argsort(codes)
    starts = _starts({"codes": codes[order]})
    measures = {name: np.add.reduceat(group[name][order], starts) for name in ("plays", "watched_seconds")}
    measures["viewer_bits"] = np.bitwise_or.reduceat(group["viewer_bits"][order], starts)
    first = order[starts]
    return _table({name: group[name][first] for name in SEEN}, texts, measures)


def _table(key: Columns, texts: Texts, measures: Columns) -> pa.Table:
    columns = {
        name: pa.DictionaryArray.from_arrays(values, texts[name]) if name in texts else pa.array(values)
        for name, values in (*key.items(), *measures.items())
    }
    return pa.table(columns)


def _duplicates(columns: Columns) -> Array:
    """Return the rows of events that do not count."""
    viewer, event_key = columns["viewer"], columns["event_key"]
    mixed = event_key ^ viewer * ODD
    in_order = np.sort(mixed)
    repeated = in_order[1:][in_order[1:] == in_order[:-1]]
    if not len(repeated):
        return np.empty(0, np.int64)
    rows = _rows_of(mixed, repeated)
    names = ("viewer", "event_key", *IN_ORDER)
    rows = rows[np.lexsort([columns[name][rows] for name in reversed(names)])]
    same = np.ones(len(rows) - 1, bool)
    for values in (viewer[rows], event_key[rows]):
        same &= values[1:] == values[:-1]
    return rows[1:][same]


def _rows_of(keys: Array, some: Array) -> Array:
    """Return the rows whose keys are among some. A table of their lower bits excludes most other rows."""
    lower = np.uint64(FILTER - 1)
    maybe = np.zeros(FILTER, bool)
    maybe[some & lower] = True
    rows = np.flatnonzero(maybe[keys & lower])
    return rows[np.isin(keys[rows], some)]


def _without(rows: Array, order: Array) -> Array:
    if not len(rows):
        return order
    counts = np.ones(len(order), bool)
    counts[rows] = False
    return order[counts[order]]
