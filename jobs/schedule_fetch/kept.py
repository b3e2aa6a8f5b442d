"""Keeps the episodes and shows of a day that count, in a scratch file, so that memory does not depend on their number.

Of several rows for one episode, show, network or country, the row counts whose show the service updated last. On a
tie, the first row counts.
"""

import errno
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from marquee.system_errors import explain

Item = Mapping[str, Any]

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE episodes (id INTEGER PRIMARY KEY, updated INTEGER, show_id INTEGER, item BLOB);
CREATE TABLE shows (id INTEGER PRIMARY KEY, updated INTEGER, item BLOB);
CREATE TABLE parts (
    kind TEXT, key, updated INTEGER, show_id INTEGER, place TEXT, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""

_SYSTEM = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO}
"""SQLite's code of an error -> the operating system's."""


class Kept:
    """Episodes, shows, and parts of shows (networks, countries). Use it in a ``with``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._database = sqlite3.connect(file)
        self._database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode in _SYSTEM:
            number = _SYSTEM[error.sqlite_errorcode]
            raise explain(OSError(number, str(error)), self._file, "write") or error from error

    def episode(self, episode_id: int, updated: int, show_id: int, item: Item) -> None:
        """Keep an episode, unless an earlier row of it counts."""
        found = self._database.execute("SELECT updated FROM episodes WHERE id = ?", (episode_id,)).fetchone()
        if found is None or updated > found[0]:
            row = (episode_id, updated, show_id, _pack(item))
            self._database.execute("INSERT OR REPLACE INTO episodes VALUES (?, ?, ?, ?)", row)

    def show(self, show_id: int, updated: int, item: Item) -> None:
        """Keep a show, unless an earlier row of it counts."""
        found = self._database.execute("SELECT updated FROM shows WHERE id = ?", (show_id,)).fetchone()
        if found is None or updated > found[0]:
            self._database.execute("INSERT OR REPLACE INTO shows VALUES (?, ?, ?)", (show_id, updated, _pack(item)))

    def part(self, kind: str, key: int | str, updated: int, show_id: int, place: str) -> None:
        """Keep the show of a part and its place there, unless an earlier one counts."""
        self._database.execute(
            "INSERT INTO parts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET updated = excluded.updated, show_id = excluded.show_id, place = excluded.place "
            "WHERE excluded.updated > updated",
            (kind, key, updated, show_id, place),
        )

    def episodes(self) -> Iterator[tuple[int, int, Item]]:
        """Yield id, show id and item of each episode, by id."""
        query = "SELECT id, show_id, item FROM episodes ORDER BY id"
        for episode_id, show_id, packed in self._database.execute(query):
            yield episode_id, show_id, _unpack(packed)

    def shows(self) -> Iterator[tuple[int, int, Item]]:
        """Yield id, time of the last update and item of each show, by id."""
        for show_id, updated, packed in self._database.execute("SELECT id, updated, item FROM shows ORDER BY id"):
            yield show_id, updated, _unpack(packed)

    def parts(self, *kinds: str) -> Iterator[tuple[str, Any, str, Item]]:
        """Yield the parts of some kinds, by kind and key: kind, key, place in the show, and the show."""
        query = "SELECT key, place, item FROM parts JOIN shows ON id = show_id WHERE kind = ? ORDER BY key"
        for kind in sorted(kinds):
            for key, place, packed in self._database.execute(query, (kind,)):
                yield kind, key, place, _unpack(packed)


def _pack(item: Item) -> bytes:
    return zlib.compress(json.dumps(item).encode(), 1)


def _unpack(packed: bytes) -> Item:
    found: Item = json.loads(zlib.decompress(packed))
    return found
