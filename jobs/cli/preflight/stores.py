"""Checks of the lake: the rights there, and whether its store keeps the conditions of conditional writes."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from jobs.cli.preflight.findings import Finding, Verdict
from marquee.errors import MarqueeError
from marquee.lake import keys
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings
from marquee.storage.base import ObjectInfo, PreconditionError, Store
from marquee.storage.local import LocalStore
from marquee.system_errors import user_name

WRITERS = 32
ROUNDS = 5

WEAKER = (
    "of two runs of one period at once both may report success, and the result of the last one stands. It is one whole "
    "run all the same, because a marker names the objects of one run"
)
TO_DO = "never run a stage twice at once"
LOOK_FIRST = "MARQUEE_S3__CONDITIONAL_WRITES=false helps: a marker is then looked at before it is written"


def check_lake() -> Iterator[Finding]:
    """List, write, read and delete in the lake."""
    store = load_settings(StageSettings).store
    with _probe_prefix(store) as prefix:
        info = store.put(f"{prefix}object", b"probe")
        found = store.get(info.key)
        if found != b"probe" or info.key not in [one.key for one in store.list(prefix)]:
            message = f"{store.url}/{info.key} was written, but is not listed and read as it was: no lake can be there"
            raise MarqueeError(message)
        store.delete(info.key)
        if store.head(info.key):
            message = f"{store.url}/{info.key} was deleted, but is still there: no lake can be there"
            raise MarqueeError(message)
        yield Finding("lake", Verdict.OK, f"{store.url}: listed, wrote, read and deleted{as_user(store)}")


def check_conditional_writes() -> Iterator[Finding]:
    """Let many writers at once write one object of the lake, on both conditions that markers are written on."""
    settings = load_settings(StageSettings)
    store = settings.store
    if not settings.s3.conditional_writes and not isinstance(store, LocalStore):
        # Not tried: whether one writer looks before another writes is luck.
        words = f"switched off by MARQUEE_S3__CONDITIONAL_WRITES: {TO_DO}, for {WEAKER}"
        yield Finding("conditional writes", Verdict.WEAK, words)
        return
    with _probe_prefix(store) as prefix:
        yield _judge("put if absent", probe_absent(store, prefix))
        yield _judge("put if unchanged", probe_unchanged(store, prefix))


def as_user(store: Store) -> str:
    """Return whose rights count in a folder; in S3 they are those of the credentials."""
    return f" as {user_name()}" if isinstance(store, LocalStore) else ""


def probe_absent(store: Store, prefix: str) -> list[int]:
    """Have many writers at once make one object, several times; return how many won each time."""

    def race(number: int) -> int:
        key = f"{prefix}absent-{number}"
        return _race(store, key, lambda data: store.put_if_absent(key, data))

    return [race(number) for number in range(ROUNDS)]


def probe_unchanged(store: Store, prefix: str) -> list[int]:
    """Have many writers at once replace one object that all have seen, several times; return how many won each time."""
    key = f"{prefix}unchanged"

    def race(number: int) -> int:
        etag = store.put(key, f"before {number}".encode()).etag
        return _race(store, key, lambda data: store.put_if_unchanged(key, data, etag))

    return [race(number) for number in range(ROUNDS)]


def _race(store: Store, key: str, write: Callable[[bytes], ObjectInfo]) -> int:
    """Return how many writers were told that they won; one more if what stands is not what the only one wrote."""
    barrier = threading.Barrier(WRITERS)

    def one(number: int) -> bytes | None:
        data = f"writer {number}".encode()
        barrier.wait()
        try:
            write(data)
        except PreconditionError:
            return None
        return data

    with ThreadPoolExecutor(WRITERS) as pool:
        won = [data for data in pool.map(one, range(WRITERS)) if data is not None]
    return len({*won, store.get(key)}) if len(won) == 1 else len(won)


def _judge(name: str, wins: list[int]) -> Finding:
    counts = ", ".join(map(str, wins))
    words = f"{name}: of {WRITERS} writers at once "
    if set(wins) == {1}:
        return Finding("conditional writes", Verdict.OK, f"{words}one won, {len(wins)} times of {len(wins)}")
    words += f"{counts} won, where one should each time: {TO_DO}, for {WEAKER}. {LOOK_FIRST}"
    return Finding("conditional writes", Verdict.WEAK, words)


@contextmanager
def _probe_prefix(store: Store) -> Iterator[str]:
    """Give a prefix of our own below ``preflight/``, and delete all that is there in the end."""
    prefix = f"preflight/{keys.new_run_id(datetime.now(UTC))}/"
    list(store.list(prefix))  # a store that cannot be listed needs no cleaning
    made = _missing_folders(store)
    try:
        yield prefix
    finally:
        for info in list(store.list(prefix)):
            store.delete(info.key)
        with suppress(OSError):  # another process has begun to use the lake
            for folder in made:
                (folder / LocalStore.LOCK).unlink(missing_ok=True)
                folder.rmdir()


def _missing_folders(store: Store) -> list[Path]:
    """Return the folders that the first write to a store will make, the deepest first."""
    if not isinstance(store, LocalStore):
        return []
    return [folder for folder in (store.root, *store.root.parents) if not folder.exists()]
