"""Runs, manifests and markers, which publish a period's result atomically.

A run writes new objects under its own prefix only. Its success marker is its manifest: its inputs, its outputs with
checksums and counts, and its definitions. One conditional write of that marker publishes the run; readers open exactly
the objects that the marker lists. A period is stale when its inputs differ from those in the marker.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from marquee.errors import CorruptLakeError, NewerLakeError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.version import __version__

MARKER_FORMAT = 2
"""Format 1 had no ``cpu_seconds``."""

MARKER_BYTES = 32 << 20
"""Maximum size of a marker: enough for an hour of some 150,000 raw objects."""

LARGEST = 2**53
"""Bound of every number: the largest that all readers of JSON have exactly, and far below a signed 64-bit integer."""

WAY_OUT = "Restore it from a backup, or make its period again with --force; `marquee verify` has the commands"
"""What a user can do about a damaged object."""

Parameters = Mapping[str, Any]
"""Settings that affect the result, as JSON values. The marker contains them, and they count as inputs."""

COUNTED = ("rows_in", "rows_out", "episodes_in", "episodes", "duplicates", "buckets")
"""Counts that are whole numbers in every marker that has them."""


_UNUSUAL = re.compile(r"[0-9]{16}|[0-9][eE]|-[0-9I]|Infinity|NaN")
"""What JSON without negative, infinite and huge numbers does not have."""


def check_time(text: str) -> str:
    """Return a time of a marker; ValueError if it has no offset from UTC."""
    if datetime.fromisoformat(text).utcoffset() is None:
        message = "no UTC offset"
        raise ValueError(message)
    return text


def check_counts(counts: Mapping[str, Any], text: str = "") -> Mapping[str, Any]:
    """Return the counts of a marker; ValueError if one of them is no sane number. ``text`` is their JSON, if known."""
    rejects = counts.get("rejects", {})
    whole = [counts[name] for name in COUNTED if name in counts]
    if not isinstance(rejects, dict) or not all(type(number) is int for number in (*whole, *rejects.values())):
        message = "expected whole numbers of rows, buckets and rejects by reason"
        raise ValueError(message)
    if text and not _UNUSUAL.search(text):  # fast, because counts may hold the offsets of many partitions
        return counts
    if not all(_is_sane(value, 0) for value in (*counts.values(), *rejects.values())):
        message = f"expected numbers from 0 to {LARGEST}"
        raise ValueError(message)
    return counts


def _is_sane(value: object, least: int = -LARGEST) -> bool:
    """Return whether a number, and each number in a list or an object, is finite and not huge."""
    if isinstance(value, int | float):
        return math.isfinite(value) and least <= value <= LARGEST
    if isinstance(value, dict):
        return all(map(_is_sane, value.values()))
    return not isinstance(value, list) or all(map(_is_sane, value))


_Text = Annotated[str, StringConstraints(max_length=1_000_000)]
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_RunId = Annotated[str, StringConstraints(pattern=f"^{RUN_ID.pattern}$")]
_Whole = Annotated[int, Field(ge=0, le=LARGEST)]
_Generation = Annotated[int, Field(ge=1, le=2**31 - 1)]
TIME = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$"
"""Pattern of a time in a marker."""
_Time = Annotated[
    str,
    StringConstraints(pattern=TIME),
    AfterValidator(check_time),
]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Input:
    """One input of a run: a raw object (key, etag, size) or a dataset of an upstream stage (name, digest, size)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    etag: str
    size: _Whole


@dataclass(frozen=True)
class Output:
    """One object that a run wrote: its size in bytes, the SHA-256 of its bytes, and its rows."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    dataset: str
    key: Annotated[str, StringConstraints(max_length=keys.LONGEST)]
    size: _Whole
    sha256: _Digest
    rows: _Whole


class Held(NamedTuple):
    """A dataset of a run, in short: the digest of its content, its bytes and rows, and its number of objects."""

    digest: str
    size: int
    rows: int
    objects: int


class Later(Protocol):
    """The rest of a marker of which only the fields that planning needs are known: see ``marker_index``."""

    made_with: str
    """The settings and the definition of the run, as ``settings_text`` has them."""

    def datasets(self) -> Mapping[str, Held]:
        """Return the run's datasets by name."""

    def other_runs(self) -> tuple[str, ...]:
        """Return the ids of earlier runs of the period that have some of its outputs."""

    def fields(self, name: str) -> Mapping[str, Any]:
        """Return the value of a field, and of those that are known with it."""


