"""Start-up of the command: the choice of the package ``jobs``, and Ctrl-C before the command runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jobs
import marquee

LIBRARY = Path(marquee.__file__).parent
COMMAND = (sys.executable, "-m", "marquee")
SCRIPT = (sys.executable, "-c", "import sys; from marquee.__main__ import main; sys.exit(main())")
"""The code of the installed script."""

INTERRUPT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""
"""A module that Python imports at every start: it sends Ctrl-C when the import of another module begins."""


def run(command: tuple[str, ...], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder that is also in PYTHONPATH."""
    variables = os.environ | {"PYTHONPATH": "."} | environment
    return subprocess.run(command, cwd=folder, env=variables, check=False, capture_output=True, text=True)


def write_package(folder: Path, text: str) -> Path:
    """Write a foreign package ``jobs`` into a folder; return the folder."""
    (folder / "jobs").mkdir(parents=True)
    (folder / "jobs" / "__init__.py").write_text(text)
    return folder


@pytest.mark.parametrize("command", [COMMAND, SCRIPT], ids=["module", "script"])
def test_another_package_jobs_in_the_folder_is_not_imported(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Marquee starts its own ``jobs``, although Python searches the current folder first."""
    folder = write_package(tmp_path, "raise RuntimeError('not Marquee')")
    done = run((*command, "--version"), folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"marquee {marquee.__version__}\n", "")


def test_library_without_jobs_says_so(tmp_path: Path) -> None:
    """Without ``jobs``, the library has no command, and the message names the folder and the remedy."""
    shutil.copytree(LIBRARY, tmp_path / "marquee")
    done = run((*COMMAND, "--version"), tmp_path)
    assert done.returncode == 78
    assert done.stderr == (
        f"marquee: {tmp_path} has no package 'jobs', which holds Marquee's commands and stages. Install marquee again\n"
    )


def test_library_beside_a_foreign_jobs_says_so(tmp_path: Path) -> None:
    """A ``jobs`` without the command that was installed over Marquee's is named as the cause."""
    shutil.copytree(LIBRARY, write_package(tmp_path, "") / "marquee")
    done = run((*COMMAND, "--version"), tmp_path)
    assert done.returncode == 78
    assert done.stderr == (
        f"marquee: The package 'jobs' in {tmp_path} has no module jobs.cli: it is not Marquee's. "
        "Install marquee again\n"
    )


def test_foreign_jobs_imported_before_is_named(tmp_path: Path) -> None:
    """A foreign ``jobs`` that is already imported is an error that names its location."""
    folder = write_package(tmp_path, "")
    start = "import sys, jobs; from marquee.__main__ import main; sys.exit(main())"
    done = run((sys.executable, "-c", start), folder)
    assert done.returncode == 78
    assert (
        f"Another package 'jobs' is loaded from {folder / 'jobs' / '__init__.py'}, expected {jobs.__file__}"
        in done.stderr
    )


@pytest.mark.parametrize("moment", ["jobs.cli", "argparse", "shlex", "pydantic", "marquee.report.tables"])
def test_ctrl_c_during_start_up_is_quiet(tmp_path: Path, moment: str) -> None:
    """Ctrl-C during any import ends the command with 130 and without a traceback."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT)
    done = run((*COMMAND, "config"), tmp_path, INTERRUPT_AT=moment)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


def test_ctrl_c_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """Ctrl-C does not end a command that ignores SIGINT, such as one in the background of a shell."""
    (tmp_path / "sitecustomize.py").write_text(f"{INTERRUPT}\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n")
    done = run((*COMMAND, "--version"), tmp_path, INTERRUPT_AT="jobs.cli")
    assert (done.returncode, done.stdout) == (0, f"marquee {marquee.__version__}\n")
