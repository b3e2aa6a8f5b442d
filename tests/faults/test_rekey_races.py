"""Runs and requests under the old key that end while the lake is rekeyed: no viewer counts twice, none comes back.

The expected lake is made from the same raw events under both keys, without those of the erased users.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from unittest import mock

import pyarrow.parquet as pq
import pytest

from jobs.cli.__main__ import main
from jobs.rollup.stage import RollupStage
from jobs.rollup.viewer import fingerprint, viewer_of
from marquee.calendar import Period
from marquee.errors import ConfigError
from marquee.lake import erased_rows, keys
from marquee.lake.erasures import Request
from marquee.lake.garbage import collect, plan_garbage
from marquee.lake.manifest import Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Target
from marquee.storage.base import PreconditionError
from marquee.storage.local import LocalStore
from tests.faults.crashing import FAR_FUTURE
from tests.small_world import CASE, DAY, KEY, WINTER, SmallWorld, digests, told_service

NEW = "a newer key of this world"
LISTED = json.dumps([NEW, KEY])
OLD, BOTH = (KEY.encode(),), (NEW.encode(), KEY.encode())
HOURS = (f"{DAY}T10", f"{DAY}T11")
LATE_HOURS = (f"{DAY}T12", "2026-01-06T10")
ASKED, ASKED_LATE = "eve", "sue"
"""Users to erase: of a request that was made before, and of one that is made meanwhile."""


def play(world: SmallWorld, hours: Sequence[str], users: Sequence[str]) -> None:
    """Write a raw file for each hour, in which each user plays."""
    for hour in hours:
        minutes = {"ann": 3, ASKED: 7, ASKED_LATE: 9}
        world.events(hour, [(user, minutes[user], CASE if user == ASKED else WINTER) for user in users])


def request(world: SmallWorld, user: str, hour: int) -> None:
    """Ask under the old key that a user is erased, as `marquee erase` does."""
    data = Request((viewer_of(OLD, user),), viewer_key=fingerprint(OLD)).to_json()
    world.lake.put_if_absent(keys.erasure_key(keys.new_run_id(datetime(2026, 1, 7, hour, tzinfo=UTC))), data)


def use_both_keys(world: SmallWorld) -> None:
    """Put the newer key in front."""
    world.config.write_text(world.config.read_text().replace(f'viewer_key = "{KEY}"', f"viewer_key = {LISTED}"))


def rekey(world: SmallWorld) -> int:
    """Bring the lake to the newer key."""
    with mock.patch.dict(os.environ, MARQUEE_CONFIG=str(world.config)):
        return main(["rekey"])


@dataclass(frozen=True)
class Worlds:
    """A world under the old key whose last hours are not made; the same when they are made under it; and the end."""

    before: SmallWorld
    late: SmallWorld
    expected: SmallWorld

    def publish_late(self, world: SmallWorld) -> list[str]:
        """Publish all that the run under the old key made, as it would; return the periods that it lost."""
        lost = []
        before, late = self.before.markers(), self.late.markers()
        for name, marker in late.items():
            stage, period = name.split("/")
            if name in before and before[name].run_id == marker.run_id:
                continue
            for output in marker.outputs:
                (world.folder / "lake" / output.key).parent.mkdir(parents=True, exist_ok=True)
                world.lake.put(output.key, self.late.lake.get(output.key))
            key = keys.success_key(stage, Period.parse(period))
            try:
                if name in before:
                    world.lake.put_if_unchanged(key, marker.to_json(), before[name].etag)
                else:
                    world.lake.put_if_absent(key, marker.to_json())
            except PreconditionError:
                lost.append(name)
        return lost


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Make the worlds once."""
    folder = tmp_path_factory.mktemp("worlds")
    with told_service() as service:
        before = SmallWorld(folder / "before")
        before.configure(service.url)
        play(before, HOURS, ["ann", ASKED, ASKED_LATE])
        assert before.run() == 0
        request(before, ASKED, 0)
        play(before, LATE_HOURS, ["ann", ASKED, ASKED_LATE])
        late = before.copy(folder / "late")
        assert late.run("rollup", "profile") == 0
        expected = SmallWorld(folder / "expected")
        expected.configure(service.url)
        use_both_keys(expected)
        play(expected, [*HOURS, *LATE_HOURS], ["ann"])
        assert expected.run() == 0
    use_both_keys(before)
    return Worlds(before, late, expected)


def pseudonyms(world: SmallWorld) -> set[int]:
    """Return all viewers of the lake, published or not."""
    files = (world.folder / "lake" / info.key for info in world.lake.list("data/"))
    tables = (pq.read_table(file) for file in files if file.suffix == ".parquet")
    return {viewer for table in tables if "viewer" in table.column_names for viewer in table["viewer"].to_pylist()}


