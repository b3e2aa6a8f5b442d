"""The local engine and Spark make the same bytes from a small simulated day, stage by stage."""

import gzip
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from jobs.rollup import stage as rollup_stage
from jobs.rollup.viewer import viewer_of
from jobs.simulate.catalogue import build_world
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate
from marquee.calendar import Span, hour
from marquee.engine import local as engines
from marquee.engine.base import Engine
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.lake import keys
from marquee.lake.datasets import VIEWER_HOUR
from marquee.lake.erasures import Request, write_request
from marquee.lake.markers import Markers
from marquee.runs.stage import Report, run_stage
from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from tests.helpers_rollup import (
    BUCKETS,
    ENGINE,
    GOOD,
    HOUR,
    SECRET,
    World,
    key_of,
    line,
    lines_of,
    many,
    new_world,
    spoilt,
)
from tests.oracle.audience import Catalogue
from tests.oracle.lake import capture, digests

pytestmark = pytest.mark.spark

SETTINGS = SimulateSettings(days=1, events_per_day=40_000, seed=7)
HOURS = Span.of(hour("2026-01-05T13"), hour("2026-01-05T15"))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The raw events of three hours of a simulated day, including their late files: a day waits for all its events."""
    store = LocalStore(tmp_path_factory.mktemp("day") / "raw")
    simulate(SETTINGS, store)
    add_late_files(SETTINGS, store)
    for info in list(store.list()):
        if not re.search(r"/hour=1[345]/", info.key):
            store.delete(info.key)
    return store


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Show and runtime of each episode in the simulated schedule; some runtimes and some episodes are missing."""
    return {
        episode.id: (show.id, None if episode.runtime is None else episode.runtime * 60)
        for show, episode in build_world(SETTINGS).listings()
    }


def run(world: World, engine: Engine) -> list[Report]:
    """Run rollup with one task a file, then profile and audience."""
    settings = ProfileSettings(lake=world.lake.url)
    with mock.patch.object(rollup_stage, "MIB", 0):
        rolled = world.run(HOURS, engine=engine)
    markers = Markers(world.lake)
    stages = (ProfileStage(settings, markers, engine), AudienceStage(settings, markers, engine))
    return [rolled, *(run_stage(stage, markers) for stage in stages)]


def test_engines_make_the_same_bytes(
    tmp_path: Path, raw: Store, catalogue: Catalogue, spark_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker, two workers that spill to disk, and Spark make the same objects and counts in every stage."""
    worlds = {name: World(raw, LocalStore(tmp_path / name)) for name in ("one", "two", "spark")}
    for world in worlds.values():
        capture(world.lake, "2026-01-05", catalogue)
    reports = [run(worlds["one"], LocalEngine(EngineOptions(workers=1, memory_mb=256)))]
    reports.append(run(worlds["spark"], spark_engine))
    monkeypatch.setattr(engines, "MIB", 0)  # no memory for the shuffle
    reports.append(run(worlds["two"], LocalEngine(EngineOptions(workers=2, memory_mb=256))))
    # Three hours; one day; that day, its week, its month and its quarter.
    assert [[(one.changed, one.failed) for one in report] for report in reports] == [[(3, ()), (1, ()), (4, ())]] * 3
    for stage in (keys.ROLLUP, keys.PROFILE, keys.AUDIENCE):
        assert digests(worlds["two"].lake, stage) == digests(worlds["one"].lake, stage)
        assert digests(worlds["spark"].lake, stage) == digests(worlds["one"].lake, stage)
        assert counts(worlds["two"], stage) == counts(worlds["one"], stage)
        assert counts(worlds["spark"], stage) == counts(worlds["one"], stage)
    # The comparison is not empty: each hour has plays of all viewer buckets, duplicates and rejected lines.
    for marker in worlds["spark"].markers().values():
        assert min(marker.counts["rows_out"], marker.counts["duplicates"], *marker.counts["rejects"].values()) > 0
        assert len(marker.of(VIEWER_HOUR)) == BUCKETS
        assert len(marker.inputs) > 4


def counts(world: World, stage: str) -> dict[str, Mapping[str, Any]]:
    """Return the counts of a stage by period."""
    return {str(period): marker.counts for period, marker in Markers(world.lake).of(stage).items()}


def test_spark_gives_what_the_oracle_gives(tmp_path: Path, spark_engine: Engine) -> None:
    """Spark gives the rows of the oracle's loops for odd lines, duplicates across files and an empty hour."""
    world = new_world(tmp_path, reject_share=1, allow_no_plays=True)
    world.put("a.json", *many(20), b"{", b"\xff", b"", line(country="kr"))
    world.put("b.json.gz", *many(30), spoilt(b'"u1"', rb'"\u0075\"1"'))
    world.put("c.json", GOOD, period=HOUR.next().next())
    assert world.run(engine=spark_engine).failed == ()
    assert world.rolled() == world.expected()
    assert world.rolled(HOUR.next()) == world.expected(HOUR.next())


def test_bad_input_fails_alike(tmp_path: Path, spark_engine: Engine) -> None:
    """Rejects, a file without plays and a truncated file fail with the same reason on both engines."""
    reasons = []
    for name, engine in (("local", ENGINE), ("spark", spark_engine)):
        world = new_world(tmp_path / name)
        world.put("a.json", GOOD, *[b"x"] * 101)
        world.put("c.json", *[b"x"] * 2, *[line(country="kr")] * 3, period=HOUR.next().next())
        world.put_bytes("b.json.gz", gzip.compress(lines_of(*many(100)))[:-1], HOUR.next())
        assert world.run(engine=engine).exit_code == 65
        assert world.markers() == {}
        reasons.append(world.failures())
    assert reasons[0] == reasons[1]
    assert "1 file has lines, but no play" in reasons[0]["2026-01-05T15"]
    assert "c.json (outside_hour 3, not_json 2)" in reasons[0]["2026-01-05T15"]
    assert "101 of the first 102 lines were rejected" in reasons[0]["2026-01-05T13"]
    assert "b.json.gz cannot be read to its end" in reasons[0]["2026-01-05T14"]


def test_engines_erase_the_same(tmp_path: Path, spark_engine: Engine) -> None:
    """Spark erases a viewer as this machine does: from an hour with raw events, and from one without."""
    worlds = [new_world(tmp_path / name) for name in ("local", "spark")]
    request_id = keys.new_run_id(datetime(2026, 1, 6, 13, tzinfo=UTC))
    for world, engine in zip(worlds, (ENGINE, spark_engine), strict=True):
        for period in (HOUR, HOUR.next()):
            received_at = f"{period.start:%Y-%m-%dT%H}:30:00Z"
            world.put("a.json", *many(20, received_at=received_at), b'{"user": "u7"}', period=period)
        assert world.run().changed == 2
        world.raw.delete(key_of("a.json"))
        write_request(world.lake, Request((viewer_of((SECRET.encode(),), "u7"),)), request_id)
        assert world.run(engine=engine).changed == 2
        assert [len(world.rolled(period).rejects) for period in (HOUR, HOUR.next())] == [0, 0]
        assert sum(map(len, world.rolled().viewer_hour.values())) == 19
    local, spark = worlds
    assert digests(spark.lake, keys.ROLLUP) == digests(local.lake, keys.ROLLUP)
