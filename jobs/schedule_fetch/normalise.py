"""Converts the schedule service's responses of one day to tables: shows, episodes, networks, countries, genres.

``marquee.lake.datasets`` gives the grain of each table. All rows belong to the *requested* day, independent of their
airdate. The reader is lenient: only the ids are required. A value of a wrong type becomes null and is counted by field,
an unknown field is listed by name, and a row without ids is rejected and counted by reason. Nothing is lost, because
the responses are kept too. Of several rows for one key, the row counts that ``kept`` keeps.

Items are read one by one and kept on disk, and tables are written row group by row group, so memory is bounded.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from jobs.schedule_fetch import fields
from jobs.schedule_fetch.fields import Fields, Reader
from jobs.schedule_fetch.kept import Item, Kept
from marquee.lake.datasets import COUNTRIES, EPISODES, GENRES, NETWORKS, SHOWS, Dataset
from marquee.lake.parquet import write_groups

Row = dict[str, Any]

ROWS_A_BATCH = 512
LONGEST_BATCH = 1 << 20
"""Characters at which a batch ends."""
LARGEST_GROUP = 8 << 20
"""Bytes at which a row group ends."""
NAMES_KEPT = 100
NAME_LENGTH = 100
_NO_OBJECT: Item = MappingProxyType({})  # the value of any path below a value that is not an object; no reader takes it


@dataclass(frozen=True)
class Schedule:
    """Tables of a day as Parquet files, and counts: episodes_in = episodes + duplicates + rejects (by reason)."""

    tables: Mapping[Dataset, Path]
    counts: dict[str, Any]

    @property
    def rejected(self) -> int:
        """Number of rejected rows."""
        return sum(self.counts["rejects"].values())


def normalise(answers: Mapping[str, Iterable[Any]], folder: Path) -> Schedule:
    """Write the tables of one day, from the items of each source, to a folder; the order of sources has no effect."""
    rejects: Counter[str] = Counter()
    reading = _Reading()
    read = 0
    with Kept(folder / "kept.sqlite") as kept:
        for item in chain.from_iterable(answers[source] for source in sorted(answers)):
            read += 1
            if reason := _keep(item, kept):
                rejects[reason] += 1
        rows = {
            EPISODES: _episodes(kept, reading),
            SHOWS: _shows(kept, reading),
            GENRES: _genres(kept, reading),
            NETWORKS: _networks(kept, reading),
            COUNTRIES: _countries(kept, reading),
        }
        tables = {dataset: folder / f"{dataset.name}.parquet" for dataset in rows}
        found = {
            dataset.name: write_groups(_groups(dataset, rows[dataset]), dataset, tables[dataset]) for dataset in rows
        }
    counts = {
        "episodes_in": read,
        "duplicates": read - found[EPISODES.name] - sum(rejects.values()),
        **found,
        "rejects": dict(sorted(rejects.items())),
        "odd_values": dict(sorted(reading.odd.items())),
        "unknown_fields": reading.unknown_names(),
    }
    return Schedule(tables, counts)


def _keep(item: Any, kept: Kept) -> str:  # noqa: ANN401 - any JSON value
    """Keep an item's episode and show if they count; return the reason if the item is rejected.

    ``/schedule`` has the show of an episode under ``show``, ``/schedule/web`` under ``_embedded``.
    """
    if not isinstance(item, dict):
        return "no object"
    episode_id, show = fields.identity(item.get("id")), item.get("show") or _at(item, "_embedded.show")
    if episode_id is None:
        return "no episode id"
    if not isinstance(show, dict):
        return "no show"
    show_id = fields.identity(show.get("id"))
    if show_id is None:
        return "no show id"
    updated = _updated(show)
    episode = {name: value for name, value in item.items() if name not in {"show", "_embedded"}}
    kept.episode(episode_id, updated, show_id, episode)
    kept.show(show_id, updated, show)
    return ""


@dataclass
class _Reading:
    """Reads fields, and records drift: wrong values by field, and names of unknown fields."""

    odd: Counter[str] = field(default_factory=Counter)
    _unknown: set[str] = field(default_factory=set)

    def value(self, item: Item, path: str, reader: Reader, above: str) -> Any:  # noqa: ANN401 - any column's value
        """Return a field in its column's type; None if it is missing or has another type."""
        found = _at(item, path)
        read = None if found is None else reader(found)
        if found is not None and read is None:
            self.odd[f"{above}.{path}"] += 1
        return read

    def row(self, item: Item, known: Fields, above: str) -> Row:
        """Return the columns of several fields."""
        return {column: self.value(item, path, reader, above) for path, (column, reader) in known.items()}

    def note_unknown(self, item: Item, known: frozenset[str], above: str, parent: str = "") -> None:
        """Record the fields that are neither known nor parents of a known field."""
        for name, value in item.items():
            path = parent + name
            if path in known:
                continue
            if path not in _parents(known):
                self._unknown.add(
                    f"{above}.{path[:NAME_LENGTH]}".encode("ascii", "backslashreplace")[:NAME_LENGTH].decode()
                )
                if len(self._unknown) > 10 * NAMES_KEPT:
                    self._unknown = set(self.unknown_names())
            elif isinstance(value, dict):
                self.note_unknown(value, known, above, f"{path}.")

    def unknown_names(self) -> list[str]:
        """Return the first names of unknown fields in alphabetical order."""
        return sorted(self._unknown)[:NAMES_KEPT]


