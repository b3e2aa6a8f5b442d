"""The rollup over a raw store and a lake: hours made and restated, contents of markers, and failures."""

import gzip
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.rollup import stage as rollup_stage
from jobs.rollup.stage import RollupStage
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import simulate
from marquee.calendar import EVER, Period, Span, hour
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import TryAgainError
from marquee.lake import keys
from marquee.lake.datasets import REJECTS, VIEWER_HOUR, VIEWERSHIP
from marquee.lake.files import read_output
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext
from marquee.settings.sections import S3Settings
from marquee.storage.base import S3Options
from marquee.storage.s3 import S3Store
from tests.helpers_rollup import (
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
    play,
    to_line,
)
from tests.s3_server import BUCKET, S3Server

BEFORE, NEXT, LAST = HOUR.previous(), HOUR.next(), HOUR.next().next()
AT_NEXT = "2026-01-05T14:30:00.000Z"
AT_LAST = "2026-01-05T15:30:00.000Z"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty raw store and an empty lake."""
    return new_world(tmp_path)


def runs(world: World) -> dict[str, tuple[int, str]]:
    """Return generation and run id of each published hour."""
    return {period: (marker.generation, marker.run_id) for period, marker in world.markers().items()}


# Hours that are made


def test_marker_tells_what_was_read_and_made(world: World) -> None:
    """A marker has inputs with etags, outputs with checksums and rows, counts and settings, but no viewer key."""
    key = world.put("a.json.gz", *many(10), GOOD, b"{")
    assert world.run().changed == 1
    marker = world.markers()["2026-01-05T13"]
    [read], info = marker.inputs, world.raw.head(key)
    assert info
    assert (read.name, read.etag, read.size) == (key, info.etag, info.size)
    assert marker.counts == {"rows_in": 12, "rows_out": 10, "duplicates": 1, "rejects": {"not_json": 1}}
    assert (marker.stage, marker.generation, marker.definition_version) == ("rollup", 1, rollup_stage.DEFINITION)
    assert (marker.rows(VIEWERSHIP), marker.rows(VIEWER_HOUR), marker.rows(REJECTS)) == (1, 10, 1)
    assert marker.parameters["buckets"] == 3
    assert marker.parameters["slack_minutes"] == 15
    assert marker.parameters["fields"]["user_id"] == "event.user_id"
    for output in marker.outputs:
        assert read_output(world.lake, output).num_rows == output.rows
    assert SECRET not in marker.to_json().decode()


def test_simulated_hours_are_what_the_oracle_makes_of_them(world: World) -> None:
    """Six simulated hours with duplicates across files, bad lines and an empty hour equal the oracle's results."""
    simulate(SimulateSettings(days=1, events_per_day=20_000, seed=3), world.raw)
    report = world.run(Span.of(hour("2026-01-05T01"), hour("2026-01-05T06")))
    assert (report.changed, report.failed) == (6, ())
    totals: Counter[str] = Counter()
    for period in Period.parse("2026-01-05T01").until(hour("2026-01-05T06").end):
        assert world.rolled(period) == world.expected(period)
        counts = world.rolled(period).counts
        rejected = sum(counts["rejects"].values())
        assert counts["rows_in"] == counts["rows_out"] + counts["duplicates"] + rejected
        totals.update(lines=counts["rows_in"], duplicates=counts["duplicates"], rejected=rejected)
    assert min(totals["lines"] // 1000, totals["duplicates"], totals["rejected"]) > 0


def test_hour_without_objects_between_others_is_made_empty(world: World) -> None:
    """An hour without objects is made empty if it lies between the first and the last hour with objects."""
    world.put("a.json", GOOD)
    world.put("a.json", line(received_at=AT_LAST), period=LAST)
    assert world.run().changed == 3
    empty = world.markers()[str(NEXT)]
    assert list(world.markers()) == [str(HOUR), str(NEXT), str(LAST)]
    assert (empty.inputs, empty.counts) == ((), {"rows_in": 0, "rows_out": 0, "duplicates": 0, "rejects": {}})
    assert {output.dataset: output.rows for output in empty.outputs} == {"viewership": 0}
    assert world.run().changed == 0


def test_hole_at_the_edge_of_the_span_is_made_empty(world: World) -> None:
    """An hour without objects at the start of the span is made empty if a marker before the span precedes it."""
    world.put("a.json", GOOD)
    world.run()
    world.put("a.json", line(received_at=AT_LAST), period=LAST)
    assert world.run(Span.of(NEXT, LAST)).changed == 2
    assert list(world.markers()) == [str(HOUR), str(NEXT), str(LAST)]


def test_hour_of_empty_files_is_made_empty(world: World) -> None:
    """An empty file, an empty gzip and a bare line ending have no event, and the last one counts as a blank line."""
    world.put_bytes("a.json", b"")
    world.put_bytes("b.json.gz", b"")
    world.put_bytes("c.json.gz", gzip.compress(b""))
    world.put_bytes("d.json", b"\n")
    world.put_bytes("e.avro", b"")
    world.put_bytes("f.parquet", b"")
    world.run()
    assert world.rolled().counts == {"rows_in": 1, "rows_out": 0, "duplicates": 0, "rejects": {"blank": 1}}
    assert world.rolled().viewership == []


def test_hour_of_rejects_alone(world: World) -> None:
    """An hour with rejected lines alone is published if they are within the threshold."""
    world.put("a.json", b"{", b"}")
    world.run()
    assert world.rolled().viewer_hour == {}
    assert world.rolled().counts["rejects"] == {"not_json": 2}


@pytest.mark.parametrize(
    ("minute", "second", "made"), [(9, 59, 0), (10, 0, 1)], ids=["a second before the grace ends", "when it ends"]
)
def test_open_hour_waits(world: World, minute: int, second: int, made: int) -> None:
    """An hour is made 10 minutes after its end and not before."""
    world.put("a.json", GOOD)
    report = world.run(now=datetime(2026, 1, 5, 14, minute, second, tzinfo=UTC))
    assert (report.changed, report.failed) == (made, ())


def test_grace_is_a_setting(tmp_path: Path) -> None:
    """With a grace of 0 minutes, an hour is made as soon as it is over."""
    world = new_world(tmp_path, grace_minutes=0)
    world.put("a.json", GOOD)
    assert world.run(now=datetime(2026, 1, 5, 13, 59, 59, tzinfo=UTC)).changed == 0
    assert world.run(now=datetime(2026, 1, 5, 14, tzinfo=UTC)).changed == 1


def test_only_the_hours_of_the_span_are_made(world: World) -> None:
    """A span limits the run to its hours, here one of three."""
    for period, at in ((HOUR, play()["received_at"]), (NEXT, AT_NEXT), (LAST, AT_LAST)):
        world.put("a.json", line(received_at=at), period=period)
    assert world.run(Span.of(NEXT, NEXT)).changed == 1
    assert list(world.markers()) == [str(NEXT)]


def test_what_is_no_event_file_is_passed_over(world: World) -> None:
    """Keys, headers, other formats and other topics are neither read nor listed as inputs."""
    key = world.put("plays+0+0.json", GOOD)
    for name in ("plays+0+0.keys.json", "plays+0+0.headers.json", "plays+0+0.bin", "plays+0+0.csv"):
        world.put(name, b"no event")
    world.raw.put("topics/pauses/year=2026/month=01/day=05/hour=13/pauses+0+0.json", b"no event")
    world.run()
    assert [one.name for one in world.markers()[str(HOUR)].inputs] == [key]


# Stale hours


def three_hours(world: World) -> dict[str, tuple[int, str]]:
    """Make three hours with one file each; return their runs."""
    for period, at in ((HOUR, play()["received_at"]), (NEXT, AT_NEXT), (LAST, AT_LAST)):
        world.put("plays+0+0.json", line(received_at=at), period=period)
    assert world.run().changed == 3
    return runs(world)


def test_run_without_a_change_does_nothing(world: World) -> None:
    """A run without a change writes no byte."""
    three_hours(world)
    before = list(world.lake.list())
    report = world.run()
    assert (report.changed, report.unchanged) == (0, 3)
    assert list(world.lake.list()) == before


def test_late_file_restates_its_hour_and_no_other(world: World) -> None:
    """A late file restates its hour with the events of both files, and restates no other hour."""
    before = three_hours(world)
    world.put("plays+0+9.json", line(event_id="late", received_at=AT_NEXT), period=NEXT)
    report = world.run()
    assert (report.changed, report.unchanged) == (1, 2)
    after = runs(world)
    assert after[str(NEXT)][0] == 2
    assert {period: run for period, run in after.items() if period != str(NEXT)} == {
        period: run for period, run in before.items() if period != str(NEXT)
    }
    assert world.rolled(NEXT) == world.expected(NEXT)
    assert world.rolled(NEXT).counts["rows_out"] == 2


def test_late_file_of_an_empty_hour(world: World) -> None:
    """A late file restates an hour that was empty, and the hour then has its events."""
    world.put("a.json", GOOD)
    world.put("a.json", line(received_at=AT_LAST), period=LAST)
    world.run()
    world.put("late.json", line(received_at=AT_NEXT), period=NEXT)
    assert world.run().changed == 1
    assert runs(world)[str(NEXT)][0] == 2
    assert world.rolled(NEXT).counts["rows_out"] == 1


def test_replaced_object_restates_its_hour(world: World) -> None:
    """An object that the sink has replaced restates its hour with the new content alone."""
    three_hours(world)
    world.put("plays+0+0.json", line(event_id="other", device="phone"))
    assert world.run().changed == 1
    assert runs(world)[str(HOUR)][0] == 2
    assert world.rolled().viewership == [(2509799, "KR", 22, "phone", 1, 60)]


def test_object_written_again_as_it_was(world: World) -> None:
    """An object written again with the same content restates its hour to the same bytes: nothing else becomes stale."""
    three_hours(world)
    before = world.markers()[str(HOUR)]
    world.put("plays+0+0.json", GOOD)
    assert world.run().changed == 1
    after = world.markers()[str(HOUR)]
    assert after.generation == 2
    for dataset in (VIEWERSHIP, VIEWER_HOUR):
        assert after.as_input(dataset) == before.as_input(dataset)


def test_object_that_is_gone_changes_nothing(world: World) -> None:
    """Deleting some or all raw events of an hour by retention changes nothing that was made."""
    world.put("plays+0+9.json", line(event_id="e2"))
    before = three_hours(world)
    rolled = world.rolled(), world.rolled(NEXT)
    for key in (key_of("plays+0+9.json"), key_of("plays+0+0.json", NEXT)):
        world.raw.delete(key)
    report = world.run()
    assert (report.changed, report.unchanged, report.failed) == (0, 3, ())
    assert runs(world) == before
    assert (world.rolled(), world.rolled(NEXT)) == rolled


def test_late_file_after_others_are_gone_loses_nothing(world: World) -> None:
    """A late file of an hour whose other files are gone fails the hour, and the published events are kept."""
    before = three_hours(world)
    world.put("plays+0+9.json", line(event_id="late"))
    world.raw.delete(key_of("plays+0+0.json"))
    report = world.run()
    assert (report.changed, report.unchanged) == (0, 2)
    assert [str(period) for period, _ in report.failed] == [str(HOUR)]
    assert runs(world) == before
    assert f"{key_of('plays+0+0.json')}: no such object" in world.failures()[str(HOUR)]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"buckets": 4}, id="buckets"),
        pytest.param({"slack_minutes": 5}, id="slack"),
        pytest.param({"fields": {"device": "event.country"}}, id="names of fields"),
    ],
)
def test_settings_that_decide_make_hours_stale(world: World, options: dict[str, Any]) -> None:
    """A change of a setting that determines results makes all hours stale."""
    three_hours(world)
    other = World(world.raw, world.lake, reject_share=1, **options)
    assert other.run().changed == 3
    assert [generation for generation, _ in runs(other).values()] == [2, 2, 2]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"reject_share": 0.5, "reject_lines": 7}, id="threshold"),
        pytest.param({"unit_mb": 1}, id="size of tasks"),
        pytest.param({"grace_minutes": 1}, id="grace"),
    ],
)
def test_other_settings_change_nothing(world: World, options: dict[str, Any]) -> None:
    """A change of threshold, task size or grace makes no hour stale."""
    three_hours(world)
    assert World(world.raw, world.lake, **options).run().changed == 0


