"""Play events as lines, raw stores of them, and the rollup of these stores in fresh processes."""

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from jobs.rollup.settings import RollupOptions, RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import EVER, Period, Span, hour
from marquee.engine.base import Engine
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.lake import keys
from marquee.lake.datasets import REJECTS, VIEWER_HOUR, VIEWERSHIP
from marquee.lake.files import read_output
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.runs.stage import Report, run_stage
from marquee.settings.sections import S3Settings
from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from tests.oracle.rollup import Rolled, roll_up

HOUR = hour("2026-01-05T13")
SECRET = "a key that only tests have"
BUCKETS = 3
NEXT_DAY = datetime(2026, 1, 6, 12, tzinfo=UTC)
COUNTS = ("rows_in", "rows_out", "duplicates", "rejects")
"""The counts of lines in a marker."""
GONE: Any = object()
"""In place of a value: the field is missing."""

ENGINE = LocalEngine(EngineOptions(workers=2, memory_mb=256))


def play(**changes: Any) -> dict[str, Any]:
    """Return a valid play event of HOUR with other values of some fields, at any depth."""
    record: dict[str, Any] = {
        "event_id": "e1",
        "received_at": "2026-01-05T13:02:11.123Z",
        "event": {
            "user_id": "u1",
            "episode_id": 2509799,
            "country": "KR",
            "utc_offset_minutes": 540,
            "language": "ko",
            "device": "tv",
            "watched_seconds": 60,
        },
    }
    for name, value in changes.items():
        holder = record if name in record else record["event"]
        if value is GONE:
            del holder[name]
        else:
            holder[name] = value
    return record


def to_line(record: object) -> bytes:
    """Write a record in the format of the sink, which is compact JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def line(**changes: Any) -> bytes:
    """Return the line of a play event with other values of some fields."""
    return to_line(play(**changes))


GOOD = line()


def spoilt(old: bytes, new: bytes, good: bytes = GOOD) -> bytes:
    """Return a valid line in which a text that occurs once is replaced."""
    assert good.count(old) == 1, (old, good)
    return good.replace(old, new)


def lines_of(*lines: bytes) -> bytes:
    """Return the bytes of a file of lines."""
    return b"".join(one + b"\n" for one in lines)


def key_of(name: str, period: Period = HOUR) -> str:
    """Return the key of a raw object in the layout of the sink."""
    return f"topics/plays/{period.start:year=%Y/month=%m/day=%d/hour=%H}/{name}"


class World:
    """A raw store and a lake."""

    def __init__(self, raw: Store, target: Store, s3: S3Settings | None = None, **options: Any) -> None:
        self.raw, self.lake = raw, target
        rollup = RollupOptions(**{"viewer_key": SecretStr(SECRET), "buckets": BUCKETS, **options})
        self.settings = RollupSettings(lake=target.url, raw=raw.url, rollup=rollup, s3=s3 or S3Settings())

    def put(self, name: str, *lines: bytes, period: Period = HOUR) -> str:
        """Write a raw object of lines, compressed if its name says so; return its key."""
        data = lines_of(*lines)
        return self.put_bytes(name, gzip.compress(data, mtime=0) if name.endswith(".gz") else data, period)

    def put_bytes(self, name: str, data: bytes, period: Period = HOUR) -> str:
        """Write a raw object; return its key."""
        return self.raw.put(key_of(name, period), data).key

    def run(
        self, span: Span = EVER, *, engine: Engine = ENGINE, now: datetime = NEXT_DAY, force: bool = False
    ) -> Report:
        """Run the rollup as a new process would, with fresh markers."""
        markers = Markers(self.lake)
        stage = RollupStage(self.settings, markers, engine, clock=lambda: now)
        return run_stage(stage, markers, span, force=force)

    def markers(self) -> dict[str, Marker]:
        """Return the markers of the published hours."""
        return {str(period): marker for period, marker in sorted(Markers(self.lake).of(keys.ROLLUP).items())}

    def failures(self) -> dict[str, str]:
        """Return the reasons of the hours that failed."""
        return {str(period): one.reason for period, one in Markers(self.lake).failures(keys.ROLLUP).items()}

    def rolled(self, period: Period = HOUR) -> Rolled:
        """Return the published result of an hour in the form of the oracle."""
        marker = self.markers()[str(period)]
        rolled = Rolled(counts={name: marker.counts[name] for name in COUNTS})
        for output in marker.outputs:
            rows = [tuple(row.values()) for row in read_output(self.lake, output).to_pylist()]
            if output.dataset == VIEWERSHIP.name:
                assert {row[0] for row in rows} <= {period.start.replace(tzinfo=None)}
                rolled.viewership = [row[1:-1] for row in rows]
                rolled.viewer_bits = [row[-1] for row in rows]
            elif output.dataset == VIEWER_HOUR.name:
                rolled.viewer_hour[keys.bucket_of(output.key)] = rows
            elif output.dataset == REJECTS.name:
                rolled.rejects = rows
        return rolled

    def expected(self, period: Period = HOUR) -> Rolled:
        """Return the result of the oracle for the raw objects of an hour."""
        objects = {info.key: self.raw.get(info.key) for info in self.raw.list(key_of("", period))}
        return oracle(objects, self.markers()[str(period)].counts["buckets"], period)

    def digests(self, period: Period = HOUR) -> dict[str, str]:
        """Return the checksums of the published files of an hour, by name without the run."""
        return {
            one.key.rpartition("/run=")[2].partition("/")[2]: one.sha256 for one in self.markers()[str(period)].outputs
        }


def new_world(folder: Path, **options: Any) -> World:
    """Return a world of two folders."""
    return World(LocalStore(folder / "raw"), LocalStore(folder / "lake"), **options)


def oracle(objects: Mapping[str, bytes], buckets: int = BUCKETS, period: Period = HOUR) -> Rolled:
    """Return the result of the oracle for raw objects by key."""
    return roll_up(objects, period.start.replace(tzinfo=None), SECRET.encode(), buckets)


def many(count: int, **changes: Any) -> Sequence[bytes]:
    """Return the lines of events e1, e2, …, each of another user."""
    return [line(event_id=f"e{n}", user_id=f"u{n}", **changes) for n in range(1, count + 1)]