@cache
def _parents(known: frozenset[str]) -> frozenset[str]:
    """Return the paths of the objects that hold known fields."""
    return frozenset(path[:at] for path in known for at, sign in enumerate(path) if sign == ".")


def _episodes(kept: Kept, reading: _Reading) -> Iterator[Row]:
    for episode_id, show_id, episode in kept.episodes():
        reading.note_unknown(episode, fields.KNOWN_OF_EPISODE, "episode")
        yield {"episode_id": episode_id, "show_id": show_id} | reading.row(episode, fields.EPISODE, "episode")


def _shows(kept: Kept, reading: _Reading) -> Iterator[Row]:
    for show_id, _, show in kept.shows():
        reading.note_unknown(show, fields.KNOWN_OF_SHOW, "show")
        yield {"show_id": show_id} | reading.row(show, fields.SHOW, "show")


def _genres(kept: Kept, reading: _Reading) -> Iterator[Row]:
    for show_id, _, show in kept.shows():
        for genre in sorted(set(reading.value(show, fields.GENRES, fields.texts, "show") or ())):
            yield {"show_id": show_id, "genre": genre}


def _networks(kept: Kept, reading: _Reading) -> Iterator[Row]:
    for show_id, updated, show in kept.shows():
        for place, kind in fields.CHANNEL_PLACES.items():
            network_id = fields.identity(_at(show, f"{place}.id"))
            if network_id is not None:
                kept.part(kind, network_id, updated, show_id, place)
    for kind, network_id, place, show in kept.parts(*fields.CHANNEL_PLACES.values()):
        row = reading.row(show[place], fields.CHANNEL, f"show.{place}")
        yield {"kind": kind, "network_id": network_id} | row


def _countries(kept: Kept, reading: _Reading) -> Iterator[Row]:
    for show_id, updated, show in kept.shows():
        for place in fields.COUNTRY_PLACES:
            code = fields.country(_at(show, f"{place}.code"))
            if code is not None:
                kept.part(COUNTRIES.name, code, updated, show_id, place)
    for _, code, place, show in kept.parts(COUNTRIES.name):
        yield {"country": code} | reading.row(_at(show, place), fields.COUNTRY, f"show.{place}")


def _updated(show: Item) -> int:
    updated = fields.whole(show.get("updated"))
    return -1 if updated is None else updated


def _at(item: Item, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value at a path; None if it is missing, null, "", or [] (PHP's form of an empty object)."""
    value: Any = item
    for name in path.split("."):
        if not isinstance(value, dict):
            return _NO_OBJECT
        value = value.get(name)
        if value in (None, "", []):
            return None
    return value


def _groups(dataset: Dataset, rows: Iterable[Row]) -> Iterator[pa.Table]:
    """Yield the row groups of rows, which are in the order of the dataset's key."""
    held: list[pa.RecordBatch] = []
    for some in _batches(rows):
        held.append(pa.RecordBatch.from_pylist(some, schema=dataset.schema))
        if sum(one.nbytes for one in held) >= LARGEST_GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    length = 0
    for row in rows:
        some.append(row)
        length += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(some) == ROWS_A_BATCH or length > LONGEST_BATCH:
            yield some
            some, length = [], 0
    if some:
        yield some
