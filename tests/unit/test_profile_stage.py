"""When a day and a period can be profiled, from which inputs and settings. Hours have markers, but no plays."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import gcd
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.buckets import in_bucket
from jobs.profile.files import fetch
from jobs.profile.settings import ProfileSettings
from jobs.profile.sittings import LONGEST_PLAY
from jobs.profile.stage import ProfileStage
from jobs.rollup.contract import MAX_WATCHED_SECONDS
from marquee.calendar import EVER, Period, Span, day
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import BadInputError, ConfigError
from marquee.lake import keys
from marquee.lake.coverage import coverage_of
from marquee.lake.datasets import VIEWER_HOUR
from marquee.lake.manifest import Failure, Marker
from marquee.lake.markers import Markers
from marquee.lake.pending import write_pending
from marquee.runs.stage import Report, run_stage
from marquee.settings.loading import load_settings
from marquee.storage.local import LocalStore
from tests.oracle.audience import Play
from tests.oracle.lake import roll_up

DAY = "2026-01-05"
NOON = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - UTC without a zone
ENGINE = LocalEngine(EngineOptions(workers=1, memory_mb=200))


def days_of(lake: LocalStore) -> ProfileStage:
    """Return the stage of days with fresh markers."""
    return ProfileStage(ProfileSettings(lake=lake.url), Markers(lake), ENGINE)


def run_days(lake: LocalStore, span: Span = EVER) -> Report:
    """Run the stage of days."""
    markers = Markers(lake)
    return run_stage(ProfileStage(ProfileSettings(lake=lake.url), markers, ENGINE), markers, span)


def fail(lake: LocalStore, hour: str, generation: int = 1) -> None:
    """Record that the rollup of an hour failed because of bad input."""
    failure = Failure(
        keys.ROLLUP, hour, "r", generation, "bad_input", 65, "99 lines were rejected", "2026-01-07T00:00:00.000+00:00"
    )
    lake.put(keys.failed_key(keys.ROLLUP, Period.parse(hour)), failure.to_json())


def waiting(lake: LocalStore) -> dict[str, str]:
    """Return what days wait for, as status shows it."""
    stage = days_of(lake)
    return {str(one): stage.waits_for(one) for one in stage.periods(EVER) if stage.target(one) is None}


def run_audience(lake: LocalStore) -> Report:
    """Run the stage of audiences."""
    markers = Markers(lake)
    return run_stage(AudienceStage(ProfileSettings(lake=lake.url), markers, ENGINE), markers)


def covered(lake: LocalStore, stage: str) -> dict[str, str]:
    """Return the hours of a stage's periods."""
    return {str(period): str(coverage_of(marker)) for period, marker in Markers(lake).of(stage).items()}


def input_etags(marker: Marker) -> dict[str, str]:
    """Return the etags of a marker's inputs by name."""
    return {one.name: one.etag for one in marker.inputs}


def names(periods: Sequence[Period]) -> list[str]:
    """Return the names of periods."""
    return [str(period) for period in periods]


def input_names(lake: LocalStore, period: str) -> list[str] | None:
    """Return the names of the inputs of a day, or None if it has to wait."""
    target = days_of(lake).target(day(period))
    return None if target is None else [one.name for one in target.inputs]


def test_no_hour_no_day(lake: LocalStore) -> None:
    """Before the first rollup no day is due."""
    assert days_of(lake).periods(EVER) == []


def test_run_without_hours_says_so(lake: LocalStore) -> None:
    """A run without hours reports what is missing and the command that makes it."""
    report = run_days(lake)
    assert (report.exit_code, report.note) == (0, "nothing is rolled up yet: run `marquee rollup` first")


def test_run_over_a_period_without_hours_names_those_there_are(lake: LocalStore) -> None:
    """A run over a period without hours names the first and the last hour that is rolled up."""
    roll_up(lake, [], "2026-01-05T23", "2026-01-07T00")
    report = run_days(lake, Span.of(day("2026-01-09"), day("2026-01-09")))
    note = "no hour of this period is rolled up; rolled-up hours are from 2026-01-05T23 to 2026-01-07T00"
    assert (report.exit_code, report.note) == (0, note)


def test_run_over_a_day_that_waits_says_for_what(lake: LocalStore) -> None:
    """A run over a day that waits names the missing registry of the day before."""
    roll_up(lake, [], "2026-01-05T23", "2026-01-07T00")
    report = run_days(lake, Span.of(day("2026-01-06"), day("2026-01-06")))
    assert (report.exit_code, report.note) == (0, "2026-01-06 waits for profile 2026-01-05")