def test_force_makes_an_hour_again(world: World) -> None:
    """With force, an hour is made again with the same bytes."""
    three_hours(world)
    before = world.digests(NEXT)
    assert world.run(Span.of(NEXT, NEXT), force=True).changed == 1
    assert runs(world)[str(NEXT)][0] == 2
    assert world.digests(NEXT) == before


# Failures


@pytest.mark.parametrize(
    ("options", "good", "bad", "fails"),
    [
        pytest.param({}, 0, 100, False, id="100 of 100"),
        pytest.param({}, 0, 101, True, id="101 of 101"),
        pytest.param({}, 10_000, 101, False, id="101 of 10,101, which is less than 1 %"),
        pytest.param({}, 9_998, 101, True, id="101 of 10,099, which is more than 1 %"),
        pytest.param({"reject_lines": 0, "reject_share": 0.5}, 2, 2, False, id="half allowed, half rejected"),
        pytest.param({"reject_lines": 0, "reject_share": 0.5}, 2, 3, True, id="half allowed, more rejected"),
        pytest.param({"reject_lines": 0, "reject_share": 0}, 10_000, 1, True, id="none allowed"),
        pytest.param({"reject_lines": 5, "reject_share": 0}, 0, 5, False, id="five allowed"),
    ],
)
def test_threshold_of_rejected_lines(tmp_path: Path, options: dict[str, Any], good: int, bad: int, fails: bool) -> None:
    """An hour fails if its rejects exceed the greater of the line limit and the share of all lines."""
    world = new_world(tmp_path, **options)
    world.put("a.json", *many(good))
    world.put("b.json", *[b"x"] * bad)
    assert world.run().exit_code == (65 if fails else 0)
    assert len(world.markers()) == (0 if fails else 1)


