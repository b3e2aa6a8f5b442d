"""Validates a sample of the raw events: the number of plays, the reasons of rejects, and missing fields.

The findings show names of fields, never values. They show only names that many lines have, because a producer may use
an id as a name.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from jobs.cli.preflight.findings import Finding, Verdict, failures
from jobs.rollup.contract import Event, Fields, Window, names_in, path_of, steps, validate
from jobs.rollup.lines import read_blocks
from jobs.rollup.settings import RollupOptions, RollupSettings
from marquee.calendar import Period
from marquee.errors import BadInputError, in_words
from marquee.storage.base import ObjectInfo, Store

OBJECTS = 3
LINES = 300
"""Maximum number of lines to read from an object."""
MOST_BYTES = 32 << 20
"""Maximum size of an object to fetch."""
COMMON_SHARE = 0.1
"""Least share of the lines that have a name, for the name to be shown."""
NAMES = 12
LONGEST_NAME = 60
AHEAD = timedelta(minutes=1)
"""Time by which an event may be in the future before a clock counts as wrong."""


@dataclass
class Sample:
    """Counts of a sample of lines from the newest hours.

    ``names`` counts the lines with each field name, ``named`` the lines with any.
    """

    objects: int = 0
    lines: int = 0
    named: int = 0
    plays: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    latest: datetime = datetime.min  # noqa: DTZ901 - as events have it: UTC without a zone

    def add(self, line: bytes, fields: Fields, window: Window) -> None:
        """Validate a line and count the result."""
        self.lines += 1
        names = names_in(line)
        self.named += bool(names)
        self.names.update(names)
        validated = validate(line, fields, window)
        if isinstance(validated, Event):
            self.plays += 1
            self.latest = max(self.latest, validated.received_at)
        else:
            self.rejects[validated.value] += 1


def validate_events(
    settings: RollupSettings, store: Store, hours: Mapping[Period, Sequence[ObjectInfo]]
) -> Iterator[Finding]:
    """Validate a sample of lines from one object of each of the newest hours."""
    options = settings.rollup
    try:
        sample = read_sample(options, store, hours)
    except BadInputError as error:  # a damaged object
        yield from failures("event contract", error)
        return
    if not sample.lines:
        words = f"not checked: all objects of the newest hours are empty or larger than {MOST_BYTES >> 20} MiB"
        yield Finding("event contract", Verdict.WEAK, words)
        return
    yield _contract_finding(options, sample)
    ahead = sample.latest - datetime.now(UTC).replace(tzinfo=None)
    if sample.plays and ahead > AHEAD:
        words = (
            f"received_at is up to {ahead // timedelta(minutes=1):,} minutes in the future. Set the clock of the "
            "producer, or of this machine"
        )
        yield Finding("event times", Verdict.WEAK, words)


def read_sample(options: RollupOptions, store: Store, hours: Mapping[Period, Sequence[ObjectInfo]]) -> Sample:
    """Return a sample: the first lines of the smallest object of each of the newest hours."""
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


def _contract_finding(options: RollupOptions, sample: Sample) -> Finding:
    rejected = sample.rejects.total()
    words = f"{sample.plays} of {sample.lines} lines in {sample.objects} objects of the newest hours are plays"
    if not rejected:
        return Finding("event contract", Verdict.OK, words)
    words += f", {rejected} are rejected ({in_words(sample.rejects)})"
    words += "".join(f"; {one}" for one in _missing(options, sample))
    if sample.plays and rejected <= options.reject_share * sample.lines:
        return Finding("event contract", Verdict.OK, words)
    if sample.plays and rejected <= options.reject_lines:
        words += (
            f"; an hour fails if it has more than {options.reject_lines} rejected lines, and more than "
            f"{options.reject_share:.1%} of its lines"
        )
        return Finding("event contract", Verdict.WEAK, words)
    return Finding("event contract", Verdict.FAILED, words, BadInputError.exit_code)


def _missing(options: RollupOptions, sample: Sample) -> Iterator[str]:
    """Yield the fields that lines lack, and the names that the lines have instead."""
    paths = {name: path_of(steps(path)) for name, path in options.fields.model_dump().items()}
    lacking = [name for name, path in paths.items() if sample.names[path] < sample.named]
    if not lacking:
        return
    by_lines: dict[int, list[str]] = defaultdict(list)
    for name in lacking:
        known_as = "" if paths[name] == name else f" as {paths[name]}"
        by_lines[sample.named - sample.names[paths[name]]].append(f"{name}{known_as}")
    yield from (f"not found in {lines} lines: {', '.join(names)}" for lines, names in sorted(by_lines.items()))
    common = sorted(name for name, count in sample.names.items() if count >= COMMON_SHARE * sample.lines)
    others = [_shortened(name) for name in common if name not in paths.values()]
    if others:
        more = ", …" if len(others) > NAMES else ""
        variable = f"MARQUEE_ROLLUP__FIELDS__{lacking[0].upper()}"
        yield f"the lines have: {', '.join(others[:NAMES])}{more}. Map the fields, for example {variable}=NAME"


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