def test_run_that_finds_all_done_has_nothing_to_say(lake: LocalStore) -> None:
    """A run that finds everything done has no note."""
    roll_up(lake, [], "2026-01-05T22", "2026-01-05T23")
    assert (run_days(lake).note, run_days(lake).note) == ("", "")


def test_days_with_hours_are_due(lake: LocalStore) -> None:
    """The days with at least one rolled-up hour are due."""
    roll_up(lake, [], "2026-01-05T23", "2026-01-07T00")
    stage = days_of(lake)
    assert names(stage.periods(EVER)) == ["2026-01-05", "2026-01-06", "2026-01-07"]
    assert names(stage.periods(Span.of(day("2026-01-06"), day("2026-01-06")))) == ["2026-01-06"]


def test_first_day_is_made_of_what_is_there(lake: LocalStore) -> None:
    """The first day of the lake is made of its hours, without the registry of a day before."""
    roll_up(lake, [], "2026-01-05T22", "2026-01-06T01")
    assert input_names(lake, "2026-01-05") == ["rollup/2026-01-05T22/viewer_hour", "rollup/2026-01-05T23/viewer_hour"]


def test_day_waits_for_the_day_before(lake: LocalStore) -> None:
    """A later day waits for the registry of the day before, and the last day is made to date."""
    roll_up(lake, [], "2026-01-05T23", "2026-01-06T01")
    assert input_names(lake, "2026-01-06") is None
    run_days(lake, Span.of(day("2026-01-05"), day("2026-01-05")))
    assert input_names(lake, "2026-01-06") == [
        "rollup/2026-01-06T00/viewer_hour",
        "rollup/2026-01-06T01/viewer_hour",
        "profile/2026-01-05/viewer_seen",
    ]


def test_day_with_a_missing_hour_waits_and_so_do_those_after_it(lake: LocalStore) -> None:
    """A missing hour holds up its day and all later days, but not the days before."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-06T10")
    roll_up(lake, [], "2026-01-06T12", "2026-01-07T03")
    report = run_days(lake)
    assert [marker.period for marker in report.made] == ["2026-01-05"]
    assert report.exit_code == 0
    roll_up(lake, [], "2026-01-06T11", "2026-01-06T11")
    assert [marker.period for marker in run_days(lake).made] == ["2026-01-06", "2026-01-07"]


@pytest.mark.parametrize("damaged", ["2026-01-06T00", "2026-01-06T11", "2026-01-07T03"])
def test_day_waits_for_an_hour_whose_marker_is_damaged(lake: LocalStore, damaged: str) -> None:
    """A day waits for an hour whose marker is damaged, also for the last hour of the lake, and says so."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-07T03")
    lake.put(f"markers/rollup/{damaged}/_SUCCESS", b"{")
    made = [marker.period for marker in run_days(lake).made]
    waiting = damaged[:10]
    assert made == [name for name in ("2026-01-05", "2026-01-06") if name < waiting]
    assert days_of(lake).waits_for(day(waiting)) == f"waits for rollup {damaged}: its marker is damaged"


def test_hour_without_buckets_in_its_marker_fails_its_day(lake: LocalStore) -> None:
    """An hour whose marker has lost its number of buckets fails its day with 70, by name."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T03")
    key = "markers/rollup/2026-01-05T02/_SUCCESS"
    lake.put(key, json.dumps(json.loads(lake.get(key)) | {"parameters": {}}).encode())
    assert [(str(period), code) for period, code in run_days(lake).failed] == [("2026-01-05", 70)]
    reason = Markers(lake).failures("profile")[day("2026-01-05")].reason
    assert reason.startswith(f"{key} is damaged: expected the number of viewer buckets")


def test_day_waits_for_the_damaged_day_before(lake: LocalStore) -> None:
    """A day waits for the day before while that one's marker is damaged; audience waits for the days of its period."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-06T03")
    run_days(lake)
    lake.put("markers/profile/2026-01-05/_SUCCESS", b"{")
    assert [(str(period), code) for period, code in run_days(lake).failed] == [("2026-01-05", 70)]
    why = "waits for profile 2026-01-05: its marker is damaged"
    assert (days_of(lake).target(day("2026-01-06")), days_of(lake).waits_for(day("2026-01-06"))) == (None, why)
    audience = AudienceStage(ProfileSettings(lake=lake.url), Markers(lake), ENGINE)
    assert names(audience.periods(EVER)) == ["2026-01-05", "2026-01-06", "2026-W02", "2026-01", "2026-Q1"]
    waiting = [str(period) for period in audience.periods(EVER) if audience.target(period) is None]
    assert waiting == ["2026-01-05", "2026-W02", "2026-01", "2026-Q1"]
    assert {audience.waits_for(Period.parse(period)) for period in waiting} == {why}


