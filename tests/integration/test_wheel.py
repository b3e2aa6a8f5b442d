"""The package as it is published: built, installed with the locked versions, and used outside this folder.

It is installed for the Python that runs the tests and for each other supported one on this machine; the names of the
tests show which.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hatchling.build import build_sdist, build_wheel

from marquee.version import __version__

ROOT = Path(__file__).parents[2]
RUNNING = f"3.{sys.version_info.minor}"
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def find_pythons() -> dict[str, str]:
    """Return the Pythons of this machine by version: the running one, those in PATH, those of pyenv."""
    found = {RUNNING: sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in SUPPORTED:
        named = shutil.which(f"python{version}")
        candidates = [named] if named else []
        candidates += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))]
        works = (
            path
            for path in candidates
            if subprocess.run([path, "-m", "venv", "-h"], capture_output=True, check=False).returncode == 0
        )
        if version not in found and (python := next(works, None)):
            found[version] = python
    return found


PYTHONS = find_pythons()


@dataclass(frozen=True)
class Installed:
    """Marquee in an environment of its own, started in a folder that has another package ``jobs``."""

    bin: Path
    folder: Path

    def run(self, *command: str) -> str:
        """Run a program of the environment, which must succeed; return its output."""
        environment = {
            "PATH": f"{self.bin}:{os.defpath}",
            "HOME": str(self.folder),
            "PYTHONPATH": ".",
            "MARQUEE_CONFIG": ".demo/marquee.toml",
            "LANG": "C.UTF-8",
        }
        program = [str(self.bin / command[0]), *command[1:]]
        done = subprocess.run(program, cwd=self.folder, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ROOT)
        build_wheel(str(folder))
        build_sdist(str(folder))
    return folder


@pytest.fixture(scope="module", params=sorted(PYTHONS))
def installed(request: pytest.FixtureRequest, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel and its dependencies, installed from the lock."""
    folder = tmp_path_factory.mktemp("installed")
    python = folder / "env" / "bin" / "python"
    subprocess.run([PYTHONS[request.param], "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (wheel,) = dist.glob("*.whl")
    install = (*PIP, "--python", str(python), "install", "--quiet", "--no-compile", "--only-binary", ":all:")
    subprocess.run([*install, "--require-hashes", "--requirement", str(ROOT / "requirements" / "base.txt")], check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)
    subprocess.run([*PIP, "--python", str(python), "check"], check=True)
    (folder / "home" / "jobs").mkdir(parents=True)
    (folder / "home" / "jobs" / "__init__.py").write_text("raise RuntimeError('not Marquee')")
    return Installed(python.parent, folder / "home")


def test_source_distribution_makes_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    """A wheel built from the source distribution has the same files as the wheel."""
    (source,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    subprocess.run(
        [*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)], check=True
    )
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(tmp_path / wheel.name) as theirs:
        assert {one.filename: one.CRC for one in theirs.infolist()} == {
            one.filename: one.CRC for one in ours.infolist()
        }
    with tarfile.open(source) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"README.md", "LICENSE", "tests/integration/test_wheel.py", "docs/settings.md"} <= names


def test_command_works_where_it_is_installed(installed: Installed) -> None:
    """The command starts as a script and as a module, with the same result."""
    assert installed.run("marquee", "--version") == f"marquee {__version__}\n"
    assert installed.run("python", "-m", "marquee", "--help") == installed.run("marquee", "--help")


def test_demo_and_questions_work_where_it_is_installed(installed: Installed) -> None:
    """The demo runs all stages and the mart answers, so wheel and dependencies are complete."""
    installed.run("marquee", "demo", "--days", "2", "--events-per-day", "2000")
    periods = json.loads(installed.run("python", "-m", "marquee", "status", "--format", "json"))
    stages = {"schedule_fetch", "rollup", "profile", "audience", "mart_load"}
    assert {(one["stage"], one["state"]) for one in periods} == {(stage, "done") for stage in stages}
    answer = json.loads(installed.run("marquee", "ask", "top-shows", "--limit", "1", "--format", "json"))
    assert [one["title"] for one in answer] == ["All shows"]
