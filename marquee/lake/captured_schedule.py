"""The captured schedule, which profile and mart_load join to plays.

Each captured day is one reading of the schedule service. Shows and episodes appear in many of them, in several
versions. The *latest* version counts: the one whose show was updated last at the service, then the one fetched last.
The order in which days were fetched or loaded does not matter.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import EPISODES, GENRES, SHOWS, UNCLASSIFIED, Dataset
from marquee.lake.files import read_output
from marquee.lake.markers import Markers
from marquee.memo import remember_tables
from marquee.sql import read_query, read_sql
from marquee.storage.base import in_parallel

REQUESTED_DAY = pa.field("requested_day", pa.date32())
FETCHED_AT = pa.field("fetched_at", pa.timestamp("us"))


COLUMNS: Mapping[str, Sequence[str]] = {
    SHOWS.name: ("show_id", "name", "updated", "premiered", "average_runtime_minutes", "runtime_minutes"),
    EPISODES.name: ("episode_id", "show_id", "season", "number", "type", "airdate", "runtime_minutes"),
    GENRES.name: ("show_id", "genre"),
}
"""The columns that the catalogue comes from. Most others are texts, and all captures are read."""


def read_captures(markers: Markers, dataset: Dataset, columns: Sequence[str] | None = None) -> pa.Table:
    """Return every captured row of a schedule dataset, with ``requested_day`` and ``fetched_at`` (UTC) added.

    The rows have all columns of the dataset, or ``columns``. CorruptLakeError if the marker of a capture is damaged:
    without its rows, plays would count for unknown shows.
    """
    for damaged in markers.damaged(keys.SCHEDULE_FETCH).values():
        raise CorruptLakeError(damaged.reason)
    captures = [one for _, one in sorted(markers.of(keys.SCHEDULE_FETCH).items()) if dataset.name in one.datasets]
    schema = dataset.schema if columns is None else pa.schema([dataset.schema.field(name) for name in columns])

    def read(places: Sequence[int]) -> list[pa.Table]:
        outputs = [(place, output) for place in places for output in captures[place].of(dataset)]
        tables = in_parallel(markers.store, lambda one: read_output(markers.store, one[1], columns), outputs)
        found: dict[int, list[pa.Table]] = {place: [schema.empty_table()] for place in places}
        for (place, _), table in zip(outputs, tables, strict=True):
            found[place].append(table.cast(schema))
        return [pa.concat_tables(found[place]) for place in places]

    # Most captures were read before, and each is a few small objects.
    kind = "-".join(["captured", dataset.name, *(columns or ())])
    tables = remember_tables(kind, [one.datasets[dataset.name].digest for one in captures], schema, read)
    found = pa.concat_tables([schema.empty_table(), *tables])
    for field, texts in (
        (REQUESTED_DAY, [marker.period for marker in captures]),
        (FETCHED_AT, [marker.finished_at.removesuffix("+00:00") for marker in captures]),
    ):
        stamps = pa.array(texts, pa.string()).cast(field.type)
        of_each = [pa.repeat(stamp, table.num_rows) for stamp, table in zip(stamps, tables, strict=True)]
        found = found.append_column(field, pa.chunked_array(of_each, field.type))
    return found


def ended_shows(markers: Markers) -> list[tuple[int, date]]:
    """Return the shows that ended, with the day of their end, by show.

    Of a show, the last version counts that has the status Ended and such a day, as in the question after-the-end; the
    service may revert the status later.
    """
    captured = read_captures(markers, SHOWS, ("show_id", "status", "ended", "updated"))
    over = captured.filter(pc.and_(pc.equal(captured["status"], "Ended"), captured["ended"].is_valid()))
    # The oldest first: a version without a time is older than any other.
    by_age = over.append_column("is_timed", over["updated"].is_valid()).sort_by(
        [(name, "ascending") for name in ("is_timed", "updated", "fetched_at", "requested_day")]
    )
    return sorted(dict(zip(by_age["show_id"].to_pylist(), by_age["ended"].to_pylist(), strict=True)).items())


def open_catalogue(markers: Markers, *others: Dataset) -> duckdb.DuckDBPyConnection:
    """Open a database with the captured rows of ``shows``, ``episodes`` and others, and the ``latest.sql`` views."""
    return _open({dataset.name: read_captures(markers, dataset) for dataset in (SHOWS, EPISODES, *others)})


def _open_columns(markers: Markers, *others: Dataset) -> duckdb.DuckDBPyConnection:
    return _open({one.name: read_captures(markers, one, COLUMNS.get(one.name)) for one in (SHOWS, EPISODES, *others)})


def latest_labels(markers: Markers) -> dict[int, str]:
    """Return the label of every captured show by its id: its name, with the id if others have it, or if it has none."""
    no_episodes = EPISODES.schema.append(REQUESTED_DAY).append(FETCHED_AT).empty_table()
    with _open({SHOWS.name: read_captures(markers, SHOWS, COLUMNS[SHOWS.name]), EPISODES.name: no_episodes}) as db:
        return dict(db.sql("select show_id, label from show_label order by show_id").fetchall())


def _open(tables: Mapping[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    db = duckdb.connect(
        config={"threads": 1, "enable_external_access": False, "lock_configuration": True, "temp_directory": ""}
    )
    for name, rows in tables.items():
        db.register(name, rows)
    db.execute(read_sql("marquee.lake", "latest"))
    return db


class Catalogue(NamedTuple):
    """Captured episodes and genres, each sorted by its key.

    ``episodes`` has episode_id, show_id and runtime_seconds (null if unknown). ``genres`` has show_id and genre, with
    the row ``UNCLASSIFIED`` for a show without genres. ``seasons`` has the episodes that belong to the order of a
    season: episode_id, show_id, season, number, airdate, runtime_seconds, and season_key for each show and season.
    ``premieres`` has show_id and premiered.
    """

    episodes: pa.Table
    genres: pa.Table
    seasons: pa.Table
    premieres: pa.Table


def latest_catalogue(markers: Markers) -> Catalogue:
    """Return every captured episode, the genres and premieres of shows, and the order of every captured season."""
    with _open_columns(markers, GENRES) as db:
        episodes = read_query("marquee.lake", "latest_episodes").select(db)
        db.register("latest_runtime", episodes)
        return Catalogue(
            episodes,
            read_query("marquee.lake", "latest_genres").select(db, {"unclassified": UNCLASSIFIED}),
            read_query("marquee.lake", "latest_seasons").select(db),
            read_query("marquee.lake", "latest_premieres").select(db),
        )
