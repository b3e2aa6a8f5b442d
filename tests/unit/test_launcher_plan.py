"""The periods that one application gets: limited in number, the oldest first, and not blocked by failed ones."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from jobs.launcher.plan import Batch, Due, Work, choose, plan, to_arguments
from jobs.profile.audience_stage import AudienceStage
from jobs.profile.job import run as run_profile
from jobs.profile.settings import ProfileOptions, ProfileSettings
from jobs.profile.stage import ProfileStage
from jobs.registry import PROFILE, ROLLUP
from marquee.calendar import EVER, Period, Span, day
from marquee.engine.choice import Load
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.manifest import Failure
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.local import LocalStore
from tests.helpers_rollup import GOOD, line, new_world
from tests.oracle.lake import roll_up

ENGINE = LocalEngine(EngineOptions(workers=1, memory_mb=200))


def span(first: str, last: str) -> Span:
    """Return the span of two periods."""
    return Span.of(Period.parse(first), Period.parse(last))


def work(*due: str, chain: tuple[str, ...] = ()) -> Work:
    """Return the due periods in order; a name with ``!`` has failed."""
    periods = [Due(Period.parse(one.rstrip("!")), one.endswith("!")) for one in due]
    return Work(periods, [Period.parse(one) for one in chain])


# Choosing a batch.


@pytest.mark.parametrize(
    ("found", "most", "batch"),
    [
        pytest.param(work(), 2, None, id="nothing"),
        pytest.param(work("2026-01-05T03"), 2, Batch(span("2026-01-05T03", "2026-01-05T03"), 1, 0), id="one"),
        pytest.param(
            work("2026-01-05T03", "2026-01-05T07", "2026-01-05T08"),
            2,
            Batch(span("2026-01-05T03", "2026-01-05T07"), 2, 1),
            id="the oldest",
        ),
        pytest.param(
            work("2026-01-04T01!", "2026-01-05T03"),
            2,
            Batch(span("2026-01-04T01", "2026-01-05T03"), 2, 0),
            id="what failed is tried again",
        ),
        pytest.param(
            work("2026-01-04T01!", "2026-01-04T02!", "2026-01-05T03", "2026-01-05T04", "2026-01-05T05"),
            2,
            Batch(span("2026-01-05T03", "2026-01-05T04"), 2, 3),
            id="what failed does not hold up the others",
        ),
        pytest.param(
            work("2026-01-04T01!", "2026-01-04T02!", "2026-01-04T03!", "2026-01-05T03"),
            2,
            Batch(span("2026-01-04T01", "2026-01-05T03"), 4, 0),
            id="nor is it held up by its number",
        ),
        pytest.param(
            work("2026-01-05", chain=("2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08")),
            3,
            Batch(span("2026-01-05", "2026-01-07"), 1, 0),
            id="with those that its being made may make due",
        ),
        pytest.param(
            work("2026-01-04", "2026-W01", "2026-01-07", chain=("2026-01-07", "2026-01-08")),
            2,
            Batch(span("2025-12-29", "2026-01-04"), 2, 1),
            id="which are not begun by halves",
        ),
    ],
)
def test_batch_is_of_the_oldest(found: Work, most: int, batch: Batch | None) -> None:
    """A batch has the oldest periods up to a limit in one span, and counts the others."""
    assert choose(found, EVER, most) == batch


def test_load_of_a_batch_is_that_of_its_periods() -> None:
    """The load has the due periods of the batch alone, and for each day that follows in a chain another like them."""
    hours = [Due(Period.parse(f"2026-01-05T0{number}"), size=10**number) for number in (1, 2, 3)]
    batch = choose(Work(hours, load=Load(1110, 0.5)), EVER, 2)
    assert batch is not None
    assert batch.load == Load(110, 0.5)
    days = [Period.parse(f"2026-01-0{number}") for number in (5, 6, 7)]
    chained = choose(Work([Due(days[0], size=100)], chain=days), EVER, 3)
    assert chained is not None
    assert chained.load.size == 300


def test_batch_stays_in_what_was_asked_for() -> None:
    """A batch stays in the requested span: a quarter is made for one of its days, without its other days."""
    asked = span("2026-01-05", "2026-01-05")
    assert choose(work("2026-01-05", "2026-W02", "2026-Q1"), asked, 24) == Batch(asked, 3, 0)


@pytest.mark.parametrize(
    ("asked", "force", "arguments"),
    [
        pytest.param(
            span("2026-01-05T03", "2026-01-05T07"), False, "--from 2026-01-05T03 --to 2026-01-05T07", id="hours"
        ),
        pytest.param(span("2026-01-05", "2026-01-05"), False, "--from 2026-01-05 --to 2026-01-05", id="a day"),
        pytest.param(span("2026-Q1", "2026-Q1"), True, "--from 2026-01-01 --to 2026-03-31 --force", id="by force"),
        pytest.param(span("2026-01-05T00", "2026-01-05T22"), False, "--from 2026-01-05 --to 2026-01-05T22", id="mixed"),
        pytest.param(Span.of(None, day("2026-01-05")), True, "--to 2026-01-05 --force", id="open"),
        pytest.param(EVER, True, "--force", id="everything"),
    ],
)
def test_arguments_name_the_span(asked: Span, force: bool, arguments: str) -> None:
    """The arguments of an application name the span in the form that the command of the stage reads."""
    assert to_arguments(asked, force=force) == arguments.split()


# The stages' own plans.


def test_rollup_is_given_the_hours_that_are_over_and_not_done(tmp_path: Path) -> None:
    """Hours that are over and not rolled up are due, and hours that are done or not over are not."""
    world = new_world(tmp_path)
    for one in ("2026-01-05T13", "2026-01-05T14", "2026-01-05T16", "2999-01-01T00"):
        world.put("plays.json", GOOD, period=Period.parse(one))
    world.run(span("2026-01-05T13", "2026-01-05T13"))
    found = plan(ROLLUP, world.settings, span("2026-01-01", "2026-01-31"), force=False, most=2)
    # The hour at 15 has no files, and its result is empty.
    assert found == Batch(span("2026-01-05T14", "2026-01-05T15"), 2, 1)


def test_hours_beyond_the_batch_are_announced(tmp_path: Path) -> None:
    """The launcher publishes all hours that wait to be made: the application lists those of its batch only."""
    world = new_world(tmp_path)
    for one in ("2026-01-05T13", "2026-01-05T14", "2026-01-06T16", "2999-01-01T00"):
        world.put("plays.json", GOOD, period=Period.parse(one))
    plan(ROLLUP, world.settings, EVER, force=False, most=1)
    pending = Markers(world.lake).pending(keys.ROLLUP)
    assert sorted(map(str, pending)) == ["2026-01-05T13", "2026-01-05T14", "2026-01-06T16"]


def test_rollup_by_force_is_given_all_that_was_asked_for_at_once(tmp_path: Path) -> None:
    """With force, the whole requested span is one batch, because the forced rest is not recorded anywhere."""
    world = new_world(tmp_path)
    for one in ("2026-01-05T13", "2026-01-05T14", "2026-01-05T15"):
        world.put("plays.json", line(received_at=f"{one}:00:00Z"), period=Period.parse(one))
    asked = span("2026-01-05", "2026-01-05")
    world.run(asked)
    assert plan(ROLLUP, world.settings, asked, force=False, most=2) is None
    assert plan(ROLLUP, world.settings, asked, force=True, most=2) == Batch(asked, 3, 0)


def test_rollup_that_is_refused_is_not_planned(tmp_path: Path) -> None:
    """A period without events and another viewer key are refused before an application exists."""
    world = new_world(tmp_path)
    world.put("plays.json", GOOD)
    world.run()
    with pytest.raises(ConfigError, match="there are no events of this period; events are from 2026-01-05T13 to"):
        plan(ROLLUP, world.settings, span("2025-01", "2025-01"), force=False, most=2)
    other = new_world(tmp_path, viewer_key=SecretStr("another key that only tests have"))
    with pytest.raises(ConfigError, match="differs from the key of 1 hour"):
        plan(ROLLUP, other.settings, EVER, force=False, most=2)


def test_planning_clears_a_failure_whose_cause_was_taken_back(tmp_path: Path) -> None:
    """Planning clears a failure whose bad file was deleted, because no run follows that would clear it."""
    world = new_world(tmp_path, reject_lines=0)
    world.put("plays.json", GOOD)
    world.run()
    bad = world.put("late.json", b"{")
    world.run()
    assert list(world.failures()) == ["2026-01-05T13"]
    assert plan(ROLLUP, world.settings, EVER, force=False, most=2) == Batch(
        span("2026-01-05T13", "2026-01-05T13"), 1, 0
    )
    world.raw.delete(bad)
    assert plan(ROLLUP, world.settings, EVER, force=False, most=2) is None
    assert world.failures() == {}


@pytest.fixture
def three_days(lake: LocalStore) -> ProfileSettings:
    """A lake with three days of hours that are rolled up."""
    roll_up(lake, [], "2026-01-05T00", "2026-01-07T23")
    return ProfileSettings(lake=lake.url)


def profile(settings: ProfileSettings, asked: Span = EVER) -> None:
    """Run the profile stage."""
    run_profile(settings, Markers(settings.store), asked, force=False, advance=lambda *_: None)


def test_profile_is_given_the_days_that_wait_for_each_other(three_days: ProfileSettings) -> None:
    """Days that become due when an earlier day is made belong to the same batch."""
    assert plan(PROFILE, three_days, EVER, force=False, most=2) == Batch(span("2026-01-05", "2026-01-06"), 1, 0)
    assert plan(PROFILE, three_days, EVER, force=False, most=9) == Batch(span("2026-01-05", "2026-01-07"), 1, 0)
    profile(three_days, span("2026-01-05", "2026-01-06"))
    found = plan(PROFILE, three_days, EVER, force=False, most=9)
    assert found == Batch(span("2026-01-07", "2026-01-07"), 1, 0)


def test_profile_is_given_periods_whose_audience_alone_is_due(three_days: ProfileSettings) -> None:
    """Periods whose audience alone is due are planned, for example after a changed threshold."""
    profile(three_days)
    assert plan(PROFILE, three_days, EVER, force=False, most=9) is None
    changed = ProfileSettings(lake=three_days.lake, profile=ProfileOptions(order_reach=20))
    # Three days, their week, month and quarter end on 5, 6, 7, 11 and 31 January, and on 31 March.
    assert plan(PROFILE, changed, EVER, force=False, most=2) == Batch(span("2026-01-05", "2026-01-06"), 5, 1)
    assert plan(PROFILE, changed, span("2026-01-07", "2026-01-07"), force=False, most=9) == Batch(
        span("2026-01-07", "2026-01-07"), 4, 0
    )


def test_failed_day_does_not_hide_the_audience_of_others(three_days: ProfileSettings) -> None:
    """A failed day does not hide the audience of another day, although both have names of the same form."""
    store = three_days.store
    profile(three_days, span("2026-01-05", "2026-01-05"))
    failure = Failure(keys.AUDIENCE, "2026-01-06", "r", 1, "internal", 70, "", "2026-01-08T00:00:00.000+00:00")
    store.put(keys.failed_key(keys.AUDIENCE, day("2026-01-06")), failure.to_json())
    markers = Markers(store)
    run_stage(ProfileStage(three_days, markers, ENGINE), markers)
    found = plan(PROFILE, three_days, EVER, force=False, most=1)
    # The audience of the 6th failed and that of the 7th is new, so the 7th is the oldest that did not fail.
    assert found is not None
    assert found.span == span("2026-01-07", "2026-01-07")
    run_stage(AudienceStage(three_days, markers, ENGINE), markers)
    assert plan(PROFILE, three_days, EVER, force=False, most=1) is None
