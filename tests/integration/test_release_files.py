"""The files of a release whose bytes depend on its contents alone."""

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tools.release import __main__ as release
from tools.release import charts
from tools.release.archive import compress, rewrite_tar, write_tar
from tools.release.contents import open_image
from tools.release.notes import notes
from tools.release.oci import Layouts, oci_config
from tools.release.provenance import statement

EPOCH = 1_700_000_000
DIGESTS = {name: f"sha256:{place:064x}" for place, name in enumerate(("exporter", "mart_load"))}


def tar_of(path: Path, names: list[str], mtime: int) -> Path:
    """Write a tar of files in the given order and time, and of a link to the last."""
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname = 1, mtime, "me"
            archive.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("a-link")
        link.type, link.linkname = tarfile.LNKTYPE, "b/1"
        archive.addfile(link)
    return path


def test_tar_has_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    """Order and times of the entries make no difference, and a hard link comes after its file."""
    made = []
    for names, mtime in ((["b", "b-c", "b/1"], 1), (["b-c", "b/1", "b"], 2)):
        rewrite_tar(tar_of(tmp_path / "old.tar", names, mtime), tmp_path / "new.tar", EPOCH)
        made.append((tmp_path / "new.tar").read_bytes())
    assert made[0] == made[1]
    with tarfile.open(fileobj=io.BytesIO(made[0])) as archive:
        assert archive.getnames() == ["b", "b/1", "b-c", "a-link"]
        assert {member.mtime for member in archive.getmembers()} == {EPOCH}


def test_gzip_has_no_time(tmp_path: Path) -> None:
    """A gzip file says neither when it was made nor of what."""
    compress(io.BytesIO(b"content"), tmp_path / "a.gz")
    packed = (tmp_path / "a.gz").read_bytes()
    assert (packed[3], packed[4:8]) == (0, bytes(4))  # no flags such as a name, and the time 0
    assert gzip.decompress(packed) == b"content"


def saved_image(folder: Path, layer: Path) -> Path:
    """Write what `docker save` writes of an image, and a client of Docker that prints it."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-11-29T10:00:00Z",
        "container": "0123",
        "config": {"User": "185:185", "Labels": {"a": "b"}, "Hostname": "0123", "Image": "sha256:00"},
        "history": [{"created": "2026-11-29T10:00:00Z", "created_by": "COPY"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:11"]},
    }
    listed = [{"Config": "config.json", "Layers": ["1/layer.tar"], "RepoTags": ["r/exporter:1"]}]
    with (folder / "saved.tar").open("wb") as stream:
        contents = {"manifest.json": json.dumps(listed).encode(), "config.json": json.dumps(config).encode()}
        write_tar(stream, [*contents.items(), ("1/layer.tar", layer)], 0)
    client = folder / "docker"
    client.write_text(f'#!/bin/sh\n[ "$*" = "save r/exporter:1" ] && cat {folder / "saved.tar"}\n')
    client.chmod(0o755)
    return client


def test_archive_of_an_image_has_the_same_bytes_for_the_same_files(tmp_path: Path) -> None:
    """An archive, read again, has the image's files, user and labels; another time of the build changes no byte."""
    made = []
    for mtime in (1, 2):
        folder = tmp_path / str(mtime)
        (folder / "scratch").mkdir(parents=True)
        client = saved_image(folder, tar_of(folder / "layer.tar", ["b/1"], mtime))
        made.append(Layouts(str(client), folder / "scratch", EPOCH).make("r/exporter:1", folder / "made.tar"))
    assert made[0].digest == made[1].digest
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    with open_image(made[0].path) as image:
        assert image.digest == made[0].digest
        assert sorted(image.files) == ["a-link", "b/1"]
        assert image.read("b/1") == b"x"
        assert image.config["config"] == {"User": "185:185", "Labels": {"a": "b"}}
        assert image.config["created"] == "2023-11-14T22:13:20Z"


