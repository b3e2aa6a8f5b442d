"""The project as it is set up and published: lock files, the wheel, the command, and forbidden content."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers_rollup import HOUR, SECRET, line, new_world

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[str | dict[str, str]]] = PYPROJECT["dependency-groups"]
SPARK_IMAGES = ("profile", "rollup")
IMAGES = ("exporter", "mart_load", "schedule_fetch", *SPARK_IMAGES)


def group(name: str) -> list[Requirement]:
    """Return the requirements of a dependency group and of the groups that it includes."""
    found = []
    for entry in GROUPS[name]:
        found += group(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


BASE = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
DEPENDENCIES = {
    "build": group("build") + [Requirement(text) for text in PYPROJECT["build-system"]["requires"]],
    "base": BASE,
    "dev": BASE + [Requirement(text) for name, extra in EXTRAS.items() if name != "sail" for text in extra],
    "spark": [Requirement(text) for text in EXTRAS["spark"]],
    "sail": [Requirement(text) for text in EXTRAS["sail"]],
} | {image: group(image) for image in IMAGES}
LOCKS = sorted(DEPENDENCIES)
HASHES = r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+"


def lock_text(name: str) -> str:
    """Return a lock file without its comments."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))


def pins(name: str) -> dict[str, str]:
    """Return the version of each package in a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", lock_text(name), re.MULTILINE))


def tracked_files() -> list[Path]:
    """Return the files in git's index, also in a clone that belongs to another user."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split("\0") if (ROOT / name).is_file()]


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the Makefile in a folder with the environment of a plain shell."""
    outer = {"CI", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    variables = {name: value for name, value in os.environ.items() if name not in outer} | environment
    command = ["make", "--makefile", str(ROOT / "Makefile"), *arguments]
    return subprocess.run(command, cwd=folder, env=variables, check=False, capture_output=True, text=True)


def write_command(path: Path, script: str) -> Path:
    """Write a shell script as a substitute for a program, and return its path."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_nothing_but_exact_versions_with_hashes(name: str) -> None:
    """Every entry of a lock is name==version with SHA-256 hashes: no index, no link, no local path, no open range."""
    entry = rf"[a-z0-9-]+==[0-9][0-9a-z.]*(?: ; [^\\\n]+)?{HASHES}\n"
    assert re.sub(entry, "", lock_text(name)).strip() == ""


@pytest.mark.parametrize("name", LOCKS)
def test_lock_satisfies_pyproject(name: str) -> None:
    """Each dependency is locked at a version that pyproject.toml allows; if not, `make lock` was forgotten."""
    locked = pins(name)
    for requirement in DEPENDENCIES[name]:
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in requirements/{name}.txt"
        assert requirement.specifier.contains(version), f"{requirement}, but requirements/{name}.txt has {version}"


@pytest.mark.parametrize("name", sorted({*LOCKS} - {"build", "dev", "sail"}))
def test_tests_run_with_what_is_shipped(name: str) -> None:
    """The tests run with exactly the package versions of every lock, for one machine and for the images."""
    assert pins("dev").items() >= pins(name).items()


@pytest.mark.parametrize("image", IMAGES)
def test_image_has_less_than_the_command_needs(image: str) -> None:
    """An image has only the command's packages that its stage needs, and the launcher's where it starts Spark.

    The exporter's has what the command prints with.
    """
    launcher = {"kubernetes", "pyyaml"} if image in SPARK_IMAGES else set()
    assert {one.name for one in group(image)} - {one.name for one in BASE} == launcher
    printing = {"rich"} if image == "exporter" else set()
    assert {"polars", "pyspark", "rich", "shtab"} & pins(image).keys() == printing


