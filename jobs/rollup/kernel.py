"""Kernels of the rollup: raw objects to the viewership, viewer hours and rejects of an hour.

1. ``parse_objects`` (map) reads some raw objects. It yields events by viewer bucket (schema EVENTS, with ``viewer`` for
   ``user_id``), rejected lines under the key REJECTED (schema REJECTS), and line counts under the key READ.
2. ``reduce_key`` (reduce) runs for each key. For a bucket it writes viewer_hour, and returns the bucket's viewership
   and counts. For REJECTED it writes rejects, and returns the lines by reason. For READ it returns the line count.
3. ``finish_hour`` (driver) merges the buckets' viewership and writes it. It returns the outputs of the hour.

``marquee.lake.datasets`` gives the grains, keys and units of the outputs.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.rollup.contract import COUNTRY, DEVICE, LANGUAGE, Event, Fields, Reason, Window, validate
from jobs.rollup.lines import KEPT_BYTES, Block, read_blocks
from jobs.rollup.pseudonyms import viewers_of
from jobs.rollup.units import Destination, ParseUnit
from marquee.engine.base import Task
from marquee.engine.duckdb import open_database
from marquee.errors import TryAgainError
from marquee.lake.datasets import REJECTS, VIEWER_HOUR, VIEWERSHIP
from marquee.lake.files import write_output
from marquee.lake.manifest import Input, Output
from marquee.lake.parquet import empty
from marquee.sql import Query, read_query
from marquee.storage.base import Store, in_parallel

REJECTED = -1
"""Key of rejected lines in the mapper's output. Keys from 0 are buckets."""

READ = -2
"""Key of line counts in the mapper's output, taken before validation."""

EVENTS = pa.schema(
    [
        ("user_id", pa.string()),
        ("event_key", pa.uint64()),
        ("received_at", pa.timestamp("us")),
        ("episode_id", pa.int64()),
        ("country", pa.string()),
        ("language", pa.string()),
        ("device", pa.string()),
        ("utc_offset_minutes", pa.int16()),
        ("watched_seconds", pa.int16()),
    ]
)
MOST_NESTED = 200
"""Maximum opening brackets of a line that parse.sql may accept. Python's parser fails at about 1,000 nested ones."""

BATCH_BYTES = 8 << 20

Batch = list[tuple[str, Block]]
"""Blocks of lines with the keys of their objects. One query parses a batch; ``row`` numbers its lines from 0."""

QUOTED = ("country", "language", "device")


@dataclass(frozen=True)
class Reduced:
    """Result of reducing a key: the object written, and the tables and counts for the driver."""

    output: Output | None = None
    viewership: pa.Table | None = None
    plays: int = 0
    duplicates: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    lines: int = 0


def parse_objects(unit: ParseUnit, task: Task) -> Iterator[tuple[int, pa.Table]]:
    """Yield the events of raw objects by bucket, rejected lines under REJECTED, and line counts under READ."""
    parse = parse_query(unit.fields)
    key = unit.viewer_key.get_secret_value().encode()
    with task.database() as db:
        for batch in _batches(unit.raw.open(), unit.objects, task):
            events, rejects = split_lines(db, batch, parse, unit.fields, unit.window)
            yield from by_bucket(db, events, key, unit.buckets)
            if rejects.num_rows:
                yield REJECTED, rejects
            yield READ, pa.table({"lines": [sum(block.lines.num_rows + len(block.unreadable) for _, block in batch)]})


def _batches(store: Store, objects: Sequence[Input], task: Task) -> Iterator[Batch]:
    """Yield the objects' blocks in batches, because a query takes some milliseconds however few lines it reads."""
    fetched = in_parallel(store, lambda raw: store.fetch(raw.name, task.scratch), objects)
    with closing(fetched) as paths:
        yield from _batch(store, zip(objects, paths, strict=True))


def _batch(store: Store, fetched: Iterable[tuple[Input, Path]]) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for raw, path in fetched:
        if path.stat().st_size != raw.size:
            message = f"{store.url}/{raw.name} changed while it was being read. Run the hour again"
            raise TryAgainError(message)
        for block in read_blocks(path, raw.name):
            batch.append((raw.name, block))
            size += block.lines.nbytes
            # A block, unless it is the last of its object, is valid only until the next one is read.
            if not block.last or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