def test_bad_hour_publishes_nothing_and_says_why(world: World) -> None:
    """A bad hour publishes nothing, and its failure marker has reasons and remedy until the hour is mended."""
    three_hours(world)
    before = runs(world)
    key = world.put("plays+0+9.json", *[b"{"] * 60, *[line(country="kr", received_at=AT_NEXT)] * 60, period=NEXT)
    world.put("plays+0+9.json", line(event_id="late", received_at=AT_LAST), period=LAST)
    report = world.run()
    assert (report.changed, report.exit_code, report.failed) == (1, 65, ((NEXT, 65),))
    assert runs(world)[str(NEXT)] == before[str(NEXT)]
    counted = "120 of 121 lines were rejected ({'country': 60, 'not_json': 60}), 100 are allowed"
    advice = "Nothing was published. Fix the producer or the sink, or raise MARQUEE_ROLLUP__REJECT_SHARE"
    assert world.failures() == {str(NEXT): f"{NEXT}: {counted}. {advice}"}
    assert world.run().exit_code == 65  # tried again, as long as nothing is mended
    world.raw.delete(key)
    assert world.run().exit_code == 0
    assert world.failures() == {}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("b.json.gz", gzip.compress(lines_of(*many(100)))[:-9], id="gzip cut short"),
        pytest.param("b.json.gz", GOOD, id="no gzip"),
        pytest.param("b.avro", b"Obj\x01" + GOOD, id="no Avro"),
        pytest.param("b.parquet", b"PAR1" + GOOD + b"PAR1", id="no Parquet"),
    ],
)
def test_unreadable_file_fails_its_hour(world: World, name: str, data: bytes) -> None:
    """An unreadable file fails its hour as a whole, and the reason names the file."""
    world.put("a.json", GOOD)
    key = world.put_bytes(name, data)
    assert world.run().exit_code == 65
    assert world.markers() == {}
    assert world.failures()[str(HOUR)].startswith(f"{key} cannot be read to its end: ")
    world.raw.delete(key)
    assert world.run().exit_code == 0


