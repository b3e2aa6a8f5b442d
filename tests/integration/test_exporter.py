"""The exporter over a small lake: a real S3 server, a real MariaDB, and its metrics when something fails.

Two hours of events of 5 January 2026 with an empty one between, their schedule, and a mart with all of it. The exporter
refreshes at half past twelve of the next day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from jobs.exporter.collectors import make_collectors
from jobs.exporter.exporter import Exporter
from jobs.exporter.settings import ExporterSettings
from jobs.registry import PIPELINE
from marquee.calendar import EVER, Period
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from marquee.storage.s3 import S3Store
from tests.mariadb_server import SqlServer, mariadb_server, mysql_database
from tests.s3_proxy import Fault, S3Proxy
from tests.s3_server import BUCKET, S3Server
from tests.schedule_service import schedule_service
from tests.small_world import CASE, DAY, WINTER, SmallWorld, tell_schedule

NOON = datetime(2026, 1, 6, 12, 30, tzinfo=UTC)
DOWN = 1_000_000
HOURLY = {"stage": "rollup", "grain": "hour"}
STATES = ("done", "pending", "stale", "failed", "waiting")


@dataclass
class World:
    """A lake and the exporter that observes it; ``now`` is the exporter's clock."""

    folder: Path
    raw: S3Store
    lake: S3Store
    proxy: S3Proxy
    server: SqlServer
    now: datetime = NOON

    @cached_property
    def exporter(self) -> Exporter:
        """The exporter, with the settings in force at the first access."""
        settings = load_settings(ExporterSettings)
        markers = Markers(settings.store)
        return Exporter(make_collectors(settings, markers, self._clock), markers, 600.0, self._clock)

    def _clock(self) -> datetime:
        return self.now

    def events(self, hour: str, *plays: tuple[str, int, int], bad_lines: int = 0, file: int = 0) -> None:
        """Upload raw events of an hour to the bucket."""
        local = SmallWorld(self.folder)
        local.events(hour, plays, file, bad_lines)
        for info in local.raw.list():
            self.raw.put(info.key, local.raw.get(info.key))
            local.raw.delete(info.key)

    def run(self, *commands: str) -> None:
        """Run the stages of these commands (all by default), each like in a process of its own."""
        for job in PIPELINE:
            if job.command in commands or not commands:
                settings = load_settings(job.settings)
                job.run(settings, Markers(settings.store), EVER, force=False, advance=lambda *_: None)

    def look(self) -> None:
        """Let a minute pass, and refresh."""
        self.now += timedelta(minutes=1)
        self.exporter.refresh()

    def value(self, name: str, **labels: str) -> float | None:
        """Return the published value of a metric."""
        registry = CollectorRegistry()
        registry.register(self.exporter)
        return registry.get_sample_value(f"marquee_{name}", labels)

    def states(self, stage: str, grain: str) -> list[float | None]:
        """Return how many periods of the window are done, pending, stale, failed and waiting."""
        return [self.value("periods", stage=stage, grain=grain, state=state) for state in STATES]

    def errors(self) -> dict[str, float | None]:
        """Return the number of failed refreshes of each collector."""
        parts = ("schedule", "rollup", "profile", "mart", "garbage")
        return {one: self.value("exporter_refresh_errors_total", part=one) for one in parts}


@pytest.fixture
def world(
    tmp_path: Path,
    mariadb_data: Path,
    s3_server: S3Server,
    s3_lake: S3Store,
    s3_proxy: S3Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """A lake after a full run, and an exporter behind a proxy that has not refreshed yet."""
    raw = S3Store(BUCKET, f"{tmp_path.name}/raw", s3_lake._options)
    with (
        schedule_service() as service,
        mariadb_server(mariadb_data, tmp_path / "m") as server,
        mysql_database(server) as database,
    ):
        tell_schedule(service)
        settings = {
            "LAKE": s3_lake.url,
            "RAW": raw.url,
            "S3__ENDPOINT_URL": s3_server.url,
            "S3__PATH_STYLE": "true",
            "S3__RETRY_FOR_S": "0",
            "ENGINE__WORKERS": "1",
            "ENGINE__MEMORY_MB": "256",
            "ROLLUP__VIEWER_KEY": "key-of-small-world",
            "ROLLUP__BUCKETS": "1",
            "ROLLUP__REJECT_LINES": "2",
            "SCHEDULE_FETCH__URL": service.url,
            "SCHEDULE_FETCH__COUNTRIES": '["KR"]',
            "SCHEDULE_FETCH__FIRST_DAY": DAY,
            "SCHEDULE_FETCH__LAST_DAY": DAY,
            "SCHEDULE_FETCH__CALLS_PER_WINDOW": "1000",
            "MART__URL": database.url,
            "MART__MIN_CELL": "1",
            "MART__PASSWORD": database.password,
            "EXPORTER__WINDOW_DAYS": "7",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"MARQUEE_{name}", value)
        world = World(tmp_path, raw, s3_lake, s3_proxy, server)
        world.events(f"{DAY}T10", ("ann", 1, WINTER), ("bob", 2, WINTER), ("ann", 3, CASE), bad_lines=1)
        world.events(f"{DAY}T12", ("ann", 1, WINTER), ("bob", 2, WINTER))
        world.run()
        monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_proxy.url)
        yield world