@dataclass(frozen=True)
class Parse:
    """parse.sql for a producer's field names, and the parameters that depend on them."""

    query: Query
    structure: str
    skeleton_bytes: int


def parse_query(fields: Fields) -> Parse:
    """Return parse.sql for a producer's field names."""
    structure: dict[str, Any] = {}
    for name, path in vars(fields).items():
        *above, last = path.split(".")
        inner = structure
        for step in above:
            inner = inner.setdefault(step, {})
        # As JSON, a number and a text stay distinct. received_at must be a text, and its format is checked later.
        inner[last] = "VARCHAR" if name == "received_at" else "JSON"
    skeleton = json.dumps(structure, separators=(",", ":"))
    for kind, empty_value in (('"VARCHAR"', '""'), ('"JSON"', "")):
        skeleton = skeleton.replace(f":{kind}", f":{empty_value}")
    accessors = {name: ".".join(f'"{step}"' for step in path.split(".")) for name, path in vars(fields).items()}
    return Parse(_query("parse").put(accessors), json.dumps(structure), len(skeleton))


def split_lines(
    db: duckdb.DuckDBPyConnection, batch: Batch, parse: Parse, fields: Fields, window: Window
) -> tuple[pa.Table, pa.Table]:
    """Return the events (EVENTS) and the rejected lines (REJECTS) of a batch."""
    lines = pa.concat_tables(block.lines for _, block in batch)
    lines = lines.append_column("row", pa.array(np.arange(lines.num_rows)))
    db.register("lines", lines)
    parsed = parse.query.select(
        db,
        {
            "structure": parse.structure,
            "skeleton_bytes": parse.skeleton_bytes,
            "most_nested": MOST_NESTED,
            "window_start": window.start,
            "window_end": window.end,
        },
    )
    sure = pc.and_(parsed["sure"], _known_texts(db, parsed))
    events = parsed.filter(sure).select(EVENTS.names)
    rejected = [(key, line.n, line.reason, line.raw) for key, block in batch for line in block.unreadable]
    if events.num_rows != parsed.num_rows:
        unsure = np.sort(parsed.filter(pc.invert(sure))["row"].to_numpy())
        accepted = []
        for key, n, raw in _lines_at(batch, unsure):
            found = validate(raw, fields, window)
            if isinstance(found, Event):
                accepted.append(found)
            else:
                rejected.append((key, n, found, raw[:KEPT_BYTES]))
        if accepted:
            events = pa.concat_tables([events, _as_parsed(db, accepted)])
    return events, _reject_table(rejected)


def _lines_at(batch: Batch, rows: np.ndarray[Any, Any]) -> Iterator[tuple[str, int, bytes]]:
    """Yield (key, line number, line without its newline) of the given rows of a batch."""
    first = 0
    for key, block in batch:
        end = first + block.lines.num_rows
        own = block.lines.take(pa.array(rows[(rows >= first) & (rows < end)] - first))
        for n, text in zip(own["n"].to_pylist(), own["text"].to_pylist(), strict=True):
            yield key, n, text.encode().rstrip(b"\n")
        first = end


def _known_texts(db: duckdb.DuckDBPyConnection, parsed: pa.Table) -> pa.ChunkedArray | pa.Scalar:
    """Return which rows have a valid country, language and device; each distinct combination is checked once."""
    db.register("parsed", parsed)
    combinations = db.sql("select distinct country, language, device from parsed where sure").fetchall()
    wrong = [one for one in combinations if not all(map(_fits, one, (COUNTRY, LANGUAGE, DEVICE)))]
    if not wrong:
        return pa.scalar(True)  # noqa: FBT003 - an Arrow value
    db.register("wrong", pa.table(dict(zip(QUOTED, map(list, zip(*wrong, strict=True)), strict=True))))
    rows = db.sql("select row from parsed semi join wrong using (country, language, device)").to_arrow_table()["row"]
    return pc.invert(pc.is_in(parsed["row"], rows))


def _fits(text: str, pattern: Any) -> bool:  # noqa: ANN401 - a compiled pattern
    return len(text) > 1 and text[0] == text[-1] == '"' and pattern.fullmatch(text[1:-1]) is not None