def of_stages(world: SmallWorld) -> dict[str, dict[str, str]]:
    """Return the digests of the objects of hours, days and audiences."""
    return {name: one for name, one in digests(world.markers()).items() if keys.SCHEDULE_FETCH not in name}


@dataclass
class Meanwhile:
    """Does something once: before or after the n-th write of a key that contains a text."""

    world: SmallWorld
    do: Callable[[], object]
    text: str
    number: int = 1
    after: bool = True
    done: list[object] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._patches = [mock.patch.object(LocalStore, name, self._watched(name)) for name in _WRITES]
        for one in self._patches:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._patches:
            one.stop()

    def _watched(self, name: str) -> Callable[..., Any]:
        original = getattr(LocalStore, name)

        def call(store: LocalStore, key: str, *arguments: Any, **named: Any) -> Any:
            self.number -= self.text in key and not self.done
            now = self.number == 0 and not self.done
            if now and not self.after:
                self._act()
            result = original(store, key, *arguments, **named)
            if now and self.after:
                self._act()
            return result

        return call

    def _act(self) -> None:
        self.done.append("begun")
        self.done.append(self.do())


_WRITES = ("put", "put_if_absent", "put_if_unchanged", "delete")


@pytest.mark.parametrize(
    ("text", "number", "after"),
    [
        (keys.REKEY, 1, False),
        (keys.REKEY, 1, True),
        (f"rollup/{HOURS[0]}/_SUCCESS", 1, True),
        (f"rollup/{HOURS[1]}/_SUCCESS", 1, False),
        (f"profile/{DAY}/_SUCCESS", 1, False),
        (f"profile/{DAY}/_SUCCESS", 1, True),
        ("audience/2026-Q1/_SUCCESS", 1, True),
        (keys.ERASED, 1, False),
        (keys.ERASED, 1, True),
        (keys.REKEY, 2, False),
        (keys.REKEY, 2, True),
    ],
)
def test_what_is_published_meanwhile_is_moved_or_refused(
    worlds: Worlds, tmp_path: Path, text: str, number: int, *, after: bool
) -> None:
    """A run under the old key publishes hours, days and audiences, and a request is made, at each point of a rekey."""
    world = worlds.before.copy(tmp_path / "world")

    def publish() -> list[str]:
        request(world, ASKED_LATE, 1)
        return worlds.publish_late(world)

    with Meanwhile(world, publish, text, number, after) as meanwhile:
        assert rekey(world) == 0
    assert len(meanwhile.done) == 2, "the rekey never came to this point"
    too_late = text == keys.REKEY and number == 2
    if too_late:  # after the last look: it is told, and no run begins
        with pytest.raises(ConfigError, match="Run marquee rekey"):
            world.run("rollup")
        assert rekey(world) == 0
    assert {one.parameters["viewer_key_fingerprint"] for at, one in world.markers().items() if "rollup" in at} == {
        fingerprint(BOTH)
    }
    assert world.run("rollup", "profile") == 0
    assert of_stages(world) == of_stages(worlds.expected)
    collect_garbage(world)
    assert pseudonyms(world) == {viewer_of(BOTH, "ann")}


def test_run_that_reads_a_moved_request_publishes_nothing(
    worlds: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run under the old key that reads a request after it was moved would miss the viewer: it fails and says so."""
    world = worlds.before.copy(tmp_path / "world")
    both = world.config.read_text()
    world.config.write_text(both.replace(LISTED, f'"{KEY}"'))
    made, codes = RollupStage.make, list[int]()

    def while_rekeyed(stage: RollupStage, target: Target, run: RunContext) -> Result:
        if not codes:
            world.config.write_text(both)
            codes.append(rekey(world))
            erased_rows._pseudonyms.cache_clear()  # as an executor that reads the request only now
        return made(stage, target, run)

    with monkeypatch.context() as patch:
        patch.setattr(RollupStage, "make", while_rekeyed)
        assert world.run("rollup") == ConfigError.exit_code
    assert codes == [0]
    with_plays = {name for name, one in world.markers().items() if "rollup" in name and one.inputs}
    assert with_plays == {f"rollup/{hour}" for hour in HOURS}
    (told, *_) = Markers(world.lake).failures(keys.ROLLUP).values()
    assert "names viewers by keys with the fingerprint" in told.reason
    assert "run marquee rekey" in told.reason
    with pytest.raises(ConfigError, match="Run marquee rekey"):  # hours without plays were published
        world.run("rollup")
    assert rekey(world) == 0
    assert world.run("rollup", "profile") == 0
    collect_garbage(world)
    assert pseudonyms(world) == {viewer_of(BOTH, "ann"), viewer_of(BOTH, ASKED_LATE)}


def collect_garbage(world: SmallWorld) -> None:
    """Delete what `marquee gc` would delete, whatever its age."""
    collect(world.lake, plan_garbage(world.lake, Markers(world.lake), FAR_FUTURE, timedelta(0)))
