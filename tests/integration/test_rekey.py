"""A lake of 5,000 viewers under one key is brought to a newer one, and has what it would have from raw under both.

The expected lake is made from the same raw events under the list of keys.
"""

import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.cli.__main__ import main
from jobs.exporter.collectors import make_collectors
from jobs.exporter.settings import ExporterSettings
from jobs.profile.audience_stage import AudienceStage
from jobs.rekey.stage import RekeyStage
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.datasets import SHOW_VIEWER, SITTING_PERIOD, VIEWER_PERIOD, VIEWERSHIP
from marquee.lake.manifest import Output, Result
from marquee.lake.markers import Markers
from marquee.mart.ledger import entries_of, restated_days
from marquee.runs.stage import RunContext, Target
from marquee.settings.loading import load_settings
from marquee.telemetry import metrics
from tests.conftest import SPARK_CONF
from tests.integration.test_erasure import (
    DAYS,
    ERASED,
    USERS,
    collect_garbage,
    comparable,
    delete_raw,
    end_day,
    erase,
    kiosk_rows,
    make_world,
)
from tests.small_world import CASE, DAY, KEY, WINTER, SmallWorld, event_file, tell_schedule, told_service

NEW = "a newer key of the small world"
LISTED = f"""viewer_key = {json.dumps([NEW, KEY])}"""


def set_keys(world: SmallWorld, listed: str = LISTED) -> None:
    """Put the newer key in front, as a person does."""
    world.config.write_text(re.sub(r"viewer_key = (\[.*?\]|\"[^\"]*\")", lambda _: listed, world.config.read_text()))


def old_viewer(user: str) -> bytes:
    """Return the bytes of a pseudonym under the old key."""
    return hmac.new(KEY.encode(), user.encode(), hashlib.sha256).digest()[:8]


def new_viewer(user: str) -> int:
    """Return the pseudonym under both keys."""
    return int.from_bytes(hmac.new(NEW.encode(), old_viewer(user), hashlib.sha256).digest()[:8])


@dataclass(frozen=True)
class Worlds:
    """A world under the old key, and one made from the same raw events under both."""

    before: SmallWorld
    expected: SmallWorld


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """Make both worlds once."""
    folder = tmp_path_factory.mktemp("worlds")
    with told_service() as service:
        tell_schedule(service, DAYS[1], [])
        before = make_world(folder / "before", service.url, USERS)
        expected = SmallWorld(folder / "expected")
        shutil.copytree(before.folder / "raw", expected.folder / "raw")
        expected.configure(service.url, DAYS)
        text = expected.config.read_text().replace("buckets = 1, reject_lines = 2", "buckets = 4, reject_lines = 9")
        expected.config.write_text(text)
        set_keys(expected)
        assert expected.run() == 0
        yield Worlds(before, expected)


