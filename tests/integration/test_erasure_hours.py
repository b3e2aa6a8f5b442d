"""Hours from which viewers are erased: from raw events, from the lake alone, and what does not bring a row back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.launcher.plan import plan
from jobs.registry import ROLLUP
from jobs.rollup.stage import RollupStage
from jobs.rollup.viewer import viewer_of
from marquee.calendar import EVER, Period, Span
from marquee.engine.base import NO_ENGINE
from marquee.lake import keys
from marquee.lake.erasures import Request, write_request
from marquee.lake.garbage import collect, plan_garbage
from marquee.lake.markers import Markers
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus, read_states
from tests.helpers_rollup import HOUR, NEXT_DAY, SECRET, World, key_of, line, new_world, spoilt

NEXT = HOUR.next()
ONE, LATE = "plays+0+1.json", "plays+0+9.json"
BAD, OF_ANN = (
    spoilt(b'"watched_seconds":60', b'"watched_seconds":-1', line(event_id="e9", user_id=user))
    for user in ("eve", "ann")
)
"""Lines of Eve and Ann that are rejected."""


def at(period: Period, event_id: str, user_id: str) -> bytes:
    """Return the line of a play of a user in an hour."""
    return line(event_id=event_id, user_id=user_id, received_at=f"{period.start:%Y-%m-%dT%H}:30:00.000Z")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two hours: Ann and Eve watch in the first, with a rejected line of each; Ann alone in the second."""
    world = new_world(tmp_path)
    world.put(ONE, at(HOUR, "e1", "ann"), at(HOUR, "e2", "eve"), BAD, OF_ANN)
    world.put(ONE, at(NEXT, "e3", "ann"), period=NEXT)
    assert world.run().changed == 2
    return world


def erase(world: World, *users: str, moment: int = 1) -> str:
    """Request that users are erased; return the id of the request."""
    request_id = keys.new_run_id(datetime(2026, 1, 6, 13, moment, tzinfo=UTC))
    write_request(world.lake, Request(tuple(viewer_of((SECRET.encode(),), one) for one in users)), request_id)
    return request_id


def viewers(world: World, period: Period = HOUR) -> set[int]:
    """Return the viewers of an hour."""
    return {row[0] for rows in world.rolled(period).viewer_hour.values() for row in rows}


def of(*users: str) -> set[int]:
    """Return the viewers of users."""
    return {viewer_of((SECRET.encode(),), one) for one in users}


def status(world: World, period: Period = HOUR) -> PeriodStatus:
    """Return the status of an hour."""
    markers = Markers(world.lake)
    stage = RollupStage(world.settings, markers, NO_ENGINE, clock=lambda: NEXT_DAY)
    span = Span(period.start, period.end)
    return next(one for one in read_states(stage, markers, stage.periods(span)))


def without_eve(tmp_path: Path) -> World:
    """Return a world of the same hours that Eve never watched."""
    other = new_world(tmp_path / "other")
    other.put(ONE, at(HOUR, "e1", "ann"), OF_ANN)
    other.put(ONE, at(NEXT, "e3", "ann"), period=NEXT)
    other.run()
    return other


def test_hour_is_made_again_from_raw_events_without_the_viewer(world: World, tmp_path: Path) -> None:
    """With raw events, the hour has the bytes that it would have if the viewer had never watched; the other stands."""
    erase(world, "eve")
    assert status(world).state is State.STALE
    report = world.run()
    assert [one.period for one in report.made] == [str(HOUR)]
    assert viewers(world) == of("ann")
    expected = without_eve(tmp_path).digests()
    assert {name: one for name, one in world.digests().items() if name != "rejects.parquet"} == {
        name: one for name, one in expected.items() if name != "rejects.parquet"
    }
    assert [row[3] for row in world.rolled().rejects] == [OF_ANN]
    counts = world.markers()[str(HOUR)].counts
    assert (counts["rows_in"], counts["rows_out"], counts["erased"], counts["rejects"]) == (
        4,
        1,
        1,
        {"watched_seconds": 2},
    )
    assert (world.run().changed, status(world).state, status(world).note) == (0, State.DONE, "")


