"""The rollup's kernels: raw objects to events by viewer bucket, and a bucket's events to viewership and viewer hours.

parse_objects     unit {objects, hour window, key, …}  ->  (bucket, events), and (REJECTS, rejected lines) reduce_bucket
(bucket, its events)                 ->  Reduced: viewer_hour of the bucket, written; viewership partial reduce_rejects
(REJECTS, rejected lines)            ->  Reduced: rejects, written; counts by reason
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.rollup.contract import COUNTRY, DEVICE, LANGUAGE, Event, Fields, Reason, Window, judge
from jobs.rollup.lines import KEPT_BYTES, Block, read_blocks
from jobs.rollup.viewer import viewers_of
from marquee.engine.base import Task, Unit
from marquee.engine.duckdb import open_database
from marquee.errors import TryAgainError
from marquee.lake.datasets import REJECTS, VIEWER_HOUR
from marquee.lake.files import write_output
from marquee.lake.manifest import Output
from marquee.storage.base import S3Options, Store, in_parallel
from marquee.storage.opening import open_store

REJECTED = -1
"""The key under which the mapper gives rejected lines; buckets count from 0."""

READ = -2
"""The key under which the mapper gives how many lines it read, before it judged any."""

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
"""Brackets a line may open before the referee is asked; Python gives up near 1,000 within each other."""

BATCH_BYTES = 8 << 20

Batch = list[tuple[str, Block]]
"""Blocks of lines with the keys of their objects; a batch is parsed by one query. A ``row`` counts its lines from 0."""

QUOTED = ("country", "language", "device")


@dataclass(frozen=True)
class Reduced:
    """What became of a key: the object written, and what the driver merges and counts."""

    output: Output | None = None
    viewership: pa.Table | None = None
    plays: int = 0
    duplicates: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    lines: int = 0


def parse_objects(unit: Unit, task: Task) -> Iterator[tuple[int, pa.Table]]:
    """Yield the events of some raw objects by bucket, and their rejected lines under REJECTED."""
    fields, window = Fields(**unit["fields"]), _window(unit)
    parse = parse_sql(fields, window)
    with task.database() as db:
        for batch in _batches(_open(unit["raw"]), unit["objects"], task):
            events, rejects = sift(db, batch, parse, fields, window)
            yield from by_bucket(db, events, unit["viewer_key"].encode(), unit["buckets"])
            if rejects.num_rows:
                yield REJECTED, rejects
            yield READ, pa.table({"lines": [sum(block.lines.num_rows + len(block.unreadable) for _, block in batch)]})


def _batches(store: Store, objects: list[dict[str, Any]], task: Task) -> Iterator[Batch]:
    """Yield the objects' blocks, small ones together: a query takes some milliseconds however few lines it reads."""
    fetched = in_parallel(store, lambda raw: store.fetch(raw["key"], task.scratch), objects)
    with closing(fetched) as paths:
        yield from _batch(store, zip(objects, paths, strict=True))


def _batch(store: Store, fetched: Iterable[tuple[dict[str, Any], Path]]) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for raw, path in fetched:
        if path.stat().st_size != raw["size"]:
            message = f"{store.url}/{raw['key']} changed while it was read: run the hour again"
            raise TryAgainError(message)
        for block in read_blocks(path, raw["key"]):
            batch.append((raw["key"], block))
            size += block.lines.nbytes
            # A block that is not the last of its object is valid only until the next is read.
            if not block.last or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def parse_sql(fields: Fields, window: Window) -> str:
    """Return parse.sql for a producer's field names and an hour's window."""
    structure: dict[str, Any] = {}
    for name, path in vars(fields).items():
        *above, last = path.split(".")
        inner = structure
        for step in above:
            inner = inner.setdefault(step, {})
        # Kept as JSON, a number and a text stay apart; an instant that is no text fails its form anyway.
        inner[last] = "VARCHAR" if name == "received_at" else "JSON"
    skeleton = json.dumps(structure, separators=(",", ":"))
    for kind, empty in (('"VARCHAR"', '""'), ('"JSON"', "")):
        skeleton = skeleton.replace(f":{kind}", f":{empty}")
    accessors = {name: ".".join(f'"{step}"' for step in path.split(".")) for name, path in vars(fields).items()}
    template = Template(resources.files("jobs.rollup").joinpath("parse.sql").read_text(encoding="utf-8"))
    return template.substitute(
        accessors,
        structure=json.dumps(structure),
        skeleton_bytes=len(skeleton),
        most_nested=MOST_NESTED,
        start=window.start,
        end=window.end,
    )