def _as_parsed(db: duckdb.DuckDBPyConnection, events: list[Event]) -> pa.Table:
    """Convert events from the reference parser to the form that parse.sql returns."""
    rows = [
        {**vars(event), **{name: _quoted(getattr(event, name)) for name in ("event_id", "user_id", *QUOTED)}}
        for event in events
    ]
    schema = pa.schema(
        [("event_id", pa.string()), *(EVENTS.field(name) for name in EVENTS.names if name != "event_key")]
    )
    db.register("accepted", pa.Table.from_pylist(rows, schema))
    return (
        db.sql("select *, hash(event_id) as event_key from accepted").to_arrow_table().select(EVENTS.names).cast(EVENTS)
    )


def _quoted(text: str) -> str:
    return f'"{text}"'


def by_bucket(
    db: duckdb.DuckDBPyConnection, events: pa.Table, key: bytes, buckets: int
) -> Iterator[tuple[int, pa.Table]]:
    """Yield (bucket, events), with ``viewer`` instead of ``user_id``."""
    users = events["user_id"].combine_chunks().dictionary_encode()
    viewer = viewers_of(db, key, users.dictionary)[users.indices.to_numpy()]
    bucket = (viewer % np.uint64(buckets)).astype(np.uint16)
    order = np.argsort(bucket, kind="stable")
    bounds = np.searchsorted(bucket[order], np.arange(buckets + 1))
    sorted_events = events.drop_columns("user_id").add_column(0, "viewer", pa.array(viewer)).take(pa.array(order))
    for number in range(buckets):
        first, end = int(bounds[number]), int(bounds[number + 1])
        if end > first:
            yield number, sorted_events.slice(first, end - first)


def reduce_key(key: int, tables: Iterator[pa.Table], to: Destination, task: Task) -> Reduced:
    """Reduce the mappers' output for a bucket, for REJECTED, or for READ."""
    store = to.lake.open()
    table = pa.concat_tables(tables)
    if key == READ:
        return Reduced(lines=pc.sum(table["lines"]).as_py())
    if key == REJECTED:
        return reduce_rejects(table, store, to.prefix)
    with task.database() as db:
        return reduce_bucket(db, key, table, store, to.prefix)


def reduce_rejects(rejects: pa.Table, store: Store, prefix: str) -> Reduced:
    """Write an hour's rejected lines."""
    ordered = rejects.sort_by([(name, "ascending") for name in REJECTS.sort])
    reasons = Counter(ordered["reason"].to_pylist())
    return Reduced(write_output(store, prefix, REJECTS, ordered), reasons=dict(sorted(reasons.items())))


def reduce_bucket(db: duckdb.DuckDBPyConnection, bucket: int, events: pa.Table, store: Store, prefix: str) -> Reduced:
    """Deduplicate and count a bucket's events; write its viewer hours."""
    db.register("events", events)
    _query("aggregate").create_table(db, "aggregate")
    viewer_hour = _query("viewer_hour").select(db)
    viewership = _query("viewership").select(db)
    plays = int(pc.sum(viewership["plays"]).as_py())
    output = write_output(store, prefix, VIEWER_HOUR, viewer_hour, bucket)
    return Reduced(output, viewership, plays, events.num_rows - plays)


def finish_hour(store: Store, prefix: str, hour: datetime, reduced: Sequence[Reduced]) -> list[Output]:
    """Write the hour's viewership; return all outputs of the hour, in the order of their keys."""
    partials = [one.viewership for one in reduced if one.viewership is not None]
    viewership = merge_viewership(partials, hour) if partials else empty(VIEWERSHIP)
    outputs = [one.output for one in reduced if one.output]
    outputs.append(write_output(store, prefix, VIEWERSHIP, viewership))
    return sorted(outputs, key=lambda one: one.key)


def merge_viewership(partials: list[pa.Table], hour: datetime) -> pa.Table:
    """Return the hour's viewership, merged from its buckets."""
    with open_database() as db:
        db.register("aggregate", pa.concat_tables(partials))
        merged = _query("viewership").select(db)
    return merged.add_column(0, "hour", pa.array([hour] * merged.num_rows, pa.timestamp("us")))


def _reject_table(rejected: list[tuple[str, int, Reason, bytes]]) -> pa.Table:
    rows = [{"key": key, "line": n, "reason": reason.value, "raw": raw} for key, n, reason, raw in rejected]
    return pa.Table.from_pylist(rows, REJECTS.schema)


def _query(name: str) -> Query:
    return read_query("jobs.rollup", name)