def test_hour_is_erased_from_the_lake_when_its_raw_events_are_gone(world: World, tmp_path: Path) -> None:
    """Without raw events, viewer hours and rejects lose the viewer; viewership stays and the hour says so."""
    before = world.digests()
    world.raw.delete(key_of(ONE))
    erase(world, "eve")
    report = world.run()
    assert [one.period for one in report.made] == [str(HOUR)]
    expected = without_eve(tmp_path).digests()
    after = world.digests()
    assert after["viewership.parquet"] == before["viewership.parquet"]
    assert {name: one for name, one in after.items() if "viewer_hour" in name} == {
        name: one for name, one in expected.items() if "viewer_hour" in name
    }
    assert [row[3] for row in world.rolled().rejects] == [OF_ANN]
    assert status(world).note == "erased later: fewer than 10 viewers, whose plays are still in its viewership"
    assert world.run().changed == 0


@pytest.mark.parametrize("raw", [True, False], ids=["with raw events", "without"])
def test_objects_of_other_viewers_are_not_written_again(world: World, *, raw: bool) -> None:
    """An hour without raw events refers to the objects that stay the same in the run before."""
    if not raw:
        world.raw.delete(key_of(ONE))
    (run,) = {one.key.split("/")[3] for one in world.markers()[str(HOUR)].outputs}
    erase(world, "eve")
    world.run()
    kept = {one.dataset for one in world.markers()[str(HOUR)].outputs if run in one.key}
    assert ("viewership" in kept) is not raw


def test_late_file_does_not_bring_an_erased_viewer_back(world: World) -> None:
    """A late file with a play of an erased viewer, and one of another, adds the other's alone."""
    erase(world, "eve")
    world.run()
    world.put(LATE, at(HOUR, "e7", "eve"), at(HOUR, "e8", "bob"))
    assert world.run().changed == 1
    assert viewers(world) == of("ann", "bob")
    assert world.markers()[str(HOUR)].counts["erased"] == 2


def test_force_does_not_bring_an_erased_viewer_back(world: World) -> None:
    """Every hour that is made again by force leaves the erased viewers out, also in another number of buckets."""
    erase(world, "eve")
    world.run()
    rollup = world.settings.rollup.model_copy(update={"buckets": 2})
    world.settings = world.settings.model_copy(update={"rollup": rollup})
    assert world.run(force=True).changed == 2
    assert viewers(world) == of("ann")


@pytest.mark.parametrize("raw", [True, False], ids=["with raw events", "without"])
def test_restored_marker_is_due_again(world: World, *, raw: bool) -> None:
    """A marker of the run before the erasure, restored from a backup, makes its hour due, and the viewer goes again."""
    key = keys.success_key(keys.ROLLUP, HOUR)
    backup = world.lake.get(key)
    if not raw:
        world.raw.delete(key_of(ONE))
    erase(world, "eve")
    world.run()
    world.lake.put(key, backup)
    assert viewers(world) == of("ann", "eve")
    assert status(world).state is State.STALE
    assert world.run().changed == 1
    assert viewers(world) == of("ann")


def test_second_request_touches_only_the_hours_of_its_viewers(world: World) -> None:
    """Hours that hold no viewer of a request are searched once, and not made again."""
    erase(world, "eve")
    world.run()
    erase(world, "nobody", moment=2)
    assert world.run().changed == 0
    assert world.run().changed == 0
    erase(world, "ann", moment=3)
    assert [one.period for one in world.run().made] == [str(HOUR), str(NEXT)]
    assert viewers(world) == viewers(world, NEXT) == set()


def test_older_request_that_arrives_later_counts(world: World) -> None:
    """Of two requests at once, the one with the earlier id may be seen later: it is honoured all the same."""
    erase(world, "eve", moment=2)
    world.run()
    erase(world, "ann", moment=1)
    world.run()
    assert viewers(world) == set()


