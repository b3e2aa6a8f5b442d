"""Retention: what ends and what stays, in folders and on S3; what stands afterwards, and what is said of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.stage import ProfileStage
from jobs.retain.carry_out import Outcome, carry_out
from jobs.retain.command import retain, run_today, start_of
from jobs.retain.layers import plan_removals
from jobs.retain.plan import Context, Plan
from jobs.retain.settings import RetainSettings, RetentionOptions
from jobs.retain.watch import deleted, overdue
from jobs.rollup.stage import RollupStage
from jobs.rollup.viewer import viewer_of
from marquee.calendar import EVER, Period, Span
from marquee.engine.base import NO_ENGINE
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.datasets import REJECTS
from marquee.lake.ended import Deleted, read_ended
from marquee.lake.erasures import Request, write_request
from marquee.lake.files import verify_output
from marquee.lake.layers import RAW
from marquee.lake.manifest import Output
from marquee.lake.markers import Markers
from marquee.lake.verify import Checked, verify
from marquee.runs.stage import State, run_stage
from marquee.runs.status import PeriodStatus, read_states
from marquee.settings.sections import S3Settings
from marquee.storage.base import S3Options, Store
from marquee.storage.local import LocalStore
from marquee.storage.s3 import S3Store
from tests.helpers_rollup import ENGINE, HOUR, NEXT_DAY, SECRET, World, key_of, line
from tests.s3_server import BUCKET

NEXT = HOUR.next()
EMPTY = NEXT.next()
LAST = EMPTY.next()
ONE, TWO, LATE = "plays+0+1.json", "plays+0+2.json", "plays+0+9.json"
TODAY = datetime(2026, 1, 20, tzinfo=UTC)
"""Two weeks after the hours."""


def at(period: Period, event_id: str, **changes: Any) -> bytes:
    """Return the line of a play in an hour."""
    return line(event_id=event_id, received_at=f"{period.start:%Y-%m-%dT%H}:30:00.000Z", **changes)


@pytest.fixture(params=["folder", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Four hours of which one is empty: rolled up, and profiled; a line of the first one is rejected."""
    if request.param == "folder":
        world = World(LocalStore(tmp_path / "raw"), LocalStore(tmp_path / "lake"))
    else:
        options: S3Options = request.getfixturevalue("s3_options")
        raw, lake = (S3Store(BUCKET, f"{tmp_path.name}/{name}", options) for name in ("raw", "lake"))
        s3 = S3Settings(endpoint_url=options.endpoint_url, path_style=True)
        world = World(raw, lake, s3=s3)
    world.put(ONE, line(), b"no play")
    world.put(ONE, at(NEXT, "e1"), period=NEXT)
    world.put(TWO, at(NEXT, "e2"), period=NEXT)
    world.put(ONE, at(LAST, "e1"), period=LAST)
    assert world.run().changed == 4
    profile(world)
    return world


def profile(world: World, span: Span = EVER, *, force: bool = False) -> list[tuple[str, int]]:
    """Profile the days and count the audiences; return the periods that failed, with their codes."""
    markers, settings = Markers(world.lake), settings_of(world)
    failed: list[tuple[Period, int]] = []
    for stage in (ProfileStage(settings, markers, ENGINE), AudienceStage(settings, markers, ENGINE)):
        failed += run_stage(stage, markers, span, force=force).failed
    return [(str(period), code) for period, code in failed]


def settings_of(world: World, **days: int) -> RetainSettings:
    """Return the settings of a world with days of retention."""
    given = world.settings.model_dump(include={"lake", "raw"})
    retention = RetentionOptions(**days)
    return RetainSettings(**given, rollup=world.settings.rollup, s3=world.settings.s3, retention=retention)


def planned(world: World, today: datetime = TODAY, **days: int) -> tuple[Context, Plan]:
    """Return the plan of a day."""
    settings, markers = settings_of(world, **days), Markers(world.lake)
    return Context(settings, markers, today), plan_removals(settings, markers, today)


def end(world: World, today: datetime = TODAY, **days: int) -> Outcome:
    """Carry out the plans of a day."""
    return retain(settings_of(world, **days), today, lambda *_: None)


def raw_keys(world: World) -> list[str]:
    """Return the keys of the raw objects."""
    return [one.key for one in world.raw.list()]


