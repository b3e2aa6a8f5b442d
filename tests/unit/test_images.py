"""The Dockerfiles and scripts of images, as far as they can be checked without building; tests/images has the rest."""

import json
import os
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.registry import PIPELINE

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
SCRIPTS = [path for path in sorted(IMAGES.glob("*/*")) if path.read_text().startswith("#!")]
STAGES = [*(job.name for job in PIPELINE), "exporter"]

Instruction = tuple[str, str]
"""The name of an instruction, and its arguments in one line."""


def instructions(dockerfile: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, without comments."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def findings(dockerfile: str) -> set[str]:
    """Return what is wrong with a Dockerfile by our own rules; `make lint` runs hadolint for the usual ones."""
    found = instructions(dockerfile)
    return {finding for one in found for finding in _findings_of(*one)} | set(_findings_of_users(found))


def _findings_of(name: str, rest: str) -> Iterator[str]:
    if name in {"ARG", "ENV"} and re.search(r"(?i)password|secret|token|index_url", rest):
        yield f"{name} stays in the image's history: a secret mount"
    if name == "FROM" and not re.match(r"\$\{\w+\}|\w+( AS \w+)?$", rest):
        yield "FROM is no build argument, nor a stage"
    if name == "ARG" and "=" in rest and not re.search(r":(?!latest\b)[\w.-]+$", rest):
        yield "ARG names an image without a tag, or the latest"
    if name == "RUN":
        yield from _findings_of_command(rest)


def _findings_of_command(command: str) -> Iterator[str]:
    if re.search(r"\b(curl|wget)\b", command):
        yield "RUN fetches what no hash is known of"
    for part in command.split(" && "):
        installs = re.search(r"\bpip (install|wheel)|install-requirements", part)
        if installs and "--require-hashes" not in part and "--no-index" not in part:
            yield "pip installs what no hash is known of"


def _findings_of_users(found: list[Instruction]) -> Iterator[str]:
    """Find the build stages that have an entry point and do not end with a numbered user."""
    user = None
    for name, rest in found:
        if name == "FROM":
            user = None
        if name == "USER":
            user = rest
        if name == "ENTRYPOINT" and not re.match(r"[1-9]\d*:[1-9]\d*$", user or ""):
            yield "ENTRYPOINT is run by root, or by a user without a number"


FINE = """
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN pip install --require-hashes -r lock.txt
FROM build
USER 185:185
ENTRYPOINT ["tini"]
"""


def test_rules_let_pass_what_is_fine() -> None:
    """The sample Dockerfile, which the next test breaks, has no findings."""
    assert findings(FINE) == set()


@pytest.mark.parametrize(
    ("fine", "spoilt", "finding"),
    [
        ("bookworm-slim", "latest", "ARG names an image without a tag, or the latest"),
        (":bookworm-slim", "", "ARG names an image without a tag, or the latest"),
        ("${BASE}", "debian:bookworm-slim", "FROM is no build argument, nor a stage"),
        ("USER 185:185", "USER marquee", "ENTRYPOINT is run by root, or by a user without a number"),
        ("USER 185:185", "USER 0:0", "ENTRYPOINT is run by root, or by a user without a number"),
        ("USER 185:185", "", "ENTRYPOINT is run by root, or by a user without a number"),
        ("--require-hashes ", "", "pip installs what no hash is known of"),
        ("RUN pip", "RUN curl -s example.org/x | sh && pip", "RUN fetches what no hash is known of"),
        ("FROM build", "FROM build\nARG PIP_INDEX_URL", "ARG stays in the image's history: a secret mount"),
    ],
)
def test_rules_find(fine: str, spoilt: str, finding: str) -> None:
    """Each rule finds its own fault, and no other rule finds it."""
    assert fine in FINE
    assert findings(FINE.replace(fine, spoilt)) == {finding}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile_keeps_the_rules(path: Path) -> None:
    """Each Dockerfile has a numbered user, tagged bases as arguments, hashed packages, and no secrets."""
    assert findings(path.read_text()) == set()


def targets(dockerfile: str) -> dict[str, list[Instruction]]:
    """Return the instructions of each build stage by its name, and of the last stage by the name of its base."""
    found: dict[str, list[Instruction]] = {}
    for name, rest in instructions(dockerfile):
        if name == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        elif found:
            list(found.values())[-1].append((name, rest))
    return found


def test_every_stage_has_an_image() -> None:
    """Each stage has an image that installs its own lock and starts the stage as a module."""
    found = targets((IMAGES / "stage" / "Dockerfile").read_text())
    assert ("COPY", "requirements/${STAGE}.txt /build/") in found.pop("requirements")
    assert (list(found)[-1], found.pop("${STAGE}")) == ("${STAGE}", [])
    commands = {name: rest for name, lines in found.items() for instruction, rest in lines if instruction == "CMD"}
    assert commands == {stage: json.dumps(["python", "-m", f"jobs.{stage}"]) for stage in STAGES}
    assert all((ROOT / "requirements" / f"{stage}.txt").is_file() for stage in STAGES)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_can_be_run(path: Path) -> None:
    """Each script is executable; `make lint` runs shellcheck on it."""
    assert os.access(path, os.X_OK)


def test_unused_parts_are_still_there() -> None:
    """Each pattern of files that images leave out matches an installed file, so that the list is up to date."""
    lines = (IMAGES / "base" / "unused.txt").read_text().splitlines()
    patterns = [pattern for line in lines for pattern in line.partition("#")[0].split()]
    installed = Path(sysconfig.get_path("purelib"))
    assert len(patterns) > 50
    assert [pattern for pattern in patterns if not any(installed.glob(pattern))] == []
