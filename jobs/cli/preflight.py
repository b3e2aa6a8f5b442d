"""``marquee preflight``: whether the stages can work here, with the settings in force, before they do.

Also ``python -m jobs.cli.preflight STAGE``, which logs what it finds: in a cluster, in the stage's image, with its
rights.

Each check tells what it found, as one or more findings: ``ok``; ``weak``, which works but gives away something; or
``failed``, with the exit code that the stages would end with. What a check writes it deletes again.
"""

import argparse
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial

from jobs.mart_load.settings import MartLoadSettings
from jobs.registry import PIPELINE
from jobs.rollup.settings import RollupSettings
from marquee.errors import DONE, MarqueeError, worst
from marquee.lake import keys
from marquee.runs.arguments import Parser
from marquee.runs.command import guarded
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.settings.sections import StageSettings
from marquee.storage.base import ObjectInfo, PreconditionError, Store
from marquee.storage.local import LocalStore

log = logging.getLogger("jobs.cli.preflight")

STAGES = {job.name: job for job in PIPELINE}

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


def check_settings(stages: Sequence[str]) -> Iterator[Finding]:
    """See that every stage has its settings."""
    for stage in stages:
        name = f"settings of {stage.replace('_', '-')}"
        try:
            load_settings(STAGES[stage].settings)
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
    store = settings.store
    if not settings.s3.conditional_writes and not isinstance(store, LocalStore):
        # Not tried: whether one writer looks before another writes is luck.
        words = f"switched off by MARQUEE_S3__CONDITIONAL_WRITES: {TO_DO}; {WEAKER}"
        yield Finding("conditional writes", Verdict.WEAK, words)
        return
    with _probe_prefix(store) as prefix:
        yield _judge("put if absent", probe_absent(store, prefix))
        yield _judge("put if unchanged", probe_unchanged(store, prefix))


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
    from marquee.mart.admin import check_mart as look  # noqa: PLC0415 - needs a driver that not every image has

    yield Finding("mart", Verdict.OK, look(load_settings(MartLoadSettings).mart))


def check_operator(stage: str) -> Iterator[Finding]:
    """See that the cluster takes the SparkApplication of a stage's launcher, and lets it follow and delete one."""
    from jobs.launcher.check import check_launch  # noqa: PLC0415 - needs a client that not every image has

    yield Finding("spark operator", Verdict.OK, check_launch(stage))


Checks = tuple[tuple[str, Check], ...]
"""In the order in which they are made; the name is that of a finding which an error makes."""

OWN: dict[str, Checks] = {"rollup": (("raw events", check_raw),), "mart_load": (("mart", check_mart),)}
"""What is checked for one stage alone."""


def checks_of(stages: Sequence[str] = tuple(STAGES)) -> Checks:
    """Return what is checked for these stages."""
    return (
        ("settings", partial(check_settings, stages)),
        ("lake", check_lake),
        ("conditional writes", check_conditional_writes),
        *(check for stage in stages for check in OWN.get(stage, ())),
    )


def run_checks(checks: Checks) -> list[Finding]:
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


def _judge(name: str, wins: list[int]) -> Finding:
    check = f"conditional writes: {name}"
    if set(wins) == {1}:
        return Finding(check, Verdict.OK, f"of {WRITERS} writers at once one won, {len(wins)} times of {len(wins)}")
    told = ", ".join(map(str, wins))
    words = f"of {WRITERS} writers at once {told} won, where one should each time: {TO_DO}; {LOOK_FIRST}; {WEAKER}"
    return Finding(check, Verdict.WEAK, words)


@contextmanager
def _probe_prefix(store: Store) -> Iterator[str]:
    """Give a prefix of our own below ``preflight/``, and delete all that is there in the end."""
    prefix = f"preflight/{keys.new_run_id(datetime.now(UTC))}/"
    list(store.list(prefix))  # a store that cannot be listed needs no cleaning
    try:
        yield prefix
    finally:
        for info in list(store.list(prefix)):
            store.delete(info.key)


def _failed(check: str, error: MarqueeError) -> Finding:
    return Finding(check, Verdict.FAILED, " ".join(str(error).split()), error.exit_code)


def run(given: argparse.Namespace) -> int:
    """Make all checks, print what was found, and return the exit code."""
    from marquee.report.tables import print_rows  # noqa: PLC0415 - the images have no rich

    check_names()
    findings = run_checks(checks_of())
    print_rows(["check", "verdict", "finding"], [[one.check, one.verdict, one.words] for one in findings], given.format)
    return exit_code_of(findings)


LEVELS = {Verdict.OK: logging.INFO, Verdict.WEAK: logging.WARNING, Verdict.FAILED: logging.ERROR}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the checks of a stage, or of all, log what was found, and return the exit code."""
    parser = Parser("python -m jobs.cli.preflight", __doc__)
    parser.add_argument("stage", nargs="?", choices=STAGES, help="what it is to be fit for; all stages when left out")
    parser.add_argument("--launcher", action="store_true", help="for that stage on Spark, through its launcher")
    given = parser.parse_args(arguments)
    if given.launcher and not given.stage:
        parser.error("expected a stage with --launcher")

    def command() -> int:
        check_names()
        checks = checks_of([given.stage]) if given.stage else checks_of()
        if given.launcher:
            checks += (("spark operator", partial(check_operator, given.stage)),)
        findings = run_checks(checks)
        for one in findings:
            log.log(LEVELS[one.verdict], "%s: %s", one.check, one.words, extra={"verdict": str(one.verdict)})
        return exit_code_of(findings)

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
