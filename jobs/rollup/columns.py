"""Judges columns of records: which rows are plays for certain, without a line of JSON for each.

A row is judged here only if the reference parser (contract.py) would certainly accept the line of JSON that is made of
the row, and read the same values. All other rows become lines, and the reference parser judges them.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.rollup import instants
from jobs.rollup.blocks import Numbers
from jobs.rollup.compiled import why_not_compiled
from jobs.rollup.contract import (
    MAX_EPISODE_ID,
    MAX_EVENT_ID_LENGTH,
    MAX_USER_ID_LENGTH,
    MAX_WATCHED_SECONDS,
    UTC_OFFSET_MINUTES,
    Window,
)
from jobs.rollup.events import EVENTS, TEXTS, check_texts

if TYPE_CHECKING:
    from jobs.rollup.passes import Pass

if not why_not_compiled():
    from jobs.rollup import columns_native
else:  # it is optional, and may be one of another version
    columns_native = None  # type: ignore[assignment] # the types are those of the compiled module

Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]

PLAYS = pa.schema([("event_id", pa.string()), ("user_id", pa.string()), *list(EVENTS)[2:]])
"""Plays with their ids, where no pass keys them."""

LONGEST: Mapping[str, int] = {"event_id": MAX_EVENT_ID_LENGTH, "user_id": MAX_USER_ID_LENGTH}
RANGES: Mapping[str, tuple[int, int]] = {
    "episode_id": (1, MAX_EPISODE_ID),
    "utc_offset_minutes": UTC_OFFSET_MINUTES,
    "watched_seconds": (0, MAX_WATCHED_SECONDS),
}
SPACE = ord(" ")
ASCII_END = 128
ROWS_A_SLICE = 1000
"""Slices of fewer rows, on average, cost more than a copy."""
MAX_DIGITS = 18
"""Decimals of so many digits are whole numbers of 64 bits."""


def judge(
    columns: Mapping[str, pa.Array], window: Window, among: Mask | None = None, passing: "Pass | None" = None
) -> tuple[pa.Table, Mask]:
    """Return the rows that are plays for certain (PLAYS), and which rows they are, ``among`` some or all rows.

    ``columns`` has a column of equal length for each field of the contract, of any type. With a pass the plays have
    its keys (EVENTS).
    """
    rows = len(columns["event_id"])
    nothing = (EVENTS if passing else PLAYS).empty_table(), np.zeros(rows, bool)
    sure = np.ones(rows, bool) if among is None else among.copy()
    found: dict[str, pa.Array] = {}
    for name in PLAYS.names:
        column = _judge_column(name, _simple(columns[name]), window, sure)
        if column is None:
            return nothing
        found[name] = column
    event_ids, users = found.pop("event_id"), found.pop("user_id")
    if passing:
        ids = [_of_each(passing.viewers_of, users), _of_each(passing.event_keys_of, event_ids)]
    else:
        ids = [_flat(event_ids), _flat(users)]
    return _chosen(pa.table([*ids, *found.values()], schema=EVENTS if passing else PLAYS), sure), sure


def _of_each(compute: Callable[[pa.Array], pa.Array], texts: pa.Array) -> pa.Array:
    """Return a number for each text, computed once for each text of a dictionary."""
    if not pa.types.is_dictionary(texts.type):
        return compute(texts)
    return pa.array(compute(texts.dictionary).to_numpy()[texts.indices.to_numpy()])


def _flat(texts: pa.Array) -> pa.Array:
    return texts.dictionary.take(texts.indices) if pa.types.is_dictionary(texts.type) else texts


def _chosen(plays: pa.Table, sure: Mask) -> pa.Table:
    """Return the rows that are sure, in slices of the table if few are not, for a filter copies every text."""
    if sure.all():
        return plays
    if not sure.any() or np.count_nonzero(~sure) > len(sure) // ROWS_A_SLICE:
        return plays.filter(pa.array(sure))
    edges = np.flatnonzero(np.diff(sure, prepend=False, append=False)).reshape(-1, 2).tolist()
    return pa.concat_tables([plays.slice(begin, end - begin) for begin, end in edges])


def _judge_column(name: str, array: pa.Array, window: Window, sure: Mask) -> pa.Array | None:
    """Return a column of PLAYS, and clear ``sure`` where its value is not; None if no value of the type is sure."""
    if array.null_count:
        sure &= array.is_valid().to_numpy(zero_copy_only=False)
    if name in LONGEST:
        return _ids(array, LONGEST[name], sure)
    if name in TEXTS:
        return _texts(name, array, sure)
    if name == "received_at":
        return _instants(array, window, sure)
    return _numbers(array, RANGES[name], EVENTS.field(name).type, sure)


def _simple(array: pa.Array) -> pa.Array:
    """Return an array as one of the types that are judged, if there is one with the same values."""
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    kind = array.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return array.view(pa.string() if pa.types.is_binary(kind) else pa.large_string())
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return array.cast(pa.large_binary()).view(pa.large_string())
    if pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision <= MAX_DIGITS:
        return array.cast(pa.int64())
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(array.indices, _simple(array.dictionary))
    return array


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


# Ids.


def _ids(array: pa.Array, longest: int, sure: Mask) -> pa.Array | None:
    """Return the texts of at most so many characters, and at least one, as a dictionary if they come as one."""
    if not pa.types.is_dictionary(array.type):
        if not _is_text(array.type):
            return None
        right = _are_ids(array, longest)
        sure &= right
        return _short(array if right.all() else pc.if_else(pa.array(right), array, None))
    if not _is_text(array.type.value_type):
        return None
    # A long text of the dictionary may stand in many rows, so it goes first.
    right = _are_ids(array.dictionary, longest)
    indices = array.indices.fill_null(0)
    if not len(right):
        return pa.nulls(len(array), pa.string())
    sure &= right[indices.to_numpy()]
    texts = array.dictionary if right.all() else pc.if_else(pa.array(right), array.dictionary, None)
    return pa.DictionaryArray.from_arrays(indices, _short(texts))


def _short(array: pa.Array) -> pa.Array:
    """Return an array of texts as string, whose offsets have 32 bits."""
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


def _are_ids(array: pa.Array, longest: int) -> Mask:
    offsets, data = _buffers(array)
    lengths = np.diff(offsets)
    if len(data) and data.max() >= ASCII_END:
        right = _are_utf8(array)
        counted = pc.utf8_length(array if right.all() else pc.if_else(pa.array(right), array, ""))
        lengths = _filled(counted).to_numpy()
        right &= (lengths >= 1) & (lengths <= longest)
    else:
        right = (lengths >= 1) & (lengths <= longest)
    if len(data) and data.min() < SPACE:
        controls = np.flatnonzero(data < SPACE)
        right[np.searchsorted(offsets, controls + offsets[0], side="right") - 1] = False
    return right


def _are_utf8(array: pa.Array) -> Mask:
    """Return which texts are UTF-8 for certain: all, or those in ASCII."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return np.array(_filled(pc.string_is_ascii(array)).to_numpy(zero_copy_only=False))
    return np.ones(len(array), bool)


