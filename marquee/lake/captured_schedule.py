"""The captured schedule, which profile and mart_load join to plays.

Each captured day is one reading of the schedule service. Shows and episodes appear in many of them, in several
versions. The *latest* version counts: the one whose show was updated last at the service, then the one fetched last.
The order in which days were fetched or loaded does not matter.
"""

import duckdb
import pyarrow as pa

from marquee.lake import keys
from marquee.lake.datasets import EPISODES, SHOWS, Dataset
from marquee.lake.files import read_output
from marquee.lake.markers import Markers
from marquee.sql import read_query, read_sql
from marquee.storage.base import in_parallel

REQUESTED_DAY = pa.field("requested_day", pa.date32())
FETCHED_AT = pa.field("fetched_at", pa.timestamp("us"))


def read_captures(markers: Markers, dataset: Dataset) -> pa.Table:
    """Return every captured row of a schedule dataset, with ``requested_day`` and ``fetched_at`` (UTC) added."""
    outputs = [
        (marker, output)
        for _, marker in sorted(markers.of(keys.SCHEDULE_FETCH).items())
        for output in marker.of(dataset)
    ]
    tables = in_parallel(markers.store, lambda one: read_output(markers.store, one[1]), outputs)
    stamped = [
        table.append_column(
            REQUESTED_DAY, pa.array([marker.period] * table.num_rows).cast(REQUESTED_DAY.type)
        ).append_column(
            FETCHED_AT, pa.array([marker.finished_at.removesuffix("+00:00")] * table.num_rows).cast(FETCHED_AT.type)
        )
        for (marker, _), table in zip(outputs, tables, strict=True)
    ]
    return pa.concat_tables([dataset.schema.append(REQUESTED_DAY).append(FETCHED_AT).empty_table(), *stamped])


def open_catalogue(markers: Markers, *others: Dataset) -> duckdb.DuckDBPyConnection:
    """Open a database with the captured rows of ``shows``, ``episodes`` and others, and the ``latest.sql`` views."""
    db = duckdb.connect(config={"threads": 1})
    for dataset in (SHOWS, EPISODES, *others):
        db.register(dataset.name, read_captures(markers, dataset))
    db.execute(read_sql("marquee.lake", "latest"))
    return db


def latest_episodes(markers: Markers) -> pa.Table:
    """Return episode_id, show_id and runtime_seconds (null if unknown) of every captured episode, by episode_id."""
    with open_catalogue(markers) as db:
        return read_query("marquee.lake", "latest_episodes").select(db)