def kept(plan: Plan | Outcome) -> dict[str, str]:
    """Return why periods are kept."""
    return {f"{one.layer.name} {one.period}": one.reason for one in plan.kept}


def status(world: World, period: Period) -> PeriodStatus:
    """Return the status of an hour."""
    markers = Markers(world.lake)
    stage = RollupStage(world.settings, markers, NO_ENGINE, clock=lambda: NEXT_DAY)
    span = Span(period.start, period.end)
    return next(one for one in read_states(stage, markers, stage.periods(span)) if one.period == period)


def damage(world: World) -> list[str]:
    """Return the findings of a verification."""
    markers = Markers(world.lake)
    return [one.reason for one in verify(markers, EVER, Checked(), lambda *_: None)]


def test_nothing_ends_without_days(world: World) -> None:
    """Without days of retention, nothing is deleted, however old it is."""
    _, plan = planned(world, datetime(2030, 1, 1, tzinfo=UTC))
    assert (plan.removals, plan.kept) == ([], [])
    assert len(raw_keys(world)) == 4


def test_raw_events_end_by_their_age(world: World) -> None:
    """An hour's raw events end once it is raw_days old at the start of the day; the plan itself deletes nothing."""
    _, plan = planned(world, raw_days=15)
    assert plan.removals == []
    _, plan = planned(world, raw_days=14)
    assert [(str(one.period), len(one.objects)) for one in plan.removals] == [
        (str(HOUR), 1),
        (str(NEXT), 2),
        (str(EMPTY), 0),
        (str(LAST), 1),
    ]
    assert len(raw_keys(world)) == 4


def test_hours_stand_after_their_raw_events(world: World) -> None:
    """After the end of raw events, hours are done and the same, nothing is pending, and nothing is damaged."""
    before = {name: marker.run_id for name, marker in world.markers().items()}
    outcome = end(world, raw_days=7)
    assert (raw_keys(world), outcome.kept, outcome.damage) == ([], [], [])
    assert outcome.deleted["raw"].objects == 4
    assert read_ended(world.lake, keys.ROLLUP).deleted == outcome.deleted
    assert (world.run().unchanged, {name: marker.run_id for name, marker in world.markers().items()}) == (4, before)
    assert [status(world, hour).state for hour in (HOUR, NEXT, EMPTY, LAST)] == [State.DONE] * 4
    assert damage(world) == []
    assert end(world, raw_days=7).deleted == {}


@pytest.mark.parametrize("hour", [pytest.param(NEXT, id="with plays"), pytest.param(EMPTY, id="empty")])
def test_late_file_after_the_end_is_held(world: World, hour: Period) -> None:
    """A file that arrives after the end of its hour is held: the hour stands, and says so. It ends by held_days."""
    end(world, raw_days=7)
    key = world.put(LATE, at(hour, "e9"), period=hour)
    assert (world.run().unchanged, status(world, hour).state) == (4, State.DONE)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert status(world, hour).note == (
        f"1 late or replaced file is held, such as {key}, because retention ended this hour on {today}. To make it "
        "again, restore all of its raw objects from a backup and use --force; or leave the files"
    )
    _, plan = planned(world, raw_days=7, held_days=15)
    assert kept(plan) == {f"held {hour}": f"held, such as {key}: the hour was not made from 1 object"}
    outcome = end(world, raw_days=7, held_days=14)
    assert (outcome.deleted["held"].objects, raw_keys(world)) == (1, [])


def test_force_says_what_it_cannot_make(world: World) -> None:
    """An hour that has ended is not made again by force, not even by its name; the published hour is unchanged."""
    end(world, raw_days=7)
    world.put(LATE, at(NEXT, "e9"), period=NEXT)
    report = world.run(Span.of(NEXT, NEXT), force=True)
    assert report.failed == ((NEXT, 65),)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert world.failures()[str(NEXT)] == (
        f"2026-01-05T14 cannot be made again, also not by force: retention ended it on {today}. 2 of its 2 raw objects "
        "are gone. The published hour is unchanged. To make it again, restore all of its raw objects from a backup and "
        "use --force"
    )
    assert (world.run().exit_code, status(world, NEXT).state, world.failures()) == (0, State.DONE, {})


