"""The container images that `make images` has built, named by the environment, and how to run them."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.registry import PIPELINE
from marquee.version import __version__

STAGES = [*(job.name for job in PIPELINE), "exporter"]
"""The parts with an image: each stage, and the exporter."""
DOCKER = os.environ.get("DOCKER", "docker")
REGISTRY = os.environ.get("REGISTRY", "marquee")
VERSION = os.environ.get("VERSION", __version__)
STRANGER = "4711:0"
"""A user that no image has, in the group of root, as a cluster may choose it."""

STRICT = ("--read-only", "--tmpfs=/tmp:exec,size=1g", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the client of Docker; an error of the engine, or a missing engine, fails the test."""
    run = subprocess.run([DOCKER, *arguments], check=False, capture_output=True, text=True)
    assert run.returncode != 125, run.stderr
    return run


@dataclass(frozen=True)
class Image:
    """The image of a stage."""

    stage: str

    @property
    def name(self) -> str:
        """The name of the image."""
        return f"{REGISTRY}/{self.stage}:{VERSION}"

    def inspect(self) -> dict[str, Any]:
        """Return the metadata of the image in the engine."""
        found = docker("image", "inspect", self.name)
        assert found.returncode == 0, f"{found.stderr}: run `make images`"
        (image,) = json.loads(found.stdout)
        return dict(image)

    def run(
        self, *command: str, options: tuple[str, ...] = ("--network", "none"), env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the image under strict rules: an unknown user, who may write to /tmp only."""
        variables = [f"--env={name}={value}" for name, value in (env or {}).items()]
        return docker("run", "--rm", "--user", STRANGER, *STRICT, *options, *variables, self.name, *command)