def _buffers(array: pa.Array) -> tuple[Numbers, Bytes]:
    """Return the offsets and the bytes of texts; the first offset is not 0 for a part of an array."""
    _, ends, bytes_ = array.buffers()
    width = np.int32 if pa.types.is_string(array.type) else np.int64
    if ends is None or not len(array):
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    offsets: Any = np.frombuffer(ends, width)[array.offset : array.offset + len(array) + 1]
    data = np.empty(0, np.uint8) if bytes_ is None else np.frombuffer(bytes_, np.uint8)
    return offsets, data[offsets[0] : offsets[-1]]


def longest_text(dictionary: pa.Buffer) -> int:
    """Return the most bytes of a text in a dictionary page of Parquet; -1 if that is not known."""
    is_compiled: bool = columns_native is not None
    return columns_native.longest_text(np.frombuffer(dictionary, np.uint8)) if is_compiled else -1


# Texts of few distinct values.


def _texts(name: str, array: pa.Array, sure: Mask) -> pa.Array | None:
    """Return a country, language or device."""
    if not pa.types.is_dictionary(array.type):
        if not _is_text(array.type):
            return None
        array = _coded(array)
    elif not _is_text(array.type.value_type):
        return None
    distinct = array.dictionary.cast(pa.large_binary()).to_pylist()
    indices = array.indices.fill_null(0).cast(pa.int32())
    if not distinct:
        return pa.nulls(len(array), EVENTS.field(name).type)
    checked = check_texts(name, indices, [_decoded(one) for one in distinct])
    if checked.null_count:
        sure &= checked.is_valid().to_numpy(zero_copy_only=False)
    return checked