def test_damaged_request_stops_every_hour_that_is_made(world: World) -> None:
    """An hour is not made without the list of a request, because an erased viewer would come back."""
    request_id = erase(world, "eve")
    world.lake.put(keys.erasure_key(request_id), b"{")
    world.put(LATE, at(HOUR, "e8", "bob"))
    assert world.run().failed == ((HOUR, 70), (NEXT, 70))
    assert "erased viewers would come back" in world.failures()[str(HOUR)]


def test_lake_without_requests_says_nothing_of_them(world: World) -> None:
    """Markers of a lake without requests have no counts of erasures."""
    assert not any("eras" in name for name in world.markers()[str(HOUR)].counts)


@pytest.mark.parametrize("parser", ["sql", "auto"])
def test_every_reader_leaves_the_viewer_out(tmp_path: Path, parser: str) -> None:
    """Whatever reads the lines, SQL, compiled code or the reference parser, an erased viewer is left out."""
    world = new_world(tmp_path, parser=parser)
    erase(world, "eve")
    escaped = at(HOUR, "e4", "eve").replace(b'"eve"', rb'"\u0065ve"')
    world.put(ONE, *(at(HOUR, f"e{number}", user) for number, user in enumerate(("ann", "eve", "bob"))), escaped)
    world.run()
    assert viewers(world) == of("ann", "bob")
    assert world.markers()[str(HOUR)].counts["erased"] == 2


def test_launcher_finds_only_hours_that_hold_a_viewer_due(world: World) -> None:
    """The launcher searches by itself, so that it starts no application for hours without the viewers."""
    erase(world, "eve")
    batch = plan(ROLLUP, world.settings, EVER, force=False, most=10)
    assert batch is not None
    assert (batch.span, batch.due) == (Span(HOUR.start, HOUR.end), 1)


def test_lookback_does_not_leave_an_erasure_out(world: World) -> None:
    """A run that lists only days since the first hour that is not done begins with the hours to erase."""
    later = HOUR
    for _ in range(72):
        later = later.next()
    world.put(ONE, at(later, "e5", "bob"), period=later)
    rollup = world.settings.rollup.model_copy(update={"lookback_days": 1})
    world.settings = world.settings.model_copy(update={"rollup": rollup})
    now = datetime(2026, 1, 10, tzinfo=UTC)
    world.run(now=now)
    erase(world, "eve")
    assert [one.period for one in world.run(now=now).made] == [str(HOUR)]
    assert viewers(world) == of("ann")


def test_published_figures_are_kept_if_the_settings_say_so(world: World) -> None:
    """With keep, an hour whose raw events exist keeps its viewership, and says how many were erased later."""
    before = world.digests()["viewership.parquet"]
    erasure = world.settings.erasure.model_copy(update={"published": "keep"})
    world.settings = world.settings.model_copy(update={"erasure": erasure})
    erase(world, "eve")
    world.run()
    assert (viewers(world), world.digests()["viewership.parquet"]) == (of("ann"), before)
    assert status(world).note == "erased later: fewer than 10 viewers, whose plays are still in its viewership"
    world.put(LATE, at(HOUR, "e8", "bob"))
    world.run()
    assert (viewers(world), status(world).note) == (of("ann", "bob"), "")


def test_erased_hour_that_lost_its_marker_does_not_become_empty(world: World) -> None:
    """The runs of an erased hour share its files, and together they show that it had plays."""
    world.raw.delete(key_of(ONE))
    world.put(ONE, at(HOUR.previous(), "e0", "ann"), period=HOUR.previous())
    world.run()
    erase(world, "ann")
    world.run()
    collect(world.lake, plan_garbage(world.lake, Markers(world.lake), datetime.now(UTC)))
    world.lake.delete(keys.success_key(keys.ROLLUP, HOUR))
    assert world.run().failed == ((HOUR, 65),)
    assert "made it with plays" in world.failures()[str(HOUR)]
