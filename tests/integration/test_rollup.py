"""The rollup over a raw store and a lake: hours made and restated, contents of markers, and failures."""

import dataclasses
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
from unittest import mock

import pytest

from jobs.rollup import stage as rollup_stage
from jobs.rollup.stage import RollupStage
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import simulate
from marquee.calendar import EVER, Grain, Period, Span, hour
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import TryAgainError
from marquee.lake import keys
from marquee.lake.datasets import REJECTS, VIEWER_HOUR, VIEWERSHIP
from marquee.lake.files import read_output
from marquee.lake.manifest import Input, Marker, digest_inputs
from marquee.lake.markers import Markers
from marquee.lake.rows_since import rows_since
from marquee.runs.stage import RunContext
from marquee.settings.sections import S3Settings
from marquee.storage.base import S3Options
from marquee.storage.s3 import S3Store
from marquee.telemetry.logs import JsonFormatter, TextFormatter
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
    lines = {"rows_in": 12, "rows_out": 10, "duplicates": 1, "rejects": {"not_json": 1}}
    assert marker.counts == lines | {"buckets": 3, "objects": {"read": 1}}
    assert (marker.stage, marker.generation, marker.definition_version) == ("rollup", 1, rollup_stage.DEFINITION)
    assert (marker.rows(VIEWERSHIP), marker.rows(VIEWER_HOUR), marker.rows(REJECTS)) == (1, 10, 1)
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
    lines = {"rows_in": 0, "rows_out": 0, "duplicates": 0, "rejects": {}}
    assert (empty.inputs, empty.counts) == ((), lines | {"buckets": 3, "objects": {}})
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


def test_hour_without_a_play_fails(tmp_path: Path) -> None:
    """An hour of rejected lines alone fails whatever the threshold, and names files and rejects by reason."""
    world = new_world(tmp_path, reject_share=1)
    key = world.put("a.json", *[b"{"] * 60, line(country="kr"))
    assert world.run().exit_code == 65
    assert world.failures() == {
        str(HOUR): f"{HOUR}: 1 file has lines, but no play; rejected lines by reason: {key} (not_json 60, country 1). "
        "Nothing was published. Replace or remove the files, map other names of fields with MARQUEE_ROLLUP__FIELDS, or "
        "accept files and hours without plays with MARQUEE_ROLLUP__ALLOW_NO_PLAYS=true"
    }
    assert world.markers() == {}


def test_hour_without_a_play_may_be_allowed(tmp_path: Path) -> None:
    """With allow_no_plays, an hour of rejected lines alone is published if they are within the threshold."""
    world = new_world(tmp_path, allow_no_plays=True)
    world.put("a.json", b"{", b"]")
    world.run()
    assert world.rolled().viewer_hour == {}
    assert world.rolled().counts["rejects"] == {"not_json": 2}
    world.put("b.json", *[b"{"] * 99)
    assert "101 of the first 101 lines were rejected (not_json 101)" in failed(world)


def failed(world: World) -> str:
    """Run, and return why the one hour failed."""
    assert world.run().exit_code == 65
    (reason,) = world.failures().values()
    return reason


@pytest.mark.parametrize("unit", [0, 1 << 20], ids=["a task a file", "one task"])
def test_file_without_a_play_fails_its_hour(tmp_path: Path, unit: int) -> None:
    """One file without a play fails the hour, however many plays are in other files; the first three are named."""
    world = new_world(tmp_path)
    world.put("plays+0+0.json", *many(1000))
    for name in ("d", "c", "b", "a"):
        world.put(f"{name}.json", b"[", b"")
    with mock.patch.object(rollup_stage, "MIB", unit):
        reason = failed(world)
    assert reason.startswith(f"{HOUR}: 4 files have lines, but no play; rejected lines by reason: ")
    names = [key_of(f"{name}.json") for name in "abc"]
    assert (
        f"{names[0]} (blank 1, not_json 1); {names[1]} (blank 1, not_json 1); {names[2]} (blank 1, not_json 1), …"
        in reason
    )


