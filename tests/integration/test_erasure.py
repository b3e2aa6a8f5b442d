"""A hundred of 5,000 viewers are erased from a lake with days, audiences and a kiosk, and nothing brings them back.

The expected lake is made from the same raw events without those of the erased users.
"""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from jobs.cli.__main__ import main
from jobs.rollup.stage import RollupStage
from jobs.rollup.viewer import viewer_of
from marquee.calendar import Grain, Period
from marquee.errors import LostRaceError
from marquee.lake import keys
from marquee.lake.datasets import REJECTS, VIEWERSHIP
from marquee.lake.ended import Ended, update_ended
from marquee.lake.erasure_progress import open_requests, read_progress
from marquee.lake.files import read_output
from marquee.lake.garbage import collect, plan_garbage
from marquee.lake.layers import VIEWER_DAYS, VIEWER_HOURS
from marquee.lake.manifest import Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Target
from marquee.storage.local import LocalStore
from tests.small_world import CASE, DAY, KEY, WINTER, SmallWorld, digests, event_file, tell_schedule, told_service

DAYS = (DAY, "2026-01-06")
HOURS = (10, 11, 20)
USERS = [f"user-{number:05}" for number in range(5000)]
ERASED = random.Random(17).sample(USERS, 100)  # noqa: S311 - the same users each time
VIEWERS = {viewer_of((KEY.encode(),), user) for user in ERASED}
BAD = b'{"event_id": "bad", "event": {"user_id": "%s", "episode_id": "none"}}\n'
"""A line that is rejected, with a user id."""


def raw_files(users: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the raw files of the days: each user plays some minutes of some hours, and one line of each hour is bad."""
    wanted = set(users)
    for day in DAYS:
        for hour in HOURS:
            by_chance = random.Random(f"{day} {hour}")  # noqa: S311 - as above
            plays = [
                (user, by_chance.randrange(60), by_chance.choice((CASE, CASE, WINTER)))
                for user in by_chance.sample(USERS, 900)
            ]
            key, data = event_file(f"{day}T{hour:02}", [play for play in plays if play[0] in wanted])
            bad = [BAD % user.encode() for user in (ERASED[hour], USERS[hour]) if user in wanted]
            yield key, data + b"".join(bad)


def make_world(folder: Path, url: str, users: Iterable[str]) -> SmallWorld:
    """Return a world with the raw files of some users, over which all stages have run."""
    world = SmallWorld(folder)
    world.configure(url, DAYS)
    text = world.config.read_text()
    world.config.write_text(text.replace("buckets = 1, reject_lines = 2", "buckets = 4, reject_lines = 9"))
    for key, data in raw_files(users):
        world.raw.put(key, data)
    assert world.run() == 0
    return world


@dataclass(frozen=True)
class Worlds:
    """A world before the erasure, and one that the erased users never used."""

    before: SmallWorld
    expected: SmallWorld


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """Make both worlds once."""
    folder = tmp_path_factory.mktemp("worlds")
    with told_service() as service:
        tell_schedule(service, DAYS[1], [])
        others = [user for user in USERS if user not in set(ERASED)]
        yield Worlds(make_world(folder / "before", service.url, USERS), make_world(folder / "x", service.url, others))


@pytest.fixture
def world(worlds: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """Return a copy of the world before the erasure, whose settings are in force."""
    copy = worlds.before.copy(tmp_path / "world")
    monkeypatch.setenv("MARQUEE_CONFIG", str(copy.config))
    return copy


def erase(tmp_path: Path, users: Iterable[str] = ERASED) -> None:
    """Request that users are erased, as a person does."""
    file = tmp_path / "users.txt"
    file.write_text("".join(f"{user}\n" for user in users))
    assert main(["erase", "--users", str(file)]) == 0


@contextmanager
def using(world: SmallWorld) -> Iterator[None]:
    """Put the settings of another world in force."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARQUEE_CONFIG", str(world.config))
        yield


