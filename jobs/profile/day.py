"""Kernel of a day: profiles one bucket of viewers from its viewer hours, then merges all buckets.

It makes viewer_day, sitting_day and viewer_seen of the bucket (grains and columns: ``marquee.lake.datasets``), and the
bucket's part of episode_day. All rows of a viewer are in one bucket, so buckets are independent of each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from jobs.profile.files import create_view, fetch, scan, write
from jobs.profile.queries import query
from jobs.profile.sittings import join_sittings
from jobs.profile.units import DayUnit
from marquee.engine.base import Task
from marquee.engine.duckdb import open_database
from marquee.lake.datasets import EPISODE_DAY, SITTING_DAY, VIEWER_DAY, VIEWER_HOUR, VIEWER_SEEN
from marquee.lake.manifest import Output
from marquee.sql import Values
from marquee.storage.base import Store


@dataclass(frozen=True)
class DayPart:
    """A bucket's part of a day: the files it wrote, its episode_day, and its counts of viewers and new viewers."""

    outputs: tuple[Output, ...]
    episode_plays: pa.Table
    viewers: int
    new_viewers: int


def profile_bucket(unit: DayUnit, task: Task) -> DayPart:
    """Profile a bucket of a day."""
    store = unit.lake.open()
    with task.database(unit.lake.folder) as db:
        create_view(db, "viewer_hour", VIEWER_HOUR, scan(fetch(store, unit.hours, task.scratch)))
        create_view(db, "registry", VIEWER_SEEN, scan(fetch(store, unit.registry, task.scratch)))
        make_day(db, unit.values)
        outputs = [
            output
            for dataset in (VIEWER_DAY, SITTING_DAY, VIEWER_SEEN)
            for output in write(db, store, unit.prefix, dataset, unit.bucket)
        ]
        (counts,) = query("viewer_counts").select(db, unit.values).to_pylist()
        return DayPart(tuple(outputs), query("episode_day").select(db), counts["viewers"], counts["new_viewers"])


def make_day(db: duckdb.DuckDBPyConnection, values: Values) -> None:
    """Create the tables viewer_day, sitting_day, viewer_seen and the view episode_plays, from viewer_hour, registry."""
    query("viewer_day").create_table(db, "viewer_day", values)
    db.register("sitting_day", join_sittings(db.sql("from viewer_hour").to_arrow_table(), values))
    query("viewer_seen").create_table(db, "viewer_seen", values)
    db.execute("create or replace temp view episode_plays as from viewer_day")


def finish_day(store: Store, prefix: str, parts: Sequence[DayPart]) -> list[Output]:
    """Write the day's episode_day; return all outputs of the day."""
    with open_database() as db:
        db.register("episode_plays", pa.concat_tables(part.episode_plays for part in parts))
        query("episode_day").create_table(db, EPISODE_DAY.name)
        return [*(output for part in parts for output in part.outputs), *write(db, store, prefix, EPISODE_DAY)]
