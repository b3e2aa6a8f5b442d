"""Converts the schedule service's responses of one day to tables: shows, episodes, networks, countries, genres.

``marquee.lake.datasets`` gives the grain of each table. All rows belong to the *requested* day, independent of their
airdate. The reader is lenient: only the ids are required. A value of a wrong type becomes null and is counted by field,
an unknown field is listed by name, and a row without ids is rejected and counted by reason. Nothing is lost, because
the responses are kept too.

Of several rows for one episode, show, network or country, the row counts whose show the service updated last. On a
tie, the first row counts, by source and then by position in the response.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from jobs.schedule_fetch import fields
from jobs.schedule_fetch.fields import Fields, Reader
from marquee.lake.datasets import COUNTRIES, EPISODES, GENRES, NETWORKS, SHOWS, Dataset

Item = Mapping[str, Any]
Row = dict[str, Any]

NAMES_KEPT = 100
NAME_LENGTH = 100
_NO_OBJECT: Item = MappingProxyType({})  # the value of any path below a value that is not an object; no reader takes it


@dataclass(frozen=True)
class Schedule:
    """Tables and counts of a day: episodes_in = episodes + duplicates + rejects (by reason)."""

    tables: Mapping[Dataset, pa.Table]
    counts: dict[str, Any]

    @property
    def rejected(self) -> int:
        """Number of rejected rows."""
        return sum(self.counts["rejects"].values())


def normalise(answers: Mapping[str, list[Any]]) -> Schedule:
    """Return the tables of one day from the items of each source; the order of the sources has no effect."""
    items = [item for source in sorted(answers) for item in answers[source]]
    rejects: Counter[str] = Counter()
    episodes: dict[int, tuple[Item, Item]] = {}
    shows: dict[int, Item] = {}
    for episode, show in _accepted(items, rejects):
        kept = episodes.get(episode["id"])
        if kept is None or _updated(show) > _updated(kept[1]):
            episodes[episode["id"]] = (episode, show)
        if show["id"] not in shows or _updated(show) > _updated(shows[show["id"]]):
            shows[show["id"]] = show
    reading = _Reading()
    tables = {
        EPISODES: _table(EPISODES, _episodes(episodes, reading)),
        SHOWS: _table(SHOWS, _shows(shows, reading)),
        GENRES: _table(GENRES, _genres(shows, reading)),
        NETWORKS: _table(NETWORKS, _networks(shows, reading)),
        COUNTRIES: _table(COUNTRIES, _countries(shows, reading)),
    }
    counts = {
        "episodes_in": len(items),
        "duplicates": len(items) - len(episodes) - sum(rejects.values()),
        **{dataset.name: table.num_rows for dataset, table in tables.items()},
        "rejects": dict(sorted(rejects.items())),
        "odd_values": dict(sorted(reading.odd.items())),
        "unknown_fields": sorted(reading.unknown)[:NAMES_KEPT],
    }
    return Schedule(tables, counts)


def _accepted(items: list[Any], rejects: Counter[str]) -> Iterator[tuple[Item, Item]]:
    """Yield each episode with its show: ``/schedule`` has it under ``show``, ``/schedule/web`` under ``_embedded``."""
    for item in items:
        show = (item.get("show") or _at(item, "_embedded.show")) if isinstance(item, dict) else None
        if not isinstance(item, dict):
            rejects["no object"] += 1
        elif fields.identity(item.get("id")) is None:
            rejects["no episode id"] += 1
        elif not isinstance(show, dict):
            rejects["no show"] += 1
        elif fields.identity(show.get("id")) is None:
            rejects["no show id"] += 1
        else:
            yield item, show


@dataclass
class _Reading:
    """Reads fields, and records drift: wrong values by field, and names of unknown fields."""

    odd: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)

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
            if not any(one.startswith(f"{path}.") for one in known):
                self.unknown.add(f"{above}.{path}".encode("ascii", "backslashreplace").decode()[:NAME_LENGTH])
            elif isinstance(value, dict):
                self.note_unknown(value, known, above, f"{path}.")


def _episodes(episodes: Mapping[int, tuple[Item, Item]], reading: _Reading) -> Iterator[Row]:
    for episode_id, (episode, show) in episodes.items():
        reading.note_unknown(episode, fields.KNOWN_OF_EPISODE, "episode")
        ids = {"episode_id": episode_id, "show_id": show["id"]}
        yield ids | reading.row(episode, fields.EPISODE, "episode")


def _shows(shows: Mapping[int, Item], reading: _Reading) -> Iterator[Row]:
    for show_id, show in shows.items():
        reading.note_unknown(show, fields.KNOWN_OF_SHOW, "show")
        yield {"show_id": show_id} | reading.row(show, fields.SHOW, "show")


def _genres(shows: Mapping[int, Item], reading: _Reading) -> Iterator[Row]:
    for show_id, show in shows.items():
        for genre in set(reading.value(show, fields.GENRES, fields.texts, "show") or ()):
            yield {"show_id": show_id, "genre": genre}


def _networks(shows: Mapping[int, Item], reading: _Reading) -> Iterator[Row]:
    channels: dict[tuple[str, int], tuple[str, Item]] = {}
    for show in _latest_first(shows):
        for place, kind in fields.CHANNEL_PLACES.items():
            network_id = fields.identity(_at(show, f"{place}.id"))
            if network_id is not None:
                channels.setdefault((kind, network_id), (place, show[place]))
    for (kind, network_id), (place, channel) in channels.items():
        yield {"kind": kind, "network_id": network_id} | reading.row(channel, fields.CHANNEL, f"show.{place}")


def _countries(shows: Mapping[int, Item], reading: _Reading) -> Iterator[Row]:
    countries: dict[str, tuple[str, Item]] = {}
    for show in _latest_first(shows):
        for place in fields.COUNTRY_PLACES:
            code = fields.country(_at(show, f"{place}.code"))
            if code is not None:
                countries.setdefault(code, (place, _at(show, place)))
    for code, (place, country) in countries.items():
        yield {"country": code} | reading.row(country, fields.COUNTRY, f"show.{place}")


def _latest_first(shows: Mapping[int, Item]) -> list[Item]:
    return sorted(shows.values(), key=lambda show: (-_updated(show), show["id"]))


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


def _table(dataset: Dataset, rows: Iterator[Row]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: [row[name] for name in dataset.sort])
    return pa.Table.from_pylist(ordered, schema=dataset.schema)