def _coded(array: pa.Array) -> pa.DictionaryArray:
    """Return texts as a dictionary. Rows that are null have any value."""
    offsets, data = _buffers(array)
    is_compiled: bool = columns_native is not None
    if is_compiled:
        codes = np.empty(len(array), np.int32)
        firsts = columns_native.code_texts(offsets.astype(np.int64) - offsets[0], data, codes)
        if firsts is not None:
            return pa.DictionaryArray.from_arrays(pa.array(codes), array.take(pa.array(firsts, pa.int64())), safe=False)
    return array.dictionary_encode()


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


# Numbers and instants.


def _numbers(array: pa.Array, between: tuple[int, int], kind: pa.DataType, sure: Mask) -> pa.Array | None:
    """Return whole numbers of a range."""
    if not pa.types.is_integer(array.type):
        return None
    values = _filled(array).to_numpy()
    _narrow(values, *between, sure)
    return pa.array(values.astype(kind.to_pandas_dtype(), copy=False), kind)


def _filled(array: pa.Array) -> pa.Array:
    return array.fill_null(pa.scalar(0).cast(array.type)) if array.null_count else array


def _narrow(values: Numbers, least: int, most: int, sure: Mask) -> None:
    if len(values) and (values.min() < least or values.max() > most):
        sure &= (values >= least) & (values <= most)


A_MICRO: Mapping[str, tuple[int, int]] = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
"""Microseconds of a unit, as factor and divisor."""


def _instants(array: pa.Array, window: Window, sure: Mask) -> pa.Array | None:
    """Return the instants of a window, in microseconds."""
    start, end = (instants.in_micros(one) for one in (window.start, window.end))
    if not pa.types.is_timestamp(array.type):
        return _written(array, start, end, sure)
    factor, divisor = A_MICRO[array.type.unit]
    values = _filled(array.view(pa.int64())).to_numpy()
    # Ceilings: whole units from the start on, and before the end.
    _narrow(values, -(-start * divisor // factor), -(-end * divisor // factor) - 1, sure)
    micros = values // divisor if divisor > 1 else values * factor if factor > 1 else values
    return pa.array(micros, pa.int64()).view(pa.timestamp("us"))


def _written(array: pa.Array, start: int, end: int, sure: Mask) -> pa.Array | None:
    """Return the instants of a window from their texts."""
    indices = None
    if pa.types.is_dictionary(array.type):
        indices, array = array.indices.fill_null(0), array.dictionary
    if not _is_text(array.type):
        return None
    micros, right = instants.parse(*_buffers(array))
    right &= (micros >= start) & (micros < end)
    if indices is not None:
        if not len(right):
            return pa.nulls(len(indices), pa.timestamp("us"))
        micros, right = (one[indices.to_numpy()] for one in (micros, right))
    sure &= right
    return pa.array(micros, pa.int64()).view(pa.timestamp("us"))
