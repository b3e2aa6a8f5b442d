"""Kafka offsets in the names of the sink's files: counted in markers, and gaps shown in status, page and metrics."""

import gzip
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobs.exporter.samples import offset_samples
from jobs.rollup.settings import RollupOptions, RollupSettings
from jobs.rollup.stage import RollupStage
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate
from marquee.calendar import EVER, Span, hour
from marquee.engine.base import NO_ENGINE
from marquee.lake.markers import Markers
from marquee.report.pages import status_page
from marquee.runs.stage import run_stage
from marquee.runs.status import read_states
from marquee.storage.local import LocalStore
from tests.helpers_rollup import ENGINE, HOUR, NEXT_DAY, SECRET, World, key_of, many, new_world

NEXT, LAST = HOUR.next(), HOUR.next().next()
GAP = "3 records of plays, partition 0, are missing: offsets 109 to 111"


def file(first: int, partition: int = 0, ending: str = ".json") -> str:
    """Return the name of a file of the sink."""
    return f"plays+{partition}+{first:010}{ending}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three hours of files of three records; the second file of the middle hour, from offset 109, never arrived."""
    world = new_world(tmp_path, reject_lines=100)
    for number, period in enumerate((HOUR, NEXT, LAST)):
        for first in (100 + number * 6, 103 + number * 6):
            lines = [one.replace(b"T13:", f"T{period.start:%H}:".encode()) for one in many(3)]
            world.put(file(first), *lines, period=period)
    world.raw.delete(key_of(file(109), NEXT))
    return world


def stage_of(world: World) -> RollupStage:
    """Return the stage of a new process."""
    return RollupStage(world.settings, Markers(world.lake), NO_ENGINE, clock=lambda: NEXT_DAY)


def notes(world: World, span: Span = EVER) -> dict[str, str]:
    """Return the notes of the hours that have one."""
    stage = stage_of(world)
    states = read_states(stage, Markers(world.lake), stage.periods(span))
    return {str(one.period): one.note for one in states if one.note}


def test_marker_has_the_offsets_of_its_hour(tmp_path: Path) -> None:
    """The marker has first and last offset and records by partition; blank, rejected and repeated lines count."""
    world = new_world(tmp_path)
    world.put(file(100), *many(2), b"")
    world.put(file(103, ending=".json.gz"), *many(1), b"not json")
    world.put(file(7, partition=12), *many(4))
    world.put("other.json", *many(1))
    world.run()
    counts = world.markers()[str(HOUR)].counts
    assert counts["rows_in"] == 10
    assert counts["offsets"] == {
        "plays+0": {"first": 100, "last": 104, "records": 5, "ranges": [[100, 104, 2]]},
        "plays+12": {"first": 7, "last": 10, "records": 4, "ranges": [[7, 10, 1]]},
    }


