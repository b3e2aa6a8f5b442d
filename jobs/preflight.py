"""``marquee preflight``: whether the stages can work here, with the settings in force, before they do.

Also ``python -m jobs.preflight``, which logs what it finds: in a cluster, with no more than a stage's image.

Each check tells what it found, as one or more findings: ``ok``; ``weak``, which works but gives away something; or
``failed``, with the exit code that the stages would end with. What a check writes it deletes again.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from jobs.common import lake
from jobs.common.command import guarded
from jobs.common.errors import DONE, MarqueeError, worst
from jobs.common.settings import StageSettings, check_names, load_settings
from jobs.common.store import ObjectInfo, PreconditionError, Store
from jobs.mart_load.settings import MartLoadSettings
from jobs.rollup.settings import RollupSettings
from jobs.settings import SETTINGS, STAGES

log = logging.getLogger(__name__)

WRITERS = 32
ROUNDS = 5

WEAKER = (
    "what is weaker: of two runs of one period at once both may be told that they were published, and the last one "
    "stands. It is one whole run all the same, for a marker names the objects of one"
)
TO_DO = "have no two runs of a stage at once"
LOOK_FIRST = "MARQUEE_S3__CONDITIONAL_WRITES=false, with which a marker is looked at before it is written, helps"


class Verdict(StrEnum):
    """What a finding means."""

    OK = "ok"
    WEAK = "weak"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """What a check found, in words: where it is not ``ok``, what to do too."""

    check: str
    verdict: Verdict
    words: str
    exit_code: int = DONE


Check = Callable[[], Iterator[Finding]]
"""Yields its findings; what it raises ends it and is a finding, too."""


def check_settings() -> Iterator[Finding]:
    """See that every stage has its settings."""
    for kind in STAGES:
        name = f"settings of {kind.__module__.split('.')[1].replace('_', '-')}"
        try:
            load_settings(kind)
        except MarqueeError as error:
            yield _failed(name, error)
        else:
            yield Finding(name, Verdict.OK, "complete, and of the right form")


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
        yield Finding("lake", Verdict.OK, f"{store.url}: listed, wrote, read and deleted")


def check_conditional_writes() -> Iterator[Finding]:
    """Let many writers at once write one object of the lake, on both conditions that markers are written on."""
    settings = load_settings(StageSettings)
    to_do = f"{TO_DO}; {LOOK_FIRST}" if settings.s3.conditional_writes else TO_DO
    with _probe_prefix(settings.store) as prefix:
        yield _judge("put if absent", probe_absent(settings.store, prefix), to_do)
        yield _judge("put if unchanged", probe_unchanged(settings.store, prefix), to_do)


def check_raw() -> Iterator[Finding]:
    """List raw events, and read of one; they are never written."""
    settings = load_settings(RollupSettings)
    store, layout = settings.open(settings.raw), settings.rollup.layout
    first = next(iter(store.list(layout.root)), None)
    if first is None:
        words = f"{store.url}: reached, but nothing is at {layout.template!r}: check rollup.topic and rollup.path"
        yield Finding("raw events", Verdict.WEAK, words)
    elif store.head(first.key) is None:
        message = f"{store.url}/{first.key} is listed, but cannot be read: check the policy of the bucket"
        raise MarqueeError(message)
    elif layout.hour_of(first.key) is None:
        words = f"{store.url}: {first.key!r} is in no hour's folder {layout.template!r}: check rollup.path"
        yield Finding("raw events", Verdict.WEAK, words)
    else:
        yield Finding("raw events", Verdict.OK, f"{store.url}: listed and reached {first.key!r}")


def check_mart() -> Iterator[Finding]:
    """Reach the mart; see that it, its server and what the user may do there are fit for loading."""
    from jobs.mart_load.admin import check_mart as look  # noqa: PLC0415 - needs a driver that not every image has

    yield Finding("mart", Verdict.OK, look(load_settings(MartLoadSettings).mart))


CHECKS: tuple[tuple[str, Check], ...] = (
    ("settings", check_settings),
    ("lake", check_lake),
    ("conditional writes", check_conditional_writes),
    ("raw events", check_raw),
    ("mart", check_mart),
)
"""In the order in which they are made; the name is that of a finding which an error makes."""


def run_checks(checks: tuple[tuple[str, Check], ...] = CHECKS) -> list[Finding]:
    """Make every check, whatever the others found."""
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except MarqueeError as error:
            findings.append(_failed(name, error))
    return findings


def exit_code_of(findings: list[Finding]) -> int:
    """Return the exit code that most needs a person, 0 if nothing failed."""
    return worst([one.exit_code for one in findings])


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


def _judge(name: str, wins: list[int], to_do: str) -> Finding:
    check = f"conditional writes: {name}"
    if set(wins) == {1}:
        return Finding(check, Verdict.OK, f"of {WRITERS} writers at once one won, {len(wins)} times of {len(wins)}")
    told = ", ".join(map(str, wins))
    words = f"of {WRITERS} writers at once {told} won, where one should each time: {to_do}; {WEAKER}"
    return Finding(check, Verdict.WEAK, words)


@contextmanager
def _probe_prefix(store: Store) -> Iterator[str]:
    """Give a prefix of our own below ``preflight/``, and delete all that is there in the end."""
    prefix = f"preflight/{lake.new_run_id(datetime.now(UTC))}/"
    list(store.list(prefix))  # a store that cannot be listed needs no cleaning
    try:
        yield prefix
    finally:
        for info in list(store.list(prefix)):
            store.delete(info.key)


def _failed(check: str, error: MarqueeError) -> Finding:
    return Finding(check, Verdict.FAILED, " ".join(str(error).split()), error.exit_code)


LEVELS = {Verdict.OK: logging.INFO, Verdict.WEAK: logging.WARNING, Verdict.FAILED: logging.ERROR}


def main() -> int:
    """Make every check, log what was found, and return the exit code."""

    def command() -> int:
        check_names(SETTINGS)
        findings = run_checks()
        for one in findings:
            log.log(LEVELS[one.verdict], "%s: %s", one.check, one.words, extra={"verdict": str(one.verdict)})
        return exit_code_of(findings)

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
