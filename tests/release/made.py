"""A release that `make release` has made: its version, and its images."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marquee.version import __version__
from tools.release.contents import Contents

VERSION = os.environ.get("VERSION", __version__)


@dataclass(frozen=True)
class Shipped:
    """An image of the release, and its name."""

    name: str
    contents: Contents

    @cached_property
    def executables(self) -> set[str]:
        """Names of files that somebody may run."""
        files = ((path, file.member) for path, file in self.contents.files.items())
        return {path.rpartition("/")[2] for path, one in files if one.issym() or (one.isreg() and one.mode & 0o111)}

    @property
    def settings(self) -> dict[str, Any]:
        """How a container of the image is started."""
        found: dict[str, Any] = self.contents.config["config"]
        return found