def test_audience_waits_for_a_capture_whose_marker_is_damaged(lake: LocalStore) -> None:
    """Audience waits while a capture's marker is damaged: its plays could count for unknown shows otherwise."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T03")
    run_days(lake)
    lake.put("markers/schedule_fetch/2026-01-01/_SUCCESS", b"{")
    audience = AudienceStage(ProfileSettings(lake=lake.url), Markers(lake), ENGINE)
    assert audience.target(day("2026-01-05")) is None
    assert audience.waits_for(day("2026-01-05")) == "waits for schedule_fetch 2026-01-01: its marker is damaged"


@pytest.mark.parametrize(
    ("first", "last", "failed"),
    [
        pytest.param("2026-01-05T01", "2026-01-05T23", "2026-01-05T00", id="the first hour of the lake"),
        pytest.param("2026-01-05T00", "2026-01-05T22", "2026-01-05T23", id="the last hour of the lake"),
    ],
)
def test_day_waits_for_a_failed_hour_at_its_edge(lake: LocalStore, first: str, last: str, failed: str) -> None:
    """A day of which 23 hours are rolled up is not made while the other one has failed, at any edge of the lake."""
    roll_up(lake, [], first, last)
    fail(lake, failed)
    report = run_days(lake)
    assert (report.made, report.exit_code) == ((), 0)
    assert report.note == f"2026-01-05 waits for rollup {failed}, which failed with exit code 65"
    roll_up(lake, [], failed, failed)
    (made,) = run_days(lake).made
    assert (made.counts["hours"], made.counts["hours_expected"]) == (24, 24)


def test_day_waits_for_hours_that_have_events_and_that_no_run_has_made(lake: LocalStore) -> None:
    """A day waits for hours that a killed rollup listed but did not make, and for the later days too."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T21")
    write_pending(lake, keys.ROLLUP, [Period.parse(f"2026-01-05T{number}") for number in (21, 22, 23)])
    assert waiting(lake) == {
        "2026-01-05": "waits for rollup 2026-01-05T22, which has raw events (2 hours of the day are missing)"
    }
    roll_up(lake, [], "2026-01-05T22", "2026-01-05T23")
    assert waiting(lake) == {}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b'{"periods": ["2026-01"]}', b'{"periods": [1]}', b"[" * 99_999]
)
def test_damaged_list_of_pending_hours_stops_nothing(
    lake: LocalStore, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """A list of pending hours that cannot be read counts as empty, with a warning that names it."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T21")
    lake.put(keys.pending_key(keys.ROLLUP), body)
    assert waiting(lake) == {}
    assert "markers/rollup/_PENDING is not a list of hours" in caplog.text


def test_day_waits_while_a_late_file_of_it_cannot_be_read(lake: LocalStore) -> None:
    """An hour that failed when it was made again holds up its day, but not the days after a day that was made."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T23")
    assert len(run_days(lake).made) == 1
    fail(lake, "2026-01-05T13", generation=2)
    roll_up(lake, [], "2026-01-06T00", "2026-01-06T23")
    assert waiting(lake) == {"2026-01-05": "waits for rollup 2026-01-05T13, which failed with exit code 65"}
    assert [marker.period for marker in run_days(lake).made] == ["2026-01-06"]


def test_day_of_failed_hours_alone_is_listed_and_holds_up_the_days_after(lake: LocalStore) -> None:
    """A day whose only hours have failed waits, and the next day waits for it; a distant failure adds no other days."""
    fail(lake, "2020-02-29T00")
    fail(lake, "2026-01-05T22")
    fail(lake, "2026-01-05T23")
    roll_up(lake, [], "2026-01-06T00", "2026-01-06T23")
    assert waiting(lake) == {
        "2020-02-29": "waits for rollup 2020-02-29T00, which failed with exit code 65",
        "2026-01-05": (
            "waits for rollup 2026-01-05T22, which failed with exit code 65 (2 hours of the day are missing)"
        ),
        "2026-01-06": "waits for profile 2026-01-05",
    }


def test_day_whose_only_hour_failed_is_all_there_is(lake: LocalStore) -> None:
    """Without any rolled-up hour, the days of failed hours wait, and the run says so."""
    fail(lake, "2026-01-05T23")
    report = run_days(lake)
    assert (report.made, report.note) == (
        (),
        "2026-01-05 waits for rollup 2026-01-05T23, which failed with exit code 65",
    )