def test_files_of_duplicates_and_of_blank_lines_are_no_fault(world: World) -> None:
    """A file of plays that were all delivered before, a file of blank lines, and an empty file fail nothing."""
    world.put("plays+0+0.json", *many(3))
    world.put("plays+0+7.json", *many(3))
    world.put("plays+1+0.json", b"", b" ", b"\t\r")
    world.put_bytes("plays+2+0.json", b"")
    assert world.run().failed == ()
    assert world.rolled().counts == {"rows_in": 9, "rows_out": 3, "duplicates": 3, "rejects": {"blank": 3}}


def test_log_names_rejects_by_reason(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The line that is logged for an hour has its rejects by reason, as a text and as JSON, and is no warning."""
    world.put("a.json", GOOD, b"{", b"[", line(country="kr"))
    with caplog.at_level(logging.INFO):
        world.run()
    [record] = [one for one in caplog.records if "published" in one.getMessage()]
    assert record.levelname == "INFO"
    assert " rows_in=4 rows_out=1 duplicates=0 rejects=country:1,not_json:2 " in TextFormatter().format(record)
    assert json.loads(JsonFormatter().format(record))["rejects"] == {"country": 1, "not_json": 2}


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


# Objects by class


def at(period: Period) -> bytes:
    """Return the line of a play in the middle of an hour."""
    return line(received_at=f"{period}:30:00.000Z")


def classes(world: World) -> dict[str, Any]:
    """Return the number of raw objects by class in the marker of each published hour."""
    return {period: marker.counts["objects"] for period, marker in world.markers().items()}


def test_objects_of_an_hour_are_counted_by_class(world: World) -> None:
    """The marker of an hour counts all objects of its folder, each in one class."""
    world.put("plays+0+0.json", GOOD)
    for name in ("plays+0+0.keys.json", "_SUCCESS", ".a.crc", "a.txt", "b.txt", "README"):
        world.put(name, b"no event")
    (world.raw.root / key_of("link.json")).symlink_to(world.raw.root / key_of("a.txt"))  # type: ignore[attr-defined]
    world = World(world.raw, world.lake, ignore=("*/README",))
    world.run()
    assert classes(world) == {
        str(HOUR): {"hidden": 2, "ignored": 1, "other_ending": 2, "read": 1, "sidecar": 1, "symlink": 1}
    }
    assert world.rolled().counts["rows_in"] == 1


def test_whole_numbers_without_zeros_are_read(world: World) -> None:
    """Hours 8 to 11 in folders of whole numbers, and hour 8 with a zero as well, have all their plays."""
    for number in (8, 9, 10, 11):
        period = hour(f"2026-11-05T{number:02}")
        for user in ("u1", "u2", "u3"):
            folder = f"topics/plays/year=2026/month=11/day=5/hour={number}"
            world.raw.put(f"{folder}/{user}.json", line(user_id=user, received_at=f"{period}:02:11Z") + b"\n")
    eight = hour("2026-11-05T08")
    world.put("late.json", line(user_id="u4", received_at="2026-11-05T08:02:11Z"), period=eight)
    assert world.run(Span.of(eight, eight), now=datetime(2026, 11, 6, tzinfo=UTC)).changed == 1
    assert world.run(now=datetime(2026, 11, 6, tzinfo=UTC)).changed == 3
    assert [marker.counts["rows_out"] for marker in world.markers().values()] == [4, 3, 3, 3]


def test_endings_of_events(world: World) -> None:
    """JSON lines are read under any of their endings, without one, and in folders below the hour's."""
    names = [
        "a.json",
        "x.jsonl",
        "x.ndjson",
        "x.json.gz",
        "plays-1-2026-01-05-04-00-00-uuid",
        "x.JSON",
        "minute=05/x.json",
    ]
    hours = list(Period.parse("2026-01-05T00").until(hour("2026-01-05T07").start))
    for period, name in zip(hours, names, strict=True):
        world.put(name, at(period), period=period)
    assert world.run().exit_code == 0
    assert [marker.counts["rows_out"] for marker in world.markers().values()] == [1] * 7


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("x.txt", "1 with another ending"),
        ("x.keys.json", "1 sidecar"),
        ("link", "1 that are symbolic links"),
        ("link of the folder", "1 that are symbolic links"),
    ],
)
def test_hour_of_which_nothing_is_read_fails(world: World, kind: str, words: str) -> None:
    """An hour with objects of which none is read is never published as empty: it fails, and its neighbours do not.

    The failure says of the objects what the warning of the run says.
    """
    for period in (HOUR, LAST):
        world.put("a.json", at(period), period=period)
    folder = world.raw.root / key_of("", NEXT)  # type: ignore[attr-defined]
    if kind == "link of the folder":
        folder.symlink_to(world.raw.root / key_of("", HOUR), target_is_directory=True)  # type: ignore[attr-defined]
        key = key_of("", NEXT).removesuffix("/")
    else:
        key = key_of("x.json" if kind == "link" else kind, NEXT)
        folder.mkdir()
        if kind != "link":
            (folder / kind).write_bytes(at(NEXT))
        else:
            (folder / "x.json").symlink_to(world.raw.root / key_of("a.json"))  # type: ignore[attr-defined]
    for _ in range(2):
        report = world.run()
        assert (report.exit_code, report.failed, list(world.markers())) == (65, ((NEXT, 65),), [str(HOUR), str(LAST)])
    reason = world.failures()[str(NEXT)]
    assert reason.startswith(f"{NEXT}: none of the objects in its folder is read: {words}, such as {key!r}. Nothing")
    assert "MARQUEE_ROLLUP__IGNORE" in reason
    assert world.run(force=True, span=Span.of(NEXT, NEXT)).exit_code == 65


