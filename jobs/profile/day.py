"""The kernel of a day: one bucket of viewers, from its viewer hours.

Makes viewer_day, sitting_day and viewer_seen of the bucket (grains and columns: ``marquee.lake.datasets``), and its
part of episode_day. All of a viewer is in one bucket, so buckets need nothing of each other.
"""

from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from jobs.profile import sql
from jobs.profile.files import fetch, open_lake, scan, show, write
from marquee.engine.base import Task, Unit
from marquee.lake.datasets import SITTING_DAY, VIEWER_DAY, VIEWER_HOUR, VIEWER_SEEN
from marquee.lake.manifest import Output


@dataclass(frozen=True)
class DayPart:
    """What a bucket adds to its day: the files it wrote, its episode_day, its viewers, and how many of them are new."""

    outputs: tuple[Output, ...]
    episode_plays: pa.Table
    viewers: int
    new_viewers: int


def profile_bucket(unit: Unit, task: Task) -> DayPart:
    """Profile a bucket of a day.

    The unit has ``lake``, ``s3``, ``prefix`` and ``bucket``; ``hours`` and ``registry``, the outputs to read of
    viewer_hour and of the day before's viewer_seen; and ``values`` for the queries.
    """
    store = open_lake(unit)
    with task.database() as db:
        show(db, "viewer_hour", VIEWER_HOUR, scan(fetch(store, unit["hours"], task.scratch)))
        show(db, "registry", VIEWER_SEEN, scan(fetch(store, unit["registry"], task.scratch)))
        make_day(db, unit["values"])
        outputs = [
            output
            for dataset in (VIEWER_DAY, SITTING_DAY, VIEWER_SEEN)
            for output in write(db, store, unit["prefix"], dataset, unit["bucket"])
        ]
        viewers, new_viewers = _count_viewers(db, unit["values"]["day"])
        return DayPart(tuple(outputs), sql.select(db, "episode_day", {}), viewers, new_viewers)


def make_day(db: duckdb.DuckDBPyConnection, values: sql.Values) -> None:
    """Make the tables viewer_day, sitting_day, viewer_seen and the view episode_plays from viewer_hour and registry."""
    sql.make(db, "viewer_day", "viewer_day", values)
    db.execute("create or replace temp view stretch as from viewer_hour")
    sql.make(db, "sitting_day", "sittings", values)
    sql.make(db, "viewer_seen", "viewer_seen", values)
    db.execute("create or replace temp view episode_plays as from viewer_day")


def _count_viewers(db: duckdb.DuckDBPyConnection, day: date) -> tuple[int, int]:
    query = """
        select
            (select count(distinct viewer) from viewer_day),
            (select count(*) from viewer_seen where first_day = $day)
    """
    ((viewers, new_viewers),) = db.execute(query, {"day": day}).fetchall()
    return viewers, new_viewers