def test_markers_count_the_hours_to_date(lake: LocalStore) -> None:
    """The markers of a day, week, month and quarter to date count their hours and the hours of the period."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-06T21")
    run_days(lake)
    assert covered(lake, keys.PROFILE) == {"2026-01-05": "24 of 24 hours", "2026-01-06": "22 of 24 hours"}
    run_audience(lake)
    assert covered(lake, keys.AUDIENCE) == {
        "2026-01-05": "24 of 24 hours",
        "2026-01-06": "22 of 24 hours",
        "2026-W02": "46 of 168 hours",
        "2026-01": "46 of 744 hours",
        "2026-Q1": "46 of 2,160 hours",
    }


def test_hour_without_plays_is_counted(lake: LocalStore) -> None:
    """An hour without plays changes no rows of its day, but the day's audience counts it, in a new generation."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T22")
    run_days(lake)
    assert [marker.period for marker in run_audience(lake).made] == ["2026-01-05", "2026-W02", "2026-01", "2026-Q1"]
    roll_up(lake, [], "2026-01-05T23", "2026-01-05T23")
    run_days(lake)
    (before,) = {one.inputs_digest for period, one in Markers(lake).of(keys.AUDIENCE).items() if str(period) == DAY}
    made = {marker.period: marker for marker in run_audience(lake).made}
    assert made[DAY].inputs_digest != before
    assert [name for name in input_etags(made[DAY]) if name.endswith("/hours")] == []
    assert covered(lake, keys.AUDIENCE) == {
        "2026-01-05": "24 of 24 hours",
        "2026-W02": "24 of 168 hours",
        "2026-01": "24 of 744 hours",
        "2026-Q1": "24 of 2,160 hours",
    }
    assert run_audience(lake).made == ()


def test_markers_of_earlier_versions_are_counted_by_their_inputs(lake: LocalStore) -> None:
    """A marker without hours has those of its inputs: the hours of a day, or 24 for each day of an audience."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T23")
    run_days(lake)
    run_audience(lake)
    found = []
    for stage, period in ((keys.PROFILE, DAY), (keys.AUDIENCE, "2026-W02")):
        marker = Markers(lake).of(stage)[Period.parse(period)]
        counts = {name: count for name, count in marker.counts.items() if not name.startswith("hours")}
        found.append(str(coverage_of(replace(marker, counts=counts))))
    assert found == ["24 of 24 hours", "24 of 168 hours"]
    assert coverage_of(Markers(lake).of(keys.ROLLUP)[Period.parse(f"{DAY}T00")]) is None


def test_last_day_grows(lake: LocalStore) -> None:
    """A new hour makes the last day of the lake stale, and no other day."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-06T01")
    assert len(run_days(lake).made) == 2
    roll_up(lake, [], "2026-01-06T02", "2026-01-06T02")
    report = run_days(lake)
    assert [(marker.period, marker.generation) for marker in report.made] == [("2026-01-06", 2)]
    assert report.unchanged == 1


def test_day_has_the_buckets_of_its_largest_hour(lake: LocalStore) -> None:
    """A day has as many buckets as the hour that has the most, and as the day before: later days have no fewer."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T11", buckets=2)
    roll_up(lake, [], "2026-01-05T12", "2026-01-05T23", buckets=8)
    roll_up(lake, [], "2026-01-06T00", "2026-01-06T23", buckets=4)
    roll_up(lake, [], "2026-01-07T00", "2026-01-07T23", buckets=16)
    assert [marker.counts["buckets"] for marker in run_days(lake).made] == [8, 8, 16]


def test_hours_under_different_keys_are_refused(lake: LocalStore) -> None:
    """A day with hours under different viewer keys fails, and names the fingerprints of both keys."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T11")
    roll_up(lake, [], "2026-01-05T12", "2026-01-05T23", viewer_key="other")
    assert run_days(lake).failed == ((day("2026-01-05"), BadInputError.exit_code),)
    reason = Markers(lake).failures(keys.PROFILE)[day("2026-01-05")].reason
    assert reason == (
        "rollup 2026-01-05T00 has viewers by key k, rollup 2026-01-05T12 by key other. The key must be the same in the "
        "whole lake. Correct MARQUEE_ROLLUP__VIEWER_KEY, and run rollup, then profile, over the periods that differ"
    )


VIEWERS = [(1 << 63) + 1, *range(1, 40)]