@pytest.mark.parametrize("epoch", [hour("1970-01-21T11"), hour("2010-12-31T23")])
def test_object_of_1970_makes_no_hours(world: World, caplog: pytest.LogCaptureFixture, epoch: Period) -> None:
    """An object of January 1970 is counted with a warning, and half a million empty hours are not made."""
    world.put("a.json", GOOD)
    world.put("a.json", at(epoch), period=epoch)
    assert (world.run().changed, list(world.markers())) == (1, [str(HOUR)])
    assert (
        f"1 in no hour's folder, or in that of an implausible hour, such as '{key_of('a.json', epoch)}'" in caplog.text
    )


def test_hours_of_a_day_that_is_a_link_fail(world: World) -> None:
    """The hours of a day whose folder is a link are not published as empty; other empty hours are."""
    days = [hour(f"2026-01-{day}T00") for day in ("05", "06", "07")]
    for period in days:
        world.put("a.json", at(period), period=period)
    folder = world.raw.root / "topics/plays/year=2026/month=01"  # type: ignore[attr-defined]
    (folder / "day=06").rename(world.raw.root / "elsewhere")  # type: ignore[attr-defined]
    (folder / "day=06").symlink_to(world.raw.root / "elsewhere")  # type: ignore[attr-defined]
    report = world.run(now=datetime(2026, 1, 8, tzinfo=UTC))
    assert (report.changed, report.failed) == (
        25,
        tuple((one, 65) for one in Period.parse("2026-01-06").parts(Grain.HOUR)),
    )


def test_hour_that_failed_for_its_names_is_made_when_they_are_right(world: World) -> None:
    """An hour at the edge that failed for its names is made once its objects have an ending that is read."""
    world.put("a.json", GOOD)
    world.put("x.txt", at(NEXT), period=NEXT)
    assert world.run().failed == ((NEXT, 65),)
    world.put("x.jsonl", at(NEXT), period=NEXT)
    assert world.run().exit_code == 0
    assert world.failures() == {}
    assert classes(world)[str(NEXT)] == {"other_ending": 1, "read": 1}


def test_empty_hour_that_gets_unread_objects_fails(world: World) -> None:
    """An hour that was published as empty fails once it has objects that are not read, until they are expected."""
    for period in (HOUR, LAST):
        world.put("a.json", at(period), period=period)
    assert world.run().changed == 3
    world.put("x.txt", at(NEXT), period=NEXT)
    assert world.run().failed == ((NEXT, 65),)
    expected = World(world.raw, world.lake, ignore=("*.txt",))
    report = expected.run()
    assert (report.exit_code, report.changed, world.failures(), report.note) == (0, 0, {}, "")


