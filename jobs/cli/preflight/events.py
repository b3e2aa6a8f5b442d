"""Checks of the raw events' lines: how many are plays, why others are not, and which fields the lines lack.

Names of fields are shown, never values; and only names that many lines have, for a producer may use an id as a name.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from jobs.cli.preflight.findings import Finding, Verdict, failures
from jobs.rollup.contract import Event, Fields, Window, names_in, validate
from jobs.rollup.lines import read_blocks
from jobs.rollup.settings import RollupOptions, RollupSettings
from marquee.calendar import Period
from marquee.errors import BadInputError
from marquee.storage.base import ObjectInfo, Store

OBJECTS = 3
LINES = 300
"""Most lines that are read of an object."""
MOST_BYTES = 32 << 20
"""Objects that are larger are not fetched for a few lines."""
COMMON_SHARE = 0.1
"""Share of the lines that have a name which is shown."""
NAMES = 12
LONGEST_NAME = 60
AHEAD = timedelta(minutes=1)
"""How far in the future an event may seem to lie before a clock must be wrong."""


@dataclass
class Sample:
    """What some lines of the newest hours are; ``named`` counts those that have names, which are in ``names``."""

    objects: int = 0
    lines: int = 0
    named: int = 0
    plays: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    latest: datetime = datetime.min  # noqa: DTZ901 - as events have it: UTC without a zone

    def add(self, line: bytes, fields: Fields, window: Window) -> None:
        """Judge a line."""
        self.lines += 1
        names = names_in(line)
        self.named += bool(names)
        self.names.update(names)
        judged = validate(line, fields, window)
        if isinstance(judged, Event):
            self.plays += 1
            self.latest = max(self.latest, judged.received_at)
        else:
            self.rejects[judged.value] += 1


def judge_events(
    settings: RollupSettings, store: Store, hours: Mapping[Period, Sequence[ObjectInfo]]
) -> Iterator[Finding]:
    """Read some lines of one object of each of the newest hours."""
    options = settings.rollup
    try:
        sample = read_sample(options, store, hours)
    except BadInputError as error:  # an object that is damaged
        yield from failures("event contract", error)
        return
    if not sample.lines:
        words = f"no lines were read: the newest hours have only empty objects, or such above {MOST_BYTES >> 20} MiB"
        yield Finding("event contract", Verdict.WEAK, words)
        return
    yield _judge_contract(options, sample)
    ahead = sample.latest - datetime.now(UTC).replace(tzinfo=None)
    if sample.plays and ahead > AHEAD:
        words = (
            f"received_at lies up to {ahead // timedelta(minutes=1):,} minutes in the future: set the clock of the "
            "producer, or of this machine"
        )
        yield Finding("event times", Verdict.WEAK, words)


def read_sample(options: RollupOptions, store: Store, hours: Mapping[Period, Sequence[ObjectInfo]]) -> Sample:
    """Judge the first lines of the smallest object of each of the newest hours."""
    sample, fields = Sample(), Fields(**options.fields.model_dump())
    slack = timedelta(minutes=options.slack_minutes)
    with tempfile.TemporaryDirectory(prefix="marquee-preflight-") as folder:
        for hour, info in islice(_fitting(hours), OBJECTS):
            window = Window(*((at.replace(tzinfo=None)) for at in (hour.start - slack, hour.end + slack)))
            sample.objects += 1
            for line in islice(_lines(store.fetch(info.key, Path(folder)), info.key), LINES):
                sample.add(line, fields, window)
    return sample


def _fitting(hours: Mapping[Period, Sequence[ObjectInfo]]) -> Iterator[tuple[Period, ObjectInfo]]:
    for hour in sorted(hours, reverse=True):
        fitting = [info for info in hours[hour] if 0 < info.size <= MOST_BYTES]
        if fitting:
            yield hour, min(fitting, key=lambda info: info.size)


def _lines(path: Path, key: str) -> Iterator[bytes]:
    for block in read_blocks(path, key):
        yield from (one.raw for one in block.unreadable)
        for text in block.lines["text"].slice(0, LINES).to_pylist():
            yield text.encode().rstrip(b"\n")


def _judge_contract(options: RollupOptions, sample: Sample) -> Finding:
    rejected = sample.rejects.total()
    words = f"of {sample.lines} lines in {sample.objects} objects of the newest hours {sample.plays} are plays"
    if not rejected:
        return Finding("event contract", Verdict.OK, words)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sample.rejects.most_common())
    words += f", {rejected} are rejected ({reasons})"
    words += "".join(f"; {one}" for one in _missing(options, sample))
    if sample.plays and rejected <= options.reject_share * sample.lines:
        return Finding("event contract", Verdict.OK, words)
    if sample.plays and rejected <= options.reject_lines:
        words += (
            f"; an hour fails if more than {options.reject_lines} of its lines are rejected, and more than "
            f"{options.reject_share:.1%}"
        )
        return Finding("event contract", Verdict.WEAK, words)
    return Finding("event contract", Verdict.FAILED, words, BadInputError.exit_code)


def _missing(options: RollupOptions, sample: Sample) -> Iterator[str]:
    """Name the fields that lines lack, and the names that the lines have instead."""
    paths: dict[str, str] = options.fields.model_dump()
    lacking = [name for name, path in paths.items() if sample.names[path] < sample.named]
    if not lacking:
        return
    by_lines: dict[int, list[str]] = defaultdict(list)
    for name in lacking:
        known_as = "" if paths[name] == name else f" as {paths[name]}"
        by_lines[sample.named - sample.names[paths[name]]].append(f"{name}{known_as}")
    yield from (f"not found in {lines} lines: {', '.join(names)}" for lines, names in sorted(by_lines.items()))
    common = sorted(name for name, count in sample.names.items() if count >= COMMON_SHARE * sample.lines)
    others = [name[:LONGEST_NAME] for name in common if name not in paths.values()]
    if others:
        more = ", …" if len(others) > NAMES else ""
        variable = f"MARQUEE_ROLLUP__FIELDS__{lacking[0].upper()}"
        yield f"the lines have: {', '.join(others[:NAMES])}{more} (say which, as with {variable}=NAME)"
