"""Hours whose raw events are gone: what stands, what is held, what fails, and what force does."""

from pathlib import Path

import pytest

from jobs.rollup.stage import RollupStage
from marquee.calendar import Period, Span
from marquee.engine.base import NO_ENGINE
from marquee.lake import keys
from marquee.lake.datasets import VIEWER_HOUR
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers, publish
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus, read_states
from tests.helpers_rollup import HOUR, NEXT_DAY, World, key_of, line, new_world

NEXT, LAST = HOUR.next(), HOUR.next().next()
ONE, TWO, LATE = "plays+0+1.json", "plays+0+2.json", "plays+0+9.json"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three hours of which the middle one, NEXT, has two plays in two objects; all are published."""
    world = new_world(tmp_path)
    world.put(ONE, line())
    world.put(ONE, at(NEXT, "e1"), period=NEXT)
    world.put(TWO, at(NEXT, "e2"), period=NEXT)
    world.put(ONE, at(LAST, "e1"), period=LAST)
    assert world.run().changed == 3
    return world


def at(period: Period, event_id: str) -> bytes:
    """Return the line of a play in an hour."""
    return line(event_id=event_id, received_at=f"{period.start:%Y-%m-%dT%H}:30:00.000Z")


def delete(world: World, *names: str, period: Period = NEXT) -> None:
    """Delete raw objects of an hour."""
    for name in names:
        world.raw.delete(key_of(name, period))


def lose_marker(world: World, period: Period = NEXT) -> None:
    """Delete the success marker of an hour, as by hand."""
    world.lake.delete(keys.success_key(keys.ROLLUP, period))


def plays(world: World, period: Period = NEXT) -> int:
    """Return the published plays of an hour."""
    marker = world.markers()[str(period)]
    return int(marker.counts["rows_out"])


def status(world: World, period: Period = NEXT) -> PeriodStatus:
    """Return the status of an hour."""
    markers = Markers(world.lake)
    stage = RollupStage(world.settings, markers, NO_ENGINE, clock=lambda: NEXT_DAY)
    return next(one for one in read_states(stage, markers, stage.periods(span(period))) if one.period == period)


def span(period: Period) -> Span:
    """Return the span of one period."""
    return Span.of(period, period)


GONE_ALTOGETHER = (
    "2026-01-05T14: raw events of this hour are gone: an earlier run made it with plays, and there is no raw object "
    "now. Nothing was published. Restore them; or publish it as an empty hour with "
    "`marquee rollup 2026-01-05T14 --force`, which names this hour alone"
)


@pytest.mark.parametrize("names", [pytest.param((ONE,), id="one of two"), pytest.param((ONE, TWO), id="all")])
def test_published_hour_stands_without_its_raw_objects(world: World, names: tuple[str, ...]) -> None:
    """A published hour is done, without a note, when retention has deleted some or all of its raw objects."""
    delete(world, *names)
    assert (world.run().unchanged, plays(world)) == (3, 2)
    assert (status(world).state, status(world).note) == (State.DONE, "")


def test_hour_whose_marker_and_raw_objects_are_gone_fails(world: World) -> None:
    """An hour that was made with plays is not published as empty when its marker and its raw objects are gone."""
    lose_marker(world)
    delete(world, ONE, TWO)
    report = world.run()
    assert (report.changed, report.failed) == (0, ((NEXT, 65),))
    assert world.failures() == {str(NEXT): GONE_ALTOGETHER}
    assert str(NEXT) not in world.markers()


def test_garbage_collection_does_not_hide_that_an_hour_had_plays(world: World) -> None:
    """When the files of the hour are deleted as well, its day still names its viewer hours as an input."""
    hour = world.markers()[str(NEXT)]
    day = Marker(
        "profile", "2026-01-05", 1, "r", "0", "1", {}, (hour.as_input(VIEWER_HOUR),), "", (), {}, "", "2026-01-06"
    )
    publish(world.lake, day, None)
    lose_marker(world)
    delete(world, ONE, TWO)
    for output in hour.outputs:
        world.lake.delete(output.key)
    assert world.run().failed == ((NEXT, 65),)


def test_hour_whose_marker_alone_is_gone_is_made_again(world: World) -> None:
    """An hour whose marker alone is gone is made again from its raw objects."""
    lose_marker(world)
    assert (world.run().changed, plays(world)) == (1, 2)


@pytest.mark.parametrize("period", [HOUR, LAST])
def test_first_or_last_hour_without_marker_and_raw_objects_fails(world: World, period: Period) -> None:
    """The first and the last hour of a lake do not disappear from it with their markers and raw objects."""
    lose_marker(world, period)
    delete(world, ONE, period=period)
    assert world.run().failed == ((period, 65),)


def test_lake_without_markers_and_raw_objects_fails(world: World) -> None:
    """Every hour with plays of a lake fails that has lost all its markers and raw objects."""
    for period in (HOUR, NEXT, LAST):
        lose_marker(world, period)
        delete(world, ONE, TWO, period=period)
    assert world.run().failed == ((HOUR, 65), (NEXT, 65), (LAST, 65))


def test_quiet_hour_is_published_as_empty(world: World) -> None:
    """An hour between others that never had plays is published as empty, and again when its marker is gone."""
    after = LAST.next().next()
    world.put(ONE, at(after, "e1"), period=after)
    assert (world.run().changed, plays(world, LAST.next())) == (2, 0)
    lose_marker(world, LAST.next())
    assert (world.run().changed, plays(world, LAST.next())) == (1, 0)


def test_file_that_failed_its_hour_can_be_removed(world: World) -> None:
    """An hour that failed by its rejects was never made: when its file is removed, it is an empty hour."""
    after, strict = LAST.next(), World(world.raw, world.lake, reject_lines=0)
    world.put(ONE, at(after, "e1"), b"not json", period=after)
    world.put(ONE, at(after.next(), "e1"), period=after.next())
    assert strict.run().failed == ((after, 65),)
    delete(world, ONE, period=after)
    assert (strict.run().changed, plays(world, after)) == (1, 0)


@pytest.mark.parametrize("name", [pytest.param(LATE, id="late"), pytest.param(TWO, id="replaced")])
def test_file_of_an_hour_that_has_lost_others_is_held(world: World, name: str) -> None:
    """A late or replaced file of an hour of which another object is gone is held; the hour stands and says so."""
    delete(world, ONE)
    key = world.put(name, at(NEXT, "e3"), at(NEXT, "e4"), period=NEXT)
    report = world.run()
    assert (report.unchanged, report.exit_code, plays(world)) == (3, 0, 2)
    left = {LATE: "2 objects", TWO: "1 object"}[name]
    assert status(world).state is State.DONE
    assert status(world).note == (
        f"1 late or replaced file is held, such as {key}, because other raw events of this hour are gone (1 object). "
        f"Restore them; leave the files; or count only what is left ({left}) with "
        "`marquee rollup 2026-01-05T14 --force`"
    )


@pytest.mark.parametrize("name", [LATE, TWO])
def test_file_of_an_hour_that_has_all_others_restates_it(world: World, name: str) -> None:
    """A late or replaced file of an hour that has all its objects restates it."""
    world.put(name, at(NEXT, "e3"), at(NEXT, "e4"), period=NEXT)
    assert (world.run().changed, plays(world)) == (1, {LATE: 4, TWO: 3}[name])


@pytest.mark.parametrize(
    ("late", "left"), [pytest.param((), 1, id="one of two"), pytest.param((LATE,), 2, id="and a late file")]
)
def test_force_counts_what_is_left_of_the_hour_that_it_names(
    world: World, late: tuple[str, ...], left: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With force, an hour that is named is made from the objects that are left; log, marker and status say so."""
    delete(world, ONE)
    for name in late:
        world.put(name, at(NEXT, "e3"), period=NEXT)
    assert world.run(span(NEXT), force=True).changed == 1
    assert plays(world) == left
    assert world.markers()[str(NEXT)].counts["gone"] == 1
    assert f"1 of 2 raw objects, such as {key_of(ONE, NEXT)!r}. It is made from what is left, by force" in caplog.text
    assert status(world).note == "made by force when 1 raw object of an earlier run had gone"
    assert world.run().unchanged == 3