def of_viewers(world: SmallWorld, marker: str) -> dict[str, list[tuple[object, ...]]]:
    """Return the sorted rows of a run's datasets by bucket; each object has the bytes that the marker says."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for one in world.markers()[marker].outputs:
        if "bucket=" in one.key:
            rows = read_output(world.lake, one).to_pylist()
            found.setdefault(one.dataset, []).extend(tuple(row.values()) for row in rows)
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def collect_garbage(world: SmallWorld) -> int:
    """Delete what `marquee gc` would delete; return the number of objects."""
    plan = plan_garbage(world.lake, Markers(world.lake), datetime.now(UTC))
    return sum(one.objects for one in collect(world.lake, plan))


def traces(world: SmallWorld, users: Iterable[str] = ERASED) -> list[str]:
    """Return where the lake and the kiosk have an erased viewer or user id: every object is decoded and scanned."""
    viewers = {viewer_of((KEY.encode(),), user) for user in users}
    texts = [form for user in users for form in (user.encode(),)]
    texts += [form for one in viewers for form in (str(one).encode(), f"{one:016x}".encode())]
    found = []
    for info in world.lake.list():
        if info.key.startswith(keys.ERASED):
            continue
        data = world.lake.get(info.key)
        if info.key.endswith(".parquet"):
            table = pq.read_table(world.folder / "lake" / info.key)
            numbers = {one for column in table.columns if str(column.type) == "uint64" for one in column.to_pylist()}
            data += b"\n".join(table["raw"].to_pylist()) if "raw" in table.column_names else b""
            if not viewers.isdisjoint(numbers):
                found.append(info.key)
                continue
        if any(text in data for text in texts):
            found.append(info.key)
    with duckdb.connect(world.kiosk, read_only=True) as mart:
        for (name,) in mart.sql("select table_name from duckdb_tables()").fetchall():
            rows = repr(mart.sql(f'from "{name}"').fetchall()).encode()
            found += [name for text in texts if text in rows]
    return found


def comparable(world: SmallWorld, *but: str) -> dict[str, dict[str, str]]:
    """Return the digests of the objects of all periods with viewers, without rejects, by stage and period."""
    left_out = {REJECTS.name, *but}
    return {
        name: {file: one for file, one in files.items() if not any(file.startswith(out) for out in left_out)}
        for name, files in digests(world.markers()).items()
        if not name.startswith(keys.SCHEDULE_FETCH)
    }


def kiosk_rows(world: SmallWorld) -> dict[str, list[tuple[object, ...]]]:
    """Return the facts of the kiosk by table."""
    with duckdb.connect(world.kiosk, read_only=True) as mart:
        names = [name for (name,) in mart.sql("select table_name from duckdb_tables()").fetchall() if "fact" in name]
        return {name: sorted(mart.sql(f'from "{name}"').fetchall(), key=repr) for name in names}


def delete_raw(world: SmallWorld) -> None:
    """Delete all raw events, as retention does."""
    shutil.rmtree(world.folder / "raw")


def test_world_before_has_the_viewers(world: SmallWorld) -> None:
    """The scan finds erased viewers before the erasure: in hours, rejects, days and audiences, and not in the kiosk."""
    found = traces(world)
    assert {one.split("/")[1] for one in found} == {keys.ROLLUP, keys.PROFILE, keys.AUDIENCE}
    assert any(one.endswith("rejects.parquet") for one in found)


def test_lake_and_kiosk_are_as_if_the_viewers_had_never_watched(
    world: SmallWorld, worlds: Worlds, tmp_path: Path
) -> None:
    """With raw events, every figure is restated; after the collection nothing has a viewer or a user id."""
    erase(tmp_path)
    assert world.run() == 0
    assert comparable(world) == comparable(worlds.expected)
    assert kiosk_rows(world) == kiosk_rows(worlds.expected)
    assert traces(world) != []  # in the replaced runs
    assert collect_garbage(world) > 0
    assert traces(world) == []
    before = world.generations()
    assert world.run() == 0
    assert world.generations() == before
    assert main(["verify"]) == 0


def test_without_raw_events_all_but_viewership_is_restated(world: SmallWorld, worlds: Worlds, tmp_path: Path) -> None:
    """Without raw events, all that is of viewers is as if they had never watched; viewership stays, and says so."""
    hours = comparable(world)
    delete_raw(world)
    erase(tmp_path)
    assert world.run("rollup", "profile", "mart-load") == 0
    assert comparable(world, VIEWERSHIP.name) == comparable(worlds.expected, VIEWERSHIP.name)
    after = comparable(world)
    assert [one["viewership.parquet"] for one in after.values() if "viewership.parquet" in one] == [
        one["viewership.parquet"] for one in hours.values() if "viewership.parquet" in one
    ]
    collect_garbage(world)
    assert traces(world) == []
    assert main(["verify"]) == 0
    assert {one.counts.get("erased_later", 0) > 0 for name, one in world.markers().items() if "rollup" in name} == {
        True,
        False,  # the hours without plays
    }


def late_file(world: SmallWorld) -> None:
    """A late file with plays of erased users arrives."""
    key, data = event_file(f"{DAY}T10", [(user, 5, CASE) for user in ERASED], file=9)
    world.raw.put(key, data)


def restatement(world: SmallWorld) -> None:
    """The raw file of an hour is replaced."""
    key, data = event_file(f"{DAY}T11", [(user, 7, WINTER) for user in (*ERASED, *USERS[:50])])
    world.raw.put(key, data)


def backfill(world: SmallWorld) -> None:
    """Raw events of an earlier day arrive."""
    key, data = event_file("2026-01-04T22", [(user, 7, WINTER) for user in (*ERASED, *USERS[:50])])
    world.raw.put(key, data)


def other_buckets(world: SmallWorld) -> None:
    """The number of buckets is another from now on, and an hour is made again."""
    world.config.write_text(world.config.read_text().replace("buckets = 4", "buckets = 8"))
    late_file(world)


def by_force(world: SmallWorld) -> None:
    """Everything is made again by force."""
    del world
    for stage in ("rollup", "profile"):
        assert main([stage, DAYS[0], "--force"]) == 0
        assert main([stage, DAYS[1], "--force"]) == 0


def restored(world: SmallWorld, backup: dict[str, bytes]) -> None:
    """All markers are restored from a backup of before the erasure."""
    for key, data in backup.items():
        world.lake.put(key, data)


@pytest.mark.parametrize("event", [late_file, restatement, backfill, other_buckets, by_force])
def test_nothing_brings_an_erased_viewer_back(
    world: SmallWorld, tmp_path: Path, event: Callable[[SmallWorld], None]
) -> None:
    """Whatever is made again after an erasure is made without the viewers."""
    erase(tmp_path)
    assert world.run() == 0
    event(world)
    assert world.run() == 0
    collect_garbage(world)
    assert traces(world) == []


@pytest.mark.parametrize("raw", [True, False], ids=["with raw events", "without"])
def test_restored_markers_are_erased_again(world: SmallWorld, worlds: Worlds, tmp_path: Path, *, raw: bool) -> None:
    """Markers of before the erasure are seen as due, as long as their objects exist."""
    backup = {info.key: world.lake.get(info.key) for info in world.lake.list("markers/") if "_SUCCESS" in info.key}
    if not raw:
        delete_raw(world)
    stages = () if raw else ("rollup", "profile", "mart-load")
    erase(tmp_path)
    assert world.run(*stages) == 0
    restored(world, backup)
    assert world.run(*stages) == 0
    assert comparable(world, VIEWERSHIP.name) == comparable(worlds.expected, VIEWERSHIP.name)


def test_two_requests_at_once_are_both_honoured(world: SmallWorld, worlds: Worlds, tmp_path: Path) -> None:
    """A request that arrives while the first is worked on is honoured by the next run, each in an object of its own."""
    erase(tmp_path, ERASED[:50])
    assert world.run("rollup") == 0
    erase(tmp_path, ERASED[50:])
    assert world.run("profile") == 0
    assert world.run() == 0
    assert len([*world.lake.list(keys.ERASED)]) == 2
    assert comparable(world) == comparable(worlds.expected)


@pytest.mark.parametrize("event", [late_file, backfill])
def test_nothing_comes_back_without_raw_events(
    world: SmallWorld, tmp_path: Path, event: Callable[[SmallWorld], None]
) -> None:
    """Raw events of erased viewers that arrive after all others are gone are held, or counted without the viewers."""
    delete_raw(world)
    erase(tmp_path)
    assert world.run("rollup", "profile") == 0
    event(world)
    assert world.run("rollup", "profile") == 0
    collect_garbage(world)
    assert traces(world) == []


def test_of_two_runs_at_once_neither_brings_a_viewer_back(
    world: SmallWorld, worlds: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a run makes its first hour, another request is made, which another run honours too: the first loses it.

    The objects of the run that lost may have viewers of the second request, so this is open until they are collected.
    """
    erase(tmp_path, ERASED[:50])
    made, codes = RollupStage.make, list[int]()

    def with_another(stage: RollupStage, target: Target, run: RunContext) -> Result:
        result = made(stage, target, run)
        if not codes:
            codes.append(0)
            erase(tmp_path, ERASED[50:])
            codes.append(world.run("rollup"))
        return result

    with monkeypatch.context() as patch:
        patch.setattr(RollupStage, "make", with_another)
        assert world.run("rollup") == LostRaceError.exit_code
    assert codes == [0, 0]
    assert world.run() == 0
    assert comparable(world) == comparable(worlds.expected)
    collect_garbage(world)
    assert [one.state for one in read_progress(Markers(world.lake))] == ["to collect", "to collect"]
    collect(world.lake, plan_garbage(world.lake, Markers(world.lake), datetime.now(UTC) + timedelta(days=8)))
    assert [one.state for one in read_progress(Markers(world.lake))] == ["gone", "gone"]
    assert traces(world) == []