LATER = frozenset({"inputs", "outputs", "counts", "started_at", "finished_at"})
"""Fields that a marker may read from its object when somebody asks for them."""


@dataclass(frozen=True)
class Marker:
    """The manifest of a period's published run."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    stage: str
    period: str
    generation: _Generation
    run_id: _RunId
    code_version: _Text
    definition_version: _Text
    parameters: Parameters
    inputs: tuple[Input, ...]
    inputs_digest: Annotated[str, StringConstraints(max_length=200)]
    outputs: tuple[Output, ...]
    counts: Annotated[Mapping[str, Any], AfterValidator(check_counts)]
    started_at: _Time
    finished_at: _Time
    cpu_seconds: Annotated[float, Field(ge=0)] | None = field(default=None, compare=False)
    """CPU time of the run's process and tasks; not part of the result. None in markers of format 1."""
    format: Annotated[int, Field(ge=1, le=MARKER_FORMAT)] = MARKER_FORMAT
    etag: str = field(default="", compare=False)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Return a field that is read when somebody asks for it."""
            later = self.__dict__.get("later")
            if later is None or name not in FIELDS:
                raise AttributeError(name)
            self.__dict__.update(later.fields(name))
            return self.__dict__[name]

    @staticmethod
    def known(fields: Mapping[str, object]) -> "Marker":
        """Return a marker of which only these fields are known; one of them, ``later``, is a ``Later``."""
        marker = object.__new__(Marker)
        marker.__dict__.update(fields)
        return marker

    @property
    def is_partly_known(self) -> bool:
        """Whether inputs and outputs have not been read."""
        return "outputs" not in self.__dict__

    @cached_property
    def datasets(self) -> Mapping[str, Held]:
        """The run's datasets by name."""
        later: Later | None = self.__dict__.get("later")
        if later is not None:
            return later.datasets()
        listed: dict[str, list[Output]] = {}
        # By name in the run: an object of an earlier run is the same content.
        for one in sorted(self.outputs, key=lambda one: keys.name_in_run(one.key)):
            listed.setdefault(one.dataset, []).append(one)
        return {
            name: Held(
                _digest([[keys.name_in_run(one.key), one.sha256] for one in outputs]),
                sum(one.size for one in outputs),
                sum(one.rows for one in outputs),
                len(outputs),
            )
            for name, outputs in listed.items()
        }

    @property
    def other_runs(self) -> tuple[str, ...]:
        """The ids of earlier runs of the period that have some of its outputs, because these did not change."""
        later: Later | None = self.__dict__.get("later")
        if later is not None:
            return later.other_runs()
        runs = {run[2] for one in self.outputs if (run := keys.run_of(one.key))}
        return tuple(sorted(runs - {self.run_id}))

    def is_made_by(self, parameters: Parameters, definition_version: str) -> bool:
        """Return whether the run had these settings and this definition, so that the same inputs give its digest."""
        later: Later | None = self.__dict__.get("later")
        if later is not None:
            return later.made_with == _text_of(parameters, definition_version)
        return self.inputs_digest == digest_inputs(self.inputs, parameters, definition_version)

    def to_json(self) -> bytes:
        """Return the bytes of the marker object, without the etag, which is the store's."""
        listed: dict[str, tuple[Input | Output, ...]] = {"inputs": self.inputs, "outputs": self.outputs}
        fields = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "etag"}
        text = json.dumps(fields | dict.fromkeys(listed, ()), indent=1, sort_keys=True, ensure_ascii=False)
        for name, items in listed.items():
            # No text has a newline, so this is the field itself.
            text = text.replace(f'\n "{name}": []', f'\n "{name}": {_objects_in_json(items)}', 1)
        return text.encode()

    @staticmethod
    def from_json(data: bytes, key: str, etag: str) -> "Marker":
        """Parse a marker object, and check it against its key.

        Raises:
            CorruptLakeError: it is not a valid marker, or not the marker of this key.
            NewerLakeError: a later version of Marquee wrote it.
        """
        try:
            marker = _parse(_for_markers(), data)
            _check_place(marker, key)
            _check_outputs(marker)
        except ValueError as error:
            if (format_ := _format_of(data)) > MARKER_FORMAT:
                message = (
                    f"{key} has format {format_}; this version reads up to {MARKER_FORMAT}. A later version of Marquee "
                    "wrote it, so nothing was changed. Upgrade Marquee"
                )
                raise NewerLakeError(message) from error
            message = f"{key} is not a valid marker: {_first(error)}. {WAY_OUT}"
            raise CorruptLakeError(message) from error
        return dataclasses.replace(marker, etag=etag)

    def of(self, dataset: Dataset) -> list[Output]:
        """Return the outputs of one dataset, in the order of keys."""
        return sorted((one for one in self.outputs if one.dataset == dataset.name), key=lambda one: one.key)

    def held(self, dataset: Dataset) -> Held:
        """Return what this run has of a dataset."""
        return self.datasets.get(dataset.name, NOTHING)

    def rows(self, dataset: Dataset) -> int:
        """Return the number of rows of a dataset of this run."""
        return self.held(dataset).rows

    @property
    def rows_moved(self) -> dict[str, int]:
        """The rows in and out of the run in its stage's units: lines and plays, episodes, or rows of datasets."""
        counts = self.counts
        return {
            "in": counts.get("rows_in", counts.get("episodes_in", 0)),
            "out": counts.get("rows_out", counts.get("episodes", 0)),
        }

    @property
    def bytes_moved(self) -> dict[str, int]:
        """The bytes in and out of the run."""
        return {"in": sum(one.size for one in self.inputs), "out": sum(one.size for one in self.outputs)}

    def as_input(self, dataset: Dataset) -> Input:
        """Return a dataset of this run as an input of a downstream stage. Equal content has an equal digest."""
        held = self.held(dataset)
        return Input(f"{self.stage}/{self.period}/{dataset.name}", held.digest, held.size)