@pytest.mark.parametrize("marker", [True, False])
def test_force_publishes_the_empty_hour_that_it_names(world: World, marker: bool) -> None:
    """With force, a named hour without any raw object is published as empty."""
    delete(world, ONE, TWO)
    if not marker:
        lose_marker(world)
    assert (world.run(span(NEXT), force=True).changed, plays(world)) == (1, 0)
    assert world.run().unchanged == 3


@pytest.mark.parametrize("marker", [True, False])
def test_force_over_a_wider_span_shrinks_no_hour(world: World, marker: bool) -> None:
    """With force over several hours, one that has lost raw objects fails and keeps its result; the others are made."""
    delete(world, ONE, TWO)
    if not marker:
        lose_marker(world)
    report = world.run(Span.of(NEXT, LAST), force=True)
    assert (report.changed, report.failed) == (1, ((NEXT, 65),))
    assert "raw events of this hour are gone" in world.failures()[str(NEXT)]
    if marker:
        assert (world.run().exit_code, plays(world), world.failures()) == (0, 2, {})


@pytest.mark.parametrize("late", [False, True])
def test_hour_of_an_older_definition_stands_without_its_raw_objects(
    world: World, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a newer definition an hour without raw objects stands, and its status says so; the others are made."""
    delete(world, ONE)
    if late:
        world.put(LATE, at(NEXT, "e3"), period=NEXT)
    before = world.markers()[str(NEXT)].definition_version
    monkeypatch.setattr(RollupStage, "definition_version", "99")
    report = world.run()
    assert (report.changed, report.unchanged, plays(world)) == (2, 1, 2)
    assert status(world).state is State.DONE
    assert status(world).note.endswith(f"made by definition {before}; raw events are gone")
