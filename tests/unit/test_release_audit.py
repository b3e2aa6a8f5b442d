"""The comparison with a vulnerability database, and the proposal of newer versions."""

import json
import zipfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tools.release import debian_version
from tools.release.audit import accepted, entries, findings, locked_packages, not_checked, released_packages, report
from tools.release.pins import pins, with_pins
from tools.release.renew import changes

PYTHON = {(("PyPI", "foo-bar"), "1.5"): ["rollup.txt"]}
DEBIAN = {(("Debian:12", "openssl"), "3.0.17-1~deb12u2"): ["exporter", "rollup"]}


def entry(name: str, *events: dict[str, str], ecosystem: str = "PyPI", **more: Any) -> dict[str, Any]:
    """Return an entry of OSV with one range."""
    package = {"ecosystem": ecosystem, "name": name}
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}]
    return {"id": "OSV-1", "aliases": ["CVE-1"], "affected": [{"package": package, "ranges": ranges}], **more}


START = {"introduced": "0"}


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([START], True),
        ([START, {"fixed": "1.6"}], True),
        ([START, {"fixed": "1.5"}], False),
        ([START, {"fixed": "1.10"}], True),  # 1.10 is later than 1.5
        ([START, {"last_affected": "1.5"}], True),
        ([START, {"last_affected": "1.4.9"}], False),
        ([{"introduced": "1.6"}], False),
        ([START, {"fixed": "1.0"}, {"introduced": "1.4"}, {"fixed": "2"}], True),
        ([{"introduced": "1.4"}, {"fixed": "2"}, START, {"fixed": "1.0"}], True),  # in any order
    ],
)
def test_ranges_of_python_versions(events: Sequence[dict[str, str]], affected: bool) -> None:
    """Version 1.5 is affected if the last event at or before it says so; names are compared in their one form."""
    found = list(findings([entry("Foo_Bar", *events)], PYTHON))
    assert [one.name for one in found] == ["Foo_Bar"] * affected


@pytest.mark.parametrize(
    ("fixed", "affected"), [("3.0.17-1~deb12u3", True), ("3.0.17-1~deb12u2", False), ("3.0.17-1", True)]
)
def test_ranges_of_debian_versions(fixed: str, affected: bool) -> None:
    """A tilde comes before the end of a version: 3.0.17-1 is later than 3.0.17-1~deb12u2."""
    found = list(findings([entry("openssl", START, {"fixed": fixed}, ecosystem="Debian:12")], DEBIAN))
    assert [one.where for one in found] == [("exporter", "rollup")] * affected


def test_withdrawn_entries_and_other_releases_do_not_count() -> None:
    """An entry that was withdrawn, of another Debian, or of another package holds for nothing."""
    others = [
        entry("foo-bar", START, withdrawn="2026-01-01T00:00:00Z"),
        entry("openssl", START, ecosystem="Debian:11"),
        entry("foo", START),
    ]
    assert list(findings(others, PYTHON | DEBIAN)) == []


def test_listed_version_is_affected() -> None:
    """A version in the list of an entry is affected, whatever the ranges."""
    listed = entry("foo-bar", {"introduced": "2"})
    listed["affected"][0]["versions"] = ["1.5"]
    assert [one.version for one in findings([listed], PYTHON)] == ["1.5"]


def test_debian_versions_sort_as_dpkg_sorts_them() -> None:
    """A tilde comes first, then the end, letters, other signs; numbers by value; the epoch decides before all."""
    ordered = ["1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0a", "1.0+git", "1.0.1", "1.9", "1.10", "1:0.1"]
    backwards = ordered[::-1]
    assert sorted(backwards, key=debian_version.key) == ordered


def test_database_is_a_folder_of_files_and_zips(tmp_path: Path) -> None:
    """Entries come from JSON files and from those in zips, at any depth; other files do not count."""
    (tmp_path / "PyPI").mkdir()
    with zipfile.ZipFile(tmp_path / "PyPI" / "all.zip", "w") as archive:
        archive.writestr("A.json", json.dumps({"id": "A"}))
    (tmp_path / "B.json").write_text(json.dumps({"id": "B"}))
    (tmp_path / "README").write_text("no entry")
    assert sorted(one["id"] for one in entries(tmp_path)) == ["A", "B"]