def run_in(image: str, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a module with the packages of an image's lock alone: importing any other package fails."""
    allowed = {canonicalize_name(name) for name in pins(image)}
    others = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & {*allowed, "marquee"}
    }
    assert "pytest" in others
    start = f"""
        import runpy, sys
        sys.modules.update(dict.fromkeys({sorted(others)}))  # None: importing it fails
        sys.argv = {["stage", *arguments]}
        runpy.run_module("{module}", run_name="__main__")
    """
    command = [sys.executable, "-c", textwrap.dedent(start)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("image", IMAGES)
def test_stage_starts_with_its_own_requirements(image: str) -> None:
    """A stage starts with the packages of its own lock."""
    run = run_in(image, f"jobs.{image}", "--help")
    assert run.stderr == ""
    assert run.stdout.startswith(f"usage: python -m jobs.{image}")


@pytest.mark.parametrize(
    ("image", "command"),
    [
        ("mart_load", ("jobs.mart_load.admin", "init")),
        ("mart_load", ("jobs.report", "2026-Q1")),
        ("exporter", ("jobs.retain",)),
        *((image, ("jobs.cli.preflight", image)) for image in IMAGES if image != "exporter"),
    ],
)
def test_what_else_the_charts_start_is_in_the_image(image: str, command: tuple[str, ...]) -> None:
    """In each image, what else starts there finds all packages, and fails only for a missing setting."""
    run = run_in(image, *command)
    assert run.returncode == 78
    assert "MARQUEE_LAKE: is not set" in run.stderr


def test_what_makes_the_passwords_of_a_kiosk_is_in_its_image() -> None:
    """The job that makes passwords and certificate finds all packages, and fails only for lack of a cluster."""
    run = run_in("mart_load", "jobs.mart_load.credentials", "--passwords", "p", KUBERNETES_SERVICE_HOST="")
    assert run.returncode == 78
    assert "This job runs in a pod with a token of the API server" in run.stderr


@pytest.mark.parametrize("image", SPARK_IMAGES)
def test_launcher_plans_a_stage_with_that_stages_requirements(image: str, tmp_path: Path) -> None:
    """The launcher plans a stage with that stage's packages and without those of the other Spark stage.

    Rollup has no raw events, and profile has nothing to make.
    """
    application = tmp_path / "application.yaml"
    application.write_text(
        "{apiVersion: sparkoperator.k8s.io/v1beta2, kind: SparkApplication, metadata: {name: a}, spec: {}}"
    )
    run = run_in(
        image,
        "jobs.launcher",
        image,
        MARQUEE_LAKE=(tmp_path / "lake").as_uri(),
        MARQUEE_RAW=(tmp_path / "raw").as_uri(),
        MARQUEE_ROLLUP__VIEWER_KEY="0123456789abcdef",
        MARQUEE_LAUNCHER__APPLICATION=str(application),
        MARQUEE_LAUNCHER__NAMESPACE="here",
        MARQUEE_LAUNCHER__JOB_NAME="job",
        MARQUEE_LAUNCHER__JOB_UID="uid",
    )
    code, message = {
        "rollup": (78, "no such folder"),
        "profile": (0, "profile: nothing is pending; nothing is rolled up yet"),
    }[image]
    assert run.returncode == code, run.stderr
    assert message in run.stderr


def test_retention_runs_with_the_exporters_requirements(tmp_path: Path) -> None:
    """Retention plans and deletes with the packages of the exporter's image: rejects end, and raw events are needed."""
    world = new_world(tmp_path, reject_share=1)
    world.put("plays.json", line(), b"no play")
    world.run()
    run = run_in(
        "exporter",
        "jobs.retain",
        MARQUEE_LAKE=world.lake.url,
        MARQUEE_RAW=world.raw.url,
        MARQUEE_ROLLUP__VIEWER_KEY=SECRET,
        MARQUEE_RETENTION__RAW_DAYS="7",
        MARQUEE_RETENTION__REJECTS_DAYS="7",
    )
    assert run.returncode == 0, run.stderr
    assert f"rejects of {HOUR} to {HOUR} has ended" in run.stderr
    assert f"raw {HOUR} is kept although its time is over: profile 2026-01-05 is pending" in run.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel built from the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ROOT)
        name = build_wheel(str(folder))
    with zipfile.ZipFile(folder / name) as opened:
        yield opened


def test_wheel_carries_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    """The wheel has every module and every other file that the code reads, such as SQL."""
    files = {path.relative_to(ROOT).as_posix() for path in tracked_files()}
    expected = {name for name in files if name.startswith(("jobs/", "marquee/"))}
    assert expected
    assert expected <= {*wheel.namelist()}


