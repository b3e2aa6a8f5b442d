"""Checks of the lake: the rights, listings that are up to date, and that its store honours conditional writes."""

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
LISTINGS = 20

WEAKER = (
    "if two runs make one period at the same time, both may report success, and the result of the last one is kept. "
    "The result is still consistent, because a marker names the objects of one run"
)
TO_DO = "never run a stage twice at the same time"
LOOK_FIRST = "MARQUEE_S3__CONDITIONAL_WRITES=false helps: a marker is then read before it is written"


def check_lake() -> Iterator[Finding]:
    """List, write, read and delete in the lake."""
    store = load_settings(StageSettings).store
    with _probe_prefix(store) as prefix:
        info = store.put(f"{prefix}object", b"probe")
        list(store.list(prefix))
        if store.get(info.key) != b"probe":
            message = f"{store.url}/{info.key} was written, but not read back. Use another store for the lake"
            raise MarqueeError(message)
        store.delete(info.key)
        if store.head(info.key):
            message = f"{store.url}/{info.key} was deleted, but still exists. Use another store for the lake"
            raise MarqueeError(message)
        yield Finding("lake", Verdict.OK, f"{store.url}: listed, wrote, read and deleted{as_user(store)}")


def check_listing() -> Iterator[Finding]:
    """Write and delete some objects, and list them right after each change."""
    store = load_settings(StageSettings).store
    with _probe_prefix(store) as prefix:
        late = sum(not _is_listed_at_once(store, f"{prefix}listed-{number}") for number in range(LISTINGS))
    if not late:
        yield Finding("listing", Verdict.OK, f"{LISTINGS} objects were listed right after they were written")
        return
    words = (
        f"{late} of {LISTINGS} changes were not in the next listing. Results stay consistent, because a marker names "
        "its objects, but a run may miss what was published just before, and make it again. Use a store whose listings "
        "are up to date"
    )
    yield Finding("listing", Verdict.WEAK, words)


def _is_listed_at_once(store: Store, key: str) -> bool:
    """Return whether a new object is in the next listing, and is not after it was deleted."""
    store.put(key, b"probe")
    written = key in [one.key for one in store.list(key)]
    store.delete(key)
    return written and not list(store.list(key))


def check_conditional_writes() -> Iterator[Finding]:
    """Let many writers write one object of the lake at the same time, with both conditions that markers use."""
    settings = load_settings(StageSettings)
    store = settings.store
    if not settings.s3.conditional_writes and not isinstance(store, LocalStore):
        # Not tested: the result depends on the timing of the writers.
        words = f"switched off by MARQUEE_S3__CONDITIONAL_WRITES: {TO_DO}; {WEAKER}"
        yield Finding("conditional writes", Verdict.WEAK, words)
        return
    with _probe_prefix(store) as prefix:
        yield _finding("put if absent", probe_absent(store, prefix))
        yield _finding("put if unchanged", probe_unchanged(store, prefix))


def as_user(store: Store) -> str:
    """Return the user whose rights count in a folder; empty for S3, where the credentials count."""
    return f" as {user_name()}" if isinstance(store, LocalStore) else ""


def probe_absent(store: Store, prefix: str) -> list[int]:
    """Let many writers create one object at the same time, several times; return the winners of each round."""

    def race(number: int) -> int:
        key = f"{prefix}absent-{number}"
        return _race(store, key, lambda data: store.put_if_absent(key, data))

    return [race(number) for number in range(ROUNDS)]


def probe_unchanged(store: Store, prefix: str) -> list[int]:
    """Let many writers replace one object that all have read, several times; return the winners of each round."""
    key = f"{prefix}unchanged"

    def race(number: int) -> int:
        etag = store.put(key, f"before {number}".encode()).etag
        return _race(store, key, lambda data: store.put_if_unchanged(key, data, etag))

    return [race(number) for number in range(ROUNDS)]


def _race(store: Store, key: str, write: Callable[[bytes], ObjectInfo]) -> int:
    """Return the number of writers that succeeded; one more if the object is not what the only winner wrote."""
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


def _finding(name: str, wins: list[int]) -> Finding:
    counts = ", ".join(map(str, wins))
    words = f"{name}: of {WRITERS} concurrent writers "
    if set(wins) == {1}:
        return Finding("conditional writes", Verdict.OK, f"{words}one won in each of {len(wins)} rounds")
    words += f"{counts} won in {len(wins)} rounds, expected 1 in each: {TO_DO}; {WEAKER}. {LOOK_FIRST}"
    return Finding("conditional writes", Verdict.WEAK, words)


@contextmanager
def _probe_prefix(store: Store) -> Iterator[str]:
    """Yield a new prefix below ``preflight/``, and delete its objects at the end."""
    prefix = f"preflight/{keys.new_run_id(datetime.now(UTC))}/"
    list(store.list(prefix))  # a store that cannot be listed needs no cleaning
    made = _missing_folders(store)
    try:
        yield prefix
    finally:
        for info in list(store.list(prefix)):
            store.delete(info.key)
        with suppress(OSError):  # another process has started to use the lake
            for folder in made:
                (folder / LocalStore.LOCK).unlink(missing_ok=True)
                folder.rmdir()


def _missing_folders(store: Store) -> list[Path]:
    """Return the folders that the first write to a store will create, the deepest first."""
    if not isinstance(store, LocalStore):
        return []
    return [folder for folder in (store.root, *store.root.parents) if not folder.exists()]