@pytest.mark.parametrize(("own", "buckets"), [(1, 4), (4, 1), (4, 4), (4, 16), (16, 4), (3, 4), (6, 4)])
def test_files_of_other_buckets(lake: LocalStore, tmp_path: Path, own: int, buckets: int) -> None:
    """A bucket of any number has the rows of its viewers, from files of any other number."""
    plays = [
        Play(viewer=viewer, episode=1, country="KR", language="ko", received_at=NOON, watched_seconds=60)
        for viewer in VIEWERS
    ]
    roll_up(lake, plays, "2026-01-05T12", "2026-01-05T12", buckets=own)
    marker = Markers(lake).of(keys.ROLLUP)[Period.parse("2026-01-05T12")]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for bucket in range(buckets):
        parts = in_bucket(marker, VIEWER_HOUR, bucket, buckets)
        tables = [pq.read_table(path) for path in fetch(lake, parts, scratch)]
        found = sorted(viewer for table in tables for viewer in table["viewer"].to_pylist())
        assert found == sorted(viewer for viewer in VIEWERS if viewer % buckets == bucket)
    read = sum(len(in_bucket(marker, VIEWER_HOUR, bucket, buckets)) for bucket in range(buckets))
    assert read == own * buckets // gcd(own, buckets)  # no more than have to be read


def test_periods_are_those_of_profiled_days_by_their_ends(lake: LocalStore) -> None:
    """The periods of the profiled days come in the order in which they end."""
    roll_up(lake, [], "2026-01-31T23", "2026-02-01T00")
    run_days(lake)
    stage = AudienceStage(ProfileSettings(lake=lake.url), Markers(lake), ENGINE)
    expected = ["2026-01-31", "2026-01", "2026-02-01", "2026-W05", "2026-02", "2026-Q1"]
    assert names(stage.periods(EVER)) == expected
    february = Span.of(Period.parse("2026-02"), Period.parse("2026-02"))
    assert names(stage.periods(february)) == ["2026-02-01", "2026-W05", "2026-02", "2026-Q1"]


def test_period_is_made_of_its_profiled_days(lake: LocalStore) -> None:
    """The inputs of a period are two datasets of each day, the registry of the last day, and the catalogue."""
    roll_up(lake, [], "2026-01-31T23", "2026-02-02T00")
    run_days(lake)
    stage = AudienceStage(ProfileSettings(lake=lake.url), Markers(lake), ENGINE)
    target = stage.target(Period.parse("2026-02"))
    assert target is not None
    assert [one.name for one in target.inputs] == [
        "profile/2026-02-01/viewer_day",
        "profile/2026-02-01/sitting_day",
        "profile/2026-02-02/viewer_day",
        "profile/2026-02-02/sitting_day",
        "profile/2026-02-02/viewer_seen",
        "catalogue",
        "profile/2026-02-02/hours",
    ]


def test_every_threshold_stands_in_the_marker_of_what_it_decides(lake: LocalStore) -> None:
    """The marker of a day has the thresholds of sittings, and that of an audience all thresholds, as plain JSON."""
    settings = ProfileSettings(lake=lake.url)
    days, audience = (stage(settings, Markers(lake), ENGINE).parameters for stage in (ProfileStage, AudienceStage))
    assert days == {"binge_episodes": 3, "sitting_gap_seconds": 1800}
    assert json.loads(json.dumps(audience)) == {
        "reach_seconds": 120,
        "near_sole_share": 0.9,
        "multilingual_share": 0.1,
        "multilingual_seconds": 1800,
        "loyal_share": 0.5,
        "sitting_gap_seconds": 1800,
        "binge_episodes": 3,
        "binge_completion": 0.7,
        "step_completion": 0.7,
        "step_days": 14,
        "order_reach": 15,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("NEAR_SOLE_SHARE", "1.1", id="a share above 1"),
        pytest.param("LOYAL_SHARE", "0", id="a share of nothing"),
        pytest.param("BINGE_COMPLETION", "0.1234", id="a share too exact"),
        pytest.param("BINGE_EPISODES", "6", id="a binge longer than a long one"),
        pytest.param("ORDER_REACH", "0", id="an order of shows that reached nobody"),
    ],
)
def test_senseless_thresholds_are_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An invalid threshold is refused before any work, and the message names its setting."""
    monkeypatch.setenv("MARQUEE_LAKE", tmp_path.as_uri())
    monkeypatch.setenv(f"MARQUEE_PROFILE__{name}", value)
    with pytest.raises(ConfigError, match=f"MARQUEE_PROFILE__{name}"):
        load_settings(ProfileSettings)


def test_longest_play_is_that_of_the_contract() -> None:
    """Sittings at midnight reckon with the longest play that the event contract allows."""
    assert timedelta(seconds=MAX_WATCHED_SECONDS) == LONGEST_PLAY