FIELDS = frozenset(one.name for one in dataclasses.fields(Marker))


@dataclass(frozen=True)
class Failure:
    """Why the last run of a period failed. It is in force until a run of its generation succeeds."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    stage: str
    period: str
    run_id: _RunId
    generation: _Generation
    kind: _Text
    exit_code: Annotated[int, Field(ge=1, le=255)]
    reason: _Text
    failed_at: _Time

    def to_json(self) -> bytes:
        """Return the bytes of the failure marker."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()

    @staticmethod
    def from_json(data: bytes, key: str) -> "Failure":
        """Parse a failure marker, and check it against its key; CorruptLakeError if it is not valid."""
        try:
            failure = _parse(_for_failures(), data)
            _check_place(failure, key)
        except ValueError as error:
            message = (
                f"{key} is not a valid failure marker: {_first(error)}. The next run tries the period again and "
                "clears it"
            )
            raise CorruptLakeError(message) from error
        return failure


@dataclass(frozen=True)
class Result:
    """A stage's result for a period: the objects that it wrote, and its counts (rows in, rejects by reason, …).

    ``corrects`` is the marker that the run only corrects: its inputs, settings and definition stay in force.
    """

    outputs: tuple[Output, ...]
    counts: Mapping[str, Any]
    corrects: Marker | None = None


def digest_inputs(inputs: Iterable[Input], parameters: Parameters, definition_version: str) -> str:
    """Return the digest that decides whether a period is stale. The order of the inputs does not matter."""
    listed = _SORTED.encode(sorted([one.name, one.etag, one.size] for one in inputs))
    # The digest of [inputs, settings, definition] as JSON.
    return _digest_text(f"[{listed}, {_text_of(parameters, definition_version)[1:]}")


