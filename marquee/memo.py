"""A cache that lasts from one command to the next, for values that depend on their key alone.

It keeps one file for each kind of value in the user's cache folder: lines of JSON, each with a key and its value, or
Arrow's format for tables. You can delete the files at any time; the values are then computed again. The same happens
where a file cannot be read or written.
"""

import json
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marquee.version import __version__

if TYPE_CHECKING:  # most values are no tables, and this import is slow
    import pyarrow as pa

KEPT = 4000
"""Number of entries that a file keeps: the days, weeks, months and quarters of nine years.

A file with twice as many is written anew without the oldest.
"""

TABLES = 4000
"""Maximum number of tables of a file: the days of ten years."""
_CHECK = 4
"""Bytes of the checksum before the tables."""

_loaded: dict[Path, dict[str, Any]] = {}
"""The entries of each file that this process has read, so that a file is read once."""


def remember(kind: str, key: str, derive: Callable[[], Any], kept: int = KEPT) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of a key: the remembered one, else what ``derive`` returns. The last ``kept`` stay."""
    file = _folder() / f"{kind}.jsonl"
    entries, versioned = _entries(file), f"{__version__} {key}"
    if versioned in entries:
        return entries[versioned]
    value = derive()
    entries[versioned] = value
    if len(entries) > 2 * kept:
        _loaded[file] = dict([*entries.items()][-kept:])
        written = _replace(file, "".join(map(_line, _loaded[file].items())).encode())
    else:  # a run adds many, one by one
        written = _append(file, _line((versioned, value)))
    if not written:
        del _loaded[file]
    return value


def recall(kind: str, key: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the remembered value of a key; None if there is none."""
    return _entries(_folder() / f"{kind}.jsonl").get(f"{__version__} {key}")


def remember_tables(
    kind: str, keys: Sequence[str], schema: "pa.Schema", derive: "Callable[[list[int]], list[pa.Table]]"
) -> "list[pa.Table]":
    """Return a table for each key, all with a schema: those remembered, the others from ``derive``, given their places.

    All tables of a kind are in one file, which is read as a whole. It has at most ``TABLES`` tables.
    """
    file = _folder() / f"{kind}.arrow"
    held = _read_tables(file, schema)
    missing = [place for place, key in enumerate(keys) if key not in held]
    if missing:
        derived = derive(missing)
        held |= {keys[place]: table for place, table in zip(missing, derived, strict=True)}
        asked = {key: held[key] for key in keys}
        newest_last = {key: table for key, table in held.items() if key not in asked} | asked
        _write_tables(file, dict([*newest_last.items()][-TABLES:]), schema)
    return [held[key] for key in keys]


def _read_tables(file: Path, schema: "pa.Schema") -> "dict[str, pa.Table]":
    """Return the tables of a file by their keys; none if the file is not whole, or of another schema or version."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        data = file.read_bytes()
        if len(data) <= _CHECK or zlib.crc32(data[_CHECK:]) != int.from_bytes(data[:_CHECK], "big"):
            return {}
        with pa.ipc.open_file(pa.py_buffer(data).slice(_CHECK)) as reader:
            metadata = reader.schema.metadata or {}
            if not reader.schema.remove_metadata().equals(schema) or metadata.get(b"version") != _version():
                return {}
            listed = json.loads(metadata[b"keys"])
            rows = (reader.get_batch(number) for number in range(reader.num_record_batches))
            return {key: pa.Table.from_batches([one]) for key, one in zip(listed, rows, strict=True)}
    except (OSError, ValueError, RuntimeError):  # pa.ArrowInvalid is a ValueError
        return {}


def _write_tables(file: Path, tables: "dict[str, pa.Table]", schema: "pa.Schema") -> None:
    import pyarrow as pa  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    known = schema.with_metadata({b"version": _version(), b"keys": json.dumps([*tables]).encode()})
    with pa.ipc.new_file(sink, known) as writer:
        for table in tables.values():
            batches = table.to_batches()
            if len(batches) != 1:  # one batch, also without rows
                arrays = [pa.concat_arrays([pa.array([], one.type), *one.chunks]) for one in table.columns]
                batches = [pa.RecordBatch.from_arrays(arrays, schema=known)]
            writer.write_batch(*batches)
    data = sink.getvalue().to_pybytes()
    _replace(file, zlib.crc32(data).to_bytes(_CHECK, "big") + data)


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "marquee"


def _entries(file: Path) -> dict[str, Any]:
    if file not in _loaded:
        _loaded[file] = _read(file)
    return _loaded[file]


def _read(file: Path) -> dict[str, Any]:
    """Return the entries of a file, without lines that are damaged."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return {}
    entries: dict[str, Any] = {}
    for line in filter(None, lines):
        with suppress(ValueError, TypeError, RecursionError):
            key, value = json.loads(line)
            entries[key] = value
    return entries


def _line(entry: tuple[str, Any]) -> str:
    """Return the line of an entry. It begins with a newline too, because the line before it may be torn."""
    return f"\n{json.dumps(entry)}\n"


def _append(file: Path, line: str) -> bool:
    """Add a line to a file; return whether that was possible."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(line)
    except OSError:
        return False
    return True


def _replace(file: Path, data: bytes) -> bool:
    """Write a file as a whole; return whether that was possible."""
    hidden = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(data)
        hidden.replace(file)
    except OSError:
        with suppress(OSError):
            hidden.unlink()
        return False
    return True


def _version() -> bytes:
    return __version__.encode()
