"""Days that wait for an hour at their edges, the way out, and what is said of a day to date: marker, status, mart."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jobs.cli.__main__ import main
from marquee.api import open_mart
from marquee.calendar import EVER, Period, Span, day, hour
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.storage.local import LocalStore
from tests.helpers_cli import out_of
from tests.helpers_mart import rows_of
from tests.helpers_rollup import World, line, new_world
from tests.small_world import CASE, DAY, SmallWorld

LATER = datetime.fromisoformat("2026-01-07T00:00:00+00:00")
BAD = 3
"""One bad line more than the settings of the small world allow in an hour."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A world without events, whose settings are in force."""
    world = SmallWorld(tmp_path / "world")
    world.configure("http://127.0.0.1:9")
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    monkeypatch.delenv("COLUMNS", raising=False)
    return world


def fill(world: SmallWorld, hours: Iterable[int], bad: Sequence[int] = ()) -> None:
    """Write ten plays for each hour of the day, with too many bad lines in some."""
    for number in hours:
        plays = [("ann", minute, CASE) for minute in range(10)]
        world.events(f"{DAY}T{number:02}", plays, bad_lines=BAD if number in bad else 0)


def made(world: SmallWorld, stage: str) -> dict[str, str]:
    """Return the hours of a stage's published periods, as its markers count them."""
    return {
        name.removeprefix(f"{stage}/"): f"{one.counts['hours']} of {one.counts['hours_expected']}"
        for name, one in world.markers().items()
        if name.startswith(f"{stage}/")
    }


@pytest.mark.parametrize("failed", [0, 23])
def test_day_with_a_failed_first_or_last_hour_is_not_published(world: SmallWorld, failed: int) -> None:
    """A day, and its week, month and quarter, wait for an hour with too many bad lines; a corrected file ends it."""
    fill(world, range(24), bad=[failed])
    assert world.run("rollup", "profile") == 65
    assert made(world, keys.PROFILE) == made(world, keys.AUDIENCE) == {}
    fill(world, [failed])
    assert world.run("rollup", "profile") == 0
    assert made(world, keys.PROFILE) == {DAY: "24 of 24"}
    assert made(world, keys.AUDIENCE) == {
        DAY: "24 of 24",
        "2026-W02": "24 of 168",
        "2026-01": "24 of 744",
        "2026-Q1": "24 of 2160",
    }