def test_object_changed_between_listing_and_reading(world: World) -> None:
    """An object that changes between listing and reading ends the run with "try again"."""
    world.put("a.json", GOOD)
    markers = Markers(world.lake)
    stage = RollupStage(world.settings, markers, ENGINE)
    [period] = stage.periods(EVER)
    target = stage.target(period)
    assert target
    world.put("a.json", GOOD, GOOD)
    context = RunContext("run", keys.run_prefix("rollup", period, "run"), None)
    with pytest.raises(TryAgainError, match=r"/a\.json changed while it was being read. Run the hour again"):
        stage.make(target, context)


CANARY = "Canary 4711"


def test_no_user_and_no_key_in_markers_and_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No user id and no viewer key appears in markers or logs, however a user's lines fail."""
    caplog.set_level(logging.DEBUG)
    world = new_world(tmp_path)
    wrong = ("received_at", "episode_id", "country", "utc_offset_minutes", "language", "device", "watched_seconds")
    of_user = line(user_id=CANARY)
    rejected = [line(user_id=CANARY, **{name: CANARY}) for name in wrong]
    rejected += [of_user + b"x", of_user[:-1], b"[" + of_user + b"]", of_user + b"\xff", line(user_id=[CANARY])]
    world.put("a.json", of_user, *rejected)
    world.put("a.json", *rejected * 20, period=NEXT)
    world.put_bytes("a.json.gz", gzip.compress(lines_of(*[of_user] * 100))[:-1], LAST)
    world.put_bytes("a.avro", of_user, LAST.next())
    assert [code for _, code in world.run().failed] == [65, 65, 65]
    assert len(world.rolled().rejects) == len(rejected)
    told = caplog.text + "".join(world.lake.get(info.key).decode() for info in world.lake.list("markers/"))
    assert "lines were rejected" in told
    assert CANARY not in told
    assert SECRET not in told
    marker = world.markers()[str(HOUR)]
    for output in (*marker.of(VIEWERSHIP), *marker.of(VIEWER_HOUR)):
        assert CANARY not in str(read_output(world.lake, output).to_pydict())


