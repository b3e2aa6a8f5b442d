"""All stages on a bucket: from simulated events to answers, with a late file, reruns and garbage collection."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.cli.__main__ import main
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.storage.s3 import S3Store
from tests.s3_server import BUCKET, S3Server

SIZE = ["--days", "1", "--events-per-day", "1000", "--partitions", "1"]
DAY = "2026-01-05"
LATE_HOUR = f"{DAY}T14"
DONE = "".join(f"{stage}: nothing was pending\n" for stage in ("schedule-fetch", "rollup", "profile", "mart-load"))


@dataclass(frozen=True)
class Bucket:
    """Raw events and a lake in one bucket."""

    raw: S3Store
    lake: S3Store

    def generations(self) -> dict[str, int]:
        """Return the published generation of each stage and period."""
        markers = Markers(self.lake)
        return {
            f"{stage}/{period}": one.generation for stage in keys.STAGES for period, one in markers.of(stage).items()
        }


@pytest.fixture
def bucket(s3_server: S3Server, s3_lake: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket with its settings in force, and a served schedule."""
    raw = S3Store(BUCKET, f"{tmp_path.name}/raw", s3_lake._options)
    with serve(SimulateSettings(days=1, events_per_day=1000)) as schedule:
        config = tmp_path / "marquee.toml"
        config.write_text(
            f"""
            lake = "{s3_lake.url}"
            raw = "{raw.url}"
            s3 = {{ endpoint_url = "{s3_server.url}", path_style = true }}
            engine = {{ workers = 2, memory_mb = 256 }}
            rollup = {{ viewer_key = "0123456789abcdef", buckets = 2 }}
            mart = {{ url = "{(tmp_path / "kiosk.duckdb").as_uri().replace("file:", "duckdb:")}", min_cell = 1 }}

            [schedule_fetch]
            url = "{schedule}"
            countries = ["KR", "US"]
            first_day = {DAY}
            last_day = {DAY}
            calls_per_window = 1000
            """
        )
        monkeypatch.setenv("MARQUEE_CONFIG", str(config))
        yield Bucket(raw, s3_lake)


def test_events_in_a_bucket_become_answers(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    """Simulated events in a bucket become answers, a late file restates what depends on it, and gc deletes the rest."""
    assert main(["simulate", *SIZE]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{bucket.raw.url}: ")
    assert "Late-arriving files, which --late writes: 1." in said

    assert main(["run"]) == 0
    assert capsys.readouterr().out == "schedule-fetch: 1 made\nrollup: 24 made\nprofile: 5 made\nmart-load: 29 made\n"
    assert main(["run"]) == 0
    assert capsys.readouterr().out == DONE
    before = bucket.generations()
    hours = shown_hours(capsys)

    assert main(["simulate", *SIZE, "--late"]) == 0
    assert main(["run"]) == 0
    after = bucket.generations()
    periods = {f"audience/{period}" for period in (DAY, "2026-W02", "2026-01", "2026-Q1")}
    assert {name for name in after if after[name] != before[name]} == {
        f"rollup/{LATE_HOUR}",
        f"profile/{DAY}",
        *periods,
    }
    assert shown_hours(capsys) > hours

    objects = {info.key for info in bucket.lake.list()}
    assert main(["gc", "--grace-hours", "0"]) == 0
    digest = re.findall(r"--delete (\w+)", capsys.readouterr().out)[0]
    assert main(["gc", "--grace-hours", "0", "--delete", digest]) == 0
    left = {info.key for info in bucket.lake.list()}
    named = {
        output.key for stage in keys.STAGES for one in Markers(bucket.lake).of(stage).values() for output in one.outputs
    }
    assert {key for key in left if key.startswith("data/")} == named
    assert left < objects
    assert bucket.generations() == after


def shown_hours(capsys: pytest.CaptureFixture[str]) -> float:
    """Return the hours watched by country in the mart, added up."""
    capsys.readouterr()
    assert main(["ask", "genre-hours", "--all", "--limit", "0", "--format", "json"]) == 0
    return sum(float(row["hours"]) for row in json.loads(capsys.readouterr().out))