def test_restored_raw_events_can_be_made_again(world: World) -> None:
    """Once all raw objects of an ended hour are restored, force makes the hour again, also with the late file."""
    saved = {key: world.raw.get(key) for key in raw_keys(world)}
    end(world, raw_days=7)
    for key, data in saved.items():
        world.raw.put(key, data)
    world.put(LATE, at(NEXT, "e9"), period=NEXT)
    assert world.run().unchanged == 4
    assert world.run(Span.of(NEXT, NEXT), force=True).changed == 1
    assert world.markers()[str(NEXT)].counts["rows_out"] == 3


@pytest.mark.parametrize("hour", [pytest.param(NEXT, id="with plays"), pytest.param(EMPTY, id="empty")])
@pytest.mark.parametrize("late", [False, True])
def test_ended_hour_that_lost_its_marker_does_not_become_empty(world: World, hour: Period, late: bool) -> None:
    """An ended hour without a marker fails, with and without a late file, and by force too; a backup mends it."""
    end(world, raw_days=7)
    marker = world.lake.get(keys.success_key(keys.ROLLUP, hour))
    world.lake.delete(keys.success_key(keys.ROLLUP, hour))
    if late:
        world.put(LATE, at(hour, "e9"), period=hour)
    for force in (False, True):
        assert world.run(Span.of(hour, hour), force=force).failed == ((hour, 65),)
    assert "It has no valid marker, and nothing was published. Restore markers/" in world.failures()[str(hour)]
    world.lake.put(keys.success_key(keys.ROLLUP, hour), marker)
    assert world.run().unchanged == 4


def test_hour_with_a_new_file_is_kept_until_it_is_counted(world: World) -> None:
    """Raw events stay while their hour is stale, and end once the hour, its day and its periods are made from them."""
    world.put(LATE, at(NEXT, "e9"), period=NEXT)
    world.put(ONE, at(LAST, "e8"), at(LAST, "e9"), period=LAST)
    _, plan = planned(world, raw_days=7)
    assert kept(plan) == {f"raw {hour}": f"rollup {hour} is stale" for hour in (NEXT, LAST)}
    assert plan.ends(RAW, keys.ROLLUP) == {HOUR, EMPTY}
    world.run()
    _, plan = planned(world, raw_days=7)
    assert set(kept(plan).values()) == {"profile 2026-01-05 is stale"}
    profile(world)
    end(world, raw_days=7)
    assert raw_keys(world) == []


def test_replaced_object_of_an_hour_that_lost_others_stays(world: World) -> None:
    """An object that was replaced after the rollup is not the one that was counted: it stays, and is reported."""
    world.raw.delete(key_of(ONE, NEXT))
    key = world.put(TWO, at(NEXT, "e2", watched_seconds=59), period=NEXT)
    outcome = end(world, raw_days=7)
    assert raw_keys(world) == [key]
    assert kept(outcome) == {f"held {NEXT}": f"held, such as {key}: the hour was not made from 1 object"}


@pytest.mark.parametrize("name", [ONE, LATE])
def test_object_that_changes_after_the_plan_stays(world: World, name: str) -> None:
    """A file that is replaced, or arrives, between the plan and its end leaves its hour; the digest differs then."""
    context, plan = planned(world, raw_days=7)
    world.put(name, at(NEXT, "e7"), period=NEXT)
    outcome = carry_out(context, plan, lambda *_: None)
    assert set(raw_keys(world)) == {key_of(one, NEXT) for one in (ONE, TWO, name)}
    what = "was replaced" if name == ONE else "a file has arrived"
    assert [what in one.reason for one in outcome.kept] == [True]
    assert planned(world, raw_days=7)[1].digest != plan.digest


