"""Verifying a small lake on a folder and on S3, and the way back: what is damaged is named, and made again."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.cli.__main__ import main
from marquee.calendar import Period
from marquee.lake import keys
from tests.helpers_cli import error_of, out_of
from tests.schedule_service import ScheduleService
from tests.small_world import CASE, DAY, WINTER, SmallWorld, digests, finished_world, told_service

FIRST, LAST = f"{DAY}T10", f"{DAY}T12"
HOUR, AUDIENCE = f"rollup/{FIRST}", "audience/2026-01"


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service."""
    with told_service() as running:
        yield running


@pytest.fixture(scope="module")
def done(service: ScheduleService, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A lake after a full run over three hours, of which the second has no events."""
    return finished_world(tmp_path_factory.mktemp("done"), service)


@pytest.fixture
def world(done: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A copy of the finished lake, with its settings in force."""
    copy = done.copy(tmp_path / "world")
    monkeypatch.setenv("MARQUEE_CONFIG", str(copy.config))
    monkeypatch.delenv("COLUMNS", raising=False)
    return copy


def found(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 70) -> list[dict[str, Any]]:
    """Verify the lake and return the findings."""
    rows: list[dict[str, Any]] = json.loads(out_of(capsys, "verify", "--format", "json", *arguments, code=code))
    return rows


def output_of(world: SmallWorld, name: str, dataset: str) -> str:
    """Return the key of the first object of a dataset."""
    return next(one.key for one in world.markers()[name].outputs if one.dataset == dataset)


def test_lake_without_damage(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A lake without damage ends with 0, and the numbers of its markers and objects; nothing is written."""
    before = list(world.lake.list())
    objects = sum(len(marker.outputs) for marker in world.markers().values())
    shown = out_of(capsys, "verify")
    assert shown.startswith(f"Verified 9 markers and {objects} objects (")
    assert shown.endswith("\nNothing is damaged or missing.\n")
    assert found(capsys, code=0) == []
    assert out_of(capsys, "verify", FIRST).startswith("Verified 7 markers")  # of three hours one
    assert list(world.lake.list()) == before


def test_lake_that_is_not_there(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake without markers, such as a misspelt one, is not called whole."""
    monkeypatch.setenv("MARQUEE_LAKE", f"{world.lake.url}x")
    expected = f"{world.lake.url}x has no markers of these periods, so there is nothing to verify. Check MARQUEE_LAKE\n"
    assert out_of(capsys, "verify") == expected
    assert not (world.folder / "lakex").exists()


def test_first_hour_is_made_again_from_its_events(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forced run over everything lists the raw events of a damaged first hour, however far back it lies."""
    monkeypatch.setenv("MARQUEE_ROLLUP__LOOKBACK_DAYS", "1")
    world.events("2026-01-06T12", [("ann", 1, CASE)])
    assert main(["rollup"]) == 0
    before = world.markers()[HOUR].counts
    edit(HOUR, generation="x")(world)
    assert main(["rollup", "--to", FIRST, "--force"]) == 0
    assert world.markers()[HOUR].counts == before


Damage = Callable[[SmallWorld], str]


def cut_short(name: str, dataset: str) -> Damage:
    """Return the damage that cuts an object short; it returns the key."""

    def damage(world: SmallWorld) -> str:
        key = output_of(world, name, dataset)
        world.lake.put(key, world.lake.get(key)[:-1])
        return key

    return damage


def delete(name: str, dataset: str) -> Damage:
    """Return the damage that deletes an object."""

    def damage(world: SmallWorld) -> str:
        key = output_of(world, name, dataset)
        world.lake.delete(key)
        return key

    return damage


def edit(name: str, **fields: object) -> Damage:
    """Return the damage that edits a marker."""

    def damage(world: SmallWorld) -> str:
        key = f"markers/{name}/_SUCCESS"
        world.lake.put(key, json.dumps(json.loads(world.lake.get(key)) | fields).encode())
        return key

    return damage


@pytest.mark.parametrize(
    ("damage", "problem", "commands"),
    [
        pytest.param(cut_short(HOUR, "viewership"), "damaged", [f"rollup {FIRST}"], id="hour, cut short"),
        pytest.param(delete(HOUR, "viewer_hour"), "missing", [f"rollup {FIRST}"], id="hour, missing"),
        pytest.param(edit(HOUR, generation=0), "damaged", [f"rollup {FIRST}"], id="hour, marker"),
        pytest.param(edit(HOUR, parameters={"buckets": 1}), "damaged", [f"rollup {FIRST}"], id="hour, parameters"),
        pytest.param(delete(f"profile/{DAY}", "viewer_day"), "missing", [f"profile {DAY}"], id="day, missing"),
        pytest.param(delete(f"profile/{DAY}", "episode_day"), "missing", [f"profile {DAY}"], id="day, episodes"),
        pytest.param(cut_short(AUDIENCE, "audience"), "damaged", [f"profile {DAY}"], id="month, cut short"),
        pytest.param(edit(AUDIENCE, stage="x"), "damaged", [f"profile {DAY}"], id="month, marker"),
        pytest.param(cut_short(f"schedule_fetch/{DAY}", "shows"), "damaged", [f"schedule-fetch {DAY}"], id="capture"),
        pytest.param(delete(f"schedule_fetch/{DAY}", "payload"), "missing", [f"schedule-fetch {DAY}"], id="payload"),
        pytest.param(
            edit(f"schedule_fetch/{DAY}", run_id="../x"), "damaged", [f"schedule-fetch {DAY}"], id="capture, marker"
        ),
    ],
)
def test_damage_is_named_and_repaired(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, damage: Damage, problem: str, commands: list[str]
) -> None:
    """Damage ends with 70, its key and the commands that repair it; after these commands the bytes are as before."""
    before = digests(world.markers())
    key = damage(world)
    (finding,) = found(capsys)
    stage, period = key.split("/")[1:3]
    assert {**finding, "reason": ""} == {
        "stage": stage,
        "period": period,
        "problem": problem,
        "key": key,
        "reason": "",
        "command": f"marquee {commands[0]} --force",
    }
    assert key in finding["reason"]
    shown = out_of(capsys, "verify", code=70).splitlines()
    start = shown.index("Restore these objects from a backup, or make their periods again, in this order:")
    assert shown[start + 1 : start + 3] == [f"  marquee {commands[0]} --force", "  marquee run"]
    for line in shown[start + 1 : start + 3]:
        main(line.split()[1:])
    assert found(capsys, code=0) == []
    assert main(["status"]) == 0
    assert digests(world.markers()) == before
    assert {row["state"] for row in json.loads(out_of(capsys, "status", "--format", "json"))} == {"done"}


def test_rows_are_counted(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """An object whose bytes fit the marker, but whose Parquet has another number of rows, is damaged."""
    marker = world.markers()[HOUR]
    outputs = [json.loads(json.dumps(vars(one))) for one in marker.outputs]
    for one in outputs:
        one["rows"] += one["dataset"] == "viewership"
    edit(HOUR, outputs=outputs)(world)
    (finding, *stale) = found(capsys)
    assert finding["reason"].startswith(
        f"{world.lake.url}/{output_of(world, HOUR, 'viewership')} is damaged: expected 2 rows"
    )
    assert stale == []


def test_several_periods_are_repaired_in_order(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """Commands come in the order of the pipeline, and consecutive periods in one command."""
    for name in (HOUR, f"rollup/{DAY}T11", AUDIENCE, f"audience/{DAY}", f"schedule_fetch/{DAY}"):
        edit(name, format=0)(world)
    lines = out_of(capsys, "verify", code=70).splitlines()
    assert [line for line in lines if line.startswith("  marquee")] == [
        f"  marquee schedule-fetch {DAY} --force",
        f"  marquee rollup --from {FIRST} --to {DAY}T11 --force",
        f"  marquee profile {DAY} --force",
        "  marquee run",
    ]


@pytest.mark.parametrize("damage", [edit(HOUR, generation=0), delete(HOUR, "viewership")], ids=["marker", "object"])
def test_hour_without_raw_events_has_no_command(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, damage: Damage
) -> None:
    """A damaged hour whose raw events are gone has no command, because force would publish fewer plays."""
    damage(world)
    for info in list(world.raw.list()):
        world.raw.delete(info.key)
    (finding,) = found(capsys)
    assert (finding["period"], finding["command"]) == (FIRST, "")
    lines = out_of(capsys, "verify", code=70).splitlines()
    start = lines.index("Raw events of these hours are gone. Restore their objects from a backup:")
    assert lines[start + 1 : start + 3] == [
        f"  {FIRST}",
        "Without a backup, `marquee rollup HOUR --force` counts what is left of an hour.",
    ]
    assert "Restore these objects" not in lines
    assert [line for line in lines if line.startswith("  marquee")] == ["  marquee run"]


def test_findings_are_shown_when_the_raw_store_does_not_answer(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings are shown, with their commands, when nobody can say whether the raw events are there."""
    monkeypatch.setenv("MARQUEE_RAW", "s3://raw")
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MARQUEE_S3__RETRY_FOR_S", "0.1")
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test-secret"), ("DEFAULT_REGION", "eu")):
        monkeypatch.setenv(f"AWS_{name}", value)
    edit(HOUR, generation=0)(world)
    assert main(["verify", "--format", "json"]) == 70
    shown = capsys.readouterr()
    assert [row["command"] for row in json.loads(shown.out)] == [f"marquee rollup {FIRST} --force"]
    assert "whether the raw events of damaged hours are there is unknown: " in shown.err


def test_deleted_marker_is_missing(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A marker that was deleted is missing if another period was made from it."""
    world.lake.delete(f"markers/{HOUR}/_SUCCESS")
    (finding,) = found(capsys)
    assert (finding["problem"], finding["key"]) == ("missing", f"markers/{HOUR}/_SUCCESS")
    assert finding["reason"].endswith(f"but profile {DAY} was made from {HOUR}/viewer_hour")
    assert finding["command"] == f"marquee rollup {FIRST} --force"


def test_stale_is_not_damaged(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A day whose hour was made again is stale, which is named apart and ends with 0."""
    world.events(FIRST, [("bob", 3, CASE)], file=1)
    assert world.run("rollup") == 0
    (finding,) = found(capsys, code=0)
    assert (finding["stage"], finding["problem"], finding["command"]) == ("profile", "stale", "")
    shown = out_of(capsys, "verify")
    assert "\nStale, not damaged: 1\nstale: profile 2026-01-05\n" in shown
    assert shown.endswith("\nNothing is damaged.\n")


def test_damaged_marker_stops_no_other_period(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """With a damaged marker, status works, a run fails that hour with 70, its day waits, and the mart is as it was."""
    key = edit(HOUR, generation="x")(world)
    world.events(LAST, [("bob", 3, CASE)], file=1)
    assert main(["run"]) == 70
    rows = {
        f"{row['stage']} {row['source']} {row['period']}": row
        for row in json.loads(out_of(capsys, "status", "--format", "json"))
    }
    hour, day, last = (rows[name] for name in (f"rollup  {FIRST}", f"profile  {DAY}", f"rollup  {LAST}"))
    assert (hour["state"], last["state"], last["generation"]) == ("failed", "done", 2)
    assert f"{key} is not a valid marker: generation: " in hour["reason"]
    assert (day["state"], day["reason"]) == ("waiting", f"waits for rollup {FIRST}: its marker is damaged")
    page = world.folder / "status.html"
    assert main(["status", "--html", str(page)]) == 0
    assert "is not a valid marker" in page.read_text()
    assert rows[f"mart_load rollup {LAST}"]["state"] == "done"
    assert rows[f"mart_load rollup {FIRST}"]["reason"] == f"waits for rollup {FIRST}: its marker is damaged"
    assert out_of(capsys, "gc", "--grace-hours", "0").count(FIRST) == 0


def test_damaged_object_fails_the_periods_that_need_it(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """An hour with a damaged object fails its day with 70, with the key and the command that names all damage."""
    key = cut_short(HOUR, "viewer_hour")(world)
    assert main(["profile", "--force"]) == 70
    rows = json.loads(out_of(capsys, "status", "--format", "json"))
    (day,) = (row for row in rows if row["stage"] == "profile")
    assert day["state"] == "done"  # its result is whole, and its inputs are the same
    failure = json.loads(world.lake.get(f"markers/profile/{DAY}/_FAILED"))
    assert (failure["exit_code"], key in failure["reason"], "marquee verify" in failure["reason"]) == (70, True, True)


def test_damaged_capture_fails_audiences_alone(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A damaged object of the schedule fails the audiences, whose plan reads it, and no hour or day."""
    key = cut_short(f"schedule_fetch/{DAY}", "episodes")(world)
    world.events(LAST, [("bob", 3, CASE)], file=1)
    assert (main(["rollup"]), main(["profile"])) == (0, 70)
    rows = json.loads(out_of(capsys, "status", "--format", "json"))
    states = {(row["stage"], row["state"]) for row in rows if row["stage"] in {"rollup", "profile", "audience"}}
    assert states == {("rollup", "done"), ("profile", "done"), ("audience", "failed")}
    assert all(key in row["reason"] for row in rows if row["stage"] == "audience")


COMMANDS = [["run"], ["schedule-fetch"], ["rollup"], ["profile"], ["profile", "--force"], ["mart-load"], ["gc"]]


@pytest.mark.parametrize("command", [*COMMANDS, ["status"], ["verify"]], ids=" ".join)
def test_newer_lake_is_refused(capsys: pytest.CaptureFixture[str], world: SmallWorld, command: list[str]) -> None:
    """After a rollback, every command refuses the 72 hours that the newer version wrote, and touches nothing."""
    start, end = (datetime(2026, 1, day, tzinfo=UTC) for day in (6, 9))
    for stage, name in (("schedule_fetch", DAY), ("rollup", FIRST), ("profile", DAY), ("audience", DAY)):
        text = world.lake.get(f"markers/{stage}/{name}/_SUCCESS").replace(b'"format": 2', b'"format": 3')
        text = text.replace(b'"stage"', b'"new": {}, "stage"')
        first = Period.containing(start, keys.GRAINS[stage][0])
        for period in first.until(end):
            world.lake.put(f"markers/{stage}/{period}/_SUCCESS", text.replace(name.encode(), str(period).encode()))
    assert len(list(world.lake.list("markers/"))) == 9 + 72 + 3 * 3
    world.events(f"{DAY}T13", [("ann", 1, WINTER)])
    world.events(FIRST, [("bob", 3, CASE)], file=1)
    before = {info.key: world.lake.get(info.key) for info in world.lake.list()}
    error = error_of(capsys, *command, code=70)
    assert "/_SUCCESS has format 3; this version reads up to 2." in error
    assert error.endswith("Upgrade Marquee")
    assert {info.key: world.lake.get(info.key) for info in world.lake.list()} == before
