"""``make release``: everything that a version ships, in ``dist/release/<version>``, with the same bytes for one commit.

    <image>-<version>.oci.tar    an image, as an OCI archive
    <image>-<version>.cdx.json   what is in it (CycloneDX)
    images.txt                   digests of the images
    <chart>-<version>.tgz        a chart, with these digests
    marquee-<version>-….whl      the Python package
    NOTES.md                     the version's section of the changelog
    provenance.json              how it was made (in-toto, SLSA)
    SHA256SUMS                   sums of all files above

The images are those that ``make images`` has built. Nothing here uses a network. The time in all of it is the commit's.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from marquee.version import __version__
from tools.release import charts
from tools.release.contents import open_image
from tools.release.jars import java_packages
from tools.release.notes import notes
from tools.release.oci import Layouts, Made, digest_of
from tools.release.packages import packages_of
from tools.release.provenance import statement
from tools.release.sbom import sbom

DIST = Path("dist/release")
CHARTS = (Path("charts/kiosk"), Path("charts/marquee"))
SUMS, PROVENANCE = "SHA256SUMS", "provenance.json"


@dataclass(frozen=True)
class Release:
    """What is released: a version of a commit, from images of an engine.

    Attributes:
        registry: registry and folder in the names of the images.
        base: the image of Debian that they start from.
        epoch: time of the commit, in seconds.
        folder: where everything is written.
    """

    version: str
    registry: str
    base: str
    docker: str
    builder: str
    commit: str
    epoch: int
    folder: Path

    def make(self, images: list[str]) -> None:
        """Write all of it anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        digests = self._images(images)
        for chart in CHARTS:
            charts.package(chart, digests, self.version, self.folder, self.epoch)
        self._write("images.txt", "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())))
        self._write("NOTES.md", notes(Path("CHANGELOG.md").read_text(encoding="utf-8"), self.version))
        self._wheel()
        sums = {path.name: sum_of(path) for path in self.folder.iterdir()}
        made = statement(sums, self._parameters(), self._materials(images), self.builder)
        self._write(PROVENANCE, json.dumps(made, indent=1) + "\n")
        sums[PROVENANCE] = sum_of(self.folder / PROVENANCE)
        self._write(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))

    def _images(self, images: list[str]) -> dict[str, str]:
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as scratch:
            layouts = Layouts(self.docker, Path(scratch), self.epoch)
            return {name: self._image(layouts, name).digest for name in images}

    def _image(self, layouts: Layouts, name: str) -> Made:
        made = layouts.make(f"{self.registry}/{name}:{self.version}", self.folder / f"{name}-{self.version}.oci.tar")
        with open_image(made.path) as contents:
            created, packages = contents.config["created"], [*packages_of(contents), *java_packages(contents)]
        document = sbom(name, self.version, made.digest, created, packages)
        self._write(f"{name}-{self.version}.cdx.json", json.dumps(document, indent=1) + "\n")
        print(f"{made.digest}  {made.path}")
        return made

    def _wheel(self) -> None:
        """Build with the locked build backend of this Python."""
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(self.folder)]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": str(self.epoch)}
        )

    def _parameters(self) -> dict[str, str]:
        return {"version": self.version, "registry": self.registry, "SOURCE_DATE_EPOCH": str(self.epoch)}

    def _materials(self, images: list[str]) -> dict[str, dict[str, str]]:
        # A pinned base is not in the engine's store after a build, only in that of its builder.
        _, _, pinned = self.base.partition("@")
        found = pinned or said(self.docker, "image", "inspect", "--format", "{{.Id}}", self.base)
        locks = [Path("requirements/build.txt"), Path("requirements/spark.txt")]
        locks += [Path(f"requirements/{name}.txt") for name in images]
        return {
            "git+file:.": {"gitCommit": self.commit},
            f"docker-image:{self.base}": {"sha256": found.removeprefix("sha256:")},
            **{f"file:{path}": {"sha256": sum_of(path)} for path in locks},
        }

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")


def sum_of(path: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    return digest_of(path).removeprefix("sha256:")


def said(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def refusal(version: str) -> str | None:
    """Return why this clone cannot be released as a version; nothing if it can."""
    if version != __version__:
        return f"VERSION={version}, but marquee/version.py says {__version__}: release what the code says it is"
    if changed := said("git", "status", "--porcelain"):
        return f"the clone has changes that its commit does not have; commit or remove them:\n{changed}"
    return None


def main() -> int:
    """Make a release of the commit that is checked out."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.release", description="Make everything that a version ships."
    )
    parser.add_argument("--version", default=__version__, help="the version; default: that of the code")
    parser.add_argument("--registry", default="marquee", help="registry and folder of the images; default: marquee")
    parser.add_argument("--base", default="debian:bookworm-slim", help="the image that the images start from")
    parser.add_argument("--docker", default="docker", help="Docker's client")
    parser.add_argument(
        "--builder", default="urn:marquee:builder:unnamed", help="URI of who makes it, for the provenance"
    )
    parser.add_argument("images", nargs="+", help="images to release")
    given = parser.parse_args()
    if (why := refusal(given.version)) is not None:
        print(f"make release: {why}", file=sys.stderr)
        return 1
    commit, epoch = said("git", "log", "-1", "--format=%H %ct").split()
    folder = DIST / given.version
    release = Release(
        version=given.version,
        registry=given.registry,
        base=given.base,
        docker=given.docker,
        builder=given.builder,
        commit=commit,
        epoch=int(epoch),
        folder=folder,
    )
    release.make(given.images)
    print(f"made {folder}; to be signed: {folder / SUMS} (docs/release.md)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
