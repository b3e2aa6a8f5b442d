"""The end of a quarter lives through retention day by day, with the same answers as without."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.profile.audience_stage import AudienceStage
from jobs.profile.settings import ProfileOptions
from jobs.profile.stage import ProfileStage
from jobs.retain.carry_out import Outcome
from jobs.retain.command import retain
from jobs.retain.layers import plan_removals
from jobs.retain.settings import RetainSettings, RetentionOptions
from marquee.calendar import DAY, EVER, Grain, Period, Span, day
from marquee.engine.base import NO_ENGINE
from marquee.lake import keys
from marquee.lake.layers import VIEWER_DAYS
from marquee.lake.markers import Markers
from marquee.lake.verify import Checked, verify
from marquee.runs.stage import State, run_stage
from marquee.runs.status import read_states
from tests.helpers_rollup import ENGINE, World, line, new_world
from tests.oracle.lake import capture, digests

DAYS = list(day("2026-03-28").until(day("2026-04-04").start))
"""Four days of the first quarter and three of the second, in two weeks and two months."""
EPISODES = {100 + number: (1 + number % 3, 1800) for number in range(6)}
GENRES = {1: ["Drama"], 2: ["Crime"], 3: []}
RETENTION = RetentionOptions(raw_days=7, held_days=7, rejects_days=7, viewer_hour_days=8, viewer_day_days=99)
PREMIERES = {one: (1, number + 1, DAYS[0].date) for number, one in enumerate(EPISODES)}


def plays_of(number: int, at: Period) -> Sequence[bytes]:
    """Return the lines of an hour: five viewers of ten, each with two episodes; some from before midnight on."""
    lines: list[bytes] = []
    for viewer in range(number % 2, 10, 2):
        for part in range(2):
            received = at.start + timedelta(minutes=20 * part + viewer + 10)
            event = {
                "event_id": f"{at} {viewer} {part}",
                "received_at": f"{received:%Y-%m-%dT%H:%M:%S.000Z}",
                "user_id": f"user {viewer}",
                "episode_id": 100 + (viewer + number + part) % 6,
                "watched_seconds": 600,
            }
            lines.append(line(**event))
    return lines


def put(world: World, number: int) -> None:
    """Write the raw events of a day: in its first and its last hour."""
    first, *_, last = DAYS[number].parts(Grain.HOUR)
    for one in (first, last):
        world.put("plays+0+1.json", *plays_of(number, one), b"no play", period=one)


def settings_of(world: World) -> RetainSettings:
    """Return the settings of a world."""
    given: dict[str, Any] = {"lake": world.lake.url, "raw": world.raw.url, "rollup": world.settings.rollup}
    return RetainSettings(**given, retention=RETENTION)


def run(world: World, now: datetime) -> tuple[int, int]:
    """Run rollup, profile and audience; return how many periods were made and failed."""
    reports = [world.run(now=now)]
    markers, settings = Markers(world.lake), settings_of(world)
    stages = (ProfileStage(settings, markers, ENGINE), AudienceStage(settings, markers, ENGINE))
    reports += (run_stage(stage, markers, EVER) for stage in stages)
    return sum(one.changed for one in reports), sum(one.failures for one in reports)


def answers(world: World) -> dict[str, str]:
    """Return the checksums of all audiences and viewership, and of the days' episodes."""
    found = {
        **digests(world.lake, keys.ROLLUP),
        **digests(world.lake, keys.AUDIENCE),
        **digests(world.lake, keys.PROFILE),
    }
    return {name: digest for name, digest in found.items() if not any(f"/{one}" in name for one in VIEWER_DAYS.data)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which nothing ends, made in one go."""
    world = new_world(tmp_path_factory.mktemp("plain"))
    for number in range(len(DAYS)):
        put(world, number)
    capture(world.lake, str(DAYS[0]), EPISODES, GENRES, PREMIERES)
    assert run(world, DAYS[-1].end + DAY)[1] == 0
    return world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, list[str]]]:
    """A world that lives through retention day by day, and what was kept after its time on some days, by day."""
    world = new_world(tmp_path_factory.mktemp("kept"))
    capture(world.lake, str(DAYS[0]), EPISODES, GENRES, PREMIERES)
    for number, one in enumerate(DAYS):
        put(world, number)
        assert run(world, one.end + DAY / 2)[1] == 0
        end(world, one.end)
    kept = {}
    for days in (3, 8, 9, 60, 90, 93, 96, 99, 130):
        today = DAYS[-1].end + days * DAY
        assert run(world, today) == (0, 0)
        kept[f"{today:%m-%d}"] = [f"{one.layer.name} {one.period}: {one.reason}" for one in end(world, today).kept]
    return world, kept


def end(world: World, today: datetime) -> Outcome:
    """Carry out the plans of a day; nothing may be damaged."""
    outcome = retain(settings_of(world), datetime(today.year, today.month, today.day, tzinfo=UTC), lambda *_: None)
    assert outcome.damage == []
    return outcome


def test_answers_are_those_without_retention(plain: World, world: tuple[World, dict[str, list[str]]]) -> None:
    """After months of retention, all published figures have the bytes that they have without it."""
    assert answers(world[0]) == answers(plain)


def test_only_what_the_next_day_would_need_is_left(world: tuple[World, dict[str, list[str]]]) -> None:
    """In the end there are no raw events, rejects and viewer hours, and viewer-level data of the last day alone."""
    lake = world[0].lake
    assert list(world[0].raw.list()) == []
    left = {one.key.split("/")[2] for one in lake.list("data/") if "/viewer_" in one.key or "/rejects" in one.key}
    assert left == {str(DAYS[-1]), "2026-W14", "2026-04", "2026-Q2"}
    assert world[1]["08-12"] == [
        "viewer_day 2026-04-03: 2026-04-04 is not profiled from its registry of viewers",
        "viewer_day 2026-W14: viewer days of 2026-04-03 have not ended",
        "viewer_day 2026-04: viewer days of 2026-04-03 have not ended",
    ]


def test_viewer_days_stay_while_late_files_may_change_their_periods(plain: World) -> None:
    """Viewer days of any age stay while an hour of a period that reads them takes late files."""
    plan = plan_removals(settings_of(plain), Markers(plain.lake), DAYS[-1].end + 130 * DAY)
    assert plan.ends(VIEWER_DAYS, keys.PROFILE) == set()
    assert {one.reason for one in plan.kept if one.layer is VIEWER_DAYS and one.period == DAYS[0]} == {
        "2026-03-28T00, which is in 2026-03-28, takes late files: its raw events or viewer hours have not ended"
    }


def test_viewer_days_end_by_their_age(world: tuple[World, dict[str, list[str]]]) -> None:
    """Nothing is kept after its time, but for the last day: each layer ends when its days are over."""
    assert {today: len(kept) for today, kept in world[1].items()} == {
        **dict.fromkeys(("04-07", "04-12", "04-13", "06-03", "07-03", "07-06", "07-09"), 0),
        "07-12": 1,
        "08-12": 3,
    }


def test_lake_is_whole_and_nothing_is_due(world: tuple[World, dict[str, list[str]]]) -> None:
    """Every period is done, and a verification misses nothing."""
    markers, settings = Markers(world[0].lake), settings_of(world[0])
    for stage in (ProfileStage(settings, markers, NO_ENGINE), AudienceStage(settings, markers, NO_ENGINE)):
        states = list(read_states(stage, markers, stage.periods(EVER)))
        assert {one.state for one in states} == {State.DONE}
        assert {one.note for one in states} == {""}
    found = verify(markers, EVER, Checked(), lambda *_: None)
    assert [one for one in found if one.stage != keys.SCHEDULE_FETCH] == []  # a capture of tests has no true digest
    assert plan_removals(settings, markers, DAYS[-1].end + 130 * DAY).removals == []


def test_ended_periods_stand(world: tuple[World, dict[str, list[str]]]) -> None:
    """A late file is held, other settings and another capture leave ended periods as they are, and force says so."""
    kept = world[0]
    now = DAYS[-1].end + 131 * DAY
    first = next(DAYS[1].parts(Grain.HOUR))
    kept.put("plays+0+9.json", *plays_of(1, first), period=first)
    capture(kept.lake, str(DAYS[1]), {**EPISODES, 100: (2, 60)}, GENRES, PREMIERES)
    markers, settings = Markers(kept.lake), settings_of(kept)
    other = settings.model_copy(update={"profile": ProfileOptions(reach_seconds=60, sitting_gap_seconds=60)})
    profile, audience = ProfileStage(other, markers, ENGINE), AudienceStage(other, markers, ENGINE)
    assert kept.run(now=now).changed == 0
    span = Span(DAYS[0].start, DAYS[2].end)
    assert (run_stage(profile, markers, span).changed, run_stage(audience, markers, span).changed) == (0, 0)
    (note,) = {one.note for one in read_states(profile, markers, DAYS[:3])}
    assert note.startswith(
        "stands as it was made, although its inputs or settings have changed: retention ended viewer_h"
    )
    assert {code for _, code in run_stage(profile, markers, span, force=True).failed} == {65}
    reasons = {one.reason for one in Markers(kept.lake).failures(keys.PROFILE).values()}
    assert all("cannot be made again, also not by force: retention ended viewer_hour" in one for one in reasons)
    quarter = Period.parse("2026-Q1")
    assert (quarter, 65) in run_stage(audience, markers, span, force=True).failed
    assert run(kept, now) == (1, 0)  # the last day, which has not ended, sees the other capture
    assert Markers(kept.lake).failures(keys.AUDIENCE) == {}
