"""A process's own scratch folder: who may open it, and who deletes it."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from marquee.engine.scratch import own_scratch, sweep


def mode_of(path: Path) -> int:
    """Return the permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def dead(root: Path, name: str = "marquee-run-dead") -> Path:
    """Leave the folder of a process that was killed: with a lock file that nobody holds."""
    folder = root / name
    (folder / "marquee-task-1").mkdir(parents=True)
    (folder / "marquee-task-1" / "copy").write_bytes(b"raw events")
    (folder / ".lock").touch()
    return folder


def test_only_this_user_opens_it(tmp_path: Path) -> None:
    """The folder has mode 0700 whatever the umask, is the same at each call, and is its own root."""
    before = os.umask(0)
    try:
        folder = own_scratch(tmp_path)
    finally:
        os.umask(before)
    assert (folder.parent, mode_of(folder), mode_of(folder / ".lock")) == (tmp_path, 0o700, 0o600)
    assert own_scratch(tmp_path) == own_scratch(folder) == folder


def test_folder_that_somebody_deleted_is_made_again(tmp_path: Path) -> None:
    """A folder that a cleaner of old files has removed is replaced at the next call."""
    folder = own_scratch(tmp_path)
    folder.joinpath(".lock").unlink()
    folder.rmdir()
    assert own_scratch(tmp_path).is_dir()


def test_folders_of_dead_processes_are_swept(tmp_path: Path) -> None:
    """Making a folder deletes those without a lock; those of living processes and other files stay."""
    gone, living = dead(tmp_path), dead(tmp_path, "marquee-run-living")
    other = dead(tmp_path, "somebody-else")
    with (living / ".lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = own_scratch(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living, other, own])
    assert not gone.exists()


def test_sweeping_follows_no_link(tmp_path: Path) -> None:
    """Links, and folders without a lock file, are left alone, so nothing outside of the scratch folder is deleted."""
    outside = dead(tmp_path / "outside")
    root = tmp_path / "root"
    unlocked = root / "marquee-run-unlocked"
    unlocked.mkdir(parents=True)
    (root / "marquee-run-link").symlink_to(outside)
    (unlocked / ".lock").symlink_to(outside / ".lock")
    sweep(root)
    assert sorted(path.name for path in root.iterdir()) == ["marquee-run-link", "marquee-run-unlocked"]
    assert (outside / "marquee-task-1" / "copy").exists()


def test_a_missing_root_is_nothing_to_sweep(tmp_path: Path) -> None:
    """Sweeping a folder that does not exist does nothing."""
    sweep(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        own_scratch(tmp_path / "missing")
