"""Full disks and users without rights for tests: a small disk, and a process that file modes apply to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20


@contextmanager
def small_disk(folder: Path, size: int = 3 * MIB) -> Iterator[Path]:
    """Mount a disk of a few MiB on a folder, which needs root; otherwise the test is skipped, or fails in CI."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("a small disk cannot be mounted here: CI runs these tests as root, with the right to mount")
        pytest.skip("needs root, and the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a small disk except for some bytes, and return the file that fills it."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    file = folder / "filling"
    file.write_bytes(bytes(max(free - leave, 0)))
    return file


def run_without_rights(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python without the right of root to ignore file modes."""
    passing_over = "-dac_override,-dac_read_search"
    before = ["setpriv", f"--bounding-set={passing_over}", f"--inh-caps={passing_over}"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*before, sys.executable, *command],
        env=os.environ | environment,
        cwd=Path(__file__).parents[1],
        check=False,
        capture_output=True,
        text=True,
    )
