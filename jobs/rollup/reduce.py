"""Reducers of the rollup: events by bucket, rejected lines and line counts to the outputs of an hour.

1. ``reduce_key`` (reduce) runs for each key. For a bucket it writes viewer_hour, and returns the bucket's counts and
   viewership. For REJECTED it writes rejects. For READ it returns the lines by object, and the rejects by reason.
2. ``merge_viewership`` (merge) merges the buckets' viewership and writes it.
3. ``finish_hour`` (driver) returns the outputs of the hour. No table comes to the driver.

``marquee.lake.datasets`` gives the grains, keys and units of the outputs.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa

from jobs.rollup.buckets import by_viewer_range
from jobs.rollup.contract import Reason
from jobs.rollup.counting import count, merge
from jobs.rollup.erasing import Erased
from jobs.rollup.rejects import ACCEPTED, READS, keep_first
from jobs.rollup.units import READ, REJECTED, Destination
from marquee.engine.base import Task
from marquee.lake.datasets import REJECTS, VIEWER_HOUR, VIEWERSHIP
from marquee.lake.erased_rows import erased_viewers, without
from marquee.lake.files import write_output
from marquee.lake.manifest import Output
from marquee.lake.parquet import empty
from marquee.machine import MIB
from marquee.storage.base import Store

FILES_NAMED = 3
"""Maximum number of objects without plays to name."""

EVENT_BYTES = 256
"""Bytes of memory that counting takes for an event."""

EVENTS_AT_A_TIME = 1 << 19
"""Maximum number of events to count at a time: more leave the processor's caches, and take longer each."""


@dataclass(frozen=True)
class Reduced:
    """Result of reducing a key: the object written, and the counts for the driver."""

    output: Output | None = None
    plays: int = 0
    duplicates: int = 0
    erased: int = 0
    """Events of erased viewers."""
    reasons: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Lines by object."""
    playless: int = 0
    """Number of objects with lines, other than blank ones, but without a play."""
    examples: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rejects by reason of the first of them."""


def reduce_key(key: int, tables: Iterator[pa.Table], to: Destination, task: Task) -> tuple[Reduced, pa.Table | None]:
    """Reduce the mappers' output for a bucket, for REJECTED, or for READ; of a bucket, return its viewership too."""
    if key == READ:
        return reduce_reads(pa.concat_tables(tables)), None
    if key == REJECTED:
        lake = to.lake.open()
        kept = Erased(to.erased, to.viewer_key).left(lake, keep_first(tables))
        return Reduced(write_output(lake, to.prefix, REJECTS, kept) if kept.num_rows else None), None
    return reduce_bucket(key, list(tables), to, task)


def reduce_reads(reads: pa.Table) -> Reduced:
    """Count the lines by object, the rejects by reason, and the objects with lines but without a play."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    # Not by Arrow, whose first grouping loads its query engine: there are few rows.
    for key, reason, number in zip(*(reads[name].to_pylist() for name in READS.names), strict=True):
        counted[key][reason] += number
    by_key = dict(sorted(counted.items()))
    reasons = sum(by_key.values(), Counter[str]())
    del reasons[ACCEPTED]
    lines = {key: sum(one.values()) for key, one in by_key.items()}
    rejected = {key: {reason: n for reason, n in one.items() if n} for key, one in by_key.items() if not one[ACCEPTED]}
    playless = {key: one for key, one in rejected.items() if one.keys() - {Reason.BLANK.value}}
    return Reduced(
        lines=lines,
        reasons=dict(sorted(reasons.items())),
        playless=len(playless),
        examples=dict(islice(playless.items(), FILES_NAMED)),
    )


def reduce_bucket(
    bucket: int, tables: Sequence[pa.Table], to: Destination, task: Task
) -> tuple[Reduced, pa.Table | None]:
    """Leave out erased viewers, deduplicate and count a bucket's events; write viewer hours, and return viewership."""
    every = sum(table.num_rows for table in tables)
    if to.erased:
        tables = [without(table, erased_viewers(to.lake.open(), to.erased, to.viewer_key)) for table in tables]
    events = sum(table.num_rows for table in tables)
    if not events:
        return Reduced(erased=every), None
    most = min(task.memory_mb * MIB // EVENT_BYTES, EVENTS_AT_A_TIME)
    parts = [count(events) for events in by_viewer_range(tables, most)]
    viewer_hour = pa.concat_tables(part.viewer_hour for part in parts)
    output = write_output(to.lake.open(), to.prefix, VIEWER_HOUR, viewer_hour, bucket)
    plays = sum(part.plays for part in parts)
    return Reduced(output, plays, events - plays, every - events), merge(part.viewership for part in parts)


def merge_viewership(tables: Iterator[pa.Table], to: Destination, task: Task) -> Output:  # noqa: ARG001 - as others
    """Write the hour's viewership, merged from its buckets."""
    merged = merge(tables)
    hours = pa.repeat(pa.scalar(to.hour, pa.timestamp("us")), merged.num_rows)
    return write_output(to.lake.open(), to.prefix, VIEWERSHIP, merged.add_column(0, "hour", hours))


def finish_hour(store: Store, prefix: str, reduced: Sequence[Reduced], viewership: Output | None) -> list[Output]:
    """Return all outputs of the hour, in the order of their keys; write an empty viewership if there is none."""
    outputs = [one.output for one in reduced if one.output]
    outputs.append(viewership or write_output(store, prefix, VIEWERSHIP, empty(VIEWERSHIP)))
    return sorted(outputs, key=lambda one: one.key)
