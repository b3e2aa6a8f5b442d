"""The index of a stage's markers: a cache that spares reading them, one request each.

    markers/<stage>/_INDEX                 what planning needs of the markers, by their version in a listing

The index is never believed by itself. The listing of the markers decides: a line of the index counts only if the object
has the version of the line. A marker that is new, has changed, or is not in the index is read. So any part of the index
may be lost, stale or of another run: at worst markers are read again. A run that had to read ``WORTH`` markers writes
the index anew; of two writers, the last one wins.

The object is compressed by zlib, which also detects a torn one. It has a line of JSON with the settings and definitions
of all markers, then a line for each marker with tabs between its values. Its start has what planning compares; two
values in JSON are read when somebody asks for them. Inputs and outputs are in the marker alone.
"""

import json
import logging
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from marquee.calendar import Period
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.manifest import (
    LARGEST,
    LATER,
    MARKER_FORMAT,
    RUN_ID,
    TIME,
    Failure,
    Held,
    Marker,
    check_counts,
    check_time,
    digest_inputs,
    settings_text,
)
from marquee.storage.base import ObjectInfo, Store

log = logging.getLogger(__name__)

FORMAT = b"marquee markers 1"
WORTH = 32
"""Number of markers read one by one that is worth a new index."""
MOST_BYTES = 256 << 20
"""Maximum size of an index, compressed or not: enough for some 300,000 hours."""
MOST_COUNTS = 4 << 10
"""Maximum bytes of the counts of a marker in the index; longer ones, of many Kafka partitions, stay in the marker."""
STEP_NS = 2_000_000_000
"""Longest step of a file system's clock. A marker that changed so shortly before the index may have changed again."""

Body = Callable[[Period, str], Marker]
"""Reads the marker of a period and run from its object."""

_TIME = re.compile(TIME)
_LINE = re.compile(
    rf"({RUN_ID.pattern})\t([1-9][0-9]{{0,8}})\t([0-9]+)\t([0-9]+)\t([0-9a-f]{{64}})\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)"
)
_HELD = r'"[a-z0-9_]+": \["[0-9a-f]{64}", [0-9]{1,15}, [0-9]{1,15}, [0-9]{1,15}\]'
_DATASETS = re.compile(rf"\{{(?:{_HELD}(?:, {_HELD})*)?\}}")


class _Values(NamedTuple):
    """A marker's line, in its order. The last three are JSON; ``cold`` has its times, and the ids of earlier runs."""

    run_id: str
    generation: str
    format: str
    kind: str
    inputs_digest: str
    cpu_seconds: str
    datasets: str
    cold: str
    counts: str


class Index:
    """The lines of an index by key, and the kinds of markers in it: their settings, definition and code version."""

    def __init__(self) -> None:
        self.lines: dict[str, tuple[str, str]] = {}
        """The version of each object, and the rest of its line."""
        self.kinds: list[Kind] = []
        self._numbers: dict[str, int] = {}

    def add(self, info: ObjectInfo, one: Marker | Failure) -> bool:
        """Add the marker of an object; return whether it belongs in the index."""
        line = _failure_line(one) if isinstance(one, Failure) else self._line(one)
        if line is not None:
            self.lines[info.key] = info.version, line
        return line is not None

    def line(self, info: ObjectInfo) -> str | None:
        """Return the line of an object, if it is of this version of the object."""
        found = self.lines.get(info.key)
        return found[1] if found and found[0] == info.version else None

    def _line(self, one: Marker) -> str | None:
        if one.inputs_digest != digest_inputs(one.inputs, one.parameters, one.definition_version):
            return None  # its inputs are not those of its digest: `marquee verify` says so
        counts = json.dumps(one.counts, ensure_ascii=False)
        values = _Values(
            run_id=one.run_id,
            generation=str(one.generation),
            format=str(one.format),
            kind=str(self._number_of(one)),
            inputs_digest=one.inputs_digest,
            cpu_seconds="" if one.cpu_seconds is None else repr(one.cpu_seconds),
            datasets=json.dumps(one.datasets),
            cold=json.dumps([one.started_at, one.finished_at, one.other_runs], ensure_ascii=False),
            counts=counts if len(counts) <= MOST_COUNTS else "",
        )
        return "\t".join(values)

    def _number_of(self, one: Marker) -> int:
        kind = Kind(dict(one.parameters), one.definition_version, one.code_version)
        if len(self._numbers) < len(self.kinds):
            self._numbers = {known.key: number for number, known in enumerate(self.kinds)}
        if kind.key not in self._numbers:
            self._numbers[kind.key] = len(self.kinds)
            self.kinds.append(kind)
        return self._numbers[kind.key]


class Kind:
    """What many markers have in common: the settings and the definition of their runs, and the version of the code."""

    def __init__(self, parameters: Mapping[str, Any], definition_version: str, code_version: str) -> None:
        if not isinstance(parameters, dict) or type(definition_version) is not str or type(code_version) is not str:
            message = "expected settings and versions"
            raise TypeError(message)
        self.parameters, self.definition_version, self.code_version = parameters, definition_version, code_version
        self.text = settings_text(parameters, definition_version)

    @property
    def key(self) -> str:
        """Text that tells it from other kinds."""
        return json.dumps([self.text, self.code_version])

    def to_json(self) -> list[object]:
        """Return it as JSON values."""
        return [self.parameters, self.definition_version, self.code_version]


def read_index(store: Store, info: ObjectInfo) -> Index:
    """Return the index of a listed object; an empty one, with a line in the log, if it is damaged."""
    try:
        return _parse(_inflated(store, info), info)
    except (ValueError, TypeError, zlib.error, RecursionError) as error:
        log.warning("%s is no index of markers: %s. The markers are read one by one", info.key, error)
        return Index()