def test_failed_first_hour_whose_file_is_deleted_is_made_empty(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way out for garbage before the launch: delete the file, and the next run publishes the hour as empty."""
    fill(world, [0, 3], bad=[0])
    assert world.run("rollup", "profile") == 65
    assert "waits for rollup 2026-01-05T00, which failed with exit code 65" in out_of(capsys, "status")
    (garbage,) = [one.key for one in world.raw.list() if "hour=00" in one.key]
    world.raw.delete(garbage)
    assert world.run("rollup", "profile") == 0
    assert [name for name in world.generations() if name.startswith("rollup/")] == [
        f"rollup/{DAY}T0{number}" for number in range(4)
    ]
    assert made(world, keys.PROFILE) == {DAY: "4 of 24"}


def test_failed_first_hour_counts_where_more_rejects_are_allowed(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way out: a run of the hour with a higher limit publishes it with what can be read."""
    fill(world, [0, 1], bad=[0])
    assert world.run("rollup", "profile") == 65
    monkeypatch.setenv("MARQUEE_ROLLUP__REJECT_LINES", str(BAD))
    assert main(["rollup", f"{DAY}T00"]) == 0
    monkeypatch.delenv("MARQUEE_ROLLUP__REJECT_LINES")
    assert world.run("rollup", "profile") == 0
    assert made(world, keys.PROFILE) == {DAY: "2 of 24"}


# The hours that a run lists, but does not make


def pending(world: World | SmallWorld) -> list[str]:
    """Return the hours that are pending in the lake."""
    return sorted(map(str, Markers(world.lake).pending(keys.ROLLUP)))


def test_run_of_some_hours_tells_which_others_of_the_day_have_events(world: SmallWorld) -> None:
    """A run up to 21:00 lists the whole day: the day waits for the two hours that have events and were not made."""
    fill(world, range(24))
    assert main(["rollup", "--to", f"{DAY}T21"]) == 0
    assert pending(world) == [f"{DAY}T22", f"{DAY}T23"]
    assert world.run("profile") == 0
    assert made(world, keys.PROFILE) == {}
    assert main(["rollup", f"{DAY}T23"]) == 0
    assert pending(world) == [f"{DAY}T22"]
    assert world.run("rollup", "profile") == 0
    assert (pending(world), made(world, keys.PROFILE)) == ([], {DAY: "24 of 24"})


def test_killed_run_leaves_a_day_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed after its first hour has published which hours it had yet to make."""
    world = new_world(tmp_path)
    for number in range(3):
        world.put(
            "plays+0+0.json", line(received_at=f"{DAY}T{number:02}:02:11.123Z"), period=hour(f"{DAY}T{number:02}")
        )
    publish = LocalStore.put_if_absent

    def die(store: LocalStore, key: str, data: bytes) -> object:
        if f"{DAY}T01" in key:
            raise KeyboardInterrupt
        return publish(store, key, data)

    monkeypatch.setattr(LocalStore, "put_if_absent", die)
    with pytest.raises(KeyboardInterrupt):
        world.run(now=LATER)
    assert list(world.markers()) == [f"{DAY}T00"]
    assert pending(world) == [f"{DAY}T01", f"{DAY}T02"]
    monkeypatch.undo()
    world.run(now=LATER)
    assert pending(world) == []


def test_hour_that_is_not_due_is_not_pending(tmp_path: Path) -> None:
    """An hour within its grace period still receives events: the day to date does not wait for it."""
    world = new_world(tmp_path, grace_minutes=10)
    for number in (10, 11):
        world.put("plays+0+0.json", line(received_at=f"{DAY}T{number}:02:11.123Z"), period=hour(f"{DAY}T{number}"))
    world.run(now=datetime.fromisoformat(f"{DAY}T12:09:59+00:00"))
    assert (list(world.markers()), pending(world)) == ([f"{DAY}T10"], [])


def test_hours_of_other_days_stay_pending(tmp_path: Path) -> None:
    """A run of one day lists that day only, and leaves the pending hours of other days as they are."""
    world = new_world(tmp_path)
    for period in (f"{DAY}T10", f"{DAY}T11", "2026-01-06T10"):
        world.put("plays+0+0.json", line(received_at=f"{period}:02:11.123Z"), period=hour(period))
    world.run(Span.of(hour(f"{DAY}T10"), hour(f"{DAY}T10")), now=LATER)
    assert pending(world) == [f"{DAY}T11"]
    world.run(Span.of(day("2026-01-06"), day("2026-01-06")), now=LATER)
    assert pending(world) == [f"{DAY}T11"]
    world.run(EVER, now=LATER)
    assert pending(world) == []


@pytest.mark.parametrize("way_out", ["restore", "force"])
def test_hour_whose_objects_expire_before_it_is_made_is_not_made_empty(tmp_path: Path, way_out: str) -> None:
    """An hour that a run has listed and not made fails when its objects are gone, also at the edge of the lake."""
    world = new_world(tmp_path)
    for period in (f"{DAY}T10", f"{DAY}T11"):
        world.put("plays+0+0.json", line(received_at=f"{period}:02:11.123Z"), period=hour(period))
    world.run(Span.of(hour(f"{DAY}T10"), hour(f"{DAY}T10")), now=LATER)
    world.raw.delete(next(one.key for one in world.raw.list() if "hour=11" in one.key))
    for span in (EVER, EVER, Span.of(day(DAY), day(DAY))):  # again, and by force of more than the hour
        assert world.run(span, now=LATER, force=span != EVER).exit_code == 65
        assert (list(world.markers()), pending(world)) == ([f"{DAY}T10"], [f"{DAY}T11"])
        assert "gone: an earlier run listed some and could not make it" in world.failures()[f"{DAY}T11"]
    if way_out == "restore":
        world.put("plays+0+0.json", line(received_at=f"{DAY}T11:02:11.123Z"), period=hour(f"{DAY}T11"))
        assert world.run(now=LATER).exit_code == 0
    else:
        assert world.run(Span.of(hour(f"{DAY}T11"), hour(f"{DAY}T11")), now=LATER, force=True).exit_code == 0
    assert (pending(world), world.failures()) == ([], {})
    assert world.markers()[f"{DAY}T11"].counts["rows_out"] == (1 if way_out == "restore" else 0)


def test_pending_hour_whose_objects_are_ignored_is_not_waited_for(tmp_path: Path) -> None:
    """A pattern that names what an earlier run has listed of an hour decides: nothing of it is gone."""
    world = new_world(tmp_path)
    for period in (f"{DAY}T10", f"{DAY}T11"):
        world.put("plays+0+0.json", line(received_at=f"{period}:02:11.123Z"), period=hour(period))
    world.run(Span.of(hour(f"{DAY}T10"), hour(f"{DAY}T10")), now=LATER)
    assert pending(world) == [f"{DAY}T11"]
    world = World(world.raw, world.lake, ignore=("*hour=11*",))
    assert (world.run(now=LATER).exit_code, pending(world)) == (0, [])


def test_failed_hour_before_all_others_is_listed_again(tmp_path: Path) -> None:
    """With lookback_days, a failed or pending hour before the first one of the lake is still listed and made."""
    world = new_world(tmp_path, lookback_days=1, reject_lines=0, reject_share=0)
    world.put("plays+0+0.json", b"{", period=hour("2026-01-02T10"))
    world.put("plays+0+0.json", line(), period=hour(f"{DAY}T13"))
    assert world.run(now=LATER).exit_code == 65
    assert list(world.failures()) == ["2026-01-02T10"]
    world.put("plays+0+0.json", line(received_at="2026-01-02T10:02:11.123Z"), period=hour("2026-01-02T10"))
    assert world.run(now=LATER).exit_code == 0
    assert world.markers()["2026-01-02T10"].counts["rows_out"] == 1


def test_run_that_makes_all_leaves_no_list(tmp_path: Path) -> None:
    """Once no hour is pending, there is no list, and a run that finds everything done changes no object."""
    world = new_world(tmp_path, reject_lines=0, reject_share=0)
    world.put("plays+0+0.json", line())
    bad = world.put("plays+0+0.json", b"{", period=hour(f"{DAY}T14"))
    world.run(now=LATER)
    assert Markers(world.lake).pending(keys.ROLLUP) == {hour(f"{DAY}T14")}
    world.raw.put(bad, line(received_at=f"{DAY}T14:02:11.123Z"))
    world.run(now=LATER)
    assert [one.key for one in world.lake.list() if "_PENDING" in one.key] == []
    before = list(world.lake.list())
    world.run(now=LATER + timedelta(hours=1))
    assert list(world.lake.list()) == before


# What is said of a day to date


@pytest.fixture
def to_date(world: SmallWorld) -> SmallWorld:
    """A lake and a mart of a day with 22 of its hours, each with plays."""
    fill(world, range(22))
    assert world.run("rollup", "profile", "mart-load") == 0
    return world


@pytest.mark.usefixtures("to_date")
def test_status_tells_the_hours_to_date(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Status lists the hours of each period to date with the stages that have them: text, JSON and page."""
    shown = out_of(capsys, "status")
    assert "\nPartial: 4 periods\n2026-01-05: 22 of 24 hours (profile, audience, mart_load audience)\n" in shown
    assert "2026-W02: 22 of 168 hours (audience, mart_load audience)\n" in shown
    rows = json.loads(out_of(capsys, "status", "--format", "json"))
    found = {row["stage"]: (row["hours"], row["hours_expected"]) for row in rows if row["period"] == DAY}
    assert found == {"schedule_fetch": (None, None)} | dict.fromkeys(["profile", "audience", "mart_load"], (22, 24))
    assert {row["hours"] for row in rows if row["stage"] == "rollup"} == {None}
    page = tmp_path / "status.html"
    assert main(["status", "--html", str(page)]) == 0
    text = page.read_text()
    assert "<h2>Partial: 4</h2>" in text
    assert "<td>2026-01-05</td><td>22 of 24 hours</td><td>profile, audience, mart_load audience</td>" in text
    assert "2026-01-05: done; " in text
    assert "; 22 of 24 hours" in text


def test_mart_has_the_hours_of_its_audiences(to_date: SmallWorld) -> None:
    """The mart's ledger has the hours of each audience, and the hours of its period."""
    query = "select period, hours, hours_expected from load_ledger where dataset = 'audience' order by ends_at"
    assert rows_of(to_date.kiosk, query) == [
        (DAY, 22, 24),
        ("2026-W02", 22, 168),
        ("2026-01", 22, 744),
        ("2026-Q1", 22, 2160),
    ]
    others = "select count(hours) from load_ledger where dataset in ('viewership', 'shows', 'episodes')"
    assert rows_of(to_date.kiosk, others) == [(0,)]


@pytest.mark.parametrize("question", ["genre-hours", "engagement-by-country", "binge"])
def test_answer_tells_the_hours_to_date(capsys: pytest.CaptureFixture[str], to_date: SmallWorld, question: str) -> None:
    """Every answer says how many hours of its period are loaded; the metadata name the hours of a period to date.

    The audiences have no rows, because one viewer is withheld.
    """
    line, note = "22 of 24 hours of 2026-01-05 · ", b"22 of 24 hours of 2026-01-05 are loaded"
    assert f"\n{line}" in out_of(capsys, "ask", question, "--all")
    for form in ("json", "csv"):
        assert main(["ask", question, "--all", "--format", form]) == 0
        captured = capsys.readouterr()
        assert f"WARNING {question}: {line}" in captured.err
        assert "22 of 24" not in captured.out
    assert open_mart().ask(question).schema.metadata[b"missing"] == note
    fill(to_date, [22, 23])
    assert to_date.run("rollup", "profile", "mart-load") == 0
    assert "\n24 of 24 hours of 2026-01-05 · " in out_of(capsys, "ask", question, "--all")
    assert b"missing" not in open_mart().ask(question).schema.metadata


def test_answer_for_a_week_tells_its_hours(to_date: SmallWorld) -> None:
    """An answer for a given period counts the hours of that period."""
    assert to_date.kiosk.exists()
    for question in ("genre-hours", "engagement-by-country"):
        answer = open_mart().ask(question, period="2026-W02")
        assert answer.schema.metadata[b"missing"] == b"22 of 168 hours of 2026-W02 are loaded"


def test_hour_without_plays_reaches_the_mart(to_date: SmallWorld) -> None:
    """An hour without plays changes no rows: the load says that nothing is pending, and corrects the hours."""
    late = f"topics/plays/{Period.parse(f'{DAY}T23').start:year=%Y/month=%m/day=%d/hour=%H}/plays+0+0000000000.json"
    to_date.raw.put(late, b"\n")
    assert to_date.run("rollup", "profile") == 0
    before = rows_of(to_date.kiosk, "select run_id from load_ledger where dataset = 'audience' order by period")
    assert to_date.run("mart-load") == 0
    query = "select run_id, hours from load_ledger where dataset = 'audience' order by period"
    assert rows_of(to_date.kiosk, query) == [(run, 24) for (run,) in before]