def test_metadata_say_what_the_package_is(wheel: zipfile.ZipFile) -> None:
    """The metadata have the project page, the licence, the supported Python versions and the typing classifier."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_string(wheel.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    pythons = {f"Programming Language :: Python :: {version}" for version in ("3.11", "3.12", "3.13", "3.14")}
    assert {*metadata.get_all("Classifier", [])} >= {*pythons, "Typing :: Typed"}


def test_command_is_installed() -> None:
    """The command `marquee` is installed, and the function that it calls can be imported."""
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="marquee")
    assert callable(command.load())


@pytest.mark.parametrize(
    "forbidden",
    [
        # Spelt so that this file does not match itself.
        pytest.param(r"(?<![\w.}~-])/(?:work|root|home/\w+|Users/\w+|tmp/w)/", id="path of one machine"),
        pytest.param(r"py[p]i\.org|python[h]osted|npm[j]s\.org|/simple/\s", id="package registry"),
    ],
)
def test_nothing_committed_names(forbidden: str) -> None:
    """No committed file names a package registry or a path of one machine."""
    pattern = re.compile(forbidden.encode())
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.decode(errors='replace').strip()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_make_lists_its_targets() -> None:
    """Calling `make` alone lists each public target with a line of help."""
    targets = set(re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = [line.split(maxsplit=1) for line in make(ROOT, "help").stdout.splitlines()]
    assert {target for target, _ in listed} == targets - {
        "java",
        "helm",
        "prometheus",
        "shells",
        "valgrind",
        "cluster",
        "FORCE",
    }


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            "[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit; exit 1",
            "Marquee needs Python 3.11 or later, but {python} is: Python 3.9.2",
            id="old",
        ),
        pytest.param(
            'case "$2" in *ensurepip*) exit 1 ;; esac',
            "{python} cannot make virtual environments; on Debian: apt-get install python3-venv",
            id="without venv",
        ),
    ],
)
def test_setup_says_what_python_lacks(tmp_path: Path, script: str, expected: str) -> None:
    """With an unsuitable Python, make reports the version found and the remedy, and creates nothing."""
    python = write_command(tmp_path / "python3", script)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "build.txt").touch()
    run = make(tmp_path, "setup", f"PYTHON={python}")
    assert run.returncode != 0
    assert expected.format(python=python) in run.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("says", "found"),
    [
        pytest.param('openjdk version "11.0.2" 2019-01-15', "Java 11", id="old"),
        pytest.param('java version "1.8.0_401"', "Java 8", id="1.8 means 8"),
        pytest.param("Unable to locate a Java Runtime.", "not there", id="the stub of macOS"),
    ],
)
def test_missing_java_fails_in_ci(tmp_path: Path, says: str, found: str) -> None:
    """Under CI=true, missing Java fails before anything is installed, because tests could not run."""
    java = write_command(tmp_path / "bin" / "java", f"echo '{says}' >&2")
    run = make(tmp_path, "java", CI="true", JAVA_HOME=str(tmp_path))
    assert run.returncode != 0
    assert f'the Spark tests need Java 17 or later, and "{java}" is {found}' in run.stderr


@pytest.mark.parametrize("says", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "21" 2023-09-19'])
def test_java_17_and_later_will_do(tmp_path: Path, says: str) -> None:
    """Java 17 and any later version passes, with or without a minor version."""
    write_command(tmp_path / "bin" / "java", f"echo '{says}' >&2")
    assert make(tmp_path, "java", CI="true", JAVA_HOME=str(tmp_path)).returncode == 0


@pytest.mark.parametrize(
    ("target", "tools", "words"),
    [
        ("helm", ("helm", "skaffold"), "the tests of charts/ need helm"),
        ("prometheus", ("prometheus", "promtool"), "the tests of alerts and dashboards need prometheus"),
        ("shells", ("zsh", "fish"), "the tests of completion need zsh and fish"),
    ],
    ids=["helm", "prometheus", "shells"],
)
def test_missing_tools_fail_in_ci(tmp_path: Path, target: str, tools: tuple[str, str], words: str) -> None:
    """In CI, make fails unless both tools of a pair are installed."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("make", "sh", "sed", "cksum", "cut", "pwd"):
        (bin_ / name).symlink_to(shutil.which(name) or name)
    for there in ((), tools[:1], tools[1:]):
        for name in there:
            write_command(bin_ / name, "true")
        run = make(tmp_path, target, CI="true", PATH=str(bin_))
        assert run.returncode != 0
        assert words in run.stderr
        for name in there:
            (bin_ / name).unlink()
    for name in tools:
        write_command(bin_ / name, "true")
    assert make(tmp_path, target, CI="true", PATH=str(bin_)).returncode == 0
