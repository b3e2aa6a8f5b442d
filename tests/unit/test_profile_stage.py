"""When a day and a period can be profiled, from which inputs and settings. Hours have markers, but no plays."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileSettings
from jobs.profile.stage import ProfileStage
from marquee.calendar import EVER, Period, Span, day
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import BadInputError, ConfigError
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.runs.stage import Report, run_stage
from marquee.settings.loading import load_settings
from marquee.storage.local import LocalStore
from tests.oracle.lake import roll_up

ENGINE = LocalEngine(EngineOptions(workers=1, memory_mb=200))


def days_of(lake: LocalStore) -> ProfileStage:
    """Return the stage of days with fresh markers."""
    return ProfileStage(ProfileSettings(lake=lake.url), Markers(lake), ENGINE)


def run_days(lake: LocalStore, span: Span = EVER) -> Report:
    """Run the stage of days."""
    markers = Markers(lake)
    return run_stage(ProfileStage(ProfileSettings(lake=lake.url), markers, ENGINE), markers, span)


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


def test_last_day_grows(lake: LocalStore) -> None:
    """A new hour makes the last day of the lake stale, and no other day."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-06T01")
    assert len(run_days(lake).made) == 2
    roll_up(lake, [], "2026-01-06T02", "2026-01-06T02")
    report = run_days(lake)
    assert [(marker.period, marker.generation) for marker in report.made] == [("2026-01-06", 2)]
    assert report.unchanged == 1


def test_hours_in_different_buckets_are_refused(lake: LocalStore) -> None:
    """A day with hours in different numbers of buckets fails, and the failure says which settings to keep."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T11", buckets=2)
    roll_up(lake, [], "2026-01-05T12", "2026-01-05T23", buckets=3)
    report = run_days(lake)
    assert report.failed == ((day("2026-01-05"), BadInputError.exit_code),)
    failure = Markers(lake).failures(keys.PROFILE)[day("2026-01-05")]
    assert failure.reason == (
        "rollup 2026-01-05T00 has 2 viewer buckets by key k, rollup 2026-01-05T12 has 3 by key k. Both must be the "
        "same in the whole lake. Correct MARQUEE_ROLLUP__BUCKETS or MARQUEE_ROLLUP__VIEWER_KEY, and run rollup, then "
        "profile, over the periods that differ"
    )


def test_hours_under_different_keys_are_refused(lake: LocalStore) -> None:
    """A day with hours under different viewer keys fails, and names the fingerprints of both keys."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T11")
    roll_up(lake, [], "2026-01-05T12", "2026-01-05T23", viewer_key="other")
    assert run_days(lake).failed == ((day("2026-01-05"), BadInputError.exit_code),)
    reason = Markers(lake).failures(keys.PROFILE)[day("2026-01-05")].reason
    assert "by key k, rollup 2026-01-05T12" in reason
    assert "by key other. Both must be the same" in reason


def test_registry_in_other_buckets_is_refused(lake: LocalStore) -> None:
    """A day with another number of buckets than the registry of the day before fails."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-05T23", buckets=2)
    run_days(lake)
    roll_up(lake, [], "2026-01-06T00", "2026-01-06T23", buckets=3)
    assert run_days(lake).failed == ((day("2026-01-06"), BadInputError.exit_code),)


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
        "min_cell": 10,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("NEAR_SOLE_SHARE", "1.1", id="a share above 1"),
        pytest.param("LOYAL_SHARE", "0", id="a share of nothing"),
        pytest.param("BINGE_COMPLETION", "0.1234", id="a share too exact"),
        pytest.param("BINGE_EPISODES", "6", id="a binge longer than a long one"),
        pytest.param("MIN_CELL", "0", id="a cell of nobody"),
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