def test_viewers_are_erased_by_their_pseudonyms(world: SmallWorld, worlds: Worlds, tmp_path: Path) -> None:
    """Pseudonyms instead of user ids have the same effect, also on rejects whose user id stands by itself."""
    file = tmp_path / "viewers.txt"
    file.write_text("".join(f"{one:016x}\n" for one in VIEWERS))
    assert main(["erase", "--viewers", str(file)]) == 0
    assert world.run() == 0
    assert comparable(world) == comparable(worlds.expected)
    collect_garbage(world)
    assert traces(world) == []


def status_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Return the row of the only request in `marquee erase status`."""
    capsys.readouterr()
    assert main(["erase", "status", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    return {name: row[name] for name in ("viewers", "state", "due", "made_again")}


def test_receipt_says_what_is_due_then_collected_then_gone(
    world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A request is due until the stages have run, to collect until the garbage is deleted, and then gone, with a time.

    Six hours, two days and seven audiences have data of the viewers; hours without plays are searched.
    """
    erase(tmp_path)
    due = {"rollup": 35, "profile": 2, "audience": 5}
    assert status_of(capsys) == {"viewers": 100, "state": "due", "due": due, "made_again": {}}
    assert world.run() == 0
    again = {"rollup": 6, "profile": 2, "audience": 5}
    assert status_of(capsys) == {"viewers": 100, "state": "to collect", "due": {}, "made_again": again}
    assert open_requests(Markers(world.lake)) != []
    assert main(["gc"]) == 0
    (digest,) = re.findall(r"--delete (\w+)", capsys.readouterr().out)
    assert main(["gc", "--delete", digest]) == 0
    # Replaced runs are gone, and all others are of markers: nothing is left.
    assert "Nothing is left of the viewers of request" in capsys.readouterr().out
    assert status_of(capsys)["state"] == "gone"
    (note,) = (json.loads(world.lake.get(one.key)) for one in world.lake.list(keys.ERASED) if one.key.endswith(".done"))
    written = [one.key for name, made in world.markers().items() if name.split("/")[0] in again for one in made.outputs]
    # Hours without plays have an object each, of viewership, that is not written again.
    assert (note["viewers"], note["made_again"], note["objects"]) == (100, again, len(written) - 29)
    assert open_requests(Markers(world.lake)) == []