def test_quiet_objects_alone_are_an_empty_hour(world: World) -> None:
    """Hidden names, folder markers and sidecars of nothing are no events: an hour with nothing else is empty."""
    for period in (HOUR, LAST):
        world.put("a.json", at(period), period=period)
    world.put("_SUCCESS", b"x", period=NEXT)
    for name in ("plays+0+0.keys.json", "minute=05_$folder$"):
        world.put_bytes(name, b"", NEXT)
    assert world.run().changed == 3
    assert classes(world)[str(NEXT)] == {"folder_marker": 1, "hidden": 1, "sidecar": 1}


def test_published_hour_stands_when_only_unread_objects_are_left(world: World) -> None:
    """An hour with plays stays as published when its raw events expire and another object stays."""
    key = world.put("a.json", GOOD)
    world.put("x.txt", b"x")
    world.run()
    world.raw.delete(key)
    report = world.run()
    assert (report.changed, report.exit_code, world.failures()) == (0, 0, {})
    assert world.rolled().counts["rows_out"] == 1


def test_object_that_is_ignored_later_leaves_its_hour(world: World) -> None:
    """A pattern that names an object which was read makes its hour again without it."""
    world.put("a.json", GOOD)
    world.put("README", line(event_id="e2"))
    world.run()
    assert world.rolled().counts["rows_out"] == 2
    world = World(world.raw, world.lake, ignore=("*/README",))
    assert world.run().changed == 1
    assert world.rolled().counts["rows_out"] == 1
    assert world.run().changed == 0