def _inflated(store: Store, info: ObjectInfo) -> bytes:
    if info.size > MOST_BYTES:
        message = f"it has {info.size} bytes, at most {MOST_BYTES} are expected"
        raise ValueError(message)
    inflate = zlib.decompressobj()
    text = inflate.decompress(store.get(info.key), MOST_BYTES)
    if not inflate.eof or inflate.unused_data:
        message = "it is torn, or too long"
        raise ValueError(message)
    return text


def _parse(text: bytes, info: ObjectInfo) -> Index:
    form, _, rest = text.partition(b"\n")
    if form != FORMAT:
        message = f"it begins with {form[:40]!r}, expected {FORMAT!r}"
        raise ValueError(message)
    kinds, _, lines = rest.decode().partition("\n")
    index = Index()
    index.kinds = [Kind(*one) for one in json.loads(kinds)]
    folder = info.key.rpartition("/")[0]
    settled_ns = info.changed_ns - STEP_NS
    for name, version, changed, value in (line.split("\t", 3) for line in lines.split("\n") if line):
        # What changed so shortly before the index was written may have changed again without another version.
        if version and (changed == "0" or int(changed) < settled_ns):
            index.lines[f"{folder}/{name}"] = version, value
    return index


def write_index(store: Store, stage: str, index: Index, listed: Iterable[ObjectInfo]) -> None:
    """Replace the index object of a stage by the lines of the listed objects."""
    prefix = keys.markers_prefix(stage)
    text = [FORMAT.decode(), json.dumps([one.to_json() for one in index.kinds], ensure_ascii=False)]
    text += [
        f"{info.key.removeprefix(prefix)}\t{info.version}\t{info.changed_ns}\t{line}"
        for info in listed
        if (line := index.line(info)) is not None
    ]
    store.put(keys.index_key(stage), zlib.compress("\n".join(text).encode(), 1), durable=False)


def _failure_line(one: Failure) -> str | None:
    if not one.run_id:  # it stands for a damaged marker
        return None
    return json.dumps(json.loads(one.to_json()), ensure_ascii=False)


def marker_in(
    line: str, kinds: Sequence[Kind], stage: str, period: Period, etag: str, body: Body
) -> Marker | Failure | None:
    """Return the marker of a line; None if the line is not valid."""
    values = _LINE.fullmatch(line)
    if values is None:
        try:
            return Failure.from_json(line.encode(), keys.failed_key(stage, period))
        except CorruptLakeError:
            return None
    form, number, cpu = values.group(3, 4, 6)
    try:
        kind = kinds[int(number)]
        seconds = float(cpu) if cpu else None
        if not 1 <= int(form) <= MARKER_FORMAT or not (seconds is None or 0 <= seconds <= LARGEST):
            return None
    except (ValueError, IndexError):
        return None
    later = _Later(kind, line, period, body)
    # What planning asks of every marker. The rest is taken from the line when somebody asks: a lake has many markers.
    fields = {"stage": stage, "parameters": kind.parameters, "cpu_seconds": seconds, "etag": etag, "later": later}
    return Marker.known(fields if int(form) == MARKER_FORMAT else {**fields, "format": int(form)})


class _Later:
    """A line, taken apart when somebody asks. Where its JSON is not valid, and for the rest, the marker is read."""

    __slots__ = ("_body", "_kind", "_line", "_period", "made_with")

    def __init__(self, kind: Kind, line: str, period: Period, body: Body) -> None:
        self.made_with = kind.text
        self._kind, self._line, self._period, self._body = kind, line, period, body

    def datasets(self) -> Mapping[str, Held]:
        """Return the run's datasets by name."""
        datasets = self._values.datasets
        if _DATASETS.fullmatch(datasets):
            return {name: Held(*one) for name, one in json.loads(datasets).items()}
        return self._read().datasets

    def other_runs(self) -> tuple[str, ...]:
        """Return the ids of earlier runs of the period that have some of its outputs."""
        try:
            _, _, runs = json.loads(self._values.cold)
            if isinstance(runs, list) and all(map(RUN_ID.fullmatch, runs)):
                return tuple(runs)
        except (ValueError, TypeError, RecursionError):
            pass
        return self._read().other_runs

    def fields(self, name: str) -> Mapping[str, Any]:
        """Return the value of a field, and of those that are known with it."""
        if name == "period":
            return {"period": str(self._period)}
        if name not in LATER:
            return self._start()
        known = self._known_counts() if name == "counts" else self._known_times() if name.endswith("_at") else {}
        if known:
            return known
        body = self._read()
        return {name: getattr(body, name) for name in LATER}

    def _start(self) -> dict[str, Any]:
        values = self._values
        return {
            "generation": int(values.generation),
            "run_id": values.run_id,
            "code_version": self._kind.code_version,
            "definition_version": self._kind.definition_version,
            "inputs_digest": values.inputs_digest,
        }

    @property
    def _values(self) -> _Values:
        return _Values(*self._line.split("\t"))

    def _read(self) -> Marker:
        return self._body(self._period, self._values.run_id)

    def _known_counts(self) -> dict[str, Any]:
        try:
            counts = self._values.counts
            return {"counts": check_counts(json.loads(counts), counts)} if counts else {}
        except (ValueError, TypeError, AttributeError, RecursionError):
            return {}

    def _known_times(self) -> dict[str, Any]:
        try:
            started, finished, _ = json.loads(self._values.cold)
            valid = all(_TIME.fullmatch(one) and check_time(one) for one in (started, finished))
        except (ValueError, TypeError, RecursionError):
            return {}
        return {"started_at": started, "finished_at": finished} if valid else {}