def test_configuration_keeps_what_runs_and_no_more() -> None:
    """Of Docker's configuration the OCI one has neither containers nor the times of their making."""
    docker = {"os": "linux", "container": "1", "docker_version": "20", "config": {"Cmd": ["x"], "Image": "y"}}
    made = oci_config(docker, ["sha256:1"], 0)
    assert made == {
        "os": "linux",
        "config": {"Cmd": ["x"]},
        "created": "1970-01-01T00:00:00Z",
        "history": [],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
    }


def test_package_of_a_chart_has_digests_and_no_examples(tmp_path: Path) -> None:
    """A package has the chart's files below its name, the digests as values, and not what .helmignore names."""
    chart = tmp_path / "marquee"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("name: marquee\nversion: 1.2.3\n")
    (chart / "values.yaml").write_text("image:\n  digests: {}\n  # a comment\n")
    (chart / "values-prod.yaml").write_text("an: example\n")
    (chart / "templates" / "x.yaml").write_text("x\n")
    (chart / ".helmignore").write_text("# examples\nvalues-*.yaml\n")
    package = charts.package(chart, DIGESTS, "1.2.3", tmp_path, EPOCH)
    assert package.name == "marquee-1.2.3.tgz"
    with tarfile.open(package) as archive:
        names = archive.getnames()
        values = archive.extractfile("marquee/values.yaml")
        assert values
        text = values.read().decode()
    assert names == ["marquee/.helmignore", "marquee/Chart.yaml", "marquee/templates/x.yaml", "marquee/values.yaml"]
    lines = [f"    {name}: {digest}" for name, digest in DIGESTS.items()]
    assert text.splitlines() == ["image:", "  digests:", *lines, "  # a comment"]
    with pytest.raises(ValueError, match=r"version is '1\.2\.3'; expected '2\.0\.0'"):
        charts.package(chart, DIGESTS, "2.0.0", tmp_path, EPOCH)


def test_values_have_one_place_for_digests() -> None:
    """Values without a place for digests are an error."""
    with pytest.raises(ValueError, match="no single line"):
        charts.with_digests("image: {}\n", DIGESTS)


CHANGELOG = "# Changelog\n\n## [1.1.0] - 2026-11-29\n\n* New.\n\n## [1.0.0] - 2026-01-01\n\n* Old.\n"


def test_notes_are_the_section_of_the_version() -> None:
    """Notes end where the next version begins; a version without entries is an error."""
    assert notes(CHANGELOG, "1.1.0") == "# Marquee 1.1.0\n\n* New.\n"
    assert notes(CHANGELOG, "1.0.0") == "# Marquee 1.0.0\n\n* Old.\n"
    with pytest.raises(ValueError, match=r"expected a section `## \[1\.0\]`"):
        notes(CHANGELOG, "1.0")


def test_statement_is_of_in_toto_and_slsa() -> None:
    """The statement has subjects with their sums, parameters, what went in, and the builder."""
    made = statement({"b": "2", "a": "1"}, {"version": "1"}, {"git+file:.": {"gitCommit": "c"}}, "urn:me")
    assert made["subject"] == [{"name": "a", "digest": {"sha256": "1"}}, {"name": "b", "digest": {"sha256": "2"}}]
    assert made["predicate"] == {
        "buildDefinition": {
            "buildType": "urn:marquee:make-release:v1",
            "externalParameters": {"version": "1"},
            "resolvedDependencies": [{"uri": "git+file:.", "digest": {"gitCommit": "c"}}],
        },
        "runDetails": {"builder": {"id": "urn:me"}},
    }


def test_only_a_commit_of_that_version_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version than the code's is refused, and so is a clone with changes that no commit has."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(release, "__version__", "1.2.3")
    assert release.refusal("1.2.3") is None
    assert "marquee/version.py says 1.2.3" in str(release.refusal("1.2.4"))
    (tmp_path / "new.py").write_text("")
    assert "?? new.py" in str(release.refusal("1.2.3"))