def test_unexpected_objects_are_one_warning(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Unexpected objects are one warning with numbers and examples, however often a process runs, and in the note."""
    world.put("a.json", GOOD)
    world.put("x.txt", b"x")
    world.raw.put("topics/plays/a.json", GOOD)
    world.raw.put("topics/plays/year=2062/month=01/day=05/hour=13/a.json", GOOD)
    said = (
        f"raw objects that are never read in {world.raw.url}: 1 with another ending, such as '{key_of('x.txt')}'; "
        "2 in no hour's folder, or in that of an implausible hour, such as 'topics/plays/a.json'. Check names and "
        "folders, and MARQUEE_ROLLUP__PATH; or name what is expected in MARQUEE_ROLLUP__IGNORE"
    )
    assert [world.run().note, world.run().note] == [said, said]
    assert [one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == [f"rollup: {said}"]


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
    """A late file of an hour whose other files are gone changes nothing, and blocks nothing."""
    before = three_hours(world)
    world.put("plays+0+9.json", line(event_id="late"))
    world.raw.delete(key_of("plays+0+0.json"))
    report = world.run()
    assert (report.changed, report.unchanged, report.failed) == (0, 3, ())
    assert runs(world) == before


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"slack_minutes": 5}, id="slack"),
        pytest.param({"fields": {"device": "event.country"}}, id="names of fields"),
    ],
)
def test_settings_that_decide_make_hours_stale(world: World, options: dict[str, Any]) -> None:
    """A change of a setting that determines results makes all hours stale."""
    three_hours(world)
    other = World(world.raw, world.lake, reject_share=1, allow_no_plays=True, **options)
    assert other.run().changed == 3
    assert [generation for generation, _ in runs(other).values()] == [2, 2, 2]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"reject_share": 0.5, "reject_lines": 7}, id="threshold"),
        pytest.param({"allow_no_plays": True}, id="plays"),
        pytest.param({"buckets": 4}, id="buckets"),
        pytest.param({"buckets": "auto"}, id="buckets from the data"),
        pytest.param({"unit_mb": 1}, id="size of tasks"),
        pytest.param({"grace_minutes": 1}, id="grace"),
    ],
)
def test_other_settings_change_nothing(world: World, options: dict[str, Any]) -> None:
    """A change of threshold, buckets, task size or grace makes no hour stale."""
    three_hours(world)
    assert World(world.raw, world.lake, **options).run().changed == 0


def test_force_makes_an_hour_again(world: World) -> None:
    """With force, an hour is made again with the same bytes, and its marker says since which run it has them."""
    three_hours(world)
    before = world.digests(NEXT)
    first = world.markers()[str(NEXT)]
    assert world.run(Span.of(NEXT, NEXT), force=True).changed == 1
    assert runs(world)[str(NEXT)][0] == 2
    assert world.digests(NEXT) == before
    assert rows_since(world.markers()[str(NEXT)]) == (1, first.run_id)


# Failures


@pytest.mark.parametrize(
    ("options", "good", "bad", "fails"),
    [
        pytest.param({}, 1, 100, False, id="100 of 101"),
        pytest.param({}, 1, 101, True, id="101 of 102"),
        pytest.param({}, 0, 1, True, id="1 of 1"),
        pytest.param({}, 10_000, 101, False, id="101 of 10,101, which is less than 1 %"),
        pytest.param({}, 9_998, 101, True, id="101 of 10,099, which is more than 1 %"),
        pytest.param({"reject_lines": 0, "reject_share": 0.5}, 2, 2, False, id="half allowed, half rejected"),
        pytest.param({"reject_lines": 0, "reject_share": 0.5}, 2, 3, True, id="half allowed, more rejected"),
        pytest.param({"reject_lines": 0, "reject_share": 0}, 10_000, 1, True, id="none allowed"),
        pytest.param({"reject_lines": 5, "reject_share": 0}, 1, 5, False, id="five allowed"),
    ],
)
def test_threshold_of_rejected_lines(tmp_path: Path, options: dict[str, Any], good: int, bad: int, fails: bool) -> None:
    """An hour without plays fails, and one whose rejects exceed both the line limit and the share."""
    world = new_world(tmp_path, **options)
    world.put("a.json", *many(good), *[b"x"] * bad)
    assert world.run().exit_code == (65 if fails else 0)
    assert len(world.markers()) == (0 if fails else 1)


def test_bad_hour_publishes_nothing_and_says_why(world: World) -> None:
    """A bad hour publishes nothing, and its failure marker has reasons and remedy until the hour is mended."""
    three_hours(world)
    before = runs(world)
    good = line(event_id="good", received_at=AT_NEXT)
    key = world.put("plays+0+9.json", good, *[b"{"] * 60, *[line(country="kr", received_at=AT_NEXT)] * 60, period=NEXT)
    world.put("plays+0+9.json", line(event_id="late", received_at=AT_LAST), period=LAST)
    report = world.run()
    assert (report.changed, report.exit_code, report.failed) == (1, 65, ((NEXT, 65),))
    assert runs(world)[str(NEXT)] == before[str(NEXT)]
    counted = "120 of 122 lines were rejected (country 60, not_json 60), 100 are allowed"
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
        pytest.param("b.json.gz", b"PK\x03\x04" + GOOD, id="zip"),
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
    rejected += [of_user + b"x", of_user[:-1], b"<" + of_user, of_user + b"\xff", line(user_id=[CANARY])]
    world.put("a.json", of_user, *rejected)
    world.put("a.json", *rejected * 20, period=NEXT)
    world.put("a.json", line(received_at="2026-01-05T17:00:00Z"), *rejected * 20, period=LAST.next().next())
    world.put_bytes("a.json.gz", gzip.compress(lines_of(*[of_user] * 100))[:-1], LAST)
    world.put_bytes("a.avro", of_user, LAST.next())
    assert [code for _, code in world.run().failed] == [65, 65, 65, 65]
    assert len(world.rolled().rejects) == len(rejected)
    told = caplog.text + "".join(world.lake.get(info.key).decode() for info in world.lake.list("markers/"))
    assert "lines were rejected" in told
    assert "has lines, but no play" in told
    assert CANARY not in told
    assert SECRET not in told
    marker = world.markers()[str(HOUR)]
    for output in (*marker.of(VIEWERSHIP), *marker.of(VIEWER_HOUR)):
        assert CANARY not in str(read_output(world.lake, output).to_pydict())


def test_command_ends_with_the_code(tmp_path: Path) -> None:
    """The process ``python -m jobs.rollup`` ends with 65, and its JSON log has the reason but no content of lines."""
    world = new_world(tmp_path)
    world.put("a.json", GOOD, *[line(country=CANARY)] * 101)
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
    assert "101 of 102 lines were rejected (country 101)" in error["message"]
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


@pytest.mark.parametrize(
    ("objects", "buckets"),
    [
        pytest.param([], 1, id="none"),
        pytest.param([("a.json.gz", 16 << 20)], 1, id="16 MiB"),
        pytest.param([("a.json.gz", 16 << 20), ("b.parquet", 1)], 2, id="more"),
        pytest.param([("a.json.gz", 33 << 20)], 4, id="a power of two"),
        pytest.param([("a.json", 128 << 20), ("b.JSONL", 7)], 1, id="plain lines"),
        pytest.param([("a.json", 256 << 20), ("b.avro", 1)], 4, id="plain lines and others"),
        pytest.param([("a.json.gz", 1 << 40)], 4096, id="at most"),
    ],
)
def test_buckets_from_the_data(objects: list[tuple[str, int]], buckets: int) -> None:
    """An hour has a bucket for each 16 MiB of raw objects, of which 8 bytes of plain lines count as one."""
    assert rollup_stage.buckets_for([Input(name, "", size) for name, size in objects]) == buckets


def test_hour_has_buckets_from_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default each hour has buckets for its own data, and its marker says how many."""
    world = new_world(tmp_path, buckets="auto")
    world.put("a.json.gz", *many(40))
    world.put("a.json.gz", *many(400, received_at=AT_NEXT), period=NEXT)
    sizes = [info.size for info in world.raw.list("")]
    monkeypatch.setattr(rollup_stage, "BUCKET_BYTES", sizes[0])
    world.run()
    numbers = [marker.counts["buckets"] for marker in world.markers().values()]
    assert numbers == [1, 1 << (-(-sizes[1] // sizes[0]) - 1).bit_length()]
    assert numbers[1] > 1


def test_hours_of_an_earlier_version_are_not_made_again(world: World) -> None:
    """A marker with the number of buckets among its parameters, as they were, is of the same hour."""
    world.put("a.json", GOOD)
    world.run()
    (key,) = [info.key for info in world.lake.list("markers/rollup/") if info.key.endswith("_SUCCESS")]
    marker = Marker.from_json(world.lake.get(key), key, "")
    before = {**marker.parameters, "buckets": 3}
    counts = {name: value for name, value in marker.counts.items() if name != "buckets"}
    digest = digest_inputs(marker.inputs, before, marker.definition_version)
    old = dataclasses.replace(marker, parameters=before, counts=counts, inputs_digest=digest)
    world.lake.put(key, old.to_json())
    for buckets in (3, 4, "auto"):
        assert World(world.raw, world.lake, buckets=buckets).run().unchanged == 1
    assert World(world.raw, world.lake, slack_minutes=5).run().changed == 1


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


def test_files_and_tasks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same 20,000 plays in one task or in many, of one file or of nine, give the same bytes of all viewer hours."""
    plays = [
        line(
            event_id=f"e{n % 19_000}",  # a thousand are repeated, later and with other seconds
            user_id=f"u{n % 500}",
            episode_id=1 + n % 43,
            language=("ko", "pt-BR", "en")[n % 3],
            watched_seconds=n % 3601,
            received_at=f"2026-01-05T13:{n // 400:02}:{n % 60:02}.123Z",
        )
        for n in range(20_000)
    ]
    found = []
    for files, workers in ((1, 1), (9, 1), (9, 2), (4, 3)):
        world = new_world(tmp_path / f"{files} {workers}")
        for number in range(files):
            some = plays[number::files]
            world.put(f"plays+{number}+0.json" + ".gz" * (number % 2), *(some if workers == 1 else reversed(some)))
        with monkeypatch.context() as patch:
            if workers > 1:
                patch.setattr(rollup_stage, "MIB", 0)  # one task a file
            world.run(engine=LocalEngine(EngineOptions(workers=workers, memory_mb=384)))
        found.append((world.digests(), world.rolled().counts))
    assert found[1:] == found[:1] * 3
    assert len(found[0][0]) == BUCKETS + 1  # and the viewership, and no rejects
    assert found[0][1] == {"rows_in": 20_000, "rows_out": 19_000, "duplicates": 1_000, "rejects": {}}


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
    """A changed slack makes all hours stale, so every hour is restated with its late files."""
    world = looking_back(tmp_path)
    world.put("plays+0+9.json", line(event_id="late", user_id="u9"))
    other = new_world(tmp_path, lookback_days=1, slack_minutes=5)
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
