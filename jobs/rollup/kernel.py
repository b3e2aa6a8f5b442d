"""The mapper of the rollup: raw objects of an hour to events by bucket, rejected lines and line counts.

``parse_objects`` (map) reads some raw objects. It yields events by viewer bucket (schema EVENTS), rejected lines under
the key REJECTED (schema REJECTS), and line counts by object under the key READ. ``reduce.py`` has what follows.

    kernel.py     fetches the objects, and reads their blocks in batches
    lines.py      reads an object; passes.py takes most of its lines as events
    parsing.py    parses a batch
    buckets.py    splits events by viewer bucket
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.rollup.buckets import Splitter
from jobs.rollup.compiled import why_not_compiled
from jobs.rollup.key import keys_of
from jobs.rollup.lines import read_blocks
from jobs.rollup.parsing import Parse, parse_query, split_lines
from jobs.rollup.pseudonyms import Viewers
from jobs.rollup.rejects import Batch, RejectLog
from jobs.rollup.units import READ, REJECTED, ParseUnit
from marquee.compiled import REMEDY
from marquee.engine.base import Task
from marquee.errors import ConfigError, MarqueeError, TryAgainError, describe_foreign
from marquee.lake.manifest import Input
from marquee.machine import MIB
from marquee.storage.base import Store, in_parallel
from marquee.system_errors import explain

if TYPE_CHECKING:
    from jobs.rollup.passes import Pass

BATCH_BYTES = 8 << 20

BUCKET_BYTES = 256 << 10
"""Bytes of events of a bucket, on average, that are worth a table: some 5,000."""


def parse_objects(unit: ParseUnit, task: Task) -> Iterator[tuple[int, pa.Table]]:
    """Yield the events of raw objects by bucket, rejected lines under REJECTED, and line counts under READ."""
    log = RejectLog(unit.most_rejects)
    splitter = Splitter(unit.buckets, min(task.memory_mb * MIB // 8, unit.buckets * BUCKET_BYTES))
    with ExitStack() as opened, _tools(unit) as (parse, passing):
        db = cache(lambda: opened.enter_context(task.database()))
        for batch in _batches(unit.raw.open(), unit, task, passing):
            with _named(unit.raw.url, {name for name, _ in batch}):
                events, rejects, counts = split_lines(db, batch, parse, log)
            yield from splitter.add(events)
            if rejects.num_rows:
                yield REJECTED, rejects
            yield READ, counts
        yield from splitter.rest()


@contextmanager
def _tools(unit: ParseUnit) -> Iterator[tuple[Parse, "Pass | None"]]:
    """Give the queries of a unit, and its pass if it uses the compiled modules."""
    viewer_keys = keys_of(unit.viewer_key)
    if not unit.compiled:
        yield parse_query(unit.fields, unit.window, Viewers(viewer_keys)), None
        return
    if reason := why_not_compiled():
        message = f"The rollup was started with compiled modules, but on this machine {reason}. {REMEDY}"
        raise ConfigError(message)
    from jobs.rollup.passes import borrowed_pass  # noqa: PLC0415 - compiled, so it may be missing

    with borrowed_pass(viewer_keys, unit.fields, unit.window) as passing:
        yield parse_query(unit.fields, unit.window, passing), passing


@contextmanager
def _named(url: str, names: Collection[str]) -> Iterator[None]:
    """Name the objects at which an error occurs that is not Marquee's, without its text, which may hold data."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MarqueeError) or explain(error):
            raise
        more = f" or {len(names) - 1} more" if len(names) > 1 else ""
        message = f"{url}/{min(names)}{more} cannot be read, because of a fault of Marquee: {describe_foreign(error)}"
        raise MarqueeError(message) from error


def _batches(store: Store, unit: ParseUnit, task: Task, passing: "Pass | None") -> Iterator[Batch]:
    """Yield the objects' blocks in batches, because a query takes some milliseconds however few lines it reads."""

    def fetch(raw: Input) -> Path:
        return store.fetch(raw.name, task.scratch)

    # Threads take longer than naming a file does.
    fetched = in_parallel(store, fetch, unit.objects) if store.fetch_copies else (fetch(raw) for raw in unit.objects)
    with closing(fetched) as paths:
        yield from _batch(store, unit, zip(unit.objects, paths, strict=True), passing)


def _batch(
    store: Store, unit: ParseUnit, fetched: Iterable[tuple[Input, Path]], passing: "Pass | None"
) -> Iterator[Batch]:
    batch: Batch = []
    size = 0
    for raw, path in fetched:
        if path.stat().st_size != raw.size:
            message = f"{store.url}/{raw.name} changed while it was being read. Run the hour again"
            raise TryAgainError(message)
        with _named(unit.raw.url, {raw.name}):
            for block in read_blocks(path, raw.name, unit.fields, unit.limits, unit.window, passing):
                batch.append((raw.name, block))
                size += block.nbytes
                if not block.lasting or size >= BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
    if batch:
        yield batch
