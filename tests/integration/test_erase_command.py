"""``marquee erase``: what it accepts, what it refuses, and that it neither stores nor shows a user id."""

from pathlib import Path

import pytest

from jobs.cli.__main__ import main
from jobs.rollup.viewer import viewer_of
from marquee.lake import keys
from marquee.lake.erasures import list_requests, read_request
from tests.helpers_cli import out_of
from tests.small_world import CASE, DAY, KEY, SmallWorld

ANN = viewer_of((KEY.encode(),), "ann")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A world with an hour of Ann and a bad line, which is rolled up."""
    world = SmallWorld(tmp_path / "world")
    world.configure("http://127.0.0.1:9")
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    monkeypatch.delenv("COLUMNS", raising=False)
    world.events(f"{DAY}T10", [("ann", 1, CASE)], bad_lines=1)
    assert world.run("rollup") == 0
    return world


def requested(world: SmallWorld) -> list[tuple[int, ...]]:
    """Return the viewers of all requests."""
    return [read_request(world.lake, one).viewers for one in list_requests(world.lake).ids]


def file_of(tmp_path: Path, data: bytes) -> str:
    """Return the path of a file of user ids or pseudonyms."""
    path = tmp_path / "whom.txt"
    path.write_bytes(data)
    return str(path)


def test_user_ids_are_hashed_and_not_stored(
    world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is a user id as it is, also with blanks; empty lines, a BOM and Windows' line ends are passed over."""
    assert main(["erase", "--users", file_of(tmp_path, b"\xef\xbb\xbfann\r\n\r\n a b \nann\n")]) == 0
    assert requested(world) == [tuple(sorted((ANN, viewer_of((KEY.encode(),), " a b "))))]
    shown = capsys.readouterr()
    assert "2 viewers, 0 rejected lines" in shown.out
    written = b"".join(world.lake.get(info.key) for info in world.lake.list(keys.ERASED))
    assert not any("ann" in text for text in (shown.out, shown.err, written.decode()))
    assert f"{ANN:016x}" not in shown.out + shown.err


def test_pseudonyms_need_no_key(world: SmallWorld, tmp_path: Path) -> None:
    """Pseudonyms are 16 hexadecimal digits, in capitals or not."""
    assert main(["erase", "--viewers", file_of(tmp_path, f"{ANN:016X}\n{7:016x}\n".encode())]) == 0
    assert requested(world) == [(7, ANN)]


@pytest.mark.parametrize(
    ("option", "data", "code"),
    [
        ("--users", b"", 65),
        ("--users", b"\n\n", 65),
        ("--users", b"\xff\n", 65),
        ("--viewers", b"ann\n", 65),
        ("--viewers", b"0123456789abcdef0\n", 65),
    ],
    ids=["empty", "blank", "not UTF-8", "no digits", "too long"],
)
def test_wrong_file_requests_nothing(
    world: SmallWorld, tmp_path: Path, option: str, data: bytes, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not what the option says is refused as a whole, and the message shows no line of it."""
    assert main(["erase", option, file_of(tmp_path, data)]) == code
    assert requested(world) == []
    said = capsys.readouterr().err
    assert "Nothing was requested" in said
    assert "ann" not in said


def test_missing_file_is_a_wrong_setting(world: SmallWorld, tmp_path: Path) -> None:
    """A file that is not there ends with 78."""
    assert main(["erase", "--users", str(tmp_path / "none")]) == 78
    assert requested(world) == []


def test_key_of_another_lake_is_refused(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under another key, the pseudonyms would be of nobody."""
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", "another key of 16 bytes")
    assert main(["erase", "--users", file_of(tmp_path, b"ann\n")]) == 78
    assert requested(world) == []
    assert f"differs from the key of rollup {DAY}T10" in capsys.readouterr().err


@pytest.mark.usefixtures("world")
def test_status_without_requests_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A lake without requests has no rows; JSON is an empty list."""
    assert "There are no requests to erase viewers." in out_of(capsys, "erase", "status")
    assert out_of(capsys, "erase", "status", "--format", "json").strip() == "[]"


@pytest.mark.usefixtures("world")
def test_command_without_a_file_is_a_usage_error() -> None:
    """Neither a file nor status is nothing to do."""
    with pytest.raises(SystemExit) as caught:
        main(["erase"])
    assert caught.value.code == 2
