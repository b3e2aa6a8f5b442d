"""Runs, manifests, markers: how a period's result comes to stand, all at once or not at all.

A run writes new objects under its own prefix and nothing else. Its success marker is its manifest: what it read, what
it wrote with checksums and counts, and by which definitions. Publishing the run is one conditional write of that
marker; readers open exactly what the marker lists. A period is stale when its inputs are no longer those of the marker.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from marquee import __version__
from marquee.calendar import Period
from marquee.errors import CorruptLakeError, LostRaceError, MarqueeError, describe_foreign
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.parquet import ROWS_A_GROUP, Rows, count_rows, from_parquet, to_parquet
from marquee.storage.base import ObjectInfo, ObjectNotFoundError, PreconditionError, Store, in_parallel

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


def write_output(store: Store, prefix: str, dataset: Dataset, rows: Rows, bucket: int | None = None) -> Output:
    """Write one file of a dataset under a run's prefix."""
    name = keys.table_file(dataset.name) if bucket is None else keys.bucket_file(dataset.name, bucket)
    data = to_parquet(rows, dataset)
    return write_bytes(store, prefix + name, dataset.name, data, count_rows(data))


def write_bytes(store: Store, key: str, dataset: str, data: bytes, rows: int) -> Output:
    """Write one object of a run."""
    store.put(key, data)
    return Output(dataset, key, len(data), hashlib.sha256(data).hexdigest(), rows)


def read_bytes(store: Store, output: Output) -> bytes:
    """Return an object that a marker lists; CorruptLakeError if it is not what the marker says."""
    with _listed(store, output):
        data = store.get(output.key)
    _check(store, output, len(data), hashlib.sha256(data).hexdigest())
    return data


def fetch_output(store: Store, output: Output, scratch: Path) -> Path:
    """Return a local file of an object that a marker lists, checked: for what is too large to be held in memory."""
    with _listed(store, output):
        path = store.fetch(output.key, scratch)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    _check(store, output, path.stat().st_size, found)
    return path


def read_output(store: Store, output: Output) -> pa.Table:
    """Return the rows of a Parquet object that a marker lists, checked, their number too."""
    table = from_parquet(read_bytes(store, output))
    _check_rows(store, output, table.num_rows)
    return table


