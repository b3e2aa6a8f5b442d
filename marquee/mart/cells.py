"""Collects the viewership of a day, an hour at a time, and folds it into the rows of ``fact_viewership``."""

import logging
from typing import Self

import pyarrow as pa

from marquee.engine.duckdb import open_database
from marquee.lake.datasets import VIEWERSHIP
from marquee.mart import schema
from marquee.mart.fold import BITS, fold_query
from marquee.mart.protect import round_restated

log = logging.getLogger(__name__)

HOURS = "fact_viewership_hour"
"""The table with the lake's rows, in marts whose detail is the hour."""

MOST_ROWS = 1 << 21
"""Rows that are kept as they are read; more are summed by cell."""

_INCOMING = """
create temp view incoming_cell as
select cast(hour as date) as day, episode_id, country, daypart, device, plays, watched_seconds, viewer_bits
from incoming join dim_daypart using (local_hour)
"""
_SUMS = """
select
    day,
    episode_id,
    country,
    daypart,
    device,
    cast(sum(plays) as bigint) as plays,
    cast(sum(watched_seconds) as bigint) as watched_seconds,
    bit_or(viewer_bits) as viewer_bits
from incoming_cell
group by all
"""
_CELL = """
create temp view cell as
select coalesce(show_id, 0) as show_id, c.*
from (select * from day_cell union all select * from incoming_cell) c
left join show_of using (episode_id)
"""


class Cells:
    """The viewership of a day, in a database of its own that spills to disk beyond its memory."""

    def __init__(self, memory_mb: int) -> None:
        self._db = open_database(memory_mb)
        self._read: list[pa.Table] = []

    def __enter__(self) -> Self:
        self._db.execute(schema.relation("dim_daypart").statement.replace("create table", "create temp table", 1))
        for statement in schema.seed_rows():
            if "dim_daypart" in statement:
                self._db.execute(statement)
        self._db.register("incoming", VIEWERSHIP.schema.empty_table())
        self._db.execute(_INCOMING)
        self._db.execute(f"create temp table day_cell as {_SUMS}")
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, rows: pa.Table) -> None:
        """Add rows of the lake's viewership, with ``viewer_bits``."""
        self._read.append(rows)
        if sum(one.num_rows for one in self._read) > MOST_ROWS:
            self._register()
            self._db.execute(f"insert into day_cell {_SUMS}")
            self._read.clear()

    def folded(self, shows: pa.Table, min_cell: int, *, restated: bool = False) -> pa.Table:
        """Return the rows to publish, sorted by episode.

        Args:
            shows: the show of each known episode.
            min_cell: least number of viewers of a row.
            restated: whether the day may have been published before with other rows, so that its sums are rounded.
        """
        self._register()
        self._db.register("show_of", shows)
        self._db.execute(_CELL)
        rows = self._db.sql(fold_query(min_cell)).to_arrow_table().drop_columns(["show_id", BITS])
        if not rows.num_rows:
            ((day,),) = self._db.execute("select min(day) from cell").fetchall()
            if day:  # somebody watched
                log.warning(
                    "%s: fewer than %d viewers watched, so the mart has no viewership of this day", day, min_cell
                )
        return round_restated(rows, min_cell) if restated else rows

    def _register(self) -> None:
        """Let the view of the rows read so far see them."""
        self._db.register("incoming", pa.concat_tables([VIEWERSHIP.schema.empty_table(), *self._read]))
