"""Runs, manifests, markers: how a period's result comes to stand, all at once or not at all.

A run writes new objects under its own prefix and nothing else. Its success marker is its manifest: what it read, what
it wrote with checksums and counts, and by which definitions. Publishing the run is one conditional write of that
marker; readers open exactly what the marker lists. A period is stale when its inputs are no longer those of the marker.
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
"""1 had no ``cpu_seconds``."""

Parameters = Mapping[str, Any]
"""Settings that decide the result, as JSON values; they stand in the marker and count as inputs."""


@dataclass(frozen=True)
class Input:
    """One thing a run read: a raw object (key, etag, size) or a dataset of a stage upstream (name, digest, size)."""

    name: str
    etag: str
    size: int


@dataclass(frozen=True)
class Output:
    """One object a run wrote, with the SHA-256 of its bytes."""

    dataset: str
    key: str
    size: int
    sha256: str
    rows: int


@dataclass(frozen=True)
class Marker:
    """The manifest of the run that stands for a period."""

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
        """Return the bytes of the marker object; the etag is the store's, not the marker's."""
        fields = dataclasses.asdict(self)
        del fields["etag"]
        return json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str, etag: str) -> "Marker":
        """Read a marker object; CorruptLakeError names it when it is none, or of a newer format."""
        try:
            fields = json.loads(data)
            if fields["format"] > MARKER_FORMAT:
                message = (
                    f"{key} has format {fields['format']}, this version reads up to {MARKER_FORMAT}: upgrade Marquee"
                )
                raise CorruptLakeError(message)
            fields["inputs"] = tuple(Input(**one) for one in fields["inputs"])
            fields["outputs"] = tuple(Output(**one) for one in fields["outputs"])
            return cls(**fields, etag=etag)
        except (ValueError, KeyError, TypeError) as error:
            message = f"{key} is no marker: {error}: delete it to have the period made again"
            raise CorruptLakeError(message) from error

    def of(self, dataset: Dataset) -> list[Output]:
        """Return the outputs of one dataset, in the order of keys."""
        return sorted((one for one in self.outputs if one.dataset == dataset.name), key=lambda one: one.key)

    def rows(self, dataset: Dataset) -> int:
        """Return how many rows a dataset of this run has."""
        return sum(one.rows for one in self.of(dataset))

    @property
    def rows_moved(self) -> dict[str, int]:
        """The rows in and out of the run, as its stage counts them: lines and plays, episodes, or rows of datasets."""
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
        """Return a dataset of this run as an input downstream: the same content has the same digest in any run."""
        outputs = self.of(dataset)
        prefix = keys.run_prefix(self.stage, Period.parse(self.period), self.run_id)
        content = [[one.key.removeprefix(prefix), one.sha256] for one in outputs]
        return Input(f"{self.stage}/{self.period}/{dataset.name}", _digest(content), sum(one.size for one in outputs))


@dataclass(frozen=True)
class Failure:
    """Why the last run of a period failed. In force until a success of its generation."""

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
        """Read a failure marker; CorruptLakeError names it when it is none."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as error:
            message = f"{key} is no failure marker: {error}: delete it to have the period tried again"
            raise CorruptLakeError(message) from error


@dataclass(frozen=True)
class Result:
    """What a stage made of a period: the objects it wrote, and its counts (rows in, rejects by reason, …)."""

    outputs: tuple[Output, ...]
    counts: Mapping[str, Any]


def digest_inputs(inputs: Iterable[Input], parameters: Parameters, definition_version: str) -> str:
    """Return the digest by which staleness is judged; the order of the inputs does not count."""
    listed = sorted([one.name, one.etag, one.size] for one in inputs)
    return _digest([listed, dict(parameters), definition_version])


def now_text(now: datetime) -> str:
    """Return an instant as markers hold it."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds")


def code_version() -> str:
    """Return the version of the code, as markers hold it."""
    return __version__


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
