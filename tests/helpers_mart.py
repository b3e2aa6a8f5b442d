"""Small lakes with hand-made markers, and marts loaded from them, in DuckDB and in MySQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from jobs.mart_load.load import load_mart
from jobs.mart_load.report import MartReport
from jobs.mart_load.settings import MartLoadSettings
from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    COUNTRIES,
    EPISODES,
    GENRES,
    NETWORKS,
    SHOWS,
    VIEWERSHIP,
    Dataset,
)
from marquee.lake.files import write_output
from marquee.lake.manifest import Marker, Output, now_text
from marquee.lake.markers import Markers, publish, read_marker
from marquee.mart import schema
from marquee.mart.settings import MartSettings
from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from tests.mariadb_server import MysqlDatabase

Row = Mapping[str, Any]
Play = tuple[int, str, int, str, int] | tuple[int, str, int, str, int, range]
"""A row of viewership: episode, country, local hour, device, seconds, and perhaps its viewers (64 at most).

One play is a minute. Without viewers, they are enough for any floor.
"""

Kiosk = Path | MysqlDatabase
"""A mart: a file of DuckDB, or a database of MySQL."""

MANY_VIEWERS = range(64)
"""Viewers of a cell that are enough for any floor."""

MADE = datetime(2026, 2, 1, tzinfo=UTC)


class SmallLake:
    """A hand-made lake, whose markers are each a minute later than the one before."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.now = MADE

    def capture(self, day: str, **tables: Sequence[Row]) -> Marker:
        """Capture the schedule of a day: rows of shows, episodes, networks, countries and genres."""
        datasets = {one: tables.get(one.name, []) for one in (SHOWS, EPISODES, NETWORKS, COUNTRIES, GENRES)}
        return self.publish(keys.SCHEDULE_FETCH, day, datasets)

    def hour(self, hour: str, *plays: Play) -> Marker:
        """Roll up an hour."""
        start = Period.parse(hour).start.replace(tzinfo=None)
        names = ("episode_id", "country", "local_hour", "device", "watched_seconds")
        rows = [
            dict(zip(names, play[:5], strict=True))
            | {"hour": start, "plays": play[4] // 60, "viewer_bits": _bits(play[5] if len(play) > 5 else MANY_VIEWERS)}
            for play in plays
        ]
        return self.publish(keys.ROLLUP, hour, {VIEWERSHIP: rows})

    def audience(
        self,
        period: str,
        shows: Sequence[Row],
        base: Sequence[Row],
        counts: Mapping[str, int] | None = None,
        genres: Sequence[Row] = (),
    ) -> Marker:
        """Count the audience of a period."""
        tables = {AUDIENCE: shows, AUDIENCE_BASE: base, AUDIENCE_GENRE: genres}
        return self.publish(keys.AUDIENCE, period, tables, counts)

    def publish(
        self,
        stage: str,
        period: str,
        tables: Mapping[Dataset, Sequence[Row] | pa.Table],
        counts: Mapping[str, object] | None = None,
    ) -> Marker:
        """Publish a run of hand-made tables, as the next generation of its period."""
        self.now += timedelta(minutes=1)
        run_id = keys.new_run_id(self.now)
        prefix = keys.run_prefix(stage, Period.parse(period), run_id)
        outputs = [write_output(self.store, prefix, dataset, _table(dataset, rows)) for dataset, rows in tables.items()]
        previous = read_marker(self.store, stage, Period.parse(period))
        generation = previous.generation + 1 if previous else 1
        marker = marker_of(stage, period, generation, run_id, outputs, self.now)
        return publish(self.store, replace(marker, counts=counts or {}), previous)


def _bits(viewers: range) -> int:
    return sum(1 << one for one in viewers)


def marker_of(
    stage: str, period: str, generation: int, run_id: str, outputs: Sequence[Output] = (), finished: datetime = MADE
) -> Marker:
    """Return a marker, in which the fields that a mart ignores are empty."""
    return Marker(
        stage=stage,
        period=period,
        generation=generation,
        run_id=run_id,
        code_version="0",
        definition_version="1",
        parameters={},
        inputs=(),
        inputs_digest="",
        outputs=tuple(outputs),
        counts={},
        started_at=now_text(finished),
        finished_at=now_text(finished),
    )


def kiosk_of(kiosk: Kiosk, period: str = "", **more: Any) -> MartSettings:
    """Return the settings of a mart: of exact figures, unless ``more`` says otherwise."""
    given = {"url": f"duckdb://{kiosk}"} if isinstance(kiosk, Path) else {"url": kiosk.url, "password": kiosk.password}
    return MartSettings.model_validate({**given, "period": period, "lock_timeout_s": 5, "min_cell": 1, **more})


def mart_settings(store: Store, kiosk: Kiosk, period: str = "", **more: Any) -> MartLoadSettings:
    """Return the settings that load a mart from a lake."""
    return MartLoadSettings(lake=store.url, mart=kiosk_of(kiosk, period, **more))


def load(store: Store, kiosk: Kiosk, period: str = "", *, force: bool = False, **more: Any) -> MartReport:
    """Load a mart as a new process would, with fresh markers."""
    return load_mart(mart_settings(store, kiosk, period, **more), Markers(store), force=force)


def rows_of(kiosk: Kiosk, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a mart."""
    if isinstance(kiosk, MysqlDatabase):
        return [tuple(int(one) if isinstance(one, Decimal) else one for one in row) for row in kiosk.ask(sql)]
    with duckdb.connect(kiosk, read_only=True) as db:
        return db.execute(sql).fetchall()


def change(kiosk: Kiosk, *statements: str) -> None:
    """Change a mart without its loader."""
    if isinstance(kiosk, MysqlDatabase):
        for sql in statements:
            kiosk.ask(sql)
        return
    with duckdb.connect(kiosk) as db:
        for sql in statements:
            db.execute(sql)


def content(kiosk: Kiosk, tables: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Return the sorted rows of the given tables of a mart, or of all, without the times of loading."""
    found = {}
    for one in schema.relations():
        if one.kind == "table" and (not tables or one.name in tables):
            columns = [column.name for column in one.columns if column.name != "loaded_at"]
            order = ", ".join(str(number) for number in range(1, len(columns) + 1))
            found[one.name] = rows_of(kiosk, f"select {', '.join(columns)} from {one.name} order by {order}")  # noqa: S608
    return found


def _table(dataset: Dataset, rows: Sequence[Row] | pa.Table) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    known = {name for row in rows for name in row}
    if unknown := known - set(dataset.schema.names):
        message = f"{dataset.name} has no columns {sorted(unknown)}"
        raise ValueError(message)
    return pa.Table.from_pylist([{**dict.fromkeys(dataset.schema.names), **row} for row in rows], schema=dataset.schema)
