"""All stages on a small world: what a change makes again, and what it leaves alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli.__main__ import main
from tests.helpers_mart import rows_of
from tests.schedule_service import ScheduleService, schedule_service
from tests.small_world import CASE, WINTER, SmallWorld, digests, listed, tell_schedule

MONDAY, TUESDAY, WEDNESDAY = "2026-02-02", "2026-02-03", "2026-02-04"
PERIODS = ["2026-W06", "2026-02", "2026-Q1"]
ORPHAN = 301
"""An episode that is in no captured schedule."""
DONE = """\
schedule-fetch: nothing was pending
rollup: nothing was pending
profile: nothing was pending
mart-load: nothing was pending
"""


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service, which lists nothing on the web."""
    with schedule_service() as running:
        tell_schedule(running, MONDAY)
        yield running


@pytest.fixture(scope="module")
def done(service: ScheduleService, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A full run over three days, the first and the last of them short; ann and bob watched on the first."""
    world = SmallWorld(tmp_path_factory.mktemp("done"))
    world.configure(service.url, (MONDAY, WEDNESDAY))
    world.events(f"{MONDAY}T22", [("ann", 1, WINTER), ("ann", 2, WINTER), ("bob", 1, CASE)])
    world.events(f"{TUESDAY}T10", [("ann", minute, CASE) for minute in range(4)])
    world.events(f"{WEDNESDAY}T01", [("bob", 3, ORPHAN)])
    assert world.run() == 0
    return world


@pytest.fixture
def world(done: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A copy of the finished world, with its settings in force."""
    copy = done.copy(tmp_path / "world")
    monkeypatch.setenv("MARQUEE_CONFIG", str(copy.config))
    return copy


def made_again(world: SmallWorld, before: dict[str, int]) -> set[str]:
    """Return the stages and periods whose generation has increased by one."""
    after = world.generations()
    changed = {name for name in after if after[name] != before.get(name)}
    assert all(after[name] == before[name] + 1 for name in changed)
    return changed


def audiences(*days: str) -> set[str]:
    """Return the audience periods of these days, all in one week, month and quarter."""
    return {f"audience/{period}" for period in (*days, *PERIODS)}


def test_everything_that_can_be_made_is_made(world: SmallWorld) -> None:
    """A full run makes every hour from the first event to the last, empty ones included, and all days and periods."""
    hours = {f"rollup/{MONDAY}T{n:02}" for n in (22, 23)} | {f"rollup/{TUESDAY}T{n:02}" for n in range(24)}
    hours |= {f"rollup/{WEDNESDAY}T{n:02}" for n in (0, 1)}
    days = {f"{stage}/{day}" for stage in ("schedule_fetch", "profile") for day in (MONDAY, TUESDAY, WEDNESDAY)}
    assert world.generations() == dict.fromkeys(hours | days | audiences(MONDAY, TUESDAY, WEDNESDAY), 1)


def test_second_run_makes_nothing_and_says_so(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run changes no object of the lake and not the mart, and says so."""
    before = {path: path.stat().st_mtime_ns for path in sorted(world.folder.rglob("*"))}
    assert main(["run"]) == 0
    assert capsys.readouterr().out == DONE
    assert {path: path.stat().st_mtime_ns for path in sorted(world.folder.rglob("*"))} == before


@pytest.mark.parametrize(
    ("user", "days"),
    [
        pytest.param("bob", {TUESDAY}, id="of a viewer known before"),
        pytest.param("cid", {TUESDAY, WEDNESDAY}, id="of a new viewer, whom later days then know"),
    ],
)
def test_late_file_makes_again_what_it_touches(
    world: SmallWorld, capsys: pytest.CaptureFixture[str], user: str, days: set[str]
) -> None:
    """A late file restates its hour, its day, later days that know its viewer, and the periods over them."""
    before = world.generations()
    seconds = f"select sum(watched_seconds) from fact_viewership where day = '{TUESDAY}'"  # noqa: S608
    ((watched,),) = rows_of(world.kiosk, seconds)
    world.events(f"{TUESDAY}T10", [(user, minute, WINTER) for minute in range(5)], file=1)
    assert main(["run"]) == 0
    profiles = {f"profile/{day}" for day in days}
    assert made_again(world, before) == {f"rollup/{TUESDAY}T10", *profiles, *audiences(*days)}
    # The mart loads the changes: the hour, the day's audience, and the three over it.
    assert f"rollup: 1 made\nprofile: {2 * len(days) + 3} made\nmart-load: 5 made\n" in capsys.readouterr().out
    assert rows_of(world.kiosk, seconds) == [(watched + 5 * 60,)]


def test_forced_run_with_the_same_bytes_changes_nothing_downstream(world: SmallWorld) -> None:
    """An hour that is forced and has the same bytes makes nothing downstream stale."""
    before = world.markers()
    assert main(["rollup", f"{TUESDAY}T10", "--force"]) == 0
    assert main(["run"]) == 0
    assert made_again(world, {name: one.generation for name, one in before.items()}) == {f"rollup/{TUESDAY}T10"}
    assert digests(world.markers()) == digests(before)


def test_later_capture_resolves_an_orphan(world: SmallWorld, service: ScheduleService) -> None:
    """A later capture that lists a played episode restates the periods with its plays."""
    orphan = "select count(*) from dim_episode where episode_id = 301 and show_id = 0"
    assert rows_of(world.kiosk, orphan) == [(1,)]
    before = world.generations()
    tell_schedule(service, TUESDAY, [listed(ORPHAN, 3, "Found", "Drama")])
    try:
        assert main(["schedule-fetch", TUESDAY, "--force"]) == 0
    finally:
        tell_schedule(service, TUESDAY, [])
    assert main(["run"]) == 0
    assert made_again(world, before) == {f"schedule_fetch/{TUESDAY}", *audiences(WEDNESDAY)}
    assert rows_of(world.kiosk, orphan) == [(0,)]
    title = "select s.label from dim_episode e join dim_show s on s.show_id = e.show_id where episode_id = 301"
    assert rows_of(world.kiosk, title) == [("Found",)]


def test_kiosk_that_is_lost_is_loaded_from_the_lake(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """A deleted mart is loaded again from the lake, and no stage makes anything again."""
    before = world.generations()
    facts = "select * from fact_audience order by all"
    rows = rows_of(world.kiosk, facts)
    world.kiosk.unlink()
    assert main(["run"]) == 0
    assert DONE.replace("mart-load: nothing was pending", "mart-load: 37 made") == capsys.readouterr().out
    assert world.generations() == before
    assert rows_of(world.kiosk, facts) == rows


def test_failure_of_one_period_does_not_stop_the_others(
    world: SmallWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad hour fails and keeps its result, while a good hour and its downstream periods reach the mart."""
    before = world.generations()
    world.events(f"{MONDAY}T22", [("bob", 8, WINTER)], file=1, bad_lines=3)
    world.events(f"{TUESDAY}T10", [("bob", 9, WINTER)], file=1)
    assert main(["run"]) == 65
    assert "rollup: 1 made, 1 failed; see the log" in capsys.readouterr().out
    assert made_again(world, before) == {f"rollup/{TUESDAY}T10", f"profile/{TUESDAY}", *audiences(TUESDAY)}
    # Mended by a higher limit: the hour is made, and its failure is cleared.
    monkeypatch.setenv("MARQUEE_ROLLUP__REJECT_LINES", "3")
    assert main(["run"]) == 0
    assert world.generations()[f"rollup/{MONDAY}T22"] == 2
    assert not list(world.lake.root.rglob("_FAILED"))


def test_lake_made_anew_has_the_same_bytes(done: SmallWorld, world: SmallWorld) -> None:
    """A lake made anew from the same raw files and captures has the same bytes."""
    for stage in ("rollup", "profile", "audience"):
        for kind in ("data", "markers"):
            shutil.rmtree(world.lake.root / kind / stage)
    assert world.run() == 0
    assert digests(world.markers()) == digests(done.markers())
    assert {one.run_id for one in world.markers().values() if one.stage == "rollup"}.isdisjoint(
        one.run_id for one in done.markers().values()
    )