def test_packages_are_those_of_locks_and_sboms(tmp_path: Path) -> None:
    """Lock files that nothing ships do not count; packages of one source count once."""
    (tmp_path / "rollup.txt").write_text("numpy==2.4\n")
    (tmp_path / "dev.txt").write_text("pytest==9\n")
    assert locked_packages(tmp_path) == {(("PyPI", "numpy"), "2.4"): ["rollup.txt"]}
    properties = [{"name": "debian:source", "value": "glibc"}, {"name": "debian:source-version", "value": "2.36-9"}]
    components = [{"name": name, "properties": properties} for name in ("libc6", "libc-bin")]
    sbom = {"metadata": {"component": {"name": "rollup"}}, "components": components}
    (tmp_path / "rollup.cdx.json").write_text(json.dumps(sbom))
    assert released_packages(tmp_path) == {(("Debian:12", "glibc"), "2.36-9"): ["rollup"]}


def test_report_says_what_to_update(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A vulnerability is a line with its names, the version that mends it and the places, and the exit code is 1."""
    known = [entry("foo-bar", START, {"fixed": "1.6"}), entry("openssl", START, {"fixed": "1"}, ecosystem="Debian:12")]
    assert report(known, PYTHON, DEBIAN, tmp_path) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "foo-bar 1.5: OSV-1, CVE-1; fixed in 1.6; in rollup.txt"
    assert "1 vulnerabilities in 1 packages of Python and 1 of Debian" in said.out
    assert said.err == ""


def test_report_says_what_was_not_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without entries of an ecosystem, or without SBOMs, the audit is not clean: the exit code is 2."""
    assert report([entry("other", START)], PYTHON, {}, tmp_path) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "!!! NOT CHECKED: the database has no entry of Debian:12"
    assert "has no SBOMs" in said[1]
    assert not_checked("no database was given") == 2


def test_accepted_vulnerability_has_a_last_day() -> None:
    """An accepted vulnerability is reported again after its day."""
    text = "# a comment\nCVE-1 2026-11-30 nothing calls it\n\nCVE-2 2026-12-01 nor that\n"
    assert accepted(text, date(2026, 11, 30)) == {"CVE-1", "CVE-2"}
    assert accepted(text, date(2026, 12, 1)) == {"CVE-2"}


def test_changes_of_locks_are_a_line_a_package() -> None:
    """A package that changes alike in several lock files is one line."""
    old = {"a.txt": {"x": "1", "y": "1", "z": "1"}, "b.txt": {"x": "1"}}
    new = {"a.txt": {"x": "2", "z": "1", "new": "3"}, "b.txt": {"x": "2"}}
    assert list(changes(old, new)) == [
        "new (new) -> 3: a.txt",
        "x 1 -> 2: a.txt, b.txt",
        "y 1 -> (gone): a.txt",
    ]


def test_pins_are_written_where_images_are_named() -> None:
    """A digest comes after the tag, replaces an older one, and leaves other images alone."""
    old, new = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
    found = {"mariadb:10.11": f"mariadb:10.11@{new}"}
    assert with_pins(f"  image: mariadb:10.11@{old}\n", found) == f"  image: mariadb:10.11@{new}\n"
    assert with_pins("  image: mariadb:10.11\nmariadb:10.11.6 x\n", found) == (
        f"  image: mariadb:10.11@{new}\nmariadb:10.11.6 x\n"
    )
    text = f"# comment\ndebian:bookworm-slim\nmariadb:10.11@{old}\n"
    assert pins(text) == {"debian:bookworm-slim": "debian:bookworm-slim", "mariadb:10.11": f"mariadb:10.11@{old}"}


def test_pinned_images_are_those_in_use() -> None:
    """The chart kiosk and the base Dockerfile name the images of pins.txt, the chart with the digest."""
    root = Path(__file__).parents[2]
    found = pins((root / "images" / "pins.txt").read_text())
    assert list(found) == ["debian:bookworm-slim", "mariadb:10.11"]
    assert f"\n  image: {found['mariadb:10.11']}\n" in (root / "charts" / "kiosk" / "values.yaml").read_text()
    assert "ARG DEBIAN=debian:bookworm-slim\n" in (root / "images" / "base" / "Dockerfile").read_text()