@pytest.fixture
def world(worlds: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """Return a copy of the world under the old key, whose settings are in force."""
    copy = worlds.before.copy(tmp_path / "world")
    monkeypatch.setenv("MARQUEE_CONFIG", str(copy.config))
    return copy


def rows_of(world: SmallWorld, output: Output, *but: str) -> list[tuple[object, ...]]:
    """Return the rows of an object, sorted, without some columns."""
    table = pq.read_table(world.folder / "lake" / output.key).drop_columns([*but])
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


def of_dataset(world: SmallWorld, *names: str) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of some datasets by stage and period, and by dataset; of the state, all blocks together."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for at, marker in world.markers().items():
        for one in marker.outputs:
            if one.dataset in names:
                but = ["viewer_bits"] if one.dataset == VIEWERSHIP.name else []
                found.setdefault(f"{at} {one.dataset}", []).extend(rows_of(world, one, *but))
    return {at: sorted(rows, key=repr) for at, rows in found.items()}


def old_pseudonyms(world: SmallWorld, users: Iterable[str] = USERS) -> list[str]:
    """Return the objects of the lake that have an old pseudonym: as a number of 64 bits, in hexadecimal digits, raw."""
    viewers = {int.from_bytes(old_viewer(user)) for user in users}
    texts = [f"{one:016x}".encode() for one in viewers]
    found = []
    for info in world.lake.list():
        data = world.lake.get(info.key)
        if info.key.endswith(".parquet"):
            table = pq.read_table(world.folder / "lake" / info.key)
            columns = [column for column in table.columns if str(column.type) == "uint64"]
            if any(not viewers.isdisjoint(column.to_pylist()) for column in columns):
                found.append(info.key)
        elif any(text in data for text in texts):
            found.append(info.key)
    return found


def check_as_expected(world: SmallWorld, expected: SmallWorld) -> None:
    """Check that the lake has what one from raw events has, except for the bits of viewers."""
    assert comparable(world, VIEWERSHIP.name) == comparable(expected, VIEWERSHIP.name)
    names = (VIEWERSHIP.name, VIEWER_PERIOD.name, SITTING_PERIOD.name)
    assert of_dataset(world, *names) == of_dataset(expected, *names)


def test_rekeyed_lake_is_as_made_from_raw_under_both_keys(world: SmallWorld, worlds: Worlds) -> None:
    """Without raw events, hours, days and audiences have the bytes of a lake from raw; the old pseudonyms are gone."""
    assert len(old_pseudonyms(world)) > 10
    delete_raw(world)
    facts = kiosk_rows(world)
    set_keys(world)
    assert main(["rekey"]) == 0
    check_as_expected(world, worlds.expected)
    hours = [one for name, marker in world.markers().items() if "rollup" in name for one in entries_of(marker)]
    assert {one.generation for one in hours} == {2}
    assert restated_days(hours) == []  # a mart that is loaded anew has exact hours
    assert len(old_pseudonyms(world)) > 10  # in the replaced runs
    assert collect_garbage(world) > 0
    assert old_pseudonyms(world) == []
    before = world.generations()
    assert world.run("rollup", "profile", "mart-load") == 0
    assert main(["rekey"]) == 0
    assert world.generations() == before
    assert kiosk_rows(world) == facts
    assert main(["verify"]) == 0


def test_three_keys_at_once_are_as_one_after_the_other(world: SmallWorld, worlds: Worlds, tmp_path: Path) -> None:
    """A lake that two keys are put in front of is as one that had them one by one."""
    newest = f"viewer_key = {json.dumps(['the newest key of all', NEW, KEY])}"
    stepwise = worlds.before.copy(tmp_path / "stepwise")
    for listed in (LISTED, newest):
        set_keys(stepwise, listed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MARQUEE_CONFIG", str(stepwise.config))
            assert main(["rekey"]) == 0
    set_keys(world, newest)
    assert main(["rekey"]) == 0
    assert comparable(world) == comparable(stepwise)
    assert comparable(world, VIEWERSHIP.name) != comparable(worlds.expected, VIEWERSHIP.name)


def late_file(world: SmallWorld) -> None:
    """A late file with plays of known viewers and of a new one arrives."""
    users = (*ERASED, *USERS[:50], "somebody new")
    world.raw.put(*event_file(f"{DAY}T10", [(user, 5, CASE) for user in users], file=9))


def next_day(world: SmallWorld) -> None:
    """Plays of the next day arrive."""
    world.raw.put(*event_file("2026-01-07T10", [(user, 5, CASE) for user in (*USERS[:50], "somebody new")]))


@pytest.mark.parametrize("event", [late_file, next_day])
@pytest.mark.parametrize("made", ["before", "hours before", "after"])
def test_what_arrives_is_counted_under_the_newer_key(
    world: SmallWorld, worlds: Worlds, tmp_path: Path, event: Callable[[SmallWorld], None], made: str
) -> None:
    """Late and new files before, in the middle, and after give what they give in a lake from raw under both keys."""
    expected = worlds.expected.copy(tmp_path / "expected")
    event(expected)
    assert expected.run("rollup", "profile") == 0
    if made != "after":
        event(world)
        assert world.run("rollup", *(["profile"] if made == "before" else [])) == 0
    set_keys(world)
    assert main(["rekey"]) == 0
    if made == "after":
        event(world)
    assert world.run("rollup", "profile") == 0
    check_as_expected(world, expected)
    generations = world.generations()
    assert world.run("rollup", "profile") == 0
    assert world.generations() == generations


@pytest.mark.parametrize("when", ["done before", "asked before", "hours before", "after"])
@pytest.mark.parametrize("raw", [True, False], ids=["with raw events", "without"])
def test_erasures_before_and_after_are_honoured(
    world: SmallWorld, worlds: Worlds, tmp_path: Path, when: str, *, raw: bool
) -> None:
    """Requests move to the newer key with the lake, so that whatever is made again is made without the viewers."""
    expected = worlds.expected.copy(tmp_path / "expected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARQUEE_CONFIG", str(expected.config))
        erase(tmp_path)
        assert expected.run("rollup", "profile") == 0
    if not raw:
        delete_raw(world)
    if when != "after":
        erase(tmp_path)
    before = {"done before": ("rollup", "profile"), "hours before": ("rollup",)}.get(when, ())
    assert not before or world.run(*before) == 0
    set_keys(world)
    assert main(["rekey"]) == 0
    if when == "after":
        erase(tmp_path)
    assert world.run("rollup", "profile") == 0
    if raw:
        late_file(world)
        late_file(expected)
        assert world.run("rollup", "profile") == 0
        assert expected.run("rollup", "profile") == 0
    assert comparable(world, VIEWERSHIP.name) == comparable(expected, VIEWERSHIP.name)
    (request,) = (one.key for one in world.lake.list(keys.ERASED))
    assert {int(one, 16) for one in json.loads(world.lake.get(request))["viewers"]} == {
        new_viewer(one) for one in ERASED
    }
    collect_garbage(world)
    assert old_pseudonyms(world) == []


def test_ended_periods_are_known(world: SmallWorld, worlds: Worlds, tmp_path: Path) -> None:
    """What retention has ended stays ended: nothing is damage, and nothing is made again; the rest is moved."""
    expected = worlds.expected.copy(tmp_path / "expected")
    end_day(expected, DAYS[0])
    end_day(world, DAYS[0])
    set_keys(world)
    assert main(["rekey"]) == 0
    assert comparable(world, VIEWERSHIP.name)["audience/2026-W02"] == comparable(expected)["audience/2026-W02"]
    generations = world.generations()
    assert world.run("rollup", "profile") == 0
    assert world.generations() == generations
    assert main(["verify"]) == 0
    collect_garbage(world)
    assert old_pseudonyms(world) == []


def rekey_killed_at_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a rekey that is killed between hours and days."""
    with monkeypatch.context() as patch:
        made = RekeyStage.make

        def killed_at_days(stage: RekeyStage, target: Target, run: RunContext) -> Result:
            if stage.name == keys.PROFILE:
                raise KeyboardInterrupt
            return made(stage, target, run)

        patch.setattr(RekeyStage, "make", killed_at_days)
        assert main(["rekey"]) == 130


def test_nothing_else_runs_until_it_is_complete(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between hours and days, stages, gc and retain are refused, under any keys; run again, it completes."""
    set_keys(world)
    rekey_killed_at_days(monkeypatch)
    for listed in (LISTED, f'viewer_key = "{KEY}"'):
        set_keys(world, listed)
        for command in (["rollup"], ["rollup", "--force"], ["profile"], ["gc"], ["run"]):
            capsys.readouterr()
            assert main(command) == ConfigError.exit_code
            assert "Wait for marquee rekey, or run it again" in capsys.readouterr().err
    set_keys(world)
    assert main(["rekey"]) == 0
    assert main(["profile"]) == 0


def test_of_two_at_once_each_period_is_of_one(
    world: SmallWorld, worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run that begins and ends while the first is at its first period leaves nothing to the first."""
    set_keys(world)
    made, codes = RekeyStage.make, list[int]()

    def with_another(stage: RekeyStage, target: Target, run: RunContext) -> Result:
        result = made(stage, target, run)
        if not codes:
            codes.append(0)
            codes.append(main(["rekey"]))
        return result

    monkeypatch.setattr(RekeyStage, "make", with_another)
    assert main(["rekey"]) == 0
    assert codes == [0, 0]
    check_as_expected(world, worlds.expected)
    assert main(["profile"]) == 0


@pytest.mark.parametrize(
    "listed",
    ['"another key of this world"', json.dumps([KEY, NEW]), json.dumps([NEW, "another key of this world"])],
    ids=["another", "turned", "in front of another"],
)
def test_keys_that_do_not_end_with_the_lakes_are_refused(
    world: SmallWorld, listed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the lake's own keys at the end of the list nothing is done, and no message shows a key."""
    before = world.generations()
    set_keys(world, f"viewer_key = {listed}")
    capsys.readouterr()
    assert main(["rekey"]) == ConfigError.exit_code
    told = capsys.readouterr().err
    assert "which are not the end of MARQUEE_ROLLUP__VIEWER_KEY. Nothing was done" in told
    assert "of this world" not in told
    assert world.generations() == before
    assert not any(one.key == keys.rekey_key() for one in world.lake.list("markers/"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_old_key_that_is_dropped_is_refused_before_any_work(
    world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    """With the newer key alone, before the rekey or after it, hours, requests and rekey are refused with words."""
    if when == "after":
        set_keys(world)
        assert main(["rekey"]) == 0
    set_keys(world, f"viewer_key = {json.dumps(NEW)}")
    users = tmp_path / "users.txt"
    users.write_text(f"{USERS[0]}\n")
    next_day(world)
    before = lake_but_index(world)
    for command, words in (
        (["rollup"], "differs from the key of"),
        (["rekey"], "which are not the end of MARQUEE_ROLLUP__VIEWER_KEY. Nothing was done"),
        (["erase", "--users", str(users)], "Set the key of the lake. Nothing was requested"),
    ):
        capsys.readouterr()
        assert main(command) == ConfigError.exit_code
        assert words in capsys.readouterr().err
    assert lake_but_index(world) == before


def lake_but_index(world: SmallWorld) -> dict[str, str]:
    """Return the objects of the lake, without the cache of markers that a run writes whenever it reads many."""
    return {info.key: info.etag for info in world.lake.list() if not info.key.endswith("_INDEX")}


def test_empty_lake_has_nothing_to_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a single marker, rekey makes nothing, and leaves no object that stops the stages."""
    world = SmallWorld(tmp_path / "empty")
    world.configure("http://nowhere.invalid")
    set_keys(world)
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    assert main(["rekey"]) == 0
    assert list(world.lake.list()) == []


def test_audience_whose_last_day_has_another_key_is_moved_without_its_numbers(
    world: SmallWorld, worlds: Worlds, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours and days that were made under both keys by force do not say whom an audience numbers: profile counts again.

    Its state is moved all the same.
    """
    set_keys(world)
    assert main(["rollup", "--force"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(AudienceStage, "periods", lambda *_: [])
        assert main(["profile"]) == 0
    assert main(["rekey"]) == 0
    assert_week_lost_its_numbers(world, capsys.readouterr().err)
    assert world.run("profile") == 0
    check_as_expected(world, worlds.expected)


def test_audience_whose_last_day_has_ended_is_moved_without_its_numbers(
    world: SmallWorld, worlds: Worlds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A week stands whose last day has ended: its state is moved, and it has its figures; nothing is made again."""
    expected = worlds.expected.copy(tmp_path / "expected")
    end_day(world, DAYS[1])
    set_keys(world)
    assert main(["rekey"]) == 0
    assert_week_lost_its_numbers(world, capsys.readouterr().err)
    week = "audience/2026-W02"
    moved, made = comparable(world)[week], comparable(expected)[week]
    assert moved == {file: one for file, one in made.items() if SHOW_VIEWER.name not in file}
    generations = world.generations()
    assert world.run("rollup", "profile") == 0
    assert world.generations() == generations
    assert main(["verify"]) == 0
    collect_garbage(world)
    assert old_pseudonyms(world) == []


def assert_week_lost_its_numbers(world: SmallWorld, logged: str) -> None:
    """Check that the week has its state, and no show_viewer any more, as the log says."""
    assert "show_viewer/bucket=0000.parquet is dropped: nobody knows which viewers it numbers" in logged
    moved = {one.dataset for one in world.markers()["audience/2026-W02"].outputs}
    assert VIEWER_PERIOD.name in moved
    assert SHOW_VIEWER.name not in moved


def test_status_and_metrics_tell_what_is_left_to_move(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between hours and days, two days and their audiences are left: seven periods; afterwards none."""
    set_keys(world)
    rekey_killed_at_days(monkeypatch)
    left = {keys.ROLLUP: 0.0, keys.PROFILE: 2.0, keys.AUDIENCE: 5.0}  # two days, a week, a month and a quarter
    assert exported(world) == left
    assert main(["status"]) == 0
    told = "7 periods have viewers under other keys than MARQUEE_ROLLUP__VIEWER_KEY (profile 2, audience 5)"
    assert told in capsys.readouterr().err
    assert main(["rekey"]) == 0
    assert exported(world) == dict.fromkeys(left, 0.0)
    capsys.readouterr()
    assert main(["status"]) == 0
    assert "under other keys" not in capsys.readouterr().err


def exported(world: SmallWorld) -> dict[str, float]:
    """Return the number of periods under other keys by stage, as the exporter publishes them."""
    settings = load_settings(ExporterSettings, exporter={"parts": ["rollup"]})
    (collector,) = make_collectors(settings, Markers(world.lake))
    samples = collector.read(datetime.now(UTC))
    return {one.labels["stage"]: one.value for one in samples if one.metric is metrics.OTHER_KEY_PERIODS}


def test_erasure_is_requested_under_the_lakes_keys_alone(
    world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the lake is brought to the newer key, and while it is, nothing can be requested; then, by either way."""
    set_keys(world)
    users, viewers = tmp_path / "users.txt", tmp_path / "viewers.txt"
    users.write_text(f"{USERS[0]}\n")
    viewers.write_text(f"{new_viewer(USERS[0]):016x}\n")
    assert main(["erase", "--users", str(users)]) == ConfigError.exit_code
    assert "Run marquee rekey first" in capsys.readouterr().err
    world.lake.put(keys.rekey_key(), b"{}")
    for given in (["--users", str(users)], ["--viewers", str(viewers)]):
        assert main(["erase", *given]) == ConfigError.exit_code
        assert "Wait for marquee rekey, or run it again" in capsys.readouterr().err
    assert main(["rekey"]) == 0
    for given in (["--users", str(users)], ["--viewers", str(viewers)]):
        assert main(["erase", *given]) == 0
    of_lake = {one.parameters["viewer_key_fingerprint"] for at, one in world.markers().items() if "rollup" in at}
    requests = [json.loads(world.lake.get(one.key)) for one in world.lake.list(keys.ERASED)]
    assert {one["viewer_key"] for one in requests} == of_lake
    assert {tuple(one["viewers"]) for one in requests} == {(f"{new_viewer(USERS[0]):016x}",)}
    set_keys(world, f"viewer_key = {json.dumps(['the newest key of all', NEW, KEY])}")
    assert main(["rekey"]) == 0
    assert world.run("rollup", "profile") == 0


def test_state_of_several_blocks_becomes_one_that_goes_on(
    worlds: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days that came one by one have left several blocks in the state of a week: moved as one, it is continued."""
    before, expected = worlds.before.copy(tmp_path / "before"), worlds.expected.copy(tmp_path / "expected")
    for world in (before, expected):
        for day in (7, 8):
            plays = [(user, 7 * day % 60, CASE) for user in USERS[day * 20 : day * 30]]
            world.raw.put(*event_file(f"2026-01-{day:02}T10", plays))
            assert world.run("rollup", "profile") == 0
    assert len(before.markers()["audience/2026-W02"].counts["state"]) == 3
    set_keys(before)
    monkeypatch.setenv("MARQUEE_CONFIG", str(before.config))
    assert main(["rekey"]) == 0
    check_as_expected(before, expected)
    ((run_id, days),) = before.markers()["audience/2026-W02"].counts["state"]
    assert (run_id, days) == (before.markers()["audience/2026-W02"].run_id, 3)
    for world in (before, expected):
        world.raw.put(*event_file("2026-01-09T10", [(user, 5, WINTER) for user in USERS[100:300]]))
        assert world.run("rollup", "profile") == 0
    assert comparable(before, VIEWERSHIP.name) == comparable(expected, VIEWERSHIP.name)
    assert run_id in {block for block, _ in before.markers()["audience/2026-W02"].counts["state"]}


@pytest.mark.spark
def test_spark_moves_the_same(world: SmallWorld, worlds: Worlds) -> None:
    """On Spark, the rows of a bucket meet in its shuffle, with the same bytes; workers take the keys from the file."""
    set_keys(world)
    spark = {"MARQUEE_ENGINE__KIND": "spark", "MARQUEE_ENGINE__SPARK": json.dumps(SPARK_CONF)}
    done = subprocess.run(
        [sys.executable, "-m", "marquee", "rekey"],
        env={**os.environ, **spark},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    check_as_expected(world, worlds.expected)