def test_command_ends_with_the_code(tmp_path: Path) -> None:
    """The process ``python -m jobs.rollup`` ends with 65, and its JSON log has the reason but no content of lines."""
    world = new_world(tmp_path)
    world.put("a.json", *[line(country=CANARY)] * 101)
    settings = {
        "MARQUEE_LAKE": world.lake.url,
        "MARQUEE_RAW": world.raw.url,
        "MARQUEE_ROLLUP__VIEWER_KEY": SECRET,
        "MARQUEE_ENGINE__WORKERS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.rollup", "2026-01-05T13"],
        env={**os.environ, **settings},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 65
    [error] = [one for one in map(json.loads, ended.stderr.splitlines()) if one["level"] == "error"]
    assert "101 of 101 lines were rejected ({'country': 101})" in error["message"]
    assert CANARY not in ended.stderr + ended.stdout


# Equal bytes


def busy(world: World) -> World:
    """Fill an hour with three hundred events of forty users in three files, with duplicates and rejects."""
    lines = [
        to_line(
            play(
                event_id=f"e{n}",
                user_id=f"u{n % 40}",
                episode_id=n % 7 + 1,
                country=("KR", "US", "JP")[n % 3],
                utc_offset_minutes=(540, -300, -480)[n % 3],
                device=("tv", "phone")[n % 2],
                received_at=f"2026-01-05T13:{n % 60:02}:{n % 59:02}.{n:03}Z",
            )
        )
        for n in range(300)
    ]
    world.put("plays+0+0.json", *lines[:150], b"{")
    world.put("plays+1+0.json.gz", *lines[100:250], b"", lines[3])
    world.put("plays+2+0.json.gz", *lines[200:])
    return world


@pytest.mark.parametrize("buckets", [1, 2, 7, 64])
@pytest.mark.parametrize("workers", [1, 2])
def test_buckets_and_workers_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buckets: int, workers: int
) -> None:
    """Any number of buckets or workers gives the same bytes of viewership and rejects, and equal viewer hours."""
    usual, other = busy(new_world(tmp_path / "usual")), busy(new_world(tmp_path / "other", buckets=buckets))
    usual.run()
    monkeypatch.setattr(rollup_stage, "MIB", 0)  # one task a file
    other.run(engine=LocalEngine(EngineOptions(workers=workers, memory_mb=256)))
    for name in ("viewership.parquet", "rejects.parquet"):
        assert other.digests()[name] == usual.digests()[name]
    assert other.rolled().counts == usual.rolled().counts
    assert {bucket: {row[0] % buckets for row in rows} for bucket, rows in other.rolled().viewer_hour.items()} == {
        bucket: {bucket} for bucket in other.rolled().viewer_hour
    }
    rows = [sorted(row for rows in one.rolled().viewer_hour.values() for row in rows) for one in (usual, other)]
    assert rows[0] == rows[1]
    assert other.rolled() == other.expected()