def settings_text(parameters: Parameters, definition_version: str) -> str:
    """Return settings and a definition as one text: equal texts are equal in the digest of inputs, too."""
    return _SORTED.encode([dict(parameters), definition_version])


_latest: tuple[Parameters, str, str] = {}, "", ""


def _text_of(parameters: Parameters, definition_version: str) -> str:
    """Return the text of settings; of the same object as in the last call, without making it again."""
    global _latest  # noqa: PLW0603 - a cache of one entry
    known, definition, text = _latest
    if known is not parameters or definition != definition_version:
        text = settings_text(parameters, definition_version)
        _latest = parameters, definition_version, text
    return text


def now_text(now: datetime) -> str:
    """Return an instant in the format of markers."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds")


def code_version() -> str:
    """Return the version of the code for markers."""
    return __version__


_ENCODER = json.JSONEncoder(ensure_ascii=False)
_SORTED = json.JSONEncoder(ensure_ascii=False, sort_keys=True)


def _digest(value: object) -> str:
    return _digest_text(_SORTED.encode(value))


def _digest_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NOTHING = Held(_digest([]), 0, 0, 0)
"""A dataset without objects."""


def _objects_in_json(items: Sequence[Input | Output]) -> str:
    """Return a list of a marker as json.dumps does with an indent: that is slow, and an hour may have 10,000 files."""
    if not items:
        return "[]"
    names = sorted(vars(items[0]))
    form = "  {\n" + ",\n".join(f'   "{name}": %s' for name in names) + "\n  }"
    encode = _ENCODER.encode
    return "[\n" + ",\n".join([form % tuple(encode(vars(one)[name]) for name in names) for one in items]) + "\n ]"


M = TypeVar("M", Marker, Failure)


@cache
def _for_markers() -> TypeAdapter[Marker]:
    return TypeAdapter(Marker)


@cache
def _for_failures() -> TypeAdapter[Failure]:
    return TypeAdapter(Failure)


def _parse(adapter: TypeAdapter[M], data: bytes) -> M:
    if len(data) > MARKER_BYTES:
        message = f"it has {len(data)} bytes, at most {MARKER_BYTES} are expected"
        raise ValueError(message)
    return adapter.validate_json(data)


def _format_of(data: bytes) -> int:
    """Return the format that an object claims to have; 0 if it claims none."""
    try:
        claimed = TypeAdapter(dict[str, Any]).validate_json(data).get("format")
    except ValidationError:
        return 0
    return claimed if type(claimed) is int else 0


def _check_place(marker: Marker | Failure, key: str) -> None:
    if [marker.stage, marker.period] != (parts := key.split("/"))[1:3]:
        message = f"it is of {marker.stage!r:.100} {marker.period!r:.100}, its key of {'/'.join(parts[1:3])}"
        raise ValueError(message)


_FILE = re.compile(r"(?P<dataset>[a-z0-9_]+)(?:\.parquet|/(?:bucket=\d{4,9}\.parquet|[A-Za-z0-9_=-]+\.json))")


def _check_outputs(marker: Marker) -> None:
    """Check that each output is a file of its dataset, once, under a run of the marker's own stage and period."""
    runs = f"data/{marker.stage}/{marker.period}/run="
    for one in marker.outputs:
        run, _, name = one.key.removeprefix(runs).partition("/")
        file = _FILE.fullmatch(name)
        known = one.key.startswith(runs) and RUN_ID.fullmatch(run) and file and file["dataset"] == one.dataset
        if not known:
            message = f"output {one.key!r:.200} is not a file of {one.dataset!r:.100} under {runs}…/"
            raise ValueError(message)
    if len({one.key for one in marker.outputs}) < len(marker.outputs):
        message = "an output is listed twice"
        raise ValueError(message)


def _first(error: ValueError) -> str:
    """Return the first problem in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    (first, *_) = error.errors(include_url=False, include_context=False)
    where = ".".join(map(str, first["loc"]))
    found = "" if isinstance(first["input"], bytes | dict | list) else f", found {first['input']!r:.100}"
    return f"{where}: {first['msg']}{found}" if where else first["msg"]