def test_object_that_is_replaced_while_others_are_verified_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last look at raw events comes after all objects of the hours are read, which may take long."""
    context, plan = planned(world, raw_days=7)

    def verified(store: Store, output: Output, scratch: Path) -> None:
        verify_output(store, output, scratch)
        if output.key.startswith(f"data/rollup/{LAST}/"):
            world.put(ONE, line(watched_seconds=59))

    monkeypatch.setattr("jobs.retain.carry_out.verify_output", verified)
    outcome = carry_out(context, plan, lambda *_: None)
    assert raw_keys(world) == [key_of(ONE)]
    assert kept(outcome) == {f"raw {HOUR}": f"{key_of(ONE)} was replaced after the plan was made"}


def test_plan_of_a_changed_world_has_another_digest(world: World) -> None:
    """The digest confirms a plan: it is the same while nothing changes, and another one after a change."""
    digests = [planned(world, raw_days=7)[1].digest for _ in range(2)]
    assert digests[0] == digests[1]
    assert planned(world, raw_days=7, rejects_days=7)[1].digest != digests[0]
    world.raw.delete(key_of(ONE, NEXT))
    assert planned(world, raw_days=7)[1].digest != digests[0]


def test_hour_whose_objects_are_damaged_keeps_its_raw_events(world: World) -> None:
    """Raw events from which damaged objects can be made again stay, and the damage is reported."""
    marker = world.markers()[str(NEXT)]
    world.lake.put(marker.outputs[0].key, b"damaged")
    outcome = end(world, raw_days=7)
    assert set(raw_keys(world)) == {key_of(one, NEXT) for one in (ONE, TWO)}
    assert [one.partition(": ")[0] for one in outcome.damage] == [f"rollup {NEXT}"]


@pytest.mark.parametrize("missing", ["profile/2026-01-05", "audience/2026-Q1"])
def test_raw_events_stay_until_days_and_periods_are_made(world: World, missing: str) -> None:
    """Raw events stay while their day, or a period of the day, is not made."""
    world.lake.delete(f"markers/{missing}/_SUCCESS")
    outcome = end(world, raw_days=7)
    assert (len(raw_keys(world)), len(outcome.kept)) == (4, 4)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("after", range(6))
def test_run_that_dies_is_continued(world: World, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies between any two calls leaves hours that stand, and a second run deletes the rest."""
    context, plan = planned(world, raw_days=7, rejects_days=7)
    left = [after]

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def one(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return call(*args, **options)

        return one

    kind = type(world.lake)
    with monkeypatch.context() as patched:
        for name in ("delete", "put_if_absent", "put_if_unchanged"):
            patched.setattr(kind, name, dying(getattr(kind, name)))
        with pytest.raises(Killed):
            carry_out(context, plan, lambda *_: None)
    assert (world.run().unchanged, damage(world)) == (4, [])
    end(world, raw_days=7, rejects_days=7)
    assert raw_keys(world) == []
    assert not any(REJECTS.name in one.key for one in world.lake.list("data/"))
    assert (world.run().unchanged, damage(world)) == (4, [])


def test_two_runs_at_once_end_the_same(world: World) -> None:
    """Two runs of the same plan delete each object once, and both ends are noted."""
    (one, plan), (other, same) = planned(world, raw_days=7), planned(world, raw_days=7)
    assert carry_out(one, plan, lambda *_: None).deleted["raw"].objects == 4
    assert carry_out(other, same, lambda *_: None).deleted["raw"] == Deleted()
    assert [(str(one.first), str(one.last)) for one in read_ended(world.lake, keys.ROLLUP).ranges] == [
        (str(HOUR), str(LAST))
    ]


def test_rejects_end_without_their_hour(world: World) -> None:
    """Rejected lines end by their own age; the hour stays, its raw events too, and can be made again."""
    outcome = end(world, rejects_days=7)
    assert outcome.deleted["rejects"].objects == 1
    assert not any(REJECTS.name in one.key for one in world.lake.list("data/"))
    assert (damage(world), world.run().unchanged) == ([], 4)
    assert world.run(Span.of(HOUR, HOUR), force=True).changed == 1
    assert damage(world) == []
    assert end(world, rejects_days=7).deleted["rejects"].objects == 1


def test_full_plan_is_followed_by_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan has a limited number of objects, the oldest first; unattended, the next plan has the rest."""
    monkeypatch.setattr("jobs.retain.plan.MOST", 2)
    _, plan = planned(world, raw_days=7)
    assert (plan.ends(RAW, keys.ROLLUP), plan.more) == ({HOUR, NEXT}, True)
    assert end(world, raw_days=7).deleted["raw"].objects == 4
    assert raw_keys(world) == []


def test_failed_hour_keeps_its_raw_events(world: World) -> None:
    """An hour with a late file that cannot be read has failed: none of its raw events end."""
    world.put("bad+0+3.json.gz", b"", period=NEXT)
    world.raw.put(key_of("bad+0+3.json.gz", NEXT), b"not gzip")
    assert world.run().failed == ((NEXT, 65),)
    _, plan = planned(world, raw_days=7)
    assert kept(plan)[f"raw {NEXT}"] == f"rollup {NEXT} has failed"


@pytest.mark.parametrize(
    ("days", "rollup", "message"),
    [
        ({"raw_days": 6}, {}, "retention.raw_days=6 is below the allowed lateness of 7 days"),
        ({"raw_days": 20}, {"lookback_days": 30}, "of 30 days \\(rollup.lookback_days\\)"),
        ({"raw_days": 30, "viewer_day_days": 121}, {}, "below what a quarter needs.*Set 122 or more"),
        ({"viewer_day_days": 400}, {}, "Set raw_days or viewer_hour_days"),
        ({"held_days": 30}, {}, "files are held once their hour has ended"),
    ],
)
def test_days_that_would_lose_something_are_refused(
    tmp_path: Path, days: dict[str, int], rollup: dict[str, Any], message: str
) -> None:
    """Days that do not fit the allowed lateness, a quarter or each other are refused, with the way out."""
    world = World(LocalStore(tmp_path / "raw"), LocalStore(tmp_path / "lake"), **rollup)
    with pytest.raises(ValueError, match=message):
        settings_of(world, **days)


def test_days_of_plans_are_not_in_the_future() -> None:
    """A plan is of today, or of a day before; another text is refused."""
    now = datetime(2026, 1, 20, 15, tzinfo=UTC)
    assert start_of("today", now) == start_of("2026-01-20", now) == TODAY
    assert start_of("2026-01-19", now) == TODAY - timedelta(days=1)
    for text in ("2026-01-21", "yesterday"):
        with pytest.raises(ConfigError, match=f"--yes-plan-of {text}"):
            start_of(text, now)


def test_watch_says_what_has_ended_and_what_should_have(world: World) -> None:
    """The exporter publishes what was deleted by layer, and since when the oldest hour of a layer is overdue."""
    options, now = RetentionOptions(raw_days=7, rejects_days=7, viewer_hour_days=14), TODAY
    assert dict(overdue(Markers(world.lake), options, now)) == {
        "raw": HOUR.end + timedelta(days=7),
        "rejects": HOUR.end + timedelta(days=7),
        "viewer_hour": HOUR.end + timedelta(days=14),
    }
    end(world, raw_days=7)
    assert dict(overdue(Markers(world.lake), options, now)).keys() == {"rejects", "viewer_hour"}
    assert dict(overdue(Markers(world.lake), RetentionOptions(), now)) == {}
    assert {layer: one.objects for layer, one in deleted(Markers(world.lake)).items()} == {"raw": 4}


def test_job_without_a_person_ends_the_plan_of_today(world: World) -> None:
    """The scheduled job deletes what is due today, and takes no period."""
    settings = settings_of(world, raw_days=7)
    done = run_today(settings, Markers(world.lake), EVER, force=False, advance=lambda *_: None)
    assert (done.changed, done.exit_code, raw_keys(world)) == (4, 0, [])
    with pytest.raises(ConfigError, match="takes no period"):
        run_today(settings, Markers(world.lake), Span.of(HOUR, HOUR), force=False, advance=lambda *_: None)


def test_erasure_after_the_end_of_raw_events_keeps_nothing_for_ever(world: World) -> None:
    """An erased viewer is taken out of hours that have ended, and what is left of them ends as without the erasure."""
    end(world, raw_days=7)
    viewer = viewer_of((SECRET.encode(),), "u1")
    write_request(world.lake, Request((viewer,)), keys.new_run_id(datetime.now(UTC)))
    _, plan = planned(world, raw_days=7, viewer_hour_days=7)
    assert kept(plan) == {"viewer_hour 2026-01-05": "profile 2026-01-05 is stale"}
    assert world.run().failed == ()
    assert profile(world) == []
    assert status(world, NEXT).note == "erased later: fewer than 10 viewers, whose plays are still in its viewership"
    outcome = end(world, raw_days=7, rejects_days=7, viewer_hour_days=7)
    assert (outcome.kept, outcome.damage, damage(world)) == ([], [], [])
    listed = {one.key for marker in world.markers().values() for one in marker.outputs}
    assert not any("/viewer_hour/" in one.key for one in world.lake.list("data/") if one.key in listed)
    assert (world.run().unchanged, profile(world)) == (4, [])