@pytest.mark.parametrize(("name", "options"), [("part-0.json", {}), (file(100), {"offsets": "off"})])
def test_marker_has_no_offsets(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    """The marker has no offsets if the names carry none, or if the setting is off."""
    world = new_world(tmp_path, **options)
    world.put(name, *many(1))
    world.run()
    assert "offsets" not in world.markers()[str(HOUR)].counts


def test_missing_file_shows_in_status_and_on_the_page(world: World) -> None:
    """A gap is a note of the hour after it, with partition, records and offsets, also on the page."""
    world.run()
    assert notes(world) == {str(LAST): GAP}
    stage = stage_of(world)
    listed = list(read_states(stage, Markers(world.lake), stage.periods(EVER)))
    page = status_page(listed, NEXT_DAY)
    assert "<h2>Published, with a note: 1</h2>" in page
    assert f"<td>rollup</td><td>{LAST}</td><td>{GAP}</td>" in page
    assert json.loads(json.dumps(asdict(listed[-1]), default=str))["note"] == GAP


def test_gap_shows_in_any_span_with_its_hour(world: World) -> None:
    """A gap shows in a span that has its hour alone, because offsets of the hours before are compared as well."""
    world.run()
    assert notes(world, Span.of(LAST, LAST)) == {str(LAST): GAP}
    assert notes(world, Span.of(HOUR, NEXT)) == {}


def test_hours_that_were_never_made_are_no_gap(world: World) -> None:
    """An hour that was left out, by a run over a later period, is no gap in any span, listed or not."""
    for period in (HOUR, LAST):
        world.run(Span.of(period, period))
    assert notes(world) == notes(world, Span.of(LAST, LAST)) == {}


def test_gap_closes_when_the_file_arrives(world: World) -> None:
    """Between the arrival of the missing file and the next run the gap is no longer shown; after it there is none."""
    world.run()
    world.put(file(109), *[one.replace(b"T13:", b"T14:") for one in many(3)], period=NEXT)
    assert notes(world) == {}
    assert world.run().changed == 1
    assert notes(world) == {}


def test_file_that_cannot_be_read_is_no_gap(world: World) -> None:
    """An hour that has failed is no gap: its records are in the raw store."""
    world.raw.put(key_of(file(109, ending=".json.gz"), NEXT), b"not gzip")
    assert world.run().failed == ((NEXT, 65),)
    assert notes(world) == {}


def test_hours_that_were_made_without_offsets_are_no_gap(world: World) -> None:
    """An hour that was made when the setting was off has no counts, which is not a gap."""
    off = World(world.raw, world.lake, offsets="off")
    off.run(Span.of(NEXT, NEXT))
    world.run()
    assert str(NEXT) in world.markers()
    assert notes(world) == {}


def test_gap_remains_when_raw_objects_expire(world: World) -> None:
    """The markers keep the offsets: deleting raw objects neither makes nor hides a gap."""
    world.run()
    for info in list(world.raw.list()):
        world.raw.delete(info.key)
    assert notes(world) == {str(LAST): GAP}


def test_gaps_are_published_by_partition(world: World) -> None:
    """Metrics have the gaps and missing records of each partition, and 0 for one that is complete."""
    world.put(file(50, partition=1), *many(3))
    world.run()
    stage = stage_of(world)
    stage.periods(EVER)
    samples = offset_samples({log for ranges in stage.offsets.values() for log in ranges}, stage.breaks)
    found = {(one.metric.name, one.labels["topic"], one.labels["kafka_partition"]): one.value for one in samples}
    assert found == {
        ("marquee_offset_gaps", "plays", "0"): 1,
        ("marquee_offset_missing_records", "plays", "0"): 3,
        ("marquee_newest_offset_gap_timestamp_seconds", "plays", "0"): LAST.start.timestamp(),
        ("marquee_offset_overlaps", "plays", "0"): 0,
        ("marquee_offset_gaps", "plays", "1"): 0,
        ("marquee_offset_missing_records", "plays", "1"): 0,
        ("marquee_offset_overlaps", "plays", "1"): 0,
    }


def test_simulated_events_are_complete_but_for_the_late_file(tmp_path: Path) -> None:
    """The simulated sink's offsets are true: only its late file is missing, until it arrives."""
    service = SimulateSettings(days=1, events_per_day=5_000, partitions=2)
    raw, lake = LocalStore(tmp_path / "raw"), LocalStore(tmp_path / "lake")
    simulate(service, raw)
    options = RollupOptions(viewer_key=SecretStr(SECRET), buckets=1)
    settings = RollupSettings(lake=lake.url, raw=raw.url, rollup=options)
    found, before = [], {info.key for info in raw.list()}
    for _ in range(2):
        markers = Markers(lake)
        stage = RollupStage(settings, markers, ENGINE, clock=lambda: datetime(2027, 1, 1, tzinfo=UTC))
        run_stage(stage, markers)
        found.append(stage.breaks)
        add_late_files(service, raw)
    (late,) = {info.key for info in raw.list()} - before
    ((gap,), none) = found
    assert none == []
    assert (gap.gap, gap.hour, gap.first) == (True, hour(f"{service.start}T15"), int(late.split("+")[2].split(".")[0]))
    assert gap.records == gzip.decompress(raw.get(late)).count(b"\n")
