"""Missing permissions and full disks: exit code, message, and nothing half published."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from marquee.errors import ConfigError
from marquee.storage.local import LocalStore
from tests.small_world import CASE, DAY, SmallWorld
from tests.system_errors import fill, run_without_rights, small_disk

HOUR = f"{DAY}T10"
KEY = "topics/plays/year=2026/month=01/day=05/hour=10/plays+0+0000000000.json"


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    """One hour with one play, before any run."""
    world = SmallWorld(tmp_path / "world")
    world.configure("http://127.0.0.1:9")
    world.events(HOUR, [("u1", 1, CASE)])
    world.lake.root.mkdir()
    return world


def run(world: SmallWorld, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run a command as a user without special rights; return its exit code and its log."""
    more = {f"MARQUEE_{name}": value for name, value in settings.items()}
    done = run_without_rights("-m", "jobs.cli", *arguments, MARQUEE_CONFIG=str(world.config), **more)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("place", "mode", "words"),
    [
        pytest.param("lake", 0o500, r"cannot write .*/world/lake/\S+ \(Permission denied\)", id="lake"),
        pytest.param("lake", 0o000, r"cannot list .*/world/lake/\S+ \(Permission denied\)", id="lake unread"),
        pytest.param("raw/topics", 0o000, r"cannot list .*/world/raw/topics\S* \(Permission denied\)", id="raw"),
        pytest.param(f"raw/{KEY}", 0o000, r"cannot use .*/plays\+0\+0000000000.json \(Permission", id="raw object"),
    ],
)
def test_missing_rights_end_a_rollup_with_78(world: SmallWorld, place: str, mode: int, words: str) -> None:
    """Missing rights end a rollup with 78, and the message has the path, the user and the remedy."""
    folder = world.folder / place
    folder.chmod(mode)
    try:
        code, log = run(world, "rollup", HOUR)
    finally:
        folder.chmod(0o700)
    assert code == 78, log
    assert re.search(rf"{words}.*: user \S+ \(uid \d+\) has no permission\. Grant it, or set another folder", log), log
    assert world.markers() == {}


def test_missing_rights_end_a_load_with_78(world: SmallWorld) -> None:
    """A mart whose folder is not writable ends a load with 78, and a file without rights ends a question with 78."""
    folder = world.folder / "marts"
    folder.mkdir(0o500)
    url = f"duckdb://{folder}/kiosk.duckdb"
    code, log = run(world, "mart-load", MART__URL=url)
    assert code == 78
    assert re.search(r"cannot open .*/marts/kiosk.duckdb \(Permission denied\): user \S+ \(uid \d+\) has no", log), log
    folder.chmod(0o700)
    assert run(world, "mart-load", MART__URL=url)[0] == 0
    (folder / "kiosk.duckdb").chmod(0o000)
    code, log = run(world, "ask", "top-shows", MART__URL=url)
    assert code == 78
    assert re.search(r"cannot open .*/marts/kiosk.duckdb \(Permission denied\)", log), log


@pytest.mark.parametrize("command", ["rollup", "mart-load", "schedule-fetch", "run"])
@pytest.mark.parametrize(
    ("mode", "words"),
    [
        pytest.param(None, "MARQUEE_ENGINE__SCRATCH={}: the folder does not exist. Create it", id="missing"),
        pytest.param(0o500, "cannot write MARQUEE_ENGINE__SCRATCH={} (Permission denied): user ", id="not writable"),
    ],
)
def test_scratch_folder_is_checked_before_any_work(
    world: SmallWorld, command: str, mode: int | None, words: str
) -> None:
    """Every stage checks the scratch folder before any work and ends with 78 and the path if it is unusable."""
    scratch = world.folder / "scratch"
    if mode is not None:
        scratch.mkdir(mode)
    code, log = run(world, command, ENGINE__SCRATCH=str(scratch))
    assert code == 78, log
    assert words.format(scratch) in log
    assert list(world.lake.list()) == []


def test_full_disk_ends_a_rollup_with_75_and_publishes_nothing(world: SmallWorld) -> None:
    """A disk that fills up within a run ends a rollup with 75, and the same command succeeds when there is room."""
    world.lake.root.rmdir()
    with small_disk(world.lake.root):
        filling = fill(world.lake.root, leave=4096)
        code, log = run(world, "rollup", HOUR)
        assert code == 75, log
        assert re.search(r"cannot write .*/world/lake/\S+ \(No space left on device\): the disk is full\. Free", log), (
            log
        )
        assert world.markers() == {}
        assert [path for path in world.lake.root.rglob(".*") if path.is_file()] == []
        filling.unlink()
        assert run(world, "rollup", HOUR)[0] == 0
        assert list(world.markers()) == [f"rollup/{HOUR}"]


def test_full_disk_ends_a_load_with_75_and_loads_nothing(world: SmallWorld) -> None:
    """A full disk at the mart ends a load with 75, and the same command succeeds when there is room."""
    assert run(world, "rollup", HOUR)[0] == 0
    with small_disk(world.folder / "marts", 1 << 23) as folder:
        url = f"duckdb://{folder}/kiosk.duckdb"
        filling = fill(folder, leave=1 << 14)
        code, log = run(world, "mart-load", MART__URL=url)
        assert code == 75, log
        assert re.search(r"cannot \w+ .*/marts/kiosk.duckdb \(No space left on device\): the disk is full", log), log
        filling.unlink()
        code, log = run(world, "mart-load", MART__URL=url)
        assert code == 0, log


def test_full_scratch_folder_ends_with_75(world: SmallWorld) -> None:
    """A full scratch folder is found before any work, by writing a few bytes there, and ends the run with 75."""
    with small_disk(world.folder / "scratch") as scratch:
        fill(scratch)
        code, log = run(world, "rollup", HOUR, ENGINE__SCRATCH=str(scratch))
    assert code == 75, log
    assert f"cannot write MARQUEE_ENGINE__SCRATCH={scratch} (No space left on device): the disk is full" in log


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda store: store.put("a/b", b"1"), id="put"),
        pytest.param(lambda store: store.put_if_absent("a/b", b"1"), id="put if absent"),
    ],
)
def test_file_where_a_folder_is_expected_is_a_setting(tmp_path: Path, call: Callable[[LocalStore], object]) -> None:
    """A URL that leads through a file is an error of settings, not an internal one."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"cannot write .*/file/lake/a/b \(Not a directory\): a part of this path"):
        call(LocalStore(tmp_path / "file" / "lake"))
