"""Events: the columns that every reader makes of the lines that are plays, and the check of their texts."""

import re
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from jobs.rollup import languages
from jobs.rollup.contract import COUNTRY, DEVICE

TEXT = pa.dictionary(pa.int32(), pa.string())
"""A text of few distinct values: an integer for each event, and each text once."""

EVENTS = pa.schema(
    [
        ("viewer", pa.uint64()),
        ("event_key", pa.uint64()),
        ("received_at", pa.timestamp("us")),
        ("episode_id", pa.int64()),
        ("country", TEXT),
        ("language", TEXT),
        ("device", TEXT),
        ("utc_offset_minutes", pa.int16()),
        ("watched_seconds", pa.int16()),
    ]
)
"""Events without their ids: ``event_key`` is a hash of the event id, ``viewer`` the pseudonym of the user id.

Two events are one if both are equal.
"""


def _of_form(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    return lambda text: text if pattern.fullmatch(text) else None


TEXTS: Mapping[str, Callable[[str], str | None]] = {
    "country": _of_form(COUNTRY),
    "language": languages.normalise,
    "device": _of_form(DEVICE),
}
"""The check of each text column: the text as it is to be, or None."""


def check_texts(name: str, indices: pa.Array, texts: Sequence[str | None]) -> pa.DictionaryArray:
    """Return a text column of EVENTS, from an index of each event into distinct texts; null for texts that are invalid.

    Each distinct text is checked once. The texts of the result are distinct, too.
    """
    check = TEXTS[name]
    checked = pa.array((None if text is None else check(text) for text in texts), pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(checked.indices.take(indices), checked.dictionary)
