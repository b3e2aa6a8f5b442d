"""Runs, manifests and markers, which publish a period's result atomically.

A run writes new objects under its own prefix only. Its success marker is its manifest: its inputs, its outputs with
checksums and counts, and its definitions. One conditional write of that marker publishes the run; readers open exactly
the objects that the marker lists. A period is stale when its inputs differ from those in the marker.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from marquee.calendar import Period
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.version import __version__

MARKER_FORMAT = 2
"""Format 1 had no ``cpu_seconds``."""

Parameters = Mapping[str, Any]
"""Settings that affect the result, as JSON values. The marker contains them, and they count as inputs."""


@dataclass(frozen=True)
class Input:
    """One input of a run: a raw object (key, etag, size) or a dataset of an upstream stage (name, digest, size)."""

    name: str
    etag: str
    size: int


@dataclass(frozen=True)
class Output:
    """One object that a run wrote: its size in bytes, the SHA-256 of its bytes, and its rows."""

    dataset: str
    key: str
    size: int
    sha256: str
    rows: int


@dataclass(frozen=True)
class Marker:
    """The manifest of a period's published run."""

    stage: str
    period: str
    generation: int
    run_id: str
    code_version: str
    definition_version: str
    parameters: Parameters
    inputs: tuple[Input, ...]
    inputs_digest: str
    outputs: tuple[Output, ...]
    counts: Mapping[str, Any]
    started_at: str
    finished_at: str
    cpu_seconds: float | None = field(default=None, compare=False)
    """CPU time of the run's process and tasks; not part of the result. None in markers of format 1."""
    format: int = MARKER_FORMAT
    etag: str = field(default="", compare=False)

    def to_json(self) -> bytes:
        """Return the bytes of the marker object, without the etag, which is the store's."""
        fields = dataclasses.asdict(self)
        del fields["etag"]
        return json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str, etag: str) -> "Marker":
        """Parse a marker object; CorruptLakeError if it is not a marker, or of a newer format."""
        try:
            fields = json.loads(data)
            if fields["format"] > MARKER_FORMAT:
                message = (
                    f"{key} has format {fields['format']}; this version reads up to {MARKER_FORMAT}. Upgrade Marquee"
                )
                raise CorruptLakeError(message)
            fields["inputs"] = tuple(Input(**one) for one in fields["inputs"])
            fields["outputs"] = tuple(Output(**one) for one in fields["outputs"])
            return cls(**fields, etag=etag)
        except (ValueError, KeyError, TypeError) as error:
            message = f"{key} is not a valid marker: {error}. Delete it; the next run makes the period again"
            raise CorruptLakeError(message) from error

    def of(self, dataset: Dataset) -> list[Output]:
        """Return the outputs of one dataset, in the order of keys."""
        return sorted((one for one in self.outputs if one.dataset == dataset.name), key=lambda one: one.key)

    def rows(self, dataset: Dataset) -> int:
        """Return the number of rows of a dataset of this run."""
        return sum(one.rows for one in self.of(dataset))

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
        outputs = self.of(dataset)
        prefix = keys.run_prefix(self.stage, Period.parse(self.period), self.run_id)
        content = [[one.key.removeprefix(prefix), one.sha256] for one in outputs]
        return Input(f"{self.stage}/{self.period}/{dataset.name}", _digest(content), sum(one.size for one in outputs))


@dataclass(frozen=True)
class Failure:
    """Why the last run of a period failed. It is in force until a run of its generation succeeds."""

    stage: str
    period: str
    run_id: str
    generation: int
    kind: str
    exit_code: int
    reason: str
    failed_at: str

    def to_json(self) -> bytes:
        """Return the bytes of the failure marker."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str) -> "Failure":
        """Parse a failure marker; CorruptLakeError if it is not a failure marker."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as error:
            message = f"{key} is not a valid failure marker: {error}. Delete it; the next run tries the period again"
            raise CorruptLakeError(message) from error


@dataclass(frozen=True)
class Result:
    """A stage's result for a period: the objects that it wrote, and its counts (rows in, rejects by reason, …)."""

    outputs: tuple[Output, ...]
    counts: Mapping[str, Any]


def digest_inputs(inputs: Iterable[Input], parameters: Parameters, definition_version: str) -> str:
    """Return the digest that decides whether a period is stale. The order of the inputs does not matter."""
    listed = sorted([one.name, one.etag, one.size] for one in inputs)
    return _digest([listed, dict(parameters), definition_version])


def now_text(now: datetime) -> str:
    """Return an instant in the format of markers."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds")


def code_version() -> str:
    """Return the version of the code for markers."""
    return __version__


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