def seconds(text: str) -> float:
    """Return a time as Unix seconds."""
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


def test_exporter_tells_of_lake_and_mart_and_then_of_what_changed(world: World) -> None:
    """The exporter publishes the state of lake and mart, reads nothing twice, and shows late and new events."""
    world.look()
    assert set(world.errors().values()) == {0}
    assert world.states("schedule_fetch", "day") == [1, 0, 0, 0, 0]
    assert world.states("rollup", "hour") == [3, 0, 0, 0, 0]
    assert world.states("profile", "day") == [1, 0, 0, 0, 0]
    for grain in ("day", "week", "month", "quarter"):
        assert world.states("audience", grain) == world.states("mart_load", grain) == [1, 0, 0, 0, 0]
    assert world.states("mart_load", "hour") == [3, 0, 0, 0, 0]
    assert world.value("newest_period_end_timestamp_seconds", **HOURLY) == seconds(f"{DAY}T13:00")
    assert world.value("newest_period_rows", **HOURLY, direction="in") == 2
    assert world.value("recent_rejects", **HOURLY, reason="not_json") == 1
    assert world.value("mart_generations_behind", stage="rollup") == 0
    assert [world.value("hour_state", days_ago="1", hour=one) for one in ("09", "10", "11", "12", "13")] == [
        None,
        *(1, 1, 1),
        2,
    ]
    assert world.value("dataset_objects", dataset="viewership") == 3
    assert world.value("last_run_cpu_seconds", **HOURLY) is not None

    # Without a change: one listing for the markers of each of five stages, and one of requests to erase viewers. Of
    # seven days of events, one for 31 December, one each for the names of months and of days of January, and one for
    # the only day there.
    world.proxy.mend()
    world.look()
    assert world.proxy.answers == [("GET", 200)] * (5 + 1 + 4)

    world.events(f"{DAY}T10", ("carl", 4, CASE), file=1)
    world.events(f"{DAY}T13", ("carl", 5, CASE))
    world.look()
    assert world.states("rollup", "hour") == [2, 1, 1, 0, 0]
    assert world.value("oldest_open_period_timestamp_seconds", **HOURLY) == seconds(f"{DAY}T10:00")
    assert world.states("profile", "day") == [1, 0, 0, 0, 0]
    world.run("rollup")
    world.look()
    assert world.states("rollup", "hour") == [4, 0, 0, 0, 0]
    assert world.value("generations", **HOURLY) == 5
    assert world.states("profile", "day") == [0, 0, 1, 0, 0]
    assert world.states("mart_load", "hour") == [2, 1, 1, 0, 0]
    assert world.value("mart_generations_behind", stage="rollup") == 2
    assert world.value("watermark_timestamp_seconds", stage="mart_load", grain="hour") == seconds(f"{DAY}T13:00")
    world.run()
    world.look()
    assert world.value("mart_generations_behind", stage="rollup") == 0
    assert world.states("profile", "day") == [1, 0, 0, 0, 0]


def test_held_file_is_told(world: World) -> None:
    """A late file of an hour whose other file is gone is held: the hour stays done, and metrics count the file."""
    world.look()
    assert (world.value("held_files"), world.value("oldest_held_hour_timestamp_seconds")) == (0, None)
    (first,) = world.raw.list("topics/plays/year=2026/month=01/day=05/hour=10/")
    world.raw.delete(first.key)
    world.events(f"{DAY}T10", ("carl", 4, CASE), file=1)
    world.look()
    assert world.states("rollup", "hour") == [3, 0, 0, 0, 0]
    assert world.value("held_files") == 1
    assert world.value("oldest_held_hour_timestamp_seconds") == seconds(f"{DAY}T10:00")