def sift(
    db: duckdb.DuckDBPyConnection, batch: Batch, parse: str, fields: Fields, window: Window
) -> tuple[pa.Table, pa.Table]:
    """Return the events (EVENTS) and the rejected lines (REJECTS) of some blocks."""
    lines = pa.concat_tables(block.lines for _, block in batch)
    lines = lines.append_column("row", pa.array(np.arange(lines.num_rows)))
    db.register("lines", lines)
    parsed = db.sql(parse).to_arrow_table()
    sure = pc.and_(parsed["sure"], _known_texts(db, parsed))
    events = parsed.filter(sure).select(EVENTS.names)
    rejected = [(key, line.n, line.reason, line.raw) for key, block in batch for line in block.unreadable]
    if events.num_rows != parsed.num_rows:
        unsure = np.sort(parsed.filter(pc.invert(sure))["row"].to_numpy())
        accepted = []
        for key, n, raw in _lines_at(batch, unsure):
            judged = judge(raw, fields, window)
            if isinstance(judged, Event):
                accepted.append(judged)
            else:
                rejected.append((key, n, judged, raw[:KEPT_BYTES]))
        if accepted:
            events = pa.concat_tables([events, _as_parsed(db, accepted)])
    return events, _reject_table(rejected)


def _lines_at(batch: Batch, rows: np.ndarray[Any, Any]) -> Iterator[tuple[str, int, bytes]]:
    """Yield (key, number of the line, line without its newline) of rows of a batch."""
    first = 0
    for key, block in batch:
        end = first + block.lines.num_rows
        own = block.lines.take(pa.array(rows[(rows >= first) & (rows < end)] - first))
        for n, text in zip(own["n"].to_pylist(), own["text"].to_pylist(), strict=True):
            yield key, n, text.encode().rstrip(b"\n")
        first = end


def _known_texts(db: duckdb.DuckDBPyConnection, parsed: pa.Table) -> pa.ChunkedArray | pa.Scalar:
    """Tell which rows' country, language and device are of the contract's form, judged once for each combination."""
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
    """Return events that the referee accepted in the form of those that parse.sql was sure of."""
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
    """Yield (bucket, events) with ``viewer`` in the place of ``user_id``."""
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


def reduce_key(key: int, tables: Iterator[pa.Table], parameters: Unit, task: Task) -> Reduced:
    """Reduce what the mappers gave for a bucket, for REJECTED, or for READ."""
    store = _open(parameters["lake"])
    table = pa.concat_tables(tables)
    if key == READ:
        return Reduced(lines=pc.sum(table["lines"]).as_py())
    if key == REJECTED:
        return reduce_rejects(table, store, parameters["prefix"])
    with task.database() as db:
        return reduce_bucket(db, key, table, store, parameters["prefix"])


def reduce_rejects(rejects: pa.Table, store: Store, prefix: str) -> Reduced:
    """Write an hour's rejected lines."""
    ordered = rejects.sort_by([(name, "ascending") for name in REJECTS.sort])
    reasons = Counter(ordered["reason"].to_pylist())
    return Reduced(write_output(store, prefix, REJECTS, ordered), reasons=dict(sorted(reasons.items())))


def reduce_bucket(db: duckdb.DuckDBPyConnection, bucket: int, events: pa.Table, store: Store, prefix: str) -> Reduced:
    """Deduplicate and count a bucket's events; write its viewer hours."""
    db.register("events", events)
    db.execute(f"create temp table aggregate as {_read('aggregate.sql')}")
    viewer_hour = db.sql(_read("viewer_hour.sql")).to_arrow_table()
    viewership = db.sql(_read("viewership.sql")).to_arrow_table()
    plays = int(pc.sum(viewership["plays"]).as_py())
    output = write_output(store, prefix, VIEWER_HOUR, viewer_hour, bucket)
    return Reduced(output, viewership, plays, events.num_rows - plays)


def merge_viewership(partials: list[pa.Table], hour: datetime) -> pa.Table:
    """Return the hour's viewership from those of its buckets."""
    with open_database() as db:
        db.register("aggregate", pa.concat_tables(partials))
        merged = db.sql(_read("viewership.sql")).to_arrow_table()
    return merged.add_column(0, "hour", pa.array([hour] * merged.num_rows, pa.timestamp("us")))


def _reject_table(rejected: list[tuple[str, int, Reason, bytes]]) -> pa.Table:
    rows = [{"key": key, "line": n, "reason": reason.value, "raw": raw} for key, n, reason, raw in rejected]
    return pa.Table.from_pylist(rows, REJECTS.schema)


def _open(where: Unit) -> Store:
    return open_store(where["url"], S3Options(**where["s3"]))


def _window(unit: Unit) -> Window:
    return Window(datetime.fromisoformat(unit["start"]), datetime.fromisoformat(unit["end"]))


def _read(name: str) -> str:
    return resources.files("jobs.rollup").joinpath(name).read_text(encoding="utf-8")