def test_s3_and_folder_give_the_same_bytes(tmp_path: Path, s3_server: S3Server, s3_options: S3Options) -> None:
    """S3 gives the same bytes as folders, and a late file and a damaged file are detected there as well."""
    s3 = S3Settings(endpoint_url=s3_server.url, path_style=True)
    raw, lake = (S3Store(BUCKET, f"{tmp_path.name}/{name}", s3_options) for name in ("raw", "lake"))
    there, here = busy(World(raw, lake, s3)), busy(new_world(tmp_path))
    assert [world.run().exit_code for world in (there, here)] == [0, 0]
    assert there.digests() == here.digests()
    assert there.markers()[str(HOUR)].counts == here.markers()[str(HOUR)].counts
    assert there.run().changed == 0
    there.put("plays+0+9.json", GOOD)
    there.put_bytes("a.json.gz", gzip.compress(GOOD)[:-1], NEXT)
    report = there.run()
    assert (report.changed, report.failed) == (1, ((NEXT, 65),))
    assert there.rolled() == there.expected()


# The look-back for late files

THIRD_DAY = hour("2026-01-07T12")
AFTER = datetime(2026, 1, 8, tzinfo=UTC)


def looking_back(tmp_path: Path, **options: Any) -> World:
    """Return a world with a look-back of a day, events on the first and third day, and all 48 hours made."""
    world = new_world(tmp_path, lookback_days=1, **options)
    world.put("plays+0+0.json", GOOD)
    world.put("plays+0+1.json", line(received_at="2026-01-07T12:02:11.123Z"), period=THIRD_DAY)
    assert world.run(now=AFTER).changed == 48
    return world


def made_again(world: World, span: Span = EVER) -> list[str]:
    """Run, and return the hours that were restated."""
    before = {name: marker.generation for name, marker in world.markers().items()}
    world.run(span, now=AFTER)
    return [name for name, marker in world.markers().items() if marker.generation != before.get(name)]


def test_late_file_is_found_within_the_look_back(tmp_path: Path) -> None:
    """A late file within a day of the newest hour is found, and an older one only if its span is requested."""
    world = looking_back(tmp_path)
    yesterday = hour("2026-01-06T13")
    world.put("plays+0+9.json", line(event_id="late", received_at="2026-01-06T13:00:00Z"), period=yesterday)
    world.put("plays+0+9.json", line(event_id="later"))
    assert made_again(world) == [str(yesterday)]
    assert made_again(world, Span(HOUR.start)) == [str(HOUR)]


def test_look_back_counts_from_the_first_hour_that_is_not_done(tmp_path: Path) -> None:
    """The look-back starts at the oldest hour that is not done, so a late file after a failed hour is found."""
    world = looking_back(tmp_path, reject_lines=0)
    bad = world.put("plays+0+9.json", b"{")
    assert world.run(Span(HOUR.start), now=AFTER).failed == ((HOUR, 65),)
    world.put("plays+0+8.json", line(event_id="late", received_at=AT_NEXT), period=NEXT)
    assert made_again(world) == [str(NEXT)]
    world.raw.put(bad, GOOD)
    assert made_again(world) == [str(HOUR)]


def test_change_of_settings_looks_at_everything(tmp_path: Path) -> None:
    """A changed number of buckets makes all hours stale, so every hour is restated with its late files."""
    world = looking_back(tmp_path)
    world.put("plays+0+9.json", line(event_id="late", user_id="u9"))
    other = new_world(tmp_path, lookback_days=1, buckets=4)
    assert other.run(now=AFTER).changed == 48
    assert other.rolled() == other.expected()
    assert other.rolled().counts["rows_in"] == 2


def test_other_layout_of_folders(tmp_path: Path) -> None:
    """Any template with year, month, day and hour is a valid folder layout."""
    world = new_world(tmp_path, path="{topic}/{year}-{month}-{day}/{hour}/", topic="views")
    world.raw.put("views/2026-01-05/13/views+0+0.json", GOOD)
    world.raw.put("topics/plays/year=2026/month=01/day=05/hour=14/plays+0+0.json", GOOD)
    assert world.run().changed == 1
    assert world.rolled().counts["rows_out"] == 1