def status(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """Return the rows of `marquee status`."""
    capsys.readouterr()
    assert main(["status", "--format", "json"]) == 0
    rows: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return rows


def test_kept_figures_stay_and_viewers_go(
    world: SmallWorld, worlds: Worlds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With keep, figures stay as published, in lake and kiosk; all that is of viewers is as if they had never watched.

    A late file of another user then restates the periods that it changes.
    """
    world.config.write_text(world.config.read_text() + '[erasure]\npublished = "keep"\n')
    figures = {name for name, one in keys_by_dataset(world).items() if not one}
    before, facts = comparable(world), kiosk_rows(world)
    erase(tmp_path)
    assert world.run() == 0
    after, expected = comparable(world), comparable(worlds.expected)
    for period, files in after.items():
        for file, digest in files.items():
            kept = file.partition("/")[0].removesuffix(".parquet") in figures - {"episode_day"}
            assert digest == (before if kept else expected)[period][file], f"{period} {file}"
    assert kiosk_rows(world) == facts
    plays = [json.loads(line) for key, data in raw_files(ERASED) if "day=05" in key for line in data.splitlines()]
    watched = {play["event"]["user_id"] for play in plays if "received_at" in play}
    assert world.markers()[f"audience/{DAY}"].counts["erased_later"] == len(watched) > 10
    with duckdb.connect(world.kiosk, read_only=True) as mart:
        query = f"select distinct erased_later from load_ledger where period = '{DAY}' and dataset like 'audience%'"  # noqa: S608
        assert mart.sql(query).fetchall() == [(f"{len(watched)} viewers",)]
    notes = {one["period"]: one["note"] for one in status(capsys) if one["stage"] == keys.MART_LOAD}
    assert notes[DAY] == f"erased later: {len(watched)} viewers"
    collect_garbage(world)
    assert traces(world) == []
    late_file(world)
    world.events(f"{DAY}T11", [("another", 9, CASE)], file=3)
    assert world.run() == 0
    assert "erased_later" not in world.markers()[f"audience/{DAY}"].counts
    assert kiosk_rows(world) != facts


def keys_by_dataset(world: SmallWorld) -> dict[str, bool]:
    """Return of each dataset whether it is by bucket."""
    return {one.dataset: "bucket=" in one.key for marker in world.markers().values() for one in marker.outputs}


def end_day(world: SmallWorld, name: str) -> None:
    """Let retention end all that is of viewers of a day, and all raw events, as `marquee retain` does."""
    delete_raw(world)
    now, day, made = datetime.now(UTC), Period.parse(name), world.markers()
    ends = {
        keys.ROLLUP: (VIEWER_HOURS, [one for one in day.parts(Grain.HOUR) if f"{keys.ROLLUP}/{one}" in made]),
        keys.PROFILE: (VIEWER_DAYS, [day]),
        keys.AUDIENCE: (VIEWER_DAYS, [day]),
    }
    for stage, (layer, periods) in ends.items():
        change = partial(Ended.with_periods, layer=layer.name, periods=periods, at=now, done=True)
        update_ended(world.lake, stage, change)
        for period in periods:
            for output in world.markers()[f"{stage}/{period}"].outputs:
                if output.dataset in layer.data:
                    world.lake.delete(output.key)


def test_period_whose_days_have_ended_is_erased_too(world: SmallWorld, worlds: Worlds, tmp_path: Path) -> None:
    """A week whose first day has ended is not counted again: its state and show_viewer lose the viewers all the same.

    The numbers of viewers in show_viewer are those that they would have if the erased ones had never watched.
    """
    end_day(world, DAYS[0])
    assert world.run("rollup", "profile") == 0
    before = comparable(world)["audience/2026-W02"]
    erase(tmp_path)
    assert world.run("rollup", "profile") == 0
    after, expected = comparable(world)["audience/2026-W02"], comparable(worlds.expected)["audience/2026-W02"]
    assert {file: one for file, one in after.items() if "bucket=" in file} == {
        file: one for file, one in expected.items() if "bucket=" in file
    }
    assert {file: one for file, one in after.items() if "bucket=" not in file} == {
        file: one for file, one in before.items() if "bucket=" not in file
    }
    assert world.markers()["audience/2026-W02"].counts["erased_later"] > 10
    collect_garbage(world)
    assert traces(world) == []
    generations = world.generations()
    assert world.run("rollup", "profile") == 0
    assert world.generations() == generations


def test_state_of_several_blocks_of_a_period_that_has_ended_is_erased(
    world: SmallWorld, worlds: Worlds, tmp_path: Path
) -> None:
    """Days that came one by one have left several blocks in the state of a week: erased viewers leave all of them."""
    expected = worlds.expected.copy(tmp_path / "expected")
    for day in ("2026-01-07", "2026-01-08"):
        for one, users in ((world, USERS), (expected, sorted({*USERS} - {*ERASED}))):
            one.raw.put(*event_file(f"{day}T10", [(user, int(user[-2:]) % 60, CASE) for user in users]))
            with using(one):
                assert one.run("rollup", "profile") == 0
    week = "audience/2026-W02"
    assert len(world.markers()[week].counts["state"]) == 3
    end_day(world, DAYS[0])
    erase(tmp_path)
    assert world.run("rollup", "profile") == 0
    assert of_viewers(world, week) == of_viewers(expected, week)
    published = {one.key for marker in world.markers().values() for one in marker.outputs}
    assert published.isdisjoint(traces(world))


@pytest.mark.parametrize("viewers", [1, 20])
def test_viewers_of_a_bucket_touch_one_bucket(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, viewers: int
) -> None:
    """Without raw events, hours and days read and write the objects of one of four buckets, however many viewers go.

    Each object is written once; sums are written again, and other objects stay.
    """
    delete_raw(world)
    (_, data), *_ = raw_files(USERS)
    of_two = [user for user in ERASED if user.encode() in data or viewers > 1]
    bucket = viewer_of((KEY.encode(),), of_two[0]) % 4
    users = [one for one in of_two if viewer_of((KEY.encode(),), one) % 4 == bucket][:viewers]
    assert len(users) == viewers
    erase(tmp_path, users)
    read, get = list[str](), LocalStore.get

    def counted(store: LocalStore, key: str) -> bytes:
        read.append(key)
        return get(store, key)

    monkeypatch.setattr(LocalStore, "get", counted)
    written = {info.key for info in world.lake.list("data/")}
    assert world.run("rollup", "profile") == 0
    new = [info.key for info in world.lake.list("data/") if info.key not in written]
    for some in (read, new):
        own = [one for one in some if "bucket=" in one and keys.AUDIENCE not in one]
        assert {keys.bucket_of(one) for one in own} == {bucket}
    names = [one for one in new if "viewer_hour" in one]
    assert 0 < len(names) <= len(DAYS) * len(HOURS)
    assert any(f"viewer_seen/bucket={bucket:04}" in one for one in new)
