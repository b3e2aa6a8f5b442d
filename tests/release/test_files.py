"""The files of a release: sums, provenance, charts, wheel and notes."""

import hashlib
import json
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers_images import STAGES
from tests.release.made import VERSION


def sha256(path: Path) -> str:
    """Return the sum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def listed(path: Path) -> dict[str, str]:
    """Return a file of sums: by name the sum."""
    return {name: digest for digest, name in (line.split("  ") for line in path.read_text().splitlines())}


def test_release_is_complete(folder: Path) -> None:
    """A release has an archive and an SBOM for each image, two charts, a wheel, notes, provenance and sums."""
    names = {path.name for path in folder.iterdir()}
    (wheel,) = [name for name in names if name.endswith(".whl")]
    assert wheel.startswith(f"marquee-{VERSION}-")
    assert names - {wheel} == {
        *(f"{stage}-{VERSION}.{kind}" for stage in STAGES for kind in ("oci.tar", "cdx.json")),
        f"marquee-{VERSION}.tgz",
        f"kiosk-{VERSION}.tgz",
        "images.txt",
        "NOTES.md",
        "provenance.json",
        "SHA256SUMS",
    }


def test_sums_are_those_of_the_files(folder: Path) -> None:
    """SHA256SUMS has every other file of the release, with its sum."""
    files = {path.name: sha256(path) for path in folder.iterdir() if path.name != "SHA256SUMS"}
    assert listed(folder / "SHA256SUMS") == files


def test_provenance_names_files_commit_and_base(folder: Path) -> None:
    """The statement has the sum of every file made before it, the commit, and the digest of the base image."""
    statement = json.loads((folder / "provenance.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    sums = listed(folder / "SHA256SUMS")
    assert subjects == {name: sums[name] for name in sums if name != "provenance.json"}
    materials = {one["uri"]: one["digest"] for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert re.fullmatch("[0-9a-f]{40}", materials["git+file:."]["gitCommit"])
    (base,) = [uri for uri in materials if uri.startswith("docker-image:debian:bookworm-slim")]
    assert re.fullmatch("[0-9a-f]{64}", materials[base]["sha256"])
    assert materials["file:requirements/rollup.txt"] == {"sha256": sha256(Path("requirements/rollup.txt"))}


def test_archives_have_the_digests_of_the_list(folder: Path) -> None:
    """images.txt has for each image the digest of the manifest in its archive, to which all blobs lead."""
    digests = listed(folder / "images.txt")
    assert sorted(digests) == sorted(STAGES)
    for stage, digest in digests.items():
        with tarfile.open(folder / f"{stage}-{VERSION}.oci.tar") as archive:
            blobs = {}
            for member in archive.getmembers():
                content = archive.extractfile(member)
                assert content
                if member.name.startswith("blobs/"):
                    blobs[member.name.rpartition("/")[2]] = hashlib.sha256(content.read()).hexdigest()
            manifest = json.loads(archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}").read())  # type: ignore[union-attr]
        assert all(name == found for name, found in blobs.items())
        refers = {one["digest"].removeprefix("sha256:") for one in (manifest["config"], *manifest["layers"])}
        assert set(blobs) == refers | {digest.removeprefix("sha256:")}


@pytest.mark.helm
def test_charts_use_the_images_of_the_release(folder: Path) -> None:
    """Rendered from their packages, the charts have the digests of the images, in the user's own registry."""
    digests = listed(folder / "images.txt")
    sets = {
        "kiosk": (
            "image.repository=r.example.org/m",
            "period=2026-Q1",
            "settings.lake=s3://b/lake",
            "networkPolicy.enabled=false",
        ),
        "marquee": ("image.repository=r.example.org/m", "settings.lake=s3://b/lake", "settings.raw=s3://b/raw"),
    }
    extra = (
        "settings.mart.url=mysql://u@h/d",
        "settings.mart.plaintext=true",
        "secrets.mart.name=m",
        "secrets.viewerKey.name=k",
    )
    rendered = {}
    for chart, values in sets.items():
        arguments = [f"--set={one}" for one in (*values, *(extra if chart == "marquee" else ()))]
        command = ["helm", "template", "prod", str(folder / f"{chart}-{VERSION}.tgz"), *arguments]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        rendered[chart] = set(re.findall(r'image: "?(r\.example\.org/m/[^\s"]+)', run.stdout))
    assert rendered["kiosk"] == {f"r.example.org/m/mart_load:{VERSION}@{digests['mart_load']}"}
    assert rendered["marquee"]
    assert rendered["marquee"] <= {f"r.example.org/m/{stage}:{VERSION}@{digest}" for stage, digest in digests.items()}


def test_wheel_and_notes_are_of_the_version(folder: Path) -> None:
    """The wheel has the command and the compiled modules, and the notes are the version's."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(f"marquee-{VERSION}.dist-info/entry_points.txt").decode()
    assert "marquee = marquee.__main__:main" in entry_points
    assert {"jobs/rollup/native.abi3.so", "jobs/profile/arrays_native.abi3.so"} <= set(names)
    assert "marquee/mart/schema/tables.sql" in names
    assert (folder / "NOTES.md").read_text().startswith(f"# Marquee {VERSION}\n")