def test_hour_that_fails_is_told(world: World) -> None:
    """An hour with too many rejects is published as failed, and the metrics of the earlier data stay as they are."""
    world.events(f"{DAY}T13", ("carl", 5, CASE), bad_lines=5)
    world.run()
    world.look()
    assert world.states("rollup", "hour") == [3, 0, 0, 1, 0]
    assert world.value("hour_state", days_ago="1", hour="13") == 4
    assert world.value("watermark_timestamp_seconds", **HOURLY) == seconds(f"{DAY}T13:00")
    assert set(world.errors().values()) == {0}


def test_damaged_marker_is_a_failed_period(world: World) -> None:
    """An hour whose marker is damaged is published as failed, its day waits, and all collectors go on."""
    key = keys.success_key("rollup", Period.parse(f"{DAY}T10"))
    whole = world.lake.get(key)
    world.lake.put(key, whole[:-9])
    world.look()
    assert world.states("rollup", "hour") == [2, 0, 0, 1, 0]
    assert world.value("hour_state", days_ago="1", hour="10") == 4
    assert world.states("profile", "day") == [0, 0, 0, 0, 1]
    assert world.states("mart_load", "hour") == [2, 0, 0, 0, 1]
    assert set(world.errors().values()) == {0}
    world.lake.put(key, whole)
    world.look()
    assert world.states("rollup", "hour") == world.states("mart_load", "hour") == [3, 0, 0, 0, 0]
    assert world.states("profile", "day") == [1, 0, 0, 0, 0]


def test_mart_that_is_down_takes_nothing_else_down(world: World) -> None:
    """When the mart is down, its last values stay and its errors count, and all other metrics are still refreshed."""
    world.look()
    before = world.value("exporter_last_refresh_timestamp_seconds", part="mart")
    world.server.stop()
    world.events(f"{DAY}T13", ("carl", 5, CASE))
    world.look()
    assert world.errors() == {"schedule": 0, "rollup": 0, "profile": 0, "mart": 1, "garbage": 0}
    assert world.value("exporter_last_refresh_timestamp_seconds", part="mart") == before
    assert world.states("mart_load", "hour") == [3, 0, 0, 0, 0]
    assert world.states("rollup", "hour") == [3, 1, 0, 0, 0]
    world.server.start()
    world.look()
    assert world.value("exporter_last_refresh_timestamp_seconds", part="mart") == world.now.timestamp()
    assert world.errors()["mart"] == 1


def test_raw_events_that_cannot_be_listed_take_nothing_else_down(world: World) -> None:
    """When raw events cannot be listed, only the states of the rollup keep their last values."""
    world.look()
    world.proxy.faults.append(Fault("refuse", times=DOWN, status=503, code="SlowDown", path="topics"))
    world.look()
    assert world.errors() == {"schedule": 0, "rollup": 1, "profile": 0, "mart": 0, "garbage": 0}
    assert world.states("rollup", "hour") == [3, 0, 0, 0, 0]
    world.proxy.mend()
    world.look()
    assert world.value("exporter_last_refresh_timestamp_seconds", part="rollup") == world.now.timestamp()


def test_lake_that_is_down_keeps_everything(world: World) -> None:
    """When the lake is down, every collector counts an error and every metric keeps its last value."""
    world.look()
    world.proxy.faults.append(Fault("refuse", times=DOWN, status=503, code="SlowDown"))
    world.look()
    assert world.errors() == {"schedule": 1, "rollup": 1, "profile": 1, "mart": 1, "garbage": 0}
    assert world.states("audience", "quarter") == [1, 0, 0, 0, 0]
    assert (
        world.value("exporter_last_refresh_timestamp_seconds", part="mart") == (NOON + timedelta(minutes=1)).timestamp()
    )


def test_garbage_is_told_rarely(world: World) -> None:
    """The two objects of a run killed eight days ago are counted after six hours, not before."""
    world.look()
    assert world.value("garbage_objects") == 0
    prefix = keys.run_prefix("rollup", Period.parse(f"{DAY}T20"), keys.new_run_id(NOON - timedelta(days=8)))
    for name in ("a", "b"):
        world.lake.put(f"{prefix}{name}.parquet", b"12345")
    world.look()
    assert world.value("garbage_objects") == 0
    world.now += timedelta(hours=6)
    world.look()
    assert (world.value("garbage_objects"), world.value("garbage_bytes")) == (2, 10)