def read_fetched(store: Store, output: Output, path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet object that ``fetch_output`` has brought here, a row group at a time."""
    with pq.ParquetFile(path) as file:
        _check_rows(store, output, file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
            yield pa.Table.from_batches([batch])


@contextmanager
def _listed(store: Store, output: Output) -> Iterator[None]:
    try:
        yield
    except ObjectNotFoundError as error:
        message = f"{store.url}/{output.key} is gone, but its manifest lists it: run its period again with --force"
        raise CorruptLakeError(message) from error


def _check(store: Store, output: Output, size: int, sha256: str) -> None:
    if (size, sha256) != (output.size, output.sha256):
        message = (
            f"{store.url}/{output.key} is damaged: its manifest says {output.size} bytes with SHA-256 {output.sha256}, "
            f"found {size} bytes with {sha256}: run its period again with --force"
        )
        raise CorruptLakeError(message)


def _check_rows(store: Store, output: Output, rows: int) -> None:
    if rows != output.rows:
        message = (
            f"{store.url}/{output.key}: its manifest says {output.rows} rows, found {rows}: "
            "run its period again with --force"
        )
        raise CorruptLakeError(message)


def publish(store: Store, marker: Marker, previous: Marker | None) -> Marker:
    """Make a run stand by one conditional write, and clear the failure. LostRaceError if another run came first."""
    period = Period.parse(marker.period)
    key = keys.success_key(marker.stage, period)
    data = marker.to_json()
    try:
        put = store.put_if_absent if previous is None else partial(store.put_if_unchanged, etag=previous.etag)
        info = put(key, data)
        published = dataclasses.replace(marker, etag=info.etag)
    except PreconditionError as error:
        # The write may have landed although its answer was lost, and the client's own retry found it: then we won.
        standing = read_marker(store, marker.stage, period)
        if standing is None or standing.run_id != marker.run_id:
            winner = f"run {standing.run_id}, generation {standing.generation}" if standing else "another run"
            message = f"{marker.stage} {period}: {winner} was published during run {marker.run_id}; its result stands"
            raise LostRaceError(message) from error
        published = standing
    store.delete(keys.failed_key(marker.stage, period))
    return published


def read_marker(store: Store, stage: str, period: Period) -> Marker | None:
    """Return a period's marker, None if it has none."""
    key = keys.success_key(stage, period)
    info = store.head(key)
    # The etag is taken before the body: were the marker replaced in between, a conditional write only fails.
    return Marker.from_json(store.get(key), key, info.etag) if info else None


def now_text(now: datetime) -> str:
    """Return an instant as markers hold it."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds")


def code_version() -> str:
    """Return the version of the code, as markers hold it."""
    return __version__


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Markers:
    """The markers of a lake as one process sees them: read once a stage, and kept up with its own publishing.

    What lives on beside others that publish calls ``refresh``.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._success: dict[str, dict[Period, Marker]] = {}
        self._failed: dict[str, dict[Period, Failure]] = {}
        self._etags: dict[str, dict[str, str]] = {}
        """By stage and key, as they were listed when they were read."""

    def of(self, stage: str) -> dict[Period, Marker]:
        """Return the success markers of a stage by period."""
        self._load(stage)
        return self._success[stage]

    def failures(self, stage: str) -> dict[Period, Failure]:
        """Return the failures in force of a stage by period: those that no later success has settled."""
        self._load(stage)
        return {
            period: failure
            for period, failure in self._failed[stage].items()
            if (marker := self._success[stage].get(period)) is None or marker.generation < failure.generation
        }

    def settled(self, stage: str) -> dict[Period, Failure]:
        """Return the failures that a success has settled, yet left there: its run was killed before it cleared them."""
        in_force = self.failures(stage)
        return {period: failure for period, failure in self._failed[stage].items() if period not in in_force}

    def note(self, marker: Marker) -> None:
        """Take up a marker that this process has just published, and the failure marker cleared."""
        period = Period.parse(marker.period)
        self.of(marker.stage)[period] = marker
        self._failed[marker.stage].pop(period, None)

    def forget(self, stage: str) -> None:
        """Read the stage anew when it is asked for next: another process has published there."""
        self._success.pop(stage, None)
        self._failed.pop(stage, None)

    def note_failure(self, failure: Failure) -> None:
        """Take up a failure that this process has just written."""
        self._load(failure.stage)
        self._failed[failure.stage][Period.parse(failure.period)] = failure

    def settle(self, stage: str, period: Period) -> None:
        """Clear a period's failure: what failed then has been done since."""
        self._load(stage)
        self.store.delete(keys.failed_key(stage, period))
        self._failed[stage].pop(period, None)

    def refresh(self, stage: str) -> None:
        """List the markers of a stage, and read those that have come, or changed, since they were last read."""
        kept: Mapping[str, Mapping[Period, Any]] = {
            keys.SUCCESS: self._success.get(stage, {}),
            keys.FAILED: self._failed.get(stage, {}),
        }
        read = self._etags.get(stage, {})
        listed = list(keys.list_markers(self.store, stage))
        changed = [info for period, name, info in listed if period not in kept[name] or read.get(info.key) != info.etag]
        got = in_parallel(self.store, lambda info: self._body(info.key), changed)
        bodies = dict(zip((info.key for info in changed), got, strict=True))
        success: dict[Period, Marker] = {}
        failed: dict[Period, Failure] = {}
        for period, name, info in listed:
            of: dict[Period, Any] = success if name == keys.SUCCESS else failed
            if info.key not in bodies:
                of[period] = kept[name][period]
            elif (body := bodies[info.key]) is not None:
                of[period] = _read_marker(name, body, info)
        # At the very end: after an error halfway, the stage is not taken for one that has been read.
        self._success[stage], self._failed[stage] = success, failed
        self._etags[stage] = {info.key: info.etag for *_, info in listed}

    def _load(self, stage: str) -> None:
        if stage not in self._success:
            self.refresh(stage)

    def _body(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except ObjectNotFoundError:  # another run has cleared its failure since the listing
            return None


def _read_marker(name: str, body: bytes, info: ObjectInfo) -> Marker | Failure:
    if name == keys.SUCCESS:
        return Marker.from_json(body, info.key, info.etag)
    return Failure.from_json(body, info.key)


def failure_of(error: Exception, stage: str, period: Period, run_id: str, generation: int, now: datetime) -> Failure:
    """Describe a failed run. Of an error that is not ours only the class and the place: its text may hold data."""
    if isinstance(error, MarqueeError):
        kind, code, reason = error.kind, error.exit_code, str(error)
    else:
        kind, code, reason = MarqueeError.kind, MarqueeError.exit_code, describe_foreign(error)
    return Failure(stage, str(period), run_id, generation, kind, code, reason, now_text(now))
